"""What a sheet of comparisons is: rows, columns, prompts, and how it lies in the run's folder."""

import pytest

from modules.errors import ParameterError
from modules.training.comparison import (
    Look,
    compare_steps,
    compare_strengths,
    discard_sheet,
    make_sheet,
    parse_seeds,
    sheets,
    substitute,
)
from modules.training.run_folder import RunFolder

NAME = "realbenny-t2"
LOOK = Look(width=64, height=64, steps=2)
PROMPTS = [f"a portrait of {NAME}, with glasses", f"{NAME} at the beach"]


def test_rows_are_steps_and_the_description_above_them():
    comparison = compare_steps(NAME, [300, 0, 100], PROMPTS, [1, 2], LOOK, "an old man with a white beard")
    assert [(row.label, row.step) for row in comparison.rows] == [
        ("in words", None),
        ("step 0", 0),
        ("step 100", 100),
        ("step 300", 300),
    ]
    assert [(column.prompt, column.seed) for column in comparison.columns] == [
        (prompt, seed) for prompt in PROMPTS for seed in (1, 2)
    ]
    words, first = comparison.rows[:2]
    column = comparison.columns[0]
    assert comparison.prompt(words, column) == "a portrait of an old man with a white beard, with glasses"
    assert comparison.prompt(first, column) == column.prompt


def test_strengths():
    comparison = compare_strengths(NAME, 300, [NAME], [7], LOOK, "face")
    column = comparison.columns[0]
    assert [comparison.prompt(row, column) for row in comparison.rows] == [
        "face",
        f"({NAME}:0.5)",
        f"({NAME}:0.75)",
        NAME,
        f"({NAME}:1.25)",
        f"({NAME}:1.5)",
    ]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a realbenny-t2", "a X"),
        ("RealBenny-T2, (realbenny-t2:1.2)", "X, (X:1.2)"),
        ("realbenny-t20 and my-realbenny-t2", "realbenny-t20 and my-realbenny-t2"),
        (r"[realbenny-t2|panda]", "[X|panda]"),
    ],
)
def test_only_the_whole_name_is_replaced(prompt, expected):
    assert substitute(prompt, NAME, "X") == expected
    assert substitute("a.b", "a.b", r"\1") == r"\1", "nothing of a text is a pattern"


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("steps", {"steps": []}),
        ("steps", {"steps": range(101), "seeds": [1, 2]}),
        ("prompts", {"prompts": ["", " "]}),
        ("prompts", {"prompts": ["a portrait of somebody"]}),
        ("seeds", {"seeds": []}),
        ("sampler", {"look": Look(sampler="magic")}),
        ("width", {"look": Look(width=7)}),
    ],
)
def test_refusals_name_the_field(field, wrong):
    asked = {"name": NAME, "steps": [0], "prompts": PROMPTS, "seeds": [1], "look": LOOK, **wrong}
    with pytest.raises(ParameterError) as raised:
        compare_steps(**asked)
    assert raised.value.field == field


def test_seeds_as_typed():
    assert parse_seeds("1, 2;3  3\n4") == (1, 2, 3, 4)
    for wrong in ("", "one", "-1", "1.5", "1 2 3 4 5 6 7 8 9", str(2**63)):
        with pytest.raises(ParameterError) as raised:
            parse_seeds(wrong)
        assert raised.value.field == "seeds"


def test_sheets_are_kept_and_found_again(tmp_path):
    folder = RunFolder(tmp_path / "run", NAME)
    assert sheets(folder) == []
    first = make_sheet(folder, compare_steps(NAME, [0], PROMPTS, [1], LOOK))
    second = make_sheet(folder, compare_steps(NAME, [0, 100], PROMPTS, [1], LOOK, "a man"))
    assert first.path != second.path
    found = sheets(folder)
    assert {sheet.comparison.digest for sheet in found} == {first.comparison.digest, second.comparison.digest}
    assert {sheet.comparison for sheet in found} == {first.comparison, second.comparison}
    assert second.done == 0
    second.cell(0, 1).write_bytes(b"")
    assert second.done == 1
    assert make_sheet(folder, second.comparison).done == 1, "asked for again, it goes on"
    discard_sheet(second)
    (first.path / "comparison.json").write_text("{")
    assert sheets(folder) == []
