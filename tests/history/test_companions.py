"""What lies beside a picture goes where it goes, and is no picture of its own."""

from PIL import Image

from modules.history.companions import companions
from modules.history.index import Query
from modules.image_formats import ImageFormat
from tests.history.conftest import LINE, look, save

NAME = "txt2img-images/2027-01-15/00000-1.png"
TEXT = f"a pixar cat, red hat\n{LINE.format(seed=1)}"


def beside(root, infotext: str = TEXT):
    """A JPG copy and a text file beside the first picture."""
    copy = (root / NAME).with_suffix(".jpg")
    with copy.open("wb") as file:
        ImageFormat("jpg").write(Image.new("RGB", (32, 32)), file, infotext)
    copy.with_suffix(".txt").write_text(infotext)
    return copy, copy.with_suffix(".txt")


def found(history, **query) -> list[str]:
    return sorted(record.name for record in history.search(Query(grids=False, **query)).records)


def test_a_copy_is_not_shown_and_not_counted(root, make):
    plain = make()
    before = found(plain), plain.facets()
    plain.stop()
    beside(root)
    history = make()
    assert (found(history), history.facets()) == before


def test_another_picture_of_that_name_is_shown(root, make):
    beside(root, TEXT.replace("cat", "dog"))
    assert NAME.replace(".png", ".jpg") in found(make())


def test_without_its_picture_a_copy_is_one(root, make):
    beside(root)
    history = make()
    (root / NAME).unlink()
    look(history)
    assert NAME.replace(".png", ".jpg") in found(history)
    assert NAME not in found(history)


def test_into_the_trash_and_back(root, make):
    files = [root / NAME, *beside(root)]
    contents = [file.read_bytes() for file in files]
    history = make()
    thrown = history.delete(NAME)
    assert [file.exists() for file in files] == [False] * 3
    assert found(history, in_trash=True) == [thrown]
    assert [(root / thrown).with_suffix(file.suffix).read_bytes() for file in files] == contents
    look(history)
    assert found(history, in_trash=True) == [thrown]
    assert history.put_back(thrown) == NAME
    assert [file.read_bytes() for file in files] == contents
    look(history)
    assert NAME.replace(".png", ".jpg") not in found(history)


def test_a_text_of_that_name_is_never_overwritten(root, make):
    beside(root)
    history = make()
    thrown = history.delete(NAME)
    (root / NAME).with_suffix(".txt").write_text("mine")
    back = history.put_back(thrown)
    assert back == NAME.replace("-1.png", "-1-2.png")
    assert (root / back).with_suffix(".txt").read_text() == TEXT
    assert (root / NAME).with_suffix(".txt").read_text() == "mine"


def test_emptying_the_trash_takes_them_along(root, make):
    beside(root)
    history = make()
    history.delete(NAME)
    assert history.empty_trash() == 1
    assert [path for path in (root / "trash").rglob("*") if path.is_file()] == []
    look(history)
    assert found(history, in_trash=True) == []


def test_a_text_that_two_pictures_may_need_stays(root):
    _, text = beside(root, TEXT.replace("cat", "dog"))
    assert companions(root / NAME) == []
    save(root, NAME.replace(".png", ".webp"), TEXT)
    assert companions(root / NAME) == []
    assert text.exists()


def test_a_move_that_fails_half_way_is_taken_back(root, make, monkeypatch):
    import os

    import pytest

    from modules.errors import StorageError

    files = [root / NAME, *beside(root)]
    history = make()
    replace = os.replace

    def failing(source, target):
        if str(target).endswith(".txt") and "trash" in str(target):
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(StorageError):
        history.delete(NAME)
    assert all(file.exists() for file in files)
    assert NAME in found(history)
