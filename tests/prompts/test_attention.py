"""Emphasis: every row of the table in A1111's behaviour, and where our default differs."""

import pytest

from modules.prompts import parse_attention
from modules.prompts.attention import BREAK, read_attention

TENTH_LESS = 1 / 1.1

ROWS = [
    ("an (important) word", [("an ", 1), ("important", 1.1), (" word", 1)]),
    ("((word))", [("word", 1.21)]),
    ("a [word]", [("a ", 1), ("word", TENTH_LESS)]),
    ("(word:1.5)", [("word", 1.5)]),
    ("(word: 1.5 )", [("word", 1.5)]),
    ("(word:0.25)", [("word", 0.25)]),
    ("(word:+2)", [("word", 2)]),
    ("(word:-.5)", [("word", -0.5)]),
    (r"a \(word\)", [("a (word)", 1)]),
    (r"anime_\(character\)", [("anime_(character)", 1)]),
    (r"\[a\] \\b", [("[a] \\b", 1)]),
    (r"a\nb", [("anb", 1)]),
    ("a\\", [("a", 1)]),
    ("(unbalanced", [("unbalanced", 1.1)]),
    ("[unbalanced", [("unbalanced", TENTH_LESS)]),
    ("a) b", [("a) b", 1)]),
    ("a] b", [("a] b", 1)]),
    ("[word:1.5]", [("word:1.5", TENTH_LESS)]),
    ("(word:abc)", [("word:abc", 1.1)]),
    ("(word:)", [("word:", 1.1)]),
    ("(a:1e3)", [("a:1e3", 1.1)]),
    ("(a:b:1.3)", [("a:b", 1.3)]),
    ("((a:1.2) b:1.5)", [("a", 1.8), (" b", 1.5)]),
    ("([x])", [("x", 1.0)]),
    ("(a, (b), c:1.2)", [("a, ", 1.2), ("b", 1.32), (", c", 1.2)]),
    (
        "my (((boat:1.3)) [by] a (lake:0.5), fog, (((moon))).",
        [
            ("my ", 1),
            ("boat", 1.573),
            (" ", 1.1),
            ("by", 1.0),
            (" a ", 1.1),
            ("lake", 0.55),
            (", fog, ", 1.1),
            ("moon", 1.4641),
            (".", 1.1),
        ],
    ),
    ("x:1.2)", [("x:1.2)", 1)]),
    ("ok (weight:1.4", [("ok ", 1), ("weight:1.4", 1.1)]),
    ("()", [("", 1)]),
    ("[]", [("", 1)]),
    ("(:1.5)", [("", 1)]),
    ("", [("", 1)]),
    ("a BREAK b", [("a", 1), BREAK, ("b", 1)]),
    ("a BREAK BREAK b", [("a", 1), BREAK, ("", 1), BREAK, ("b", 1)]),
    ("a\n BREAK \tb", [("a", 1), BREAK, ("b", 1)]),
    ("BREAK", [("", 1), BREAK, ("", 1)]),
    ("aBREAK b", [("aBREAK b", 1)]),
    ("a break b", [("a break b", 1)]),
    ("half (realbenny-t1 | yoda) person", [("half ", 1), ("realbenny-t1 | yoda", 1.1), (" person", 1)]),
    ("(word:1.2.3)", [("word:1.2.3", 1.1)]),
    ("(a:.)", [("a:.", 1.1)]),
    ("(a [b) c]", [("a ", 1.1), ("b", 1.0), (" c", TENTH_LESS)]),
    ("(a:-1.5) (b:0)", [("a", -1.5), (" ", 1), ("b", 0)]),
]

DIFFERENT = [
    # text, our default, A1111's answer
    ("(a BREAK b:1.3)", [("a", 1.3), BREAK, ("b", 1.3)], [("a", 1.3), ("BREAK", -1.3), ("b", 1.3)]),
    ("[a BREAK b]", [("a", TENTH_LESS), BREAK, ("b", TENTH_LESS)], None),
    ("(a)(b)", [("a", 1.1), ("b", 1.1)], [("ab", 1.1)]),
    ("a()b", [("a", 1), ("b", 1)], [("ab", 1)]),
    ("(a:2)(b:2)c(d:2)", [("a", 2), ("b", 2), ("c", 1), ("d", 2)], [("ab", 2), ("c", 1), ("d", 2)]),
]


def same(got: list[tuple[str, float]], expected: list[tuple[str, float]]) -> bool:
    # the table gives four digits; products of a handful of floats are good to far more
    return [text for text, _ in got] == [text for text, _ in expected] and [
        weight for _, weight in got
    ] == pytest.approx([weight for _, weight in expected], rel=1e-12)


@pytest.mark.parametrize("a1111_exact", [False, True])
@pytest.mark.parametrize(("text", "expected"), ROWS)
def test_table(text: str, expected: list[tuple[str, float]], a1111_exact: bool):
    assert same(parse_attention(text, a1111_exact), expected)


@pytest.mark.parametrize(("text", "ours", "theirs"), DIFFERENT)
def test_where_the_default_differs(text: str, ours: list[tuple[str, float]], theirs: list[tuple[str, float]] | None):
    assert same(parse_attention(text), ours)
    if theirs is not None:
        assert same(parse_attention(text, a1111_exact=True), theirs)


def test_muted_break_in_square_brackets():
    fragments = parse_attention("[a BREAK b]", a1111_exact=True)
    assert same(fragments, [("a", TENTH_LESS), ("BREAK", -TENTH_LESS), ("b", TENTH_LESS)])


def test_weights_are_multiplied_from_the_inside_outwards():
    # 0.1 * 3 * 7 and 7 * 3 * 0.1 differ in the last digit, and equal weights are what joins words
    assert parse_attention("(((a:0.1):3):7)") == [("a", 1.0 * 0.1 * 3 * 7)]
    assert parse_attention("(((a:7):3):0.1)") == [("a", 1.0 * 7 * 3 * 0.1)]
    # square brackets take their turn among the round ones
    assert 1.0 * 0.2 * 0.9 * TENTH_LESS != 1.0 * TENTH_LESS * 0.2 * 0.9
    assert parse_attention("[((a:0.2):0.9)]") == [("a", 1.0 * 0.2 * 0.9 * TENTH_LESS)]
    assert parse_attention("(([a]:0.2):0.9)") == [("a", 1.0 * TENTH_LESS * 0.2 * 0.9)]


def test_brackets_deeper_than_the_exact_order():
    depth = 300
    (text, weight), *rest = parse_attention("(" * depth + "a" + ":0.9)" * depth)
    assert (text, rest) == ("a", [])
    assert weight == pytest.approx(0.9**depth, rel=1e-12)  # one rounding per bracket


def test_what_could_not_be_taken_is_told():
    text = "(a [b) c) (d:1.2.3)"
    reading = read_attention(text)
    assert [text[position] for position in reading.unclosed] == ["["]
    assert reading.unopened == [8]
