"""What a run is resumed from: one file for each save, with a digest, written so that no crash can leave half of it.

The two newest are kept: if the newest is damaged, the run goes on from the one before.
"""

import hashlib
import json
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from modules.errors import FileFormatError, ParameterError
from modules.files import write_atomically
from modules.model.checkpoint import Checkpoint
from modules.tensorfile import open_tensors
from modules.training.textual_inversion import OptimiserState
from modules.training_params import TrainParams, from_mapping

KEPT = 2


@dataclass(frozen=True)
class Origin:
    """What the files of a run say of where it came from, see `Embedding`."""

    checkpoint_hash: str | None = None
    checkpoint_name: str | None = None
    init_text: str | None = None

    def check(self, checkpoint: Checkpoint) -> None:
        """Refuse another model than the one that the vectors were trained for.

        Raises:
            ParameterError: naming the right one.
        """
        was, now = self.checkpoint_hash, checkpoint.short_hash
        same_name = self.checkpoint_name == checkpoint.model_name
        same = was == now if was and now else same_name
        if not same and same_name:
            raise ParameterError(
                "checkpoint",
                f"The file of the checkpoint “{self.checkpoint_name}” is another one than when this run began: its "
                f"hash was {was} and is {now}. Put the old file back, or train a snapshot on in a new run.",
            )
        if not same:
            raise ParameterError(
                "checkpoint", f"This run belongs to the checkpoint “{self.checkpoint_name}”: choose that one first."
            )


@dataclass(frozen=True, eq=False)
class TrainingState:
    """A run after `step` steps, in every respect: what follows from it is the same, bit for bit.

    Attributes:
        params: with their seeds drawn.
        step, first_step: steps done, and with how many the run began.
        optimiser: vectors and moments.
        generator: state of torch's generator, uint8.
        source: state of the generator of prompts and order.
        queue: batches left of this epoch, as indices of `photos`.
        photos, held_out: names of the files that are learned from, and set aside.
        rate_factor: what the schedule's rate is multiplied with, halved by each step back.
        steps_back: how often training went back after it had diverged.
        smoothed_loss: None before the first step.
        origin: the model, and the words that the embedding began with.
        digests: of the photos' files, by name; older states have none.
    """

    params: TrainParams
    step: int
    first_step: int
    optimiser: OptimiserState
    generator: Tensor
    source: tuple[Any, ...]
    queue: list[list[int]]
    photos: list[str]
    held_out: list[str]
    rate_factor: float = 1.0
    steps_back: int = 0
    smoothed_loss: float | None = None
    origin: Origin = Origin()
    digests: Mapping[str, str] = field(default_factory=dict)


def fresh_generators(seed: int) -> tuple[Tensor, tuple[Any, ...]]:
    """The states of both generators at the start of a run."""
    return torch.Generator().manual_seed(seed).get_state(), random.Random(seed).getstate()


def save_state(state: TrainingState, folder: Path) -> Path:
    """Write a state, then let older ones go.

    Raises:
        StorageError: it cannot be written; older ones are intact.
    """
    optimiser = state.optimiser
    tensors = {
        "vectors": optimiser.vectors,
        "mean": optimiser.mean,
        "variance": optimiser.variance,
        "generator": state.generator,
    }
    optional = {"average": optimiser.average, "lengths": optimiser.lengths}
    tensors |= {name: tensor for name, tensor in optional.items() if tensor is not None}
    numbers = {
        "params": asdict(state.params),
        "step": state.step,
        "first_step": state.first_step,
        "updates": optimiser.updates,
        "loss_scale": optimiser.loss_scale,
        "scale_age": optimiser.scale_age,
        "source": state.source,
        "queue": state.queue,
        "photos": state.photos,
        "held_out": state.held_out,
        "rate_factor": state.rate_factor,
        "steps_back": state.steps_back,
        "smoothed_loss": state.smoothed_loss,
        "origin": asdict(state.origin),
        "digests": dict(state.digests),
    }
    text = json.dumps(numbers)
    metadata = {"format": "pt", "state": text, "sha256": _digest(tensors, text)}
    path = folder / f"state-{state.step}.safetensors"
    write_atomically(path, safetensors.torch.save(tensors, metadata))
    for older in _by_step(folder)[:-KEPT]:
        older.unlink(missing_ok=True)
    return path


def load_state(folder: Path) -> tuple[TrainingState, list[str]]:
    """The newest state that is whole.

    Returns:
        the state, and a sentence for each newer one that is damaged.

    Raises:
        FileFormatError: there is none.
    """
    notices = []
    for path in reversed(_by_step(folder)):
        try:
            return read_state(path), notices
        except FileFormatError as error:
            notices.append(f"{error} The one before is used.")
    raise FileFormatError(f"“{folder.parent.name}” has no state to resume from: start a new run from a snapshot.")


def read_state(path: Path) -> TrainingState:
    """Read one file.

    Raises:
        FileFormatError: damaged, or no state.
    """
    file = open_tensors(path)
    tensors, text = file.tensors(), file.metadata.get("state", "")
    if set(tensors) - {"average", "lengths"} != {"vectors", "mean", "variance", "generator"}:
        raise FileFormatError(f"“{path.name}” is not the state of a training run.")
    if file.metadata.get("sha256") != _digest(tensors, text):
        raise FileFormatError(f"“{path.name}” is damaged: its digest is another one.")
    numbers = json.loads(text)
    version, internal, gauss = numbers["source"]
    optimiser = OptimiserState(
        tensors["vectors"].clone(),
        tensors["mean"].clone(),
        tensors["variance"].clone(),
        numbers["updates"],
        numbers["loss_scale"],
        numbers["scale_age"],
        *(tensors[name].clone() if name in tensors else None for name in ("average", "lengths")),
    )
    return TrainingState(
        params=from_mapping(numbers["params"]),
        optimiser=optimiser,
        generator=tensors["generator"].clone(),
        source=(version, tuple(internal), gauss),
        origin=Origin(**numbers["origin"]),
        digests=numbers.get("digests", {}),
        **{
            name: numbers[name]
            for name in (
                "step",
                "first_step",
                "queue",
                "photos",
                "held_out",
                "rate_factor",
                "steps_back",
                "smoothed_loss",
            )
        },
    )


def _digest(tensors: Mapping[str, Tensor], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        digest.update(name.encode() + tensors[name].contiguous().numpy().tobytes())
    return digest.hexdigest()


def _by_step(folder: Path) -> list[Path]:
    """States, oldest first."""
    found = {path.stem.removeprefix("state-"): path for path in folder.glob("state-*.safetensors")}
    return [found[step] for step in sorted((step for step in found if step.isdecimal()), key=int)]
