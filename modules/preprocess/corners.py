"""Corners of a grey picture by the smaller eigenvalue of its structure tensor, in plain numpy."""

import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.floating]


def find_corners(grey: Grey, count: int = 100, quality: float = 0.04, distance: float = 10.0) -> NDArray[np.int64]:
    """The strongest corners, none nearer to a stronger one than `distance`.

    Args:
        grey: [height, width], any unit.
        count: at most so many.
        quality: the weakest corner's strength, as a share of the strongest one's.
        distance: in pixels.

    Returns:
        [n, 2] of x and y, strongest first; n = 0 where nothing changes in two directions.

    Source: Shi and Tomasi 1994, "Good features to track": Sobel gradients, a window of 3×3, local maxima.
    """
    strength = _smaller_eigenvalue(grey)
    peak = strength.max(initial=0.0)
    if peak <= 0:
        return np.empty((0, 2), np.int64)
    candidates = (strength >= quality * peak) & (strength == _highest_around(strength))
    candidates[[0, -1], :] = candidates[:, [0, -1]] = False  # half of their window is made up
    y, x = np.nonzero(candidates)
    order = np.argsort(-strength[y, x], kind="stable")
    return _spread(x[order], y[order], count, distance)


def _smaller_eigenvalue(grey: Grey) -> Grey:
    padded = np.pad(grey, 1, mode="edge")
    smooth_y = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    smooth_x = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    dx = smooth_y[:, 2:] - smooth_y[:, :-2]
    dy = smooth_x[2:] - smooth_x[:-2]
    half_xx, xy, half_yy = _sum_around(dx * dx) / 2, _sum_around(dx * dy), _sum_around(dy * dy) / 2
    return half_xx + half_yy - np.hypot(half_xx - half_yy, xy)


def _sum_around(values: Grey) -> Grey:
    padded = np.pad(values, 1, mode="edge")
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]


def _highest_around(values: Grey) -> Grey:
    padded = np.pad(values, 1, mode="edge")
    rows = np.maximum(np.maximum(padded[:-2], padded[1:-1]), padded[2:])
    return np.maximum(np.maximum(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:])


def _spread(x: NDArray[np.int64], y: NDArray[np.int64], count: int, distance: float) -> NDArray[np.int64]:
    """The first `count` points that keep their distance from those before them."""
    chosen = np.empty((0, 2), np.int64)
    free = np.ones(len(x), bool)
    while len(chosen) < count and free.any():
        first = int(np.argmax(free))
        chosen = np.append(chosen, [[x[first], y[first]]], axis=0)
        free &= (x - x[first]) ** 2 + (y - y[first]) ** 2 >= distance**2
        free[first] = False
    return chosen
