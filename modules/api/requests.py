"""What may be sent, as pydantic models made from the dataclasses: a field added there can be sent at once.

Ranges stand in the models for their readers only; the dataclass checks them, with a sentence. `null` is the same as
saying nothing. Fields that nobody knows are passed over, as in A1111; the answer names them.
"""

import dataclasses
import typing
from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Any

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from modules.api import table
from modules.api.route import MAX_BODY
from modules.params import Control, Txt2ImgParams
from modules.training_params import TrainParams

LONGEST_TEXT = 1_000_000  # letters of one text
_RECOMMENDED = "If it is not sent, what the file of the checkpoint that draws recommends goes before the default."


def _switch(default: bool, words: str) -> Any:
    return (bool | None, Field(None, description=words, json_schema_extra={"default": default}))


class _Lenient(BaseModel):
    model_config = ConfigDict(
        extra="allow",
        protected_namespaces=(),
        str_max_length=LONGEST_TEXT,
        coerce_numbers_to_str=True,  # programs send a learn_rate of 0.005; A1111 takes it
    )


def _schema(kind: Any, default: Any, control: Control, on_grid: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"default": default} if default is not None else {}
    if control.choices:
        found["enum"] = [*control.choices, None]
    if on_grid and control.minimum is not None and int in typing.get_args(kind) and control.step and control.step > 1:
        found["multipleOf"] = control.step
    return found | (dict(zip(("minimum", "maximum"), control.taken, strict=True)) if control.taken else {})


def _fields_of(
    kind: type,
    names: Mapping[str, str],
    on_grid: bool = False,
    defaults: Mapping[str, Any] | None = None,
    recommended: Collection[str] = (),
) -> dict[str, Any]:
    """pydantic's description of the fields of a dataclass made of `parameter`s, by A1111's names.

    Args:
        on_grid: whether whole numbers have to be multiples of their step.
        defaults: that differ from the dataclass's, by our names.
        recommended: fields that the file of a checkpoint may recommend.
    """
    defaults = defaults or {}
    hints = typing.get_type_hints(kind)
    found: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        control: Control = field.metadata["control"]
        optional = hints[field.name] | None
        extra = _schema(optional, defaults.get(field.name, field.default), control, on_grid)
        words = f"{control.info} {_RECOMMENDED}".strip() if field.name in recommended else control.info
        described = Field(None, title=control.label, description=words or None, json_schema_extra=extra)
        found[table.theirs(names, field.name)] = (optional, described)
    return found


_FORM = _fields_of(Txt2ImgParams, table.TXT2IMG, defaults=table.TXT2IMG_DEFAULTS, recommended=table.RECOMMENDED)
_FORM["comments"] = (bool | dict[str, Any] | None, _FORM["comments"][1])  # A1111 has an object of that name

Txt2ImgRequest = create_model(
    "Txt2ImgRequest",
    __base__=_Lenient,
    **_FORM,
    seed_enable_extras=_switch(True, "false: no variation, and no seed of another size, whatever is said of them."),
    sampler_index=(str | None, Field(None, description="An older name of sampler_name, which wins over it.")),
    eta=(float | None, Field(None, description="Fresh noise per step, whichever sampler is used.")),
    override_settings=(
        dict[str, Any] | None,
        Field(None, description="Settings for this request alone, by their keys in `options`."),
    ),
    override_settings_restore_afterwards=_switch(True, "false: a checkpoint chosen by override_settings stays."),
    script_name=(str | None, Field(None, description="One of `scripts`.")),
    script_args=(list[Any] | None, Field(None, description="Its values, in the order of `script-info`.")),
    alwayson_scripts=(
        dict[str, Any] | None,
        Field(None, description="Refiner, Seed and Sampler: fields of this request in another way."),
    ),
    send_images=_switch(True, "Answer with the pictures."),
    save_images=_switch(False, "Save them in outputs/."),
    do_not_save_samples=_switch(False, "Save no picture, whatever save_images says."),
    do_not_save_grid=_switch(False, "No overview: neither saved nor sent."),
    force_task_id=(str | None, Field(None, description="A name for the job, see `jobs`.", max_length=200)),
    infotext=(str | None, Field(None, description="Parameters of a picture: for all fields that are not set.")),
    firstpass_image=(
        Annotated[str | None, Field(max_length=MAX_BODY)],
        Field(None, description="With enable_hr: a picture as base64 that stands for the first pass."),
    ),
)

TrainRequest = create_model(
    "TrainRequest",
    __base__=_Lenient,
    **_fields_of(TrainParams, table.TRAIN, on_grid=True),
    id_task=(str | None, Field(None, description="A name for the job, see `jobs`.", max_length=200)),
    preview_from_txt2img=_switch(True, "Draw samples with the preview_… values."),
)


class CreateRequest(_Lenient):
    """A new embedding."""

    name: str = Field(description="The word for the prompt.")
    num_vectors_per_token: int | None = Field(None, json_schema_extra={"default": 1, "minimum": 1, "maximum": 75})
    overwrite_old: bool | None = Field(None, json_schema_extra={"default": False})
    init_text: str | None = Field(None, json_schema_extra={"default": "*"})


class PngInfoRequest(_Lenient):
    """A picture to read."""

    model_config = ConfigDict(str_max_length=None)

    image: str = Field(description="A picture's file as base64, with or without `data:image/png;base64,`.")


class ProgressRequest(_Lenient):
    """How far is a job?"""

    id_task: str | None = Field(None, description="Its name or id.", max_length=200)
    id_live_preview: int | None = Field(None, description="The preview seen last; the same one is not sent again.")
    live_preview: bool | None = Field(None, json_schema_extra={"default": True})


def given(body: BaseModel) -> dict[str, Any]:
    """What a request says, by A1111's names; `null` says nothing."""
    return {name: value for name, value in body.model_dump(exclude_unset=True).items() if value is not None}


def unknown(kind: type[BaseModel], asked: Iterable[str]) -> list[str]:
    """The fields of a request that nobody knows here: they have no effect."""
    return [name for name in asked if name not in kind.model_fields]


def checked(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values for fields of a txt2img request that came in another way, as if they had been sent by name.

    Raises:
        RequestValidationError: a value of another kind.
    """
    try:
        return given(Txt2ImgRequest(**values))
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from error


def ours(kind: type, names: Mapping[str, str], values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a request's values that are fields of a dataclass, by our names."""
    theirs = {field.name: table.theirs(names, field.name) for field in dataclasses.fields(kind)}
    return {name: values[key] for name, key in theirs.items() if key in values}
