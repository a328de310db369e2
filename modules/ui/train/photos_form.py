"""The fields of step ②: A1111's labels and ids, in folded groups whose titles say what is set inside."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import gradio as gr

from modules.params import Control
from modules.preprocess_params import PreprocessParams

_IDS = {  # A1111's own, where they do not follow the rule
    "source": "train_process_src",
    "destination": "train_process_dst",
    "caption_action": "train_preprocess_txt_action",
    "auto_sized_crop": "train_process_multicrop",
    "dimension_lower": "train_process_multicrop_mindim",
    "dimension_upper": "train_process_multicrop_maxdim",
    "area_lower": "train_process_multicrop_minarea",
    "area_upper": "train_process_multicrop_maxarea",
    "objective": "train_process_multicrop_objective",
    "error_threshold": "train_process_multicrop_threshold",
    "face_weight": "train_process_focal_crop_face_weight",
    "entropy_weight": "train_process_focal_crop_entropy_weight",
    "edges_weight": "train_process_focal_crop_edges_weight",
    "focal_debug": "train_process_focal_crop_debug",
    "blip": "train_process_caption",
}
WIDE = ("source", "destination")

PARTS = ("focal_crop", "split", "auto_sized_crop")  # tools with fields of their own, shown while they are on

RATIOS = {"1:1 square": (1, 1), "4:5 upright": (4, 5), "2:3 upright": (2, 3), "3:2 wide": (3, 2), "16:9 wide": (16, 9)}
FREE = "as below"
SIZE_OF_MODEL = "Size: that of the model, which is being loaded"
SIZE_LATER = "As soon as the model is known, its size stands here, and another one can be chosen."
SIZE = {"width", "height"}


def element_id(field: str) -> str:
    """The id of a field's control in the page."""
    return _IDS.get(field, f"train_process_{field}")


def control_of(field: str) -> Control:
    """Label, range and help of a field."""
    return PreprocessParams.__dataclass_fields__[field].metadata["control"]


def make_control(field: str, **options: Any) -> Any:
    """The control of a field, made from its range."""
    control = control_of(field)
    default = PreprocessParams.__dataclass_fields__[field].default
    given = {"value": default, "label": control.label, "info": control.info or None, "elem_id": element_id(field)}
    given |= options
    if control.choices:
        return gr.Dropdown(list(control.choices), **given)
    if isinstance(default, bool):
        return gr.Checkbox(**given)
    if isinstance(default, str):
        return gr.Textbox(max_lines=1, **given)
    assert control.minimum is not None
    assert control.maximum is not None
    return gr.Slider(control.minimum, control.maximum, step=control.step, buttons=[], **given)


def to_params(values: Mapping[str, Any]) -> PreprocessParams:
    """The parameters that the controls show.

    Args:
        values: a slider may send 512.0 for 512.

    Raises:
        ParameterError: a value that cannot be used, naming the field.
    """
    return PreprocessParams(**{name: _typed(name, value) for name, value in values.items()})


def shown_values(params: PreprocessParams) -> dict[str, Any]:
    """What each control is to show."""
    return dataclasses.asdict(params)


def set_by_hand(
    values: Mapping[str, Any], shown: PreprocessParams, before: Mapping[str, Any], has_size: bool
) -> dict[str, Any]:
    """What somebody has set in the form while no folder is open, by field name; width and height are one decision.

    Args:
        values: of all controls, as the page sends them.
        shown: what the form has shown by itself, or as it was set.
        before: what was set by hand until then.
        has_size: the controls of the size can be seen.

    Raises:
        ParameterError: a value that cannot be used, naming the field.
    """
    sent = {name: value.strip() if isinstance(value, str) else value for name, value in values.items()}
    now = to_params({**sent, "source": ""})
    chosen = {*before, *(name for name in values if getattr(now, name) != getattr(shown, name))} - {"source"}
    if chosen & SIZE:
        chosen |= SIZE
    return {name: getattr(now, name) for name in chosen if has_size or name in before or name not in SIZE}


def ratio_of(width: int, height: int) -> str:
    """The name of a ratio, as far as it has one."""
    return next((name for name, (w, h) in RATIOS.items() if w * height == h * width), FREE)


def height_for(name: str, width: int) -> int | None:
    """The height on the grid of 8 pixels that gives a width that ratio; None if the height is free."""
    if name not in RATIOS:
        return None
    w, h = RATIOS[name]
    control = control_of("height")
    assert control.minimum is not None
    assert control.maximum is not None
    return int(min(max(round(width * h / w / 8) * 8, control.minimum), control.maximum))


def size_title(width: int, height: int) -> str:
    """What the folded group of the size says."""
    return f"Size: {width}×{height}"


def group_titles(params: PreprocessParams) -> dict[str, str]:
    """What the folded groups say about what is set inside."""
    focal = "around what matters most" if params.focal_crop else "the middle"
    more = [
        label
        for on, label in (
            (params.split, "split"),
            (params.auto_sized_crop, "auto-sized"),
            (params.keep_original_size, "original size"),
            (params.flip, "flipped copies"),
        )
        if on
    ]
    return {
        "size": size_title(params.width, params.height),
        "crop": f"Crop: {focal}",
        "tools": f"More tools: {', '.join(more) or 'off'}",
        "blip": f"Captions by BLIP: {'when written' if params.blip else 'off'}",
    }


def _typed(name: str, value: Any) -> Any:
    default = PreprocessParams.__dataclass_fields__[name].default
    if isinstance(default, str) and value is None:
        return ""
    whole = isinstance(default, int) and not isinstance(default, bool) and isinstance(value, float)
    return int(value) if whole and value.is_integer() else value
