"""Small copies of pictures, made when they are first looked at."""

import hashlib
import io
import logging
import threading
from pathlib import Path

from PIL import Image

from modules import images
from modules.errors import StorageError
from modules.files import write_atomically

SIDE = 320  # pixels of the longer side: sharp at 160 on a screen of double density
_AT_ONCE = 2  # a page of sixty must not decode sixty pictures side by side

_log = logging.getLogger(__name__)


class Thumbnails:
    """A folder of thumbnails. Any thread may ask.

    Args:
        folder: made with the first one; it may be deleted at any time.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._turn = threading.Semaphore(_AT_ONCE)

    def get(self, picture: Path, name: str, modified_ns: int, size: int) -> bytes:
        """The thumbnail of a picture, a WebP.

        Args:
            name, modified_ns, size: by which it is remembered.

        Raises:
            ImageError: the picture cannot be opened.
        """
        place = self._place(name, modified_ns, size)
        if (found := _content(place)) is not None:
            return found
        with self._turn:
            if (found := _content(place)) is not None:  # made while this one waited
                return found
            content = _made(picture)
            try:
                write_atomically(place, content)
            except StorageError as error:
                _log.warning("A thumbnail will be made again: %s", error)
            return content

    def forget(self, name: str, modified_ns: int, size: int) -> None:
        """Remove the thumbnail of a picture that is no more."""
        self._place(name, modified_ns, size).unlink(missing_ok=True)

    def _place(self, name: str, modified_ns: int, size: int) -> Path:
        digest = hashlib.sha256(f"{name}\n{modified_ns}\n{size}".encode("utf-8", "surrogateescape")).hexdigest()
        return self._folder / digest[:2] / f"{digest[:32]}.webp"


def _made(picture: Path) -> bytes:
    image = images.open_image(picture)
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS, reducing_gap=2.0)
    file = io.BytesIO()
    image.save(file, "WEBP", quality=80)
    return file.getvalue()


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes() or None
    except OSError:
        return None
