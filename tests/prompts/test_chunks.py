"""Packing into chunks of 75 tokens."""

import math

import pytest

from modules.prompts.chunks import PackedPrompt, empty_chunk, pack
from modules.prompts.matching import EmbeddingIndex
from modules.prompts.tokenizer import BEGIN, END, clip_tokenizer

TOKENIZER = clip_tokenizer()
INDEX = EmbeddingIndex({"realbenny-t1": 1, "vec10": 10, "vec60": 60, "vec80": 80}, TOKENIZER)
CAT, DOG = TOKENIZER.encode("cat dog")


def packed(text: str, **rules) -> PackedPrompt:
    return pack(text, TOKENIZER, INDEX, **rules)


def filled(prompt: PackedPrompt) -> list[int]:
    """Payload tokens of each chunk, up to its padding."""
    return [chunk.tokens.index(END) - 1 for chunk in prompt.chunks]


def cats(count: int) -> str:
    return "cat " * count


@pytest.mark.parametrize(
    ("text", "expected", "count"),
    [
        ("", [0], 0),
        ("a photo of a cat", [5], 5),
        (cats(75), [75], 75),
        (cats(76), [75, 1], 76),
        ("a BREAK b", [1, 1], 76),
        ("BREAK", [0], 75),
        ("a BREAK", [1], 75),
        ("a BREAK BREAK b", [1, 0, 1], 151),
        (cats(55) + ", " + "dog " * 30, [56, 30], 105),
        (cats(54) + ", " + "dog " * 30, [75, 10], 85),
        (cats(74) + ", dog", [75, 1], 76),
        (cats(75) + ", dog", [75, 2], 77),
        (cats(20) + "vec60", [20, 60], 135),
        (cats(65) + "vec10", [75], 75),
        (cats(66) + "vec10", [66, 10], 85),
    ],
)
@pytest.mark.parametrize("a1111_exact", [False, True])
def test_table(text: str, expected: list[int], count: int, a1111_exact: bool):
    prompt = packed(text, a1111_exact=a1111_exact)
    assert filled(prompt) == expected
    assert prompt.token_count == count
    assert prompt.target == max(1, math.ceil(count / 75)) * 75


def test_a_chunk():
    (chunk,) = packed("a (cat:1.5) realbenny-t1").chunks
    assert chunk.tokens == [BEGIN, 320, CAT, 0, *[END] * 73]
    assert chunk.multipliers == [1.0, 1.0, 1.5, 1.0, *[1.0] * 73]
    assert chunk.fixes == [(2, "realbenny-t1")]


def test_the_weight_of_an_embedding_is_that_of_all_its_slots():
    (chunk,) = packed("(vec10:0.5)").chunks
    assert chunk.multipliers == [1.0, *[0.5] * 10, *[1.0] * 66]


@pytest.mark.parametrize(("backtrack", "expected"), [(0, [75, 10]), (19, [75, 10]), (20, [56, 29]), (74, [56, 29])])
def test_comma_backtrack(backtrack: int, expected: list[int]):
    assert filled(packed(cats(55) + ", " + "dog " * 29, comma_backtrack=backtrack)) == expected


def test_sd2_pads_with_zeros_behind_the_first_end():
    (chunk,) = packed("cat", padding_token=0).chunks
    assert chunk.tokens == [BEGIN, CAT, END, *[0] * 74]
    assert empty_chunk(0).tokens == [BEGIN, END, *[0] * 75]
    assert empty_chunk().tokens == [BEGIN, *[END] * 76]
    (full,) = packed(cats(75), padding_token=0).chunks
    assert full.tokens == [BEGIN, *[CAT] * 75, END]


def test_emphasis_modes():
    text = "(cat) BREAK dog"
    assert filled(packed(text)) == filled(packed(text, emphasis="Ignore")) == [1, 1]
    (chunk,) = packed(text, emphasis="None").chunks
    assert chunk.tokens[1:7] == [*TOKENIZER.encode("(cat) break dog"), END]
    assert set(chunk.multipliers) == {1.0}


def test_fragments_are_taken_as_they_are():
    assert packed("(cat)(dog)").chunks == pack([("cat", 1.1), ("dog", 1.1)], TOKENIZER, INDEX).chunks


def test_break_inside_brackets():
    assert filled(packed("(a BREAK b:1.3)")) == [1, 1]
    (chunk,) = packed("(a BREAK b:1.3)", a1111_exact=True).chunks
    assert chunk.multipliers[:5] == [1.0, 1.3, -1.3, 1.3, 1.0]


def test_equal_weights_across_brackets():
    assert filled(packed("(cat)(dog)")) == [2]
    (chunk,) = packed("(cat)(dog)", a1111_exact=True).chunks
    assert chunk.tokens[1 : 1 + filled(packed("catdog"))[0]] == TOKENIZER.encode("catdog")


def test_an_embedding_behind_the_last_comma_moves_along():
    text = cats(60) + ", vec10 dog dog dog dog dog"
    ours, theirs = packed(text), packed(text, a1111_exact=True)
    assert filled(ours) == filled(theirs) == [61, 15]
    assert [chunk.tokens for chunk in ours.chunks] == [chunk.tokens for chunk in theirs.chunks]
    assert [chunk.fixes for chunk in ours.chunks] == [[], [(0, "vec10")]]
    assert [chunk.fixes for chunk in theirs.chunks] == [[(61, "vec10")], []]


def test_an_embedding_larger_than_a_chunk_fills_one():
    prompt = packed("cat vec80 dog")
    assert filled(prompt) == [1, 75, 1]
    assert prompt.chunks[1].fixes == [(0, "vec80")]


def test_words_tell_what_a_chunk_holds():
    text = "a BREAK (cat vec10:1.2)"
    prompt = packed(text)
    words = [[prompt.fragments[word.fragment][0][word.start : word.end] for word in chunk] for chunk in prompt.words]
    assert words == [["a"], ["cat", "vec10"]]
    moved = packed(cats(60) + ", vec10 dog dog dog dog dog")
    assert [len(chunk) for chunk in moved.words] == [61, 6]


def test_multipliers_leave_room_in_float32():
    (chunk,) = packed("(" * 10_000 + "cat").chunks
    assert chunk.multipliers[1] == 1e30


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("cat", {CAT: 1}),
        ("((cat)) dog", {CAT: 1.1 * 1.1, DOG: 1}),
        ("[cat] dog", {CAT: 1 / 1.1, DOG: 1}),
        ("(cat), dog", {CAT: 1.1, DOG: 1}),  # the sign “),” goes, its comma too
        ("cat) dog", {CAT: 1, DOG: 1 / 1.1}),  # nobody looks for the bracket that it closes
        ("() cat", {TOKENIZER.encode("()")[0]: 1, CAT: 1}),  # one sign that cancels itself out is a word
        ("cat BREAK dog", {CAT: 1, TOKENIZER.encode("BREAK")[0]: 1, DOG: 1}),
    ],
)
def test_the_old_emphasis_weighs_what_the_tokenizer_sees(text, weights):
    [chunk] = packed(text, old_emphasis=True).chunks
    assert chunk.tokens[1 : len(weights) + 2] == [*weights, END]
    assert chunk.multipliers[1 : len(weights) + 1] == pytest.approx(list(weights.values()), rel=1e-12)


def test_the_old_emphasis_takes_no_numbers():
    [chunk] = packed("(cat:1.3)", old_emphasis=True).chunks
    assert chunk.tokens[1:7] == [*TOKENIZER.encode("cat:1.3"), END]
    assert chunk.multipliers[1:7] == [1.1] * 5 + [1.0]


@pytest.mark.parametrize(
    ("text", "fixes", "cut"),
    [
        (cats(80), [], 5),
        (cats(70) + "vec10 cat", [(70, "vec10")], 6),
        (cats(75) + "vec10", [], 10),
        ("vec80 cat", [(0, "vec80")], 1),
    ],
)
def test_the_old_emphasis_has_one_chunk(text, fixes, cut):
    prompt = packed(text, old_emphasis=True)
    assert (filled(prompt), prompt.token_count, prompt.cut) == ([75], 75, cut)
    assert prompt.chunks[0].fixes == fixes


@pytest.mark.parametrize("text", ["a BREAK b", "(a BREAK b)", "BREAK"])
def test_break_can_be_a_word(text):
    [chunk] = packed(text, breaks=False).chunks
    assert TOKENIZER.encode("BREAK")[0] in chunk.tokens
    assert min(chunk.multipliers) == 1
