"""Sheets: pictures in their places, labels beside them."""

import pytest
from PIL import Image

from modules.generation.scripts.sheet import Label, draw_sheet, stacked

COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0))


@pytest.fixture
def files(tmp_path):
    paths = {}
    for place, colour in enumerate(COLOURS):
        paths[place] = tmp_path / f"{place}.png"
        Image.new("RGB", (64, 48), colour).save(paths[place])
    return paths


def darkest(image: Image.Image) -> int:
    return next(level for level, count in enumerate(image.convert("L").histogram()) if count)


def labels(*texts: str) -> tuple[Label, ...]:
    return tuple(Label.of(text) for text in texts)


def test_without_labels_pictures_fill_the_sheet(files):
    sheet = draw_sheet(files, labels("", ""), labels("", ""))
    assert sheet is not None
    assert sheet.size == (128, 96)
    assert [sheet.getpixel((x, y)) for y in (10, 60) for x in (10, 90)] == list(COLOURS)


def test_labels_take_room_of_their_own(files):
    sheet = draw_sheet(files, labels("Steps: 5", "Steps: 10"), labels("Euler", "Heun"), "Size: 64x48", margin=4)
    assert sheet is not None
    left, above = sheet.width - 2 * 64 - 4, sheet.height - 2 * 48 - 4
    assert left > 0
    assert above > 0
    for place, colour in enumerate(COLOURS):
        row, column = divmod(place, 2)
        assert sheet.getpixel((left + column * 68 + 1, above + row * 52 + 1)) == colour
    assert darkest(sheet.crop((left, 0, sheet.width, above))) < 128  # something is written there
    assert darkest(sheet.crop((0, above, left, sheet.height))) < 128
    bare = draw_sheet(files, labels("Steps: 5", "Steps: 10"), labels("Euler", "Heun"), "Size", legend=False)
    assert bare is not None
    assert bare.size == (128, 96)


def test_places_without_a_picture_stay_white(files):
    files[1].unlink()
    sheet = draw_sheet(files, labels("", ""), labels("", ""))
    assert sheet is not None
    assert sheet.getpixel((90, 10)) == (255, 255, 255)
    assert draw_sheet({}, labels("a"), labels("b")) is None


def test_pictures_of_other_sizes_keep_their_shape(files, tmp_path):
    Image.new("RGB", (32, 96), (1, 2, 3)).save(files[1])
    sheet = draw_sheet(files, labels("", ""), labels("", ""))
    assert sheet is not None
    assert sheet.size == (128, 192)
    assert sheet.getpixel((96, 48)) == (1, 2, 3)
    assert sheet.getpixel((65, 1)) == (255, 255, 255)


def test_long_labels_are_wrapped_and_cut(files):
    sheet = draw_sheet(files, labels("a long label " * 200, "x" * 3000), labels("", ""))
    assert sheet is not None
    assert sheet.width == 128
    assert sheet.height < 96 + 200


def test_what_is_left_out_is_pale(files):
    def ink(pale: bool) -> int:
        label = Label(("snow",), (pale,))
        sheet = draw_sheet({0: files[0]}, (label,), labels(""))
        assert sheet is not None
        return darkest(sheet.crop((0, 0, sheet.width, sheet.height - 48)))

    assert ink(False) < 64 < 128 < ink(True)


def test_sheets_are_stacked():
    both = stacked([Image.new("RGB", (10, 5), (1, 1, 1)), Image.new("RGB", (8, 6), (2, 2, 2))], margin=3)
    assert both.size == (10, 14)
    assert both.getpixel((0, 13)) == (2, 2, 2)
