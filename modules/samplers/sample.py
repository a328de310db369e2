"""From noise to latents: sampler, schedule, guidance and noise put together."""

import functools
import math
from collections.abc import Iterator

import torch

from modules.samplers import names
from modules.samplers.brownian import BrownianNoise
from modules.samplers.guidance import Guided
from modules.samplers.noise import ImageNoise
from modules.samplers.options import SamplerOptions
from modules.samplers.sigmas import sampler_sigmas, sampler_timesteps
from modules.samplers.solvers import Step, dpm_solver, euler, lcm, multistep, sde, timestep, unipc


@torch.no_grad()
def sample(
    sampler_name: str,
    schedule_name: str,
    steps: int,
    guided: Guided,
    noise: ImageNoise,
    options: SamplerOptions | None = None,
) -> Iterator[Step]:
    """Draw a batch of latents.

    Args:
        sampler_name: a name or alias of `names.SAMPLERS`, also an old combined name ("LMS Karras").
        schedule_name: label of a schedule; samplers over timesteps have their own and ignore it.
        steps: at least 1.
        guided: the model, told by prompts; its count of calls starts anew.
        noise: fresh, one generator per image.
        options: numbers for solvers and schedules.

    Yields:
        One `Step` per sampler step; the last one's `x` [images, 4, h, w] is the result.

    Raises:
        ParameterError: an unknown name, or a value that the schedule cannot use.
        NumericalError: the model answered with NaN.
    """
    options = options or SamplerOptions()
    sampler, schedule = names.find(sampler_name, schedule_name)
    guided.begin(sampler.total_steps(steps))
    if sampler.timesteps:
        yield from _over_timesteps(sampler, steps, guided, noise, options)
    else:
        yield from _over_sigmas(sampler, schedule, steps, guided, noise, options)


def _over_sigmas(
    sampler: names.Sampler, schedule: str, steps: int, guided: Guided, noise: ImageNoise, options: SamplerOptions
) -> Iterator[Step]:
    table = guided.denoiser.sigmas
    if sampler.name == "LCM":
        table = lcm.ConsistencyTable(table)
    sigmas = sampler_sigmas(sampler, schedule, steps, table, options).tolist()
    x = noise.first() * (math.sqrt(1 + sigmas[0] ** 2) if options.sgm_noise_multiplier else sigmas[0])
    eta, s_noise = options.eta_of(sampler), options.s_noise
    churn = euler.Churn(options.s_churn, options.s_tmin, options.s_tmax or math.inf, s_noise)
    match sampler.name:
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
            return sde.dpmpp_sde(guided, x, sigmas, BrownianNoise(noise, sigmas), eta, s_noise)
        case "DPM++ 2M SDE":
            return sde.dpmpp_2m_sde(guided, x, sigmas, BrownianNoise(noise, sigmas), eta, s_noise)
        case "DPM++ 2M SDE Heun":
            return sde.dpmpp_2m_sde(guided, x, sigmas, BrownianNoise(noise, sigmas), eta, s_noise, "heun")
        case "DPM++ 3M SDE":
            return sde.dpmpp_3m_sde(guided, x, sigmas, BrownianNoise(noise, sigmas), eta, s_noise)
        case "LMS":
            return multistep.lms(guided, x, sigmas)
        case "DPM++ 2M":
            return multistep.dpmpp_2m(guided, x, sigmas)
        case "DPM fast":
            return dpm_solver.dpm_fast(guided, x, table.sigma_max, table.sigma_min, steps, noise.next, eta, s_noise)
        case "DPM adaptive":
            return dpm_solver.dpm_adaptive(guided, x, table.sigma_max, table.sigma_min, noise.next, eta)
        case "LCM":
            return lcm.lcm(lcm.consistency(guided, table), x, sigmas, noise.next)
        case name:
            raise AssertionError(f"no solver for {name}")


def _over_timesteps(
    sampler: names.Sampler, steps: int, guided: Guided, noise: ImageNoise, options: SamplerOptions
) -> Iterator[Step]:
    alphas_cumprod = guided.denoiser.sigmas.alphas_cumprod.tolist()
    timesteps = sampler_timesteps(steps, len(alphas_cumprod))
    x, eta = noise.first(), options.eta_of(sampler)
    match sampler.name:
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
            )
        case name:
            raise AssertionError(f"no solver for {name}")
