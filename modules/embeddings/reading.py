"""One file read as an embedding. Its format is decided by content.

Its suffix says one thing only: what is called a picture and is one, of a kind that carries nothing, is not damaged.
"""

import hashlib
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modules.embeddings.card import read_card
from modules.embeddings.embedding import Embedding
from modules.embeddings.layout import find_vectors
from modules.errors import EmbeddingError, FileFormatError
from modules.files import is_file_name
from modules.odd_pictures import is_jpeg_xl
from modules.tensorfile import SAFETENSORS, file_format, load_pickle, open_tensors

LARGEST_FILE = 16 << 20  # bytes; 75 vectors of SDXL in float64 take 1.2 MB
LARGEST_PICTURE = 96 << 20  # bytes; more than the pixels that `card` would decode
PICTURES = (".png", ".webp", ".avif", ".jxl")  # suffixes of pictures that can carry an embedding
_OTHER_PICTURES = re.compile(rb"\xff\xd8\xff|GIF8|BM.{4}\0{4}|II\*\0|MM\0\*|.{4}ftyp", re.DOTALL)  # JPEG … HEIC
_LONGEST_TEXT = 200


def read_embedding(path: Path) -> Embedding | None:
    """Read any format that embeddings come in.

    `.pt` of A1111 and of the original program, `.bin` concepts, `.safetensors` of every maker, SDXL pairs, and pictures
    that carry one. The name is the file's own without suffix; a picture's is the one inside, if a file can bear it.

    Returns:
        None if it is a picture that carries no embedding.

    Raises:
        EmbeddingError: damaged, unsafe, or something else than one embedding; the sentence says which.
    """
    try:
        start = _start(path)
        if _is_picture(start):
            return _read_picture(path)
        if is_jpeg_xl(start):
            raise EmbeddingError(
                f"“{path.name}” is a JPEG XL picture, which cannot be read here. If it carries an embedding, save it "
                "as a .safetensors file, or the picture as PNG without loss, in a program that reads it."
            )
        if path.suffix.lower() in PICTURES and _OTHER_PICTURES.match(start):
            return None
        read = _read_safetensors if file_format(path) == SAFETENSORS else _read_pickle
        if path.stat().st_size > LARGEST_FILE:
            raise EmbeddingError(f"“{path.name}” is larger than any embedding. Is it a model? Those go to models/.")
        return read(path)
    except EmbeddingError:
        raise
    except FileFormatError as error:
        raise EmbeddingError(str(error)) from error
    except OSError as error:
        raise EmbeddingError(f"“{path.name}” cannot be read: {error.strerror or error}.") from error


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(12)


def _is_picture(start: bytes) -> bool:
    return start.startswith(b"\x89PNG") or (start[:4], start[8:]) == (b"RIFF", b"WEBP") or start[4:] == b"ftypavif"


def _read_picture(path: Path) -> Embedding | None:
    if path.stat().st_size > LARGEST_PICTURE:
        return None
    content = read_card(path)
    if content is None:
        return None
    return _embedding(_name_inside(content.get("name")) or path.stem, content, path)


def _read_safetensors(path: Path) -> Embedding:
    file = open_tensors(path)
    return _embedding(path.stem, file.tensors(), path, file.metadata)


def _read_pickle(path: Path) -> Embedding:
    content = load_pickle(path)
    if zipfile.is_zipfile(path):  # torch itself does not look at the checksums
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:
                raise EmbeddingError(f"“{path.name}” is damaged (its checksum is wrong): copy it again.")
    return _embedding(path.stem, content, path)


def _embedding(name: str, content: object, path: Path, metadata: Mapping[str, str] | None = None) -> Embedding:
    vectors = find_vectors(content, path.name)
    origin: Mapping[str, Any] = metadata or (content if isinstance(content, Mapping) else {})
    embedding = Embedding(
        name=name,
        vectors=vectors,
        step=_count(origin.get("step")),
        checkpoint_hash=_text(origin.get("sd_checkpoint")),
        checkpoint_name=_text(origin.get("sd_checkpoint_name")),
        init_text=_text(origin.get("init_text")),
        settings_digest=_text(origin.get("settings_digest")),
        path=path,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )
    if metadata and metadata.get("vectors_sha256", embedding.vectors_digest) != embedding.vectors_digest:
        raise EmbeddingError(f"“{path.name}” is damaged (its checksum is wrong): copy it again.")
    return embedding


def _name_inside(value: object) -> str | None:
    """The name that a picture gives its embedding, if a file could bear it: what is trained on becomes one."""
    name = _text(value)
    return name if name and is_file_name(name) else None


def _text(value: object) -> str | None:
    """A file's own words, if they are words: one line of printable text of a sane length."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable() or len(value) > _LONGEST_TEXT:
        return None
    return value.strip()


def _count(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        value = int(value)
    return value if type(value) is int and 0 <= value < 10**9 else None
