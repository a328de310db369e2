"""DPM-Solver by orders up to three: DPM fast (a fixed number of model calls), DPM adaptive (a wanted accuracy).

Both work in λ = −log σ, from the largest to the smallest noise level, and do not go down to 0.
Source: DPM-Solver of Lu et al. 2022, arXiv:2206.00927, algorithms 1 and 2, appendices C and D, written in σ.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from torch import Tensor

from modules.samplers.solvers.step import Denoise, DrawNoise, Step, ancestral

_RELATIVE_TOLERANCE = 0.05
_ABSOLUTE_TOLERANCE = 0.0078  # about one 256th of the range of pixels
_FIRST_LENGTH = 0.05
_SAFETY = 0.81
_ORDER, _ORDER_WITH_NOISE = 3, 1.5  # how fast the error shrinks with the length of a step; k-diffusion's numbers
_NEAR_ENOUGH = 1e-5  # in λ


def dpm_fast(
    denoise: Denoise,
    x: Tensor,
    sigma_max: float,
    sigma_min: float,
    calls: int,
    draw_noise: DrawNoise,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Iterator[Step]:
    """Steps of order three, equally long in λ, and lower orders at the end, so that the model is called `calls` times.

    Yields:
        One `Step` per block of up to three calls.
    """
    orders = [*[3] * (calls // 3 - 1), 2, 1] if calls % 3 == 0 else [*[3] * (calls // 3), calls % 3]
    start, end = -math.log(sigma_max), -math.log(sigma_min)
    for i, order in enumerate(orders):
        place, place_next = (start + (end - start) * j / len(orders) for j in (i, i + 1))
        target, fresh = _split(place, place_next, end, eta)
        block = _Block(denoise, x, place, target)
        x = block.solve(order)
        if fresh:
            x = x + draw_noise() * (s_noise * fresh)
        yield Step(i, len(orders), x, block.denoised)


def dpm_adaptive(
    denoise: Denoise,
    x: Tensor,
    sigma_max: float,
    sigma_min: float,
    draw_noise: DrawNoise,
    eta: float = 1.0,
) -> Iterator[Step]:
    """Steps as long as orders two and three agree on where they lead.

    Yields:
        One `Step` per attempt; one that was refused leaves x as it was. `count` is a guess.
    """
    place, end = -math.log(sigma_max), -math.log(sigma_min)
    if place >= end - _NEAR_ENOUGH:  # nothing to solve: what came in is the result
        yield Step(0, 1, x, x)
    length, index = _FIRST_LENGTH, 0
    order = _ORDER_WITH_NOISE if eta else _ORDER
    before = x  # where order two led last: the scale of the error that is allowed
    while place < end - _NEAR_ENOUGH:
        place_next = min(end, place + length)
        target, fresh = _split(place, place_next, end, eta)
        block = _Block(denoise, x, place, target)
        low, high = block.solve(2, share=1 / 3), block.solve(3)
        allowed = (_RELATIVE_TOLERANCE * low.abs().maximum(before.abs())).clamp(min=_ABSOLUTE_TOLERANCE)
        error = ((low - high) / allowed).square().mean().sqrt().item()
        factor = _limited((1 / (error + 1e-8)) ** (1 / order))
        if factor >= _SAFETY:
            before, x, place = low, high, place_next
            if fresh:
                x = x + draw_noise() * fresh
        length *= factor
        index += 1
        yield Step(index - 1, index + math.ceil(max(end - _NEAR_ENOUGH - place, 0) / length), x, block.denoised)


def _split(place: float, place_next: float, end: float, eta: float) -> tuple[float, float]:
    """The place in λ to solve to, not beyond `end`, and the noise that brings x back to `place_next`."""
    if not eta:
        return place_next, 0.0
    sigma_next = math.exp(-place_next)
    down, _ = ancestral(math.exp(-place), sigma_next, eta)
    target = min(end, -math.log(down)) if down else end
    return target, math.sqrt(max(sigma_next**2 - math.exp(-2 * target), 0.0))


def _limited(factor: float) -> float:
    """Keeps a change of step length between about a fifth and two and a half.

    Source: Söderlind & Wang 2006, “Adaptive time-stepping and computational stability”.
    """
    return 1 + math.atan(factor - 1)


@dataclass
class _Block:
    """One step from `place` to `target` in λ; what the model said is kept for a second order over the same step."""

    denoise: Denoise
    x: Tensor
    place: float
    target: float
    _noises: dict[float, Tensor] = field(default_factory=dict)  # by the share of the way

    def __post_init__(self) -> None:
        self._h = self.target - self.place
        self._noises[0.0] = self._noise(self.x, 0.0)

    @property
    def denoised(self) -> Tensor:
        """The model's guess of the clean latents at the beginning of the step."""
        return self.x - self._noises[0.0] * math.exp(-self.place)

    def solve(self, order: int, share: float = 0.5) -> Tensor:
        """The latents at the end of the step; of order two with its call at `share` of the way."""
        if order == 1:
            return self._first(1.0)
        if order == 2:
            change = self._noise_at(share, self._first(share)) - self._noises[0.0]
            return self._first(1.0) - change * (self._sigma(1.0) * math.expm1(self._h) / (2 * share))
        change = self._noise_at(1 / 3, self._first(1 / 3)) - self._noises[0.0]
        two_thirds = self._first(2 / 3) - change * (2 * self._sigma(2 / 3) * self._bend(2 / 3))
        change = self._noise_at(2 / 3, two_thirds) - self._noises[0.0]
        return self._first(1.0) - change * (1.5 * self._sigma(1.0) * self._bend(1.0))

    def _first(self, share: float) -> Tensor:
        return self.x - self._noises[0.0] * (self._sigma(share) * math.expm1(share * self._h))

    def _bend(self, share: float) -> float:
        return math.expm1(share * self._h) / (share * self._h) - 1

    def _sigma(self, share: float) -> float:
        return math.exp(-(self.place + share * self._h))

    def _noise_at(self, share: float, x: Tensor) -> Tensor:
        if share not in self._noises:
            self._noises[share] = self._noise(x, share)
        return self._noises[share]

    def _noise(self, x: Tensor, share: float) -> Tensor:
        sigma = self._sigma(share)
        return (x - self.denoise(x, sigma)) / sigma
