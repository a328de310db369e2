"""Kinds of TIFF, and JPEG XL: each comes out in its colours, or is refused with a sentence."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from modules import images
from modules.errors import ImageError
from modules.odd_pictures import JPEG_XL

WIDTH, HEIGHT = 48, 32
COLOURS = [(220, 30, 30), (30, 200, 40), (40, 60, 210), (240, 240, 240), (20, 20, 20), (200, 180, 60)]
BITS, COMPRESSION, PHOTOMETRIC, SAMPLES, PLANES, EXTRA, SAMPLE_FORMAT, SUBSAMPLING, RANGES = (
    258, 259, 262, 277, 284, 338, 339, 530, 532
)  # fmt: skip
GREY_INVERTED, GREY, RGB, CMYK, YCBCR = 0, 1, 2, 5, 6
WHOLE_RANGE = {RANGES: [(0, 1), (255, 1), (128, 1), (255, 1), (128, 1), (255, 1)]}


def picture() -> Image.Image:
    """Six fields, each of one colour."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for number, colour in enumerate(COLOURS):
        row, column = divmod(number, 3)
        pixels[row * 16 : row * 16 + 16, column * 16 : column * 16 + 16] = colour
    return Image.fromarray(pixels)


def tiff(order: str, bits: int, photometric: int, samples: int, strips: list[bytes], **more: list[int]) -> bytes:
    """A file made by hand: one strip, or one for each channel."""
    planes = 2 if len(strips) > 1 else 1
    tags = {256: [WIDTH], 257: [HEIGHT], 278: [HEIGHT], BITS: [bits] * samples, COMPRESSION: [1]}
    tags |= {PHOTOMETRIC: [photometric], SAMPLES: [samples], PLANES: [planes]}
    tags |= {int(name[1:]): value for name, value in more.items()}
    tags[273] = [8 + sum(len(strip) for strip in strips[:number]) for number in range(len(strips))]
    tags[279] = [len(strip) for strip in strips]
    data = b"".join(strips)
    behind = 8 + len(data) + 2 + 12 * len(tags) + 4
    entries = values = b""
    for tag, numbers in sorted(tags.items()):
        flat = [part for number in numbers for part in (number if isinstance(number, tuple) else (number,))]
        kind = "I" if tag in (273, 279, RANGES) else "H"
        packed = struct.pack(f"{order}{len(flat)}{kind}", *flat)
        code = 5 if tag == RANGES else {"I": 4, "H": 3}[kind]
        where = packed.ljust(4, b"\0") if len(packed) <= 4 else struct.pack(f"{order}I", behind + len(values))
        values += packed if len(packed) > 4 else b""
        entries += struct.pack(f"{order}HHI", tag, code, len(numbers)) + where
    start = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 8 + len(data))
    return start + data + struct.pack(f"{order}H", len(tags)) + entries + bytes(4) + values


def of_16_bits(pixels: np.ndarray, order: str) -> np.ndarray:
    return (pixels.astype(np.uint16) * 257).astype(f"{order}u2")


def channels(pixels: np.ndarray) -> list[bytes]:
    return [np.ascontiguousarray(pixels[..., number]).tobytes() for number in range(pixels.shape[2])]


def halved(pixels: np.ndarray) -> bytes:
    """YCbCr with one pair of colours for four pixels, as cameras have it."""
    light, colours = pixels[..., 0], pixels[::2, ::2, 1:]
    four = [light[::2, ::2], light[::2, 1::2], light[1::2, ::2], light[1::2, 1::2]]
    return np.dstack([*four, colours]).tobytes()


def kinds(order: str) -> dict[str, bytes]:
    rgb, cmyk, ycbcr = (np.array(picture().convert(mode)) for mode in ("RGB", "CMYK", "YCbCr"))
    rgba = np.dstack([rgb, np.full((HEIGHT, WIDTH), 255, np.uint8)])
    deep, deep_cmyk, deep_rgba = (of_16_bits(pixels, order) for pixels in (rgb, cmyk, rgba))
    whole = {"_530": [1, 1], "_532": WHOLE_RANGE[RANGES]}
    quarter = {"_530": [2, 2], "_532": WHOLE_RANGE[RANGES]}
    return {
        "8 bits": tiff(order, 8, RGB, 3, [rgb.tobytes()]),
        "8 bits, planes": tiff(order, 8, RGB, 3, channels(rgb)),
        "16 bits": tiff(order, 16, RGB, 3, [deep.tobytes()]),
        "16 bits, planes": tiff(order, 16, RGB, 3, channels(deep)),
        "16 bits and alpha, planes": tiff(order, 16, RGB, 4, channels(deep_rgba), _338=[2]),
        "CMYK": tiff(order, 8, CMYK, 4, [cmyk.tobytes()]),
        "CMYK of 16 bits, planes": tiff(order, 16, CMYK, 4, channels(deep_cmyk)),
        "YCbCr": tiff(order, 8, YCBCR, 3, [ycbcr.tobytes()], **whole),
        "YCbCr, planes": tiff(order, 8, YCBCR, 3, channels(ycbcr), **whole),
        "YCbCr, halved": tiff(order, 8, YCBCR, 3, [halved(ycbcr)], **quarter),
        "YCbCr, compressed": tiff(order, 8, YCBCR, 3, [zlib.compress(halved(ycbcr))], _259=[8], **quarter),
    }


def differ(found: Image.Image, wanted: Image.Image) -> float:
    """Mean distance of two pictures in levels."""
    return float(np.abs(np.asarray(found, float) - np.asarray(wanted, float)).mean())


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", kinds("<"))
def test_colours_come_out_right(tmp_path: Path, kind: str, order: str):
    (tmp_path / "photo.tif").write_bytes(kinds(order)[kind])
    assert differ(images.open_image(tmp_path / "photo.tif"), picture()) < 4


WRITTEN = [
    (mode, compression)
    for mode in ("RGB", "YCbCr", "CMYK", "LAB")
    for compression in ("raw", "jpeg", "tiff_lzw", "tiff_adobe_deflate")
    if (mode, compression) != ("LAB", "jpeg")  # nobody writes that
]


@pytest.mark.parametrize(("mode", "compression"), WRITTEN)
def test_colours_of_what_pillow_writes(tmp_path: Path, mode: str, compression: str):
    made = picture() if mode == "LAB" else picture().convert(mode)
    if mode == "LAB":
        profiles = [ImageCms.createProfile(name) for name in ("sRGB", "LAB")]
        made = ImageCms.profileToProfile(made, *profiles, outputMode="LAB")
        assert made
    made.save(tmp_path / "photo.tif", compression=compression)
    assert differ(images.open_image(tmp_path / "photo.tif"), picture()) < 8


def test_white_is_zero(tmp_path: Path):
    grey = np.array(picture().convert("L"))
    deep = 65535 - grey.astype(np.uint16) * 257
    (tmp_path / "photo.tif").write_bytes(tiff("<", 16, GREY_INVERTED, 1, [deep.astype("<u2").tobytes()]))
    assert differ(images.open_image(tmp_path / "photo.tif"), picture().convert("L").convert("RGB")) < 1


def test_twelve_bits_of_grey(tmp_path: Path):
    grey = np.array(picture().convert("L")).astype(int) * 16
    left, right = grey[:, ::2], grey[:, 1::2]
    packed = np.dstack([left >> 4, (left & 15) << 4 | right >> 8, right & 255]).astype(np.uint8)
    (tmp_path / "photo.tif").write_bytes(tiff("<", 12, GREY, 1, [packed.tobytes()]))
    assert differ(images.open_image(tmp_path / "photo.tif"), picture().convert("L").convert("RGB")) < 1


def test_alpha_of_planes(tmp_path: Path):
    alpha = np.full((HEIGHT, WIDTH), 255, np.uint8)
    alpha[:, :16] = 64
    deep = of_16_bits(np.dstack([np.array(picture()), alpha]), "<")
    (tmp_path / "photo.tif").write_bytes(tiff("<", 16, RGB, 4, channels(deep), _338=[2]))
    found = images.open_alpha(tmp_path / "photo.tif")
    assert found
    assert (found.getpixel((0, 0)), found.getpixel((40, 0))) == (64, 255)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("bits", "photometric", "samples", "sample_format"),
    [
        *[(32, GREY, 1, 1), (32, GREY, 1, 2), (16, GREY, 1, 2), (32, GREY, 1, 3), (64, GREY, 1, 3), (16, GREY, 1, 3)],
        *[(32, RGB, 3, 1), (32, RGB, 3, 3), (16, GREY, 2, 1), (16, 8, 3, 1)],
    ],
)
def test_what_has_no_known_white_is_named(
    tmp_path: Path, order: str, bits: int, photometric: int, samples: int, sample_format: int
):
    data = bytes(WIDTH * HEIGHT * samples * bits // 8)
    extra = {"_338": [2]} if samples == 2 else {}
    made = tiff(order, bits, photometric, samples, [data], _339=[sample_format] * samples, **extra)
    (tmp_path / "photo.tif").write_bytes(made)
    with pytest.raises(ImageError, match=r"^“photo\.tif” (holds .* numbers|is a kind of TIFF that .*): save it "):
        images.open_image(tmp_path / "photo.tif")


def jpeg(mode: str, marked: bool = True, **options: int) -> bytes:
    """Options as Pillow has them; without its marks it does not say of itself which colours it holds."""
    file = io.BytesIO()
    picture().convert(mode).save(file, "JPEG", quality=95, **options)
    data = file.getvalue()
    while not marked and 0xE0 <= data[3] <= 0xEF:
        data = data[:2] + data[4 + int.from_bytes(data[4:6]) :]
    return data


def test_colours_that_would_be_guessed_are_refused(tmp_path: Path):
    """YCbCr that does not say how many pixels share a colour; CMYK with the mark that means inverted."""
    ycbcr = np.array(picture().convert("YCbCr"))
    made = {
        "whole": tiff("<", 8, YCBCR, 3, [ycbcr.tobytes()]),
        "planes": tiff("<", 8, YCBCR, 3, channels(ycbcr)),
        "compressed": tiff("<", 8, YCBCR, 3, [zlib.compress(ycbcr.tobytes())], _259=[8]),
        "inverted": tiff("<", 8, CMYK, 4, [jpeg("CMYK")], _259=[7]),
    }
    for name, data in made.items():
        (tmp_path / f"{name}.tif").write_bytes(data)
        with pytest.raises(ImageError, match=f"^“{name}.tif” is a TIFF that does not say how its colours are stored"):
            images.open_image(tmp_path / f"{name}.tif")


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("holds", ["RGB", "YCbCr", "YCbCr, halved"])
@pytest.mark.parametrize("says", ["RGB", "YCbCr", "YCbCr, halved", "YCbCr of any kind"])
def test_jpeg_in_tiff_is_what_the_tags_say_or_refused(tmp_path: Path, holds: str, says: str, marked: bool):
    data = jpeg("RGB", marked, keep_rgb=holds == "RGB", subsampling=2 if "halved" in holds else 0)
    more = {"_530": [2, 2] if "halved" in says else [1, 1], "_532": WHOLE_RANGE[RANGES]}
    if says in ("RGB", "YCbCr of any kind"):
        del more["_530"]
    made = tiff("<", 8, RGB if says == "RGB" else YCBCR, 3, [data], _259=[7], **more)
    (tmp_path / "photo.tif").write_bytes(made)
    if holds == says or (holds != "RGB" and says == "YCbCr of any kind"):
        assert differ(images.open_image(tmp_path / "photo.tif"), picture()) < 4
        return
    with pytest.raises(ImageError, match=r"^“photo\.tif” is a TIFF that contradicts itself on its colours: save it"):
        images.open_image(tmp_path / "photo.tif")


def test_ycbcr_without_a_word_on_sharing_is_halved(tmp_path: Path):
    """As TIFF's own default says, if there are as many bytes as that takes."""
    ycbcr = np.array(picture().convert("YCbCr"))
    made = tiff("<", 8, YCBCR, 3, [halved(ycbcr)])
    (tmp_path / "photo.tif").write_bytes(made)
    assert differ(images.open_image(tmp_path / "photo.tif"), picture()) < 4


def test_what_it_says_in_words_is_read_all_the_same(tmp_path: Path):
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "numbers.tif", description="made by hand")
    assert images.read_metadata(tmp_path / "numbers.tif").other["ImageDescription"] == "made by hand"


@pytest.mark.parametrize("start", JPEG_XL)
def test_jpeg_xl_is_called_by_its_name(tmp_path: Path, start: bytes):
    (tmp_path / "photo.jxl").write_bytes(start + bytes(99))
    with pytest.raises(ImageError, match=r"^“photo\.jxl” is a JPEG XL picture, .* save it as PNG, JPEG or WebP"):
        images.open_image(tmp_path / "photo.jxl")
