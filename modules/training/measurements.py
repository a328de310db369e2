"""What was measured on the snapshots of a run, kept in its folder: nothing is measured twice. Knows no torch."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from modules.files import write_atomically
from modules.training.run_folder import RunFolder


@dataclass(frozen=True)
class Measurement:
    """One snapshot.

    Attributes:
        step: optimiser steps done.
        vectors: digest of its vectors: other vectors under the same name are measured anew.
        held_out: mean loss on the pictures set aside; None if the photos have gone and the log has no such step.
        held_out_each: the same of each fixed noise, always in the same order.
        obedience: how well prompts are followed, 1 = as with the plain word; see `obedience`.
        obedience_each: of each fixed noise.
        norm: mean length of the vectors, 1 = as long as those of the plain word.
        likeness: how much of the way from the plain word to the photos its drawings have come; None: the photos have
            gone. See `likeness`.
        likeness_each: of each drawing.
        photos: how many photos there were to compare with; only measurements with as many can be compared.
    """

    step: int
    vectors: str
    held_out: float | None
    held_out_each: tuple[float, ...]
    obedience: float
    obedience_each: tuple[float, ...]
    norm: float
    likeness: float | None = None
    likeness_each: tuple[float, ...] = ()
    photos: int = 0

    @property
    def followed(self) -> float:
        """Obedience as people are told it, 0 … 1: no prompt is followed better than wholly, what is beyond is noise."""
        return min(1.0, max(0.0, self.obedience))


@dataclass(frozen=True)
class Conditions:
    """What a set of measurements was made with. Values made with others cannot be compared.

    Attributes:
        checkpoint: hash or name of the model.
        word: the plain word that obedience is compared with.
        aside: names of the pictures whose loss was measured.
        is_held_out: whether those were never learned from; else they are of the training set.
        version: of the way of measuring.
    """

    checkpoint: str
    word: str
    aside: tuple[str, ...]
    is_held_out: bool
    version: int = 1


class MeasurementFile:
    """`measurements.json` of a run: written anew after each snapshot, read by pages at any time."""

    def __init__(self, folder: RunFolder):
        self.path = folder.path / "measurements.json"

    def read(self, conditions: Conditions | None = None) -> dict[int, Measurement]:
        """All measurements by step, in order; those made under other conditions are left out, if some are given.

        A file that is missing or damaged has none: everything in it can be measured again.
        """
        content = self._content()
        try:
            if conditions and _conditions(content["conditions"]) != conditions:
                return {}
            found = [_measurement(values) for values in content["snapshots"]]
        except (KeyError, TypeError, ValueError):
            return {}
        return {one.step: one for one in sorted(found, key=lambda one: one.step)}

    def conditions(self) -> Conditions | None:
        """What was measured with; None if nothing was."""
        try:
            return _conditions(self._content()["conditions"])
        except (KeyError, TypeError, ValueError):
            return None

    def write(self, conditions: Conditions, measurements: Iterable[Measurement]) -> None:
        """Replace the file.

        Raises:
            StorageError: it cannot be written; the older one is intact.
        """
        snapshots = [asdict(one) for one in sorted(measurements, key=lambda one: one.step)]
        write_atomically(self.path, json.dumps({"conditions": asdict(conditions), "snapshots": snapshots}, indent=1))

    def _content(self) -> Mapping[str, Any]:
        try:
            content = json.loads(self.path.read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        return content if isinstance(content, dict) else {}


def read_measurements(path: Path, name: str) -> dict[int, Measurement]:
    """All measurements of the run of the embedding `name` in the folder `path`, by step."""
    return MeasurementFile(RunFolder(path, name)).read()


def _conditions(values: Mapping[str, Any]) -> Conditions:
    known: dict[str, Any] = dict(values)
    known["aside"] = tuple(known["aside"])
    return Conditions(**known)


def _measurement(values: Mapping[str, Any]) -> Measurement:
    one: dict[str, Any] = dict(values)
    for name in ("held_out_each", "obedience_each", "likeness_each"):
        one[name] = tuple(float(value) for value in one.get(name, ()))
    for name in ("held_out", "likeness"):
        one[name] = None if one.get(name) is None else float(one[name])
    for name in ("obedience", "norm"):
        one[name] = float(one[name])
    for name in ("step", "photos"):
        one[name] = int(one.get(name, 0))
    return Measurement(**one)
