"""Emphasis as A1111 read it before it could read numbers: the setting “old emphasis implementation”.

Brackets count where the tokenizer finds them, glued to other signs too, and are taken out; “(word:1.3)” is the word
and a number as text, and there is no BREAK.
"""

import functools
from collections.abc import Iterator

from modules.prompts.tokenizer import BEGIN, ClipTokenizer, TokenizedText


def runs_of_equal_weight(tokens: TokenizedText, tokenizer: ClipTokenizer) -> Iterator[tuple[TokenizedText, float]]:
    """The tokens of a text without its brackets, as pieces of one weight; none of an empty text.

    Each piece keeps the ids that the whole text has, and its offsets are those in its own text.
    """
    factors = _factors(tokenizer)
    weight, begin = 1.0, 0
    for position, id in enumerate([*tokens.ids, BEGIN]):
        if id in factors or id == BEGIN:
            if begin < position:
                yield _part(tokens, begin, position), weight
            weight, begin = weight * factors.get(id, 1.0), position + 1


def _part(tokens: TokenizedText, begin: int, end: int) -> TokenizedText:
    offsets = tokens.offsets[begin:end]
    first, last = offsets[0][0], offsets[-1][1]
    return TokenizedText(
        tokens.text[first:last], tokens.ids[begin:end], [(start - first, stop - first) for start, stop in offsets]
    )


@functools.cache
def _factors(tokenizer: ClipTokenizer) -> dict[int, float]:
    """What each token with brackets multiplies by; those whose brackets cancel out are words like any other."""
    factors = {id: _factor(tokenizer.word(id)) for id in range(BEGIN)}
    return {id: factor for id, factor in factors.items() if factor != 1.0}


def _factor(word: str) -> float:
    factor = 1.0
    for sign in word:
        if sign in "(]":
            factor *= 1.1
        elif sign in ")[":
            factor /= 1.1
    return factor
