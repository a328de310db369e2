"""Checkpoints on disk: found, named, told apart by hash. None is opened here, and nothing loads torch."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from modules.model.hashes import HashCache, old_hash

SUFFIXES = (".safetensors", ".ckpt")
FOLDER_MARK = "model_index.json"  # stands in every diffusers folder


@dataclass(frozen=True)
class Checkpoint:
    """A file, or a diffusers folder, that may be a model. It has not been opened.

    Attributes:
        path: the file or folder.
        name: its path below the folder of checkpoints, with `/` on every system: “anime/cosy.safetensors”.
        sha256: 64 digits, or empty while they are not known.
    """

    path: Path
    name: str
    sha256: str = ""

    @property
    def short_hash(self) -> str:
        """First 10 digits of the hash, as titles and infotexts carry it; empty while it is not known."""
        return self.sha256[:10]

    @property
    def title(self) -> str:
        """What lists show: “cosy.safetensors [6ce0161689]”."""
        return f"{self.name} [{self.short_hash}]" if self.sha256 else self.name

    @property
    def model_name(self) -> str:
        """What infotexts call it: the file name without its suffix."""
        return self.path.stem if self.path.suffix.lower() in SUFFIXES else self.path.name

    @property
    def short_title(self) -> str:
        """What infotexts call it where it is not the model of the whole picture: “cosy [6ce0161689]”."""
        return f"{self.model_name} [{self.short_hash}]" if self.sha256 else self.model_name

    @property
    def old_hash(self) -> str:
        """A1111's 8 digits of 2022; see `hashes.old_hash`."""
        return old_hash(self.path)


def find_checkpoints(folders: Iterable[Path], hashes: HashCache | None = None) -> list[Checkpoint]:
    """Everything in these folders and below that may be a checkpoint, by name; the first of equal names is kept.

    Args:
        folders: a missing one counts as empty.
        hashes: gives the hashes that are known already; none is computed here.
    """
    found: dict[str, Checkpoint] = {}
    for folder in folders:
        for path in _candidates(folder):
            name = path.relative_to(folder).as_posix()
            found.setdefault(name, Checkpoint(path, name))
    checkpoints = sorted(found.values(), key=lambda checkpoint: checkpoint.name.lower())
    if hashes is None:
        return checkpoints
    return [replace(checkpoint, sha256=hashes.known(_files(checkpoint.path)) or "") for checkpoint in checkpoints]


def ensure_hash(checkpoint: Checkpoint, hashes: HashCache) -> Checkpoint:
    """The checkpoint with its hash, computed if need be: seconds for gigabytes, so it belongs into the background.

    Raises:
        OSError: the file cannot be read.
    """
    return replace(checkpoint, sha256=hashes.ensure(_files(checkpoint.path)))


def choose(checkpoints: Sequence[Checkpoint], text: str) -> Checkpoint | None:
    """The checkpoint that a title, name, model name or hash means, or None.

    What is said exactly wins, a hash in brackets before the name; else the shortest title that contains the text,
    tried once more without a hash in brackets. The old 8 digits choose nothing: unrelated models share them.
    """
    bracketed = re.search(r"\s*\[([^\]]*)\]\s*$", text)
    bare, digits = (text[: bracketed.start()], bracketed[1]) if bracketed else (text, "")
    for said in (text, digits, bare):
        for checkpoint in checkpoints:
            exact = {checkpoint.title, checkpoint.name, checkpoint.model_name, str(checkpoint.path)}
            if said in exact or (checkpoint.sha256 and said.lower() in (checkpoint.sha256, checkpoint.short_hash)):
                return checkpoint
    for part in (text, bare):
        holding = [checkpoint for checkpoint in checkpoints if part and part.lower() in checkpoint.title.lower()]
        if holding:
            return min(holding, key=lambda checkpoint: len(checkpoint.title))
    return None


def _candidates(folder: Path) -> Iterator[Path]:
    """Checkpoint files and diffusers folders, symbolic links followed, each real folder visited once."""
    visited: set[str] = set()
    for there, below, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(there)
        if real in visited:
            below.clear()
            continue
        visited.add(real)
        if FOLDER_MARK in names and there != str(folder):
            below.clear()
            yield Path(there)
            continue
        below[:] = [name for name in below if not name.startswith(".")]
        yield from (Path(there, name) for name in names if _may_be_checkpoint(name))


def _may_be_checkpoint(name: str) -> bool:
    lower = name.lower()
    vae = any(lower.endswith(f".vae{suffix}") for suffix in SUFFIXES)
    return lower.endswith(SUFFIXES) and not vae and not name.startswith(".")


def _files(path: Path) -> list[Path]:
    """What a checkpoint's hash is made of: the file, or a diffusers folder's index and weights in a fixed order."""
    if not path.is_dir():
        return [path]
    return [path / FOLDER_MARK, *sorted(file for file in path.glob("*/*") if file.suffix in (".safetensors", ".bin"))]
