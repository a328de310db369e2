"""Files of tensors: read alike from every format, and refused with a sentence where they cannot be trusted."""

import contextlib
import hashlib
import json
import random
import resource
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import psutil
import pytest
import torch

from modules.errors import FileFormatError
from modules.tensorfile import load_pickle, open_tensors
from tests import foreign, tiny

REFERENCE = Path(__file__).parent / "data" / "reference" / "embeddings"
FORMATS = ("safetensors", "zip", "legacy")


def written(path: Path, form: str) -> Path:
    """The few tensors of `foreign.FEW` in one of the formats."""
    if form == "safetensors":
        tiny.save_file(dict(foreign.FEW), path, {"note": "für alle"})
    else:
        torch.save({"state_dict": dict(foreign.FEW), "epoch": 3}, path, _use_new_zipfile_serialization=form == "zip")
    return path


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_gives_the_same(tmp_path: Path, form: str) -> None:
    file = open_tensors(written(tmp_path / "few.bin", form))
    assert file.format == ("safetensors" if form == "safetensors" else "pickle")
    assert file.shapes == {"one": (3, 4), "two": (5,)}
    assert file.dtypes == {"one": torch.float32, "two": torch.float16}
    assert foreign.tensors_equal(file.tensors(), foreign.FEW)
    assert torch.equal(file.load("two"), foreign.FEW["two"])
    assert dict(file.metadata) == ({"note": "für alle"} if form == "safetensors" else {})


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", ["few.safetensors", "few.SAFETENSORS", "few.ckpt", "few.pt", "few"])
def test_content_decides_not_the_name(tmp_path: Path, form: str, name: str) -> None:
    assert foreign.tensors_equal(open_tensors(written(tmp_path / name, form)).tensors(), foreign.FEW)


def test_judging_reads_no_tensor(tmp_path: Path) -> None:
    meta = open_tensors(written(tmp_path / "few.ckpt", "zip")).meta
    assert all(tensor.is_meta for tensor in meta.values())


@pytest.mark.parametrize("form", ["safetensors", "zip"])
@pytest.mark.skipif(sys.platform != "linux", reason="psutil lists mapped files on Linux only")
def test_tensors_are_mapped_not_copied(tmp_path: Path, form: str) -> None:
    path = written(tmp_path / "mapped.ckpt", form)
    tensors = open_tensors(path).tensors()
    assert str(path) in [region.path for region in psutil.Process().memory_maps()]
    assert len(tensors) == 2


def test_published_checkpoints_carry_classes_that_are_ignored(tmp_path: Path) -> None:
    """SD 1.x files pickle a training library's callback class and NumPy numbers beside their weights."""
    import numpy as np

    path = tmp_path / "published.ckpt"
    with tiny._lightning_class() as callback:
        content = {
            "state_dict": dict(foreign.FEW),
            "callbacks": {callback: {"best": np.float64(0.5), "scores": np.arange(3)}},
            "loops": [callback()],
        }
        torch.save(content, path)
    assert foreign.tensors_equal(open_tensors(path).tensors(), foreign.FEW)


@pytest.mark.parametrize("pattern", ["*.pt", "*.bin"])
def test_embeddings_of_every_age_load(pattern: str) -> None:
    paths = list((REFERENCE / "width72").glob(pattern))
    assert paths
    assert all(load_pickle(path) for path in paths)


# Code in files


@pytest.mark.parametrize("form", foreign.HOSTILE)
@pytest.mark.parametrize("name", ["x.pt", "x.ckpt", "x.bin", "x.pth", "x.safetensors", "x.SAFETENSORS", "x"])
def test_code_is_refused_and_does_not_run(tmp_path: Path, form: str, name: str) -> None:
    path, canary = tmp_path / name, tmp_path / "canary"
    foreign.HOSTILE[form](foreign.Canary(canary), path)
    for read in (open_tensors, load_pickle):
        with pytest.raises(FileFormatError, match=r"unsafe: it wants to run “io\.open”|pickled in a way"):
            read(path)
    assert not canary.exists()


@pytest.mark.parametrize("form", foreign.HOSTILE)
def test_the_canaries_are_live(tmp_path: Path, form: str) -> None:
    path, canary = tmp_path / "x.pt", tmp_path / "canary"
    foreign.HOSTILE[form](foreign.Canary(canary), path)
    with warnings.catch_warnings(), contextlib.suppress(RuntimeError, TypeError, AttributeError):
        warnings.simplefilter("ignore")  # the file that the canary leaves open
        torch.load(path, weights_only=False)  # may fail once the canary has fired: a bare pickle is no archive
    assert canary.exists()


def test_an_archive_among_the_data_stays_data(tmp_path: Path) -> None:
    path = foreign.nested_zip(tmp_path / "nested.pt", tmp_path / "canary")
    assert load_pickle(path) == {"file": b"nothing here"}
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("name", ["malicious-os.pt", "malicious-raw.pt", "malicious-zip.pt", "malicious.bin"])
def test_recorded_hostile_files(name: str) -> None:
    with pytest.raises(FileFormatError, match="unsafe"):
        load_pickle(REFERENCE / "bad" / name)


# Damage


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("share", [0, 0.01, 0.25, 0.5, 0.99])
def test_truncated(tmp_path: Path, form: str, share: float) -> None:
    path = foreign.truncated(tmp_path / "part.ckpt", written(tmp_path / "whole.ckpt", form), share)
    with pytest.raises(FileFormatError, match=r"part\.ckpt.*(empty|cut off|damaged|neither)"):
        open_tensors(path).tensors()


@pytest.mark.parametrize("form", FORMATS)
def test_flipped_bits(tmp_path: Path, form: str) -> None:
    """A flipped bit is refused, or the file reads as another one: which its checksum shows."""
    whole = written(tmp_path / "whole.ckpt", form).read_bytes()
    chance = random.Random(0)
    refusals = []
    for _ in range(200):
        path = foreign.flipped(tmp_path / "flipped.ckpt", whole, chance.randrange(len(whole) * 8))
        try:
            open_tensors(path).tensors()
        except FileFormatError as error:
            refusals.append(str(error))
        assert hashlib.sha256(path.read_bytes()).digest() != hashlib.sha256(whole).digest()
    assert refusals
    assert all(refusal.startswith("“flipped.ckpt”") for refusal in refusals)


@pytest.mark.parametrize(
    "content", [b"", b"x", b"hello world, this is text", bytes(100), b"\x89PNG\r\n\x1a\n" + bytes(20)]
)
def test_what_is_no_tensor_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.ckpt"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=r"“notes\.ckpt” is (empty|neither)"):
        open_tensors(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="cannot be read: No such file"):
        open_tensors(tmp_path / "gone.ckpt")


def test_a_deep_pickle_is_read_without_recursion(tmp_path: Path) -> None:
    assert open_tensors(foreign.deep_list(tmp_path / "deep.ckpt")).shapes == {}


CHILD = """
import json, resource, signal, sys
from pathlib import Path
from modules.errors import FileFormatError
from modules.tensorfile import open_tensors
answers = {}
resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
for path in sorted(Path(sys.argv[1]).iterdir()):
    signal.alarm(SECONDS)
    try:
        open_tensors(path).tensors()
        answers[path.name] = None
    except FileFormatError as error:
        answers[path.name] = str(error)
print(json.dumps(answers))
"""


@pytest.mark.skipif(not hasattr(signal, "alarm"), reason="address limits and alarms are POSIX")
def test_excessive_files_are_refused_cheaply(tmp_path: Path) -> None:
    """All in one child with little address space beyond what its libraries take, ten seconds for each file."""
    names = {f"file-{number}": name for number, name in enumerate(foreign.EXCESSIVE)}
    folder = tmp_path / "files"
    folder.mkdir()
    for file, name in names.items():
        foreign.EXCESSIVE[name](folder / file)
    used = psutil.Process().memory_info().vms  # this process has the same libraries, and more
    program = CHILD.replace("ADDRESSES", str(used + (1 << 30))).replace("SECONDS", "10")
    child = subprocess.run(
        [sys.executable, "-c", program, str(folder)], capture_output=True, text=True, cwd=Path(__file__).parent.parent
    )
    assert child.returncode == 0, child.stderr
    answers = json.loads(child.stdout)
    assert {name for file, name in names.items() if answers[file] is None} == set()
    assert all(answers[file].startswith(f"“{file}”") for file in names)
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 2 << 20  # KiB, so 2 GiB
