"""Photos found, watched and cut to size."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from modules.errors import DatasetError, ParameterError
from modules.preprocess.folder import list_folder
from modules.training.photos import changes, describe_photo, fit, keep_shape, open_photo, overviews, photo_files


def ramp(width: int, height: int) -> Image.Image:
    """Red grows to the right, green downwards."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    return Image.fromarray(np.stack([x * 255 // (width - 1), y * 255 // (height - 1), x * 0], -1).astype(np.uint8))


def test_square_pictures_are_resized_as_a1111_does():
    """The whole picture, bicubic, to exactly that size."""
    picture = ramp(100, 100)
    assert fit(picture, 64, 64).tobytes() == picture.resize((64, 64), Image.Resampling.BICUBIC).tobytes()


@pytest.mark.parametrize(("size", "target"), [((200, 100), (64, 64)), ((100, 200), (64, 64)), ((90, 100), (128, 64))])
def test_others_are_cut_and_never_stretched(size, target):
    """A circle stays a circle: as many pixels wide as high."""
    x, y = np.meshgrid(np.arange(size[0]) - size[0] / 2 + 0.5, np.arange(size[1]) - size[1] / 2 + 0.5)
    disc = ((x**2 + y**2 < (min(size) / 6) ** 2) * 255).astype(np.uint8)
    cut = np.asarray(fit(Image.fromarray(np.stack([disc] * 3, -1)), *target))[..., 0] > 127
    assert cut.shape == target[::-1]
    wide, high = cut.any(0).sum(), cut.any(1).sum()
    assert abs(int(wide) - int(high)) <= 1
    assert wide > 5


@pytest.mark.parametrize(
    ("size", "pixels", "expected"),
    [((100, 70), 64 * 64 * 4, (96, 64)), ((400, 200), 64 * 128, (128, 64)), ((64, 64), 64 * 64, (64, 64))],
)
def test_shape_is_kept(size, pixels, expected):
    assert keep_shape(ramp(*size), pixels).size == expected


def test_what_fits_is_not_resampled():
    picture = ramp(100, 70)
    assert keep_shape(picture, 10**6).tobytes() == picture.crop((2, 3, 98, 67)).tobytes()


def test_pictures_that_are_too_small_are_refused():
    with pytest.raises(DatasetError, match="60×100"):
        keep_shape(ramp(60, 100), 10**6)


def test_pictures_that_are_too_small_once_they_are_shrunk_say_so():
    with pytest.raises(DatasetError, match="it is 20000×100 and would become 7240×32, less than 64 pixels"):
        keep_shape(ramp(20_000, 100), 512 * 512)


@pytest.mark.parametrize("varsize", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (63, 500), (20_000, 1)])
def test_a_photo_that_is_too_small_is_refused_however_it_is_cut(tmp_path, size, varsize):
    path = tmp_path / "small.png"
    Image.new("RGB", size).save(path)
    with pytest.raises(DatasetError, match=f"it is {size[0]}×{size[1]}, less than 64 pixels"):
        open_photo(describe_photo(path), 64, 64, varsize=varsize, alpha=False)


def test_files_of_a_folder(tmp_path):
    for name in ("b.png", "a.JPG", "a.txt", ".hidden.png", "thing.json"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in photo_files(tmp_path)] == ["a.JPG", "b.png"]
    for number in range(7):
        (tmp_path / f"grid-{number:04}.png").write_bytes(b"")
    assert [path.name for path in photo_files(tmp_path)] == ["a.JPG", "b.png"]
    told = overviews(tmp_path)
    assert told[0] in [sentence for _, sentence in list_folder(tmp_path).strangers], "as preparing says it"
    assert (len(told), told[-1]) == (6, "So are 2 more overviews.")
    with pytest.raises(ParameterError) as raised:
        photo_files(tmp_path / "gone")
    assert raised.value.field == "data_root"


def test_changes_are_seen(tmp_path):
    paths = [tmp_path / f"{name}.png" for name in "abc"]
    for path in paths:
        ramp(64, 64).save(path)
    photos = [describe_photo(path) for path in paths]
    assert changes(photos) == {}
    paths[0].unlink()
    paths[1].write_bytes(b"text")
    assert changes(photos) == {"a.png": "has gone", "b.png": "was changed"}
    with pytest.raises(DatasetError):
        describe_photo(paths[0])


def test_alpha_is_cut_like_the_picture(tmp_path):
    path: Path = tmp_path / "a.png"
    picture = ramp(200, 100).convert("RGBA")
    picture.putalpha(picture.getchannel("R"))
    picture.save(path)
    cut, mask = open_photo(describe_photo(path), 64, 64, varsize=False, alpha=True)
    assert mask is not None
    assert cut.size == mask.size == (64, 64)
    levels = np.asarray(mask)
    assert 50 < levels[:, 0].mean() < 80  # a quarter of the width was cut off on each side
    assert open_photo(describe_photo(path), 64, 64, varsize=False, alpha=False)[1] is None
