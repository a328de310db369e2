"""`options`: the settings by A1111's keys, read and changed."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from modules.api import errors, table
from modules.api.errors import Json
from modules.api.host import Host
from modules.errors import ParameterError
from modules.settings import Settings

CHECKPOINT, CHECKPOINT_HASH = "sd_model_checkpoint", "sd_checkpoint_hash"
LONGEST_OTHER = 20_000  # bytes of JSON of one value that means nothing here
MOST_OTHERS = 2_000

# What programs look up and what cannot be another way here.
_FIXED = {"samples_format": "png", "grid_format": "png", "samples_save": True}


def sort_out(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings by our names out of what was sent by A1111's keys, and the keys that mean nothing here.

    Whole numbers may be written as 2.0.

    Raises:
        HTTPException: 403, a setting that only somebody at the machine may change.
    """
    fields = {field.metadata["key"]: field for field in dataclasses.fields(Settings) if "key" in field.metadata}
    known, others = {}, {}
    for key, value in values.items():
        if key in table.RESTRICTED:
            raise errors.refuse(403, f"{key} is changed in config.json, by somebody at the machine.")
        field = fields.get(key)
        if field is None:
            others[key] = value
            continue
        whole = isinstance(value, float) and value.is_integer() and type(field.default) is int
        known[field.name] = int(value) if whole else value
    return known, others


def changed(settings: Settings, values: Mapping[str, Any]) -> Settings:
    """The settings with these values, by our names.

    Raises:
        ParameterError: a value that cannot be used, naming A1111's key.
    """
    try:
        return settings.changed(**values)
    except ParameterError as error:
        key = Settings.__dataclass_fields__[error.field].metadata["key"]
        raise ParameterError(key, f"{key}: {error}") from error


def add_routes(router: APIRouter, host: Host) -> None:
    app = host.app

    @router.get("/sdapi/v1/options")
    def get_options() -> dict[str, Any]:
        """All settings by their keys, those that mean nothing here included."""
        settings = app.settings
        stored = {field.metadata["key"]: getattr(settings, field.name) for field in _fields()}
        title = app.model_state.checkpoint or settings.checkpoint
        sha256 = next((found.sha256 for found in app.checkpoints() if title and found.title == title), "")
        return {**_FIXED, **settings.other, **stored, CHECKPOINT: title or None, CHECKPOINT_HASH: sha256 or None}

    @router.post("/sdapi/v1/options", response_model=None)
    async def set_options(values: dict[str, Any]) -> Response:
        """Change some settings. Keys that mean nothing here are kept, and named in the header X-Without-Effect."""
        known, others = sort_out(values)
        title = known.pop("checkpoint", None)
        for key in (CHECKPOINT_HASH, *_FIXED):
            others.pop(key, None)  # programs send back what they were given
        changed(app.settings, known)  # refused before anything is done
        _check_others(app.settings.other, others)
        if title is not None:
            await _select(host, title)
        await host.in_thread(lambda: app.change_settings(**known, other={**app.settings.other, **others}))
        return Json(None, headers={"x-without-effect": _header(others)} if others else None)


def _fields() -> list[dataclasses.Field[Any]]:
    return [field for field in dataclasses.fields(Settings) if "key" in field.metadata]


async def _select(host: Host, title: Any) -> None:
    """Load another checkpoint and wait for it; the one in use is left as it is."""
    if not isinstance(title, str):
        raise ParameterError(CHECKPOINT, f"{CHECKPOINT} must be the title of a checkpoint, see sd-models.")
    if title in ("", host.app.model_state.checkpoint):
        return
    job = await host.in_thread(lambda: host.app.select_checkpoint(title, host.owner))
    await host.end_of(job)


def _check_others(there: Mapping[str, Any], others: Mapping[str, Any]) -> None:
    for key, value in others.items():
        if len(key) > 200 or len(json.dumps(value)) > LONGEST_OTHER:
            raise errors.refuse(422, f"“{key[:60]}” means nothing here, and is too long to be kept.")
    if len({**there, **others}) > MOST_OTHERS:
        raise errors.refuse(422, f"More than {MOST_OTHERS} settings mean nothing here: no more of them are kept.")


def _header(others: Mapping[str, Any]) -> str:
    """Keys as a header can hold them."""
    return ", ".join(key.encode("unicode_escape").decode() for key in list(others)[:20])[:1000]
