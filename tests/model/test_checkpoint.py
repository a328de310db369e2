"""Checkpoints on disk: found, named, hashed once, chosen by what people call them."""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from modules.model import hashes as hashes_module
from modules.model.checkpoint import Checkpoint, choose, ensure_hash, find_checkpoints
from modules.model.hashes import HashCache, old_hash, sha256_of
from tests import tiny
from tests.prompts.prompt_vectors import records


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder with files of every kind that is found, and some that are not."""
    for name in (
        "plain.safetensors",
        "old.ckpt",
        "LOUD.CKPT",
        "people/anna/portrait.safetensors",
        "plain.vae.safetensors",
        "old.vae.ckpt",
        "notes.txt",
        ".hidden.safetensors",
        ".plain.safetensors.x.partial",
        ".trash/gone.safetensors",
        "folder/model_index.json",
        "folder/unet/diffusion_pytorch_model.safetensors",
    ):
        path = tmp_path / "models" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "models"


@pytest.fixture
def cache(tmp_path: Path) -> HashCache:
    return HashCache(tmp_path / "cache.json")


def test_found_recursively_by_name(models: Path) -> None:
    found = find_checkpoints([models, models / "missing"])
    assert [checkpoint.name for checkpoint in found] == [
        "folder",
        "LOUD.CKPT",
        "old.ckpt",
        "people/anna/portrait.safetensors",
        "plain.safetensors",
    ]
    assert [checkpoint.model_name for checkpoint in found] == ["folder", "LOUD", "old", "portrait", "plain"]


def test_the_first_of_equal_names_is_kept(models: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "plain.safetensors").write_bytes(b"other")
    found = {checkpoint.name: checkpoint.path for checkpoint in find_checkpoints([tmp_path / "other", models])}
    assert found["plain.safetensors"] == tmp_path / "other" / "plain.safetensors"


def test_linked_folders_are_followed_and_circles_end(models: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "far.safetensors").write_bytes(b"far")
    (models / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (models / "people" / "circle").symlink_to(models, target_is_directory=True)
    (models / "nowhere.safetensors").symlink_to(tmp_path / "gone.safetensors")
    names = [checkpoint.name for checkpoint in find_checkpoints([models], HashCache(tmp_path / "cache.json"))]
    assert "link/far.safetensors" in names
    assert len(names) == 7  # five, the linked one, and the link to nowhere, which is refused when it is opened


def test_finding_reads_no_file_and_loads_no_torch(models: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from modules.model.checkpoint import find_checkpoints\n"
        f"assert len(find_checkpoints([Path({os.fspath(models)!r})])) == 5\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[2])


# Hashes


@pytest.mark.parametrize("record", records("hashes"), ids=lambda record: record["id"])
def test_recorded_hashes(tmp_path: Path, record: dict) -> None:
    path = tmp_path / record["id"]
    path.write_bytes((bytes(range(256)) * (record["size"] // 256 + 1))[: record["size"]])
    assert sha256_of([path]) == record["sha256"]
    assert Checkpoint(path, path.name, sha256_of([path])).short_hash == record["shorthash_10"]
    assert Checkpoint(path, path.name).old_hash == record["old_hash_8"]


def test_the_old_hash_reads_from_the_middle(tmp_path: Path) -> None:
    content = os.urandom(0x100000) + b"a" * 0x10000 + b"b" * 100
    (tmp_path / "x").write_bytes(content)
    assert old_hash(tmp_path / "x") == hashlib.sha256(b"a" * 0x10000).hexdigest()[:8]
    assert old_hash(tmp_path / "gone") == "NOFILE"


def test_titles_carry_the_hash_once_it_is_known(models: Path, cache: HashCache) -> None:
    before = choose(find_checkpoints([models], cache), "plain.safetensors")
    assert before
    assert before.title == "plain.safetensors"
    sha256 = hashlib.sha256(b"plain.safetensors").hexdigest()
    assert ensure_hash(before, cache).title == f"plain.safetensors [{sha256[:10]}]"
    assert sha256 in [checkpoint.sha256 for checkpoint in find_checkpoints([models], cache)]


def test_a_file_is_hashed_once(models: Path, cache: HashCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[list[Path]] = []
    monkeypatch.setattr(hashes_module, "sha256_of", lambda files: read.append(list(files)) or "0" * 64)
    file = models / "plain.safetensors"
    cache.ensure([file])
    cache.ensure([file])
    assert HashCache(tmp_path / "cache.json").ensure([file]) == "0" * 64  # a new start reads it from the disk
    assert len(read) == 1
    os.utime(file, ns=(1, 1))
    cache.ensure([file])
    file.write_bytes(b"a longer content")
    os.utime(file, ns=(1, 1))
    cache.ensure([file])
    assert len(read) == 3


def test_a_diffusers_folder_is_hashed_by_its_weights(tmp_path: Path, cache: HashCache) -> None:
    path = tiny.checkpoint(tmp_path / "folder", "sd2")
    before = ensure_hash(Checkpoint(path, "folder"), cache).sha256
    assert len(before) == 64
    weights = path / "vae" / "diffusion_pytorch_model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(weights, ns=(1, 1))
    assert ensure_hash(Checkpoint(path, "folder"), cache).sha256 != before


@pytest.mark.parametrize("text", ["", "{", "[]", '{"sha256": 5}', '{"sha256": {"a": {}}}', "\x00\xff"])
def test_a_damaged_cache_is_started_afresh(models: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "cache.json").write_text(text, encoding="utf-8")
    cache = HashCache(tmp_path / "cache.json")
    file = models / "plain.safetensors"
    assert cache.known([file]) is None
    cache.ensure([file])
    assert str(file) in json.loads((tmp_path / "cache.json").read_text(encoding="utf-8"))["sha256"]


def test_a_cache_that_cannot_be_written_is_no_obstacle(models: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    cache = HashCache(tmp_path / "file" / "cache.json")
    assert len(cache.ensure([models / "plain.safetensors"])) == 64
    assert cache.known([models / "plain.safetensors"])


# Choosing

NAMED = [
    Checkpoint(Path("/m/anime/cosy-v2.safetensors"), "anime/cosy-v2.safetensors", "ab" * 32),
    Checkpoint(Path("/m/cosy-v2-inpainting.ckpt"), "cosy-v2-inpainting.ckpt", "cd" * 32),
    Checkpoint(Path("/m/model.ckpt"), "model.ckpt"),
]


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("anime/cosy-v2.safetensors [ababababab]", 0),
        ("anime/cosy-v2.safetensors", 0),
        ("cosy-v2", 0),
        ("cosy-v2-inpainting", 1),
        ("inpainting", 1),
        ("COSY", 1),  # the shorter title of the two
        ("ab" * 32, 0),
        ("abababab" + "ab", 0),
        ("CDCDCDCDCD", 1),
        ("model", 2),
        ("/m/model.ckpt", 2),
        ("cosy-v2-inpainting.ckpt [0000000000]", 1),  # the file changed since the title was written down
        ("nothing like it", None),
        ("", None),
        ("[]", None),
    ],
)
def test_chosen_by_what_people_call_it(text: str, index: int | None) -> None:
    assert choose(NAMED, text) == (None if index is None else NAMED[index])


def test_the_old_hash_chooses_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.ckpt").write_bytes(b"content")
    checkpoint = Checkpoint(tmp_path / "x.ckpt", "x.ckpt", sha256_of([tmp_path / "x.ckpt"]))
    assert choose([checkpoint], checkpoint.old_hash) is None
    assert choose([replace(checkpoint, sha256="")], checkpoint.old_hash) is None
