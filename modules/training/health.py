"""Whether training does anything, told from its first steps."""

from collections.abc import Sequence

from torch import Tensor

from modules.events import HealthChecked

CHECKED_AFTER = 20  # steps
LEAST_MOVED, MOST_MOVED = 1e-4, 30.0  # shares of the vectors' own length that so many sensible steps stay within


def check_health(step: int, gradient_norms: Sequence[float], before: Tensor, now: Tensor) -> HealthChecked:
    """Judge the first steps of a session.

    Args:
        step: steps done.
        gradient_norms: of each step of the session.
        before, now: [vectors, width], the vectors at its beginning and now.
    """
    norm = sum(gradient_norms) / len(gradient_norms)
    length = float(before.norm())
    moved = float((now - before).norm()) / max(length, 1e-12)  # new vectors may be all zero
    if norm == 0:
        problem = "No gradient reaches the vectors: the prompts do not hold the name as one piece."
    elif moved < LEAST_MOVED:
        problem = "That is next to nothing: raise the learning rate."
    elif moved > MOST_MOVED and length > 0:
        problem = "That is very far: lower the learning rate."
    else:
        problem = ""
    told = f"After {len(gradient_norms)} steps the vectors have moved {_way(moved, length)}."
    return HealthChecked(step, norm, moved, not problem, f"{told} {problem or 'Training works.'}")


def _way(moved: float, length: float) -> str:
    if not length:
        return "away from zero"
    return f"by {moved:.1%} of their length" if moved < 2 else f"by {moved:,.0f} times their length"
