"""`options`: the settings by A1111's keys, read and changed."""

import contextlib
import dataclasses
import json
import urllib.parse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from modules import params
from modules.api import errors, table
from modules.api.errors import Json
from modules.api.host import Host
from modules.app import App
from modules.errors import ParameterError
from modules.model.vae import AUTOMATIC, VaeFile, choose_vae
from modules.settings import Settings, as_ours

CHECKPOINT, CHECKPOINT_HASH = "sd_model_checkpoint", "sd_checkpoint_hash"
LONGEST_OTHER = 20_000  # bytes of JSON of one value that means nothing here
MOST_OTHERS = 2_000

# What programs look up and what cannot be another way here.
_FIXED = {"samples_save": True}

_FORM_KEYS = (*table.FORM_SETTINGS, *table.FORM_CHOICES, *table.FORM_SWITCHES)
_FILES = (CHECKPOINT, "sd_vae")  # they name a file that is there, whatever its name holds


@dataclass(frozen=True)
class Sorted:
    """What was sent by A1111's keys, sorted out.

    Attributes:
        settings: ours, by our names.
        form: values of fields of the form, by our names.
        others: what means nothing here, by A1111's keys.
        withheld: keys of settings that a program would change and only somebody at the machine may.
    """

    settings: dict[str, Any]
    form: dict[str, Any]
    others: dict[str, Any]
    withheld: list[str]


def sort_out(values: Mapping[str, Any], now: Settings) -> Sorted:
    """Sort what was sent. Whole numbers may be written as 2.0.

    Args:
        now: the settings in force.

    Raises:
        ParameterError: a value that cannot be used, naming A1111's key; those of `settings` are not looked at.
    """
    fields = {field.metadata["key"]: field for field in _fields()}
    found = Sorted({}, {}, {}, [])
    for key, value in values.items():
        if key in table.RESTRICTED:
            name = fields[key].name
            found.withheld.extend([] if as_ours(name, value) == getattr(now, name) else [key])
        elif key in fields:
            found.settings[fields[key].name] = as_ours(fields[key].name, value)
        elif key in table.FORM_SETTINGS:
            name = table.FORM_SETTINGS[key]
            found.form[name] = _checked(key, name, _typed(value, params.default(name)))
        elif key in table.FORM_CHOICES:
            name, meant = table.FORM_CHOICES[key]
            if not isinstance(value, str) or value not in meant:
                raise ParameterError(key, f"{key} {value!r:.60} is unknown: choose one of {', '.join(meant)}.")
            found.form[name] = meant[value]
        elif key in table.FORM_SWITCHES:
            if not isinstance(value, bool):
                raise ParameterError(key, f"{key} is true or false, not {value!r:.60}.")
            found.form.update(table.FORM_SWITCHES[key] if value else {})
        else:
            found.others[key] = value
    return found


def form_defaults(app: App) -> dict[str, Any]:
    """Fields of the form as the settings have them. What cannot be used is left out: settings brought along may name
    anything."""
    found, other = app.drawing.form_defaults(), app.settings.other
    for key, name in table.FORM_SETTINGS.items():
        if key in other:
            with contextlib.suppress(ParameterError):
                found[name] = _checked(key, name, _typed(other[key], params.default(name)))
    for key, meant in table.FORM_SWITCHES.items():
        found |= meant if other.get(key) is True else {}
    for key, (name, meant) in table.FORM_CHOICES.items():
        if isinstance(other.get(key), str) and other[key] in meant:
            found[name] = meant[other[key]]
    return found


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


def check_vae(name: str, vaes: Sequence[VaeFile]) -> None:
    """Refuse a VAE that is not here.

    Raises:
        ParameterError: with A1111's key.
    """
    try:
        choose_vae(name, vaes, None)
    except ParameterError as error:
        raise ParameterError("vae", f"sd_vae: {error}") from error


def _typed(value: Any, default: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() and type(default) is int else value


def _checked(key: str, name: str, value: Any) -> Any:
    try:
        params.check(name, value, type(params.default(name)), params.control(name))
    except ParameterError as error:
        raise ParameterError(key, f"{key}: {error}") from error
    return value


def add_routes(router: APIRouter, host: Host) -> None:
    app = host.app

    @router.get("/sdapi/v1/options")
    def get_options() -> dict[str, Any]:
        """All settings by their keys, those that mean nothing here included."""
        return _told(app)

    @router.post("/sdapi/v1/options", response_model=None)
    async def set_options(values: dict[str, Any]) -> Response:
        """Change some settings. What is sent as it was read changes nothing. Another checkpoint is in use when the
        answer comes; while a training run needs its model, 409 says so at once, and nothing is changed. Keys that mean
        nothing here are kept, and named in the header X-Without-Effect; so are limits of this server and patterns of
        file names that differ, which stay as they are."""
        new = _changes(app, values)
        sent = sort_out(new, app.settings)
        title = sent.settings.pop("checkpoint", None)
        changed(app.settings, sent.settings)  # refused before anything is done
        _check_others(app.settings.other, sent.others)
        check_vae(sent.settings.get("vae", AUTOMATIC), app.drawing.vae_files())
        if title is not None:
            await _select(host, title)
        form = {key: new[key] for key in _FORM_KEYS if key in new}
        await host.in_thread(lambda: app.change_settings(**sent.settings, other={**sent.others, **form}))
        fixed = [key for key, value in _FIXED.items() if not _same(values.get(key, value), value)]
        foreign = [key for key in values if _means_nothing(key)]
        return Json(None, headers=without_effect([*sent.withheld, *fixed, *foreign]))


def _told(app: App) -> dict[str, Any]:
    settings = app.settings
    form = {key: params.default(name) for key, name in table.FORM_SETTINGS.items()}
    form |= dict.fromkeys(table.FORM_SWITCHES, False)
    form |= {key: next(iter(meant)) for key, (_, meant) in table.FORM_CHOICES.items()}
    stored = {field.metadata["key"]: getattr(settings, field.name) for field in _fields()}
    title = app.model_state.checkpoint or settings.checkpoint
    sha256 = next((found.sha256 for found in app.models.checkpoints() if title and found.title == title), "")
    return {
        **_FIXED,
        **form,
        **settings.other,
        **stored,
        CHECKPOINT: title or None,
        CHECKPOINT_HASH: sha256 or None,
    }


def _changes(app: App, values: Mapping[str, Any]) -> dict[str, Any]:
    """What was sent and is not as it was read: programs send back everything, and settings brought along may hold what
    could not be chosen here.

    Raises:
        HTTPException: 422, a text that can neither be written down nor be told.
    """
    told = _told(app)
    new = {key: value for key, value in values.items() if key not in told or not _same(value, told[key])}
    for key, value in new.items():
        if key not in _FILES and not _can_be_written([key, value]):
            raise errors.refuse(422, f"{key[:60]!a} holds half a character (a lone surrogate): send whole ones.")
    return {key: value for key, value in new.items() if key not in (CHECKPOINT_HASH, *_FIXED)}


def _same(one: Any, other: Any) -> bool:
    """Whether two values are one in JSON, where neither 1 and true nor 1 and 1.0 are."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _can_be_written(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _means_nothing(key: str) -> bool:
    known = {field.metadata["key"] for field in _fields()}
    return key not in known and key not in (*_FORM_KEYS, *_FIXED, CHECKPOINT_HASH)


def _fields() -> list[dataclasses.Field[Any]]:
    return [field for field in dataclasses.fields(Settings) if "key" in field.metadata]


async def _select(host: Host, title: Any) -> None:
    """Load another checkpoint and wait for it; the one in use is left as it is.

    Raises:
        JobBusy: training needs its model, for hours perhaps.
    """
    app = host.app
    if not isinstance(title, str):
        raise ParameterError(CHECKPOINT, f"{CHECKPOINT} must be the title of a checkpoint, see sd-models.")
    if title in ("", app.model_state.checkpoint):
        return
    if app.models.is_in_use(title):
        await host.in_thread(lambda: app.change_settings(checkpoint=app.model_state.checkpoint))
        return
    host.require_no_training("to choose another checkpoint")
    job = await host.in_thread(lambda: app.models.select(title, host.owner))
    await host.end_of(job)


def _check_others(there: Mapping[str, Any], others: Mapping[str, Any]) -> None:
    for key, value in others.items():
        if len(key) > 200 or len(json.dumps(value)) > LONGEST_OTHER:
            raise errors.refuse(422, f"“{key[:60]}” means nothing here, and is too long to be kept.")
    if len({**there, **others}) > MOST_OTHERS:
        raise errors.refuse(422, f"More than {MOST_OTHERS} settings mean nothing here: no more of them are kept.")


def without_effect(names: Iterable[str]) -> dict[str, str]:
    """The header that names what was sent and means nothing here, if there is any. Signs that a header cannot hold are
    written as in addresses."""
    found = ", ".join(urllib.parse.quote(name[:60], errors="replace") for name in list(names)[:20] if name)
    return {"x-without-effect": found} if found else {}
