"""Kinds of pictures that Pillow reads wrong or not at all: read right, or refused by name. Knows no torch.

TIFF is many formats in one. What Pillow 12 reads right through libtiff it may read wrong where a file is not compressed
and it reads the bytes itself; and it takes numbers of any range for grey levels.
"""

from collections.abc import Mapping
from typing import IO, Any

from PIL import Image, ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from modules.errors import ImageError

_BITS, _COMPRESSION, _PHOTOMETRIC, _PLANES, _SUBSAMPLING = 258, 259, 262, 284, 530  # tags
_STRIPS, _LENGTHS, _TILES, _TILE_LENGTHS = 273, 279, 324, 325
_WHITE_IS_ZERO, _RGB, _CMYK, _YCBCR = 0, 2, 5, 6
_RAW, _JPEG = 1, 7
_JFIF, _ADOBE, _PIXELS = 0xE0, 0xEE, 0xDA  # codes in a JPEG
_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive
JPEG_XL = (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")  # how its files start, bare and boxed
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_MODES_OF_16_BITS = {"RGB": "RGB;16N", "RGBA": "RGBA;16N", "RGBX": "RGBX;16N", "CMYK": "CMYK;16N"}


def is_jpeg_xl(start: bytes) -> bool:
    """Whether a file that starts so is a JPEG XL picture."""
    return start.startswith(JPEG_XL)


def no_jpeg_xl(name: str) -> str:
    """What to say of a JPEG XL picture."""
    return f"“{name}” is a JPEG XL picture, which cannot be read here: save it as PNG, JPEG or WebP."


def no_picture(name: str, start: bytes) -> str:
    """What to say of a file that no reader knows.

    Args:
        start: its first twelve bytes.
    """
    if is_jpeg_xl(start):
        return no_jpeg_xl(name)
    if start.startswith(_TIFF):
        return f"“{name}” is a kind of TIFF that cannot be read here: save it as PNG, or as TIFF in RGB, 8 bits."
    return f"“{name}” is not a picture that can be read here: use PNG, JPEG, WebP or HEIC."


def prepare(image: Image.Image, name: str) -> None:
    """Look at what was opened and not read yet: have libtiff read what Pillow itself would read wrong.

    Args:
        image: of any format; others than TIFF are left alone.
        name: of the file, for the sentence.

    Raises:
        ImageError: numbers of which nobody knows what counts as white, or which colours they are.
    """
    if not isinstance(image, TiffImageFile):
        return
    if image.mode in ("F", "I"):  # and NaN would come out black
        kind = "floating-point" if image.mode == "F" else "32-bit or signed"
        raise ImageError(f"“{name}” holds {kind} numbers: save it with 8 or 16 bits a channel.")
    if doubt := _doubt(image):
        raise ImageError(f"“{name}” is a TIFF that {doubt}: save it as TIFF in RGB, not compressed as JPEG.")
    if image.use_load_libtiff:
        return
    tags = image.tag_v2
    reading = "RGBX" if tags.get(_PHOTOMETRIC) == _YCBCR else ""  # libtiff makes RGB of it, and a byte beside
    if tags.get(_PLANES) == 2 and max(tags.get(_BITS, (1,))) == 16:
        reading = reading or _MODES_OF_16_BITS.get(image.mode, "")
    if reading:
        box = (0, 0, tags[256], tags[257])
        image.tile = [ImageFile._Tile("libtiff", box, 0, (reading, "raw", False, tags.offset))]
        image.use_load_libtiff = True


def _doubt(image: TiffImageFile) -> str:
    """Why its colours would be guessed; empty if they would not.

    YCbCr with no word on how many pixels share a colour (the rule says four, not all writers keep it). CMYK in a JPEG
    with Adobe's mark: inverted in a JPEG alone, in a TIFF mostly not. A JPEG that is not what the tags say: libtiff
    believes them.
    """
    tags = image.tag_v2
    compression, photometric = tags.get(_COMPRESSION, _RAW), tags.get(_PHOTOMETRIC)
    unsaid = "does not say how its colours are stored"
    if photometric == _YCBCR and _SUBSAMPLING not in tags and compression != _JPEG:
        whole = sum(tags.get(_LENGTHS) or tags.get(_TILE_LENGTHS, ())) >= 3 * image.width * image.height
        return unsaid if compression != _RAW or tags.get(_PLANES) == 2 or whole else ""
    places = tags.get(_STRIPS) or tags.get(_TILES)
    if compression != _JPEG or not places or not image.fp:
        return ""
    before = image.fp.tell()
    jpeg = _segments(image.fp, places[0])
    image.fp.seek(before)
    if photometric == _CMYK:
        return unsaid if jpeg.get(_ADOBE, b"").startswith(b"Adobe") else ""
    return "" if photometric not in (_RGB, _YCBCR) or _agrees(tags, jpeg) else "contradicts itself on its colours"


def _segments(file: IO[bytes], place: int) -> dict[int, bytes]:
    """What stands before the pixels of a JPEG: codes, each with its content."""
    found: dict[int, bytes] = {}
    file.seek(place + 2)
    while len(head := file.read(4)) == 4 and head[0] == 0xFF and head[1] != _PIXELS and len(found) < 99:
        found[head[1]] = file.read(max(int.from_bytes(head[2:]) - 2, 0))
    return found


def _agrees(tags: Mapping[int, Any], jpeg: Mapping[int, bytes]) -> bool:
    """Whether a JPEG is what the tags say: RGB or YCbCr, and how many pixels share a colour."""
    frames = [content for code, content in jpeg.items() if code in _FRAMES and len(content) == 15]
    if not frames:  # not three channels, or damaged
        return True
    ids, shared = frames[0][6::3], frames[0][7]
    adobe = jpeg.get(_ADOBE, b"")
    is_ycbcr: bool | None = {b"\1\2\3": True, b"RGB": False}.get(ids)  # as libjpeg takes them
    if adobe.startswith(b"Adobe") and len(adobe) == 12:
        is_ycbcr = adobe[11] != 0
    if jpeg.get(_JFIF, b"").startswith(b"JFIF"):
        is_ycbcr = True
    says_ycbcr = tags.get(_PHOTOMETRIC) == _YCBCR
    wanted = tuple(tags.get(_SUBSAMPLING, divmod(shared, 16))) if says_ycbcr else (1, 1)
    return is_ycbcr in (None, says_ycbcr) and wanted == divmod(shared, 16)


def grey_levels(image: Image.Image) -> tuple[float, float]:
    """Factor and summand that make levels 0 … 255 of grey levels of up to 16 bits."""
    if not isinstance(image, TiffImageFile):
        return 1 / 256, 0.0
    factor = 1 / (1 << max(image.tag_v2.get(_BITS, (16,))) - 8)
    return (-factor, 256 - factor) if image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO else (factor, 0.0)
