"""Learning rates and the steps they hold for: `0.005:100, 1e-3:1000, 1e-5`."""

import math
from dataclasses import dataclass

from modules.errors import ParameterError


@dataclass(frozen=True)
class RateSchedule:
    """Rates in the order in which they hold.

    Attributes:
        first_step: the number of steps done when the schedule begins.
        intervals: (rate, until): the rate of all steps before `until`. One whose time has passed already holds for
            a single step, as in A1111.
    """

    first_step: int
    intervals: tuple[tuple[float, int], ...]

    def rate(self, step: int) -> float | None:
        """The rate of the step that follows `step` done ones; None: it has ended, and so has training."""
        end = self.first_step
        for rate, until in self.intervals:
            end = max(until, end + 1)
            if step < end:
                return rate
        return None

    @property
    def end(self) -> int:
        """How many steps are done when the schedule has ended."""
        end = self.first_step
        for _, until in self.intervals:
            end = max(until, end + 1)
        return end

    @property
    def is_usable(self) -> bool:
        """Whether every rate is a positive number; the notation itself allows others."""
        return all(math.isfinite(rate) and rate > 0 for rate, _ in self.intervals)


def cosine(step: int, first_step: int, last_step: int) -> float:
    """What is left of a rate that falls along half a cosine, from 1 before the first step to nothing."""
    return (1 + math.cos(math.pi * (step - first_step) / (last_step - first_step))) / 2


def parse_rates(text: str, max_steps: int, first_step: int = 0, field: str = "learning_rate") -> RateSchedule:
    """Read the notation of A1111.

    Args:
        text: items between commas: `rate:until`, or `rate`, which holds to the end, as does an `until` of -1.
        max_steps: where training ends; nothing is read behind an item that reaches beyond.
        first_step: steps done already; items that end before are dropped.
        field: the parameter to name in an error.

    Raises:
        ParameterError: not a number, or nothing is left.
    """
    intervals: list[tuple[float, int]] = []
    try:
        for item in text.split(","):
            parts = item.split(":")
            if not item.strip():
                continue
            rate = float(parts[0])
            until = int(parts[1]) if len(parts) == 2 else -1
            if until > max_steps or until == -1:
                intervals.append((rate, max_steps))
                break
            if until > first_step:
                intervals.append((rate, until))
    except ValueError as error:
        raise ParameterError(
            field, f"“{text:.60}” is no schedule: write a number, or items such as 0.005:100, 1e-3:1000, 1e-5."
        ) from error
    if not intervals:
        raise ParameterError(
            field, f"“{text:.60}” holds no rate for the steps after {first_step}: add one, like 0.005."
        )
    return RateSchedule(first_step, tuple(intervals))
