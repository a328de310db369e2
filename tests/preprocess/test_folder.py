import os
import sys
from pathlib import Path

import pytest

from modules.errors import DatasetError, ParameterError
from modules.files import folder_of
from modules.preprocess.folder import list_folder


def test_all_entries_are_counted_and_strangers_named(tmp_path):
    for name in ("b.png", "a.txt", "a.JPG", ".hidden.png", "notes.txt", "Thumbs.db", "damaged.gif"):
        (tmp_path / name).touch()
    (tmp_path / "more").mkdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.png")
    listing = list_folder(tmp_path)
    names = [path.name for path in listing.entries]
    assert names == sorted(names)
    assert len(names) == len(os.listdir(tmp_path))
    assert [(names[number], path.name) for number, path in listing.photos] == [
        (name, name) for name in ("a.JPG", "b.png", "damaged.gif")
    ]
    told = " ".join(sentence for _, sentence in listing.strangers)
    assert "“more” is a folder" in told
    assert "“notes.txt” belongs to no picture" in told
    assert "a.txt" not in told
    assert "hidden" not in told
    assert not hasattr(os, "mkfifo") or "“pipe.png” is no file" in told


def test_overviews_of_several_pictures_are_no_photos(tmp_path):
    overviews = ["grid-0000.png", "grid-0012-7-a fox.jpg", "prompt_matrix-0001.png", "xyz_grid-0003.webp"]
    for name in (*overviews, "grid.png", "grid-7.png", "my grid-0000.png"):
        (tmp_path / name).touch()
    listing = list_folder(tmp_path)
    assert [path.name for _, path in listing.photos] == ["grid-7.png", "grid.png", "my grid-0000.png"]
    assert [path.name for path, _ in listing.strangers] == overviews
    assert "“grid-0000.png” is an overview of several pictures" in listing.strangers[0][1]


@pytest.mark.parametrize("prepare", [lambda path: None, Path.touch], ids=["missing", "file"])
def test_what_is_no_folder_is_a_fault_of_the_field(tmp_path, prepare):
    folder = tmp_path / "photos"
    prepare(folder)
    with pytest.raises(ParameterError, match="photos") as refused:
        list_folder(folder)
    assert refused.value.field == "source"


def test_a_folder_without_photos_is_told(tmp_path):
    with pytest.raises(DatasetError, match="There is no photo"):
        list_folder(tmp_path)


def test_a_folder_may_be_named_in_several_ways(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    expected = tmp_path.resolve() / "photos"
    for text in ("photos", "~/photos", f" {expected} ", "photos/../photos", str(expected) + "/"):
        assert folder_of(text, "source") == expected


@pytest.mark.parametrize("text", ["", "  ", "a\0b"])
def test_what_is_no_path_is_refused(text):
    with pytest.raises(ParameterError) as refused:
        folder_of(text, "destination")
    assert refused.value.field == "destination"


@pytest.mark.skipif(sys.platform == "win32", reason="makes symbolic links")
def test_folders_outside_the_roots_are_refused(tmp_path):
    root = tmp_path / "allowed"
    (root / "photos").mkdir(parents=True)
    (root / "way out").symlink_to(tmp_path)
    assert folder_of(str(root / "photos"), "source", [tmp_path / "other", root]) == (root / "photos").resolve()
    for text in (root / ".." / "secret", root / "way out", root / "way out" / "secret", "/etc", f"{root}-twin"):
        with pytest.raises(ParameterError, match="only below"):
            folder_of(str(text), "source", [root])
