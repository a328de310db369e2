"""What tests of training share: the tiny model, an embedding, photos, and small parameters. No fixtures."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from modules.embeddings.database import EmbeddingDatabase
from modules.embeddings.embedding import Embedding
from modules.embeddings.writing import save_safetensors
from modules.model.checkpoint import Checkpoint
from modules.model.device import DevicePolicy
from modules.model.loader import load_model
from modules.model.model import SDModel
from modules.paths import Paths
from modules.training_params import TrainParams
from tests.prompts.prompt_vectors import REFERENCE

NAME = "realbenny-t2"
HASH = "ab" * 32


def load() -> SDModel:
    path = REFERENCE / "models" / "tiny-sd15.safetensors"
    return load_model(Checkpoint(path, path.name, HASH), DevicePolicy(torch.device("cpu")))


def make_embedding(paths: Paths, name: str = NAME, step: int = 0) -> Path:
    """An embedding of two vectors of width 72."""
    vectors = torch.randn(2, 72, generator=torch.Generator().manual_seed(1)) * 0.02
    path = paths.embeddings / f"{name}.safetensors"
    save_safetensors(Embedding(name, vectors, step, init_text="face"), path)
    return path


def make_photos(folder: Path, count: int, size: tuple[int, int] = (64, 64)) -> Path:
    """Pictures of coloured waves, no two alike."""
    folder.mkdir(parents=True)
    x, y = np.meshgrid(np.linspace(0, 6, size[0]), np.linspace(0, 6, size[1]))
    for number in range(count):
        waves = [np.sin(x * (number % 5 + 1) + channel) * np.cos(y + number) for channel in range(3)]
        pixels = (np.stack(waves, axis=-1) * 127 + 128).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:05}-0-wave {number}.png")
    return folder


def small(photos: Path, **values: object) -> TrainParams:
    """Parameters of a run of a few steps."""
    few = {
        "embedding": NAME,
        "data_root": str(photos),
        "learning_rate": "0.005",
        "width": 64,
        "height": 64,
        "steps": 4,
        "seed": 7,
        "create_image_every": 0,
        "save_embedding_every": 2,
        "save_state_every": 2,
        "held_out_every": 0,
        "preview_steps": 2,
        "preview_sampler": "Euler",
    }
    return TrainParams(**{**few, **values})  # type: ignore[arg-type]


def database(paths: Paths) -> EmbeddingDatabase:
    found = EmbeddingDatabase([paths.embeddings])
    found.refresh()
    return found
