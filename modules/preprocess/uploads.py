"""Photos that come through the page: they land byte for byte in a folder of the data directory, under safe names."""

import hashlib
import re
import shutil
import unicodedata
from datetime import date
from pathlib import Path, PurePosixPath
from typing import IO

from modules.errors import ImageError, ParameterError, StorageError
from modules.files import inside, safe_name, storage_error, write_atomically
from modules.odd_pictures import no_jpeg_xl

MAX_BYTES = 200_000_000  # of one photo: the largest that phones and cameras make are below 150 MB
MAX_FILES = 2_000  # of one folder
SPARE_BYTES = 500_000_000  # that are to stay free on the disk, whoever sends
SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".avif", ".heic", ".heif", ".hif", ".gif", ".bmp", ".tif", ".tiff")
)
CAPTION_SUFFIX = ".txt"
LONGEST = 90  # bytes of a name; leaves room for what makes it different from another

_BLOCK = 1 << 20


def landing_name(name: str) -> str:
    """The name under which a file of that name lands: letters, digits, spaces and . _ - of the last part of a path.

    Raises:
        ParameterError: neither a photo nor a caption by its suffix.
    """
    last = PurePosixPath(name.replace("\\", "/")).name
    stem, _, suffix = last.rpartition(".")
    suffix = f".{suffix.lower()}"
    if suffix == ".jxl":
        raise ParameterError("photos", no_jpeg_xl(last[:80]))
    if not stem or suffix not in SUFFIXES | {CAPTION_SUFFIX}:
        raise ParameterError(
            "photos", f"“{last[:80]}” is no photo: drop JPEG, PNG, WebP, AVIF or HEIC files, and .txt captions of them."
        )
    stem = re.sub(r"[^\w .-]", "_", unicodedata.normalize("NFC", stem)).strip(" .")
    stem = stem.encode()[: LONGEST - len(suffix)].decode("utf-8", "ignore").strip(" .") or "photo"
    try:
        return safe_name(stem + suffix)
    except ParameterError:  # what Windows keeps for devices
        return safe_name(f"_{stem}{suffix}")


def new_folder(root: Path, wish: str = "") -> str:
    """A name for a folder of photos below `root` that is not there yet.

    Args:
        wish: such as the name of the embedding; today's date if it cannot be one.
    """
    try:
        name = safe_name(wish.strip()[:40].strip(" ."))
    except ParameterError:
        name = f"photos {date.today().isoformat()}"
    taken = {path.name.casefold() for path in root.iterdir()} if root.is_dir() else set()
    return next(
        candidate
        for candidate in (name, *(f"{name}-{number}" for number in range(2, len(taken) + 3)))
        if candidate.casefold() not in taken
    )


def folder_below(root: Path, name: str) -> Path:
    """The folder of that name.

    Raises:
        ParameterError: no folder could be called so.
    """
    return inside(root, safe_name(name, "photos"))


def receive(folder: Path, name: str, file: IO[bytes]) -> Path:
    """Keep a file that was sent. The same file sent again is kept once; another one of that name gets a number.

    Args:
        folder: made if it is missing.
        name: as the browser calls it.
        file: its content, at the beginning.

    Returns:
        where it lies now.

    Raises:
        ParameterError: no photo by its suffix, or too large.
        ImageError: it is empty.
        StorageError: disk full, read-only or gone.
    """
    landing = landing_name(name)
    size = file.seek(0, 2)
    if size > MAX_BYTES:
        raise ParameterError("photos", f"“{landing}” is larger than {MAX_BYTES // 10**6} MB: it is left out.")
    if not size and not landing.endswith(CAPTION_SUFFIX):
        raise ImageError(f"“{landing}” is empty: send it again.")
    try:
        there = {path.name.casefold(): path for path in folder.iterdir()} if folder.is_dir() else {}
    except OSError as error:
        raise storage_error(folder, error) from error
    digest = _digest(file)
    stem, suffix = landing.rsplit(".", 1)
    for number in range(1, len(there) + 2):
        candidate = landing if number == 1 else f"{stem}-{number}.{suffix}"
        other = there.get(candidate.casefold())
        if other is None:
            if len(there) >= MAX_FILES:
                raise ParameterError("photos", f"There are {MAX_FILES} files already: use another folder.")
            _keep_room(folder, size)
            path = folder / candidate
            file.seek(0)
            write_atomically(path, lambda target: _copy(file, target), replace=False)
            return path
        if other.is_file() and other.stat().st_size == size and _digest_of(other) == digest:
            return other
    raise AssertionError("one of so many names is free")


def _keep_room(folder: Path, size: int) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise storage_error(folder, error) from error
    if free < size + SPARE_BYTES:
        raise StorageError(f"Only {free // 10**6} MB are free on the disk: delete something before you send photos.")


def _copy(source: IO[bytes], target: IO[bytes]) -> None:
    while block := source.read(_BLOCK):
        target.write(block)


def _digest(file: IO[bytes]) -> bytes:
    file.seek(0)
    digest = hashlib.sha256()
    while block := file.read(_BLOCK):
        digest.update(block)
    return digest.digest()


def _digest_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return _digest(file)
