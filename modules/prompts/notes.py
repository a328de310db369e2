"""What to tell the user about a prompt, in sentences: what was not taken as it was typed, and what to write instead.

Finds things that are legal and probably not meant; changes nothing.
"""

import re
from collections.abc import Iterable, Iterator

from modules.prompts.attention import BREAK, AttentionReading
from modules.prompts.brackets import NotScheduled
from modules.prompts.composition import split_weight
from modules.prompts.schedule import Edit, Timeline, as_typed
from modules.prompts.tags import Tag

MOST_NOTES = 12

_EXCERPT = 24  # characters quoted from a prompt
_ODD_WEIGHT = re.compile(r":\s*(?P<weight>[+-]?[.\d][^\\()\[\]:]*)\)")
_NUMBER = re.compile(r"\s*[+-]?(?:\d+(?:\.\d*)?|\.\d+)\s*")
_NO_STEP = re.compile(r"(?<!\\)\[[^\\()\[\]|:]*:(?P<ending>[^\\()\[\]|]*)\]")


def tag_note(tag: Tag) -> str:
    """A tag was cut out of the prompt."""
    return f"{_quoted(tag.text)} was cut out of the prompt: tags load nothing yet."


def ending_note(text: str, a1111_exact: bool) -> str | None:
    """A prompt without AND that ends like a weighted part."""
    head, weight = split_weight(text)
    ending = text.rstrip()[len(head) :].strip()
    if not ending:
        return None
    if a1111_exact:
        return f"“{ending}” at the end weighs the whole prompt with {weight:g}."
    return f"“{ending}” at the end is read as text: only a part of a prompt with AND can be weighed like this."


def ignored_note(text: str, error: NotScheduled) -> str | None:
    """Nothing of a prompt is scheduled; None where there is nothing to schedule either."""
    excerpt = _quoted(text[error.position :])
    if text[error.position] == "|":
        return f"scheduling ignored: the bar at {excerpt} belongs to no alternation. Write [a | b] to alternate."
    if "[" in text:
        return f"scheduling ignored: the backslash at {excerpt} escapes nothing. Write two for a backslash."
    return None


def edit_notes(edits: Iterable[Edit], timeline: Timeline, second: Timeline | None = None) -> Iterator[str]:
    """Edits of which one side is never seen.

    Args:
        second: of the second pass if that draws the same prompt again.
    """
    for edit in edits:
        boundary = timeline.boundary(edit.when)
        if boundary == timeline.length and edit.after:
            text = as_typed(edit.after)
            if second and (before := second.boundary(edit.when)) < second.length:
                yield f"{_quoted(text)} comes in the second pass, after step {before} of its {second.length}."
                continue
            yield f"{_quoted(text)} never comes: {edit.when} is the end of the {timeline.length} steps, or later."
        elif boundary == 0 and edit.before:
            yield f"{_quoted(as_typed(edit.before))} is never seen: {edit.when} is before the first step."


def attention_notes(text: str, reading: AttentionReading) -> Iterator[str]:
    """Brackets and weights of a text without scheduling."""
    for position in reading.unclosed:
        yield f"The bracket at {_quoted(text[position:])} is never closed: it reaches to the end."
    for position in reading.unopened:
        before = text[max(0, position - _EXCERPT) : position + 1]
        yield f"The last bracket of “{before}” closes nothing and is read as text."
    for found in _ODD_WEIGHT.finditer(text):
        if not _NUMBER.fullmatch(found["weight"]):
            yield f"{_quoted(found['weight'])} is no weight and is read as text. Write a number such as 1.2."
    for found in _NO_STEP.finditer(text):
        if _NUMBER.fullmatch(found["ending"].rpartition(":")[2]):
            continue  # an edit in a prompt whose scheduling is ignored, or one part too many
        yield f"{_quoted(found.group())} has no step to change at and only weighs less. Write [from:to:0.5] to edit."
    for fragment, weight in reading.fragments:
        if fragment == BREAK[0] and weight != BREAK[1]:
            yield "BREAK inside brackets is an ordinary word of negative weight under A1111's rules."


def embedding_note(name: str, vectors: int) -> str:
    """An embedding that the prompt names."""
    return f"Embedding “{name}” found: {vectors} {'vector' if vectors == 1 else 'vectors'}."


def overflow_note(chunks: int) -> str:
    """More than one chunk is needed."""
    return f"The prompt fills {chunks} chunks of 75 tokens: words of one chunk do not know those of another."


def cut_note(tokens: int) -> str:
    """The old emphasis reads one chunk."""
    return f"The old emphasis reads 75 tokens: the last {tokens} are left out."


def shortened(notes: list[str]) -> tuple[str, ...]:
    """Each note once, and not too many of them."""
    notes = list(dict.fromkeys(notes))
    if len(notes) <= MOST_NOTES:
        return tuple(notes)
    return (*notes[: MOST_NOTES - 1], "And more notes of these kinds.")


def _quoted(text: str) -> str:
    return f"“{text}”" if len(text) <= _EXCERPT else f"“{text[:_EXCERPT]}…”"
