"""What tests of training share: the tiny model, an embedding, photos, and small parameters. No fixtures."""

import contextlib
import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from PIL import Image
from torch import Tensor

from modules.embeddings.database import EmbeddingDatabase
from modules.embeddings.embedding import Embedding
from modules.embeddings.reading import read_embedding
from modules.embeddings.writing import save_safetensors
from modules.errors import ParameterError
from modules.events import Event, Request, Trained, TrainingEnded, TrainingStarted, Work
from modules.model.checkpoint import Checkpoint
from modules.model.device import DevicePolicy
from modules.model.loader import load_model
from modules.model.model import SDModel
from modules.paths import Paths
from modules.training.lock import NAME as LOCK
from modules.training.run_folder import RunFolder
from modules.training.train import resume, train
from modules.training_params import TrainParams
from tests import tiny
from tests.prompts.prompt_vectors import REFERENCE

NAME = "realbenny-t2"
HASH = "ab" * 32


def load() -> SDModel:
    """A model that only its name ties to a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = tiny.checkpoint(Path(folder) / "tiny-sd15.safetensors", "sd1-72")
        return load_model(Checkpoint(path, path.name, HASH), DevicePolicy(torch.device("cpu")))


def load_reference() -> SDModel:
    path = REFERENCE / "models" / "tiny-sd15.safetensors"
    return load_model(Checkpoint(path, path.name, HASH), DevicePolicy(torch.device("cpu")))


def make_embedding(paths: Paths, name: str = NAME, step: int = 0) -> Path:
    """An embedding of two vectors of width 72."""
    vectors = torch.randn(2, 72, generator=torch.Generator().manual_seed(1)) * 0.02
    path = paths.embeddings / f"{name}.safetensors"
    save_safetensors(Embedding(name, vectors, step, init_text="face"), path)
    return path


@contextlib.contextmanager
def another_process(run: Path) -> Iterator[int]:
    """As if the run in this folder were at work in another process: its number. At the end that process is dead."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        note = {"process": other.pid, "created": psutil.Process(other.pid).create_time(), "machine": platform.node()}
        (run / LOCK).write_text(json.dumps(note))
        try:
            yield other.pid
        finally:
            other.kill()


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
        "rate_decay": "none",
        "width": 64,
        "height": 64,
        "steps": 4,
        "gradient_step": 1,
        "seed": 7,
        "create_image_every": 0,
        "save_embedding_every": 2,
        "save_state_every": 2,
        "held_out_every": 0,
        "preview_steps": 2,
        "preview_sampler": "Euler",
    }
    return TrainParams(**{**few, **values})  # type: ignore[arg-type]


def embedding_of(path: Path | None) -> Embedding:
    """What the file holds, which must be an embedding."""
    assert path is not None
    embedding = read_embedding(path)
    assert embedding is not None
    return embedding


def database(paths: Paths) -> EmbeddingDatabase:
    found = EmbeddingDatabase([paths.embeddings])
    found.refresh()
    return found


@dataclass
class Pulled:
    """All events of a run, the vectors before and after, its folder, and the error it raised."""

    before: Tensor
    events: list[Event] = field(default_factory=list)
    error: Exception | None = None

    def of(self, kind: type) -> list:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def losses(self) -> list[float]:
        return [event.loss for event in self.of(Trained)]

    @property
    def folder(self) -> RunFolder:
        return RunFolder(self.of(TrainingStarted)[0].folder, NAME)

    @property
    def after(self) -> Tensor:
        """The vectors of the last snapshot."""
        return embedding_of(self.of(TrainingEnded)[0].path).vectors

    @property
    def ended(self) -> TrainingEnded:
        """The last event."""
        last = self.events[-1]
        assert isinstance(last, TrainingEnded)
        return last

    @property
    def refused(self) -> str:
        """The field that the error names."""
        assert isinstance(self.error, ParameterError)
        return str(self.error.field)


Asking = Callable[[Event], Request | None]


def pull(model: SDModel, paths: Paths, params: TrainParams, **more: Any) -> Pulled:
    """Run training to its end; see `_pull`."""
    embeddings = database(paths)
    return _pull(train(model, embeddings, params, paths), embeddings, **more)


def pull_resumed(model: SDModel, paths: Paths, folder: Path, data_root: str = "", **more: Any) -> Pulled:
    embeddings = database(paths)
    return _pull(resume(model, embeddings, folder, paths, data_root), embeddings, **more)


def _pull(
    work: Work,
    embeddings: EmbeddingDatabase,
    ask: Asking = lambda event: None,
    error: type[Exception] | None = None,
    close_after: int | None = None,
) -> Pulled:
    """Ask for all events.

    Args:
        ask: what to send at an event.
        error: what the work must raise.
        close_after: close the work at the event of this step.
    """
    pulled = Pulled(embeddings.for_width(72)[NAME].vectors)
    request = None
    try:
        while True:
            event = work.send(request)
            assert torch.is_grad_enabled(), "a mode leaked out of the work"
            pulled.events.append(event)
            if isinstance(event, Trained) and event.step == close_after:
                work.close()
                return pulled
            request = ask(event)
    except StopIteration:
        assert error is None, f"no {error} was raised"
    except Exception as raised:
        if error is None or not isinstance(raised, error):
            raise
        pulled.error = raised
    return pulled
