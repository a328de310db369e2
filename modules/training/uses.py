"""What was put into use from a run, and what it took the place of, so that it can be undone. Knows no torch."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from modules.files import write_atomically
from modules.training.run_folder import RunFolder

SUFFIXES = (".safetensors", ".pt", ".bin", ".pth", ".ckpt", ".png", ".webp", ".avif")


@dataclass(frozen=True)
class Use:
    """One snapshot that acts in prompts.

    Attributes:
        name: the word for the prompt.
        step: of the snapshot.
        path: the file that was written.
        sha256: of its content, by which a later change is seen.
        replaced: files that were set aside for it: what they were called, and what they are called now.
    """

    name: str
    step: int
    path: Path
    sha256: str
    replaced: Mapping[Path, Path]

    @property
    def is_in_force(self) -> bool:
        """Whether its file is there, with the content that was written."""
        try:
            return hashlib.sha256(self.path.read_bytes()).hexdigest() == self.sha256
        except OSError:
            return False


def last_use(folder: RunFolder) -> Use | None:
    """What was put into use last from a run and not undone; None if there is nothing, or it cannot be read."""
    try:
        values: dict[str, Any] = json.loads(_file(folder).read_bytes())
        replaced = {Path(before): Path(now) for before, now in values["replaced"].items()}
        return Use(str(values["name"]), int(values["step"]), Path(values["path"]), str(values["sha256"]), replaced)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def note_use(folder: RunFolder, use: Use | None) -> None:
    """Write down what is in use; None forgets it.

    Raises:
        StorageError: it cannot be written.
    """
    if use is None:
        _file(folder).unlink(missing_ok=True)
        return
    replaced = {str(before): str(now) for before, now in use.replaced.items()}
    values = {**asdict(use), "path": str(use.path), "replaced": replaced}
    write_atomically(_file(folder), json.dumps(values, indent=1))


def taken(embeddings: Path, name: str) -> list[Path]:
    """The files in the folder of embeddings, and below, that answer to a name, whatever its case."""
    wanted = name.strip().casefold()
    found = [
        path
        for path in embeddings.rglob("*")
        if path.suffix.lower() in SUFFIXES and path.stem.casefold() == wanted and path.is_file()
    ]
    return sorted(found)


def _file(folder: RunFolder) -> Path:
    return folder.path / "in_use.json"
