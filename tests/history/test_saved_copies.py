"""Copies that somebody chose to keep, and the table beside them."""

import csv

import pytest

from modules.errors import ImageError, StorageError
from modules.history.saved_copies import SavedCopies
from tests.history.conftest import LINE, save

PICTURE = "txt2img-images/00012-7.png"
INFOTEXT = f'a "red", cat\nNegative prompt: dog\n{LINE.format(seed=7)}'
# the columns of A1111 v1.10
HEADER = "prompt,seed,width,height,sampler,cfgs,steps,filename,negative_prompt,sd_model_name,sd_model_hash"


@pytest.fixture
def copies(tmp_path):
    return SavedCopies(tmp_path / "log" / "images")


def rows(copies: SavedCopies) -> list[dict[str, str]]:
    with (copies.folder / "log.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_copy_is_the_same_file_under_the_next_number(tmp_path, copies):
    picture = save(tmp_path, PICTURE, INFOTEXT)
    assert [copies.save(picture).name for _ in range(2)] == ["00000-7.png", "00001-7.png"]
    assert (copies.folder / "00001-7.png").read_bytes() == picture.read_bytes()


def test_the_table_has_the_columns_of_a1111(tmp_path, copies):
    copies.save(save(tmp_path, PICTURE, INFOTEXT))
    assert (copies.folder / "log.csv").read_text("utf-8").splitlines()[0] == HEADER
    copies.save(save(tmp_path, "b.png", "no parameters"))
    first, second = rows(copies)
    assert first == {
        "prompt": 'a "red", cat', "seed": "7", "width": "64", "height": "64", "sampler": "Euler a", "cfgs": "7",
        "steps": "20", "filename": "00000-7.png", "negative_prompt": "dog", "sd_model_name": "cosy",
        "sd_model_hash": "1234567890",
    }  # fmt: skip
    assert (second["prompt"], second["seed"], second["filename"]) == ("no parameters", "", "00001-b.png")


def test_no_table_is_made_if_nobody_wants_it(tmp_path, copies):
    copies.save(save(tmp_path, PICTURE, INFOTEXT), log=False)
    assert [file.name for file in copies.folder.iterdir()] == ["00000-7.png"]


def test_what_lies_beside_it_is_copied_too(tmp_path, copies):
    picture = save(tmp_path, PICTURE, INFOTEXT)
    picture.with_suffix(".txt").write_text(INFOTEXT)
    copies.save(picture)
    assert (copies.folder / "00000-7.txt").read_text() == INFOTEXT


def test_tables_of_others_are_continued(tmp_path, copies):
    copies.folder.mkdir(parents=True)
    log = copies.folder / "log.csv"
    log.write_bytes('\ufeffprompt,seed,mine\r\n"two\nlines",5,x\r\na,6'.encode())
    copies.save(save(tmp_path, PICTURE, INFOTEXT))
    found = rows(copies)
    assert [(row["prompt"], row["seed"], row["mine"]) for row in found] == [
        ("two\nlines", "5", "x"), ("a", "6", ""), ('a "red", cat', "7", ""),
    ]  # fmt: skip


def test_a_table_that_cannot_be_read_is_told_and_left_alone(tmp_path, copies):
    copies.folder.mkdir(parents=True)
    (copies.folder / "log.csv").write_bytes(b"prompt\n\xff\xfe\n")
    with pytest.raises(StorageError, match="UTF-8"):
        copies.save(save(tmp_path, PICTURE, INFOTEXT))
    assert [file.name for file in copies.folder.iterdir()] == ["log.csv"]
    assert (copies.folder / "log.csv").read_bytes() == b"prompt\n\xff\xfe\n"


def test_a_picture_that_has_gone_is_told(tmp_path, copies):
    with pytest.raises(ImageError, match="not there any more"):
        copies.save(tmp_path / "gone.png")
