"""What is written beside a picture: its parameters as text, and a JPG copy of a large one."""

import numpy as np
import pytest
from PIL import Image

from modules import images
from modules.errors import StorageError
from modules.events import GridDone, Noticed
from modules.generation.beside import Beside
from modules.generation.naming import Naming, Turn
from modules.generation.outputs import OutputFolder
from modules.image_formats import ImageFormat

INFOTEXT = "a cat, “grüße”\nSteps: 2, Sampler: Euler, Seed: 7, Size: 64x48"


def noise(width: int, height: int) -> Image.Image:
    """A picture that no format makes small."""
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8))


def folder(tmp_path, beside: Beside, suffix: str = "png", **more) -> OutputFolder:
    form = ImageFormat(suffix)
    return OutputFolder(
        tmp_path / "out", tmp_path / "grids", sorted=False, grids_sorted=False, picture_form=form, grid_form=form,
        beside=beside, grids_beside=beside, **more,
    )  # fmt: skip


def names(path) -> list[str]:
    return sorted(file.name for file in path.iterdir())


def test_nothing_is_written_beside_a_picture_unless_it_is_wanted(tmp_path):
    OutputFolder(tmp_path / "out", tmp_path / "grids", sorted=False).save_picture(noise(64, 48), INFOTEXT, Turn())
    assert names(tmp_path / "out") == ["00000-7.png"]


def test_the_text_has_the_name_of_its_picture(tmp_path):
    outputs = folder(tmp_path, Beside(text=True))
    outputs.save_picture(noise(64, 48), INFOTEXT, Turn())
    outputs.save_before(noise(64, 48), INFOTEXT, Turn())
    outputs.save_sheet(noise(64, 48), "grid", INFOTEXT)
    outputs.save_picture(noise(64, 48), "", Turn())
    texts = [name for name in names(tmp_path / "out") if name.endswith(".txt")]
    assert texts == ["00000-7.txt", "00001-7-before-highres-fix.txt"]
    assert (tmp_path / "out" / "00000-7.txt").read_text("utf-8") == f"{INFOTEXT}\n"
    assert names(tmp_path / "grids") == ["grid-0000.png", "grid-0000.txt"]


@pytest.mark.parametrize(
    ("suffix", "size", "beside", "copy"),
    [
        ("png", (64, 48), Beside(copies=True), None),
        ("png", (64, 48), Beside(copies=True, side=64), None),
        ("png", (64, 48), Beside(copies=True, side=32), (32, 24)),
        ("webp", (48, 64), Beside(copies=True, side=32), (24, 32)),
        ("png", (64, 48), Beside(copies=True, above=9000), (64, 48)),  # 64 · 48 · 3 bytes that cannot be packed
        ("png", (64, 48), Beside(copies=True, above=11_000), None),
        ("png", (300, 2), Beside(copies=True, side=64), (64, 1)),
        ("jpg", (64, 48), Beside(copies=True, side=32, above=1), None),
        ("png", (64, 48), Beside(side=32, above=1), None),
    ],
    ids=str,
)
def test_large_pictures_get_a_copy_with_the_same_parameters(tmp_path, suffix, size, beside, copy):
    path, problem = folder(tmp_path, beside, suffix).save_picture(noise(*size), INFOTEXT, Turn())
    assert not problem
    assert path.name == f"00000-7.{suffix}"
    assert images.open_image(path).size == size
    made = path.with_suffix(".jpg")
    assert names(path.parent) == sorted({path.name, made.name} if copy else {path.name})
    if copy:
        assert images.open_image(made).size == copy
        assert images.read_metadata(made).kind == "JPEG"
        assert images.read_infotext(made) == INFOTEXT


def test_what_has_such_a_name_already_is_left_alone(tmp_path):
    outputs = folder(tmp_path, Beside(text=True, copies=True, side=32), naming=Naming("cat", "[date]", numbered=False))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "cat.txt").write_text("mine")
    (tmp_path / "out" / "cat-1.jpg").write_text("mine too")
    assert outputs.save_picture(noise(64, 48), INFOTEXT, Turn()).path.name == "cat-2.png"
    assert names(tmp_path / "out") == ["cat-1.jpg", "cat-2.jpg", "cat-2.png", "cat-2.txt", "cat.txt"]
    assert (tmp_path / "out" / "cat.txt").read_text() == "mine"


def test_a_prompt_too_long_for_a_jpg_has_no_copy(tmp_path):
    outputs = folder(tmp_path, Beside(copies=True, side=32))
    outputs.save_picture(noise(64, 48), "x" * 40_000 + INFOTEXT, Turn())
    assert names(tmp_path / "out") == ["00000-7.png"]


@pytest.fixture
def full_disk(monkeypatch):
    """Nothing more can be written beside a picture."""
    from modules.generation import beside

    def full(path, *_, **__):
        raise StorageError(f"{path.name}: the disk is full.")

    monkeypatch.setattr(beside, "write_atomically", full)


def test_a_full_disk_is_told_and_the_picture_is_safe(tmp_path, full_disk):
    outputs = folder(tmp_path, Beside(text=True))
    path, problem = outputs.save_picture(noise(64, 48), INFOTEXT, Turn())
    assert problem == "00000-7.png is saved, but not the file that goes beside it: 00000-7.txt: the disk is full."
    assert images.read_infotext(path) == INFOTEXT
    assert "grid-0000.txt" in outputs.save_sheet(noise(64, 48), "grid", INFOTEXT).problem


def test_a_run_goes_on_without_what_cannot_be_written_beside_its_pictures(run, tmp_path, full_disk):
    pulled = run(outputs=folder(tmp_path, Beside(text=True)), steps=1, seed=7, batch_count=3)
    assert names(tmp_path / "out") == ["00000-7.png", "00001-8.png", "00002-9.png"]
    assert len(pulled.pictures) == 3
    assert len(pulled.of(GridDone)) == 1
    (notice,) = pulled.of(Noticed)
    assert "00000-7.txt" in notice.text
