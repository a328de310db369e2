"""Stretches of time as users name them: “today”, “2026-11”, “2026-11-25”, “2026-11-01 to 2026-11-15”."""

import re
import time
from datetime import date, datetime, timedelta

from modules.errors import ParameterError

TODAY, WEEK, MONTH = "today", "week", "month"

_DAY = re.compile(r"(\d{4})-(\d{1,2})(?:-(\d{1,2}))?")


def stretch(text: str, now: float | None = None) -> tuple[float, float]:
    """Since and until, in seconds since 1970 by the local clock, the second not included; (0, 0) for no text.

    Args:
        text: `TODAY`, `WEEK` (the last 7 days), `MONTH` (the last 30), a month, a day, or two of these and what stands
            between them.
        now: seconds since 1970; default: the clock.

    Raises:
        ParameterError: it is none of these; the field is `when`.
    """
    if not text.strip():
        return 0.0, 0.0
    today = datetime.fromtimestamp(time.time() if now is None else now).date()
    days = {TODAY: 0, WEEK: 6, MONTH: 29}
    if text in days:
        return _start(today - timedelta(days[text])), _start(today + timedelta(1))
    found = _DAY.findall(text)
    if not found or len(found) > 2 or re.search(r"\d", _DAY.sub("", text)):
        raise _unreadable(text)
    try:
        spans = [_span(*map(int, (year, month, day or 0))) for year, month, day in found]
    except ValueError as error:
        raise _unreadable(text) from error
    return _start(min(first for first, _ in spans)), _start(max(last for _, last in spans))


def _span(year: int, month: int, day: int) -> tuple[date, date]:
    if day:
        first = date(year, month, day)
        return first, first + timedelta(1)
    first = date(year, month, 1)
    return first, (first + timedelta(31)).replace(day=1)


def _start(day: date) -> float:
    try:
        return datetime(day.year, day.month, day.day).timestamp()
    except (OverflowError, OSError, ValueError) as error:
        raise _unreadable(str(day)) from error


def _unreadable(text: str) -> ParameterError:
    return ParameterError("when", f"“{text:.40}” is no date: write 2026-11, 2026-11-25, or 2026-11-01 to 2026-11-15.")
