"""From noise to latents: sampler, schedule, guidance and noise put together."""

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from modules.errors import ParameterError
from modules.samplers import names
from modules.samplers.brownian import BrownianNoise
from modules.samplers.guidance import Guided
from modules.samplers.noise import ImageNoise
from modules.samplers.options import ALL_TIMESTEPS, SamplerOptions
from modules.samplers.sigmas import sampler_sigmas, sampler_timesteps
from modules.samplers.solvers import Step, dpm_solver, euler, lcm, multistep, sde, timestep, unipc


@dataclass(frozen=True)
class Start:
    """Latents to set out from instead of pure noise: the second pass of a hires fix, or img2img.

    Attributes:
        latents: [images, 4, h, w], of the size of the noise.
        denoising_strength: how much of the schedule is run, above 0; more than 1 is as 1.
        all_steps: run all the steps asked for, at the end of a longer schedule, as a hires fix does; otherwise only
            their share.
        extra_noise: noise added on top, in standard deviations of latents of scale 1.

    Raises:
        ParameterError: a strength outside its range.
    """

    latents: Tensor
    denoising_strength: float
    all_steps: bool = False
    extra_noise: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.denoising_strength < math.inf:
            raise ParameterError(
                "denoising_strength",
                f"Denoising strength {self.denoising_strength:g} must be a number above 0.",
            )

    def plan(self, steps: int) -> tuple[int, int]:
        """(steps of the whole schedule, steps of its end that are run)."""
        share = min(self.denoising_strength, 0.999)
        return (int(steps / share), steps) if self.all_steps else (steps, int(share * steps) + 1)


@torch.no_grad()
def sample(
    sampler_name: str,
    schedule_name: str,
    steps: int,
    guided: Guided,
    noise: ImageNoise,
    options: SamplerOptions | None = None,
    start: Start | None = None,
) -> Iterator[Step]:
    """Draw a batch of latents.

    Args:
        sampler_name: a name or alias of `names.SAMPLERS`, also an old combined name ("LMS Karras").
        schedule_name: label of a schedule; samplers over timesteps have their own and ignore it.
        steps: at least 1.
        guided: the model, told by prompts; its count of calls starts anew.
        noise: fresh, one generator per image.
        options: numbers for solvers and schedules.
        start: where to set out from; None for pure noise.

    Yields:
        One `Step` per sampler step; the last one's `x` [images, 4, h, w] is the result.

    Raises:
        ParameterError: an unknown name, or a value that the schedule cannot use.
        NumericalError: the model answered with NaN.
    """
    sampler, schedule = names.find(sampler_name, schedule_name)
    scheduled, run = start.plan(steps) if start else (steps, steps)
    guided.begin(sampler.total_steps(run))
    of = _over_timesteps if sampler.timesteps else _over_sigmas
    yield from of(_Run(sampler, schedule, scheduled, run, guided, noise, options or SamplerOptions(), start))


@dataclass(frozen=True)
class _Run:
    """The arguments of `sample`, read: of a schedule of `scheduled` steps the last `steps` are run."""

    sampler: names.Sampler
    schedule: str
    scheduled: int
    steps: int
    guided: Guided
    noise: ImageNoise
    options: SamplerOptions
    start: Start | None


def _over_sigmas(run: _Run) -> Iterator[Step]:
    guided, noise, options = run.guided, run.noise, run.options
    table = guided.denoiser.sigmas
    if run.sampler.name == "LCM":
        table = lcm.ConsistencyTable(table)
    sigmas = sampler_sigmas(run.sampler, run.schedule, run.scheduled, table, options).tolist()
    between = BrownianNoise(noise, sigmas)
    x, sigma_max, sigma_min = noise.first(), table.sigma_max, table.sigma_min
    if run.start:
        sigmas = sigmas[run.scheduled - run.steps :]
        sigma_max, sigma_min = sigmas[0], sigmas[-2]
        x = run.start.latents + x * (sigmas[0] + run.start.extra_noise)
    else:
        x = x * (math.sqrt(1 + sigmas[0] ** 2) if options.sgm_noise_multiplier else sigmas[0])
    eta, s_noise = options.eta_of(run.sampler), options.s_noise
    churn = euler.Churn(options.s_churn, options.s_tmin, options.s_tmax or math.inf, s_noise)
    match run.sampler.name:
        case "Euler":
            return euler.euler(guided, x, sigmas, noise.next, churn)
        case "Euler a":
            return euler.euler_ancestral(guided, x, sigmas, noise.next, eta)
        case "Heun":
            return euler.heun(guided, x, sigmas, noise.next, churn)
        case "Restart":
            return euler.restart(guided, x, sigmas, noise.next)
        case "DPM2":
            return euler.dpm2(guided, x, sigmas, noise.next, churn)
        case "DPM2 a":
            return euler.dpm2_ancestral(guided, x, sigmas, noise.next, eta, s_noise)
        case "DPM++ 2S a":
            return sde.dpmpp_2s_ancestral(guided, x, sigmas, noise.next, eta, s_noise)
        case "DPM++ SDE":
            return sde.dpmpp_sde(guided, x, sigmas, between, eta, s_noise)
        case "DPM++ 2M SDE":
            return sde.dpmpp_2m_sde(guided, x, sigmas, between, eta, s_noise)
        case "DPM++ 2M SDE Heun":
            return sde.dpmpp_2m_sde(guided, x, sigmas, between, eta, s_noise, "heun")
        case "DPM++ 3M SDE":
            return sde.dpmpp_3m_sde(guided, x, sigmas, between, eta, s_noise)
        case "LMS":
            return multistep.lms(guided, x, sigmas)
        case "DPM++ 2M":
            return multistep.dpmpp_2m(guided, x, sigmas)
        case "DPM fast":
            levels = len(sigmas) - 1 if run.start else run.scheduled  # not those of a schedule that has more
            return dpm_solver.dpm_fast(guided, x, sigma_max, sigma_min, levels, noise.next, eta, s_noise)
        case "DPM adaptive":
            return dpm_solver.dpm_adaptive(guided, x, sigma_max, sigma_min, noise.next, eta)
        case "LCM":
            return lcm.lcm(lcm.consistency(guided, table), x, sigmas, noise.next)
        case name:
            raise AssertionError(f"no solver for {name}")


def _over_timesteps(run: _Run) -> Iterator[Step]:
    guided, noise, options = run.guided, run.noise, run.options
    alphas_cumprod = guided.denoiser.sigmas.alphas_cumprod.tolist()
    of_2022 = options.all_timesteps and run.sampler.name in ALL_TIMESTEPS
    timesteps = sampler_timesteps(run.scheduled, len(alphas_cumprod), of_2022)
    x, moment, eta = noise.first(), 1.0, options.eta_of(run.sampler)
    if run.start:  # one timestep fewer than steps, from the noise of the timestep above them
        above = run.steps - 1 + of_2022  # that list begins with a 0
        alpha = alphas_cumprod[timesteps[above]]
        scale = math.sqrt(alpha)  # of the latents in x, and of what is added to them
        x = run.start.latents * scale + x * (math.sqrt(1 - alpha) + scale * run.start.extra_noise)
        timesteps = timesteps[: max(above, 1)]
        moment = (timesteps[-1] + 1) / len(alphas_cumprod)
    match run.sampler.name:
        case "DDIM":
            return timestep.ddim(guided.eps, x, timesteps, alphas_cumprod, noise.next, eta)
        case "DDIM CFG++":
            both = functools.partial(guided.eps_and_uncond, cfg_divisor=12.5)
            return timestep.ddim_cfgpp(both, x, timesteps, alphas_cumprod, noise.next, eta)
        case "PLMS":
            return timestep.plms(guided.eps, x, timesteps, alphas_cumprod)
        case "UniPC":
            return unipc.unipc(
                guided.eps,
                x,
                len(timesteps),
                alphas_cumprod,
                options.unipc_variant,
                options.unipc_skip_type,
                options.unipc_order,
                options.unipc_lower_order_final,
                moment,
            )
        case name:
            raise AssertionError(f"no solver for {name}")
