"""The photos of a folder: which there are, what changed, and how they are cut to size. Never stretched."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from modules import images
from modules.errors import DatasetError, ParameterError
from modules.filewords import filewords, overview

NO_PHOTOS = (".txt", ".caption", ".json", ".csv", ".md", ".ini", ".db")  # what lies beside photos, passed over
MOST_TOLD = 5  # files that a sentence names
SMALLEST = 64  # pixels of the shorter side


@dataclass(frozen=True)
class Photo:
    """One file as it was when it was found.

    Attributes:
        caption: the words for `[filewords]`.
        modified_ns, size: by which a change is seen.
    """

    path: Path
    caption: str
    modified_ns: int
    size: int

    @property
    def name(self) -> str:
        return self.path.name


def photo_files(folder: Path) -> list[Path]:
    """The files of a folder that may be photos, by name; folders below it are not looked into.

    Raises:
        ParameterError: no folder.
    """
    return [path for path in _picture_files(folder) if not overview(path)]


def overviews(folder: Path) -> list[str]:
    """A sentence for each of the first files of a folder that are overviews of several pictures, and one for the rest.

    Raises:
        ParameterError: no folder.
    """
    found = [sentence for path in _picture_files(folder) if (sentence := overview(path))]
    more = len(found) - MOST_TOLD
    return [*found[:MOST_TOLD], *([f"So are {more} more overviews."] if more > 0 else [])]


def _picture_files(folder: Path) -> list[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise ParameterError(
            "data_root", f"The dataset directory “{folder}” cannot be opened: {error.strerror}."
        ) from error
    return [
        path
        for path in entries
        if not path.name.startswith(".") and path.suffix.lower() not in NO_PHOTOS and path.is_file()
    ]


def describe_photo(path: Path, word_regex: str = "", join_string: str = " ") -> Photo:
    """Look up caption and status of a file.

    Raises:
        DatasetError: it has gone.
        FileFormatError: its caption cannot be read.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise DatasetError(f"“{path.name}” is not there any more.") from error
    return Photo(path, filewords(path, word_regex, join_string), status.st_mtime_ns, status.st_size)


def photo_digest(photo: Photo) -> str:
    """SHA-256 of the file as it is now: copied elsewhere it stays the same. Empty if it cannot be read."""
    try:
        with photo.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


class PhotoWatch:
    """Tells of photos that go or change while a run goes on with them as they were; each change once."""

    def __init__(self, photos: Sequence[Photo]):
        self._photos = photos
        self._told: dict[str, str] = {}

    def news(self) -> str:
        """A sentence about what changed since the last time; empty if nothing did."""
        found = changes(self._photos)
        new = [f"{name} {what}" for name, what in found.items() if self._told.get(name) != what]
        self._told = found
        return _told(new, "since the start", "The run goes on as they were.")


def replaced(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """A sentence about photos that are others than when a run stopped; empty if there are none. See `others`."""
    return _told(others(before, now), "since the run stopped", "The run goes on with what is there now.")


def others(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Names that stand for other photos than before.

    Args:
        before, now: digests of their files, by file name. Those that have none on one side are passed over.
    """
    return sorted(name for name, digest in now.items() if digest and before.get(name, digest) not in ("", digest))


def _told(changed: Sequence[str], since: str, then: str) -> str:
    if not changed:
        return ""
    more = f" and {len(changed) - MOST_TOLD} more" if len(changed) > MOST_TOLD else ""
    return f"{len(changed)} of the photos changed {since}: {', '.join(changed[:MOST_TOLD])}{more}. {then}"


def changes(photos: Sequence[Photo]) -> dict[str, str]:
    """What happened to photos since they were found: “has gone” or “was changed”, by file name."""
    found = {}
    for photo in photos:
        try:
            status = photo.path.stat()
        except OSError:
            found[photo.name] = "has gone"
        else:
            if (status.st_mtime_ns, status.st_size) != (photo.modified_ns, photo.size):
                found[photo.name] = "was changed"
    return found


def fit(image: Image.Image, width: int, height: int) -> Image.Image:
    """The middle of a picture at exactly this size, in its own proportions. A square stays whole for a square."""
    scale = max(width / image.width, height / image.height)
    left, top = (image.width - width / scale) / 2, (image.height - height / scale) / 2
    box = (left, top, image.width - left, image.height - top)
    return image.resize((width, height), Image.Resampling.BICUBIC, box)


def keep_shape(image: Image.Image, pixels: int) -> Image.Image:
    """A picture of at most so many pixels, sides multiples of 8: its edges are cut, and it is shrunk only if it must.

    Raises:
        DatasetError: shorter than 64 pixels on one side, as it is or shrunk.
    """
    scale = min(1.0, math.sqrt(pixels / (image.width * image.height)))
    width, height = (int(side * scale) // 8 * 8 for side in image.size)
    if min(width, height) < SMALLEST:
        shrunk = f" and would become {width}×{height}" if min(image.size) >= SMALLEST else ""
        raise DatasetError(f"it is {image.width}×{image.height}{shrunk}, less than {SMALLEST} pixels on one side")
    if scale < 1:
        return fit(image, width, height)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def open_photo(
    photo: Photo, width: int, height: int, varsize: bool, alpha: bool
) -> tuple[Image.Image, Image.Image | None]:
    """A photo cut to size, and its alpha channel cut likewise.

    Args:
        width, height: of the result; with `varsize`, their product is the most pixels it may have.
        varsize: keep size and shape.
        alpha: whether the alpha channel is wanted; None comes if there is none.

    Raises:
        ImageError, DatasetError: it cannot be used.
    """

    def cut(image: Image.Image) -> Image.Image:
        return keep_shape(image, width * height) if varsize else fit(image, width, height)

    picture = images.open_image(photo.path)
    _require_size(picture)
    mask = images.open_alpha(photo.path) if alpha else None
    return cut(picture), cut(mask) if mask else None


def _require_size(image: Image.Image) -> None:
    """Refuse what has nothing to learn from: blown up, it would teach one colour, or stripes.

    Raises:
        DatasetError: shorter than 64 pixels on one side.
    """
    if min(image.size) < SMALLEST:
        raise DatasetError(f"it is {image.width}×{image.height}, less than {SMALLEST} pixels on one side")
