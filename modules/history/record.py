"""One picture as the index knows it, read from its file."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modules import images
from modules.errors import ImageError
from modules.history.companions import original_of
from modules.infotext import parse_infotext, storable

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".gif")
TRASH = "trash"  # a folder below the pictures: what lies in it keeps its path there

_GRID = re.compile(r"(^|/)grid-[^/]*$|(^|/)[^/]*-grids/")


@dataclass(frozen=True)
class Record:
    """A picture.

    Attributes:
        name: its path below the folder of pictures, with `/` on every system.
        modified_ns, size: of the file: as long as they stay, it is not read again.
        infotext: its parameters; empty if it has none.
        prompt, negative_prompt, model, model_hash, sampler, seed, steps, width, height: out of the parameters; empty
            texts and zeros where they say nothing.
        embeddings: names that the parameters list.
        grid: it is the overview of a run.
        copy: it is the JPG copy of the picture beside it, and not shown.
        damage: why it cannot be read, as a sentence; empty for a good file.
        starred: the user likes it.
    """

    name: str
    modified_ns: int
    size: int
    infotext: str = ""
    prompt: str = ""
    negative_prompt: str = ""
    model: str = ""
    model_hash: str = ""
    sampler: str = ""
    seed: str = ""
    steps: int = 0
    width: int = 0
    height: int = 0
    embeddings: tuple[str, ...] = ()
    grid: bool = False
    copy: bool = False
    damage: str = ""
    starred: bool = False

    @property
    def made(self) -> float:
        """When the file was written, in seconds since 1970."""
        return self.modified_ns / 1e9

    @property
    def in_trash(self) -> bool:
        """Whether it was deleted, and can be put back."""
        return self.name.startswith(f"{TRASH}/")


def read_record(root: Path, name: str, modified_ns: int, size: int, starred: bool = False) -> Record:
    """What the file `name` below `root` says; a damaged file becomes a record that says so."""
    file: dict[str, Any] = {"name": name, "modified_ns": modified_ns, "size": size, "starred": starred}
    try:
        infotext = images.read_infotext(root / name)
    except (ImageError, MemoryError) as error:
        return Record(**file, damage=str(error) or "There is too little memory to read it.")
    said = {key: storable(str(value)) for key, value in parse_infotext(infotext).items()}
    hashes = [entry.rpartition(":")[0].strip() for entry in said.get("TI hashes", "").split(",")]
    return Record(
        **file,
        infotext=storable(infotext),
        prompt=said["Prompt"],
        negative_prompt=said["Negative prompt"],
        model=said.get("Model", ""),
        model_hash=said.get("Model hash", ""),
        sampler=said.get("Sampler", ""),
        seed=said.get("Seed", ""),
        steps=_number(said.get("Steps", "")),
        width=_number(said.get("Size-1", "")),
        height=_number(said.get("Size-2", "")),
        embeddings=tuple(dict.fromkeys(filter(None, hashes))),
        grid=_GRID.search(name) is not None,
        copy=original_of(root / name, infotext) is not None,
    )


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 10 else 0
