"""A snapshot put into use: copied to the folder of embeddings under the name for prompts. It can be undone."""

import dataclasses
import hashlib
from pathlib import Path

from modules.embeddings.database import EmbeddingDatabase
from modules.embeddings.reading import read_embedding
from modules.embeddings.writing import save_embedding
from modules.errors import EmbeddingError, ParameterError
from modules.events import EmbeddingSaved, Work
from modules.files import safe_name, storage_error, write_atomically
from modules.prompts.new_word import name_problem
from modules.prompts.tokenizer import ClipTokenizer
from modules.training.backups import backup_of, move, remove, set_aside
from modules.training.run_folder import RunFolder, open_run
from modules.training.uses import Use, last_use, note_use, taken


def use_snapshot(
    embeddings: EmbeddingDatabase,
    target: Path,
    path: Path,
    step: int,
    name: str,
    tokenizer: ClipTokenizer,
    overwrite: bool = False,
    file_format: str = "safetensors",
) -> Work:
    """Install a snapshot of a run.

    Args:
        embeddings: refreshed afterwards, so that the next prompt knows the name.
        target: the folder of embeddings.
        path: the run's folder.
        step: of the snapshot.
        name: the word for prompts.
        tokenizer: that tells what prompts make of the name.
        overwrite: set files aside that answer to this name; each becomes `<file>.bak`, `.bak2`, …
        file_format: "safetensors" or "pt".

    Yields:
        `EmbeddingSaved`.

    Raises:
        FileFormatError: no run, or its snapshot is damaged.
        ParameterError: the name cannot be a file's, is taken, or could be mistaken for another; or there is no such
            snapshot.
        StorageError: it could not be written; what was there is there again.
    """
    folder = open_run(path).folder
    name = safe_name(name, "name")
    found = folder.snapshots().get(step)
    embedding = read_embedding(found) if found else None
    if embedding is None:
        raise ParameterError("step", f"This run has no snapshot of step {step}: choose another one.")
    older = require_usable(embeddings, target, folder, name, tokenizer, overwrite)
    file = target / f"{name}.{file_format}"
    with set_aside(older, file) as replaced:
        save_embedding(dataclasses.replace(embedding, name=name), file)
        note_use(folder, Use(name, step, file, _digest(file), replaced))
    embeddings.refresh()
    kept = f" {', '.join(backup.name for backup in replaced.values())} keeps what was there." if replaced else ""
    yield EmbeddingSaved(file, f"{name} is now the snapshot of step {step}.{kept}")


def require_usable(
    embeddings: EmbeddingDatabase,
    target: Path,
    folder: RunFolder,
    name: str,
    tokenizer: ClipTokenizer,
    overwrite: bool = False,
) -> list[Path]:
    """Refuse a name under which no snapshot of a run can be put into use.

    Args: as for `use_snapshot`.

    Returns:
        the files whose place it takes.

    Raises:
        ParameterError: it is taken, or could be mistaken for another.
    """
    older = taken(target, name)
    if older and not overwrite:
        raise ParameterError("name", f"{older[0].name} is there already: choose another name, or overwrite it.")
    if not older and name != folder.name:  # under these it acted before
        require_good_name(embeddings, name, tokenizer)
    return older


def require_good_name(embeddings: EmbeddingDatabase, name: str, tokenizer: ClipTokenizer) -> None:
    """Refuse a new name as creating an embedding does: one that prompts would mistake for something else.

    Raises:
        ParameterError: why.
    """
    embeddings.refresh()
    names = [entry.name for entry in embeddings.entries(0, tokenizer)]  # whatever model they are for
    if problem := name_problem(name, names, tokenizer):
        raise ParameterError("name", problem)


def undo_use(embeddings: EmbeddingDatabase, path: Path) -> Work:
    """Take the last use of a run back: its file goes, and what it took the place of comes back.

    Yields:
        `EmbeddingSaved` with what acts now.

    Raises:
        FileFormatError: no run.
        ParameterError: there is nothing to undo, or the file was changed since.
        StorageError: a file could not be moved.
    """
    folder = open_run(path).folder
    use = last_use(folder)
    if use is None:
        raise ParameterError("name", "There is nothing to undo: no snapshot of this run was put into use.")
    if use.path.exists() and not use.is_in_force:
        raise ParameterError("name", f"{use.path.name} was changed since: rename it first if you want to keep it.")
    remove(use.path)
    for before, now in use.replaced.items():
        if now.exists():
            move(now, before)
    note_use(folder, None)
    embeddings.refresh()
    text = f"{use.name} is again what it was before." if use.replaced else f"{use.name} was taken out of use again."
    yield EmbeddingSaved(use.path, text)


def keep_copy(target: Path, folder: RunFolder) -> str:
    """Copy what training is about to write over to `<file>.bak`, unless a snapshot of the run holds the same vectors.

    Returns:
        a sentence with a blank before it; empty if there was nothing to keep.

    Raises:
        StorageError: it could not be read or written.
    """
    if not target.exists():
        return ""
    there = _vectors_digest(target)
    if there and any(_vectors_digest(path) == there for path in folder.snapshots().values()):
        return ""
    backup = backup_of(target)
    try:
        write_atomically(backup, target.read_bytes())
    except OSError as error:
        raise storage_error(target, error) from error
    return f" {backup.name} keeps what was there."


def _vectors_digest(path: Path) -> str:
    """Of the embedding in a file; empty if there is none that can be read."""
    try:
        embedding = read_embedding(path)
    except EmbeddingError:
        return ""
    return embedding.vectors_digest if embedding else ""


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
