"""LCM: jump to the clean latents, noise them again to the next level; for models distilled to do so.

Source: Luo et al. 2023, arXiv:2310.04378, section 4 and algorithm 3 (skipping-step schedule of 50 timesteps).
"""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from modules.samplers.guidance import Guided
from modules.samplers.sigmas import NoiseTable
from modules.samplers.solvers.step import Denoise, DrawNoise, Step

_TIMESTEPS = 50
_SIGMA_DATA = 0.5
_TIMESTEP_SCALING = 10.0


class ConsistencyTable(NoiseTable):
    """The noise levels that a consistency model was distilled on: every n-th training timestep, 50 in all."""

    def __init__(self, table: NoiseTable):
        stride = len(table.sigmas) // _TIMESTEPS
        super().__init__(table.alphas_cumprod[stride - 1 :: stride])
        self.timesteps = table.timesteps[stride - 1 :: stride]

    def sigma_to_t(self, sigma: Tensor) -> Tensor:
        """The nearest timestep of the table: the model knows no others."""
        distance = (sigma.log()[..., None] - self.log_sigmas.to(sigma.device)).abs()
        return self.timesteps.to(sigma.device)[distance.argmin(-1)]

    def t_to_sigma(self, timestep: Tensor) -> Tensor:
        first, stride = self.timesteps[0].item(), (self.timesteps[1] - self.timesteps[0]).item()
        return super().t_to_sigma(((timestep - first) / stride).clamp(min=0))


def consistency(guided: Guided, table: NoiseTable) -> Denoise:
    """The consistency function of a model: its guess of the clean latents, blended into x where noise ends."""

    def denoise(x: Tensor, sigma: float) -> Tensor:
        timestep = table.sigma_to_t(torch.tensor(sigma)).item()
        noise = guided.eps(x / math.sqrt(1 + sigma**2), timestep, level=sigma)
        scaled = timestep * _TIMESTEP_SCALING
        keep = _SIGMA_DATA**2 / (scaled**2 + _SIGMA_DATA**2)
        return (x - noise * sigma) * (scaled / math.hypot(scaled, _SIGMA_DATA)) + x * keep

    return denoise


def lcm(denoise: Denoise, x: Tensor, sigmas: Sequence[float], draw_noise: DrawNoise) -> Iterator[Step]:
    """Each step takes the guess for the picture and noises it to the next level."""
    count = len(sigmas) - 1
    for i in range(count):
        x = denoised = denoise(x, sigmas[i])
        if sigmas[i + 1] > 0:
            x = denoised + draw_noise() * sigmas[i + 1]
        yield Step(i, count, x, denoised)
