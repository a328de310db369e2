"""Results on the disk, one file for each method, person and seed: a bench that was killed has lost one run at most."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path

from modules.files import write_atomically


@dataclass(frozen=True)
class Point:
    """Vectors after some steps, as the judge and the program itself see them.

    Attributes:
        samples: through the UNet, forward and backward, up to here.
        identity, obedience: of each picture, see `scores.Scores`.
        held_out: loss on photos that were set aside, by the program; None if it was not measured.
        obeys, likeness: the program's own measures of obedience and of identity; None if they were not measured.
    """

    step: int
    samples: int
    identity: list[float]
    obedience: list[float]
    held_out: float | None = None
    obeys: float | None = None
    likeness: float | None = None


@dataclass(frozen=True)
class Record:
    """One run.

    Attributes:
        model: short hash of the checkpoint.
        method: see `methods`.
        person: key.
        tuning: whether the person is one that settings were chosen on.
        batch: samples a step.
        seconds: of training alone, of the processor that it had.
        points: by step; the last is the end of training.
        recommended: step that the program recommends; None if it was not asked.
    """

    model: str
    method: str
    person: str
    tuning: bool
    seed: int
    batch: int
    seconds: float
    points: list[Point] = field(default_factory=list)
    recommended: int | None = None

    @property
    def last(self) -> Point:
        return self.points[-1]


def path_of(work: Path, model: str, method: str, slug: str, seed: int) -> Path:
    """Where a result lies."""
    return work / "results" / model / f"{method}--{slug}--{seed}.json"


def write(record: Record, path: Path) -> None:
    write_atomically(path, json.dumps(dataclasses.asdict(record), indent=1))


def read(path: Path) -> Record:
    stored = json.loads(path.read_bytes())
    return Record(**{**stored, "points": [Point(**point) for point in stored["points"]]})


def read_all(work: Path, model: str) -> list[Record]:
    """Everything that is known of a model."""
    return [read(path) for path in sorted((work / "results" / model).glob("*.json"))]
