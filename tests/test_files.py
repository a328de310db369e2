import errno
import io
import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

import hypothesis
import pytest
from hypothesis import strategies
from typing_extensions import Buffer

from modules import files
from modules.errors import ParameterError, StorageError
from modules.files import inside, safe_name, storage_error, sweep_temporaries, write_atomically

OLD, NEW = b"old content", b"new content, and longer than the old one"


class FullDisk(io.FileIO):
    """A file on a disk that takes `room` bytes more and then fails, as a real one does: after a part was written."""

    room = 0

    def write(self, content: Buffer) -> int:
        data = memoryview(content)
        taken = super().write(data[: self.room])
        self.room -= taken
        if taken < len(data):
            raise OSError(errno.ENOSPC, "No space left on device")
        return taken


# --- whole files or none ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"bytes\x00\xff", "text – “ü”", lambda file: file.write(b"written")])
def test_content_arrives(tmp_path, content):
    path = tmp_path / "new folder" / "deeper" / "file.bin"
    write_atomically(path, content)
    expected = {bytes: lambda: content, str: lambda: content.encode("utf-8")}.get(type(content), lambda: b"written")()
    assert path.read_bytes() == expected
    assert os.listdir(path.parent) == ["file.bin"]


def test_files_are_as_readable_as_any_other(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    write_atomically(tmp_path / "ours", b"")
    assert stat.S_IMODE((tmp_path / "ours").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


@pytest.mark.parametrize("limit", range(len(NEW)))
def test_a_disk_full_at_any_byte_leaves_the_old_file(tmp_path, monkeypatch, limit):
    path = tmp_path / "snapshot.safetensors"
    path.write_bytes(OLD)
    monkeypatch.setattr(FullDisk, "room", limit)
    monkeypatch.setattr(files, "open", FullDisk, raising=False)
    with pytest.raises(StorageError, match=r"Disk full: “snapshot\.safetensors”") as caught:
        write_atomically(path, NEW)
    monkeypatch.undo()
    assert f"could not be written to {tmp_path}. It needs 1 kB: delete something there" in str(caught.value)
    assert path.read_bytes() == OLD
    assert os.listdir(tmp_path) == [path.name]
    write_atomically(path, NEW)  # space is free again
    assert path.read_bytes() == NEW


@pytest.mark.parametrize("failure", [RuntimeError("unexpected pos 64 vs 0"), KeyboardInterrupt(), MemoryError()])
def test_whatever_a_writer_raises_leaves_the_old_file(tmp_path, failure):
    def fails_half_way(file: BinaryIO) -> None:
        file.write(NEW[:10])
        raise failure

    path = tmp_path / "embedding.pt"
    path.write_bytes(OLD)
    with pytest.raises(type(failure)):
        write_atomically(path, fails_half_way)
    assert path.read_bytes() == OLD
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("name", ["fsync", "replace"])
def test_a_failure_in_each_later_step_leaves_the_old_file(tmp_path, monkeypatch, name):
    def fails(*_):
        raise OSError(errno.EIO, "Input/output error")

    path = tmp_path / "file"
    path.write_bytes(OLD)
    monkeypatch.setattr(files.os, name, fails)
    with pytest.raises(StorageError, match="Input/output error"):
        write_atomically(path, NEW)
    assert path.read_bytes() == OLD
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (bytes(1_234_567), "It needs 1.3 MB, and 0.9 MB are free: "),
        (lambda file: file.write(bytes(1_234_567)), "It needs more than the 0.9 MB that are free: "),
        (bytes(5_000), "It needs 5 kB: "),  # less than is free: somebody's quota is used up
    ],
    ids=["bytes", "a writer", "a quota"],
)
def test_a_full_disk_says_how_much_room_is_needed(tmp_path, monkeypatch, content, told):
    monkeypatch.setattr(FullDisk, "room", 4_000)
    monkeypatch.setattr(files, "open", FullDisk, raising=False)
    usage = shutil.disk_usage(tmp_path)._replace(free=812_345)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(StorageError) as caught:
        write_atomically(tmp_path / "file", content)
    assert told in str(caught.value)


def test_content_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    steps = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(files.os, name, lambda *given, name=name, real=real: (steps.append(name), real(*given))[1])
    write_atomically(tmp_path / "file", NEW)
    assert steps == ["fsync", "replace", "fsync"]  # the last one is the folder's


def test_a_folder_that_is_a_file_is_said(tmp_path):
    (tmp_path / "outputs").write_bytes(b"")
    with pytest.raises(StorageError, match=r"“picture\.png” could not be written to .*outputs"):
        write_atomically(tmp_path / "outputs" / "picture.png", NEW)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_read_only_folder_is_said(tmp_path, code):
    assert "read-only" in str(storage_error(tmp_path / "file", OSError(code, "Permission denied")))


KILLED = """
import os, signal, sys
from pathlib import Path
from modules import files

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def half(file):
    file.write(b"new con")
    file.flush()
    die()

point, path = sys.argv[1], Path(sys.argv[2])
if point == "half written":
    files.write_atomically(path, half)
if point == "behind replace":
    files._sync_folder = die
else:
    setattr(files.os, point, die)
files.write_atomically(path, b"new content, and longer than the old one")
"""


@pytest.mark.parametrize(
    ("point", "expected"),
    [("half written", OLD), ("fsync", OLD), ("replace", OLD), ("behind replace", NEW)],
)
def test_a_kill_at_any_point_leaves_the_old_file_or_the_new_one(tmp_path, point, expected):
    path = tmp_path / "file"
    path.write_bytes(OLD)
    killed = subprocess.run([sys.executable, "-c", KILLED, point, path], cwd=files.__file__.rsplit("modules", 1)[0])
    assert killed.returncode == -signal.SIGKILL
    assert path.read_bytes() == expected
    left_behind = len(os.listdir(tmp_path)) - 1
    assert left_behind == (expected == OLD)
    assert sweep_temporaries(tmp_path) == left_behind
    assert os.listdir(tmp_path) == ["file"]


def test_a_file_that_must_be_new_never_replaces_one(tmp_path):
    path = tmp_path / "00000-1.png"
    write_atomically(path, OLD, replace=False)
    with pytest.raises(FileExistsError):
        write_atomically(path, NEW, replace=False)
    assert path.read_bytes() == OLD
    assert os.listdir(tmp_path) == [path.name]


def test_the_sweep_takes_only_what_a_killed_writer_left(tmp_path):
    kept = ["a.partial", ".hidden", "picture.png", "sub/.b.png.partial.txt"]
    stale = [".a.png.k3j2.partial", "sub/.b.png.0000.partial"]
    for name in kept + stale:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert sweep_temporaries(tmp_path) == len(stale)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()) == sorted(kept)
    assert sweep_temporaries(tmp_path / "not there") == 0


# --- names -----------------------------------------------------------------------------------------------------------

HOSTILE_NAMES = [
    "", " ", "\t", ".", "..", "../x", "..\\x", "a/b", "/etc/passwd", "a\\b", "C:\\x", "C:x", "\\\\server\\share",
    "%2e%2e%2fx", "a\x00b", "a\nb", "a\x7fb", ".hidden", "trailing.", "trailing ", " leading", "con", "NUL", "com1.txt",
    "LPT9", "aux.safetensors", "a" * 101, "ü" * 51, "x" * 300, "a\u202eb", "a\u200bb", "a\ufeffb", "a\u2024\u2024b",
    "a\u2215b", "a\uff0fb", "\ud800", "<b>", "a:b", "a*b", "a?b", 'a"b', "a|b", "a,b", "(a)", "[a]", "$HOME", "`id`",
    "~x",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_names_that_are_refused(name):
    with pytest.raises(ParameterError) as refused:
        safe_name(name, "embedding_name")
    assert refused.value.field == "embedding_name"
    assert str(refused.value).endswith(".")
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    "name", ["realbenny-t2", "a", "My face 2", "v1.5_final", "Müller", "顔", "x" * 100, "console", "-x"]
)
def test_names_that_are_taken_as_they_are(name, tmp_path):
    assert safe_name(name) == name
    (tmp_path / f"{name}-123456.safetensors").write_bytes(b"")


@hypothesis.given(strategies.text(max_size=120))
def test_a_name_is_one_path_component_or_refused(name):
    try:
        component = safe_name(name)
    except ParameterError:
        return
    assert Path("root", component).name == component
    assert Path("root", component).parent == Path("root")


# --- inside a root ---------------------------------------------------------------------------------------------------


def test_paths_inside_are_found(tmp_path):
    (tmp_path / "sub").mkdir()
    assert inside(tmp_path, "sub", "file.png") == tmp_path.resolve() / "sub" / "file.png"
    assert inside(tmp_path, "sub/../file.png") == tmp_path.resolve() / "file.png"


@pytest.mark.parametrize(
    "part",
    ["a\0b", "n" * 300, "gone/" + "n" * 300, "n/" * 2500, "circle/x", "\ud800"],
    ids=lambda part: ascii(part[:9]),
)
def test_what_is_no_path_is_refused(tmp_path, part):
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(ParameterError, match="no path"):
        inside(tmp_path, part)


@pytest.mark.parametrize(
    "parts", [("..",), ("../x",), ("sub", "../../x"), ("/etc/passwd",), ("link", "x"), ("sub/../..",)]
)
def test_paths_that_lead_out_are_refused(tmp_path, parts):
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "link").symlink_to(tmp_path)
    with pytest.raises(ParameterError, match="leads out of root"):
        inside(root, *parts)
