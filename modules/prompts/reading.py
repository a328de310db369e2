"""How a prompt is read, as data for the panel under it and for the token counter. No HTML, no torch."""

import itertools
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypedDict

from modules.prompts import notes
from modules.prompts.attention import BREAK, read_attention
from modules.prompts.brackets import NotScheduled
from modules.prompts.chunks import PackedPrompt, pack
from modules.prompts.composition import parse_composition
from modules.prompts.matching import EmbeddingIndex
from modules.prompts.schedule import Alternation, Edit, Prompt, Timeline, as_typed, read_schedule, render_schedule, walk
from modules.prompts.tags import Tag, cut_comments, cut_tags
from modules.prompts.tokenizer import ClipTokenizer, replace_surrogates

_MARK = "\ud800"  # stands for a scheduled piece while its weight is looked up; no cleaned text holds it


class _Packing(TypedDict):
    """Keywords of `pack`."""

    emphasis: str
    comma_backtrack: int
    a1111_exact: bool
    breaks: bool
    old_emphasis: bool


@dataclass(frozen=True)
class Piece:
    """One stretch of a prompt, to be shown as one chip.

    Args:
        kind: text, embedding, break, alternation or edit.
        text: as typed, without the brackets of its weight.
        weight: 1 is neutral; 1 for a break.
        options: texts that an alternation goes through, or an edit's before and after.
        step: last step of an edit's first text.
        vectors: slots that an embedding takes.
        chunk: which chunk it lies in, from 0; None where that changes with the steps.
    """

    kind: str
    text: str
    weight: float = 1.0
    options: tuple[str, ...] = ()
    step: int | None = None
    vectors: int = 0
    chunk: int | None = None


@dataclass(frozen=True)
class StepReading:
    """One stretch of steps, from `first` to `last`, counted from 1: the text then, its pieces and its tokens."""

    first: int
    last: int
    text: str
    pieces: tuple[Piece, ...]
    token_count: int
    chunk_count: int


@dataclass(frozen=True)
class PartReading:
    """What stands between two ANDs.

    Args:
        text, weight: as `parse_composition` gives them.
        pieces: the part in order, scheduled pieces whole.
        steps: the part as it is from step to step; a single entry if nothing is scheduled.
    """

    text: str
    weight: float
    pieces: tuple[Piece, ...]
    steps: tuple[StepReading, ...]


@dataclass(frozen=True)
class PromptReading:
    """Everything that is shown about a prompt.

    Args:
        parts: at least one; more only with AND.
        token_count, target: for the counter, “14/75”: the most that any part needs at any step.
        embeddings: names found, with how many vectors each has.
        tags: what was cut out.
        notes: sentences about what the user may not expect.
    """

    parts: tuple[PartReading, ...]
    token_count: int
    target: int
    embeddings: dict[str, int]
    tags: tuple[Tag, ...]
    notes: tuple[str, ...]


def read_prompt(
    text: str,
    steps: int,
    tokenizer: ClipTokenizer,
    index: EmbeddingIndex,
    *,
    negative: bool = False,
    hires_steps: int | None = None,
    second_pass_steps: int | None = None,
    old_timelines: bool = False,
    emphasis: str = "Original",
    comma_backtrack: int = 20,
    a1111_exact: bool = False,
    comments: bool = True,
    breaks: bool = True,
    old_emphasis: bool = False,
) -> PromptReading:
    """Read a prompt the way generation will, and tell how.

    Args:
        text: what was typed.
        steps, hires_steps, old_timelines: as for `parse_schedule`.
        second_pass_steps: of a second pass that will draw the same prompt again; an edit may come there alone.
        tokenizer, index: of the model in use.
        negative: a negative prompt knows neither AND nor tags.
        emphasis, comma_backtrack, a1111_exact, breaks, old_emphasis: as for `pack`.
        comments: what stands behind a “#” is left out.
    """
    second = Timeline(steps, second_pass_steps, old_timelines) if second_pass_steps else None
    packing: _Packing = {
        "emphasis": emphasis,
        "comma_backtrack": comma_backtrack,
        "a1111_exact": a1111_exact,
        "breaks": breaks,
        "old_emphasis": old_emphasis,
    }
    reader = _Reader(tokenizer, index, Timeline(steps, hires_steps, old_timelines), second, packing)
    text, tags = replace_surrogates(text), []
    if comments:
        text = cut_comments(text)
    if not negative:
        text, tags = cut_tags(text)
        reader.notes += map(notes.tag_note, tags[: notes.MOST_NOTES])
    parts = [(text, 1.0)] if negative else parse_composition(text, a1111_exact)
    if len(parts) == 1 and not negative and (note := notes.ending_note(text, a1111_exact)):
        reader.notes.append(note)
    readings = tuple(reader.part(part, weight) for part, weight in parts)
    largest = max(reader.packed.values(), key=lambda packed: packed.token_count)
    reader.notes += [notes.embedding_note(name, vectors) for name, vectors in reader.embeddings.items()]
    if len(largest.chunks) > 1:
        reader.notes.append(notes.overflow_note(len(largest.chunks)))
    if largest.cut:
        reader.notes.append(notes.cut_note(largest.cut))
    return PromptReading(
        readings, largest.token_count, largest.target, reader.embeddings, tuple(tags), notes.shortened(reader.notes)
    )


class _Reader:
    """Reads the parts of one prompt; an identical text is read once."""

    def __init__(
        self,
        tokenizer: ClipTokenizer,
        index: EmbeddingIndex,
        timeline: Timeline,
        second: Timeline | None,
        packing: _Packing,
    ):
        self.packed: dict[str, PackedPrompt] = {}
        self.embeddings: dict[str, int] = {}
        self.notes: list[str] = []
        self._tokenizer = tokenizer
        self._index = index
        self._timeline = timeline
        self._second = second
        self._packing = packing

    def part(self, text: str, weight: float) -> PartReading:
        """Read what stands between two ANDs."""
        try:
            prompt = read_schedule(text)
        except NotScheduled as error:
            prompt: Prompt = (text,)
            if note := notes.ignored_note(text, error):
                self.notes.append(note)
        scheduled = [piece for piece in walk(prompt) if not isinstance(piece, str)]
        edits = (piece for piece in scheduled if isinstance(piece, Edit))
        self._take(notes.edit_notes(edits, self._timeline, self._second))
        steps: list[StepReading] = []
        for last, step_text in render_schedule(prompt, self._timeline):
            packed = self._pack(step_text)
            first = steps[-1].last + 1 if steps else 1
            pieces = tuple(_pieces(packed))
            steps.append(StepReading(first, last, step_text, pieces, packed.token_count, len(packed.chunks)))
        outlined = scheduled and not self._packing["old_emphasis"]  # whose words follow from the tokens of a step
        return PartReading(text, weight, self._outline(prompt) if outlined else steps[0].pieces, tuple(steps))

    def _take(self, found: Iterator[str]) -> None:
        """Keep as many notes as can be shown: a hostile prompt has thousands."""
        self.notes += itertools.islice(found, notes.MOST_NOTES)

    def _pack(self, text: str) -> PackedPrompt:
        if text not in self.packed:
            packed = self.packed[text] = self._packed_anew(text)
            for words in packed.words:
                self.embeddings |= {word.embedding.name: word.embedding.vectors for word in words if word.embedding}
        return self.packed[text]

    def _packed_anew(self, text: str) -> PackedPrompt:
        if self._packing["old_emphasis"]:
            return self._pack_fragments(text)
        return self._pack_fragments(self._fragments(text, take_notes=True))

    def _fragments(self, text: str, take_notes: bool = False) -> list[tuple[str, float]]:
        if self._packing["emphasis"] == "None":
            return [(text, 1.0)]
        reading = read_attention(text, self._packing["a1111_exact"], self._packing["breaks"])
        if take_notes:
            self._take(notes.attention_notes(text, reading))
        return reading.fragments

    def _pack_fragments(self, prompt: str | list[tuple[str, float]]) -> PackedPrompt:
        return pack(prompt, self._tokenizer, self._index, **self._packing)

    def _outline(self, prompt: Prompt) -> tuple[Piece, ...]:
        """The pieces of a scheduled prompt, each edit and alternation as one."""
        scheduled = (piece for piece in prompt if not isinstance(piece, str))
        marked = "".join(piece if isinstance(piece, str) else _MARK for piece in prompt)
        pieces: list[Piece] = []
        for fragment, weight in self._fragments(marked):
            for number, text in enumerate(fragment.split(_MARK)):
                if number:
                    pieces.append(self._scheduled_piece(next(scheduled), weight))
                pieces += (replace(piece, chunk=None) for piece in _pieces(self._pack_fragments([(text, weight)])))
        return tuple(pieces)

    def _scheduled_piece(self, piece: Edit | Alternation, weight: float) -> Piece:
        if isinstance(piece, Alternation):
            return Piece("alternation", as_typed((piece,)), weight, tuple(map(as_typed, piece.options)))
        options = (as_typed(piece.before), as_typed(piece.after))
        return Piece("edit", as_typed((piece,)), weight, options, self._timeline.boundary(piece.when))


def _pieces(packed: PackedPrompt) -> list[Piece]:
    """Text of one weight in one chunk, embeddings and breaks, in order."""
    of_fragment: dict[int, list[Piece]] = defaultdict(list)
    for chunk, words in enumerate(packed.words):
        for (number, match), group in itertools.groupby(words, key=lambda word: (word.fragment, word.embedding)):
            text, weight = packed.fragments[number]
            members = list(group)
            if match:
                pieces = [
                    Piece("embedding", text[word.start : word.end], weight, vectors=match.vectors, chunk=chunk)
                    for word in members
                ]
            else:
                pieces = [Piece("text", text[members[0].start : members[-1].end], weight, chunk=chunk)]
            of_fragment[number] += pieces
    for number, fragment in enumerate(packed.fragments):
        if fragment == BREAK:
            of_fragment[number] = [Piece("break", BREAK[0])]
    return [piece for number in sorted(of_fragment) for piece in of_fragment[number]]
