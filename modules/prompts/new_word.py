"""A word that is about to be made: whether its name is a good one, and which tokens it starts from."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from modules.errors import ParameterError
from modules.prompts.tokenizer import ClipTokenizer

MOST_VECTORS = 75  # the payload of one 77-token chunk: more could never stand in a prompt

_OPERATORS = re.compile(r"\b(AND|BREAK)\b")


def name_problem(name: str, taken: Collection[str], tokenizer: ClipTokenizer) -> str:
    """Why a name cannot be the word for an embedding, as a sentence; empty if it can.

    Whether the name can be a file at all is checked by `files.safe_name`.

    Args:
        taken: names of the embeddings that are there. The name itself may be among them, in any case: it is replaced.
    """
    ids = tokenizer.encode(name)
    words = [tokenizer.decode([id]) for id in ids]
    if operator := _OPERATORS.search(name):
        return f"“{name}” holds {operator[0]}, which a prompt reads as a command: choose another name."
    if len(ids) == 1:
        return (
            f"“{name}” is an ordinary word: every “{words[0]}” in a prompt would become the embedding. Add something "
            f"to it, such as “{name}-t1”."
        )
    if tokenizer.encode(f"{name},")[: len(ids)] != ids:
        return (
            f"“{name}” ends with a sign that runs together with a comma behind it, so that it would not be found "
            "there: end it with a letter or digit."
        )
    others = {other: tokenizer.encode(other) for other in taken if other.casefold() != name.casefold()}
    twin = next((other for other, theirs in others.items() if theirs == ids), None)
    if twin is not None:
        return (
            f"“{name}” is the same as “{twin}” in a prompt (both are {' · '.join(words)}), so only one of them would "
            "act: choose another name."
        )
    is_new = len(others) == len(set(taken))
    near = next((other for other, theirs in others.items() if theirs and _overlap(ids, theirs)), None)
    if is_new and near is not None:
        first, second = sorted((name, near), key=len)
        free = next((other for other in _similar(name) if not _overlaps(tokenizer.encode(other), others)), "")
        return f"“{second}” begins with “{first}”: mistyped, the one would act as the other. Choose another name" + (
            f", such as “{free}”." if free else "."
        )
    return ""


def _overlap(ids: list[int], others: list[int]) -> bool:
    """Whether one of two words begins with the whole other one."""
    return all(one == other for one, other in zip(ids, others, strict=False))


def _overlaps(ids: list[int], taken: Mapping[str, list[int]]) -> bool:
    return any(_overlap(ids, theirs) for theirs in taken.values())


def _similar(name: str) -> Iterator[str]:
    yield from (f"{name}-t{number}" for number in range(1, 10))
    yield from (f"{first}-{name}" for first in ("my", "new", "next"))


def initial_tokens(init_text: str, vectors_per_token: int, tokenizer: ClipTokenizer, cut: bool = True) -> list[int]:
    """The token that each vector of a new embedding starts from; none if there are no words: zeros then.

    Args:
        init_text: words; each of their T tokens serves vectors_per_token / T vectors in a row.
        vectors_per_token: 1 … 75.
        cut: leave out the words that find no place, as A1111 does for CLIP (SD 1), instead of spreading the choice
            over all of them, as it does for OpenCLIP (SD 2).

    Raises:
        ParameterError: vectors_per_token out of range.
    """
    if not 1 <= vectors_per_token <= MOST_VECTORS:
        raise ParameterError(
            "vectors_per_token", f"An embedding has 1 to {MOST_VECTORS} vectors, not {vectors_per_token}."
        )
    ids = tokenizer.encode(init_text)
    if cut:
        ids = ids[:vectors_per_token]
    return [ids[vector * len(ids) // vectors_per_token] for vector in range(vectors_per_token)] if ids else []


def token_texts(ids: Sequence[int], tokenizer: ClipTokenizer) -> list[str]:
    """Tokens as a person reads them: “face”, “real…” for one that goes on in the next, “�” for a part of a letter."""
    return [tokenizer.decode([id]) + ("" if tokenizer.word(id).endswith("</w>") else "…") for id in ids]
