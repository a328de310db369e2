"""Editing and alternation: the tables of A1111's behaviour, and random structures read back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modules.prompts import parse_schedule
from modules.prompts.schedule import Alternation, Edit, Prompt, Timeline, as_typed, model_calls, read_schedule

STEPS = 10


def turns(*texts: str, steps: int = STEPS) -> list[tuple[int, str]]:
    return [(step, texts[(step - 1) % len(texts)]) for step in range(1, steps + 1)]


ROWS = [
    ("a [b:3]", [(3, "a "), (10, "a b")]),
    ("a [b: 3]", [(3, "a "), (10, "a b")]),
    ("a [b:3 ]", [(3, "a "), (10, "a b")]),
    ("a [b::3]", [(3, "a b"), (10, "a ")]),
    ("[a:b:0.25] x", [(2, "a x"), (10, "b x")]),
    ("[b:1.0]", [(10, "")]),
    ("[b:c:0]", [(10, "c")]),
    ("[b:c:-1]", [(10, "c")]),
    ("[b:c:100]", [(10, "b")]),
    ("[b:c:1.5]", [(10, "b")]),
    ("[b:c:1e-1]", [(10, "c")]),
    ("[b:c:+4]", [(4, "b"), (10, "c")]),
    ("[b:c:.5]", [(5, "b"), (10, "c")]),
    ("[b:c:0.99]", [(9, "b"), (10, "c")]),
    ("[b:c]", [(10, "[b:c]")]),
    ("[b:]", [(10, "[b:]")]),
    ("[a::]", [(10, "[a::]")]),
    ("[a]", [(10, "[a]")]),
    ("[a:b:c:3]", [(10, "[a:b:c:3]")]),
    ("[a:b:50%]", [(10, "[a:b:50%]")]),
    ("[a:b:nan]", [(10, "[a:b:nan]")]),
    ("[a:b:3", [(10, "[a:b:3")]),
    ("a [b : c : 1] d", [(1, "a b  d"), (10, "a  c  d")]),
    ("m[n:[o:p:2]:1]q", [(1, "mnq"), (2, "moq"), (10, "mpq")]),
    ("[[a|b]:c:4]", [(1, "a"), (2, "b"), (3, "a"), (4, "b"), *((step, "c") for step in range(5, 11))]),
    ("(x [a:b:0.5] y:1.3)", [(5, "(x a y:1.3)"), (10, "(x b y:1.3)")]),
    ("[(a:2):3]", [(3, ""), (10, "(a:2)")]),
    ("x [[[y]]:2]", [(2, "x "), (10, "x [[y]]")]),
    ("[realbenny-t2 | panda] happy", turns("realbenny-t2  happy", " panda happy")),
    ("[un|]even", turns("uneven", "even")),
    ("[a|(b:1.1)]", turns("a", "(b:1.1)")),
    ("([a|b]:1.3)", turns("(a:1.3)", "(b:1.3)")),
    ("[a|b|c]", turns("a", "b", "c")),
    ("[a:b:2][c:d:4]", [(2, "ac"), (4, "bc"), (10, "bd")]),
    (r"[a\:b:c:3]", [(3, r"a\:b"), (10, "c")]),
    ("((p][:q:r [s:3]", [(3, "((p][:q:r "), (10, "((p][:q:r s")]),
    ("a [unbalanced", [(10, "a [unbalanced")]),
    ("x [[y:3] z", [(3, "x [ z"), (10, "x [y z")]),
    # the whole prompt falls back
    ("[a:b:5] x | y", [(10, "[a:b:5] x | y")]),
    ("(a|b) [c:3]", [(10, "(a|b) [c:3]")]),
    ("[a:b|c:0.5] [c:3]", [(10, "[a:b|c:0.5] [c:3]")]),
    ("[a|b|c:3]", [(10, "[a|b|c:3]")]),
    ("[c:3] [a|b", [(10, "[c:3] [a|b")]),
    ("[a|(b:c:d)]", [(10, "[a|(b:c:d)]")]),
    ("[c:3]\\", [(10, "[c:3]\\")]),
    ("[c:3]\\\n", [(10, "[c:3]\\\n")]),
    ("", [(10, "")]),
]

HIRES = [
    ("[b:.5]", [(6, "b")]),
    ("[b:1.5]", [(3, ""), (6, "b")]),
    ("[b:15]", [(5, ""), (6, "b")]),
    ("[a:b:2.0]", [(6, "a")]),
    ("[a:b:1.0]", [(6, "b")]),
    ("[a:b:12]", [(2, "a"), (6, "b")]),
    ("[a|b]", turns("a", "b", steps=6)),
]

OLD = [
    ("[a:b:0.5]", [(5, "a"), (10, "b")]),
    ("[a:b:1.0]", [(1, "a"), (10, "b")]),
    ("[a:b:1e-1]", [(1, "a"), (10, "b")]),
    ("[a:b:3.7]", [(3, "a"), (10, "b")]),
    ("[a:b:-1]", [(10, "b")]),
    ("[a:b:100]", [(10, "a")]),
]


@pytest.mark.parametrize("a1111_exact", [False, True])
@pytest.mark.parametrize(("text", "expected"), ROWS)
def test_table(text: str, expected: list[tuple[int, str]], a1111_exact: bool):
    assert parse_schedule(text, STEPS, a1111_exact=a1111_exact) == expected


@pytest.mark.parametrize(("text", "expected"), HIRES)
def test_second_pass(text: str, expected: list[tuple[int, str]]):
    assert parse_schedule(text, STEPS, hires_steps=6) == expected


@pytest.mark.parametrize("hires_steps", [None, 6])
@pytest.mark.parametrize(("text", "expected"), OLD)
def test_old_timelines(text: str, expected: list[tuple[int, str]], hires_steps: int | None):
    assert parse_schedule(text, STEPS, hires_steps, old_timelines=True) == expected


def test_samplers_of_second_order_count_calls():
    calls = model_calls(STEPS, 2)
    assert parse_schedule("[a:b:0.5]", calls) == [(10, "a"), (20, "b")]
    assert parse_schedule("[a:b:4]", calls) == [(4, "a"), (20, "b")]
    # 10 and 6 steps of two calls each: step 24 of all calls is call 4 of the second pass
    assert parse_schedule("[a:b:24]", calls, hires_steps=model_calls(6, 2)) == [(4, "a"), (12, "b")]


PLAIN = st.text("ab ,.é猫", min_size=1, max_size=3) | st.sampled_from([r"\[", r"\|", r"\:", "(c:1.2)", "[d]", "((e))"])
WHEN = st.sampled_from(["0", "3", "-2", "7", "99", "0.25", "0.5", ".9", "1.0", "5e0"])


def prompts(pieces: st.SearchStrategy) -> st.SearchStrategy[Prompt]:
    return st.lists(pieces, max_size=3).map(tuple)


PIECES = st.recursive(
    PLAIN,
    lambda pieces: (
        st.builds(Edit, prompts(pieces), prompts(pieces), WHEN)
        | st.builds(Alternation, st.lists(prompts(pieces), min_size=2, max_size=3).map(tuple))
    ),
    max_leaves=12,
)


def text_at(prompt: Prompt, step: int) -> str:
    """The plain recursive meaning of a structure."""
    texts = []
    for piece in prompt:
        if isinstance(piece, Edit):
            texts.append(text_at(piece.before if step <= Timeline(STEPS).boundary(piece.when) else piece.after, step))
        elif isinstance(piece, Alternation):
            texts.append(text_at(piece.options[(step - 1) % len(piece.options)], step))
        else:
            texts.append(piece)
    return "".join(texts)


@settings(max_examples=200, deadline=None)
@given(prompts(PIECES))
def test_any_structure_is_read_back(prompt: Prompt):
    typed = as_typed(prompt)
    schedule = parse_schedule(typed, STEPS)
    assert as_typed(read_schedule(typed)) == typed
    assert [step for step, _ in schedule] == sorted({step for step, _ in schedule})
    assert schedule[-1][0] == STEPS
    for step in range(1, STEPS + 1):
        assert next(text for last, text in schedule if step <= last) == text_at(prompt, step)
