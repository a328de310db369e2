"""The lexer of `schedule.lark`: which brackets, colons and bars of a prompt schedule something, and which are text.

One walk with a stack of open brackets; it may be as long as the prompt, so nesting has no limit and time is linear.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from lark import Token
from lark.lexer import Lexer

_LEXEME = re.compile(r"(?:[^\\()\[\]:|]+|\\[^\n])+|[\\()\[\]:|]")
_NUMBER = re.compile(r"\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\s*", re.ASCII)


class NotScheduled(Exception):
    """The prompt fits no grammar, so nothing in it is scheduled.

    Args:
        position: where in the text the character stands that fits nowhere.
    """

    def __init__(self, position: int):
        super().__init__(position)
        self.position = position


@dataclass(slots=True)
class _Open:
    """A bracket that waits for its partner; numbers are indices of lexemes."""

    place: int
    sign: str
    colons: list[int] = field(default_factory=list)
    bars: list[int] = field(default_factory=list)


class ScheduleLexer(Lexer):
    """Tokens of the grammar: TEXT runs as long as nothing is scheduled."""

    def __init__(self, lexer_conf: object):
        pass

    def lex(self, data: str) -> Iterator[Token]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Yield the tokens of a prompt.

        Raises:
            NotScheduled: a “|” outside an alternation, or a backslash with nothing to escape.
        """
        lexemes = list(_LEXEME.finditer(data))
        kinds = _kinds(lexemes)
        start = 0
        for lexeme, kind in zip(lexemes, kinds, strict=True):
            if kind == "TEXT":
                continue
            if start < lexeme.start():
                yield Token("TEXT", data[start : lexeme.start()])
            yield Token(kind, lexeme.group())
            start = lexeme.end()
        if start < len(data):
            yield Token("TEXT", data[start:])


def _kinds(lexemes: list[re.Match[str]]) -> list[str]:
    """The token type of each lexeme."""
    kinds = ["TEXT"] * len(lexemes)
    waiting: list[_Open] = []
    for place, lexeme in enumerate(lexemes):
        sign = lexeme.group()
        if sign in ("(", "["):
            waiting.append(_Open(place, sign))
        elif sign == ":" and waiting:
            waiting[-1].colons.append(place)
        elif sign == "|" and waiting and waiting[-1].sign == "[":
            waiting[-1].bars.append(place)
        elif sign in (")", "]"):
            if not _settle(waiting, place, lexemes, kinds):
                _drop(waiting, lexemes)
        elif sign in ("|", "\\"):
            raise NotScheduled(lexeme.start())
    _drop(waiting, lexemes)
    return kinds


def _settle(waiting: list[_Open], place: int, lexemes: list[re.Match[str]], kinds: list[str]) -> bool:
    """Close the innermost bracket. False if it fits no rule, which makes it and all brackets around it strays."""
    if not waiting or (waiting[-1].sign == "(") != (lexemes[place].group() == ")"):
        return False
    bracket = waiting[-1]
    colons, bars = bracket.colons, bracket.bars
    if bracket.sign == "(":
        fits = len(colons) <= 1
    elif bars:
        fits = not colons
    elif colons:
        fits = len(colons) <= 2 and colons[-1] == place - 2 and bool(_NUMBER.fullmatch(lexemes[place - 1].group()))
    else:
        fits = True
    if not fits:
        return False
    waiting.pop()
    if bracket.sign == "[" and (colons or bars):
        kinds[bracket.place], kinds[place] = "_OPEN", "_CLOSE"
        for colon in colons:
            kinds[colon] = "_COLON"
        for bar in bars:
            kinds[bar] = "_BAR"
        if colons:
            kinds[place - 1] = "WHEN"
    return True


def _drop(waiting: list[_Open], lexemes: list[re.Match[str]]) -> None:
    """Make strays of all open brackets; a bar in one of them belongs to no alternation."""
    bars = [bracket.bars[0] for bracket in waiting if bracket.bars]
    if bars:
        raise NotScheduled(lexemes[bars[0]].start())
    waiting.clear()
