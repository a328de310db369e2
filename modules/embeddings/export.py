"""One embedding as the content of a file for elsewhere, in each format that is written here."""

from collections.abc import Callable, Mapping
from pathlib import Path

from PIL import Image

from modules.embeddings.card import card_bytes
from modules.embeddings.embedding import Embedding
from modules.embeddings.writing import pt_bytes, safetensors_bytes
from modules.errors import EmbeddingError

LARGEST_SIDE = 1024  # pixels of a card's picture: a card is passed around, and has to stay below `card.MOST_PIXELS`
READABLE_SIDE = 384  # pixels: on a smaller picture the lines of the caption run into each other
SMALLEST_SIDE = 64  # pixels: anything smaller shows nothing
_PLAIN = (512, 512), (58, 62, 74)

_WRITERS: Mapping[str, Callable[[Embedding], bytes]] = {"safetensors": safetensors_bytes, "pt": pt_bytes}


def in_format(embedding: Embedding, file_format: str, picture: Image.Image | None = None) -> bytes:
    """The content of a file.

    Args:
        file_format: "safetensors", "pt" as A1111 writes it, or "png" for a card.
        picture: what a card shows; None: a plain one. A card that lies in a file already is given as it is.

    Raises:
        EmbeddingError: the file that it lies in has gone.
    """
    if file_format in _WRITERS:
        return _WRITERS[file_format](embedding)
    assert file_format == "png", file_format
    if embedding.path and embedding.path.suffix.lower() == ".png":
        return _content(embedding.path)
    return card_bytes(embedding, _fitting(picture))


def _fitting(picture: Image.Image | None) -> Image.Image:
    if picture is None or min(picture.size) < SMALLEST_SIDE:
        return Image.new("RGB", *_PLAIN)
    width, height = picture.size
    scale = min(max(1.0, READABLE_SIDE / min(width, height)), LARGEST_SIDE / max(width, height))
    return picture.resize((round(width * scale), round(height * scale)), Image.Resampling.LANCZOS)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise EmbeddingError(f"“{path.name}” cannot be read any more: {error.strerror or error}.") from error
