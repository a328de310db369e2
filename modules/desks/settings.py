"""The desk at which settings are changed: one change at a time, each written down before it holds."""

import dataclasses
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modules.settings import Settings
from modules.settings_file import Imported, import_settings, keep_copy, load_settings, save_settings


class SettingsDesk:
    """What the user chose once. Any thread may ask.

    Args:
        file: where settings are kept.
        given: None reads them from the file.

    Attributes:
        now: replaced as a whole by every change.
        notices: sentences about a damaged file, or values without meaning.

    Raises:
        SettingsError: the file is there and cannot be opened.
    """

    def __init__(self, file: Path, given: Settings | None = None):
        self.now, self.notices = (given, []) if given is not None else load_settings(file)
        self._file = file
        self._lock = threading.Lock()  # or of two changes at once the second would forget the first

    def change(self, other: Mapping[str, Any] | None = None, **values: Any) -> Settings:
        """Replace some settings, by field name, and write them down.

        Args:
            other: keys to keep that mean nothing here, besides those there are.

        Raises:
            ParameterError: no such setting, or a value outside its range.
            StorageError: the file could not be written; the settings are as before.
        """
        with self._lock:
            settings = self.now.changed(**values)
            if other:
                settings = dataclasses.replace(settings, other={**settings.other, **other})
            save_settings(settings, self._file)
            self.now = settings
        return settings

    def import_file(self, content: bytes, name: str) -> Imported:
        """Take over the settings of another `config.json`, A1111's or ours; the file of before is kept beside it.

        Args:
            name: of the file, for sentences.

        Raises:
            SettingsError: it is no settings file.
            StorageError: nothing could be written; the settings are as before.
        """
        with self._lock:
            imported = import_settings(self.now, content, name)
            keep_copy(self._file)
            save_settings(imported.settings, self._file)
            self.now = imported.settings
        return imported
