"""Checksums of checkpoints, remembered by path, time and size: a file is read once, not at every start."""

import hashlib
import json
import logging
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from modules.errors import StorageError
from modules.files import write_atomically

_BLOCK = 1 << 20
_log = logging.getLogger(__name__)


class HashCache:
    """SHA-256 of files, kept in a JSON file. Any thread may ask.

    Args:
        path: the JSON file; made when the first hash is known. A damaged one is started afresh: it holds nothing that
            cannot be computed again.
    """

    def __init__(self, path: Path):
        self._path = path
        self._lock = threading.Lock()
        self._entries = _read(path)

    def known(self, files: Iterable[Path]) -> str | None:
        """The hash of these files in a row, if it is known and they have not changed since; None otherwise."""
        try:
            key, state = _state(files)
        except OSError:  # gone, or a link to nowhere: opening it will say so
            return None
        with self._lock:
            entry = self._entries.get(key)
        return entry["sha256"] if entry and {**entry, **state} == entry else None

    def ensure(self, files: Iterable[Path]) -> str:
        """The hash of these files in a row, computed and remembered if it is not known: seconds for gigabytes.

        Raises:
            OSError: a file cannot be read.
        """
        files = list(files)
        known = self.known(files)
        if known:
            return known
        key, state = _state(files)  # before reading: a change meanwhile makes the entry stale, not wrong
        sha256 = sha256_of(files)
        with self._lock:
            self._entries[key] = {**state, "sha256": sha256}
            try:
                write_atomically(self._path, json.dumps({"sha256": self._entries}, indent=1, ensure_ascii=False))
            except StorageError as error:
                _log.warning("The hash will be computed again at the next start: %s", error)
        return sha256


def sha256_of(files: Iterable[Path]) -> str:
    """64 hex digits of the contents in a row."""
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()


def old_hash(path: Path) -> str:
    """The 8 digits that A1111 of 2022 wrote: of 64 KiB in the middle of nowhere, so fine-tunes share them.

    Only to be shown and compared with old infotexts; no checkpoint may be chosen by it. A missing file gives NOFILE.
    """
    try:
        with path.open("rb") as file:
            file.seek(0x100000)
            return hashlib.sha256(file.read(0x10000)).hexdigest()[:8]
    except OSError:
        return "NOFILE"


def _state(files: Iterable[Path]) -> tuple[str, dict[str, list[int]]]:
    files = list(files)
    stats = [path.stat() for path in files]
    state = {"mtime_ns": [stat.st_mtime_ns for stat in stats], "size": [stat.st_size for stat in stats]}
    return str(files[0].resolve()), state


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["sha256"]
        return {key: entry for key, entry in entries.items() if isinstance(entry["sha256"], str)}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        _log.warning("%s cannot be read (%s): hashes of checkpoints are computed afresh.", path.name, error)
        return {}
