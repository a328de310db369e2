"""Noise for SDE solvers: increments of one Brownian path per image, so that steps of any size see the same path.

The path and its seeds are torchsde's Brownian tree, loaded when an SDE sampler first draws noise.
"""

import contextlib
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from modules.errors import ParameterError
from modules.samplers.noise import ImageNoise
from modules.samplers.philox import PhiloxGenerator

_DIGITS = 6  # of a noise level, which torchsde keeps


class BrownianNoise:
    """Draws noise of variance 1 for intervals of noise levels.

    Args:
        noise: gives shape, seeds, source and device; its generators are left alone.
        sigmas: the noise levels of the run; the path lies between the smallest positive one and the largest.

    Raises:
        ParameterError: when called, if torchsde is not installed.
    """

    def __init__(self, noise: ImageNoise, sigmas: Sequence[float]):
        self._noise = noise
        self._low, self._high = min(sigma for sigma in sigmas if sigma > 0), max(sigmas)
        self._trees: list[Any] = []

    def __call__(self, sigma: float, sigma_next: float) -> Tensor:
        """Noise [images, 4, h, w] that belongs to the step from `sigma` down to `sigma_next`, on the noise's device."""
        low, high = round(self._low, _DIGITS), round(self._high, _DIGITS)
        start, end = (min(max(round(level, _DIGITS), low), high) for level in (sigma_next, sigma))
        with _PhiloxDraws() if self._noise.source == "NV" else contextlib.nullcontext():
            self._trees = self._trees or self._grow()
            rises = torch.stack([tree(start, end) for tree in self._trees])
        return (rises / -math.sqrt(sigma - sigma_next)).to(self._noise.device)

    def _grow(self) -> list[Any]:
        try:
            from torchsde import BrownianTree
        except ImportError as error:
            raise ParameterError(
                "sampler",
                "This sampler needs the package torchsde, which is not installed: install it, or choose a sampler "
                "without SDE in its name.",
            ) from error
        origin = torch.zeros(self._noise.shape, device=self._noise.generator_device)
        seeds = [seed % 2**64 for seed in self._noise.seeds]  # torchsde takes none below 0
        return [BrownianTree(t0=self._low, w0=origin, t1=self._high, entropy=seed) for seed in seeds]


class _PhiloxDraws(TorchFunctionMode):
    """Answers `torch.randn(…, generator=…)` as an NVIDIA card would, for code that makes its own generators."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not torch.randn:
            return func(*args, **(kwargs or {}))
        return PhiloxGenerator(kwargs["generator"].initial_seed()).randn(tuple(args[0]))
