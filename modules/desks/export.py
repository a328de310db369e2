"""One embedding given away: as a file for other programs, or as a picture that carries it."""

from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from modules import images
from modules.errors import WebuiError
from modules.training.portraits import portraits, runs_by_name

if TYPE_CHECKING:  # brings torch
    from modules.embeddings.embedding import Embedding

FORMATS = {  # and who reads them
    "safetensors": "for A1111 since 2023, Forge, ComfyUI, diffusers",
    "pt": "for A1111 of any year",
    "png": "a picture that carries it, in its pixels too",
}


def exported(embedding: "Embedding", file_format: str, runs: Path) -> bytes:
    """The content of a file of one of `FORMATS`.

    Args:
        embedding: read from a file.
        runs: the log directory, where the sample lies that a card shows.

    Raises:
        EmbeddingError: its file has gone meanwhile.
    """
    from modules.embeddings.export import in_format

    return in_format(embedding, file_format, _picture(embedding, runs) if file_format == "png" else None)


def _picture(embedding: "Embedding", runs: Path) -> Image.Image | None:
    if embedding.path is None or embedding.path.suffix.lower() == ".png":
        return None  # the file itself is given
    for path in portraits(embedding.path, embedding.name, embedding.step, runs_by_name(runs)):
        if path == embedding.path:
            continue  # a card in another format: its margins are no picture
        try:
            return images.open_image(path)
        except WebuiError:
            continue
    return None
