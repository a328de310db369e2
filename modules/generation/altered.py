"""A denoiser whose network is altered while it computes, and as it was between two calls."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from torch import Tensor

from modules.samplers.guidance import Denoiser
from modules.samplers.sigmas import NoiseTable


class Altered:
    """A denoiser that computes inside a context. Between two steps nobody finds the network changed.

    Args:
        denoiser: what computes.
        alteration: gives the context of one call, from its latents [B, 4, h, w].
    """

    def __init__(self, denoiser: Denoiser, alteration: Callable[[Tensor], AbstractContextManager[None]]):
        self._denoiser = denoiser
        self._alteration = alteration

    @property
    def sigmas(self) -> NoiseTable:
        return self._denoiser.sigmas

    def __call__(self, x: Tensor, sigma: Tensor, cond: Tensor, /) -> Tensor:
        with self._alteration(x):
            return self._denoiser(x, sigma, cond)

    def eps(self, x: Tensor, timestep: Tensor, cond: Tensor, /) -> Tensor:
        with self._alteration(x):
            return self._denoiser.eps(x, timestep, cond)
