"""Noise levels: the model's own table, and the schedules that pick the levels of one run.

A sigma is the standard deviation of the noise in latents of scale 1; a timestep is the training index that the model
is told. Schedules are made on the CPU in float32, to the last digit as A1111 makes them: the Brownian path of an SDE
sampler turns one digit into a thousandth of the picture.
"""

import itertools
import math
from collections.abc import Callable

import torch
from torch import Tensor

from modules.errors import ParameterError
from modules.samplers.beta_distribution import beta_quantile
from modules.samplers.names import DEFAULT_RHO, Sampler
from modules.samplers.options import SamplerOptions


class NoiseTable:
    """The noise levels that a model was trained on, from the least noise to the most.

    Args:
        alphas_cumprod: [n], falling: the share of the picture's variance left at each training timestep.

    Attributes:
        alphas_cumprod, sigmas, log_sigmas: float32 [n] on the CPU.
        timesteps: float32 [n], the training timestep of each entry.
    """

    def __init__(self, alphas_cumprod: Tensor):
        self.alphas_cumprod = alphas_cumprod.detach().to("cpu", torch.float32)
        self.sigmas = ((1 - self.alphas_cumprod) / self.alphas_cumprod).sqrt()
        self.log_sigmas = self.sigmas.log()
        self.timesteps = torch.arange(len(self.sigmas), dtype=torch.float32)

    @classmethod
    def scaled_linear(cls, beta_start: float = 0.00085, beta_end: float = 0.012, steps: int = 1000) -> "NoiseTable":
        """The table of Stable Diffusion 1 and 2: betas whose square roots rise in a straight line."""
        first, last = math.sqrt(beta_start), math.sqrt(beta_end)
        betas = ((first + (last - first) * i / (steps - 1)) ** 2 for i in range(steps))
        return cls(torch.tensor(list(itertools.accumulate((1 - beta for beta in betas), float.__mul__))))

    @property
    def sigma_min(self) -> float:
        """The least noise of the table."""
        return self.sigmas[0].item()

    @property
    def sigma_max(self) -> float:
        """The most noise of the table."""
        return self.sigmas[-1].item()

    def nearest(self, sigma: float) -> int:
        """The training timestep whose noise level is nearest to `sigma`."""
        return int((self.sigmas - sigma).abs().argmin())

    def sigma_to_t(self, sigma: Tensor) -> Tensor:
        """Fractional timesteps of any sigmas, by linear interpolation of log sigma, on the device of `sigma`."""
        log_sigmas = self.log_sigmas.to(sigma.device)
        log_sigma = sigma.log()
        low = (torch.searchsorted(log_sigmas, log_sigma.contiguous(), right=True) - 1).clamp(0, len(log_sigmas) - 2)
        share = (log_sigma - log_sigmas[low]) / (log_sigmas[low + 1] - log_sigmas[low])
        return low + share.clamp(0, 1)

    def t_to_sigma(self, timestep: Tensor) -> Tensor:
        """Sigmas of fractional timesteps, by linear interpolation of log sigma, on the device of `timestep`."""
        log_sigmas = self.log_sigmas.to(timestep.device)
        low = timestep.floor().long().clamp(0, len(log_sigmas) - 2)
        share = timestep - low
        return ((1 - share) * log_sigmas[low] + share * log_sigmas[low + 1]).exp()

    def zero_terminal_snr(self) -> "NoiseTable":
        """The table stretched so that its last level is noise alone; the first level stays.

        Source: Lin et al. 2023, arXiv:2305.08891, algorithm 1. The last entry is kept a little above 0 to have a
        finite sigma; the value is A1111's.
        """
        roots = self.alphas_cumprod.sqrt()
        first, last = roots[0], roots[-1]
        stretched = ((roots - last) * (first / (first - last))) ** 2
        stretched[-1] = 4.8973451890853435e-08
        return NoiseTable(stretched)

    def half_precision(self) -> "NoiseTable":
        """The table rounded to float16, as A1111 up to 1.7 used it ("Downcast alphas_cumprod")."""
        return NoiseTable(self.alphas_cumprod.half())


def sampler_sigmas(
    sampler: Sampler, schedule: str, steps: int, table: NoiseTable, options: SamplerOptions | None = None
) -> Tensor:
    """The noise levels that `sampler` goes through.

    Args:
        sampler: decides what "Automatic" means and whether the penultimate level is discarded.
        schedule: label of a schedule.
        steps: at least 1.
        table: the model's noise levels.
        options: ends and shape of the schedule.

    Returns:
        float32 [steps + 1], falling, the last 0 (KL Optimal ends at sigma_min; DDIM may have a few more).

    Raises:
        ParameterError: steps < 1, or sigma_min not below sigma_max.
    """
    options = options or SamplerOptions()
    if steps < 1:
        raise ParameterError("steps", f"Sampling steps {steps} must be at least 1.")
    sigma_min, sigma_max = options.sigma_min or table.sigma_min, options.sigma_max or table.sigma_max
    if sigma_min >= sigma_max:
        raise ParameterError(
            "sigma_min", f"The smallest sigma {sigma_min:g} must lie below the largest, {sigma_max:g}: change one."
        )
    discard = (sampler.discard_penultimate and not options.keep_penultimate) or options.discard_penultimate
    make = _SCHEDULES[sampler.schedule_used(schedule)]
    sigmas = make(steps + discard, sigma_min, sigma_max, table, options)
    return torch.cat([sigmas[:-2], sigmas[-1:]]) if discard else sigmas


def sampler_timesteps(steps: int, training_timesteps: int = 1000, of_2022: bool = False) -> list[int]:
    """Training timesteps of DDIM, PLMS and UniPC, rising; where `steps` does not divide evenly there are more.

    Args:
        of_2022: as the samplers of latent diffusion had them, with 0 to end at.

    Raises:
        ParameterError: steps < 1 or more than there are timesteps.
    """
    if not 1 <= steps <= training_timesteps:
        raise ParameterError(
            "steps",
            f"A schedule of {steps} steps lies outside 1 … {training_timesteps}, which the model was trained on.",
        )
    if of_2022:
        return _timesteps_of_2022(steps, training_timesteps)
    stride = training_timesteps // steps
    return [min(training_timesteps - 1, 1 + t) for t in range(0, training_timesteps, stride)]


def _timesteps_of_2022(steps: int, training_timesteps: int) -> list[int]:
    """Where the last of them would lie beyond the model's, it was tried again with one step more."""
    last = training_timesteps - 1
    for count in (steps, steps + 1):
        found = [1 + t for t in range(0, training_timesteps, training_timesteps // min(count, training_timesteps))]
        if found[-1] <= last:
            break
    return [0, *(t for t in found if t <= last)]


def karras_sigmas(steps: int, sigma_min: float, sigma_max: float, rho: float = 7.0) -> Tensor:
    """Noise levels that crowd together as the picture clears.

    Args:
        steps: levels wanted, at least 1.
        sigma_min, sigma_max: ends of the range, in standard deviations of the latents.
        rho: how strongly levels crowd at the low end; 7 is the paper's choice.

    Returns:
        float32 [steps], falling, without a final 0.

    Source: Karras et al. 2022, arXiv:2206.00364, equation 5.
    """
    first, last = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    return (first + torch.linspace(0, 1, steps) * (last - first)) ** rho


def _karras(steps: int, low: float, high: float, table: NoiseTable, options: SamplerOptions) -> Tensor:
    return _down_to_zero(karras_sigmas(steps, low, high, options.rho or DEFAULT_RHO["Karras"]))


def _uniform(steps: int, low: float, high: float, table: NoiseTable, options: SamplerOptions) -> Tensor:
    """Even in timesteps over the whole table, whatever the range asked for."""
    first, last = table.timesteps[-1].item(), table.timesteps[0].item()
    return _down_to_zero(table.t_to_sigma(torch.linspace(first, last, steps)))


def _exponential(steps: int, low: float, high: float, table: NoiseTable, options: SamplerOptions) -> Tensor:
    """Even in log sigma."""
    return _down_to_zero(torch.linspace(math.log(high), math.log(low), steps).exp())


def _polyexponential(steps: int, low: float, high: float, table: NoiseTable, options: SamplerOptions) -> Tensor:
    """A polynomial ramp in log sigma; with rho 1 the same as Exponential."""
    ramp = torch.linspace(1, 0, steps) ** (options.rho or DEFAULT_RHO["Polyexponential"])
    return _down_to_zero((ramp * (math.log(high) - math.log(low)) + math.log(low)).exp())


def _sgm_uniform(steps: int, low: float, high: float, table: NoiseTable, options: SamplerOptions) -> Tensor:
    """Even in timesteps, stopping one step before the low end."""
    return _down_to_zero(table.t_to_sigma(_timestep_range(low, high, steps + 1, table)[:-1]))


def _normal(steps: int, low: float, high: float, table: NoiseTable, options: SamplerOptions) -> Tensor:
    """Even in timesteps between the ends of the range."""
    return _down_to_zero(table.t_to_sigma(_timestep_range(low, high, steps, table)))


def _kl_optimal(steps: int, low: float, high: float, table: NoiseTable, options: SamplerOptions) -> Tensor:
    """Even in the angle whose tangent is sigma; ends at the low end, without 0.

    Source: Sabour et al. 2024, arXiv:2404.14507, equation 27.
    """
    share = torch.arange(steps + 1) / steps
    return (share * math.atan(low) + (1 - share) * math.atan(high)).tan()


def _align_your_steps(steps: int, low: float, high: float, table: NoiseTable, options: SamplerOptions) -> Tensor:
    """Ten steps optimised for Stable Diffusion 1, resampled evenly in log sigma for other numbers.

    Source: Sabour et al. 2024, arXiv:2404.14507, and the levels published with it.
    """
    levels = [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029]
    if steps != len(levels):
        rising = [math.log(level) for level in reversed(levels)]
        places = [(len(levels) - 1) * i / max(steps - 1, 1) for i in range(steps)]
        levels = [math.exp(_interpolate(rising, place)) for place in reversed(places)]
    return torch.tensor([*levels, 0.0])


def _simple(steps: int, low: float, high: float, table: NoiseTable, options: SamplerOptions) -> Tensor:
    """Every n-th entry of the table, from its noisy end."""
    stride = len(table.sigmas) / steps  # its rounding shows: three numbers of steps pick a neighbour
    return _down_to_zero(table.sigmas[[-1 - int(i * stride) for i in range(steps)]])


def _ddim(steps: int, low: float, high: float, table: NoiseTable, options: SamplerOptions) -> Tensor:
    """The entries that DDIM uses; where `steps` does not divide evenly there are more of them."""
    stride = max(len(table.sigmas) // steps, 1)
    return _down_to_zero(table.sigmas[1::stride].flip(0))


def _beta(steps: int, low: float, high: float, table: NoiseTable, options: SamplerOptions) -> Tensor:
    """Levels that crowd at both ends, by the quantiles of a beta distribution.

    Source: Lee et al. 2024, arXiv:2407.12173.
    """
    shares = [1 - i / max(steps - 1, 1) for i in range(steps)]
    quantiles = [beta_quantile(share, options.beta_alpha, options.beta_beta) for share in shares]
    return torch.tensor([*(low + quantile * (high - low) for quantile in quantiles), 0.0])


_SCHEDULES: dict[str, Callable[[int, float, float, NoiseTable, SamplerOptions], Tensor]] = {
    "Uniform": _uniform,
    "Karras": _karras,
    "Exponential": _exponential,
    "Polyexponential": _polyexponential,
    "SGM Uniform": _sgm_uniform,
    "KL Optimal": _kl_optimal,
    "Align Your Steps": _align_your_steps,
    "Simple": _simple,
    "Normal": _normal,
    "DDIM": _ddim,
    "Beta": _beta,
}


def _down_to_zero(sigmas: Tensor) -> Tensor:
    return torch.cat([sigmas, torch.zeros(1)])


def _timestep_range(low: float, high: float, count: int, table: NoiseTable) -> Tensor:
    first, last = table.sigma_to_t(torch.tensor([high, low])).tolist()
    return torch.linspace(first, last, count)


def _interpolate(values: list[float], place: float) -> float:
    low = min(int(place), len(values) - 2)
    return values[low] + (place - low) * (values[low + 1] - values[low])
