"""A picture as the bytes of a file, its parameters inside: PNG, JPEG, WebP or AVIF. No torch is imported for that."""

from dataclasses import dataclass
from typing import IO

from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from modules.infotext import Infotext, storable

ASIDE = "studio prompts"  # the PNG text of `Infotext.aside`; elsewhere it is the EXIF maker note

_NAMES = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP", "avif": "AVIF"}
_LONGEST_SIDE = {"jpg": 65_500, "webp": 16_383, "avif": 16_384}  # pixels; AVIF could more, which not every reader takes
_MOST_EXIF = 65_533  # bytes: one segment of a JPEG


@dataclass(frozen=True)
class ImageFormat:
    """How pictures are written.

    Attributes:
        suffix: of the file's name, one of `settings.PICTURE_FORMATS`.
        quality: of JPEG, WebP and AVIF, 1 … 100.
        lossless: WebP keeps every pixel.
    """

    suffix: str = "png"
    quality: int = 80
    lossless: bool = False

    def fitting(self, image: Image.Image, infotext: str) -> "ImageFormat":
        """This one; PNG for what it cannot hold: too many pixels on a side, or too long a prompt for a JPEG."""
        too_large = max(image.size) > _LONGEST_SIDE.get(self.suffix, max(image.size))
        too_long = self.suffix == "jpg" and len(_exif(infotext)) > _MOST_EXIF
        return PNG if too_large or too_long else self

    def write(self, image: Image.Image, file: IO[bytes], infotext: str) -> None:
        """Write the picture: parameters as PNG text `parameters`, else as an EXIF user comment, as A1111 does. Prompts
        that these would not give back stand beside them, where nobody else looks.

        Args:
            infotext: any text; what a file cannot hold is replaced. Empty: none.
        """
        if self.suffix == "png":
            image.save(file, "PNG", pnginfo=_chunks(infotext))
            return
        more = {"lossless": self.lossless} if self.suffix == "webp" else {}
        image.save(file, _NAMES[self.suffix], quality=self.quality, exif=_exif(infotext), **more)


PNG = ImageFormat()


def _chunks(infotext: str) -> PngInfo:
    info = PngInfo()
    if infotext:
        info.add_text("parameters", storable(infotext))
    if aside := _aside(infotext):
        info.add_text(ASIDE, aside)
    return info


def _exif(infotext: str) -> bytes:
    if not infotext:
        return b""
    exif = Image.Exif()
    comment = b"UNICODE\0" + storable(infotext).encode("utf-16-be")
    fields = exif.get_ifd(ExifTags.IFD.Exif)
    fields[ExifTags.Base.UserComment] = comment
    if aside := _aside(infotext):
        fields[ExifTags.Base.MakerNote] = aside.encode()
    return exif.tobytes()


def _aside(infotext: str) -> str:
    return storable(infotext.aside) if isinstance(infotext, Infotext) else ""
