"""Solvers that step over training timesteps: DDIM, DDIM CFG++, PLMS.

Here x has variance 1 at every timestep, as in training, and the model guesses noise. Runs end at the first of
the timesteps, not at 0: one interval fewer than there are timesteps.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from modules.samplers.solvers.step import DrawNoise, Step

PredictNoise = Callable[[Tensor, float], Tensor]
"""(x, timestep) → guess of the noise."""


def ddim(
    predict: PredictNoise,
    x: Tensor,
    timesteps: Sequence[int],
    alphas_cumprod: Sequence[float],
    draw_noise: DrawNoise,
    eta: float = 0.0,
) -> Iterator[Step]:
    """The guess of the clean latents, noised again to the next level with the guessed noise.

    Args:
        timesteps: rising.
        alphas_cumprod: of all training timesteps.
        eta: share of fresh noise; 1 is DDPM.

    Source: Song et al. 2021, arXiv:2010.02502, equations 12 and 16.
    """

    def predict_twice(x: Tensor, t: float) -> tuple[Tensor, Tensor]:
        noise = predict(x, t)
        return noise, noise

    return _ddim(predict_twice, x, timesteps, alphas_cumprod, draw_noise, eta)


def ddim_cfgpp(
    predict_both: Callable[[Tensor, float], tuple[Tensor, Tensor]],
    x: Tensor,
    timesteps: Sequence[int],
    alphas_cumprod: Sequence[float],
    draw_noise: DrawNoise,
    eta: float = 0.0,
) -> Iterator[Step]:
    """DDIM that noises its guess again with what the negative prompt alone says; arguments as of `ddim`.

    Args:
        predict_both: (x, timestep) → guided guess of the noise, and the unguided one.

    Source: Chung et al. 2024, arXiv:2406.08070, algorithm 2.
    """
    return _ddim(predict_both, x, timesteps, alphas_cumprod, draw_noise, eta)


def _ddim(
    predict_both: Callable[[Tensor, float], tuple[Tensor, Tensor]],
    x: Tensor,
    timesteps: Sequence[int],
    alphas_cumprod: Sequence[float],
    draw_noise: DrawNoise,
    eta: float,
) -> Iterator[Step]:
    count = len(timesteps) - 1
    if not count:  # a single timestep has no interval: what came in is the result
        yield Step(0, 1, x, x)
    for i, (t, t_next) in enumerate(_intervals(timesteps)):
        alpha, alpha_next = alphas_cumprod[t], alphas_cumprod[t_next]
        guess, direction = predict_both(x, float(t))
        denoised = _clean(x, guess, alpha)
        fresh = eta * math.sqrt((1 - alpha_next) / (1 - alpha) * (1 - alpha / alpha_next))
        x = denoised * math.sqrt(alpha_next) + direction * math.sqrt(1 - alpha_next - fresh**2)
        if fresh:
            x = x + draw_noise() * fresh
        yield Step(i, count, x, denoised)


def plms(predict: PredictNoise, x: Tensor, timesteps: Sequence[int], alphas_cumprod: Sequence[float]) -> Iterator[Step]:
    """DDIM with the guesses of the last four steps blended; the first step calls the model twice.

    Source: Liu et al. 2022, arXiv:2202.09778, equations 9 to 12, with the first step of its improved Euler start.
    """
    count = len(timesteps) - 1
    if not count:
        yield Step(0, 1, x, x)
    guesses: list[Tensor] = []
    for i, (t, t_next) in enumerate(_intervals(timesteps)):
        alpha, alpha_next = alphas_cumprod[t], alphas_cumprod[t_next]
        guesses = [predict(x, float(t)), *guesses][:4]
        if len(guesses) == 1:
            ahead = _moved(x, guesses[0], alpha, alpha_next)
            guess = (guesses[0] + predict(ahead, float(t_next))) / 2
        else:
            guess = torch.zeros_like(x)
            for earlier, weight in zip(guesses, _ADAMS_BASHFORTH[len(guesses)], strict=True):
                guess += earlier * weight
        denoised = _clean(x, guess, alpha)
        x = _moved(x, guess, alpha, alpha_next)
        yield Step(i, count, x, denoised)


_ADAMS_BASHFORTH = {
    2: (3 / 2, -1 / 2),
    3: (23 / 12, -16 / 12, 5 / 12),
    4: (55 / 24, -59 / 24, 37 / 24, -9 / 24),
}


def _intervals(timesteps: Sequence[int]) -> Iterator[tuple[int, int]]:
    falling = timesteps[::-1]
    return itertools.pairwise(falling)


def _clean(x: Tensor, noise: Tensor, alpha: float) -> Tensor:
    return (x - noise * math.sqrt(1 - alpha)) / math.sqrt(alpha)


def _moved(x: Tensor, noise: Tensor, alpha: float, alpha_next: float) -> Tensor:
    return _clean(x, noise, alpha) * math.sqrt(alpha_next) + noise * math.sqrt(1 - alpha_next)
