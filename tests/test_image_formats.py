"""Pictures as PNG, JPEG, WebP and AVIF, their parameters inside."""

import io

import numpy as np
import pytest
from PIL import Image

from modules import image_saving, images
from modules.image_formats import PNG, ImageFormat
from modules.infotext import build_infotext, parse_infotext
from modules.settings import PICTURE_FORMATS

INFOTEXT = "a cat, “grüße” 猫\nNegative prompt: dog\nSteps: 20, Sampler: Euler a, CFG scale: 7.0, Seed: 42, Size: 64x48"


def picture() -> Image.Image:
    rows, columns = np.mgrid[0:48, 0:64]
    return Image.fromarray(np.stack([rows * 5, columns * 3, rows + columns], axis=2).astype(np.uint8))


@pytest.mark.parametrize("infotext", [INFOTEXT, "", "x" * 60_000], ids=["usual", "none", "long"])
@pytest.mark.parametrize("suffix", PICTURE_FORMATS)
def test_the_parameters_come_back(tmp_path, suffix, infotext):
    """A JPEG has no room for the long ones, so that a PNG is written."""
    path = image_saving.save_numbered(picture(), tmp_path, "", "-42", infotext, form=ImageFormat(suffix))
    assert path.name == ("00000-42.png" if len(infotext) > 32_000 and suffix == "jpg" else f"00000-42.{suffix}")
    assert images.read_infotext(path) == infotext
    assert images.read_metadata(path).kind == {"jpg": "JPEG"}.get(path.suffix[1:], path.suffix[1:].upper())
    off = np.asarray(images.open_image(path)).astype(int) - np.asarray(picture())
    assert np.abs(off).mean() < 4  # of 255, at quality 80 on a smooth picture; a PNG is exact
    assert path.suffix != ".png" or not off.any()


@pytest.mark.parametrize("suffix", PICTURE_FORMATS)
def test_a_prompt_that_the_text_cannot_hold_comes_back_and_the_text_is_the_usual_one(tmp_path, suffix):
    prompts = "a cat\nNegative prompt: 猫 of a photo", "Negative prompt: dog"
    infotext = build_infotext(*prompts, {"Steps": 2, "Sampler": "Euler", "Seed": 1})
    path = image_saving.save_numbered(picture(), tmp_path, "", "-42", infotext, form=ImageFormat(suffix))
    plain = image_saving.save_numbered(picture(), tmp_path, "", "-43", str(infotext), form=ImageFormat(suffix))
    assert images.read_infotext(path) == images.read_infotext(plain) == infotext
    for read in (images.read_infotext(path), images.read_metadata(path).infotext):
        said = parse_infotext(read)
        assert (said["Prompt"], said["Negative prompt"]) == prompts
    assert parse_infotext(images.read_infotext(plain))["Prompt"] == "a cat"
    assert images.read_items(path) == images.read_items(plain), "it is nobody else's business"
    assert images.read_metadata(path).other == images.read_metadata(plain).other


def test_quality_is_heeded_and_webp_may_lose_nothing():
    def written(form: ImageFormat) -> bytes:
        file = io.BytesIO()
        form.write(picture(), file, "")
        return file.getvalue()

    for suffix in ("jpg", "webp", "avif"):
        assert len(written(ImageFormat(suffix, quality=5))) < len(written(ImageFormat(suffix, quality=95)))
    with Image.open(io.BytesIO(written(ImageFormat("webp", lossless=True)))) as back:
        assert np.array_equal(np.asarray(back.convert("RGB")), np.asarray(picture()))


@pytest.mark.parametrize(
    ("suffix", "size", "fits"),
    [
        ("jpg", (65_500, 1), True),
        ("jpg", (1, 65_501), False),
        ("webp", (16_383, 1), True),
        ("webp", (16_384, 1), False),
        ("avif", (1, 16_384), True),
        ("avif", (1, 16_385), False),
        ("png", (70_000, 1), True),
    ],
)
def test_what_a_format_cannot_hold_becomes_a_png(tmp_path, suffix, size, fits):
    path = image_saving.save_unnumbered(Image.new("RGB", size), tmp_path, "wide", "a", form=ImageFormat(suffix))
    assert path.name == (f"wide.{suffix}" if fits else "wide.png")
    assert images.read_metadata(path).width == size[0]
    assert PNG.fitting(Image.new("RGB", size), "a") is PNG


def test_no_file_is_written_over_in_another_format_either(tmp_path):
    for suffix in PICTURE_FORMATS:
        image_saving.save_numbered(picture(), tmp_path, "", "-1", form=ImageFormat(suffix))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "00000-1.png", "00001-1.jpg", "00002-1.webp", "00003-1.avif",
    ]  # fmt: skip
