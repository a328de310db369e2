import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import ExifTags, Image, ImageOps

from modules.errors import DatasetError, ModelMissing, ParameterError, StorageError
from modules.events import Event, Noticed, Progressed, Request, Work
from modules.images import open_image
from modules.preprocess import run
from modules.preprocess.crop import Crop, cut
from modules.preprocess.photos import Verdict
from modules.preprocess.run import Choice, Judged, Prepared, PreprocessingEnded, Surveyed, preprocess, survey
from modules.preprocess_params import PreprocessParams
from tests.preprocess.drawn import detailed, save_all

SMALL = {"width": 64, "height": 64}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return save_all(tmp_path / "photos", {"anna.png": detailed((160, 96)), "bea.jpg": detailed((96, 96), seed=1)})


def form(photos: Path, **values: Any) -> PreprocessParams:
    folders = {"source": str(photos), "destination": str(photos.parent / "ready")}
    return PreprocessParams(**{**folders, **SMALL, **values})


def events_of(photos: Path, choices: dict[str, Choice] | None = None, **values: Any) -> list[Event]:
    return list(preprocess(form(photos, **values), photos.parent / "models", choices))


def written(source: Path, folder: str = "ready") -> list[str]:
    return sorted(path.name for path in (source.parent / folder).iterdir())


def picture(source: Path, name: str) -> Image.Image:
    return open_image(source.parent / "ready" / name)


def contents(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def notices(events: list[Event]) -> str:
    return " ".join(event.text for event in events if isinstance(event, Noticed))


def test_each_photo_becomes_a_picture_of_the_size(source):
    events = events_of(source)
    assert written(source) == ["00000-0-anna.png", "00001-0-bea.png"]
    expected = cut(detailed((160, 96)), Crop(), (64, 64))
    assert picture(source, "00000-0-anna.png").tobytes() == expected.tobytes()
    assert [event for event in events if isinstance(event, Progressed)] == [
        Progressed(0, 2, "Preprocessing [Image 1/2]"),
        Progressed(1, 2, "Preprocessing [Image 2/2]"),
    ]
    assert events[-1] == PreprocessingEnded(2, (), False, "Preprocessing finished. 2 pictures written.")


def test_a_link_to_itself_is_named_and_the_others_are_prepared(source):
    (source / "circle.png").symlink_to("circle.png")
    events = events_of(source)
    assert "“circle.png” is no file: it is left out." in notices(events)
    assert written(source) == ["00000-0-anna.png", "00001-0-bea.png"]


def test_the_same_input_gives_the_same_bytes_and_originals_stay(source):
    values: dict[str, Any] = {
        "flip": True,
        "split": True,
        "focal_crop": True,
        "focal_debug": True,
        "keep_original_size": True,
    }
    (source / "anna.txt").write_text("a woman")
    before = contents(source)
    events_of(source, caption_action="copy", **values)
    first = contents(source.parent / "ready")
    events_of(source, caption_action="copy", **values)
    assert contents(source.parent / "ready") == first
    assert contents(source) == before
    assert len(first) > 8


def test_a_destination_inside_the_source_counts_on_every_run(source):
    """As in the article: its own folder is an entry, so that numbers are the same on the second run."""
    (source / "zoe.png").write_bytes((source / "anna.png").read_bytes())
    destination = source / "preprocess"
    for _ in range(2):
        events_of(source, destination=str(destination))
        assert sorted(path.name for path in destination.iterdir()) == [
            "00000-0-anna.png",
            "00001-0-bea.png",
            "00003-0-zoe.png",
        ]


def test_what_cannot_be_used_is_named_and_keeps_its_number(source):
    (source / "a damaged.jpg").write_bytes((source / "bea.jpg").read_bytes()[:400])
    (source / "empty.png").touch()
    (source / "b.txt").write_text("no picture's")
    (source / "more").mkdir()
    Image.new("RGB", (5000, 1)).save(source / "line.png")
    events = events_of(source)
    assert written(source) == ["00001-0-anna.png", "00003-0-bea.png"]
    end = events[-1]
    assert isinstance(end, PreprocessingEnded)
    assert end.sentence == "Preprocessing finished. 2 pictures written, 3 photos skipped."
    assert len(end.skipped) == 3
    for name in ("a damaged.jpg", "empty.png", "line.png", "b.txt", "more"):
        assert f"“{name}”" in notices(events)


def test_phone_photos_are_turned(source):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    upright = detailed((96, 160))
    upright.transpose(Image.Transpose.ROTATE_90).save(source / "anna.png", exif=exif)
    events_of(source)
    assert picture(source, "00000-0-anna.png").tobytes() == cut(upright, Crop(), (64, 64)).tobytes()


def test_flipped_copies_inherit_the_caption_and_come_with_a_warning(source):
    (source / "anna.txt").write_text("a woman, red hat")
    events = events_of(source, flip=True, caption_action="copy")
    assert written(source) == [
        "00000-0-anna.png",
        "00000-0-anna.txt",
        "00000-1-anna.png",
        "00000-1-anna.txt",
        "00002-0-bea.png",
        "00002-1-bea.png",
    ]
    plain, flipped = (picture(source, f"00000-{part}-anna.png") for part in (0, 1))
    assert flipped.tobytes() == ImageOps.mirror(plain).tobytes()
    assert (source.parent / "ready" / "00000-1-anna.txt").read_text() == "a woman, red hat"
    assert "mirror image" in notices(events)


def test_every_tool_adds_its_pictures_in_order(source):
    save_all(source, {"anna.png": detailed((64, 256))})
    (source / "bea.jpg").unlink()
    sizes: dict[str, Any] = {
        "dimension_lower": 64,
        "dimension_upper": 192,
        "error_threshold": 1.0,
        "objective": "Minimize error",
    }
    events_of(source, split=True, focal_crop=True, auto_sized_crop=True, keep_original_size=True, **sizes)
    names = written(source)
    assert names == [f"00000-{part}-anna.png" for part in range(8)]
    found = [picture(source, name).size for name in names]
    assert found == [(64, 64)] * 5 + [(64, 64), (64, 192), (64, 256)]


def test_the_plain_crop_is_made_only_if_no_tool_had_a_say(source):
    events_of(source, split=True, focal_crop=True)
    assert written(source) == ["00000-0-anna.png", "00001-0-bea.png"]  # focal for the wide one, plain for the square
    sizes: dict[str, Any] = {"dimension_upper": 576, "error_threshold": 0.0}  # nothing of 5:3 among them
    events = events_of(source, destination=str(source.parent / "own"), auto_sized_crop=True, **sizes)
    assert written(source, "own") == ["00001-0-bea.png"]
    assert "no automatic size" in notices(events)


def test_pictures_that_explain_a_crop_are_no_training_pictures(source):
    events = events_of(source, focal_crop=True, focal_debug=True)
    assert written(source) == ["00000-0-anna.png", "00001-0-bea.png", "debug"]
    assert [path.name for path in (source.parent / "ready" / "debug").iterdir()] == ["00000-anna.png"]
    if run.load_face_finder(source) is None:
        assert "Faces are not looked for" in notices(events)


@pytest.mark.parametrize("values", [{}, {"focal_crop": True}])
def test_a_crop_moved_by_hand_is_the_one_written(source, values):
    crop = Crop(0.1, 0.9, 1.5)
    events_of(source, {"anna.png": Choice(crop=crop)}, **values)
    expected = cut(detailed((160, 96)), crop, (64, 64))
    assert picture(source, "00000-0-anna.png").tobytes() == expected.tobytes()


def test_photos_can_be_left_out_and_captioned_by_hand(source):
    (source / "bea.txt").write_text("side file")
    events = events_of(source, {"anna.png": Choice(left_out=True), "bea.jpg": Choice(caption=" größer ")}, flip=True)
    assert written(source) == [f"00001-{part}-bea.{suffix}" for part in (0, 1) for suffix in ("png", "txt")]
    assert (source.parent / "ready" / "00001-1-bea.txt").read_bytes() == "größer".encode()
    assert [event.source.name for event in events if isinstance(event, Prepared)] == ["bea.jpg"]


@pytest.mark.parametrize(
    ("action", "expected"),
    [("ignore", "a picture"), ("copy", "old"), ("prepend", "old a picture"), ("append", "a picture old")],
)
def test_captions_of_a_model_join_existing_ones(source, monkeypatch, action, expected):
    class Describer:
        def describe(self, image: Image.Image) -> str:
            assert image.size == (64, 64)
            return "a picture"

    monkeypatch.setattr(run, "find_blip", lambda models: models)
    monkeypatch.setattr(run, "load_blip", lambda folder, device: Describer())
    (source / "anna.txt").write_text(" old\n")
    events_of(source, blip=True, caption_action=action)
    assert (source.parent / "ready" / "00000-0-anna.txt").read_text() == expected


def test_without_blip_nothing_is_written(source, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(ModelMissing, match="turn “Use BLIP for caption” off"):
        events_of(source, blip=True)
    assert written(source) == []


def test_captions_and_pictures_that_were_there_are_kept_and_told(source):
    ready = save_all(source.parent / "ready", {"old.png": detailed((64, 64))})
    (ready / "00000-0-anna.txt").write_text("by hand")
    events = events_of(source)
    assert (ready / "00000-0-anna.txt").read_text() == "by hand"
    assert "1 caption of an earlier run kept" in notices(events)
    assert "“old.png”" in notices(events)


def test_a_caption_that_cannot_be_read_is_named(source):
    (source / "anna.txt").write_bytes(b"\xff\xff")
    assert "“anna.txt” is not UTF-8" in notices(events_of(source, caption_action="copy"))
    assert "00000-0-anna.png" in written(source)


@pytest.mark.parametrize("stem", ["x" * 250, "größer" * 30, "a?b", "line\nbreak", "-"])
def test_odd_names_give_files_in_the_destination(source, stem):
    (source / "anna.png").rename(source / f"{stem}.png")
    (source / "bea.jpg").unlink()
    events_of(source)
    [name] = written(source)
    assert name.startswith("00000-0-")
    assert name.endswith(".png")


def until(work: Work, wanted: Callable[[Event], bool]) -> None:
    while not wanted(next(work)):
        pass


@pytest.mark.parametrize(("at", "pictures"), [(Noticed, 0), (Progressed, 0), (Prepared, 1)])
def test_whatever_it_says_when_asked_it_stops_before_the_next_photo(source, at, pictures):
    (source / "notes.txt").write_text("a stranger, which is noticed first")
    work = preprocess(form(source), source)
    until(work, lambda event: isinstance(event, at))
    rest = [work.send(Request.INTERRUPT), *work]
    assert not any(isinstance(event, Prepared) for event in rest)
    end = rest[-1]
    assert isinstance(end, PreprocessingEnded)
    assert (end.pictures, end.interrupted) == (pictures, True)
    assert end.sentence.startswith("Preprocessing interrupted. ")
    assert written(source) == ["00000-0-anna.png"][:pictures]


def test_a_stop_that_comes_behind_the_last_photo_changes_nothing(source):
    work = preprocess(form(source), source)
    for _ in range(2):
        until(work, lambda event: isinstance(event, Prepared))
    assert work.send(Request.INTERRUPT) == PreprocessingEnded(
        2, (), False, "Preprocessing finished. 2 pictures written."
    )


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"source": ""}, "source"),
        ({"destination": ""}, "destination"),
        ({"destination": "{source}"}, "destination"),
        ({"destination": "{source}/../photos/"}, "destination"),
        ({"destination": "{source}/anna.png"}, "destination"),
    ],
)
def test_folders_that_cannot_be_used_name_their_field(source, values, field):
    before = contents(source)
    with pytest.raises(ParameterError) as refused:
        events_of(source, **{name: value.format(source=source) for name, value in values.items()})
    assert refused.value.field == field
    assert contents(source) == before


@pytest.mark.parametrize("name", ["x" * 300, "größer" * 60])
def test_names_that_no_disk_takes_get_a_sentence(source, name):
    for field, error in (("source", DatasetError), ("destination", StorageError)):
        values: dict[str, Any] = {field: str(source.parent / name)}
        with pytest.raises(error, match=name[:20]):
            events_of(source, **values)


def test_a_link_to_the_source_is_the_source(source, tmp_path):
    (tmp_path / "twin").symlink_to(source)
    with pytest.raises(ParameterError, match="same folder"):
        events_of(source, destination=str(tmp_path / "twin"))


def test_a_missing_source_makes_no_destination(source, tmp_path):
    for name, words in (("nowhere", "does not exist"), ("a file", "is a file")):
        (tmp_path / "a file").touch()
        with pytest.raises(ParameterError, match=words) as raised:
            events_of(source, source=str(tmp_path / name))
        assert raised.value.field == "source"
    assert not (tmp_path / "ready").exists()


def test_nothing_usable_is_an_error_that_says_why(source):
    for path in source.iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(DatasetError, match=r"no photo.*can be used.*“anna\.png”"):
        events_of(source)


def test_outside_the_roots_nothing_is_made(source, tmp_path):
    with pytest.raises(ParameterError, match="only below"):
        list(preprocess(form(source, destination=str(tmp_path / "elsewhere")), source, roots=[source]))
    with pytest.raises(ParameterError, match="only below"):
        list(survey(form(source), source, roots=[tmp_path / "elsewhere"]))
    assert not (tmp_path / "elsewhere").exists()


def test_a_full_disk_leaves_whole_pictures_only(source, monkeypatch):
    calls = 0
    sync = os.fsync

    def full(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls > 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", full)  # twice a picture: the file, its folder
    with pytest.raises(StorageError, match="Disk full"):
        events_of(source)
    assert written(source) == ["00000-0-anna.png"]
    assert picture(source, "00000-0-anna.png").size == (64, 64)


def test_a_photo_that_goes_meanwhile_is_named(source):
    work = preprocess(form(source), source)
    until(work, lambda event: isinstance(event, Progressed))
    (source / "bea.jpg").unlink()
    rest = list(work)
    assert "“bea.jpg” is not there any more" in notices(rest)
    assert written(source) == ["00000-0-anna.png"]


def test_a_survey_judges_every_photo_and_writes_nothing(source):
    (source / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    save_all(source, {"copy.png": detailed((160, 96))})
    before = contents(source.parent)
    events = list(survey(form(source), source))
    photos = [event.photo for event in events if isinstance(event, Judged)]
    assert [photo.path.name for photo in photos] == ["anna.png", "bea.jpg", "copy.png", "torn.png"]
    assert [photo.number for photo in photos] == [0, 1, 2, 3]
    assert photos[2].duplicate_of == source / "anna.png"
    assert photos[3].verdict is Verdict.UNUSABLE
    end = events[-1]
    assert isinstance(end, Surveyed)
    assert (end.report.photos, end.report.duplicates) == (4, 1)
    assert contents(source.parent) == before


def test_a_survey_names_what_is_no_photo_but_not_its_own_destination(source):
    (source / "holidays").mkdir()
    (source / "ready").mkdir()
    told = notices(list(survey(form(source, destination=str(source / "ready")), source)))
    assert "“holidays” is a folder: what lies in it is not looked at." in told
    assert "ready" not in told


@pytest.mark.parametrize(("at", "photos"), [(Noticed, 0), (Progressed, 0), (Judged, 1)])
def test_a_survey_can_be_stopped(source, at, photos):
    (source / "orphan.txt").touch()
    work = survey(form(source), source)
    until(work, lambda event: isinstance(event, at))
    end = [work.send(Request.INTERRUPT), *work][-1]
    assert isinstance(end, Surveyed)
    assert end.report.photos == photos


def test_the_crop_of_the_survey_is_the_one_that_is_written(source):
    save_all(source, {"anna.png": detailed((160, 96))})
    [first, *_] = [event.photo for event in survey(form(source), source) if isinstance(event, Judged)]
    events_of(source, focal_crop=True)
    expected = cut(detailed((160, 96)), first.crop, (64, 64))
    assert picture(source, "00000-0-anna.png").tobytes() == expected.tobytes()
