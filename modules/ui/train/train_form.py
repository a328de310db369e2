"""The fields of step ③: A1111's labels and ids, made from `TrainParams`; presets; what a browser remembers of them."""

from collections.abc import Mapping
from typing import Any

import gradio as gr
from markupsafe import Markup

from modules.errors import ParameterError
from modules.samplers import names
from modules.training_params import PRESETS, TrainParams, advise, control, default

VISIBLE = ("embedding", "data_root", "steps", "learning_rate", "template")
GROUPS = {  # folded, in the order of decision
    "photos": (
        "width", "height", "varsize", "latent_sampling_method", "use_weight", "held_out", "filename_word_regex",
        "filename_join_string",
    ),
    "batch": (
        "batch_size", "gradient_step", "clip_grad_mode", "clip_grad_value", "shuffle_tags", "tag_drop_out", "clip_skip",
        "seed", "gradient_checkpointing",
    ),
    "learning": (
        "rate_decay", "relative_rate", "timestep_sampling", "loss_weighting", "averaging", "keep_length",
        "equal_pull", "small_first",
    ),
    "samples": (
        "create_image_every", "save_embedding_every", "save_image_with_stored_embedding", "held_out_every",
        "save_state_every", "write_csv_every", "file_format", "log_directory",
    ),
    "preview": (
        "preview_prompt", "preview_negative_prompt", "preview_steps", "preview_sampler", "preview_cfg_scale",
        "preview_seed", "preview_width", "preview_height",
    ),
}  # fmt: skip
FIELDS = (*VISIBLE, *(name for group in GROUPS.values() for name in group))
FROM_TXT2IMG = {  # field of the preview: field of the txt2img form
    "preview_prompt": "prompt",
    "preview_negative_prompt": "negative_prompt",
    "preview_steps": "steps",
    "preview_sampler": "sampler",
    "preview_cfg_scale": "cfg_scale",
    "preview_seed": "seed",
    "preview_width": "width",
    "preview_height": "height",
}
CARDS = {
    "face": "A person or an animal, from 10 to 30 photos.",
    "object": "A thing, mostly the same from photo to photo.",
    "style": "How pictures are made, whatever they show.",
    "as in A1111": "Its own defaults, for those who know them.",
}
assert set(CARDS) == set(PRESETS)

_IDS = {  # A1111's own, where they do not follow the rule
    "embedding": "train_embedding",
    "learning_rate": "train_embedding_learn_rate",
    "data_root": "train_dataset_directory",
    "template": "train_template_file",
    "width": "train_training_width",
    "height": "train_training_height",
    "use_weight": "use_weight",
}
_COST = (
    "embedding", "data_root", "width", "height", "varsize", "batch_size", "gradient_step", "gradient_checkpointing",
    "small_first",
)  # fmt: skip
FOLLOWED = (  # what titles and the estimate say something about
    "steps", *_COST, "held_out", "shuffle_tags", "tag_drop_out", "clip_grad_mode", "rate_decay", "timestep_sampling",
    "averaging", "keep_length", "equal_pull", "loss_weighting", "create_image_every", "save_embedding_every",
    "preview_prompt", "preview_steps",
)  # fmt: skip
_SEEDS = ("seed", "preview_seed")  # text boxes: a number in the browser has no more than 53 bits
_LARGEST_SLIDER = 4096


def element_id(field: str) -> str:
    """The id of a field's control in the page."""
    return _IDS.get(field, f"train_{field}")


def make_control(field: str, **options: Any) -> Any:
    """The control of a field, made from its range."""
    about, value = control(field), default(field)
    given = {"value": value, "label": about.label, "info": about.info or None, "elem_id": element_id(field), **options}
    if "choices" in options or about.choices or field == "preview_sampler":
        choices = {"choices": list(about.choices) or names.sampler_names(), **given}
        return gr.Dropdown(**choices)
    if isinstance(value, bool):
        return gr.Checkbox(**given)
    if isinstance(value, str) or field in _SEEDS:
        return gr.Textbox(**{**given, "value": str(given["value"])}, max_lines=1)
    assert about.minimum is not None
    assert about.maximum is not None
    if about.maximum > _LARGEST_SLIDER:
        return gr.Number(precision=0, **given)
    return gr.Slider(about.minimum, about.maximum, step=about.step, buttons=[], **given)


def pointer(field: str) -> Markup:
    """What stands at the button when a field is refused: the way to it. The reason stands beside the field alone."""
    link = Markup(
        '<p class="notice bad" role="alert" data-about="{0}"><a href="#{0}">{1}</a> needs another value: see there.</p>'
    )
    return link.format(element_id(field), control(field).label)


def group_titles(values: Mapping[str, Any]) -> dict[str, str]:
    """What the folded parts say about what is set inside.

    Args:
        values: of the form, as the page sends them; what is missing or cannot be used counts as its default.
    """
    v = {field: values[field] if _is_usable(field, values.get(field)) else default(field) for field in FIELDS}
    batch = f"{v['batch_size']}" + (f" × {v['gradient_step']}" if v["gradient_step"] != 1 else "")
    tags = [
        *(["shuffled tags"] if v["shuffle_tags"] else []),
        *([f"{v['tag_drop_out']:.0%} of tags left out"] if v["tag_drop_out"] else []),
        *([f"clipping by {v['clip_grad_mode']}"] if v["clip_grad_mode"] != "disabled" else []),
    ]
    size = "as they are" if v["varsize"] else f"{v['width']}×{v['height']}"
    learning = [
        *([f"{v['rate_decay']} decay"] if v["rate_decay"] != "none" else []),
        f"{v['timestep_sampling']} timesteps",
        *(["averaged"] if v["averaging"] else []),
        *(["lengths kept"] if v["keep_length"] else []),
        *(["equal pull"] if v["equal_pull"] else []),
        *([v["loss_weighting"]] if v["loss_weighting"] != "none" else []),
        *([f"{v['small_first']:.0%} small"] if v["small_first"] else []),
    ]
    prompt = "as set below" if v["preview_prompt"] else "first line of the template"
    return {
        "photos": f"Photos: {size}, {v['held_out'] or 'none'} set aside",
        "batch": f"Batch: {', '.join([batch, *tags])}",
        "learning": f"How it learns: {', '.join(learning)}",
        "samples": f"Samples: {_every(v['create_image_every'])}, copies {_every(v['save_embedding_every'])}",
        "preview": f"Prompt of the samples: {prompt}, {v['preview_steps']} steps",
    }


def cost_of(values: Mapping[str, Any]) -> tuple[str, ...]:
    """What the time and memory of a step depend on, as the page sends it."""
    return tuple(str(values.get(name)) for name in _COST)


def to_params(values: Mapping[str, Any]) -> TrainParams:
    """The parameters of a run, from what the page sends for some of `FIELDS`.

    Raises:
        ParameterError: a value that cannot be used, naming the field.
    """
    return TrainParams(**{name: _typed(name, value) for name, value in values.items()})


def advised(photo_count: int, preset: str, native_size: tuple[int, int]) -> tuple[dict[str, Any], dict[str, str]]:
    """Values that suit the photos, and the reason for each.

    Args:
        photo_count: 0: not known yet, so twenty.
        preset: an unknown one counts as “face”.
        native_size: (width, height) that the model was made for; (0, 0) while there is none.

    Returns:
        the same fields for every preset: what one of them leaves alone has its default.
    """
    size = native_size if all(native_size) else (default("width"), default("height"))
    advice = advise(photo_count or 20, preset if preset in PRESETS else "face", size)
    names = {name for other in PRESETS for name in advise(20, other).values}
    fields = [name for name in FIELDS if name in names]
    values = {name: advice.values.get(name, default(name)) for name in fields}
    return values, {name: advice.reasons.get(name) or control(name).info for name in fields}


def remembered_values(remembered: Any) -> dict[str, Any]:
    """What a browser kept of the form, perhaps since another version; what cannot be used is passed over."""
    if not isinstance(remembered, dict):
        return {}
    return {name: _shown(name, value) for name, value in remembered.items() if _is_usable(name, value)}


def _every(steps: Any) -> str:
    return f"every {steps:.0f} steps" if steps else "none"


def _is_usable(name: Any, value: Any) -> bool:
    if name not in FIELDS or name in ("embedding", "data_root") or value is None:
        return False
    try:
        to_params({name: value})
    except ParameterError:
        return False
    return True


def _shown(name: str, value: Any) -> Any:
    return str(value) if name in _SEEDS else value


def _typed(name: str, value: Any) -> Any:
    kind = default(name)
    if isinstance(kind, bool):
        return value
    if isinstance(kind, str):
        return value.strip() if isinstance(value, str) and name != "filename_join_string" else value or ""
    if value is None or value == "":
        raise ParameterError(name, f"{control(name).label} is empty: type a number.")
    if isinstance(kind, int):
        return _whole(name, value)
    return value


def _whole(name: str, value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            raise ParameterError(name, f"{control(name).label} “{value:.30}” is no whole number.") from None
    return value
