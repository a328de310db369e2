"""What is typed for an axis, as A1111 reads it."""

import pytest

from modules.errors import ParameterError
from modules.generation.scripts.values import read_numbers, split_values


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a, b,c", ["a", "b", "c"]),
        ('"a, b", c', ["a, b", "c"]),
        ("a\nb, c\n", ["a", "b", "c"]),
        ('say ""hi"", b', ['say ""hi""', "b"]),
        ("", []),
        (" , ,", []),
        ("a\0b", ["a\0b"]),
    ],
)
def test_commas_and_line_ends_part_values_and_quotes_keep_them(text, expected):
    assert split_values(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1, 5,20", [1, 5, 20]),
        ("1-5", [1, 2, 3, 4, 5]),
        ("5-1", [5, 4, 3, 2, 1]),
        ("1-5 (+2)", [1, 3, 5]),
        ("10-5 (-3)", [10, 7]),
        ("1-10 [5]", [1, 3, 5, 7, 10]),
        ("0-10 [6]", [0, 2, 4, 6, 8, 10]),
        ("3-9 [1], 7", [3, 7]),
        ("-3 - -1", [-3, -2, -1]),
        ("1-3, 10", [1, 2, 3, 10]),
    ],
)
def test_whole_numbers_and_their_ranges(text, expected):
    assert read_numbers(text, True, "x_values") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.2, 7", [0.2, 7.0]),
        ("0-1 (+0.25)", [0, 0.25, 0.5, 0.75, 1.0]),
        ("0.1-0.5 (+0.1)", [0.1, 0.2, 0.3, 0.4, 0.5]),
        ("0-1 [3]", [0, 0.5, 1.0]),
        ("1-0 (-.5)", [1.0, 0.5, 0.0]),
    ],
)
def test_numbers_and_their_ranges(text, expected):
    assert read_numbers(text, False, "x_values") == expected


@pytest.mark.parametrize(
    "text", ["a", "1.5", "1-5 (+0)", "1-5 (-1)", "5-1 (+1)", "1-100000", "1-100000 [9999]", "nan", "1--"]
)
def test_what_cannot_be_meant_is_refused(text):
    with pytest.raises(ParameterError) as caught:
        read_numbers(text, True, "y_values")
    assert caught.value.field == "y_values"
