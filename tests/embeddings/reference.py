"""The embedding files recorded from A1111 v1.10.1, and embeddings of random vectors, for the tests beside this file."""

import json
from pathlib import Path

import torch

from modules.embeddings.embedding import Embedding
from modules.embeddings.reading import read_embedding

FOLDER = Path(__file__).parents[1] / "data" / "reference" / "embeddings"
FILES: list[dict] = json.loads((FOLDER / "manifest.json").read_text(encoding="utf-8"))["files"]


def random_embedding(name: str = "zwx", count: int = 2, width: int = 72, seed: int = 0) -> Embedding:
    """An embedding that knows where it comes from."""
    return Embedding(
        name=name,
        vectors=torch.randn(count, width, generator=torch.Generator().manual_seed(seed)),
        step=1200,
        checkpoint_hash="0123456789",
        checkpoint_name="tiny",
        init_text="happy person",
        settings_digest="abcdef",
    )


def read(path: Path) -> Embedding:
    """Read a file that holds an embedding."""
    embedding = read_embedding(path)
    assert embedding is not None, f"{path.name} was taken for an ordinary picture"
    return embedding
