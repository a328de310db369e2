"""Pictures opened, saved with their parameters, and laid out side by side. No torch is imported for that.

`open_image` is the only place where a picture is opened: whatever comes out of it is upright, RGB, in sRGB colours and
of a size that fits into memory.
"""

import io
import math
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError

from modules import odd_pictures
from modules.errors import ImageError
from modules.files import write_atomically
from modules.image_formats import ASIDE, PNG, ImageFormat
from modules.infotext import Infotext, from_novelai

if TYPE_CHECKING:
    from torch import Tensor

MAX_PIXELS = 120_000_000  # read from the header, before anything is decoded
GRID_PIXELS = 60_000_000  # larger overviews are made of smaller pictures
FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "BMP", "TIFF")  # no reader that starts other programs

_BYTES_FOLLOW = (b"ASCII\0\0\0", b"JIS\0\0\0\0\0", bytes(8))  # before EXIF user comments that are no UTF-16
_SHOWN_ELSEWHERE = {"parameters", ASIDE, "comment", "icc_profile", "exif", "xmp"}

T = TypeVar("T")


def open_image(path: Path, background: tuple[int, int, int] = (255, 255, 255)) -> Image.Image:
    """Open a picture for looking at it or learning from it.

    Args:
        path: PNG, JPEG, WebP, AVIF, GIF, BMP, TIFF or HEIC, told by content; of animations the first frame.
        background: what shows through transparent places.

    Returns:
        RGB, turned as the camera was held, in sRGB colours.

    Raises:
        ImageError: no picture, damaged, of numbers without a known white, or above 120 megapixels.
    """

    def use(image: Image.Image) -> Image.Image:
        odd_pictures.prepare(image, path.name)
        return _to_rgb(image, background)

    return _read(path, use)


def open_alpha(path: Path) -> Image.Image | None:
    """How opaque a picture is at each place, as grey levels, turned as `open_image` turns it; None if it is all opaque.

    Raises:
        ImageError: no picture, damaged, or above 120 megapixels.
    """

    def use(image: Image.Image) -> Image.Image | None:
        odd_pictures.prepare(image, path.name)
        return _alpha_of(ImageOps.exif_transpose(image))

    return _read(path, use)


@dataclass(frozen=True)
class Metadata:
    """What a file says about its picture.

    Attributes:
        kind: “PNG”, “JPEG” …, told by content.
        width, height: in pixels, as stored.
        infotext: the parameters it was made from, or empty.
        other: whatever else it says, text by name.
    """

    kind: str
    width: int
    height: int
    infotext: Infotext
    other: dict[str, str]


def read_infotext(path: Path) -> Infotext:
    """The parameters stored in a picture: PNG text `parameters`, EXIF user comment, or GIF comment; else empty.

    What NovelAI stores is put into the same words.

    Raises:
        ImageError: no picture, or damaged.
    """
    return _read(path, _infotext_of)


def read_metadata(path: Path) -> Metadata:
    """Everything that a picture's file says in words.

    Raises:
        ImageError: no picture, or damaged.
    """
    return _read(path, _metadata_of)


def to_pil(image: "Tensor") -> Image.Image:
    """A picture [3, H, W] with values -1 … 1 as 8-bit RGB: cut off, not rounded, as A1111 does."""
    from_0_to_255 = ((image.detach().float() + 1) / 2).clamp(0, 1) * 255
    return Image.fromarray(from_0_to_255.byte().permute(1, 2, 0).cpu().numpy())


def to_tensor(image: Image.Image) -> "Tensor":
    """An RGB picture as float32 [3, H, W] with values -1 … 1."""
    import numpy as np
    import torch

    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 127.5 - 1


def read_items(path: Path) -> dict[str, str]:
    """What else a picture says in words: its text chunks, without the parameters.

    Raises:
        ImageError: no picture, or damaged.
    """
    return _read(path, _items_of)


def to_png(image: Image.Image, infotext: str = "") -> bytes:
    """The picture as the bytes of a PNG file, with its parameters."""
    return to_bytes(image, infotext, PNG)


def to_bytes(image: Image.Image, infotext: str, form: ImageFormat) -> bytes:
    """The picture as the bytes of a file, with its parameters; see `ImageFormat.fitting`."""
    file = io.BytesIO()
    form.fitting(image, infotext).write(image, file, infotext)
    return file.getvalue()


def save_png(image: Image.Image, path: Path, infotext: str = "", *, replace: bool = True) -> None:
    """Write a PNG with its parameters; a reader never sees half of it.

    Args:
        infotext: any text; what a PNG cannot hold is replaced.
        replace: False refuses to write over a file that is there.

    Raises:
        StorageError: disk full, read-only or gone.
        FileExistsError: `replace` is False and `path` exists.
    """
    write_atomically(path, lambda file: PNG.write(image, file, infotext), replace=replace)


def grid_rows(count: int, rows: int, batch_size: int, without_gaps: bool = False) -> int:
    """How many rows an overview of `count` pictures has.

    Args:
        rows: that many; 0: one for each picture of a batch; -1: as square as it gets.
        without_gaps: of the square forms, take one that is filled completely.

    Source: A1111 v1.10, where 0 means as many rows as a batch has pictures.
    """
    if rows > 0:
        wanted = rows
    elif rows == 0:
        wanted = batch_size
    elif without_gaps:
        wanted = next(n for n in range(math.isqrt(count), 0, -1) if count % n == 0)
    else:
        wanted = round(math.sqrt(count))
    return min(wanted, count)


def grid(images: Iterable[Image.Image], count: int, rows: int) -> Image.Image:
    """An overview, row by row; gaps are black. Pictures are taken one at a time and made smaller if there are many.

    Args:
        images: at least one, as many as `count`, all of the size of the first.
        rows: at most `count`.
    """
    columns = math.ceil(count / rows)
    sheet = None
    width = height = 0
    for position, image in enumerate(images):
        if sheet is None:
            scale = min(1.0, math.sqrt(GRID_PIXELS / (rows * columns * image.width * image.height)))
            width, height = max(1, int(image.width * scale)), max(1, int(image.height * scale))
            sheet = Image.new("RGB", (columns * width, rows * height))
        cell = image if image.size == (width, height) else image.resize((width, height), Image.Resampling.LANCZOS)
        sheet.paste(cell, (position % columns * width, position // columns * height))
    assert sheet is not None, "a grid of nothing"
    return sheet


def _read(path: Path, use: Callable[[Image.Image], T]) -> T:
    """Open, judge by the header, and hand over; whatever a reader stumbles over becomes one sentence."""
    try:
        with _open(path) as image:
            if image.width * image.height > MAX_PIXELS:
                size = f"{image.width}×{image.height}"
                raise ImageError(f"“{path.name}” is {size}: at most {MAX_PIXELS // 10**6} megapixels are opened.")
            return use(image)
    except (ImageError, MemoryError):
        raise
    except FileNotFoundError as error:
        raise ImageError(f"“{path.name}” is not there any more.") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"“{path.name}” is larger than {MAX_PIXELS // 10**6} megapixels.") from error
    except UnidentifiedImageError as error:
        raise ImageError(odd_pictures.no_picture(path.name, _start(path))) from error
    except Exception as error:  # readers of damaged files raise anything from SyntaxError to struct.error
        raise ImageError(f"“{path.name}” is damaged: it cannot be read to the end.") from error


def _open(path: Path) -> Image.Image:
    Image.init()  # loads the readers named in FORMATS; a second call does nothing
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit is ours, and lower than the error's
        try:
            return Image.open(path, formats=FORMATS)
        except UnidentifiedImageError:
            if not _looks_like_heif(path):
                raise
        try:
            import pillow_heif
        except ImportError as error:
            raise ImageError(f"“{path.name}” is a HEIC picture: install pillow-heif to open it.") from error
        pillow_heif.register_heif_opener()
        return Image.open(path, formats=("HEIF",))


def _looks_like_heif(path: Path) -> bool:
    return _start(path)[4:8] == b"ftyp"


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(12)


def _to_rgb(opened: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    """Turn, flatten and convert, with never more than two pictures of full size in memory."""
    ImageOps.exif_transpose(opened, in_place=True)
    image = opened
    profile = image.info.get("icc_profile")
    if image.mode in ("I", "I;16", "I;16L", "I;16B", "I;16N"):  # 16 bits of grey; a plain conversion would cut them off
        factor, more = odd_pictures.grey_levels(opened)
        image = image if image.mode in ("I", "I;16") else image.convert("I")  # `point` takes no other byte order
        image = image.point(lambda level: level * factor + more).convert("L")
    elif image.has_transparency_data:
        if image.mode != "RGBA":
            image = image.convert("RGBA")
        flat = Image.new("RGB", image.size, background)
        flat.paste(image, mask=image)
        image = flat
    image = _in_srgb(image, profile) or (image if image.mode == "RGB" else image.convert("RGB"))
    image = image.copy() if image is opened else image  # what belongs to a file is closed with it
    image.info.clear()  # the profile is applied: a copy that is saved must not carry it along
    return image


def _alpha_of(image: Image.Image) -> Image.Image | None:
    if not image.has_transparency_data:
        return None
    alpha = image.convert("RGBA").getchannel("A")
    return None if alpha.getextrema() == (255, 255) else alpha


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image | None:
    """Colours of a camera's or phone's own profile as sRGB; None if there is no profile that fits the picture."""
    if not profile or image.mode not in ("RGB", "CMYK", "L"):
        return None
    in_place = image.mode == "RGB"
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(
            image, source, ImageCms.createProfile("sRGB"), outputMode=None if in_place else "RGB", inPlace=in_place
        )
    except (ImageCms.PyCMSError, OSError):  # a broken profile, or one for another kind of picture
        return None
    return image if in_place else converted


def _metadata_of(image: Image.Image) -> Metadata:
    texts = _texts(image)
    exif = image.getexif()
    tags = {**dict(exif), **exif.get_ifd(ExifTags.IFD.Exif)}
    left_out = (ExifTags.Base.UserComment, ExifTags.Base.MakerNote, ExifTags.Base.ExifOffset)
    named = {ExifTags.TAGS.get(tag, f"EXIF {tag}"): value for tag, value in tags.items() if tag not in left_out}
    other = {name: _as_text(value) for name, value in {**named, **texts}.items() if name not in _SHOWN_ELSEWHERE}
    other = {name: text for name, text in other.items() if text}
    return Metadata(image.format or "", image.width, image.height, _infotext_of(image), other)


def _infotext_of(image: Image.Image) -> Infotext:
    text = image.info.get("parameters")
    fields = image.getexif().get_ifd(ExifTags.IFD.Exif)
    comment, aside = fields.get(ExifTags.Base.UserComment), fields.get(ExifTags.Base.MakerNote)
    if comment:
        text = _user_comment(comment) or text
    if image.format == "PNG":
        texts = _texts(image) if text is None else image.info  # what stands behind the pixels takes decoding them
        text = text or texts.get("parameters")
        aside = texts.get(ASIDE)
        if text is None and texts.get("Software") == "NovelAI":
            return from_novelai(texts.get("Description", ""), texts.get("Comment", ""), image.size)
    return Infotext.with_aside(_as_text(text or image.info.get("comment") or ""), _as_text(aside or ""))


def _texts(image: Image.Image) -> dict[str, str]:
    """Texts in the file; those behind a PNG's pixels are known only once it is decoded."""
    texts = getattr(image, "text", None) if image.format == "PNG" else image.info
    return {str(name): str(value) for name, value in (texts or {}).items() if isinstance(value, str)}


def _as_text(value: object) -> str:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return str(value).strip("\0")


def _items_of(image: Image.Image) -> dict[str, str]:
    return {
        str(key): value for key, value in image.info.items() if isinstance(value, str) and key not in _SHOWN_ELSEWHERE
    }


def _user_comment(comment: bytes | str) -> str:
    """The text of an EXIF user comment, whose first 8 letters name its encoding; some programs forget them."""
    if isinstance(comment, str):
        return comment
    encoding, text = comment[:8], comment[8:]
    if encoding != b"UNICODE\0":
        text = text if encoding in _BYTES_FOLLOW else comment
        return text.decode("utf-8", "replace").strip("\0")
    # big-endian by A1111 and most others; in the little-endian form Latin letters have their zero behind them
    little = text[1::2].count(0) > text[::2].count(0)
    return text.decode("utf-16-le" if little else "utf-16-be", "replace").strip("\0")
