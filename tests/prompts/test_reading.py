"""What the panel under the prompt is told."""

import pytest

from modules.prompts.matching import EmbeddingIndex
from modules.prompts.reading import Piece, PromptReading, read_prompt
from modules.prompts.tokenizer import clip_tokenizer

TOKENIZER = clip_tokenizer()
INDEX = EmbeddingIndex({"realbenny-t1": 1, "realbenny-t2": 2}, TOKENIZER)


def read(text: str, steps: int = 20, **rules) -> PromptReading:
    return read_prompt(text, steps, TOKENIZER, INDEX, **rules)


def test_pieces_in_order():
    (part,) = read("half (realbenny-t2, smiling:1.3) BREAK cat").parts
    assert part.pieces == (
        Piece("text", "half", 1.0, chunk=0),
        Piece("embedding", "realbenny-t2", 1.3, vectors=2, chunk=0),
        Piece("text", ", smiling", 1.3, chunk=0),
        Piece("break", "BREAK"),
        Piece("text", "cat", 1.0, chunk=1),
    )


def test_scheduled_pieces_keep_their_weight():
    (part,) = read("a ([red|blue] [sky:sea:0.5]:1.2) realbenny-t1", steps=10).parts
    assert part.pieces == (
        Piece("text", "a", 1.0),
        Piece("alternation", "[red|blue]", 1.2, ("red", "blue")),
        Piece("edit", "[sky:sea:0.5]", 1.2, ("sky", "sea"), step=5),
        Piece("embedding", "realbenny-t1", 1.0, vectors=1),
    )
    assert [(step.first, step.last) for step in part.steps] == [(step, step) for step in range(1, 11)]
    assert part.steps[0].text == "a (red sky:1.2) realbenny-t1"
    assert part.steps[5].text == "a (blue sea:1.2) realbenny-t1"


def test_stretches_of_steps():
    (part,) = read("[a:b c d:5]").parts
    assert [(step.first, step.last, step.token_count) for step in part.steps] == [(1, 5, 1), (6, 20, 3)]


def test_the_counter_shows_the_most_that_is_needed():
    reading = read("cat AND [a|" + "dog " * 80 + "]:0.5")
    assert [(part.text[:4], part.weight) for part in reading.parts] == [("cat", 1.0), (" [a|", 0.5)]
    assert (reading.token_count, reading.target) == (80, 150)
    assert (read("").token_count, read("").target) == (0, 75)


def test_chunk_borders():
    (part,) = read("cat " * 80).parts
    assert [(piece.chunk, piece.text.count("cat")) for piece in part.pieces] == [(0, 75), (1, 5)]
    assert part.steps[0].chunk_count == 2


def test_embeddings_and_tags():
    reading = read("realbenny-t2 [realbenny-t1|x] <lora:foo:1>")
    assert reading.embeddings == {"realbenny-t2": 2, "realbenny-t1": 1}
    assert [tag.text for tag in reading.tags] == ["<lora:foo:1>"]


def test_a_negative_prompt_knows_neither_and_nor_tags():
    reading = read("a AND b:2 <lora:foo:1>", negative=True)
    assert [(part.text, part.weight) for part in reading.parts] == [("a AND b:2 <lora:foo:1>", 1.0)]
    assert reading.tags == ()
    assert reading.notes == ()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("half (yoda | cat) person", "scheduling ignored: the bar at “| cat) person” belongs to no alternation"),
        ("[a:3] \\", "scheduling ignored: the backslash at “\\” escapes nothing"),
        ("a (b", "The bracket at “(b” is never closed"),
        ("a b) c", "“a b)” closes nothing"),
        ("(a:1.2.3)", "“1.2.3” is no weight"),
        ("(a:1,5)", "“1,5” is no weight"),
        ("[a:b]", "“[a:b]” has no step"),
        ("aspect 16:9", "“:9” at the end is read as text"),
        ("<lora:foo:1>", "“<lora:foo:1>” was cut out"),
        ("realbenny-t2", "“realbenny-t2” found: 2 vectors"),
        ("[a:b:25]", "“b” never comes: 25 is the end of the 20 steps"),
        ("[a:b:-1]", "“a” is never seen"),
        ("cat " * 80, "fills 2 chunks"),
    ],
)
def test_notes(text: str, sentence: str):
    (note,) = read(text).notes
    assert sentence in note


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("aspect 16:9", "weighs the whole prompt with 9"), ("(a BREAK b:1.3)", "BREAK inside brackets")],
)
def test_notes_under_a1111_rules(text: str, sentence: str):
    (note,) = read(text, a1111_exact=True).notes
    assert sentence in note


@pytest.mark.parametrize(
    "text",
    ["portrait of a (smiling:1.3) woman with [red hair | blue hair], glasses", "a \\(b\\)", "x [b:0.5]", "\\", ""],
)
def test_nothing_to_note(text: str):
    assert read(text).notes == ()


def test_notes_are_few_and_short():
    notes = read("".join(f"(a:1,{number})" for number in range(100))).notes
    assert len(notes) <= 13
    assert all(len(note) < 200 for note in notes)


def test_a_comment_can_be_text():
    assert read("a cat # b").token_count == 2
    assert read("a cat # b", comments=False).token_count == 4


def test_break_can_be_a_word():
    assert [piece.text for piece in read("a BREAK cat", breaks=False).parts[0].pieces] == ["a BREAK cat"]
    assert read("a BREAK cat", breaks=False).target == 75


def test_the_old_emphasis_is_told_as_it_weighs():
    reading = read("a ((cat)), [b]", old_emphasis=True)
    told = [(piece.text, round(piece.weight, 4)) for piece in reading.parts[0].pieces]
    assert told == [("a", 1.0), ("cat", 1.21), ("b", 0.9091)]


def test_what_the_old_emphasis_cuts_is_told():
    reading = read("cat " * 80, old_emphasis=True)
    assert (reading.token_count, reading.target) == (75, 75)
    assert "The old emphasis reads 75 tokens: the last 5 are left out." in reading.notes
