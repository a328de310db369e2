import numpy as np
import pytest
from PIL import Image, ImageDraw

from modules.preprocess.crop import Crop
from modules.preprocess.faces import FaceFinder
from modules.preprocess.focal import Focus, Interest, Weights, find_focus
from tests.preprocess.drawn import detailed

SQUARE = (128, 128)


class Told(FaceFinder):
    """Finds what it was told to find, as shares of the picture it is given."""

    def __init__(self, *points: tuple[float, float]):
        self.points = points
        self.asked = 0

    def focus_points(self, image: Image.Image) -> list[tuple[float, float]]:
        self.asked += 1
        return [(x * image.width, y * image.height) for x, y in self.points]


def chequered(size: tuple[int, int], box: tuple[int, int, int, int]) -> Image.Image:
    """Grey, but for a patch full of corners."""
    picture = Image.new("RGB", size, (128, 128, 128))
    patch = detailed((box[2] - box[0], box[3] - box[1]), field=12)
    picture.paste(patch, box[:2])
    return picture


@pytest.mark.parametrize(("left", "expected"), [(0, 0.125), (300, 0.5), (600, 0.875)])
def test_edges_draw_the_crop(left, expected):
    photo = chequered((800, 400), (left, 100, left + 200, 300))
    focus = find_focus(photo, SQUARE, Weights(faces=0, entropy=0), None)
    assert focus.crop.x == pytest.approx(expected, abs=0.03)  # corners are whole pixels of 256, and not all are found


def test_the_place_of_watermarks_does_not_count():
    photo = Image.new("RGB", (800, 400), (128, 128, 128))
    photo.paste(detailed((200, 30), field=8), (600, 370))
    assert find_focus(photo, SQUARE, Weights(faces=0, entropy=0), None).interests == ()


def test_entropy_takes_the_window_where_one_shade_is_rarest():
    """By -Σ log2 p: even grey dithers to halves, 2; a window nearly black scores far more."""
    photo = Image.new("RGB", (512, 128), (128, 128, 128))
    ImageDraw.Draw(photo).rectangle((300, 0, 427, 127), fill=(2, 2, 2))
    [interest] = find_focus(photo, SQUARE, Weights(faces=0, edges=0), None).interests
    assert interest.kind == "entropy"
    assert interest.middle == pytest.approx((300 + 64, 64), abs=4)  # windows are 4 pixels apart


def test_entropy_of_a_square_is_not_asked():
    assert find_focus(detailed((300, 300)), SQUARE, Weights(faces=0, edges=0), None).interests == ()


def test_a_tall_photo_is_searched_along_its_height():
    photo = Image.new("RGB", (128, 512), (128, 128, 128))
    ImageDraw.Draw(photo).rectangle((0, 40, 127, 167), fill=(2, 2, 2))
    [interest] = find_focus(photo, SQUARE, Weights(faces=0, edges=0), None).interests
    assert interest.middle == pytest.approx((64, 104), abs=4)


def test_groups_vote_by_their_weights():
    interests = (Interest("faces", 0.9, ((10.0, 20.0), (30.0, 40.0))), Interest("edges", 0.5, ((100.0, 50.0),)))
    focus = Focus(Image.new("RGB", (256, 128)), interests)
    expected = (0.9 * 20 + 0.5 * 100) / 1.4, (0.9 * 30 + 0.5 * 50) / 1.4
    assert focus.point == (round(expected[0]), round(expected[1]))
    assert focus.crop == Crop(focus.point[0] / 256, focus.point[1] / 128)


def test_faces_join_in_where_they_can_be_found():
    photo = Image.new("RGB", (800, 400), (128, 128, 128))
    assert find_focus(photo, SQUARE, Weights(entropy=0), Told((0.75, 0.5), (0.85, 0.5))).crop.x == 205 / 256
    assert find_focus(photo, SQUARE, Weights(entropy=0), None).crop == Crop()
    assert find_focus(photo, SQUARE, Weights(entropy=0), Told()).crop == Crop()


def test_what_weighs_nothing_is_not_looked_for():
    finder = Told((0.1, 0.1))
    focus = find_focus(detailed((256, 128)), SQUARE, Weights(0, 0, 0), finder)
    assert (focus.interests, focus.crop, finder.asked) == ((), Crop(), 0)


@pytest.mark.parametrize("size", [(20_000, 40), (40, 20_000), (1, 1), (33, 4000)])
def test_extreme_photos_are_searched_at_a_bounded_size(size):
    target = (64, 2048)
    focus = find_focus(Image.new("RGB", size, "red"), target, Weights(entropy=0), None)
    assert focus.searched.width * focus.searched.height < 17_000_000  # whole pixels round
    assert focus.crop == Crop()


def test_very_long_photos_are_searched_in_larger_steps():
    photo = Image.new("RGB", (40_000, 64), (128, 128, 128))
    ImageDraw.Draw(photo).rectangle((30_000, 0, 30_063, 63), fill=(2, 2, 2))
    [interest] = find_focus(photo, (64, 64), Weights(faces=0, edges=0), None).interests
    assert interest.middle[0] == pytest.approx(30_032, abs=40)  # a thousand windows


def test_the_drawing_shows_points_and_crop():
    photo = chequered((800, 400), (600, 100, 800, 300))
    focus = find_focus(photo, SQUARE, Weights(faces=0), None)
    drawn = focus.drawn(SQUARE)
    assert drawn.size == focus.searched.size
    changed = (np.asarray(drawn) != np.asarray(focus.searched)).any(axis=-1)
    left, top, _, bottom = focus.crop.box(drawn.size, SQUARE)
    assert changed[int(top) : int(bottom), int(left) + 1].mean() > 0.9
    assert not changed[:, : int(left) - 2].any()
