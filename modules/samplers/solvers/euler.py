"""Solvers of first and second order with slopes: Euler, Euler a, Heun, Restart, DPM2, DPM2 a.

All follow dx/dσ = (x − D(x, σ)) / σ, where D is the model's guess of the clean latents.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from modules.samplers.sigmas import karras_sigmas
from modules.samplers.solvers.step import Denoise, DrawNoise, Step, ancestral, midpoint


@dataclass(frozen=True)
class Churn:
    """Noise added before each step within a range of noise levels.

    Source: Karras et al. 2022, arXiv:2206.00364, algorithm 2, whose names these are.
    """

    s_churn: float = 0.0
    s_tmin: float = 0.0
    s_tmax: float = math.inf
    s_noise: float = 1.0

    def apply(self, x: Tensor, sigma: float, steps: int, draw_noise: DrawNoise) -> tuple[Tensor, float]:
        """Raise the noise of x from `sigma` to the level returned. Noise is drawn at every step, used or not."""
        if not self.s_churn:
            return x, sigma
        noise = draw_noise()
        if not self.s_tmin <= sigma <= self.s_tmax:
            return x, sigma
        raised = sigma * (1 + min(self.s_churn / steps, math.sqrt(2) - 1))
        return x + noise * (self.s_noise * math.sqrt(raised**2 - sigma**2)), raised


def euler(
    denoise: Denoise, x: Tensor, sigmas: Sequence[float], draw_noise: DrawNoise, churn: Churn | None = None
) -> Iterator[Step]:
    """Straight along the slope at the beginning of each step; one model call per step."""
    churn = churn or Churn()
    count = len(sigmas) - 1
    for i in range(count):
        x, sigma = churn.apply(x, sigmas[i], count, draw_noise)
        denoised = denoise(x, sigma)
        x = x + (x - denoised) * ((sigmas[i + 1] - sigma) / sigma)
        yield Step(i, count, x, denoised)


def euler_ancestral(
    denoise: Denoise, x: Tensor, sigmas: Sequence[float], draw_noise: DrawNoise, eta: float = 1.0
) -> Iterator[Step]:
    """Euler to below the next level, then fresh noise up to it."""
    count = len(sigmas) - 1
    for i in range(count):
        denoised = denoise(x, sigmas[i])
        down, up = ancestral(sigmas[i], sigmas[i + 1], eta)
        x = x + (x - denoised) * ((down - sigmas[i]) / sigmas[i])
        if sigmas[i + 1] > 0:
            x = x + draw_noise() * up
        yield Step(i, count, x, denoised)


def heun(
    denoise: Denoise, x: Tensor, sigmas: Sequence[float], draw_noise: DrawNoise, churn: Churn | None = None
) -> Iterator[Step]:
    """The mean of the slopes at both ends of a step; the last step, down to 0, is Euler's.

    Source: Karras et al. 2022, arXiv:2206.00364, algorithms 1 and 2.
    """
    churn = churn or Churn()
    count = len(sigmas) - 1
    for i in range(count):
        x, sigma = churn.apply(x, sigmas[i], count, draw_noise)
        x, denoised = _heun_step(denoise, x, sigma, sigmas[i + 1])
        yield Step(i, count, x, denoised)


def restart(
    denoise: Denoise, x: Tensor, sigmas: Sequence[float], draw_noise: DrawNoise, s_noise: float = 1.0
) -> Iterator[Step]:
    """Heun that goes back: near the end noise is added again and the last stretch solved anew, which undoes errors.

    From 20 steps on, 9 of them go from about 2 down to about 0.1 once more; from 36 on, a quarter of them, twice. The
    first descent has what is left, on Karras levels between the ends of `sigmas`.

    Source: Xu et al. 2023, arXiv:2306.14878, algorithm 1; the numbers are A1111's.
    """
    levels = _restart_levels(list(sigmas))
    count = sum(after < before for before, after in itertools.pairwise(levels))
    index = 0
    for before, after in itertools.pairwise(levels):
        if after > before:
            x = x + draw_noise() * (s_noise * math.sqrt(after**2 - before**2))
            continue
        x, denoised = _heun_step(denoise, x, before, after)
        yield Step(index, count, x, denoised)
        index += 1


def dpm2(
    denoise: Denoise, x: Tensor, sigmas: Sequence[float], draw_noise: DrawNoise, churn: Churn | None = None
) -> Iterator[Step]:
    """The slope halfway in log sigma; the last step is Euler's.

    Source: DPM-Solver-2 of Lu et al. 2022, arXiv:2206.00927, written in sigma.
    """
    churn = churn or Churn()
    count = len(sigmas) - 1
    for i in range(count):
        x, sigma = churn.apply(x, sigmas[i], count, draw_noise)
        x, denoised = _midpoint_step(denoise, x, sigma, sigmas[i + 1])
        yield Step(i, count, x, denoised)


def dpm2_ancestral(
    denoise: Denoise,
    x: Tensor,
    sigmas: Sequence[float],
    draw_noise: DrawNoise,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Iterator[Step]:
    """DPM2 to below the next level, then fresh noise up to it."""
    count = len(sigmas) - 1
    for i in range(count):
        down, up = ancestral(sigmas[i], sigmas[i + 1], eta)
        x, denoised = _midpoint_step(denoise, x, sigmas[i], down)
        if sigmas[i + 1] > 0:
            x = x + draw_noise() * (s_noise * up)
        yield Step(i, count, x, denoised)


def _heun_step(denoise: Denoise, x: Tensor, sigma: float, sigma_next: float) -> tuple[Tensor, Tensor]:
    denoised = denoise(x, sigma)
    slope = (x - denoised) / sigma
    ahead = x + slope * (sigma_next - sigma)
    if sigma_next == 0:
        return ahead, denoised
    slope_ahead = (ahead - denoise(ahead, sigma_next)) / sigma_next
    return x + (slope + slope_ahead) * ((sigma_next - sigma) / 2), denoised


def _midpoint_step(denoise: Denoise, x: Tensor, sigma: float, sigma_next: float) -> tuple[Tensor, Tensor]:
    denoised = denoise(x, sigma)
    slope = (x - denoised) / sigma
    if sigma_next == 0:
        return x + slope * (sigma_next - sigma), denoised
    middle = midpoint(sigma, sigma_next)
    halfway = x + slope * (middle - sigma)
    return x + (halfway - denoise(halfway, middle)) * ((sigma_next - sigma) / middle), denoised


def _restart_levels(sigmas: list[float]) -> list[float]:
    """The noise levels in the order they are visited; where one is higher than the one before, noise is added."""
    steps = len(sigmas) - 1
    if steps < 20:
        return sigmas
    again, times = (steps // 4, 2) if steps >= 36 else (9, 1)
    base = [*karras_sigmas(steps - again * times, sigmas[-2], sigmas[0]).tolist(), 0.0]
    low, high = (min(range(len(base)), key=lambda i: abs(base[i] - target)) for target in (0.1, 2.0))
    if high >= low:  # a range so short that there is nothing to go back to
        return base
    stretch = karras_sigmas(again + 1, base[low], base[high]).tolist()
    return base[: low + 1] + stretch * times + base[low + 1 :]
