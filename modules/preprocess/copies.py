"""Small copies of photos for looking at them: a thumbnail and a view. Made while a photo is open anyway, one at a time,
and kept in a folder of the program's own; a photo that has changed gets new ones."""

import contextlib
import hashlib
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from modules.errors import ImageError
from modules.files import write_atomically
from modules.filewords import caption_file
from modules.preprocess.measures import small_copy

SIDES = {"thumbnail": 320, "view": 1280}  # pixels of the longer side

_NAME = re.compile(r"[0-9a-f]{20}-(thumbnail|view)\.jpg")


def stamp(photo: Path) -> str:
    """What changes with a photo and with the text beside it: names, lengths and times, without reading them.

    Raises:
        ImageError: it is not there any more.
    """
    try:
        seen = [photo.name, *_length_and_time(photo)]
    except OSError as error:
        raise ImageError(f"“{photo.name}” is not there any more.") from error
    with contextlib.suppress(OSError):  # there need not be one
        seen += _length_and_time(caption_file(photo))
    return hashlib.sha256("|".join(seen).encode("utf-8", "surrogateescape")).hexdigest()[:20]


def _length_and_time(path: Path) -> list[str]:
    found = path.stat()
    return [str(found.st_size), str(found.st_mtime_ns)]


@dataclass(frozen=True)
class Copies:
    """The copies of the photos of one folder.

    Attributes:
        folder: where they lie; made with the first one.
    """

    folder: Path

    def keep(self, stamp: str, photo: Image.Image) -> None:
        """Make both copies of a photo, unless they are there.

        Args:
            photo: upright, RGB.

        Raises:
            StorageError: disk full, read-only or gone.
        """
        for kind, side in SIDES.items():
            path = self.path(f"{stamp}-{kind}.jpg")
            if not path.exists():
                file = io.BytesIO()
                small_copy(photo, side).save(file, "JPEG", quality=85)
                write_atomically(path, file.getvalue())

    def has(self, stamp: str) -> bool:
        """Whether both copies are there."""
        return all(self.path(f"{stamp}-{kind}.jpg").is_file() for kind in SIDES)

    def path(self, name: str) -> Path:
        """Where the copy of that name lies.

        Raises:
            ImageError: no copy could be called so.
        """
        if not _NAME.fullmatch(name):
            raise ImageError("There is no such copy of a photo.")
        return self.folder / name

    def forget(self, kept: Iterable[str]) -> None:
        """Remove the copies of all other photos than those with these stamps."""
        kept = set(kept)
        for path in self.folder.glob("*.jpg"):
            if path.name.partition("-")[0] not in kept:
                path.unlink(missing_ok=True)
