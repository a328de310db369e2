"""Pictures saved under names that nobody has taken: numbered within their folder, or called as somebody wishes."""

import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from modules.files import write_atomically
from modules.image_formats import PNG, ImageFormat


def save_numbered(
    image: Image.Image,
    folder: Path,
    before: str,
    behind: str,
    infotext: str = "",
    digits: int = 5,
    form: ImageFormat = PNG,
    beside: Sequence[str] = (),
) -> Path:
    """Save under the next free number of the folder; other writers, in this or another process, are never overwritten.

    Args:
        before, behind: what stands before and behind the number in the file's name: "" and "-123".
        form: how it is written; see `ImageFormat.fitting`.
        beside: suffixes of files that will go along with it: their names have to be free too.

    Raises:
        StorageError: disk full, read-only or gone.
    """
    numbers = itertools.count(next_number(folder, before))
    names = (f"{before}{number:0{digits}}{behind}" for number in numbers)
    return _save_as_first_free(image, folder, names, infotext, form, beside)


def save_unnumbered(
    image: Image.Image,
    folder: Path,
    name: str,
    infotext: str = "",
    form: ImageFormat = PNG,
    beside: Sequence[str] = (),
) -> Path:
    """Save as `<name>.png`; if there is one already, as `<name>-1.png` and so on: nothing is ever overwritten.

    Args:
        form, beside: see `save_numbered`.

    Raises:
        StorageError: disk full, read-only or gone.
    """

    def names() -> Iterator[str]:
        yield name
        for number in itertools.count(max(1, next_number(folder, f"{name}-"))):
            yield f"{name}-{number}"

    return _save_as_first_free(image, folder, names(), infotext, form, beside)


def _save_as_first_free(
    image: Image.Image, folder: Path, names: Iterator[str], infotext: str, form: ImageFormat, beside: Sequence[str]
) -> Path:
    form = form.fitting(image, infotext)
    while True:
        name = next(names)
        path = folder / f"{name}.{form.suffix}"
        if any((folder / f"{name}{suffix}").exists() for suffix in beside):
            continue
        try:
            write_atomically(path, lambda file: form.write(image, file, infotext), replace=False)
        except FileExistsError:
            continue
        return path


def next_number(folder: Path, prefix: str = "") -> int:
    """One more than the highest number that follows `prefix` in the names of the folder; 0 if there is none."""
    pattern = re.compile(re.escape(prefix) + r"(\d{1,9})(?!\d)")  # longer ones are dates or seeds, not our numbers
    try:
        found = [pattern.match(path.name) for path in folder.iterdir()]
    except (FileNotFoundError, NotADirectoryError):  # the writer makes the folder, or says why it cannot
        return 0
    return max((int(match[1]) for match in found if match), default=-1) + 1
