"""Durable writes and safe names: the only place where a file of the user's is created or replaced.

A reader never sees half a file: content goes to a temporary file in the same folder, is flushed to the disk and
renamed over the old one; whatever goes wrong before the rename leaves the old file as it was.
"""

import contextlib
import errno
import math
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from modules.errors import ParameterError, StorageError

TEMPORARY_SUFFIX = ".partial"
LONGEST_NAME = 100  # bytes; every file system takes 255, and suffixes such as "-123456.safetensors" are added

_FORBIDDEN_IN_NAMES = re.compile(r"[^\w .-]")
_FORBIDDEN_IN_FILES = re.compile(r"""[\x00-\x1f\x7f/\\:*?"<>|]""")
_LONGEST_FILE_NAME = 200  # bytes; file systems take 255, and a step or a suffix may be added
_LONGEST_PART = 255  # bytes of one name in a path
_NO_PATH = "This is no path that a file or folder could have"
WINDOWS_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # no file there may be called so


def write_atomically(path: Path, content: bytes | str | Callable[[BinaryIO], None], *, replace: bool = True) -> None:
    """Create or replace a file so that a crash at any moment leaves the old file or the new one.

    Args:
        path: the file; missing parent folders are made.
        content: bytes, text (written as UTF-8), or a function that writes into the open binary file.
        replace: False never touches a file that is there, even if another process made it a moment ago.

    Raises:
        FileExistsError: `replace` is False and `path` exists.
        StorageError: disk full, read-only or vanished folder. Errors of a content function that are no
            storage errors pass through unchanged; the temporary file is removed in every case.
    """
    if isinstance(content, str):
        content = content.encode("utf-8")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(path, error) from error
    temporary = path.with_name(f".{path.name[:40]}.{secrets.token_hex(8)}{TEMPORARY_SUFFIX}")
    try:
        with open(temporary, "xb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            os.replace(temporary, path)
        else:
            _move_to_new(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):  # it may never have been made; the error below is the one to tell
            os.unlink(temporary)
        if isinstance(error, OSError) and not isinstance(error, FileExistsError):
            raise storage_error(path, error, 0 if callable(content) else len(content)) from error
        raise
    _sync_folder(path.parent)


def publish(temporary: Path, path: Path) -> None:
    """Give a file that grew over a long time, in the folder of `path`, its name: durably and in one step.

    Raises:
        StorageError: disk full, read-only or gone; the temporary file stays.
    """
    try:
        with open(temporary, "rb+") as file:  # Windows syncs only what may be written
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise storage_error(path, error) from error
    _sync_folder(path.parent)


def storage_error(path: Path, error: OSError, needed: int = 0) -> StorageError:
    """The sentence for an OSError met while writing `path`.

    Args:
        needed: bytes that the file takes; 0: nobody knows.
    """
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(
            f"Disk full: “{path.name}” could not be written to {path.parent}. It needs {_room(path.parent, needed)}: "
            "delete something there and try again."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StorageError(
            f"“{path.name}” could not be written: {path.parent} is read-only. Choose another --data-dir."
        )
    return StorageError(f"“{path.name}” could not be written to {path.parent}: {error.strerror or error}.")


def require_writable(path: Path) -> None:
    """Find out now, not hours later, whether the file could be written: by writing another one beside it.

    Raises:
        StorageError: the folder is read-only, on a full disk, or no folder.
    """
    probe = path.with_name(f".{path.name[:40]}.{secrets.token_hex(8)}{TEMPORARY_SUFFIX}")
    try:
        probe.parent.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"0")
        probe.unlink()
    except OSError as error:
        raise storage_error(path, error) from error


def sweep_temporaries(folder: Path) -> int:
    """Remove what killed writers left behind, in `folder` and below. Returns how many files went."""
    stale = [path for path in folder.rglob(f".*{TEMPORARY_SUFFIX}") if path.is_file()]
    for path in stale:
        path.unlink(missing_ok=True)
    return len(stale)


def sweep_older(folder: Path, seconds: float) -> int:
    """Remove the files of a folder that were written longer ago. Returns how many went; no folder: none."""
    try:
        old = [path for path in folder.iterdir() if path.is_file() and path.stat().st_mtime < time.time() - seconds]
    except OSError:  # not there, or another process removes the same files
        return 0
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)


def safe_name(name: str, field: str = "name") -> str:
    """Turn a user's text into one path component, or say why it cannot be.

    Allowed: letters and digits of any script, space, `.`, `_`, `-`; no leading dot, no trailing dot or space, at most
    100 bytes, no name that Windows keeps for devices. The text is checked, never silently changed.

    Raises:
        ParameterError: with the reason.
    """
    if not name or not name.strip():
        raise ParameterError(field, "The name is empty: type at least one letter or digit.")
    found = _FORBIDDEN_IN_NAMES.search(name)
    if found:
        raise ParameterError(
            field, f"The name holds {found.group()!r}: use letters, digits, spaces and the signs . _ - only."
        )
    if name.startswith(".") or name != name.strip() or name.endswith("."):
        raise ParameterError(field, f"The name “{name}” must not begin with a dot or a space, nor end with one.")
    if len(name.encode("utf-8")) > LONGEST_NAME:
        raise ParameterError(field, f"The name is longer than {LONGEST_NAME} bytes: choose a shorter one.")
    if WINDOWS_DEVICES.fullmatch(name):
        raise ParameterError(field, f"“{name}” is a device name on Windows: choose another one.")
    return name


def is_file_name(name: str) -> bool:
    """Whether a name that came from elsewhere could be one file's on every system: less strict than `safe_name`."""
    return not (
        _FORBIDDEN_IN_FILES.search(name)
        or name.startswith(".")
        or name != name.strip(" ")
        or name.endswith(".")
        or not 0 < len(name.encode("utf-8", "surrogatepass")) <= _LONGEST_FILE_NAME
        or WINDOWS_DEVICES.fullmatch(name)
    )


def inside(root: Path, *parts: str) -> Path:
    """The path below `root` that `parts` lead to, symbolic links followed.

    Raises:
        ParameterError: no possible path, or it leaves `root`.
    """
    try:
        path = root.joinpath(*parts).resolve()
        if any(len(os.fsencode(part)) > _LONGEST_PART for part in path.parts):
            raise ValueError("longer than file systems take")  # some say so only when the folder above is there
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            path.lstat()
    except (OSError, ValueError, RuntimeError) as error:  # too long, a NUL in it, links in a circle
        raise ParameterError("path", f"{_NO_PATH}: choose another name.") from error
    if not path.is_relative_to(root.resolve()):
        raise ParameterError("path", f"“{'/'.join(parts)}” leads out of {root.name}: choose a place inside it.")
    return path


def typed_path(text: str) -> Path:
    """A path as somebody types it, `~` standing for home; what it names need not be there.

    Raises:
        ParameterError: no file or folder can be called so, or it lies where this user may not look.
    """
    try:
        path = Path(text).expanduser()
        path.exists()  # a name may be too long, or a folder on the way closed
    except RuntimeError as error:
        raise ParameterError("path", f"“{text:.60}” begins with the home folder of an unknown user.") from error
    except OSError as error:
        raise ParameterError("path", f"“{text:.60}” cannot be used: {error.strerror}.") from error
    return path


def folder_of(text: str, field: str, roots: Sequence[Path] = ()) -> Path:
    """The folder that a user names, links followed.

    Args:
        text: absolute, below the home folder (`~`), or below the folder the server was started in.
        field: the parameter that it comes from.
        roots: where it has to lie, if there are any.

    Raises:
        ParameterError: empty, no possible path, or outside of `roots`.
    """
    if not text.strip():
        raise ParameterError(field, "No folder is named: type or paste its path.")
    try:
        path = Path(os.path.expanduser(text.strip())).resolve()
    except (OSError, ValueError, RuntimeError) as error:  # too long, a NUL in it, links in a circle
        raise ParameterError(field, f"{_NO_PATH}.") from error
    if roots and not any(path.is_relative_to(root.resolve()) for root in roots):
        allowed = ", ".join(str(root) for root in roots)
        raise ParameterError(field, f"This server reads and writes photos only below {allowed}.")
    return path


def _room(folder: Path, needed: int) -> str:
    """“1.3 MB, and 0.2 MB are free”, as far as that is known; a quota leaves less than the disk has."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError:  # not there yet, or not any more
        return _size(needed) if needed else "more room than there is"
    if not needed:
        return f"more than the {_size(free)} that are free"
    return f"{_size(needed)}, and {_size(free)} are free" if free < needed else _size(needed)


def _size(count: int) -> str:
    """Bytes for a reader, rounded up: “3 kB”, “1.3 MB”."""
    if count < 100_000:
        return f"{math.ceil(count / 1000)} kB"
    return f"{math.ceil(count / 100_000) / 10:.1f} MB"


def _move_to_new(temporary: Path, path: Path) -> None:
    """Rename unless `path` exists, which a hard link decides in one step."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: looking first is the best it can do
        if path.exists():
            raise FileExistsError(path) from None
        os.replace(temporary, path)
    else:
        os.unlink(temporary)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable; file systems and systems that cannot do this are left alone."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows does not open folders
        return
    try:
        with contextlib.suppress(OSError):  # some network file systems refuse: the data itself is safe by then
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
