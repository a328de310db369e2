"""`config.json`: the settings under A1111's keys, so that its file can be brought along.

Keys that mean nothing here are kept as they are.
"""

import dataclasses
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modules import params
from modules.errors import ParameterError, SettingsError
from modules.files import storage_error, write_atomically
from modules.settings import Settings, as_ours, fields


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
    known, notices = _take_known(stored, path.name, Settings())
    return Settings(**known, other=stored), notices


@dataclass(frozen=True)
class Imported:
    """What became of a settings file that somebody brought along.

    Attributes:
        settings: the old ones with its values.
        taken: names of the settings that it sets.
        kept: how many of its keys mean nothing here and were kept.
        notices: a sentence for each value that cannot be used.
    """

    settings: Settings
    taken: tuple[str, ...]
    kept: int
    notices: tuple[str, ...]


def import_settings(settings: Settings, content: bytes, name: str) -> Imported:
    """The settings with those of another `config.json`, A1111's or ours; what the file does not name stays.

    Args:
        name: of the file, for sentences.

    Raises:
        SettingsError: it is no settings file.
    """
    try:
        stored = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"“{name}” is no JSON file, or a damaged one: choose the config.json of A1111.") from error
    if not isinstance(stored, dict):
        raise SettingsError(f"“{name}” holds no settings: choose the config.json of A1111.")
    known, notices = _take_known(stored, name, settings)
    changed = dataclasses.replace(settings, **known, other={**settings.other, **stored})
    return Imported(changed, tuple(known), len(stored), tuple(notices))


def save_settings(settings: Settings, path: Path) -> None:
    """Write the values that differ from their default, and the keys that belong to others.

    Raises:
        StorageError: the old file is intact.
    """
    stored = dict(settings.other)
    for field in fields():
        value = getattr(settings, field.name)
        if value != field.default:
            stored[field.metadata["key"]] = value
    write_atomically(path, json.dumps(stored, indent=4))


def _take_known(stored: dict[str, Any], name: str, before: Settings) -> tuple[dict[str, Any], list[str]]:
    """Take the keys that mean something here out of `stored`: values by field name, and what cannot be used."""
    known, notices = {}, []
    for field in fields():
        key = field.metadata["key"]
        if key not in stored:
            continue
        value = stored.pop(key)
        if value is None:  # as A1111 writes what nobody chose
            continue
        value = as_ours(field.name, value)
        try:
            params.check(field.name, value, type(field.default), field.metadata["control"])
        except ParameterError as error:
            notices.append(f"{name}: {error} It stays at {getattr(before, field.name)}.")
        else:
            known[field.name] = value
    return known, notices


def keep_copy(path: Path) -> None:
    """Keep the file as it is under another name, before others' settings are taken over; no file: nothing to keep.

    Raises:
        StorageError: it could not be read, or the copy not be written.
    """
    copy = path.with_name(f"{path.stem}.before-import-{time.strftime('%Y%m%d-%H%M%S')}{path.suffix}")
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise storage_error(copy, error) from error
    write_atomically(copy, content)


def _set_aside(path: Path) -> Path:
    aside = path.with_name(f"{path.stem}.damaged-{time.strftime('%Y%m%d-%H%M%S')}{path.suffix}")
    try:
        return path.rename(aside)
    except OSError as error:
        raise storage_error(aside, error) from error
