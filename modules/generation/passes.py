"""What the form says, in the words of samplers, guidance and noise."""

from collections.abc import Sequence
from typing import Literal, cast

import torch
from torch import Tensor

from modules.generation.altered import Altered
from modules.generation.tiling import circular
from modules.generation.token_merging import merging
from modules.model.model import SDModel, StableDenoiser
from modules.params import Txt2ImgParams
from modules.samplers.guidance import Denoiser, GuidanceOptions
from modules.samplers.names import Sampler
from modules.samplers.noise import ImageNoise, NoiseSource
from modules.samplers.options import SamplerOptions, UniPcVariant


def sampler_options(params: Txt2ImgParams, sampler: Sampler) -> SamplerOptions:
    """The numbers of the form that solvers and schedules take."""
    return SamplerOptions(
        eta=params.eta_ddim if sampler.timesteps else params.eta_ancestral,
        s_churn=params.s_churn,
        s_tmin=params.s_tmin,
        s_tmax=params.s_tmax,
        s_noise=params.s_noise,
        sigma_min=params.sigma_min,
        sigma_max=params.sigma_max,
        rho=params.rho,
        discard_penultimate=params.discard_penultimate,
        keep_penultimate=params.keep_penultimate,
        sgm_noise_multiplier=params.sgm_noise_multiplier,
        all_timesteps=params.all_timesteps,
        beta_alpha=params.beta_alpha,
        beta_beta=params.beta_beta,
        unipc_variant=cast(UniPcVariant, params.unipc_variant),
        unipc_skip_type=cast(Literal["time_uniform", "time_quadratic", "logSNR"], params.unipc_skip_type),
        unipc_order=params.unipc_order,
        unipc_lower_order_final=params.unipc_lower_order_final,
    )


def guidance_options(params: Txt2ImgParams, padding: Tensor | None) -> GuidanceOptions:
    """How the negative prompt takes part; `padding` as for `GuidanceOptions`."""
    return GuidanceOptions(
        s_min_uncond=params.s_min_uncond,
        s_min_uncond_all=params.s_min_uncond_all,
        skip_early=params.skip_early_cond,
        padding=padding,
        pad_v0=params.pad_conds_v0,
    )


def image_noise(
    params: Txt2ImgParams,
    latent_hw: tuple[int, int],
    seeds: Sequence[int],
    subseeds: Sequence[int],
    device: torch.device,
) -> ImageNoise:
    """Fresh noise for a batch of latents of this height and width."""
    return ImageNoise(
        (4, *latent_hw),
        seeds,
        subseeds,
        params.subseed_strength,
        (params.seed_resize_from_h, params.seed_resize_from_w),
        source=cast(NoiseSource, params.randn_source),
        device=device,
        seed_delta=params.ensd,
    )


def merging_ratio(params: Txt2ImgParams, second: bool) -> float:
    """The share of tokens that self-attention takes into others in a pass: a second one may have its own."""
    return (second and params.token_merging_ratio_hr) or params.token_merging_ratio


def denoiser(model: SDModel, params: Txt2ImgParams, second: bool = False) -> Denoiser:
    """The model as the samplers call it, over the noise levels that the form asks for.

    Args:
        second: it draws the second pass of a hires fix.
    """
    found: Denoiser = model.denoiser
    if params.downcast_alphas or params.zero_terminal_snr:
        table = model.denoiser.sigmas
        table = table.half_precision() if params.downcast_alphas else table
        table = table.zero_terminal_snr() if params.zero_terminal_snr else table
        found = StableDenoiser(model.unet, model.prediction_type, table)
    if params.tiling:
        found = Altered(found, lambda _: circular(model.unet))
    if ratio := merging_ratio(params, second):
        found = Altered(found, lambda x: merging(model.unet, (x.shape[2], x.shape[3]), ratio))
    return found
