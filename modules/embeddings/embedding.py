"""One embedding: a name, its vectors, and where it comes from. Knows no file format."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from modules.errors import EmbeddingError
from modules.prompts.new_word import MOST_VECTORS

CLIP_L_WIDTH, CLIP_G_WIDTH = 768, 1280  # SDXL's two text encoders; their vectors lie side by side, CLIP L first
SDXL_WIDTH = CLIP_L_WIDTH + CLIP_G_WIDTH
WIDEST = 4096  # twice SDXL: a wider table is not an embedding

FAMILIES = {768: "Stable Diffusion 1", 1024: "Stable Diffusion 2", CLIP_G_WIDTH: "OpenCLIP bigG", SDXL_WIDTH: "SDXL"}
_DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


@dataclass(frozen=True, eq=False)
class Embedding:
    """Vectors that stand for a word in the prompt. An instance always holds usable vectors.

    Args:
        name: the word that calls it in a prompt.
        vectors: [vectors_per_token, width], any float type; kept as a detached float32 copy on the CPU.
            SDXL: CLIP L and CLIP G side by side, width 768 + 1280.
        step: optimiser steps done, 0 when just created; None if the file does not say.
        checkpoint_hash, checkpoint_name: the model it was trained on: first 10 digits of its sha256, and its name.
        init_text: the words it started from.
        settings_digest: digest of the training settings.
        path, sha256: the file it was read from, and that file's digest (64 digits).

    Raises:
        EmbeddingError: no or too many vectors, wrong shape or type, NaN or infinity.
    """

    name: str
    vectors: Tensor
    step: int | None = None
    checkpoint_hash: str | None = None
    checkpoint_name: str | None = None
    init_text: str | None = None
    settings_digest: str | None = None
    path: Path | None = None
    sha256: str | None = None

    def __post_init__(self) -> None:
        _judge_shape(self.name, tuple(self.vectors.shape), self.vectors.dtype)
        vectors = self.vectors.detach().to("cpu", torch.float32, copy=True).contiguous()
        if not torch.isfinite(vectors).all():
            raise EmbeddingError(
                f"“{self.name}” holds values that are no numbers (NaN or infinity): take an earlier snapshot of it."
            )
        object.__setattr__(self, "vectors", vectors)

    @property
    def vectors_per_token(self) -> int:
        return self.vectors.shape[0]

    @property
    def width(self) -> int:
        return self.vectors.shape[1]

    @property
    def family(self) -> str:
        """The models it fits, in words."""
        return family_of(self.width)

    @property
    def short_hash(self) -> str | None:
        """First 12 digits of the file's sha256, as infotexts carry it (`TI hashes`)."""
        return self.sha256[:12] if self.sha256 else None

    @property
    def checksum(self) -> str:
        """Four hex digits of the vectors; infotexts of 2022 carry it (`Used embeddings`)."""
        remainder = 0
        for value in (self.vectors.reshape(-1) * 100).tolist():
            remainder = (remainder * 281 ^ int(value) * 997) & 0xFFFFFFFF
        return f"{remainder & 0xFFFF:04x}"

    @property
    def vectors_digest(self) -> str:
        """sha256 (64 hex digits) of the values alone: the same whatever file they stand in."""
        return hashlib.sha256(self.vectors.numpy().astype("<f4").tobytes()).hexdigest()


def family_of(width: int) -> str:
    """The models whose token vectors have this width, in words."""
    return FAMILIES.get(width, f"a model with token vectors of {width}")


def _judge_shape(name: str, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    """Refuse what cannot be an embedding, before any value of it is read.

    Raises:
        EmbeddingError: saying what was found and what is needed.
    """
    if len(shape) != 2:
        raise EmbeddingError(f"“{name}” holds a tensor of shape {list(shape)}; an embedding is [vectors, width].")
    count, width = shape
    if not 1 <= count <= MOST_VECTORS:
        raise EmbeddingError(
            f"“{name}” holds {count} vectors; a prompt can take 1 to {MOST_VECTORS} of them. Make a smaller one."
        )
    if not 1 <= width <= WIDEST:
        raise EmbeddingError(f"“{name}” holds vectors of {width} values; no Stable Diffusion model has such words.")
    if dtype not in _DTYPES:
        raise EmbeddingError(f"“{name}” holds values of type {dtype}; floating-point vectors are needed.")
