"""What is written beside a picture on demand: its parameters as a text file, and a JPG copy if it is large."""

import logging
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from modules.errors import StorageError
from modules.files import write_atomically
from modules.image_formats import ImageFormat

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Beside:
    """Which files go along with a picture, under its name.

    Attributes:
        text: `<name>.txt` with the parameters.
        copies: `<name>.jpg` with the parameters inside, if the picture is large and no JPG itself.
        above: bytes of a file from which on it is large.
        side: pixels; wider or higher ones are large too, and the copy is made that small.
        quality: of the copy, 1 … 100.
    """

    text: bool = False
    copies: bool = False
    above: float = 4 * 1024 * 1024
    side: int = 4000
    quality: int = 80

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Of the files that a picture may need, besides its own."""
        return (".txt",) * self.text + (".jpg",) * self.copies

    def write(self, path: Path, image: Image.Image, infotext: str) -> str:
        """Write what goes along with the picture that was saved as `path`; nothing is written over.

        Returns:
            a sentence if that cannot be (disk full, read-only or gone), else nothing: the picture itself is safe, and
            no reason to draw no more.
        """
        try:
            if self.text and infotext:
                write_atomically(path.with_suffix(".txt"), f"{infotext}\n", replace=False)
            if self.copies and path.suffix != ".jpg" and self._is_large(path, image):
                self._copy(path.with_suffix(".jpg"), image, infotext)
        except FileExistsError as error:  # between looking for a free name and now
            _log.warning("%s is somebody else's: it is not written over.", error.filename or path.stem)
        except StorageError as error:
            _log.warning("Beside %s: %s", path.name, error)
            return f"{path.name} is saved, but not the file that goes beside it: {error}"
        return ""

    def _is_large(self, path: Path, image: Image.Image) -> bool:
        return max(image.size) > self.side or path.stat().st_size > self.above

    def _copy(self, path: Path, image: Image.Image, infotext: str) -> None:
        if max(image.size) > self.side:
            scale = self.side / max(image.size)
            size = tuple(max(1, round(length * scale)) for length in image.size)
            image = image.resize((size[0], size[1]), Image.Resampling.LANCZOS)
        form = ImageFormat("jpg", self.quality)
        if form.fitting(image, infotext) != form:
            _log.warning("There is no %s: its parameters are too long for a JPG.", path.name)
            return
        write_atomically(path, lambda file: form.write(image, file, infotext), replace=False)


NOTHING = Beside()
