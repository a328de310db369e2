"""What one run is made from, and the ranges that page, API and command line share.

Each field carries its label, range and help text; a front end makes its control from the field. Checking happens
once, when the object is made.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

from modules.errors import ParameterError

EMPHASIS_CHOICES = ("Original", "No norm", "Ignore", "None")


@dataclass(frozen=True)
class Control:
    """How a field is shown and checked: numbers lie within `minimum` … `maximum` on a grid of `step`."""

    label: str
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    choices: tuple[str, ...] = ()
    info: str = ""


def parameter(default: Any, label: str, **control: Any) -> Any:
    """A dataclass field with its control: `steps: int = parameter(20, "Sampling steps", minimum=1, maximum=150)`."""
    return dataclasses.field(default=default, metadata={"control": Control(label, **control)})


@dataclass(frozen=True)
class Txt2ImgParams:
    """Everything that decides the pixels of a txt2img run, besides model and embeddings.

    Raises:
        ParameterError: a value outside its range, naming the field.

    Source of names, labels and ranges: A1111 v1.10 (its API calls batch_count `n_iter`, schedule `scheduler`).
    """

    prompt: str = parameter("", "Prompt")
    negative_prompt: str = parameter("", "Negative prompt")
    sampler: str = parameter("DPM++ 2M", "Sampling method")
    schedule: str = parameter("Automatic", "Schedule type")
    steps: int = parameter(20, "Sampling steps", minimum=1, maximum=150, step=1)
    width: int = parameter(512, "Width", minimum=64, maximum=2048, step=8)
    height: int = parameter(512, "Height", minimum=64, maximum=2048, step=8)
    batch_count: int = parameter(1, "Batch count", minimum=1, maximum=100, step=1)
    batch_size: int = parameter(1, "Batch size", minimum=1, maximum=8, step=1)
    cfg_scale: float = parameter(7.0, "CFG Scale", minimum=1.0, maximum=30.0, step=0.5)
    seed: int = parameter(-1, "Seed", minimum=-1, maximum=2**63 - 1)
    clip_skip: int = parameter(1, "Clip skip", minimum=1, maximum=12, step=1)
    emphasis: str = parameter("Original", "Emphasis mode", choices=EMPHASIS_CHOICES)
    comma_backtrack: int = parameter(20, "Prompt word wrap length limit", minimum=0, maximum=74, step=1)
    pad_conds: bool = parameter(False, "Pad prompt/negative prompt")
    a1111_exact: bool = parameter(False, "Prompt rules: A1111 exact")
    old_timelines: bool = parameter(False, "Old prompt editing timelines")
    preview_every: int = parameter(1, "Live preview every N steps, 0 = off", minimum=0, maximum=150, step=1)

    def __post_init__(self) -> None:
        check_all(self)
        for name in ("width", "height"):
            if getattr(self, name) % 8:
                raise ParameterError(name, f"{name.capitalize()} {getattr(self, name)} is not a multiple of 8.")


def control(name: str) -> Control:
    """The control of the field `name` of `Txt2ImgParams`."""
    return Txt2ImgParams.__dataclass_fields__[name].metadata["control"]


def default(name: str) -> Any:
    """The default of the field `name` of `Txt2ImgParams`."""
    return Txt2ImgParams.__dataclass_fields__[name].default


def check_all(params: Any) -> None:
    """Check every field of a dataclass made of `parameter`s.

    Raises:
        ParameterError: naming the first field that cannot be used.
    """
    for field in dataclasses.fields(params):
        check(field.name, getattr(params, field.name), type(field.default), field.metadata["control"])


def check(name: str, value: Any, kind: type, control: Control) -> None:
    """Refuse a value of another kind (int is a float too, bool is no number), out of range or not among the choices.

    Raises:
        ParameterError: naming `name`, the value and what is allowed.
    """
    accepted, in_words = _ACCEPTED[kind]
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        raise ParameterError(name, f"{control.label} must be {in_words}, not {value!r:.60}.")
    if control.choices and value not in control.choices:
        choices = ", ".join(control.choices)
        raise ParameterError(name, f"{control.label} {value!r:.60} is unknown: choose one of {choices}.")
    if control.minimum is not None and control.maximum is not None and not control.minimum <= value <= control.maximum:
        raise ParameterError(name, f"{control.label} {value} lies outside {control.minimum:g} … {control.maximum:g}.")


_ACCEPTED: dict[type, tuple[tuple[type, ...], str]] = {
    str: ((str,), "text"),
    bool: ((bool,), "yes or no"),
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
}
