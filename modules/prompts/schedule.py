"""Prompt editing and alternation: which text a prompt is at which step.

Resolves `[from:to:when]` and `[a|b]`, nested as deep as they come; leaves emphasis as typed for `attention`.
"""

import functools
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from lark import Lark, Token, Transformer

from modules.prompts.brackets import NotScheduled, ScheduleLexer

_GRAMMAR = Path(__file__).with_name("schedule.lark")


@dataclass(frozen=True, eq=False, slots=True)
class Edit:
    """`[before:after:when]`: `when` as typed, since a decimal point makes it a share of the steps."""

    before: "Prompt"
    after: "Prompt"
    when: str


@dataclass(frozen=True, eq=False, slots=True)
class Alternation:
    """`[a|b|…]`: one option a step, in turn."""

    options: "tuple[Prompt, ...]"


Prompt = tuple[str | Edit | Alternation, ...]  # what stands one after the other


@dataclass(frozen=True)
class Timeline:
    """The sampling pass that a schedule is for, and how it counts.

    Args:
        steps: steps of the first pass, at least 1, in calls of the model: see `model_calls`.
        hires_steps: steps of the second pass if the schedule is for that one.
        old: count as builds before A1111 1.6 did: below 1 is a share, whatever the dot; both passes alike.
    """

    steps: int
    hires_steps: int | None = None
    old: bool = False

    @property
    def length(self) -> int:
        """Steps of the pass itself."""
        return self.steps if self.hires_steps is None or self.old else self.hires_steps

    def boundary(self, when: str) -> int:
        """The last step before an edit, 0 … `length`: `length` is never, 0 from the start."""
        number = float(when)
        second = self.hires_steps is not None
        if self.old:
            step = number * self.length if number < 1 else number
        elif "." in when:
            step = (number - second) * self.length
        else:
            step = number - self.steps * second
        return math.trunc(max(0.0, min(step, self.length)))


def parse_schedule(
    text: str, steps: int, hires_steps: int | None = None, old_timelines: bool = False, a1111_exact: bool = False
) -> list[tuple[int, str]]:
    """The texts that a prompt goes through while a picture is sampled.

    `[from:to:when]` is *from* up to step `when` and *to* behind it; `[to:when]` and `[from::when]` leave one out;
    `when` with a decimal point is a share of the steps (1.0 … 2.0 of the second pass). `[a|b]` alternates each step.
    A “|” anywhere else, or a backslash with nothing to escape, means that nothing in the prompt is scheduled.

    Args:
        text: any string.
        steps: steps of the first pass; for samplers that call the model twice a step see `model_calls`.
        hires_steps: give it to get the schedule of the second pass.
        old_timelines: count as builds before A1111 1.6 did.
        a1111_exact: makes no difference here; every rule of the three parse functions takes it.

    Returns:
        (last step, text) with rising steps; the last is the length of the pass.

    Source: behaviour of A1111 v1.10. Samplers look entries up by calls made *before*, so an edit shows one step late.
    """
    timeline = Timeline(steps, hires_steps, old_timelines)
    try:
        prompt = read_schedule(text)
    except NotScheduled:
        return [(timeline.length, text)]
    return render_schedule(prompt, timeline)


def model_calls(steps: int, calls_per_step: int) -> int:
    """The steps to parse a schedule with: samplers of second order call the model twice a step, and A1111 counts calls.

    So shares of the steps come out right, while a whole `when` is in half-steps there.
    """
    return steps * calls_per_step


def read_schedule(text: str) -> Prompt:
    """The structure of a prompt.

    Raises:
        NotScheduled: see `parse_schedule`.
    """
    return cast(Prompt, _parser().parse(text))  # not lark's tree but what the callbacks of _Structure built


def render_schedule(prompt: Prompt, timeline: Timeline) -> list[tuple[int, str]]:
    """(last step, text) of each stretch of steps; stretches end where any edit or alternation may change."""
    pieces = list(walk(prompt))
    boundaries = {piece: timeline.boundary(piece.when) for piece in pieces if isinstance(piece, Edit)}
    alternates = any(isinstance(piece, Alternation) for piece in pieces)
    ends = range(1, timeline.length + 1) if alternates else sorted({*boundaries.values(), timeline.length} - {0})
    return [(step, _text(prompt, step, boundaries)) for step in ends]


def walk(prompt: Prompt) -> Iterator[str | Edit | Alternation]:
    """Every piece of a prompt, each before those inside it."""
    waiting = list(reversed(prompt))
    while waiting:
        piece = waiting.pop()
        yield piece
        if isinstance(piece, Edit):
            waiting += reversed(piece.before + piece.after)
        elif isinstance(piece, Alternation):
            waiting += reversed(tuple(itertools.chain.from_iterable(piece.options)))


def as_typed(prompt: Prompt) -> str:
    """A text that reads as this prompt."""
    texts: list[str] = []
    waiting = list(reversed(prompt))
    while waiting:
        piece = waiting.pop()
        if isinstance(piece, str):
            texts.append(piece)
            continue
        if isinstance(piece, Edit):
            typed = [*piece.before, ":"] if piece.before else []
            typed += [*piece.after, ":", piece.when]
        else:
            typed = [part for option in piece.options for part in ("|", *option)][1:]
        waiting += ["]", *reversed(typed), "["]
    return "".join(texts)


def _text(prompt: Prompt, step: int, boundaries: dict[Edit, int]) -> str:
    """The text at a step, counted from 1."""
    texts: list[str] = []
    waiting = list(reversed(prompt))
    while waiting:
        piece = waiting.pop()
        if isinstance(piece, str):
            texts.append(piece)
        elif isinstance(piece, Edit):
            waiting += reversed(piece.before if step <= boundaries[piece] else piece.after)
        else:
            waiting += reversed(piece.options[(step - 1) % len(piece.options)])
    return "".join(texts)


class _Structure(Transformer[Token, Prompt]):
    """Builds the structure while lark parses: a finished tree would have to be walked by recursion."""

    def document(self, children: list[Prompt]) -> Prompt:
        return children[0]

    def prompt(self, children: list[str | Edit | Alternation]) -> Prompt:
        return tuple(children)

    def edit(self, children: list) -> Edit:
        before, after, when = children
        return Edit(before or (), after, str(when).strip())

    def alternation(self, children: list[Prompt]) -> Alternation:
        return Alternation(tuple(children))


@functools.cache
def _parser() -> Lark:
    grammar = _GRAMMAR.read_text(encoding="utf-8")
    return Lark(
        grammar,
        parser="lalr",
        lexer=ScheduleLexer,
        start="document",
        transformer=_Structure(),
        maybe_placeholders=True,
    )
