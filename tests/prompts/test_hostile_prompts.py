"""Every string is a prompt: nothing raises, nothing hangs, no weight is infinite, no nesting is too deep."""

import math
import sys
import time
from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from modules.prompts import parse_attention, parse_composition, parse_schedule
from modules.prompts.attention import BREAK
from modules.prompts.chunks import pack
from modules.prompts.matching import EmbeddingIndex
from modules.prompts.reading import read_prompt
from modules.prompts.tags import cut_comments, cut_tags
from modules.prompts.tokenizer import clip_tokenizer

TOKENIZER = clip_tokenizer()
INDEX = EmbeddingIndex({"realbenny-t1": 1}, TOKENIZER)
STEPS = 20

PARSERS: dict[str, Callable[[str], object]] = {
    "attention": parse_attention,
    "schedule": lambda text: parse_schedule(text, STEPS),
    "composition": lambda text: parse_composition(text, a1111_exact=True),
    "comments": cut_comments,
    "tags": cut_tags,
}

# repeated until long enough
PATTERNS = [
    *"()[]:|\\{ a#<>,1\0\n",
    *("(a", "[a", "([", "[(", "(a:1.0", "[]", "()", "(a)", "[a]", "a AND b:1 ", " BREAK ", "(BREAK)"),
    *("[a|b]", "[|", "[a:b:3]", "[:1]", "[a:", "[a:b", "|]", ":1)", ":3]", "\\(", "\\\n", ": ", "<a:", "<a", "# a\n"),
    *(
        "\ud800",
        "🐼",
        "א(ב)",
        "e\u0301",
        "<|endoftext|>",
        "realbenny-t1 ",
        "(a:1e999)",
        "(a:-0)",
        "(a:nan)",
        "[a:b:nan]",
    ),
]


def balanced(depth: int) -> list[str]:
    return [
        "(" * depth + "a" + ")" * depth,
        "(a" * depth + ":1.1)" * depth,
        "[" * depth + "a" + "]" * depth,
        "([" * (depth // 2) + "a" + "])" * (depth // 2),
        "[a|" * depth + "b" + "]" * depth,
        "[" * depth + "a" + ":3]" * depth,
        "[" * depth + "a" + ":b:c:3]" * depth,
        "[(" * (depth // 2) + "[a|b]" + ")|c]" * (depth // 2),
    ]


def long_texts(length: int) -> list[str]:
    repeated = [(pattern * (length // len(pattern) + 1))[:length] for pattern in PATTERNS]
    return [*repeated, ":" + " " * length, "(a:" + "1" * length + ")", "a:" + "9" * length, " " * length + "BREAK"]


@pytest.mark.parametrize(
    ("parser", "length", "seconds"),
    [
        # the most that was measured for any of the texts
        ("attention", 20_000, 0.53),
        ("attention", 100_000, 0.7),
        ("schedule", 20_000, 0.28),
        ("schedule", 100_000, 0.7),
        ("composition", 100_000, 0.05),
        ("comments", 100_000, 0.05),
        ("tags", 100_000, 0.05),
    ],
)
def test_nothing_hangs(parser: str, length: int, seconds: float):
    texts = [*long_texts(length), *balanced(length // 10)]
    if length * seconds > 10_000:
        texts = texts[:: len(texts) // 10]  # the others are seen at 20,000 characters
    for text in texts:
        start = time.thread_time()  # this thread's own, so that a busy machine does not matter
        PARSERS[parser](text)
        assert time.thread_time() - start < 10 * seconds, text[:20]


def calls(parse: Callable[[str], object], text: str) -> int:
    """Functions called while a text is parsed, Python's and C's: a measure of work that no busy machine disturbs."""
    count = 0

    def profile(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        parse(text)
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("parser", PARSERS)
def test_work_grows_with_the_length(parser: str):
    parse = PARSERS[parser]
    parse("[a:b:3]")  # the grammar is read once
    lengths = (500, 1_000, 2_000)
    for texts in zip(*(long_texts(n) + balanced(n // 2) for n in lengths), strict=True):
        first, second, third = (calls(parse, text) for text in texts)
        few = 500  # calls that do not depend on the length
        assert second + few < 2.6 * (first + few), texts[0][:20]
        assert third + few < 2.6 * (second + few), texts[0][:20]


def test_nesting_has_no_limit():
    depth = 10_000
    assert depth > sys.getrecursionlimit()
    assert parse_schedule("[a:" * depth + "b" + ":3]" * depth, STEPS) == [(3, "a"), (STEPS, "b")]
    assert parse_schedule("(" * depth + "[a|b]" + ")" * depth, 2) == [
        (step, "(" * depth + text + ")" * depth) for step, text in ((1, "a"), (2, "b"))
    ]
    ((text, weight),) = parse_attention("[" * depth + "a" + "]" * depth)
    assert (text, weight) == ("a", pytest.approx(0.0, abs=1e-300))  # 1.1 ** -10000 underflows


@pytest.mark.parametrize("a1111_exact", [False, True])
@pytest.mark.parametrize(
    "text",
    [
        "(" * 10_000 + "a",
        "(a:" + "9" * 400 + ")",
        "((a:" + "9" * 400 + "):0)",
        "((a:" + "9" * 300 + "):" + "9" * 300 + ")",
        "((a:-" + "9" * 400 + "):-" + "9" * 400 + ")",
        "(" * 50 + "a" + (":" + "9" * 300 + ")") * 25 + ":0)" * 25,
    ],
)
def test_weights_stay_finite(text: str, a1111_exact: bool):
    assert all(math.isfinite(weight) for _, weight in parse_attention(text, a1111_exact))


@pytest.mark.parametrize("when", ["nan", "inf", "-inf", "1e999", "-1e999", "-5", "1e5", "0.0", "-0.5", "9" * 400])
@pytest.mark.parametrize("rules", [{}, {"old_timelines": True}, {"hires_steps": 6}])
def test_any_boundary(when: str, rules: dict):
    schedule = parse_schedule(f"[a:b:{when}]", STEPS, **rules)
    assert len(schedule) == 1
    assert schedule[0][1] in ("a", "b", f"[a:b:{when}]")


def test_five_thousand_alternations_stay_few_prompts():
    for text in ("[a|" * 5_000 + "b" + "]" * 5_000, "[a|b|c]" * 5_000):
        schedule = parse_schedule(text, STEPS)
        assert [step for step, _ in schedule] == list(range(1, STEPS + 1))
        assert len({text for _, text in schedule}) <= STEPS


def test_an_embedding_a_thousand_times():
    packed = pack("realbenny-t1 " * 1_000, TOKENIZER, INDEX)
    assert sum(len(chunk.fixes) for chunk in packed.chunks) == 1_000
    assert packed.token_count == 1_000


@pytest.mark.parametrize("text", [*long_texts(3_000), *balanced(1_500)], ids=lambda text: repr(text[:12]))
def test_hostile_texts_are_packed_and_explained(text: str):
    packed = pack(text, TOKENIZER, INDEX)
    for chunk in packed.chunks:
        assert len(chunk.tokens) == len(chunk.multipliers) == 77
        assert all(math.isfinite(multiplier) for multiplier in chunk.multipliers)
    reading = read_prompt(text, STEPS, TOKENIZER, INDEX)
    assert reading.token_count <= reading.target
    for note in reading.notes:
        note.encode("utf-8")  # no lone surrogate reaches the page


ATOMS = st.sampled_from(
    [
        *("(", ")", "[", "]", ":", "|", "\\", " ", "\n", "a", "cat", "1.5", "-2", "0", ".", "BREAK", "AND", "#"),
        *("(a:1.2)", "[b]", "[a:b:0.5]", "[c|d]", ":1.3)", ":2]", "<lora:x:1>", "realbenny-t1"),
        *("\ud800", "\0", "🐼", "e\u0301", "א"),
    ]
)
PROMPTS = st.lists(ATOMS, max_size=25).map("".join) | st.text(
    st.characters(categories=["L", "N", "P", "Z", "S", "Cs", "Cc"])
)


@settings(max_examples=300, deadline=None)
@given(PROMPTS, st.booleans(), st.integers(1, 40), st.none() | st.integers(1, 20), st.booleans())
def test_nothing_raises(text: str, a1111_exact: bool, steps: int, hires_steps: int | None, old: bool):
    assert all(math.isfinite(weight) for _, weight in parse_attention(text, a1111_exact))
    assert parse_composition(text, a1111_exact)
    schedule = parse_schedule(text, steps, hires_steps, old, a1111_exact)
    assert schedule[-1][0] == (steps if hires_steps is None or old else hires_steps)
    reading = read_prompt(text, steps, TOKENIZER, INDEX, hires_steps=hires_steps, a1111_exact=a1111_exact)
    assert reading.parts


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_characters="()[]:|\\#<>", categories=["L", "N", "P", "S", "Z"])))
def test_text_without_special_characters_is_unchanged(text: str):
    text = text.replace("BREAK", "").replace("AND", "")
    assert parse_attention(text) == [(text, 1.0)]
    assert parse_schedule(text, STEPS) == [(STEPS, text)]
    assert parse_composition(text) == [(text.rstrip(), 1.0)]
    assert cut_tags(cut_comments(text)) == (text, [])


def typed(fragments: list[tuple[str, float]]) -> str:
    """A prompt that reads as these fragments. Those around a BREAK have one weight, so they share a bracket."""
    groups: list[tuple[list[str], float]] = []
    after_break = False
    for fragment in fragments:
        if fragment == BREAK:
            after_break = True
        elif after_break:
            groups[-1][0].append(fragment[0])
            after_break = False
        else:
            groups.append(([fragment[0]], fragment[1]))
    return "".join(f"({_with_breaks(texts)}:{Decimal(weight):f})" for texts, weight in groups)


def _with_breaks(texts: list[str]) -> str:
    # a lone backslash is nothing: it keeps white space from BREAK, letters apart, and an empty fragment in being
    escaped = ["".join(f"\\{sign}" if sign in "()[]\\" else sign for sign in text) for text in texts]
    first, *rest = [text.replace("BREAK", "BRE\\AK") for text in escaped]
    after = [text if not text or text[0] == "\\" else f"\\{text}" for text in rest]
    return "\\BREAK".join([first, *after]) or "\\"


@settings(max_examples=300, deadline=None)
@given(st.lists(ATOMS, max_size=20).map("".join), st.booleans())
@example("a BREAK BREAK (b)(c)", False)
@example("\\BREAK\\ a\\(", False)
def test_what_was_read_reads_the_same_again(text: str, a1111_exact: bool):
    fragments = parse_attention(text, a1111_exact)
    assert parse_attention(typed(fragments), a1111_exact) == fragments
