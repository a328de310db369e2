"""Sizes of pictures: from one pixel to more than memory could hold."""

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from modules import images
from modules.errors import ImageError
from modules.paths import PROGRAM


def png(size: tuple[int, int], colour_type: int, rows: bytes, *, depth: int = 8, orientation: int = 1) -> bytes:
    """A PNG made by hand, from rows that each begin with the byte of their filter."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", *size, depth, colour_type, 0, 0, 0)
    exif = b"II*\0\x08\0\0\0" + struct.pack("<HHHIII", 1, ExifTags.Base.Orientation, 3, 1, orientation, 0)
    parts = ((b"IHDR", header), (b"eXIf", exif), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, data) for kind, data in parts)


def test_sixteen_bits_of_colour_keep_their_shades(tmp_path):
    pixel = struct.pack(">HHH", 0x4080, 0x8080, 0xFF80)
    (tmp_path / "deep.png").write_bytes(png((3, 1), 2, b"\0" + 3 * pixel, depth=16))
    assert images.open_image(tmp_path / "deep.png").getpixel((2, 0)) == (0x40, 0x80, 0xFF)


@pytest.mark.parametrize("size", [(1, 1), (20_000, 1), (1, 20_000)])
def test_odd_sizes_open(tmp_path, size):
    Image.new("RGB", size, (0, 0, 255)).save(tmp_path / "odd.png")
    opened = images.open_image(tmp_path / "odd.png")
    assert (opened.size, opened.getpixel((size[0] - 1, size[1] - 1))) == (size, (0, 0, 255))


@pytest.mark.parametrize("size", [(12_000, 10_001), (20_000, 20_000), (2**31 - 1, 2**31 - 1)])
def test_pictures_above_the_limit_are_refused_by_their_header(tmp_path, size):
    (tmp_path / "bomb.png").write_bytes(png(size, 2, bytes(99)))
    with pytest.raises(ImageError, match="megapixels"):
        images.open_image(tmp_path / "bomb.png")


PEAK = """
import sys
from pathlib import Path
from modules import images

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))

try:
    print(images.open_image(Path(sys.argv[1])).size, peak())
except images.ImageError:
    print(None, peak())
"""


def opened_in_a_process_of_its_own(path: Path) -> tuple[str, int]:
    """Size of the picture as it says itself, and the most bytes that the process held."""
    ended = subprocess.run(
        [sys.executable, "-c", PEAK, str(path)], cwd=PROGRAM, capture_output=True, text=True, check=True
    )
    size, _, peak = ended.stdout.strip().rpartition(" ")
    return size, int(peak)


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
@pytest.mark.parametrize(("colour_type", "channels"), [(2, 3), (6, 4)], ids=["RGB", "RGBA"])
def test_a_hundred_megapixels_open_within_their_memory(tmp_path, colour_type, channels):
    rows = (bytes(1 + 12_500 * channels)) * 8_000
    (tmp_path / "large.png").write_bytes(png((12_500, 8_000), colour_type, rows, orientation=6))
    size, peak = opened_in_a_process_of_its_own(tmp_path / "large.png")
    assert size == "(8000, 12500)"
    assert peak < 1_500_000_000  # the stated limit; 400 MB a copy


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_a_bomb_is_never_inflated(tmp_path):
    (tmp_path / "bomb.png").write_bytes(png((15_000, 12_000), 0, bytes(15_001) * 12_000))
    assert (tmp_path / "bomb.png").stat().st_size < 1_000_000
    size, peak = opened_in_a_process_of_its_own(tmp_path / "bomb.png")
    assert size == "None"
    assert peak < 150_000_000  # a fresh process; the 180 megapixels of grey would be another 180 MB
