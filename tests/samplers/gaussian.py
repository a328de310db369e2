"""A model whose answers are known exactly: pictures whose every value is drawn from one normal distribution."""

import torch
from torch import Tensor

from modules.samplers.guidance import GuidanceOptions, Guided
from modules.samplers.noise import ImageNoise, NoiseSource
from modules.samplers.sigmas import NoiseTable

SHAPE = (4, 8, 8)


class Gaussian:
    """The best guess there is for pictures of N(mean, 1), where the mean is that of the prompt's encoding.

    Attributes:
        calls: what it was asked, as (batch size, sigma or timestep of the first image).
    """

    def __init__(self) -> None:
        self.sigmas = NoiseTable.scaled_linear()
        self.calls: list[tuple[int, float]] = []

    def __call__(self, x: Tensor, sigma: Tensor, cond: Tensor) -> Tensor:
        self.calls.append((len(x), sigma[0].item()))
        variance = (sigma**2)[:, None, None, None]
        return (x + variance * cond.mean((1, 2))[:, None, None, None]) / (1 + variance)

    def eps(self, x: Tensor, timestep: Tensor, cond: Tensor) -> Tensor:
        self.calls.append((len(x), timestep[0].item()))
        sigma = self.sigmas.t_to_sigma(timestep)[:, None, None, None]
        mean = cond.mean((1, 2))[:, None, None, None]
        noisy = x * (1 + sigma**2).sqrt()
        return (noisy - (noisy + sigma**2 * mean) / (1 + sigma**2)) / sigma


def encoding(mean: float, tokens: int = 77) -> Tensor:
    """A prompt [tokens, 8] that asks for pictures of this mean."""
    return torch.full((tokens, 8), float(mean))


def guided(
    images: int = 1, cfg_scale: float = 1.0, model: Gaussian | None = None, options: GuidanceOptions | None = None
) -> Guided:
    """A batch that asks for mean 0 against a negative prompt of mean 0."""
    always = [(10_000, encoding(0.0))]
    return Guided(model or Gaussian(), [[(always, 1.0)]] * images, [always] * images, cfg_scale, options)


def noise(*seeds: int, size: int = 8, source: NoiseSource = "CPU") -> ImageNoise:
    return ImageNoise((4, size, size), seeds or (42,), source=source)
