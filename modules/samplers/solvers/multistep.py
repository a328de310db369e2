"""Solvers that remember earlier guesses instead of calling the model twice: LMS and DPM++ 2M."""

import math
from collections.abc import Iterator, Sequence

from torch import Tensor

from modules.samplers.solvers.step import Denoise, Step


def lms(denoise: Denoise, x: Tensor, sigmas: Sequence[float], order: int = 4) -> Iterator[Step]:
    """The polynomial through the last four slopes, integrated over the step (Adams–Bashforth on uneven levels)."""
    count = len(sigmas) - 1
    slopes: list[Tensor] = []
    for i in range(count):
        denoised = denoise(x, sigmas[i])
        slopes = [(x - denoised) / sigmas[i], *slopes][:order]
        nodes = [sigmas[i - j] for j in range(len(slopes))]
        for slope, weight in zip(slopes, lms_weights(nodes, sigmas[i], sigmas[i + 1]), strict=True):
            x = x + slope * weight
        yield Step(i, count, x, denoised)


def lms_weights(nodes: Sequence[float], start: float, end: float) -> list[float]:
    """Integrals from `start` to `end` of the Lagrange polynomials of up to four nodes.

    They are of degree 3 at most, for which Gauss–Legendre quadrature with two points is exact.
    """
    centre, half = (start + end) / 2, (end - start) / 2
    points = (centre - half / math.sqrt(3), centre + half / math.sqrt(3))
    return [
        half * sum(math.prod((p - other) / (node - other) for other in nodes if other != node) for p in points)
        for node in nodes
    ]


def dpmpp_2m(denoise: Denoise, x: Tensor, sigmas: Sequence[float]) -> Iterator[Step]:
    """Second order in −log σ, from this guess and the one before; the first and the last step are plain.

    Source: DPM-Solver++(2M) of Lu et al. 2022, arXiv:2211.01095, algorithm 2.
    """
    count = len(sigmas) - 1
    last: tuple[Tensor, float] | None = None  # the guess before, and the length of its step
    for i in range(count):
        sigma, sigma_next = sigmas[i], sigmas[i + 1]
        denoised = denoise(x, sigma)
        if sigma_next == 0:
            yield Step(i, count, denoised, denoised)
            return
        h = math.log(sigma / sigma_next)
        ahead = denoised
        if last is not None:
            ratio = last[1] / h
            ahead = denoised + (denoised - last[0]) / (2 * ratio)
        x = x * (sigma_next / sigma) - ahead * math.expm1(-h)
        last = denoised, h
        yield Step(i, count, x, denoised)
