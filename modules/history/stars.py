"""The stars a user gives: a file of their own, because no picture says that it was liked."""

import json
import threading
import time
from pathlib import Path

from modules.errors import StorageError
from modules.files import storage_error, write_atomically


class Stars:
    """Names of starred pictures. Any thread may ask.

    Args:
        path: a JSON file, made with the first star. A damaged one is set aside under another name.

    Attributes:
        notice: a sentence about a damaged file; else empty.

    Raises:
        StorageError: the file is there and cannot be read.
    """

    def __init__(self, path: Path):
        self.notice = ""
        self._path = path
        self._lock = threading.Lock()
        self._names = self._read()

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def set(self, name: str, starred: bool) -> None:
        """Give or take a star.

        Raises:
            StorageError: it is as before.
        """
        with self._lock:
            self._write(self._names | {name} if starred else self._names - {name})

    def move(self, old: str, new: str) -> None:
        """Let the star of a picture follow it to another place.

        Raises:
            StorageError: it is as before.
        """
        with self._lock:
            if old in self._names:
                self._write(self._names - {old} | {new})

    def _write(self, names: frozenset[str]) -> None:
        write_atomically(self._path, json.dumps({"stars": sorted(names)}, indent=1, ensure_ascii=False))
        self._names = names

    def _read(self) -> frozenset[str]:
        try:
            stars = json.loads(self._path.read_bytes())["stars"]
            if not all(isinstance(name, str) for name in stars):
                raise ValueError("not a list of names")
            return frozenset(stars)
        except (FileNotFoundError, NotADirectoryError):
            return frozenset()
        except OSError as error:
            raise StorageError(f"The stars in {self._path.name} cannot be read: {error.strerror}.") from error
        except (ValueError, KeyError, TypeError, RecursionError):
            aside = self._path.with_name(f"{self._path.stem}.damaged-{time.strftime('%Y%m%d-%H%M%S')}.json")
            try:
                self._path.rename(aside)
            except OSError as error:
                raise storage_error(aside, error) from error
            self.notice = f"{self._path.name} was damaged: it is kept as {aside.name}, and stars start afresh."
            return frozenset()
