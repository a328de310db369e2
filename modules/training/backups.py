"""Files of the user that make room for others: kept beside them, and put back if nothing came of it. Knows no torch."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from modules.errors import StorageError
from modules.files import storage_error

BACKUP_SUFFIX = ".bak"


def backup_of(path: Path) -> Path:
    """A name for a file that is set aside: `<file>.bak`, `.bak2`, …; older ones stay as they are."""
    number = 1
    while True:
        backup = path.with_name(path.name + BACKUP_SUFFIX + (f"{number}" if number > 1 else ""))
        if not backup.exists():
            return backup
        number += 1


@contextlib.contextmanager
def set_aside(files: Sequence[Path], new: Path) -> Iterator[dict[Path, Path]]:
    """Move files out of the way while `new` is written.

    Yields:
        what each file is called now.

    Raises:
        StorageError: something could not be written; what was there is there again.
    """
    replaced: dict[Path, Path] = {}
    try:
        for file in files:
            replaced[file] = backup_of(file)
            move(file, replaced[file])
        yield replaced
    except StorageError:
        if new not in replaced or replaced[new].exists():
            with contextlib.suppress(OSError):  # a read-only disk lets nothing go either: the first error tells it
                new.unlink(missing_ok=True)
        for before, now in replaced.items():
            if now.exists():
                move(now, before)
        raise


def remove(path: Path) -> None:
    """Let a file go; one that has gone already is no matter.

    Raises:
        StorageError: it cannot be.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise storage_error(path, error) from error


def move(path: Path, to: Path) -> None:
    """Rename a file, in place of what is there.

    Raises:
        StorageError: it cannot be.
    """
    try:
        os.replace(path, to)
    except OSError as error:
        raise storage_error(to, error) from error
