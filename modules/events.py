"""What long work reports, and what it may be asked.

Work is a generator of events. Whoever runs it asks for the next event and may send a `Request` with the question;
the work answers within one step. Events are small, frozen and know no front end: page, API and command line all
read the same ones.
"""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path


class Request(Enum):
    """What the runner may send into work instead of plain `None`."""

    SKIP = "skip"  # leave this batch, go on with the next one
    INTERRUPT = "interrupt"  # finish what can be kept, then stop


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
        preview: PNG bytes of the guessed pictures at latent resolution (an eighth of the size), or None. Small
            enough to travel in the event: no file is written for a picture that lives half a second.
    """

    step: int
    steps: int
    batch: int = 1
    batches: int = 1
    preview: bytes | None = None

    @property
    def progress(self) -> float:
        """How much of the whole run is done, 0 … 1."""
        return (self.batch - 1 + self.step / self.steps) / self.batches


@dataclass(frozen=True)
class ImageDone(Event):
    """A finished picture was saved.

    Attributes:
        path: the file; its `parameters` text is `infotext`.
        index: 0-based position in the run.
        seed: the exact seed that draws it again.
        incomplete: the run was interrupted; the picture is the last guess, not the end of the schedule.
    """

    path: Path
    infotext: str
    index: int
    seed: int
    incomplete: bool = False


@dataclass(frozen=True)
class GridDone(Event):
    """The overview of all pictures of a run was saved."""

    path: Path
    infotext: str


@dataclass(frozen=True)
class Noticed(Event):
    """A sentence for the user that stops nothing: a tag that was cut out, an embedding that cannot act."""

    text: str


@dataclass(frozen=True)
class Failed(Event):
    """The work ended with an error.

    Attributes:
        text: one sentence for the user.
        log_id: where the traceback stands in the log, for errors that are our own mistakes; else empty.
        field: the parameter to point at, or empty.
    """

    text: str
    log_id: str = ""
    field: str = ""
