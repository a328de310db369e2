"""What solvers share: their step, and how a step is split into solving and fresh noise.

A solver is a generator function of (denoise, x, noise levels, …) that yields once per step. It draws noise only
through the functions it is given, and keeps all coefficients in Python floats, so any device and any precision will
do.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

Denoise = Callable[[Tensor, float], Tensor]
"""(x, sigma) → guess of the clean latents."""

DrawNoise = Callable[[], Tensor]
"""The next noise of variance 1, in the shape of the latents."""

NoiseBetween = Callable[[float, float], Tensor]
"""(sigma, next sigma) → noise of variance 1 that belongs to this interval."""


@dataclass(frozen=True)
class Step:
    """One step of a solver is done.

    Attributes:
        index: from 0.
        count: how many steps the run has, as far as is known by now.
        x: latents after the step; of the last step: the result.
        denoised: the model's guess of the clean latents, for previews and interrupted runs.
    """

    index: int
    count: int
    x: Tensor
    denoised: Tensor


def ancestral(sigma: float, sigma_next: float, eta: float) -> tuple[float, float]:
    """Split the way from `sigma` to `sigma_next` into a solved part and fresh noise.

    Returns:
        (sigma_down, sigma_up): solve down to the first, then add noise of the second.

    Source: the ancestral step of DDPM in the terms of Karras et al. 2022; eta as in Song et al. 2021,
    arXiv:2010.02502, equation 16.
    """
    if not eta or not sigma_next:
        return sigma_next, 0.0
    up = min(sigma_next, eta * math.sqrt(sigma_next**2 * (sigma**2 - sigma_next**2) / sigma**2))
    return math.sqrt(sigma_next**2 - up**2), up


def midpoint(sigma: float, sigma_next: float) -> float:
    """The noise level halfway in log sigma."""
    return math.sqrt(sigma * sigma_next)
