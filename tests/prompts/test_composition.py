"""AND and the weights of its parts."""

import math

import pytest

from modules.prompts import parse_composition

ROWS = [
    ("a AND b", [("a", 1), (" b", 1)]),
    ("a cat:1.5 AND a dog AND a fish:-0.3", [("a cat", 1.5), (" a dog", 1), (" a fish", -0.3)]),
    ("a :1.2 AND b:0.8", [("a", 1.2), (" b", 0.8)]),
    ("a AND", [("a", 1), ("", 1)]),
    ("a [b:c:3] AND d:2", [("a [b:c:3]", 1), (" d", 2)]),
    ("a AND (b:1.3)", [("a", 1), (" (b:1.3)", 1)]),
    ("(a AND b:1.2)", [("(a", 1), (" b:1.2)", 1)]),
    ("a:1.2.3 AND b:", [("a:1.2.3", 1), (" b:", 1)]),
    ("a:1e3 AND b: +.5 \n", [("a:1e3", 1), (" b", 0.5)]),
    ("line\nline:3. AND\nb", [("line\nline", 3), ("\nb", 1)]),
    ("aANDb", [("aANDb", 1)]),
    ("a and b", [("a and b", 1)]),
    ("a:1.2.3", [("a:1.2.3", 1)]),
    ("x :", [("x :", 1)]),
    ("", [("", 1)]),
]


@pytest.mark.parametrize("a1111_exact", [False, True])
@pytest.mark.parametrize(("text", "expected"), ROWS)
def test_table(text: str, expected: list[tuple[str, float]], a1111_exact: bool):
    assert parse_composition(text, a1111_exact) == expected


@pytest.mark.parametrize(
    ("text", "ours", "theirs"),
    [
        ("aspect 16:9", ("aspect 16:9", 1), ("aspect 16", 9)),
        ("time 12:30 ", ("time 12:30", 1), ("time 12", 30)),
        ("cat: 5", ("cat: 5", 1), ("cat", 5)),
    ],
)
def test_a_weight_without_and(text: str, ours: tuple[str, float], theirs: tuple[str, float]):
    assert parse_composition(text) == [ours]
    assert parse_composition(text, a1111_exact=True) == [theirs]


def test_huge_weights_stay_finite():
    assert all(math.isfinite(weight) for _, weight in parse_composition(f"a:{'9' * 400} AND b:-{'9' * 400}"))
