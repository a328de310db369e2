import math

import numpy as np
import pytest
from PIL import Image

from modules.errors import ParameterError
from modules.preprocess.crop import Crop, auto_size, cut, split
from modules.preprocess_params import PreprocessParams

SQUARE = (512, 512)


def places(size: tuple[int, int]) -> Image.Image:
    """A photo whose red and green say where a pixel lies: 0 … 255 from left to right and from top to bottom."""
    x, y = np.meshgrid(np.linspace(0, 255, size[0]), np.linspace(0, 255, size[1]))
    return Image.fromarray(np.stack([x, y, np.zeros_like(x)], axis=-1).round().astype(np.uint8))


@pytest.mark.parametrize(
    ("photo", "target", "crop", "box"),
    [
        ((1000, 500), SQUARE, Crop(), (250, 0, 750, 500)),
        ((500, 1000), SQUARE, Crop(), (0, 250, 500, 750)),
        ((1000, 1000), (512, 768), Crop(), (166.666667, 0, 833.333333, 1000)),
        ((1000, 500), SQUARE, Crop(x=0.0), (0, 0, 500, 500)),
        ((1000, 500), SQUARE, Crop(x=0.9, y=0.1), (500, 0, 1000, 500)),
        ((1000, 500), SQUARE, Crop(zoom=2), (375, 125, 625, 375)),
        ((1000, 500), SQUARE, Crop(x=1.0, y=0.0, zoom=2), (750, 0, 1000, 250)),
        ((1, 1), SQUARE, Crop(zoom=16), (0.46875, 0.46875, 0.53125, 0.53125)),
        ((20_000, 1), SQUARE, Crop(x=0.25), (4999.5, 0, 5000.5, 1)),
    ],
)
def test_boxes(photo, target, crop, box):
    assert crop.box(photo, target) == pytest.approx(box)


@pytest.mark.parametrize("photo", [(640, 480), (333, 1000), (1, 1), (20_000, 1), (4000, 3999)])
@pytest.mark.parametrize("target", [SQUARE, (768, 512), (64, 2048)])
@pytest.mark.parametrize("crop", [Crop(), Crop(0, 1, 3), Crop(1, 0.3, 16)])
def test_boxes_have_the_ratio_of_the_target_and_lie_inside(photo, target, crop):
    left, top, right, bottom = crop.box(photo, target)
    assert (right - left) * target[1] == pytest.approx(
        (bottom - top) * target[0], abs=0.01
    )  # boxes are rounded to 1e-6
    assert 0 <= left < right <= photo[0]
    assert 0 <= top < bottom <= photo[1]


@pytest.mark.parametrize(
    ("field", "value"), [("x", -0.1), ("y", 1.1), ("zoom", 0.5), ("zoom", 17), ("x", math.nan), ("zoom", math.inf)]
)
def test_a_crop_outside_the_photo_is_refused(field, value):
    with pytest.raises(ParameterError) as refused:
        Crop(**{field: value})
    assert refused.value.field == field


def test_cut_pictures_have_the_target_size_and_show_the_part():
    photo = places((1024, 512))
    right = cut(photo, Crop(x=1.0), (256, 256))
    assert right.size == (256, 256)
    middle = right.getpixel((128, 128))
    assert isinstance(middle, tuple)
    assert middle[:2] == pytest.approx((191, 128), abs=2)  # three quarters of the width, half the height; 8-bit steps


def test_whole_pixels_are_copied_as_they_are():
    rng = np.random.default_rng(0)
    photo = Image.fromarray(rng.integers(0, 256, (1100, 512, 3), dtype=np.uint8))
    parts = split(photo.size, SQUARE, 0.5, 0.2)
    assert [cut(photo, crop, SQUARE).tobytes() for crop in parts] == [
        photo.crop((0, top, 512, top + 512)).tobytes() for top in (0, 294, 588)
    ]


@pytest.mark.parametrize(
    ("photo", "offsets"),
    [
        ((512, 2048), [0, 384, 768, 1152, 1536]),
        ((512, 1100), [0, 294, 588]),
        ((1100, 512), [0, 294, 588]),
        ((512, 1024), [0, 256, 512]),
        ((512, 1023), []),
        ((512, 512), []),
    ],
)
def test_oversized_photos_are_split(photo, offsets):
    boxes = [crop.box(photo, SQUARE) for crop in split(photo, SQUARE, 0.5, 0.2)]
    along = 0 if photo[0] > photo[1] else 1
    assert [box[along] for box in boxes] == pytest.approx(offsets, abs=1e-5)  # boxes are rounded to 1e-6
    assert all(box[1 - along] == 0 and box[3 - along] == 512 for box in boxes)


@pytest.mark.parametrize(
    ("threshold", "overlap", "count"), [(1.0, 0.0, 3), (1.0, 0.9, 13), (0.46, 0.2, 0), (0.47, 0.2, 3)]
)
def test_threshold_and_overlap(threshold, overlap, count):
    assert len(split((512, 1100), SQUARE, threshold, overlap)) == count


def test_a_photo_of_the_target_ratio_is_never_split():
    assert split((1024, 1024), SQUARE, 1.0, 0.2) == []
    assert split((1024, 768), (512, 384), 1.0, 0.2) == []
    assert len(split((1025, 1024), SQUARE, 1.0, 0.2)) == 1  # a pixel too long, which is less than a piece


def test_a_square_is_split_from_left_to_right():
    """As A1111 counts: what is not upright is wide. 1000×1000 for 512×1024 is 1024 pixels long, two parts and more."""
    parts = split((1000, 1000), (512, 1024), 0.5, 0.2)
    assert [(part.x, part.y) for part in parts] == [(0.25, 0.5), (0.5, 0.5), (0.75, 0.5)]
    assert split((1000, 1000), (1024, 512), 0.5, 0.2) == []


def test_a_scaled_photo_is_split_to_the_other_ratio():
    """2000×1000 for 512×768: 1536 pixels long at 768 high, so 512-wide parts with a fifth shared."""
    boxes = [crop.box((2000, 1000), (512, 768)) for crop in split((2000, 1000), (512, 768), 0.5, 0.2)]
    scale = 768 / 1000
    assert [box[0] * scale for box in boxes] == pytest.approx([0, 341, 682, 1024], abs=0.01)


@pytest.mark.parametrize(
    ("photo", "largest", "nearest"),
    [
        ((4000, 3000), (704, 576), (512, 384)),
        ((1000, 1000), (640, 640), (640, 640)),
        ((1920, 1080), (768, 448), (704, 384)),
        ((4000, 1000), None, None),
    ],
)
def test_automatic_sizes(photo, largest, nearest):
    assert auto_size(photo, PreprocessParams()) == largest
    assert auto_size(photo, PreprocessParams(objective="Minimize error")) == nearest
