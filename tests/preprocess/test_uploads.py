"""Photos that are sent: safe names, the same bytes, nothing overwritten."""

import errno
import io
from datetime import date
from pathlib import Path

import pytest

from modules.errors import ImageError, ParameterError, StorageError
from modules.preprocess import uploads
from modules.preprocess.uploads import folder_below, landing_name, new_folder, receive


def sent(folder: Path, name: str, content: bytes) -> str:
    return receive(folder, name, io.BytesIO(content)).name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("IMG_0001.HEIC", "IMG_0001.heic"),
        ("Foto (1).JPG", "Foto _1_.jpg"),
        ("../../etc/evil.png", "evil.png"),
        ("C:\\photos\\me.webp", "me.webp"),
        ("...hidden.png", "hidden.png"),
        ("CON.png", "_CON.png"),
        ("größer 猫.avif", "größer 猫.avif"),
        ("a\0b<c>.jpeg", "a_b_c_.jpeg"),
        ("‮gpj.exe.png", "_gpj.exe.png"),
        ("?.png", "_.png"),
        (" .png", "photo.png"),
        ("caption.txt", "caption.txt"),
    ],
)
def test_names_become_safe(name, expected):
    assert landing_name(name) == expected


def test_long_names_are_cut_at_whole_letters():
    name = landing_name("ü" * 300 + ".png")
    assert name.endswith(".png")
    assert len(name.encode()) <= uploads.LONGEST


@pytest.mark.parametrize("name", ["movie.mov", "page.html", "photo", ".png", "", "x.svg"])
def test_what_is_no_photo_is_refused(name):
    with pytest.raises(ParameterError, match="is no photo"):
        landing_name(name)


def test_jpeg_xl_is_refused_by_its_name():
    with pytest.raises(ParameterError, match=r"^“IMG_1\.JXL” is a JPEG XL picture, .* save it as PNG, JPEG or WebP"):
        landing_name("IMG_1.JXL")


def test_bytes_arrive_as_they_were_and_nothing_is_overwritten(tmp_path):
    folder = tmp_path / "set"
    assert sent(folder, "IMG_1.jpg", b"first") == "IMG_1.jpg"
    assert sent(folder, "IMG_1.jpg", b"first") == "IMG_1.jpg"
    assert sent(folder, "img_1.JPG", b"other") == "img_1-2.jpg"
    assert sent(folder, "IMG_1.jpg", b"third") == "IMG_1-3.jpg"
    assert sent(folder, "IMG_1.jpg", b"other") == "img_1-2.jpg"
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert found == {"IMG_1.jpg": b"first", "img_1-2.jpg": b"other", "IMG_1-3.jpg": b"third"}


def test_limits(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "MAX_BYTES", 10)
    monkeypatch.setattr(uploads, "MAX_FILES", 2)
    with pytest.raises(ParameterError, match="larger than"):
        sent(tmp_path, "a.png", b"x" * 11)
    with pytest.raises(ImageError, match="empty"):
        sent(tmp_path, "a.png", b"")
    assert sent(tmp_path, "a.png", b"x" * 10) == "a.png"
    assert sent(tmp_path, "a.txt", b"") == "a.txt"
    with pytest.raises(ParameterError, match="2 files already"):
        sent(tmp_path, "b.png", b"x")
    assert sent(tmp_path, "a.png", b"x" * 10) == "a.png"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_full_disk_leaves_nothing_half(tmp_path, monkeypatch):
    def full(source, target):
        target.write(source.read(3))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(uploads, "_copy", full)
    with pytest.raises(StorageError, match="Disk full"):
        sent(tmp_path, "a.png", b"a photo")
    assert not list(tmp_path.iterdir())


def test_the_disk_is_not_filled_to_the_brim(tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": uploads.SPARE_BYTES + 5})()
    monkeypatch.setattr(uploads.shutil, "disk_usage", lambda folder: usage)
    assert sent(tmp_path, "a.png", b"fives") == "a.png"
    with pytest.raises(StorageError, match="Only 500 MB are free"):
        sent(tmp_path, "b.png", b"sixes!")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_folders_have_names_of_their_own(tmp_path):
    today = f"photos {date.today().isoformat()}"
    assert new_folder(tmp_path / "missing") == today
    assert new_folder(tmp_path, "realbenny-t1") == "realbenny-t1"
    (tmp_path / "realbenny-t1").mkdir()
    assert new_folder(tmp_path, "RealBenny-t1") == "RealBenny-t1-2"
    for wish in ("../up", "", "a/b", "nul"):
        assert new_folder(tmp_path, wish) == today
    assert folder_below(tmp_path, "set") == tmp_path.resolve() / "set"


@pytest.mark.parametrize("name", ["..", "../other", "a/b", "", ".hidden", "x" * 200, "link"])
def test_no_folder_leads_out(tmp_path, name):
    root = tmp_path / "photos"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    with pytest.raises(ParameterError):
        folder_below(root, name)
