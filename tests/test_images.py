import errno
import json
import os
import random
import struct
import sys
import threading
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
import torch
from PIL import ExifTags, Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from modules import image_saving, images
from modules.errors import ImageError, StorageError
from modules.infotext import from_novelai

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def corners(size: tuple[int, int] = (40, 24)) -> Image.Image:
    """Grey, with a red, green, blue and white quarter, from the upper left on, row by row."""
    picture = Image.new("RGB", size)
    half = size[0] // 2, size[1] // 2
    for position, colour in enumerate((RED, GREEN, BLUE, WHITE)):
        picture.paste(colour, (position % 2 * half[0], position // 2 * half[1], size[0], size[1]))
    return picture


def near(found: object, expected: tuple[int, ...], tolerance: int = 12) -> bool:
    """Lossy formats move a flat colour by a few levels."""
    assert isinstance(found, tuple)
    return all(abs(a - b) <= tolerance for a, b in zip(found, expected, strict=True))


# --- opening ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "avif", "gif", "bmp", "tiff"])
def test_formats_are_told_by_content(tmp_path, suffix):
    corners().save(tmp_path / f"picture.{suffix}")
    path = (tmp_path / f"picture.{suffix}").rename(tmp_path / "picture.txt")
    opened = images.open_image(path)
    assert (opened.mode, opened.size) == ("RGB", (40, 24))
    assert near(opened.getpixel((3, 3)), RED)


def test_heic_pictures_of_phones_open(tmp_path):
    pillow_heif.from_pillow(corners((64, 48))).save(tmp_path / "phone.heic")
    opened = images.open_image(tmp_path / "phone.heic")
    assert (opened.mode, opened.size) == ("RGB", (64, 48))
    assert near(opened.getpixel((3, 3)), RED, 30)


def test_heic_pictures_without_their_reader_say_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ImageError, match="install pillow-heif"):
        images.open_image(tmp_path / "phone.heic")


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff", "avif", "heic"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_as_the_camera_was_held(tmp_path, orientation, suffix):
    upright = corners((64, 32))
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    stored = upright.transpose(undo[orientation]) if orientation > 1 else upright
    path = tmp_path / f"photo.{suffix}"
    if suffix == "heic":
        pillow_heif.from_pillow(stored).save(path, exif=exif.tobytes())
    else:
        stored.save(path, exif=exif)
    opened = images.open_image(path)
    assert opened.size == upright.size
    for at, colour in (((8, 8), RED), ((56, 8), GREEN), ((8, 24), BLUE), ((56, 24), WHITE)):
        assert near(opened.getpixel(at), colour, 30)


def test_transparent_places_show_the_background(tmp_path):
    Image.new("RGBA", (4, 4), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert images.open_image(tmp_path / "clear.png").getpixel((0, 0)) == WHITE
    assert images.open_image(tmp_path / "clear.png", background=BLUE).getpixel((0, 0)) == BLUE


def test_opacity_is_read_where_there_is_any(tmp_path):
    corners().save(tmp_path / "plain.png")
    corners().convert("RGBA").save(tmp_path / "opaque.png")
    half = corners().convert("RGBA")
    half.putpixel((39, 0), (0, 0, 0, 128))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 3
    half.save(tmp_path / "half.png", exif=exif)
    assert images.open_alpha(tmp_path / "plain.png") is None
    assert images.open_alpha(tmp_path / "opaque.png") is None
    alpha = images.open_alpha(tmp_path / "half.png")
    assert alpha is not None
    assert (alpha.mode, alpha.getpixel((0, 23)), alpha.getpixel((39, 0))) == ("L", 128, 255)


def test_palette_with_transparency_and_cmyk_open(tmp_path):
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 0, 0, 255])
    palette.save(tmp_path / "palette.png", transparency=0)
    Image.new("CMYK", (4, 4), (0, 255, 255, 0)).save(tmp_path / "print.jpg")
    assert images.open_image(tmp_path / "palette.png").getpixel((0, 0)) == BLUE
    assert near(images.open_image(tmp_path / "print.jpg").getpixel((0, 0)), RED)


@pytest.mark.parametrize("value", [0.5, float("nan"), float("inf")])
def test_floating_point_numbers_are_no_shades(tmp_path, value):
    """They would come out black or white, and be learned from."""
    Image.fromarray(np.full((4, 4), value, np.float32)).save(tmp_path / "numbers.tiff")
    with pytest.raises(ImageError, match=r"“numbers\.tiff” holds floating-point numbers"):
        images.open_image(tmp_path / "numbers.tiff")


@pytest.mark.parametrize(("mode", "name"), [("I;16", "deep.png"), ("I;16", "deep.tiff"), ("I;16B", "deep.tiff")])
def test_sixteen_bits_of_grey_keep_their_shades(tmp_path, mode, name):
    levels = np.array([[0x4080, 0x00FF, 0xFFFF]])
    picture = Image.frombytes(mode, (3, 1), levels.astype(">u2" if mode == "I;16B" else "<u2").tobytes())
    picture.save(tmp_path / name)
    opened = images.open_image(tmp_path / name)
    assert [opened.getpixel((x, 0)) for x in range(3)] == [(0x40,) * 3, (0,) * 3, (0xFF,) * 3]


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tiff", "avif"])
def test_of_an_animation_the_first_frame_is_opened(tmp_path, suffix):
    first, second = Image.new("RGB", (16, 16), RED), Image.new("RGB", (16, 16), BLUE)
    first.save(tmp_path / f"moving.{suffix}", save_all=True, append_images=[second])
    opened = images.open_image(tmp_path / f"moving.{suffix}")
    assert near(opened.getpixel((0, 0)), RED)
    assert not hasattr(opened, "n_frames")


def exchanged_primaries() -> bytes:
    """A profile in which red is what sRGB calls green, and the other way round."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    places = {}
    for tag in range(int.from_bytes(profile[128:132])):
        name, offset, size = struct.unpack_from(">4sII", profile, 132 + 12 * tag)
        places[name] = slice(offset, offset + size)
    red, green = places[b"rXYZ"], places[b"gXYZ"]
    profile[red], profile[green] = profile[green], profile[red]
    return bytes(profile)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_colours_of_another_profile_become_srgb_and_the_profile_stays_behind(tmp_path, mode):
    corners().convert(mode).save(tmp_path / "wide.png", icc_profile=exchanged_primaries())
    opened = images.open_image(tmp_path / "wide.png")
    assert near(opened.getpixel((3, 3)), GREEN, 3)  # the fixed-point numbers of a profile round
    assert near(opened.getpixel((30, 3)), RED, 3)
    images.save_png(opened, tmp_path / "copy.png")
    with Image.open(tmp_path / "copy.png") as copy:
        assert "icc_profile" not in copy.info


def test_a_profile_of_srgb_or_a_broken_one_changes_nothing(tmp_path):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    corners().save(tmp_path / "srgb.png", icc_profile=srgb)
    corners().save(tmp_path / "broken.png", icc_profile=srgb[:100])
    assert images.open_image(tmp_path / "srgb.png").tobytes() == corners().tobytes()
    assert images.open_image(tmp_path / "broken.png").tobytes() == corners().tobytes()


@pytest.mark.parametrize("content", [b"", b"just a text", b"\x89PNG\r\n\x1a\n", b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_what_is_no_picture_is_refused(tmp_path, content):
    (tmp_path / "photo.jpg").write_bytes(content)
    with pytest.raises(ImageError, match=r"photo\.jpg"):
        images.open_image(tmp_path / "photo.jpg")


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(ImageError, match="not there any more"):
        images.open_image(tmp_path / "gone.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif", "tiff"])
def test_damaged_files_get_a_sentence(tmp_path, suffix):
    corners((200, 100)).save(tmp_path / f"whole.{suffix}")
    whole = (tmp_path / f"whole.{suffix}").read_bytes()
    chance = random.Random(suffix)
    path = tmp_path / "damaged"
    refused = []
    for _ in range(60):
        content = bytearray(whole[: chance.randrange(len(whole))] if chance.random() < 0.5 else whole)
        for _ in range(chance.randrange(8)):
            if content:
                content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(content)
        try:
            images.open_image(path)
        except ImageError as error:
            refused.append(str(error))
    assert len(refused) > 10
    assert not any(str(tmp_path) in sentence for sentence in refused)


# --- saving ----------------------------------------------------------------------------------------------------------


def test_values_are_cut_off_not_rounded():
    picture = torch.tensor([-2.0, -1.0, 0.0, 0.9999, 1.0, 2.0]).expand(3, 1, 6)
    assert list(images.to_pil(picture).getchannel("R").tobytes()) == [0, 0, 127, 254, 255, 255]


def test_rows_columns_and_colours_stay_where_they_are():
    picture = torch.full((3, 2, 5), -1.0)
    picture[1, 1, 4] = 1.0
    pil = images.to_pil(picture)
    assert pil.size == (5, 2)
    assert pil.getpixel((4, 1)) == GREEN


TEXTS = ["a cat\nSteps: 20", "猫 🐈", "é", "x" * 200_000]


@pytest.mark.parametrize("text", TEXTS, ids=["plain", "unicode", "latin", "long"])
def test_parameters_are_read_back(tmp_path, text):
    images.save_png(corners(), tmp_path / "picture.png", text)
    assert images.read_infotext(tmp_path / "picture.png") == text
    assert images.open_image(tmp_path / "picture.png").tobytes() == corners().tobytes()


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "\udfff\0", "猫\ud83d"])
def test_hostile_text_does_not_break_saving(tmp_path, text):
    images.save_png(corners(), tmp_path / "picture.png", text)
    expected = "".join("\ufffd" if letter == "\0" or "\ud800" <= letter <= "\udfff" else letter for letter in text)
    assert images.read_infotext(tmp_path / "picture.png") == expected


def test_other_containers_give_their_parameters(tmp_path):
    text = "a 猫\nSteps: 20"
    exif = Image.Exif()
    exif[ExifTags.Base.Software] = "a camera"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = b"UNICODE\0" + text.encode("utf-16-be")
    stored = exif.tobytes()
    for suffix in ("jpg", "webp", "avif"):
        corners().save(tmp_path / f"picture.{suffix}", exif=stored)
        assert images.read_infotext(tmp_path / f"picture.{suffix}") == text
    corners().save(tmp_path / "picture.gif", comment=text)
    assert images.read_infotext(tmp_path / "picture.gif") == text
    corners().save(tmp_path / "bare.png")
    assert images.read_infotext(tmp_path / "bare.png") == ""


def test_a_huge_compressed_text_gets_a_sentence(tmp_path):
    info = PngInfo()
    info.add_text("parameters", "x" * 3_000_000, zip=True)
    corners().save(tmp_path / "wordy.png", pnginfo=info)
    with pytest.raises(ImageError, match=r"wordy\.png"):
        images.read_infotext(tmp_path / "wordy.png")


def test_numbers_go_on_behind_the_highest(tmp_path):
    assert image_saving.next_number(tmp_path / "none yet") == 0
    for name in ("00007-1.png", "3.png", "notes.txt", "grid-0041.png", "20240131235959123-photo.png"):
        (tmp_path / name).touch()
    assert image_saving.next_number(tmp_path) == 8
    assert image_saving.next_number(tmp_path, "grid-") == 42
    assert image_saving.save_numbered(corners(), tmp_path, "", "-9").name == "00008-9.png"
    assert image_saving.save_numbered(corners(), tmp_path, "grid-", "", digits=4).name == "grid-0042.png"


def test_writers_at_the_same_time_overwrite_nothing(tmp_path):
    """All see the same highest number; the one who comes second takes the next."""
    start = threading.Barrier(8)
    colours = [(shade, 0, 0) for shade in range(8)]

    def write(colour: tuple[int, int, int]) -> None:
        start.wait()
        for _ in range(5):
            image_saving.save_numbered(Image.new("RGB", (4, 4), colour), tmp_path, "", "-1")

    writers = [threading.Thread(target=write, args=(colour,)) for colour in colours]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    found = [images.open_image(path).tobytes()[0] for path in tmp_path.iterdir()]
    assert sorted(found) == sorted(list(range(8)) * 5)


def test_a_full_disk_keeps_the_old_picture_and_leaves_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "picture.png"
    images.save_png(corners(), path, "old")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match="Disk full"):
            images.save_png(corners(), path, "new")
        with pytest.raises(StorageError, match="Disk full"):
            image_saving.save_numbered(corners(), tmp_path, "", "-1")
    assert images.read_infotext(path) == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "outputs").write_text("a file where a folder should be")
    with pytest.raises(StorageError, match="outputs"):
        image_saving.save_numbered(corners(), tmp_path / "outputs" / "today", "", "-1")


# --- overviews -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "rows", "batch_size", "without_gaps", "expected"),
    [
        (4, -1, 1, False, 2),
        (5, -1, 1, False, 2),
        (7, -1, 1, False, 3),
        (6, -1, 1, True, 2),
        (7, -1, 1, True, 1),
        (6, 0, 3, False, 3),
        (6, 4, 1, False, 4),
        (2, 16, 1, False, 2),
    ],
)
def test_rows_of_an_overview(count, rows, batch_size, without_gaps, expected):
    assert images.grid_rows(count, rows, batch_size, without_gaps) == expected


def test_an_overview_goes_row_by_row_and_its_gaps_are_black():
    sheet = images.grid((Image.new("RGB", (10, 6), colour) for colour in (RED, GREEN, BLUE)), 3, rows=2)
    assert sheet.size == (20, 12)
    assert [sheet.getpixel(at) for at in ((5, 3), (15, 3), (5, 9), (15, 9))] == [RED, GREEN, BLUE, (0, 0, 0)]


def test_an_overview_of_many_pictures_stays_within_its_limit(monkeypatch):
    monkeypatch.setattr(images, "GRID_PIXELS", 1000)
    sheet = images.grid((Image.new("RGB", (40, 20), RED) for _ in range(9)), 9, rows=3)
    assert sheet.width * sheet.height <= 1000
    assert sheet.width == pytest.approx(2 * sheet.height, abs=6)  # whole pixels per cell


def test_a_preview_is_a_png(tmp_path):
    path: Path = tmp_path / "preview.png"
    path.write_bytes(images.to_png(corners()))
    assert images.open_image(path).tobytes() == corners().tobytes()


@pytest.mark.parametrize("suffix", ["jpg", "webp", "avif", "png"])
def test_a_user_comment_is_read_in_both_byte_orders(tmp_path, suffix):
    text = "a cät, 日本\nSteps: 20"
    for order in ("utf-16-be", "utf-16-le"):
        exif = Image.Exif()
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = b"UNICODE\0" + text.encode(order)
        corners().save(tmp_path / f"picture.{suffix}", exif=exif.tobytes())
        assert images.read_infotext(tmp_path / f"picture.{suffix}") == text


@pytest.mark.parametrize("begin", [b"ASCII\0\0\0", bytes(8), b""], ids=["ASCII", "undefined", "forgotten"])
def test_a_user_comment_is_read_with_and_without_its_encoding(tmp_path, begin):
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = begin + "a cät\nSteps: 20".encode()
    corners().save(tmp_path / "picture.jpg", exif=exif.tobytes())
    assert images.read_infotext(tmp_path / "picture.jpg") == "a cät\nSteps: 20"


def test_what_novelai_stores_is_read(tmp_path):
    info = PngInfo()
    said = {"steps": 28, "sampler": "k_euler_ancestral", "seed": 5, "scale": 11.0, "uc": "bad, worse"}
    for key, text in {"Software": "NovelAI", "Description": "a cat", "Comment": json.dumps(said)}.items():
        info.add_text(key, text)
    corners().save(tmp_path / "picture.png", pnginfo=info)
    width, height = corners().size
    assert images.read_infotext(tmp_path / "picture.png") == (
        "a cat\nNegative prompt: bad, worse\nSteps: 28, Sampler: Euler a, CFG scale: 11.0, Seed: 5, "
        f"Size: {width}x{height}, Clip skip: 2, ENSD: 31337"
    )


@pytest.mark.parametrize("comment", ["", "{", "[1]", "[" * 100_000])
def test_damaged_json_of_novelai_leaves_the_prompt(comment):
    assert from_novelai("a cat", comment, (64, 64)) == "a cat"


def test_parameters_behind_the_pixels_are_found(tmp_path):
    info = PngInfo()
    info.add(b"tEXt", b"parameters\0late", after_idat=True)
    corners().save(tmp_path / "picture.png", pnginfo=info)
    assert images.read_infotext(tmp_path / "picture.png") == "late"


def test_metadata_names_kind_size_and_every_other_text(tmp_path):
    info = PngInfo()
    info.add_text("parameters", "a cat")
    info.add_text("Title", "<b>mine</b>")
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "a camera"
    corners().save(tmp_path / "picture.png", pnginfo=info, exif=exif)
    found = images.read_metadata(tmp_path / "picture.png")
    assert (found.kind, (found.width, found.height), found.infotext) == ("PNG", corners().size, "a cat")
    assert found.other == {"Title": "<b>mine</b>", "Make": "a camera"}
