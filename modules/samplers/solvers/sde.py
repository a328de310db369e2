"""Solvers of the stochastic equation: DPM++ 2S a, DPM++ SDE, DPM++ 2M SDE (midpoint and Heun), DPM++ 3M SDE.

All work in λ = −log σ, over steps of length h. Source: DPM-Solver++ of Lu et al. 2022, arXiv:2211.01095, section 4 and
appendix; its SDE forms with a share eta of fresh noise.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor

from modules.samplers.solvers.step import Denoise, DrawNoise, NoiseBetween, Step, ancestral, midpoint


def dpmpp_2s_ancestral(
    denoise: Denoise,
    x: Tensor,
    sigmas: Sequence[float],
    draw_noise: DrawNoise,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Iterator[Step]:
    """Second order with a call halfway in λ, to below the next level, then fresh noise up to it."""
    count = len(sigmas) - 1
    for i in range(count):
        sigma = sigmas[i]
        denoised = denoise(x, sigma)
        down, up = ancestral(sigma, sigmas[i + 1], eta)
        if down == 0:
            x = denoised
        else:
            middle = midpoint(sigma, down)
            x = _towards(x, denoise(_towards(x, denoised, sigma, middle), middle), sigma, down)
        if sigmas[i + 1] > 0:
            x = x + draw_noise() * (s_noise * up)
        yield Step(i, count, x, denoised)


def dpmpp_sde(
    denoise: Denoise,
    x: Tensor,
    sigmas: Sequence[float],
    noise_between: NoiseBetween,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Iterator[Step]:
    """Second order with a call halfway in λ, both halves ancestral; the last step is plain."""
    count = len(sigmas) - 1
    for i in range(count):
        denoised = denoise(x, sigmas[i])
        if sigmas[i + 1] == 0:
            yield Step(i, count, denoised, denoised)
            return
        sigma, middle, sigma_next = _half_step(sigmas[i], sigmas[i + 1])
        down, up = ancestral(sigma, middle, eta)
        halfway = _towards(x, denoised, sigma, down) + noise_between(sigma, middle) * (s_noise * up)
        denoised_halfway = denoise(halfway, middle)
        down, up = ancestral(sigma, sigma_next, eta)
        x = _towards(x, denoised_halfway, sigma, down) + noise_between(sigma, sigma_next) * (s_noise * up)
        yield Step(i, count, x, denoised)


def dpmpp_2m_sde(
    denoise: Denoise,
    x: Tensor,
    sigmas: Sequence[float],
    noise_between: NoiseBetween,
    eta: float = 1.0,
    s_noise: float = 1.0,
    kind: Literal["midpoint", "heun"] = "midpoint",
) -> Iterator[Step]:
    """Second order from this guess and the one before; `kind` is how the two are blended."""
    count = len(sigmas) - 1
    last: tuple[Tensor, float] | None = None  # the guess before, and the length of its step
    for i in range(count):
        denoised = denoise(x, sigmas[i])
        if sigmas[i + 1] == 0:
            yield Step(i, count, denoised, denoised)
            return
        h = math.log(sigmas[i] / sigmas[i + 1])
        span = h * (1 + eta)
        x = x * math.exp(-span) - denoised * math.expm1(-span)
        if last is not None:
            slope = (denoised - last[0]) * (h / last[1])
            x = x + slope * (-math.expm1(-span) / 2 if kind == "midpoint" else 1 + math.expm1(-span) / span)
        if eta:
            x = x + noise_between(sigmas[i], sigmas[i + 1]) * _fresh(sigmas[i + 1], h, eta, s_noise)
        last = denoised, h
        yield Step(i, count, x, denoised)


def dpmpp_3m_sde(
    denoise: Denoise,
    x: Tensor,
    sigmas: Sequence[float],
    noise_between: NoiseBetween,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Iterator[Step]:
    """Third order from this guess and the two before it."""
    count = len(sigmas) - 1
    earlier: list[tuple[Tensor, float]] = []  # guesses with the lengths of their steps, the newest first
    for i in range(count):
        denoised = denoise(x, sigmas[i])
        if sigmas[i + 1] == 0:
            yield Step(i, count, denoised, denoised)
            return
        h = math.log(sigmas[i] / sigmas[i + 1])
        span = h * (1 + eta)
        x = x * math.exp(-span) - denoised * math.expm1(-span)
        phi_2 = math.expm1(-span) / span + 1
        if earlier:
            last, last_h = earlier[0]
            slope = (denoised - last) * (h / last_h)
            if len(earlier) == 2:
                before, before_h = earlier[1]
                slope_before = (last - before) * (h / before_h)
                bend = (slope - slope_before) * (h / (last_h + before_h))
                x = x + (slope + bend * (last_h / h)) * phi_2 - bend * (phi_2 / span - 0.5)
            else:
                x = x + slope * phi_2
        if eta:
            x = x + noise_between(sigmas[i], sigmas[i + 1]) * _fresh(sigmas[i + 1], h, eta, s_noise)
        earlier = [(denoised, h), *earlier[:1]]
        yield Step(i, count, x, denoised)


def _towards(x: Tensor, denoised: Tensor, sigma: float, sigma_next: float) -> Tensor:
    """The exact way from `sigma` to `sigma_next` if the guess stayed as it is."""
    return x * (sigma_next / sigma) + denoised * (1 - sigma_next / sigma)


def _fresh(sigma_next: float, h: float, eta: float, s_noise: float) -> float:
    return sigma_next * math.sqrt(-math.expm1(-2 * eta * h)) * s_noise


def _half_step(sigma: float, sigma_next: float) -> tuple[float, float, float]:
    """`sigma`, the level halfway in λ, and `sigma_next`, each rounded as float32 rounds them on the way to λ and back.

    A Brownian path differs from one rounding to the next, so these decide pixels.
    """
    start, end = (-torch.tensor(level, dtype=torch.float32).log() for level in (sigma, sigma_next))
    levels = [(-place).exp().item() for place in (start, start + (end - start) / 2, end)]
    return levels[0], levels[1], levels[2]
