"""Photos opened, decided about and written through the App's desk, and everything there again after a restart."""

import dataclasses
import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from modules.desks.photos import PhotoDesk
from modules.errors import DatasetError, FileFormatError, JobBusy, ModelMissing, ParameterError
from modules.events import Failed, Noticed
from modules.images import open_image
from modules.jobs import Job, JobQueue, JobState
from modules.paths import Paths
from modules.preprocess import photos
from modules.preprocess.album import Album
from modules.preprocess.crop import Crop, cut
from modules.preprocess.photos import Verdict
from tests.preprocess.drawn import detailed, save_all

SIZE = (64, 64)
GUARD = 60.0  # seconds; a job here takes less than one


@pytest.fixture
def source(tmp_path: Path) -> Path:
    pictures = {"anna.png": detailed((160, 96)), "bea.jpg": detailed((96, 160), seed=1)}
    return save_all(tmp_path / "data" / "set", pictures).resolve()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[PhotoDesk]:
    jobs = JobQueue()
    yield PhotoDesk(Paths(tmp_path / "data"), jobs)
    jobs.stop(GUARD)


def done(job: Job) -> Job:
    assert job.wait(10**9, GUARD)
    return job


def failure(job: Job) -> str:
    return next(event.text for event in done(job).events_since()[0] if isinstance(event, Failed))


def opened(desk: PhotoDesk, source: Path) -> Album:
    desk.open(str(source), size=SIZE)
    done(desk.work_on(source)[-1])
    return desk.albums.open(source).album


def written(desk: PhotoDesk, source: Path) -> list[str]:
    assert done(desk.write(source)).state is JobState.FINISHED
    return sorted(path.name for path in (source / "preprocess").iterdir())


def decide(desk: PhotoDesk, source: Path, **params: Any) -> None:
    desk.albums.change(source, lambda album: album.with_params(dataclasses.replace(album.params, **params)))


def restarted(desk: PhotoDesk) -> PhotoDesk:
    return PhotoDesk(Paths(desk.albums.root.parent.parent), JobQueue())


def test_what_is_shown_is_what_is_written(desk, source):
    album = opened(desk, source)
    assert [photo.path.name for photo in album.photos] == ["anna.png", "bea.jpg"]
    assert album.params.size == SIZE
    assert all(desk.albums.copies(source).has(photo.stamp) for photo in album.photos)
    moved = Crop(0.2, 0.5, 2.0)
    desk.albums.change(source, lambda album: album.with_crop("anna.png", moved))
    table = desk.albums.open(source).album.caption_table
    edited = table.written(source / "bea.jpg", "bea at sea")
    desk.albums.change(source, lambda album: album.with_captions(edited))
    names = written(desk, source)
    assert names == ["00000-0-anna.png", "00000-0-anna.txt", "00001-0-bea.png", "00001-0-bea.txt"]
    ready = source / "preprocess"
    expected = cut(detailed((160, 96)), moved, SIZE)
    assert open_image(ready / "00000-0-anna.png").tobytes() == expected.tobytes()
    proposed = album.find("bea.jpg").crop
    expected = cut(open_image(source / "bea.jpg"), proposed, SIZE)
    assert open_image(ready / "00001-0-bea.png").tobytes() == expected.tobytes()
    assert (ready / "00001-0-bea.txt").read_text() == "bea at sea"
    assert (ready / "00000-0-anna.txt").read_text() == "anna"
    after = desk.albums.open(source).album
    assert after.written
    assert (after.written.count, after.written.folder, after.is_written) == (2, ready, True)
    desk.albums.change(source, lambda album: album.with_crop("anna.png", None))
    assert not desk.albums.open(source).album.is_written


def test_decisions_and_verdicts_outlive_the_server(desk, source):
    opened(desk, source)
    desk.albums.change(source, lambda album: album.with_crop("anna.png", Crop(0.1, 0.2, 3.0)))
    desk.albums.change(source, lambda album: album.with_left_out("bea.jpg", True))
    edited = desk.albums.open(source).album.caption_table.with_word("sks")
    desk.albums.change(source, lambda album: album.with_captions(edited))
    written(desk, source)
    before = desk.albums.open(source).album
    again = restarted(desk)
    assert again.newest() == source
    after = again.albums.open(source).album
    assert after.photos == before.photos
    assert (after.crops, after.left_out, after.written) == (before.crops, before.left_out, before.written)
    assert dict(after.caption_table.captions) == dict(before.caption_table.captions)
    assert after.is_written


def test_a_damaged_album_file_is_put_aside_and_the_photos_are_looked_at_again(desk, source):
    opened(desk, source)
    file = desk.albums.root / desk.albums.key(source) / "album.json"
    file.write_text(file.read_text()[:-30])
    again = restarted(desk)
    assert again.newest() is None
    assert not again.albums.open(source).album.photos
    assert file.with_suffix(".damaged").exists()


def test_only_what_has_changed_is_opened_again(desk, source, monkeypatch):
    opened(desk, source)
    seen: list[str] = []

    def noted(path: Path) -> Image.Image:
        seen.append(path.name)
        return open_image(path)

    monkeypatch.setattr(photos, "open_image", noted)
    save_all(source, {"carl.png": detailed((96, 96), seed=2)})
    (source / "anna.png").unlink()
    album = opened(desk, source)
    assert seen == ["carl.png"]
    assert [(photo.path.name, photo.number) for photo in album.photos] == [("bea.jpg", 0), ("carl.png", 1)]
    copies = desk.albums.copies(source)
    assert len(list(copies.folder.iterdir())) == 2 * len(album.photos)
    decide(desk, source, width=128)
    opened(desk, source)
    assert seen == ["carl.png", "bea.jpg", "carl.png"]


def test_copies_of_albums_long_not_worked_on_go_and_come_back(desk, source, tmp_path):
    album = opened(desk, source)
    other = save_all(tmp_path / "data" / "other", {"zoe.png": detailed((96, 96), seed=9)}).resolve()
    opened(desk, other)
    desk.albums.tidy(1)
    copies = desk.albums.copies(source)
    assert not any(copies.has(photo.stamp) for photo in album.photos)
    assert all(desk.albums.copies(other).has(photo.stamp) for photo in desk.albums.open(other).album.photos)
    desk.go_on(other)
    desk.go_on(source)
    assert len(desk.work_on(other)) == 1
    done(desk.work_on(source)[-1])
    assert all(copies.has(photo.stamp) for photo in album.photos)


@pytest.mark.parametrize(
    ("what", "texts"), [("names", ["anna", ""]), ("texts", ["a woman", ""]), ("nothing", ["", ""])]
)
def test_all_captions_are_taken_anew_and_back(desk, source, what, texts):
    (source / "bea.jpg").rename(source / "IMG_0001.jpg")
    (source / "anna.txt").write_text("a woman")
    album = opened(desk, source).with_captions_from("nothing")
    album = album.with_captions(album.caption_table.with_word("red"))
    taken = album.with_captions_from(what)
    assert [taken.caption(photo) for photo in reversed(taken.photos)] == texts
    undone = taken.with_captions(taken.captions.undone())
    assert [undone.caption(photo) for photo in undone.photos] == ["red", "red"]


def test_pictures_of_photos_left_out_later_are_put_aside(desk, source):
    opened(desk, source)
    written(desk, source)
    desk.albums.change(source, lambda album: album.with_left_out("anna.png", True))
    assert written(desk, source) == ["00001-0-bea.png", "00001-0-bea.txt", "earlier"]
    earlier = sorted(path.name for path in (source / "preprocess" / "earlier").iterdir())
    assert earlier == ["00000-0-anna.png", "00000-0-anna.txt"]
    notices = [event.text for event in desk.work_on(source)[-1].events_since()[0] if isinstance(event, Noticed)]
    assert notices == ["1 picture of an earlier run moved into “earlier”."]


def test_unusable_photos_are_left_out_until_somebody_wants_them(desk, source):
    Image.new("RGB", (96, 96), "grey").save(source / "grey.png")
    (source / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    album = opened(desk, source)
    assert [photo.path.name for photo in album.used] == ["anna.png", "bea.jpg"]
    assert album.find("grey.png").verdict is Verdict.UNUSABLE
    album = desk.albums.change(source, lambda album: album.with_left_out("grey.png", False)).album
    assert "grey.png" in [photo.path.name for photo in album.used]
    with pytest.raises(ParameterError, match=r"“torn\.png” is not a picture"):
        album.with_left_out("torn.png", False)
    with pytest.raises(ParameterError, match=r"no photo “zoe\.png”"):
        album.with_left_out("zoe.png", True)


def test_the_twin_of_a_photo_left_out_is_no_duplicate(desk, source):
    save_all(source, {"copy.png": detailed((160, 96))})
    album = opened(desk, source)
    assert album.report.duplicates == 1
    assert album.with_left_out("anna.png", True).report.duplicates == 0


def test_the_report_counts_captions_of_the_table(desk, source):
    (source / "bea.jpg").rename(source / "IMG_0001.jpg")
    album = opened(desk, source)
    assert (album.report.without_caption, album.report.without_words) == (1, 1)
    captioned = album.with_captions(album.caption_table.written(source / "IMG_0001.jpg", "bea"))
    assert captioned.report.without_caption == 0
    assert captioned.with_captions(captioned.captions.undone()).report.without_caption == 1


def test_a_photo_without_words_gets_an_empty_caption_instead_of_its_number(desk, source):
    (source / "bea.jpg").rename(source / "IMG_0001.jpg")
    opened(desk, source)
    written(desk, source)
    assert (source / "preprocess" / "00000-0-IMG_0001.txt").read_text() == ""


def test_undoing_ends_somewhere(desk, source):
    album = opened(desk, source)
    for number in range(80):
        album = album.with_captions(album.caption_table.written(source / "anna.png", str(number)))
    undone = 0
    while album.captions.before:
        album = album.with_captions(album.captions.undone())
        undone += 1
    assert undone == 50


def test_two_runs_of_one_album_are_one_too_many(desk, source):
    opened(desk, source)
    free = threading.Event()

    def wait():
        free.wait(GUARD)
        yield from ()

    desk._jobs.submit("in the way", wait())
    first = desk.write(source)
    with pytest.raises(JobBusy):
        desk.write(source)
    looks = [desk.look(desk.albums.open(source).album.params) for _ in range(3)]
    free.set()
    assert [done(job).state for job in (first, *looks)] == [
        JobState.FINISHED,
        JobState.CANCELLED,
        JobState.CANCELLED,
        JobState.FINISHED,
    ]


def test_without_blip_nothing_begins(desk, source, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(source))
    opened(desk, source)
    assert not desk.has_blip()
    with pytest.raises(ModelMissing):
        desk.describe(source)
    decide(desk, source, blip=True)
    with pytest.raises(ModelMissing):
        desk.write(source)
    assert not (source / "preprocess").exists()


class Blip:
    @staticmethod
    def describe(image: Image.Image) -> str:
        return f"a picture of {image.width} pixels"


@pytest.fixture
def blip(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("modules.desks.photos", "modules.preprocess.describing", "modules.preprocess.run"):
        monkeypatch.setattr(f"{module}.find_blip", lambda models: models)
    for module in ("modules.preprocess.describing", "modules.preprocess.run"):
        monkeypatch.setattr(f"{module}.load_blip", lambda folder, device: Blip)


def test_blip_fills_the_table_in_one_edit(desk, source, blip):
    (source / "anna.txt").write_text("a woman")
    opened(desk, source)
    decide(desk, source, caption_action="append")
    done(desk.describe(source))
    album = desk.albums.open(source).album
    assert [album.caption(photo) for photo in album.photos] == [
        "a picture of 64 pixels a woman",
        "a picture of 64 pixels bea",
    ]
    undone = album.with_captions(album.captions.undone())
    assert [undone.caption(photo) for photo in undone.photos] == ["a woman", "bea"]


def test_blip_describes_while_writing_what_nobody_wrote_by_hand(desk, source, blip):
    opened(desk, source)
    decide(desk, source, blip=True, flip=True)
    edited = desk.albums.open(source).album.caption_table.written(source / "bea.jpg", "by hand")
    desk.albums.change(source, lambda album: album.with_captions(edited))
    written(desk, source)
    texts = {path.name: path.read_text() for path in (source / "preprocess").glob("*.txt")}
    assert texts == {
        "00000-0-anna.txt": "a picture of 64 pixels",
        "00000-1-anna.txt": "a picture of 64 pixels",
        "00001-0-bea.txt": "by hand",
        "00001-1-bea.txt": "by hand",
    }
    album = desk.albums.open(source).album
    assert [album.caption(photo) for photo in album.photos] == ["a picture of 64 pixels", "by hand"]
    assert album.is_written


def test_an_open_server_stays_below_its_data_folder(tmp_path, source):
    outside = save_all(tmp_path / "elsewhere", {"anna.png": detailed((96, 96))})
    desk = PhotoDesk(Paths(tmp_path / "data"), JobQueue(), (tmp_path / "data",))
    with pytest.raises(ParameterError, match="only below"):
        desk.open(str(outside))
    os.symlink(outside, source / "link")
    with pytest.raises(ParameterError, match="only below"):
        desk.open(str(source / "link"))
    opened(desk, source)
    decide(desk, source, destination=str(outside / "ready"))
    with pytest.raises(ParameterError, match="only below"):
        desk.write(source)
    private = PhotoDesk(Paths(tmp_path / "data"), JobQueue())
    opened(private, outside)
    assert private.newest() == outside
    assert restarted(desk).newest() is not None
    limited = PhotoDesk(Paths(tmp_path / "data"), JobQueue(), (tmp_path / "data",))
    assert limited.newest() is None
    with pytest.raises(ParameterError, match="only below"):
        limited.find(limited.albums.key(outside))


@pytest.mark.parametrize("key", ["", "../set", "nothing-0123456789ab", "a" * 100])
def test_there_are_no_other_albums(desk, key):
    with pytest.raises(FileFormatError):
        desk.find(key)


def test_a_folder_without_photos_is_told(desk, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="There is no photo"):
        desk.open(str(tmp_path / "empty"))
    with pytest.raises(ParameterError, match="does not exist"):
        desk.open(str(tmp_path / "nowhere"))
    with pytest.raises(ParameterError, match="No folder is named"):
        desk.open(" ")


def test_photos_that_are_sent_become_an_album(desk):
    folder = desk.new_folder("realbenny-t2")
    file = io.BytesIO()
    detailed((96, 96)).save(file, "PNG")
    path = desk.receive(folder, "anna.png", file)
    assert path.read_bytes() == file.getvalue()
    assert opened(desk, desk.sent_folder(folder)).photos[0].path == path
    assert desk.new_folder("realbenny-t2") == "realbenny-t2-2"
