"""What the user chose once: defaults of the form and how files are written.

`config.json` uses A1111's keys, so that its file can be brought along; keys that mean nothing here are kept as they
are. A `Settings` never changes: a change makes a new one. What belongs to one run only is in `params`.
"""

import dataclasses
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modules import params
from modules.errors import ParameterError, SettingsError
from modules.files import storage_error, write_atomically
from modules.params import Control, Txt2ImgParams


def _setting(key: str, default: Any, control: Control) -> Any:
    return dataclasses.field(default=default, metadata={"key": key, "control": control})


def _form_default(key: str, name: str) -> Any:
    """A setting that is the form's default of the field `name`: same label, range and help."""
    return _setting(key, params.default(name), params.control(name))


@dataclass(frozen=True)
class Settings:
    """All settings that have a meaning, each with its A1111 key in the field's metadata.

    Attributes:
        other: keys of the file that mean nothing here, kept for the program that wrote them.

    Raises:
        ParameterError: a value outside its range, naming the field.
    """

    checkpoint: str = _setting("sd_model_checkpoint", "", Control("Stable Diffusion checkpoint"))
    preview_every: int = _form_default("show_progress_every_n_steps", "preview_every")
    emphasis: str = _form_default("emphasis", "emphasis")
    clip_skip: int = _form_default("CLIP_stop_at_last_layers", "clip_skip")
    comma_backtrack: int = _form_default("comma_padding_backtrack", "comma_backtrack")
    pad_conds: bool = _form_default("pad_cond_uncond", "pad_conds")
    old_timelines: bool = _form_default("use_old_scheduling", "old_timelines")
    a1111_exact: bool = _form_default("prompt_rules_a1111_exact", "a1111_exact")
    save_grid: bool = _setting("grid_save", True, Control("Save an overview (grid) of runs with several pictures"))
    grid_rows: int = _setting(
        "n_rows",
        -1,
        Control("Grid rows", -1, 16, 1, info="-1: as square as it gets; 0: one row for each batch."),
    )
    grid_without_gaps: bool = _setting("grid_prevent_empty_spots", False, Control("Prevent empty spots in grid"))
    other: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        for field in _fields():
            params.check(field.name, getattr(self, field.name), type(field.default), field.metadata["control"])

    def changed(self, **values: Any) -> "Settings":
        """The same settings with some values replaced, by field name.

        Raises:
            ParameterError: no such setting, or a value outside its range.
        """
        for name in values:
            if name not in {field.name for field in _fields()}:
                raise ParameterError(name, f"There is no setting “{name}”.")
        return dataclasses.replace(self, **values)

    def form_defaults(self) -> dict[str, Any]:
        """The defaults for `Txt2ImgParams` that are settings, by field name."""
        shared = {field.name for field in dataclasses.fields(Txt2ImgParams)}
        return {field.name: getattr(self, field.name) for field in _fields() if field.name in shared}


def control(name: str) -> Control:
    """The control of the setting `name`."""
    return Settings.__dataclass_fields__[name].metadata["control"]


def load_settings(path: Path) -> tuple[Settings, list[str]]:
    """Read the settings file.

    Returns:
        the settings, and sentences for the user: about a damaged file, which is set aside under another name, and
        about single values that have no meaning here, which fall back to the default. No file: all defaults.

    Raises:
        SettingsError: the file is there and cannot be opened.
        StorageError: a damaged file could not be renamed.
    """
    try:
        stored = json.loads(path.read_bytes())
        if not isinstance(stored, dict):
            raise ValueError("not an object")
    except (FileNotFoundError, NotADirectoryError):
        return Settings(), []
    except OSError as error:
        raise SettingsError(
            f"The settings in {path.name} cannot be read: {error.strerror}. Check its permissions."
        ) from error
    except (ValueError, RecursionError):  # ValueError: bad JSON or bad UTF-8; RecursionError: nested without end
        aside = _set_aside(path)
        return Settings(), [f"{path.name} was damaged: it is kept as {aside.name}, and all settings start afresh."]
    notices = []
    known = {}
    for field in _fields():
        key = field.metadata["key"]
        if key not in stored:
            continue
        value = stored.pop(key)
        try:
            params.check(field.name, value, type(field.default), field.metadata["control"])
        except ParameterError as error:
            notices.append(f"{path.name}: {error} The default ({field.default}) is used.")
        else:
            known[field.name] = value
    return Settings(**known, other=stored), notices


def save_settings(settings: Settings, path: Path) -> None:
    """Write the values that differ from their default, and the keys that belong to others.

    Raises:
        StorageError: the old file is intact.
    """
    stored = dict(settings.other)
    for field in _fields():
        value = getattr(settings, field.name)
        if value != field.default:
            stored[field.metadata["key"]] = value
    write_atomically(path, json.dumps(stored, indent=4))


def _fields() -> list[dataclasses.Field[Any]]:
    return [field for field in dataclasses.fields(Settings) if field.name != "other"]


def _set_aside(path: Path) -> Path:
    aside = path.with_name(f"{path.stem}.damaged-{time.strftime('%Y%m%d-%H%M%S')}{path.suffix}")
    try:
        return path.rename(aside)
    except OSError as error:
        raise storage_error(aside, error) from error
