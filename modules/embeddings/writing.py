"""Embeddings written: `.safetensors` by default, `.pt` for programs of 2022. Cards are written by `card`."""

import io
import zipfile
from pathlib import Path

import safetensors.torch
import torch

from modules.embeddings.embedding import Embedding
from modules.embeddings.layout import a1111_layout, tensor_layout
from modules.files import write_atomically


def save_embedding(embedding: Embedding, path: Path) -> None:
    """Write in the format that the file's name tells: `.pt`, or safetensors.

    Raises:
        StorageError: the file cannot be written; an older one is intact.
    """
    save = save_pt if path.suffix.lower() == ".pt" else save_safetensors
    save(embedding, path)


def save_safetensors(embedding: Embedding, path: Path) -> None:
    """Write `safetensors_bytes`.

    Raises:
        StorageError: the file cannot be written; an older one is intact.
    """
    write_atomically(path, safetensors_bytes(embedding))


def save_pt(embedding: Embedding, path: Path) -> None:
    """Write `pt_bytes`.

    Raises:
        StorageError: the file cannot be written; an older one is intact.
    """
    write_atomically(path, pt_bytes(embedding))


def safetensors_bytes(embedding: Embedding) -> bytes:
    """Vectors and origin; nothing in such a file can run.

    Metadata: `name`, `step`, `sd_checkpoint`, `sd_checkpoint_name`, `init_text`, `settings_digest` where known, and
    `vectors_sha256`, by which a reader sees flipped bits.
    """
    known = {
        "name": embedding.name,
        "step": embedding.step,
        "sd_checkpoint": embedding.checkpoint_hash,
        "sd_checkpoint_name": embedding.checkpoint_name,
        "init_text": embedding.init_text,
        "settings_digest": embedding.settings_digest,
        "vectors_sha256": embedding.vectors_digest,
    }
    metadata = {"format": "pt"} | {key: str(value) for key, value in known.items() if value is not None}
    return safetensors.torch.save(tensor_layout(embedding), metadata)


def pt_bytes(embedding: Embedding) -> bytes:
    """A1111's `.pt`: an archive of nothing but `version`, `data.pkl` and `data/<n>`.

    A1111 refuses an archive with any other member, and today's `torch.save` adds four.
    """
    saved, archive = io.BytesIO(), io.BytesIO()
    torch.save(a1111_layout(embedding), saved)
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as target:
        for member in source.infolist():
            inner = member.filename.partition("/")[2]
            if inner in ("version", "data.pkl") or inner.startswith("data/"):
                target.writestr(zipfile.ZipInfo(member.filename), source.read(member))
    return archive.getvalue()
