"""The user's embeddings: folders looked at again and again, each file read once for each time it changes."""

import os
import re
import stat
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from modules.embeddings.embedding import Embedding
from modules.embeddings.reading import PICTURES, read_embedding
from modules.errors import EmbeddingError, FileFormatError
from modules.prompts.matching import EmbeddingIndex
from modules.prompts.tokenizer import ClipTokenizer
from modules.tensorfile import file_format

SUFFIXES = (".safetensors", ".pt", ".bin", ".pth", ".ckpt", *PICTURES)
_UNSAFE = re.compile(r"is unsafe|read safely")  # what `tensorfile` says of pickles that its unpickler refused
_UNREADABLE = re.compile(r"cannot be read here")  # what `reading` says of pictures that nothing here can open


class State(StrEnum):
    """What a file can do in a prompt of the model in use."""

    IN_USE = "in use"
    OTHER_FAMILY = "other model family"
    SHADOWED = "shadowed"  # another file answers to the same name
    DAMAGED = "damaged"
    UNSAFE = "unsafe"
    UNREADABLE = "not readable here"  # though it may be whole


@dataclass(frozen=True)
class Entry:
    """One file of the folder.

    Attributes:
        name: the word for the prompt.
        path: the file.
        modified: seconds since 1970.
        state: what it can do.
        reason: why it cannot act, as a sentence; empty if it is in use.
        embedding: what it holds; None if it could not be read.
    """

    name: str
    path: Path
    modified: float
    state: State
    reason: str = ""
    embedding: Embedding | None = None


@dataclass(frozen=True)
class _File:
    """A file as it was when it was read."""

    path: Path
    modified_ns: int
    size: int
    embedding: Embedding | None = None
    error: str = ""

    @property
    def name(self) -> str:
        return self.embedding.name if self.embedding else self.path.stem


@dataclass(frozen=True)
class Vocabulary:
    """The embeddings that act in the prompts of one model, and where to find them in a prompt."""

    embeddings: dict[str, Embedding]
    index: EmbeddingIndex


@dataclass(frozen=True)
class _View:
    """What the files are to one model."""

    entries: list[Entry]
    in_use: Vocabulary
    all_names: EmbeddingIndex  # and behind those in use the others


@dataclass(frozen=True)
class _Snapshot:
    """All files at one moment, newest first, and the views made of them."""

    files: dict[Path, _File] = field(default_factory=dict)
    views: dict[tuple[int, ClipTokenizer], _View] = field(default_factory=dict)


class EmbeddingDatabase:
    """The embeddings in some folders and below. Every thread may ask; what it gets never changes under its hands.

    Nothing is read before the first `refresh`. Files count by path, time and size, so that a change in place and in a
    sub-folder is seen; where names collide the newest file wins.

    Args:
        folders: looked at in this order; a folder may be missing.
    """

    def __init__(self, folders: Sequence[Path]):
        self.folders = tuple(folders)
        self._snapshot = _Snapshot()
        self._lock = threading.Lock()

    def refresh(self) -> bool:
        """Read what is new or changed and forget what has gone. Returns whether anything was different."""
        with self._lock:
            known = self._snapshot.files
            files = [_reread(*found, known.get(found[0])) for found in _candidates(self.folders)]
            files.sort(key=lambda file: (-file.modified_ns, file.name.casefold(), file.path))
            snapshot = {file.path: file for file in files}
            if snapshot == known:
                return False
            self._snapshot = _Snapshot(snapshot)
            return True

    def with_embedding(self, embedding: Embedding) -> "EmbeddingDatabase":
        """The same folders and one embedding more, which wins over files of its name."""
        return _WithOneMore(self, embedding)

    def all(self) -> list[Embedding]:
        """Every embedding that could be read, for whatever model, newest first; names may come more than once."""
        return [file.embedding for file in self._snapshot.files.values() if file.embedding]

    def refusal(self, name: str) -> str:
        """Why the file of this name holds no embedding that can be used; empty if there is no such file."""
        return next((file.error for file in self._snapshot.files.values() if file.error and file.name == name), "")

    def for_width(self, width: int) -> dict[str, Embedding]:
        """The embeddings whose vectors fit a model of this width, newest first."""
        found: dict[str, Embedding] = {}
        for file in self._snapshot.files.values():
            if file.embedding and file.embedding.width == width:
                found.setdefault(file.embedding.name, file.embedding)
        return found

    def vocabulary(self, width: int, tokenizer: ClipTokenizer) -> Vocabulary:
        """What acts in a prompt of a model of this width; a later `refresh` does not touch it."""
        return self._view(width, tokenizer).in_use

    def index(self, width: int, tokenizer: ClipTokenizer) -> EmbeddingIndex:
        """The names that act in a prompt of a model of this width."""
        return self.vocabulary(width, tokenizer).index

    def entries(self, width: int, tokenizer: ClipTokenizer) -> list[Entry]:
        """Every file, newest first, with what it can do for a model of this width."""
        return list(self._view(width, tokenizer).entries)

    def report(self, width: int, tokenizer: ClipTokenizer) -> str:
        """What was loaded, in the words that A1111 printed in 2022, and one line for each file that was not."""
        entries = self.entries(width, tokenizer)
        in_use = [entry.name for entry in entries if entry.state is State.IN_USE]
        lines = [f"Loaded a total of {len(in_use)} textual inversion embeddings."]
        if in_use:
            lines.append(f"Embeddings: {', '.join(in_use)}")
        lines += [f"Skipped ({entry.state}): {entry.reason}" for entry in entries if entry.reason]
        return "\n".join(_printable(line) for line in lines)

    def notices(self, prompt: str, width: int, tokenizer: ClipTokenizer) -> list[str]:
        """A sentence for each embedding that the prompt names and that cannot act."""
        view = self._view(width, tokenizer)
        reasons = {entry.name: entry.reason for entry in view.entries}
        tokens = tokenizer.encode_with_offsets(prompt)
        position, notices = 0, {}
        while position < len(tokens.ids):
            match = view.all_names.find(tokens, position)
            if match and match.name not in view.in_use.embeddings:
                notices[match.name] = f"“{match.name}” had no effect: {reasons[match.name]}"
            position += match.length if match else 1
        return list(notices.values())

    def _view(self, width: int, tokenizer: ClipTokenizer) -> _View:
        snapshot = self._snapshot
        if (width, tokenizer) not in snapshot.views:
            snapshot.views[width, tokenizer] = _view(snapshot.files.values(), width, tokenizer)
        return snapshot.views[width, tokenizer]


class _WithOneMore(EmbeddingDatabase):
    """A database and an embedding from elsewhere; it sees what the database sees."""

    def __init__(self, base: EmbeddingDatabase, embedding: Embedding):
        super().__init__(base.folders)
        self._base = base
        path = embedding.path or Path(embedding.name)
        self._more = _File(path, sys.maxsize, 0, embedding)
        self._join()

    def refresh(self) -> bool:
        changed = self._base.refresh()
        if changed:
            self._join()
        return changed

    def _join(self) -> None:
        self._snapshot = _Snapshot({self._more.path: self._more, **self._base._snapshot.files})


def _printable(line: str) -> str:
    """The line with a “?” for each sign that would break it or steer a terminal: file names may hold any."""
    return "".join(sign if sign.isprintable() else "?" for sign in line)


def _candidates(folders: Sequence[Path]) -> Iterator[tuple[Path, os.stat_result]]:
    """Every file that might be an embedding, once, symbolic links followed."""
    seen: set[tuple[int, int]] = set()
    for top in folders:
        for folder, subfolders, names in os.walk(top, followlinks=True):
            status = _status(Path(folder))
            if status is None or (status.st_dev, status.st_ino) in seen:
                subfolders.clear()  # it has gone, or a link leads back to it
                continue
            seen.add((status.st_dev, status.st_ino))
            for path in (Path(folder, name) for name in names):
                status = _status(path)
                if status and stat.S_ISREG(status.st_mode) and _may_be_embedding(path):
                    yield path, status


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:  # gone since it was listed, or a link that leads nowhere
        return None


def _may_be_embedding(path: Path) -> bool:
    if path.name.startswith(".") or (path.suffix.lower() in PICTURES and path.stem.endswith(".preview")):
        return False
    if path.suffix:
        return path.suffix.lower() in SUFFIXES
    try:
        return bool(file_format(path))  # no suffix, so only the content can tell
    except FileFormatError:
        return False


def _reread(path: Path, status: os.stat_result, known: _File | None) -> _File:
    if known and (known.modified_ns, known.size) == (status.st_mtime_ns, status.st_size):
        return known
    try:
        embedding, error = read_embedding(path), ""
    except EmbeddingError as refusal:
        embedding, error = None, str(refusal)
    return _File(path, status.st_mtime_ns, status.st_size, embedding, error)


def _view(files: Iterable[_File], width: int, tokenizer: ClipTokenizer) -> _View:
    fitting: dict[str, tuple[Path, Embedding]] = {}
    for file in files:
        if file.embedding and file.embedding.width == width:
            fitting.setdefault(file.name, (file.path, file.embedding))
    names = {name: embedding.vectors_per_token for name, (_, embedding) in fitting.items()}
    index = EmbeddingIndex(names, tokenizer)
    entries = []
    for file in files:
        if file.embedding and file.embedding.width == width:
            winner, _ = fitting[index.shadowed.get(file.name, file.name)]
            state = State.IN_USE if winner == file.path else State.SHADOWED
            reason = "" if winner == file.path else _shadowed(file.path, winner)
        elif file.embedding:
            state, reason = State.OTHER_FAMILY, _misfit(file.embedding, width)
        elif file.error:
            state, reason = _state(file.error), file.error
        else:
            continue  # a picture that carries nothing
        entries.append(Entry(file.name, file.path, file.modified_ns / 1e9, state, reason, file.embedding))
    in_use = {entry.name: entry.embedding for entry in entries if entry.embedding and entry.state is State.IN_USE}
    all_names = EmbeddingIndex(names | {entry.name: 0 for entry in entries}, tokenizer)
    return _View(entries, Vocabulary(in_use, index), all_names)


def _state(error: str) -> State:
    if _UNREADABLE.search(error):
        return State.UNREADABLE
    return State.UNSAFE if _UNSAFE.search(error) else State.DAMAGED


def _shadowed(path: Path, winner: Path) -> str:
    return (
        f"“{path.name}” and the newer “{winner.name}” are the same word in a prompt, so the newer one is "
        "used. Rename one of them."
    )


def _misfit(embedding: Embedding, width: int) -> str:
    return (
        f"“{embedding.name}” was made for {embedding.family} (vectors of {embedding.width}, the model in use has "
        f"{width}). Load a model of that kind, or train it again."
    )
