"""What the light table sends and is told, without a page."""

import json
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from modules.errors import ParameterError
from modules.preprocess.album import Album
from modules.preprocess.albums import Kept
from modules.preprocess.crop import Crop
from modules.preprocess.photos import Photo, Remark, Verdict
from modules.preprocess_params import PreprocessParams
from modules.ui.train.photo_edits import read_edit, told

SOURCE = Path("/photos")
JUDGED = {"size": (300, 200), "stamp": "0" * 20, "backdrop": bytes(60)}


def photo(name: str, **values: Any) -> Photo:
    return Photo(
        SOURCE / name, 0, **{**JUDGED, "likeness": (crc32(name.encode("utf-8", "replace")), bytes(192)), **values}
    )


def album(*photos: Photo) -> Album:
    params = PreprocessParams(str(SOURCE), str(SOURCE / "preprocess"), focal_crop=True)
    return Album(params, photos or (photo("anna.png", name_words="anna"), photo("bea.png", caption="a, red hat")))


def captions(edited: Album) -> list[str]:
    return [edited.caption(photo) for photo in edited.photos]


def test_a_crop_is_moved_and_put_back() -> None:
    moved = read_edit({"photo": "anna.png", "crop": [0.25, 1, 2.5]})(album())
    assert moved.crop(moved.photos[0]) == Crop(0.25, 1.0, 2.5)
    assert not read_edit({"photo": "anna.png", "crop": None})(moved).crops


def test_a_photo_is_left_out() -> None:
    edited = read_edit({"photo": "anna.png", "left_out": True})(album())
    assert [photo.path.name for photo in edited.used] == ["bea.png"]
    assert len(read_edit({"photo": "anna.png", "left_out": False})(edited).used) == 2


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({"photo": "anna.png", "caption": " in a boat "}, ["in a boat", "a, red hat"]),
        ({"replace": "RED", "by": "blue"}, ["anna", "a, blue hat"]),
        ({"add": "sks", "at_end": True}, ["anna, sks", "a, red hat, sks"]),
        ({"add": "sks", "at_end": False}, ["sks, anna", "sks, a, red hat"]),
        ({"remove": "red hat"}, ["anna", "a"]),
        ({"take": "names"}, ["anna", ""]),
        ({"replace": "", "by": "x"}, ["anna", "a, red hat"]),
    ],
)
def test_captions_are_edited_and_the_edit_undone(sent: dict[str, Any], expected: list[str]) -> None:
    edited = read_edit(sent)(album())
    assert captions(edited) == expected
    assert captions(read_edit({"undo": True})(edited)) == ["anna", "a, red hat"]
    assert captions(read_edit({"undo": True})(album())) == ["anna", "a, red hat"]


@pytest.mark.parametrize(
    "sent",
    [
        None,
        7,
        [],
        {},
        "undo",
        {"undo": 1},
        {"photo": 5, "crop": None},
        {"photo": "anna.png"},
        {"photo": "anna.png", "crop": [0, 0]},
        {"photo": "anna.png", "crop": ["0", 0, 1]},
        {"photo": "anna.png", "crop": [True, 0, 1]},
        {"photo": "anna.png", "crop": [0, 0, 99]},
        {"photo": "anna.png", "crop": [float("nan"), 0, 1]},
        {"photo": "anna.png", "crop": [0, float("inf"), 1]},
        {"photo": "anna.png", "left_out": "yes"},
        {"photo": "anna.png", "caption": 3},
        {"photo": "anna.png", "caption": "x" * 200_000},
        {"add": "x", "at_end": None},
        {"take": "all"},
        {"photo": "../anna.png", "caption": "x"},
        {"photo": "zoe.png", "crop": None},
    ],
)
def test_whatever_else_is_sent_is_refused(sent: Any) -> None:
    with pytest.raises(ParameterError):
        read_edit(sent)(album())


def test_half_letters_and_nul_do_not_reach_a_file() -> None:
    edited = read_edit({"photo": "anna.png", "caption": "a\0b\ud800c"})(album())
    assert captions(edited)[0] == "ab?c"


def test_everything_that_is_told_can_be_sent() -> None:
    odd = photo("b\udcff<script>.png", remarks=(Remark(Verdict.LOOK, "“b\udcff” is odd"),))
    small = photo("line.png", backdrop=b"", remarks=(Remark(Verdict.UNUSABLE, "only a line"),))
    kept = Kept(album(photo("anna.png"), odd, small), 7)
    content = json.loads(json.dumps(told(kept, "key"), allow_nan=False).encode("utf-8"))
    assert (content["revision"], content["target"], content["can_undo"]) == (7, [512, 512], False)
    assert [entry["name"] for entry in content["photos"]] == ["anna.png", "b?<script>.png", "line.png"]
    assert [entry["left_out"] for entry in content["photos"]] == [False, False, True]
    edited = read_edit({"photo": content["photos"][1]["name"], "left_out": True})(kept.album)
    assert edited.is_left_out(odd)
    assert [entry["usable"] for entry in content["photos"]] == [True, True, False]
