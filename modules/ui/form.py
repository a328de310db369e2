"""The txt2img form as data: which fields it has, what they hold at first, what a browser remembers of them.

A browser remembers only the fields its user changed. All others follow the model in use, so that switching from a
small model to a large one changes the size with it, and never overrules a size that somebody chose.
"""

from collections.abc import Mapping
from typing import Any

from modules import params
from modules.errors import ParameterError
from modules.params import SAME_SAMPLER, SAME_SCHEDULE, Txt2ImgParams
from modules.samplers import names
from modules.script_params import ScriptParams
from modules.ui.sections import SECTIONS

FIELDS = (
    "prompt",
    "negative_prompt",
    "sampler",
    "schedule",
    "steps",
    "width",
    "height",
    "batch_count",
    "batch_size",
    "cfg_scale",
    "seed",
    "styles",
    *(field for section in SECTIONS for field in section.fields),
)
FROM_MODEL = ("sampler", "schedule", "steps", "width", "height", "cfg_scale")  # what a model may recommend
CHOICES = {
    "sampler": names.sampler_names(),
    "schedule": names.schedule_names(),
    "hr_sampler": [SAME_SAMPLER, *names.sampler_names()],
    "hr_schedule": [SAME_SCHEDULE, *names.schedule_names()],
}
SCRIPT_FIELDS = tuple(ScriptParams.__dataclass_fields__)
SEEDS = ("seed", "subseed")  # typed into text boxes: a number in the browser has no more than 53 bits

_EMPTIED = ("sigma_min", "sigma_max", "rho")  # boxes where nothing typed means 0: as usual
_ELEMENTS = {  # ids that A1111's user scripts know and that do not follow the rule
    "negative_prompt": "txt2img_neg_prompt",
    "sampler": "txt2img_sampling",
    "schedule": "txt2img_scheduler",
    "enable_hr": "txt2img_enable_hr",
    "vae": "setting_sd_vae",
    "clip_skip": "setting_CLIP_stop_at_last_layers",
}


def element_id(field: str) -> str:
    """The id of a field's control in the page."""
    if field in SCRIPT_FIELDS:
        return "script_list" if field == "script" else f"script_txt2img_{field}"
    return _ELEMENTS.get(field, f"txt2img_{field}")


def to_params(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> Txt2ImgParams:
    """The parameters of a run, from what the page sends for each of `FIELDS`.

    Args:
        values: a slider may send 20.0 for 20, and the seed is a text: a number in the browser has no more than 53 bits.
        defaults: fields that are settings and not on the page.

    Raises:
        ParameterError: a value that cannot be used, naming the field.
    """
    return Txt2ImgParams(**{**defaults, **{name: _typed(name, value) for name, value in values.items()}})


def shown_values(
    remembered: Any, recommended: Mapping[str, Any], settings: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What each control is to show.

    Args:
        remembered: field name to value, as a browser kept it, perhaps since another version; what cannot be used
            is passed over.
        recommended: values of the model in use.
        settings: defaults that are settings.
    """
    shown = {name: params.default(name) for name in FIELDS} | {k: v for k, v in recommended.items() if k in FROM_MODEL}
    shown |= {name: value for name, value in (settings or {}).items() if name in FIELDS}
    if isinstance(remembered, dict):
        shown |= {name: value for name, value in remembered.items() if _is_usable(name, value)}
    return shown | {name: str(shown[name]) for name in SEEDS} | {"styles": list(shown["styles"])}


def usable(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of the page, each as it would be used, or the field's default as long as it cannot be."""
    return {name: or_default(name, value) for name, value in values.items()}


def or_default(name: str, value: Any) -> Any:
    """A value that is being typed, or the field's default as long as it cannot be used: an empty box, 5000 steps."""
    return _typed(name, value) if _is_usable(name, value) else params.default(name)


def _is_usable(name: Any, value: Any) -> bool:
    if name not in FIELDS or (name in CHOICES and value not in CHOICES[name]):
        return False
    try:
        Txt2ImgParams(**{name: _typed(name, value)})
    except ParameterError:
        return False
    return True


def _typed(name: str, value: Any) -> Any:
    if name in SEEDS:
        return _seed(name, value)
    if name == "styles" and isinstance(value, list):
        return tuple(value)
    if value is None and (name == "styles" or name in _EMPTIED):
        return params.default(name)
    if isinstance(params.default(name), int) and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _seed(field: str, value: Any) -> int:
    """A seed typed into a text box; an empty box means a random one."""
    text = str(value).strip() if value is not None else ""
    try:
        return int(text) if text else params.RANDOM
    except ValueError:
        raise ParameterError(
            field,
            f"{params.control(field).label} “{text:.30}” is no whole number: type one, or -1 for a random one.",
        ) from None
