"""What is typed for an axis: lists with commas, and ranges of numbers."""

import csv
import io
import re

from modules.errors import ParameterError

MOST = 1000  # values of one axis: more is a slip of the keyboard
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)"
_RANGE = re.compile(rf"\s*({_NUMBER})\s*-\s*({_NUMBER})(?:\s*\(\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*\))?\s*")
_COUNT = re.compile(rf"\s*({_NUMBER})\s*-\s*({_NUMBER})\s*\[\s*(\d{{1,4}})\s*\]\s*")


def split_values(text: str) -> list[str]:
    """The values of a list: commas part them, quotes keep a comma inside, line ends part them too."""
    rows = csv.reader(io.StringIO(text), skipinitialspace=True)
    try:
        return [value.strip() for row in rows for value in row if value.strip()]
    except csv.Error:  # a NUL, or a field without end
        return [value.strip() for value in text.split(",") if value.strip()]


def read_numbers(text: str, whole: bool, field: str) -> list[int] | list[float]:
    """Numbers and ranges: `1-5` counts up by 1, `1-10 (+3)` by 3, `1-10 [5]` gives five evenly spaced.

    Args:
        whole: only whole numbers are meant; those of `[n]` are cut off, as A1111 does.
        field: to name in the error.

    Raises:
        ParameterError: what is no number, or no end of it.
    """
    found: list[float] = []
    for value in split_values(text):
        if match := _COUNT.fullmatch(value):
            first, last, count = float(match[1]), float(match[2]), int(match[3])
            found += [first + (last - first) * i / max(count - 1, 1) for i in range(min(count, MOST + 1))]
        elif match := _RANGE.fullmatch(value):
            found += _stepped(float(match[1]), float(match[2]), match[3], value, field)
        else:
            try:
                found.append(int(value) if whole else float(value))
            except ValueError:
                kind = "whole number" if whole else "number"
                raise ParameterError(
                    field, f"“{value:.40}” is no {kind}: type numbers or a range such as 1-5."
                ) from None
        if len(found) > MOST:
            raise ParameterError(field, f"“{value:.40}” makes more than {MOST} values: use larger steps.")
    return [int(number) for number in found] if whole else [_rounded(number) for number in found]


def _stepped(first: float, last: float, step_text: str | None, value: str, field: str) -> list[float]:
    step = float(step_text) if step_text else (1.0 if last >= first else -1.0)
    if step == 0 or (last - first) * step < 0:
        raise ParameterError(field, f"“{value:.40}” never comes to its end: write the step as (+1) or (-1).")
    count = int((last - first) / step + 1e-9) + 1
    if count > MOST:
        raise ParameterError(field, f"“{value:.40}” makes more than {MOST} values: use larger steps.")
    return [first + step * i for i in range(count)]


def _rounded(number: float) -> float:
    return round(number, 8)  # 0.1 + 0.2 is shown as typed
