"""What long work reports, and what it may be asked.

Work is a generator of events. Whoever runs it asks for the next event and may send a `Request` with the question;
the work answers within one step. Events are small, frozen and know no front end: page, API and command line all
read the same ones.
"""

import dataclasses
import math
import re
from collections.abc import Generator
from dataclasses import dataclass
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any


class Request(Enum):
    """What the runner may send into work instead of plain `None`."""

    SKIP = "skip"  # leave this batch, go on with the next one
    INTERRUPT = "interrupt"  # finish what can be kept, then stop
    SAMPLE = "sample"  # training: draw one now
    PAUSE = "pause"  # write down what there is: the next question may come much later, or never


@dataclass(frozen=True)
class Event:
    """Base of all events."""


@dataclass(frozen=True)
class Status(Event):
    """What is being done now, in words: “loading the model”, “decoding picture 2 of 4”."""

    text: str


@dataclass(frozen=True)
class Sampled(Event):
    """One sampler step is done.

    Attributes:
        step, steps: 1-based step of this batch, and how many it has.
        batch, batches: 1-based batch, and how many there are.
        stage, stages: 1-based pass of this batch, and how many it has: a hires fix has two.
        preview: PNG bytes of the guessed pictures at latent resolution (an eighth of the size), or None. Small
            enough to travel in the event: no file is written for a picture that lives half a second.
    """

    step: int
    steps: int
    batch: int = 1
    batches: int = 1
    preview: bytes | None = None
    stage: int = 1
    stages: int = 1

    @property
    def progress(self) -> float:
        """How much of the whole run is done, 0 … 1."""
        return ((self.batch - 1) * self.stages + self.stage - 1 + self.step / self.steps) / self.batches / self.stages


@dataclass(frozen=True)
class ImageDone(Event):
    """A finished picture was saved.

    Attributes:
        path: the file; its `parameters` text is `infotext`.
        index: 0-based position in the run.
        seed: the exact seed that draws it again.
        subseed: the variation seed that goes with it; it counts if the run had a variation strength.
        incomplete: the run was interrupted; the picture is the last guess, not the end of the schedule.
        place: of a script, which may draw in another order: its 0-based position on the sheet; -1: as `index`.
    """

    path: Path
    infotext: str
    index: int
    seed: int
    incomplete: bool = False
    subseed: int = -1
    place: int = -1


@dataclass(frozen=True)
class GridDone(Event):
    """The overview of all pictures of a run was saved; `alone`: they are not to be shown beside it."""

    path: Path
    infotext: str
    alone: bool = False


@dataclass(frozen=True)
class Noticed(Event):
    """A sentence for the user that stops nothing: a tag that was cut out, an embedding that cannot act."""

    text: str


@dataclass(frozen=True)
class Progressed(Event):
    """Work that goes from file to file has done `done` of `total`; `text` names the last one."""

    done: int
    total: int
    text: str

    @property
    def progress(self) -> float:
        """How much of the whole work is done, 0 … 1."""
        return self.done / self.total


@dataclass(frozen=True)
class EmbeddingSaved(Event):
    """A file in the folder of embeddings is new or was replaced: it was created, or a snapshot was put into use."""

    path: Path
    text: str


@dataclass(frozen=True)
class TrainingStarted(Event):
    """A training run has its folder and knows its photos; the first step comes next.

    Attributes:
        folder: where everything of the run goes; `modules.training.run_folder` reads it.
        first_step, steps: optimiser steps that the embedding has behind it, and where the run will end.
        photos: how many are learned from.
        held_out: how many are set aside for the held-out loss; 0: it is measured on the training photos.
        aside_gone: how many more were set aside, and are not there any more.
        loss_note: since when it is measured on other photos than at the start, and on which; empty: it is not.
    """

    folder: Path
    first_step: int
    steps: int
    photos: int
    held_out: int
    aside_gone: int = 0
    loss_note: str = ""


@dataclass(frozen=True)
class Estimated(Event):
    """What two trial steps took, before the first real one.

    Attributes:
        seconds_per_step: one optimiser step, without previews and saving.
        seconds: the whole run at this pace.
        memory: peak of the process or of the device's allocator, in bytes.
        memory_total: how many bytes there are.
    """

    seconds_per_step: float
    seconds: float
    memory: int
    memory_total: int


@dataclass(frozen=True)
class Trained(Event):
    """One optimiser step is done.

    Attributes:
        step, steps: steps done, and where the run will end.
        loss: mean squared error of this step's batches; jumps about with their timesteps.
        smoothed_loss: its exponential mean.
        learning_rate: of this step.
        vector_norm: mean length of the vectors after the step.
        seconds_per_step: mean over the last steps, without previews, saving and waiting.
        prompt: one of those it learned from.
    """

    step: int
    steps: int
    loss: float
    smoothed_loss: float
    learning_rate: float
    vector_norm: float
    seconds_per_step: float
    prompt: str = ""

    @property
    def progress(self) -> float:
        """How much of the whole training is done, 0 … 1."""
        return self.step / self.steps

    @property
    def seconds_left(self) -> float:
        """Of steps alone, at the pace of the last ones."""
        return (self.steps - self.step) * self.seconds_per_step


@dataclass(frozen=True)
class HealthChecked(Event):
    """Whether training does anything, looked at once after its first steps.

    Attributes:
        gradient_norm: mean length of the gradient that reached the vectors.
        moved: how far the vectors went, as a share of their own length.
        healthy: both are as they should be.
        text: one sentence for the user.
    """

    step: int
    gradient_norm: float
    moved: float
    healthy: bool
    text: str


@dataclass(frozen=True)
class HeldOut(Event):
    """Loss on pictures, noises and timesteps that are the same all through the run."""

    step: int
    loss: float


@dataclass(frozen=True)
class SnapshotMeasured(Event):
    """What one snapshot of a run is worth; `modules.training.measurements` reads all of them.

    Attributes:
        held_out: mean loss on the pictures set aside; None if it cannot be measured.
        obedience: how well prompts are followed, 1 = as with the plain word.
        likeness: how much of the way to the photos its drawings have come, 1 = all; None if it cannot be measured.
    """

    step: int
    held_out: float | None
    obedience: float
    likeness: float | None = None


@dataclass(frozen=True)
class CellDrawn(Event):
    """One picture of a sheet of comparisons is drawn, see `modules.training.comparison`."""

    row: int
    column: int
    path: Path


@dataclass(frozen=True)
class SnapshotSaved(Event):
    """A copy of the embedding as it is after `step` steps."""

    step: int
    path: Path


@dataclass(frozen=True)
class StateSaved(Event):
    """Whatever happens from here on, the run can be resumed after `step` steps."""

    step: int
    path: Path


@dataclass(frozen=True)
class Previewed(Event):
    """A sample drawn with the embedding as it is after `step` steps."""

    step: int
    path: Path
    infotext: str


class Ending(StrEnum):
    """The four ways in which training ends."""

    FINISHED = "finished"
    STOPPED = "stopped"  # by the user; it can be resumed
    FAILED = "failed"
    DIVERGED = "diverged"  # NaN or infinity, again and again


@dataclass(frozen=True)
class TrainingEnded(Event):
    """The last event of a training run that has sent `TrainingStarted`, whatever its end.

    Attributes:
        step: steps done, as far as they are kept.
        sentence: what happened, and what to do.
        path: the file with the embedding as it is after `step` steps; None if nothing was trained.
        log: where the details stand, for failures; else None.
    """

    kind: Ending
    step: int
    sentence: str
    path: Path | None = None
    log: Path | None = None


@dataclass(frozen=True)
class Failed(Event):
    """The work ended with an error.

    Attributes:
        text: one sentence for the user.
        log_id: where the traceback stands in the log, for errors that are our own mistakes; else empty.
        field: the parameter to point at, or empty.
        kind: the error's class, by name: “StorageError”.
    """

    text: str
    log_id: str = ""
    field: str = ""
    kind: str = dataclasses.field(default="", compare=False)


Work = Generator[Event, Request | None, None]
"""What the job queue runs."""


def as_data(event: Event) -> dict[str, Any]:
    """`ImageDone(path=…)` as `{"event": "image_done", "path": …}`, for programs that follow work; without pictures."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(event).__name__).lower()
    fields = {field.name: getattr(event, field.name) for field in dataclasses.fields(event)}
    return {"event": name, **{key: _plain(value) for key, value in fields.items() if key != "preview"}}


def _plain(value: Any) -> Any:
    """Dataclasses, tuples and numbers inside of events as JSON has them, which knows neither NaN nor infinity."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return [_plain(part) for part in value] if isinstance(value, (list, tuple)) else value
