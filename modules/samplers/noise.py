"""Noise of a batch: one random generator per image, so that a batch equals single runs.

The first draw of an image's generator is its starting noise, every later one is noise that a sampler adds.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from modules.samplers.philox import PhiloxGenerator

NoiseSource = Literal["CPU", "GPU", "NV"]


class ImageNoise:
    """Where a batch gets its random numbers from.

    Args:
        shape: (channels, height, width) of one image's latents.
        seeds: one per image.
        subseeds: variation seeds, one per image (0 where there are fewer).
        subseed_strength: how far the starting noise leans from seed to subseed, 0 … 1; beyond that it leans on.
        seed_resize_from: (height, width) in pixels; if both are above 0, starting noise of that size is drawn and
            pasted into the middle, so that a picture of another size keeps its composition.
        source: "CPU" (the same everywhere), "GPU" (the device's own generator; on MPS the CPU's), or "NV" (what an
            NVIDIA card draws, computed on the CPU).
        device: where the noise is wanted.
        seed_delta: "Eta noise seed delta": added to the seeds once the starting noise is drawn.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        seeds: Sequence[int],
        subseeds: Sequence[int] = (),
        subseed_strength: float = 0.0,
        seed_resize_from: tuple[int, int] = (0, 0),
        source: NoiseSource = "CPU",
        device: torch.device | str = "cpu",
        seed_delta: int = 0,
    ):
        self.shape = shape
        self.seeds = list(seeds)
        self.subseeds = [*subseeds, *[0] * (len(self.seeds) - len(subseeds))]
        self.subseed_strength = subseed_strength
        self.seed_resize_from = seed_resize_from
        self.source: NoiseSource = source
        self.device = torch.device(device)
        self.seed_delta = seed_delta
        self._generators = [self._generator(seed) for seed in self.seeds]

    @property
    def generator_device(self) -> torch.device:
        """Where numbers are drawn, which decides what they are; MPS leaves that to the CPU."""
        on_device = self.source == "GPU" and self.device.type != "mps"
        return self.device if on_device else torch.device("cpu")

    def first(self) -> Tensor:
        """The starting noise: float32 [images, *shape] of variance 1. Call once, before `next`."""
        noise = [
            self._starting_noise(*image) for image in zip(self.seeds, self.subseeds, self._generators, strict=True)
        ]
        if self.seed_delta:
            self._generators = [self._generator(seed + self.seed_delta) for seed in self.seeds]
        return torch.stack(noise).to(self.device)

    def next(self) -> Tensor:
        """Fresh noise for one sampler step: float32 [images, *shape] of variance 1."""
        return torch.stack([generator.randn(self.shape) for generator in self._generators]).to(self.device)

    def _starting_noise(self, seed: int, subseed: int, generator: "_Generator") -> Tensor:
        own = generator.randn(self.shape)
        height, width = self.seed_resize_from
        small = (self.shape[0], height // 8, width // 8) if height > 0 and width > 0 else self.shape
        noise = own if small == self.shape else self._generator(seed).randn(small)
        if self.subseed_strength:
            noise = slerp(self.subseed_strength, noise, self._generator(subseed).randn(small))
        return noise if small == self.shape else _pasted(noise, own)

    def _generator(self, seed: int) -> "_Generator":
        if self.source == "NV":
            return PhiloxGenerator(seed)
        return _TorchGenerator(seed, self.generator_device)


class _TorchGenerator:
    """PyTorch's own generator, with the interface of `PhiloxGenerator`."""

    def __init__(self, seed: int, device: torch.device):
        self._generator = torch.Generator(device).manual_seed(seed)

    def randn(self, shape: tuple[int, ...]) -> Tensor:
        return torch.randn(shape, generator=self._generator, device=self._generator.device, dtype=torch.float32)


_Generator = PhiloxGenerator | _TorchGenerator


def slerp(share: float, low: Tensor, high: Tensor) -> Tensor:
    """Turn from `low` (share 0) to `high` (share 1) along an arc, which keeps the variance of noise.

    As in A1111 the arc is taken along the height of [C, H, W], column by column, and nearly parallel noise is mixed
    with the shares the wrong way round; both decide pixels. A column without an arc, because it is one latent high or
    points exactly the opposite way, is mixed in straight shares: there A1111 draws NaN.
    """
    cosine = (low / low.norm(dim=1, keepdim=True) * high / high.norm(dim=1, keepdim=True)).sum(1, keepdim=True)
    if cosine.mean() > 0.9995:
        return low * share + high * (1 - share)
    angle = cosine.acos()
    straight = low * (1 - share) + high * share
    if low.shape[1] == 1:  # rounding would make arcs of 0 or π
        return straight
    turned = ((1 - share) * angle).sin() / angle.sin() * low + (share * angle).sin() / angle.sin() * high
    return torch.where(turned.isfinite(), turned, straight)


def _pasted(small: Tensor, large: Tensor) -> Tensor:
    """`small` [C, h, w] laid over the middle of `large` [C, H, W]; where it is larger, its own middle is used."""
    result = large.clone()
    target, source = [slice(None)], [slice(None)]
    for inner, outer in zip(small.shape[1:], large.shape[1:], strict=True):
        margin = (outer - inner) // 2
        target.append(slice(max(margin, 0), max(margin, 0) + min(inner, inner + 2 * margin)))
        source.append(slice(max(-margin, 0), max(-margin, 0) + min(inner, inner + 2 * margin)))
    result[tuple(target)] = small[tuple(source)]
    return result
