"""What an embedding is: its limits, its digests, its family."""

import pytest
import torch

from modules.embeddings.embedding import Embedding
from modules.errors import EmbeddingError


@pytest.mark.parametrize(
    ("hundredfold", "checksum"),
    [([1, -2, 50], "c1c9"), ([1, 2, 3], "f510"), ([0] * 768, "0000"), ([1] * 768, "d400")],
)
def test_checksum_of_the_format(hundredfold: list[int], checksum: str):
    assert Embedding("x", torch.tensor([hundredfold]) * 1.0001 / 100).checksum == checksum  # off the edge of truncation


def test_vectors_are_detached_float32_copies():
    source = torch.ones(2, 3, dtype=torch.float16, requires_grad=True)
    embedding = Embedding("x", source)
    with torch.no_grad():
        source.zero_()
    assert embedding.vectors.dtype == torch.float32
    assert not embedding.vectors.requires_grad
    assert embedding.vectors.tolist() == [[1, 1, 1], [1, 1, 1]]


def test_numbers_it_is_known_by():
    embedding = Embedding("x", torch.zeros(3, 768), sha256="0123456789abcdef" * 4)
    assert (embedding.vectors_per_token, embedding.width, embedding.short_hash) == (3, 768, "0123456789ab")
    assert Embedding("x", torch.zeros(3, 768)).short_hash is None


def test_digest_is_that_of_the_values():
    first, same, other = (Embedding("x", torch.full((1, 4), value)) for value in (0.5, 0.5, 0.25))
    assert first.vectors_digest == same.vectors_digest != other.vectors_digest


@pytest.mark.parametrize(("width", "family"), [(768, "Diffusion 1"), (1024, "Diffusion 2"), (2048, "SDXL"), (72, "72")])
def test_family_in_words(width: int, family: str):
    assert family in Embedding("x", torch.zeros(1, width)).family


@pytest.mark.parametrize(
    ("vectors", "reason"),
    [
        (torch.zeros(0, 768), "0 vectors"),
        (torch.zeros(76, 768), "76 vectors"),
        (torch.zeros(768), "shape"),
        (torch.zeros(1, 1, 768), "shape"),
        (torch.zeros(1, 0), "0 values"),
        (torch.zeros(1, 5000), "5000 values"),
        (torch.zeros(1, 768, dtype=torch.int64), "int64"),
        (torch.zeros(1, 768, dtype=torch.bool), "bool"),
        (torch.zeros(1, 768, dtype=torch.complex64), "complex64"),
        (torch.full((1, 768), float("nan")), "NaN"),
        (torch.full((1, 768), float("inf")), "infinity"),
        (torch.full((1, 768), 1e300, dtype=torch.float64), "infinity"),  # does not fit into float32
    ],
)
def test_what_is_no_embedding_is_refused(vectors: torch.Tensor, reason: str):
    with pytest.raises(EmbeddingError, match=f"“x”.*{reason}"):
        Embedding("x", vectors)
