"""Emphasis: which words of a prompt weigh how much, and where BREAK parts it.

Knows nothing of tokens or schedules: editing and alternation must have been resolved (`schedule`) before.
"""

import re
import sys
from dataclasses import dataclass, field

BREAK = ("BREAK", -1.0)  # the fragment that closes a chunk, as A1111 writes it

_ROUND = 1.1  # what one “(” multiplies by; “[” divides by it
_TOKEN = re.compile(
    r"""
    \\[()\[\]\\] | \\                           # an escape; a lone backslash, which vanishes
    | :\s*(?P<weight>[+-]?[.\d]+)\s*\)          # a weight and its closing bracket
    | [()\[\]]
    | [^\\()\[\]:]+ | :                         # text
    """,
    re.VERBOSE,
)
_BREAK_WORD = re.compile(r"\bBREAK\b")
_LARGEST_WEIGHT = sys.float_info.max  # beyond it floats are infinite, and infinity times 0 is no number
# A1111 multiplies from the innermost bracket outwards, and words with exactly equal products are joined: so many
# brackets are multiplied in its order. What lies further out is shared by all words inside, which keeps time linear.
_IN_ORDER = 64


@dataclass(frozen=True)
class AttentionReading:
    """Fragments of a prompt, and what could not be taken as it was typed.

    Args:
        fragments: (text, weight), `BREAK` between the parts of a prompt; never empty.
        unclosed: where a bracket opens that nothing closes; it reaches to the end.
        unopened: where a bracket closes that nothing opened; it is text.
        unread_weights: [start, end) of weights that are no number; they are text.
    """

    fragments: list[tuple[str, float]]
    unclosed: list[int] = field(default_factory=list)
    unopened: list[int] = field(default_factory=list)
    unread_weights: list[tuple[int, int]] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class _Bracket:
    """One open bracket: what it multiplies by, when it was closed, and the next one of its kind around it."""

    start: int
    outer: "_Bracket | None"
    factor: float = 1.0
    closed: int = 0
    product: float = 1.0  # of its own factor and those of all brackets around it


@dataclass(eq=False, slots=True)
class _Run:
    """Text between two brackets, or one BREAK."""

    texts: list[str]
    round: _Bracket | None
    square: _Bracket | None
    is_break: bool = False


def parse_attention(text: str, a1111_exact: bool = False, breaks: bool = True) -> list[tuple[str, float]]:
    r"""Split a prompt into fragments of equal weight.

    `(word)` multiplies by 1.1, `[word]` divides by it, `(word:1.3)` multiplies by 1.3; brackets nest and may overlap;
    `\(` is a bracket as text. The upper-case word BREAK becomes the fragment ("BREAK", -1).

    Args:
        text: any string.
        a1111_exact: join neighbours of equal weight even across a bracket, and let brackets multiply BREAK, which
            turns it into an ordinary word of negative weight.
        breaks: BREAK is read; else it is a word like any other.

    Returns:
        (text, weight) in order, at least one; weights are finite.

    Source: behaviour of A1111 v1.10.
    """
    return read_attention(text, a1111_exact, breaks).fragments


def read_attention(text: str, a1111_exact: bool = False, breaks: bool = True) -> AttentionReading:
    """Like `parse_attention`, and tells what could not be taken as it was typed."""
    scan = _Scan(text, breaks)
    return AttentionReading(
        fragments=_joined(scan.runs, a1111_exact) or [("", 1.0)],
        unclosed=sorted(bracket.start for bracket in scan.unclosed),
        unopened=scan.unopened,
        unread_weights=scan.unread_weights,
    )


class _Scan:
    """One walk over the text. Round and square brackets do not see each other: each kind has its own chain."""

    def __init__(self, text: str, breaks: bool):
        self._breaks = breaks
        self.runs: list[_Run] = []
        self.unclosed: list[_Bracket] = []
        self.unopened: list[int] = []
        self.unread_weights: list[tuple[int, int]] = []
        self._brackets: list[_Bracket] = []
        self._open: dict[str, _Bracket | None] = {"(": None, "[": None}
        self._run: _Run | None = None  # what text is added to; none right after a bracket
        self._clock = 0
        for found in _TOKEN.finditer(text):
            self._read(found)
        for sign, factor in (("(", _ROUND), ("[", 1 / _ROUND)):
            while bracket := self._open[sign]:
                self.unclosed.append(bracket)
                self._close(sign, factor)
        for bracket in self._brackets:  # the outer ones first
            bracket.product = _product(bracket.factor, bracket.outer.product if bracket.outer else 1.0)

    def _read(self, found: re.Match[str]) -> None:
        token = found.group()
        if token in ("(", "["):
            bracket = self._open[token] = _Bracket(found.start(), self._open[token])
            self._brackets.append(bracket)
            self._run = None
        elif token == "]" and self._open["["]:
            self._close("[", 1 / _ROUND)
        elif token == ")" and self._open["("]:
            self._close("(", _ROUND)
        elif found["weight"] and self._open["("]:
            weight = _number(found["weight"])
            if weight is None:
                self.unread_weights.append(found.span("weight"))
                self._literal(token[:-1])
            self._close("(", _ROUND if weight is None else weight)
        elif token.startswith("\\"):
            self._literal(token[1:])
        else:
            if token[-1] in ")]":
                self.unopened.append(found.end() - 1)
            self._text(token)

    def _close(self, sign: str, factor: float) -> None:
        bracket = self._open[sign]
        assert bracket is not None
        bracket.factor, bracket.closed = factor, self._clock
        self._clock += 1
        self._open[sign] = bracket.outer
        self._run = None

    def _text(self, text: str) -> None:
        """Text as typed: BREAK parts it and swallows the white space around itself."""
        start = 0
        for found in _BREAK_WORD.finditer(text) if self._breaks else ():
            part = text[start : found.start()].rstrip()
            self._literal(part.lstrip() if start else part)
            self.runs.append(_Run(["BREAK"], self._open["("], self._open["["], is_break=True))
            self._run = None
            start = found.end()
        self._literal(text[start:].lstrip() if start else text)

    def _literal(self, text: str) -> None:
        if self._run is None:
            self._run = _Run([], self._open["("], self._open["["])
            self.runs.append(self._run)
        self._run.texts.append(text)


def _joined(runs: list[_Run], a1111_exact: bool) -> list[tuple[str, float]]:
    known: dict[tuple[_Bracket | None, _Bracket | None], float] = {}
    fragments: list[tuple[list[str], float]] = []
    for run in runs:
        if run.is_break and not a1111_exact:
            fragments.append((run.texts, BREAK[1]))
            continue
        around = (run.round, run.square)
        if around not in known:
            known[around] = _weight(*around)
        weight = -known[around] if run.is_break else known[around]
        if a1111_exact and fragments and fragments[-1][1] == weight:
            fragments[-1][0].extend(run.texts)
        else:
            fragments.append((run.texts, weight))
    return [("".join(texts), weight) for texts, weight in fragments]


def _weight(round: _Bracket | None, square: _Bracket | None) -> float:
    """Product of all brackets around a run, the nearest multiplied in the order in which they were closed."""
    weight = 1.0
    for _ in range(_IN_ORDER):
        if round and (square is None or round.closed < square.closed):
            weight, round = _product(weight, round.factor), round.outer
        elif square:
            weight, square = _product(weight, square.factor), square.outer
        else:
            return weight
    for rest in (round, square):
        weight = _product(weight, rest.product if rest else 1.0)
    return weight


def _product(first: float, second: float) -> float:
    return max(-_LARGEST_WEIGHT, min(first * second, _LARGEST_WEIGHT))


def _number(text: str) -> float | None:
    try:
        return _product(float(text), 1.0)
    except ValueError:  # “1.2.3”, “.”
        return None
