"""Keys of an infotext and fields of `Txt2ImgParams`: one table, read in both directions."""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from modules import params
from modules.errors import ParameterError
from modules.params import HIRES_FIELDS, NO_REFINER, SAME_SAMPLER, SAME_SCHEDULE, Txt2ImgParams
from modules.samplers import names

KEYS = {
    "Prompt": "prompt",
    "Negative prompt": "negative_prompt",
    "Steps": "steps",
    "CFG scale": "cfg_scale",
    "Seed": "seed",
    "Size-1": "width",
    "Size-2": "height",
    "Variation seed": "subseed",
    "Variation seed strength": "subseed_strength",
    "Seed resize from-1": "seed_resize_from_w",
    "Seed resize from-2": "seed_resize_from_h",
    "Denoising strength": "denoising_strength",
    "Hires upscale": "hr_scale",
    "Hires resize-1": "hr_resize_x",
    "Hires resize-2": "hr_resize_y",
    "Hires checkpoint": "hr_checkpoint",
    "Hires steps": "hr_second_pass_steps",
    "Hires upscaler": "hr_upscaler",
    "Hires prompt": "hr_prompt",
    "Hires negative prompt": "hr_negative_prompt",
    "Extra noise": "extra_noise",
    "VAE": "vae",
    "Clip skip": "clip_skip",
    "ENSD": "ensd",
    "Token merging ratio": "token_merging_ratio",
    "Token merging ratio hr": "token_merging_ratio_hr",
    "RNG": "randn_source",
    "Tiling": "tiling",
    "Eta": "eta_ancestral",
    "Eta DDIM": "eta_ddim",
    "Sigma churn": "s_churn",
    "Sigma tmin": "s_tmin",
    "Sigma tmax": "s_tmax",
    "Sigma noise": "s_noise",
    "Schedule min sigma": "sigma_min",
    "Schedule max sigma": "sigma_max",
    "Schedule rho": "rho",
    "Discard penultimate sigma": "discard_penultimate",
    "Keep penultimate sigma": "keep_penultimate",
    "SGM noise multiplier": "sgm_noise_multiplier",
    "Beta schedule alpha": "beta_alpha",
    "Beta schedule beta": "beta_beta",
    "UniPC variant": "unipc_variant",
    "UniPC skip type": "unipc_skip_type",
    "UniPC order": "unipc_order",
    "UniPC lower order final": "unipc_lower_order_final",
    "Downcast alphas_cumprod": "downcast_alphas",
    "Refiner": "refiner_checkpoint",
    "Refiner switch at": "refiner_switch_at",
    "Refiner switch by sampling steps": "refiner_by_steps",
    "Hires refiner": "hr_refiner_pass",
    "All timesteps": "all_timesteps",
    "NGMS": "s_min_uncond",
    "NGMS all steps": "s_min_uncond_all",
    "Skip Early CFG": "skip_early_cond",
    "Emphasis": "emphasis",
    "Comma backtrack": "comma_backtrack",
    "Pad conds": "pad_conds",
    "Pad conds v0": "pad_conds_v0",
    "Old prompt editing timelines": "old_timelines",
    "Old prompt editing steps": "old_edit_steps",
    "Prompt comments": "comments",
    "Prompt breaks": "breaks",
    "Old emphasis": "old_emphasis",
}
"""Keys whose value is the field's. `read_fields` knows those that need a thought."""

SPECIAL = {
    "Sampler", "Schedule type", "Hires sampler", "Hires schedule type", "First pass size-1", "First pass size-2",
    "Noise Schedule", "Prompt rules",
}  # fmt: skip

_WITHOUT_EFFECT = {  # fields that a picture leaves alone where it does not use them
    "enable_hr": (*HIRES_FIELDS, "hr_refiner_pass"),
    "subseed_strength": ("subseed",),
    "refiner_checkpoint": ("refiner_switch_at", "refiner_by_steps", "hr_refiner_pass"),
}  # fmt: skip
_NOT_OF_A_PICTURE = ("batch_count", "batch_size", "preview_every")
_OVERRIDE_KEYS = {field: key for key, field in KEYS.items()} | {
    "a1111_exact": "Prompt rules: A1111 exact",
    "zero_terminal_snr": "Zero Terminal SNR",
    "old_hires_size": "Width and height are the final size",
    "firstphase_width": "Firstpass width",
    "firstphase_height": "Firstpass height",
}
_OVERRIDE_FIELDS = {key: field for field, key in _OVERRIDE_KEYS.items()}


@dataclass(frozen=True)
class Misfit:
    """A value of the picture that cannot be used as it is.

    Attributes:
        field: of `Txt2ImgParams`.
        said: what the picture says.
        text: a sentence with what is used instead.
    """

    field: str
    said: str
    text: str


@dataclass(frozen=True)
class Fields:
    """What a picture means in fields of `Txt2ImgParams`.

    Attributes:
        values: every field that decides its pixels; together they are valid. What has no effect on this picture
            (the second pass of one that has none) is left out.
        misfits: values that had to be changed for that.
    """

    values: dict[str, Any]
    misfits: tuple[Misfit, ...] = ()


def read_fields(said: Mapping[str, Any]) -> Fields:
    """The fields behind an infotext.

    Args:
        said: what `parse_infotext` read.
    """
    reader = _Reader()
    for key, field in KEYS.items():
        if key in said:
            reader.take(field, said[key], key)
    reader.take_samplers(said)
    reader.take_hires(said)
    if "Refiner" in said and "Refiner switch at" not in said:
        reader.values["refiner_switch_at"] = 0.0  # so written by programs that let it draw everything
    if said.get("Noise Schedule") == "Zero Terminal SNR":
        reader.values["zero_terminal_snr"] = True
    if "Prompt rules" in said:
        reader.values["a1111_exact"] = said["Prompt rules"] == "A1111"
    return reader.fields()


def override(field: str, value: Any) -> str:
    """A setting that holds for the next runs, as the list of overrides shows it: “Clip skip: 2”."""
    return f"{_OVERRIDE_KEYS[field]}: {value}"


def can_override(field: str) -> bool:
    """Whether the list of overrides can hold a field."""
    return field in _OVERRIDE_KEYS


def read_overrides(lines: Iterable[str]) -> dict[str, Any]:
    """The fields behind such a list.

    Raises:
        ParameterError: a line that names no field, or a value that it cannot have; the field is `override_settings`.
    """
    values = {}
    for line in lines:
        key, parted, text = line.rpartition(": ")
        field = _OVERRIDE_FIELDS.get(key)
        if not parted or field is None:
            raise ParameterError("override_settings", f"“{line:.60}” overrides nothing: take it out of the list.")
        value = _typed(field, text, key)
        try:
            params.check(field, value, type(params.default(field)), params.control(field))
        except ParameterError as error:
            raise ParameterError("override_settings", str(error)) from error
        values[field] = value
    return values


class _Reader:
    """Gathers values, and what was wrong with them."""

    def __init__(self) -> None:
        fields = dataclasses.fields(Txt2ImgParams)
        self.values: dict[str, Any] = {f.name: f.default for f in fields if f.name not in _NOT_OF_A_PICTURE}
        self.misfits: list[Misfit] = []

    def take(self, field: str, said: object, key: str) -> None:
        """Take one value; numbers out of range go to its nearest end."""
        control, default = params.control(field), params.default(field)
        value = _typed(field, said, key)
        try:
            params.check(field, value, type(default), control)
        except ParameterError as error:
            if control.taken and isinstance(value, int | float):
                value = type(default)(min(max(value, control.taken[0]), control.taken[1]))
            else:
                value = default
            self._miss(field, said, f"{error} {_shown(value)} is used.")
        self.values[field] = value

    def take_samplers(self, said: Mapping[str, Any]) -> None:
        """Sampler and schedule, of both passes, old combined names included."""
        sampler, schedule = said.get("Sampler"), said.get("Schedule type")
        self.values["sampler"], self.values["schedule"] = self._sampler("sampler", sampler, schedule)
        own = said.get("Hires sampler", SAME_SAMPLER)
        label = said.get("Hires schedule type", SAME_SCHEDULE)
        if own == SAME_SAMPLER and label == SAME_SCHEDULE:
            return
        first = names.find_sampler(self.values["sampler"])
        if label == SAME_SCHEDULE and not first.timesteps:  # what the first pass used, whatever “Automatic” means there
            label = first.schedule_used(self.values["schedule"])
        found, self.values["hr_schedule"] = self._sampler(
            "hr_sampler", own if own != SAME_SAMPLER else first.name, label if label != SAME_SCHEDULE else None
        )
        self.values["hr_sampler"] = found if own != SAME_SAMPLER else SAME_SAMPLER

    def take_hires(self, said: Mapping[str, Any]) -> None:
        """Whether there was a second pass, in the form of today or of 2022."""
        resized = any(said.get(f"Hires resize-{side}") not in (None, 0, "0") for side in (1, 2))
        named = resized or "Hires upscale" in said or "Hires upscaler" in said
        self.values["enable_hr"] = named and "Denoising strength" in said
        if "First pass size-1" in said and "Hires upscaler" not in said:
            self.values["hr_upscaler"] = "Lanczos"  # what that form did unless told otherwise

    def fields(self) -> Fields:
        """What was gathered, made valid as a whole."""
        while True:
            try:
                Txt2ImgParams(**self.values)
            except ParameterError as error:  # fields that contradict each other
                self._miss(error.field, self.values[error.field], f"{error} It is left at its default.")
                self.values[error.field] = params.default(error.field)
            else:
                break
        off = (False, 0, "", NO_REFINER)
        unused = {name for switch, names in _WITHOUT_EFFECT.items() if self.values[switch] in off for name in names}
        kept = {name: value for name, value in self.values.items() if name not in unused}
        return Fields(kept, tuple(misfit for misfit in self.misfits if misfit.field not in unused))

    def _sampler(self, field: str, sampler: str | None, schedule: str | None) -> tuple[str, str]:
        try:
            found, label = names.find(str(sampler or names.SAMPLERS[0].name), names.AUTOMATIC)
        except ParameterError:
            found, label = names.SAMPLERS[0], names.AUTOMATIC
            self._miss(field, sampler, f"There is no sampler “{sampler:.60}” here: {found.name} is used.")
        if label == names.AUTOMATIC and schedule:
            _, label = names.read_pasted(found.name, schedule, keep_automatic=True)
            if label == names.AUTOMATIC and schedule != names.AUTOMATIC:
                self._miss(
                    field.replace("sampler", "schedule"),
                    schedule,
                    f"There is no schedule “{schedule:.60}” here: Automatic is used.",
                )
        return found.name, names.AUTOMATIC if label == found.schedule else label

    def _miss(self, field: str, said: object, text: str) -> None:
        self.misfits.append(Misfit(field, str(said), text))


def _typed(field: str, said: object, key: str) -> Any:
    """The text as the field's kind; what cannot be turned into it stays as it is, and is refused by `check`."""
    kind, text = type(params.default(field)), str(said)
    if kind is bool:
        return {"true": True, key.lower(): True, "false": False}.get(text.lower(), text)
    if kind is int or kind is float:
        try:
            number = float(text)
            exact = int(text) if text.strip().lstrip("+-").isdecimal() else number
        except ValueError:
            return text
        if not math.isfinite(number):
            return text
        return exact if kind is float or isinstance(exact, int) or not exact.is_integer() else int(exact)
    return text


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
