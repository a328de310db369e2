"""The folded parts of the form: what stands in each, and the title that says what is set inside. No gradio."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from modules import params
from modules.errors import WebuiError
from modules.generation.stages import HiresSize
from modules.params import BOTH_PASSES, NO_REFINER, RANDOM, Txt2ImgParams

Values = Mapping[str, Any]
"""Usable values of all fields of a section, and of those that its title needs besides."""


@dataclass(frozen=True)
class Section:
    """One folded part.

    Attributes:
        name: its element is `txt2img_<name>`.
        rows: fields of `Txt2ImgParams`, row by row.
        title: what is set inside, in a few words.
        also: fields outside that the title needs.
    """

    name: str
    rows: tuple[tuple[str, ...], ...]
    title: Callable[[Values], str]
    also: tuple[str, ...] = ()

    @property
    def fields(self) -> tuple[str, ...]:
        return tuple(field for row in self.rows for field in row)

    @property
    def watched(self) -> tuple[str, ...]:
        """The fields whose change may change the title."""
        return (*self.fields, *self.also)


def changed(values: Values, fields: tuple[str, ...]) -> list[str]:
    """“Sigma churn 3” for each field that is not as usual; switches by their name alone."""
    found = []
    for field in fields:
        value = values[field]
        if value != params.default(field):
            label = params.control(field).label
            told = f"{value:g}" if isinstance(value, float) else str(value)
            found.append(label if value is True else f"no {label}" if value is False else f"{label} {told}")
    return found


def _hires(values: Values) -> str:
    if not values["enable_hr"]:
        return "Hires. fix: off"
    fields = ("width", "height", "hr_scale", "hr_resize_x", "hr_resize_y")
    fields += ("old_hires_size", "firstphase_width", "firstphase_height")
    try:
        size = HiresSize.of(Txt2ImgParams(**{field: values[field] for field in fields}))
    except WebuiError:
        return "Hires. fix: this size cannot be drawn"
    (width, height), (wide, high) = size.first, size.target
    return f"Hires. fix: from {width}x{height} to {wide}x{high}"


def _refiner(values: Values) -> str:
    """“Refiner: cosy.safetensors at 0.8”."""
    name, at = values["refiner_checkpoint"], values["refiner_switch_at"]
    if name in ("", NO_REFINER) or at >= 1:
        return "Refiner: off"
    which = values["hr_refiner_pass"]
    which = which if which == BOTH_PASSES else f"the {which}"
    return f"Refiner: {name.partition(' [')[0]} at {at:g}{f' of {which}' if values['enable_hr'] else ''}"


def _variation(values: Values) -> str:
    seed = "a random seed" if values["subseed"] == RANDOM else f"seed {values['subseed']}"
    parts = [f"{values['subseed_strength']:g} of {seed}"] if values["subseed_strength"] else []
    width, height = values["seed_resize_from_w"], values["seed_resize_from_h"]
    parts += [f"seed resized from {width}x{height}"] if width and height else []
    return f"Variation: {', '.join(parts) or 'off'}"


def _listed(heading: str, fields: tuple[str, ...]) -> Callable[[Values], str]:
    def title(values: Values) -> str:
        found = changed(values, fields)
        told = ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
        return f"{heading}: {told or 'as usual'}"

    return title


_HIRES = (
    ("enable_hr", "hr_upscaler", "hr_second_pass_steps"),
    ("denoising_strength", "hr_scale", "extra_noise"),
    ("hr_resize_x", "hr_resize_y"),
    ("hr_checkpoint", "hr_sampler", "hr_schedule"),
    ("hr_prompt", "hr_negative_prompt"),
    ("old_hires_size", "firstphase_width", "firstphase_height"),
)
_REFINER = (("refiner_checkpoint", "refiner_switch_at"), ("hr_refiner_pass", "refiner_by_steps"))
_MODEL = (("vae", "clip_skip", "tiling"),)
_SAMPLING = (
    ("eta_ancestral", "eta_ddim", "ensd"),
    ("s_churn", "s_noise"),
    ("s_tmin", "s_tmax"),
    ("sigma_min", "sigma_max", "rho"),
    ("randn_source", "discard_penultimate", "sgm_noise_multiplier"),
    ("s_min_uncond", "skip_early_cond", "s_min_uncond_all"),
    ("token_merging_ratio", "token_merging_ratio_hr"),
    ("beta_alpha", "beta_beta"),
    ("unipc_order", "unipc_variant", "unipc_skip_type"),
    ("unipc_lower_order_final", "zero_terminal_snr"),
    ("downcast_alphas", "all_timesteps", "keep_penultimate"),
)


def _fields(rows: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    return tuple(field for row in rows for field in row)


SECTIONS = (
    Section("hr", _HIRES, _hires, ("width", "height")),
    Section("refiner", _REFINER, _refiner, ("enable_hr",)),
    Section("subseed_row", (("subseed", "subseed_strength"), ("seed_resize_from_w", "seed_resize_from_h")), _variation),
    Section("model", _MODEL, _listed("VAE, clip skip and tiling", _fields(_MODEL))),
    Section("sampling_options", _SAMPLING, _listed("Sampler parameters", _fields(_SAMPLING))),
)
