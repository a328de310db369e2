"""Where everything of a training run lies, and its logs. Knows no torch, so that pages can read along.

<log directory>/<date>/<embedding>/
    embeddings/<embedding>-<n>.safetensors    snapshots after n steps
    images/<embedding>-<n>.png                samples
    image_embeddings/<embedding>-<n>.png      samples that carry the embedding
    textual_inversion_loss.csv                step, epoch, epoch_step, loss, learn_rate
    held_out_loss.csv                         step, loss
    curve.csv                                 step, smoothed loss, learn_rate, vector_norm: at most 500 rows
    settings-<date and time>.json             the parameters, under A1111's names
    run.json                                  what the run is, and how it ended
    states/                                   what it is resumed from
    running.json                              the process that works at it
"""

import copy
import csv
import io
import json
import math
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from modules.errors import FileFormatError, JobBusy
from modules.events import Ending
from modules.files import storage_error, write_atomically
from modules.training.lock import holder

LOSS_COLUMNS = ("step", "epoch", "epoch_step", "loss", "learn_rate")
HELD_OUT_COLUMNS = ("step", "loss")
CURVE_COLUMNS = ("step", "smoothed_loss", "learn_rate", "vector_norm")


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run.

    Attributes:
        path: the folder.
        name: of the embedding.
    """

    path: Path
    name: str

    @property
    def loss_log(self) -> "StepLog":
        return StepLog(self.path / "textual_inversion_loss.csv", LOSS_COLUMNS)

    @property
    def held_out_log(self) -> "StepLog":
        return StepLog(self.path / "held_out_loss.csv", HELD_OUT_COLUMNS)

    @property
    def curve_log(self) -> "StepLog":
        return StepLog(self.path / "curve.csv", CURVE_COLUMNS)

    @property
    def logs(self) -> tuple["StepLog", ...]:
        """All logs, for what has to happen to each of them."""
        return self.loss_log, self.held_out_log, self.curve_log

    @property
    def states(self) -> Path:
        return self.path / "states"

    @property
    def current(self) -> Path:
        """The embedding as the next sample draws it, under its own name."""
        return self.path / "current" / f"{self.name}.safetensors"

    def snapshot(self, step: int, file_format: str = "safetensors") -> Path:
        return self.path / "embeddings" / f"{self.name}-{step}.{file_format}"

    def sample(self, step: int) -> Path:
        return self.path / "images" / f"{self.name}-{step}.png"

    def card(self, step: int) -> Path:
        return self.path / "image_embeddings" / f"{self.name}-{step}.png"

    def snapshots(self) -> dict[int, Path]:
        """All snapshots by step, in order."""
        return self._numbered(self.path / "embeddings")

    def samples(self) -> dict[int, Path]:
        """All samples by step, in order."""
        return self._numbered(self.path / "images")

    def card_is_due(self, step: int) -> bool:
        """Whether a snapshot was saved since the last sample that carries the embedding, both after `step` steps."""
        saved, carried = self.snapshots(), self._numbered(self.path / "image_embeddings")
        newest = [max((number for number in numbers if number <= step), default=-1) for numbers in (saved, carried)]
        return newest[0] > newest[1]

    def describe(self, about: Mapping[str, Any]) -> None:
        """Write `run.json`.

        Raises:
            StorageError: it cannot be written; an older one is intact.
        """
        write_atomically(self.path / "run.json", json.dumps({"name": self.name, **about}, indent=4))

    def about(self) -> dict[str, Any]:
        """What `run.json` says.

        Raises:
            FileFormatError: there is none, or it is damaged.
        """
        path = self.path / "run.json"
        try:
            stat = path.stat()
            about = copy.deepcopy(_parsed(path, stat.st_ino, stat.st_mtime_ns, stat.st_size))
        except (OSError, ValueError, RecursionError) as error:
            raise FileFormatError(f"“{self.path.name}” is no training run: its run.json cannot be read.") from error
        if not _is_about(about):
            raise FileFormatError(f"“{self.path.name}” is no training run: its run.json says something else.")
        return about

    def end(self, ending: str, step: int) -> None:
        """Note how the run ended."""
        self.describe({**self.about(), "ending": ending, "step": step})

    def go_on(self, step: int, data_root: str, data: Path) -> None:
        """Note that the run goes on, and where: it may have been carried to another machine.

        Args:
            data_root: where its photos lie.
            data: the data folder of this machine.
        """
        about = self.about()
        params = {**about.get("params", {}), "data_root": data_root}
        self.describe({**about, "ending": "", "step": step, "params": params, "data_folder": str(data)})

    def discard(self) -> None:
        """Give up resuming: the states go, snapshots, samples and logs stay."""
        self.end("discarded", int(self.about().get("step", 0)))
        shutil.rmtree(self.states, ignore_errors=True)

    def _numbered(self, folder: Path) -> dict[int, Path]:
        found = {}
        for path in folder.glob("*"):
            number = path.stem.removeprefix(f"{self.name}-")
            if number.isdecimal() and path.stem != number and not path.name.startswith("."):
                found[int(number)] = path
        return dict(sorted(found.items()))


@dataclass(frozen=True)
class Run:
    """A run as a list of runs shows it.

    Attributes:
        folder: where it lies.
        ending: one of `Ending`, “discarded”, or empty: it runs, or was killed.
        step, steps: steps done when it was last noted, and planned.
        checkpoint: name of the model that it belongs to.
        started: seconds since 1970.
    """

    folder: RunFolder
    ending: str
    step: int
    steps: int
    checkpoint: str
    started: float

    @property
    def may_go_on(self) -> bool:
        """Whether going on as before makes sense: one that diverged would diverge again, and needs another rate."""
        return self.is_unfinished and self.ending != Ending.DIVERGED

    @property
    def is_unfinished(self) -> bool:
        """Whether it can be resumed: it has not come to its end, and no process works at it."""
        states = any(self.folder.states.glob("state-*.safetensors"))
        ended = self.ending in (Ending.FINISHED, "discarded")
        return states and not ended and holder(self.folder.path) is None


def new_run_folder(root: Path, name: str) -> RunFolder:
    """A folder of its own for a run that starts today: `<root>/<date>/<name>`, or `<name>.2`, … if that is taken.

    Raises:
        StorageError: it cannot be made.
    """
    day = root / time.strftime("%Y-%m-%d")
    number = 1
    while True:
        path = day / (name if number == 1 else f"{name}.{number}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            if not day.is_dir():
                raise storage_error(path, NotADirectoryError()) from None
            number += 1
        except OSError as error:
            raise storage_error(path, error) from error
        else:
            return RunFolder(path, name)


def open_run(path: Path) -> Run:
    """What is known of the run in a folder.

    Raises:
        FileFormatError: it is no run.
    """
    about = RunFolder(path, path.name).about()
    try:
        folder = RunFolder(path, about["name"])
        step, steps, started = int(about["step"]), int(about["steps"]), float(about["started"])
        if not math.isfinite(started):  # which would make a list of runs that has no order
            raise ValueError
        step = max(step, last_state_step(folder))
        return Run(folder, str(about["ending"]), step, steps, str(about["checkpoint"]), started)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise FileFormatError(f"“{path.name}” is no training run: its run.json lacks something.") from error


def find_runs(root: Path) -> list[Run]:
    """All runs below a log directory, newest first; folders that are none are passed over."""
    found = []
    for path in root.glob("*/*/run.json"):
        try:
            found.append(open_run(path.parent))
        except FileFormatError:
            continue
    return sorted(found, key=lambda run: -run.started)


def unfinished_runs(root: Path) -> list[Run]:
    """The runs below a log directory that can be resumed, newest first."""
    return [run for run in find_runs(root) if run.is_unfinished]


def require_free(root: Path, name: str) -> None:
    """Refuse to train an embedding that another process of this machine trains: both would write its file.

    Args:
        root: the log directory of the run that is to begin or go on.
        name: of the embedding.

    Raises:
        JobBusy: naming the process and its run.
    """
    for run in find_runs(root):
        process = holder(run.folder.path) if run.folder.name.casefold() == name.casefold() else None
        if process not in (None, os.getpid()):  # of one's own the queue runs one at a time
            where = f"{run.folder.path.parent.name}/{run.folder.path.name}"
            raise JobBusy(
                f"“{name}” is being trained already, by process {process} (run {where}): stop it there, or wait until "
                "it has ended."
            )


@lru_cache(maxsize=1024)
def _parsed(path: Path, inode: int, modified_ns: int, size: int) -> Any:
    """What a JSON file holds, read once: a page that lists runs asks every second, and old ones never change.

    Every write makes a new file, so that two writes of one moment and one size differ in their `inode`.
    """
    return json.loads(path.read_bytes())


def _is_about(found: Any) -> bool:
    """Whether the content of a `run.json` is what a run says of itself.

    The file may come from elsewhere, and what the run writes is called by its name: one that leads to another folder
    is no name.
    """
    if not isinstance(found, dict) or not isinstance(name := found.get("name"), str):
        return False
    is_plain = Path(name).name == name not in ("", "..") and not {"/", "\\", "\0"} & {*name}
    lists = (found.get("photos", []), found.get("held_out", []))
    return is_plain and isinstance(found.get("params", {}), dict) and all(isinstance(list_, list) for list_ in lists)


def last_state_step(folder: RunFolder) -> int:
    """The step of the newest state by its name; 0 if there is none."""
    steps = [path.stem.removeprefix("state-") for path in folder.states.glob("state-*.safetensors")]
    return max((int(step) for step in steps if step.isdecimal()), default=0)


@dataclass(frozen=True)
class StepLog:
    """A CSV file with one row for each logged step, which can be read while it grows.

    Attributes:
        path: made with the first row.
        columns: the header; the first is the step.
    """

    path: Path
    columns: tuple[str, ...]

    def append(self, *values: object) -> None:
        """Add a row, in one write, so that a reader and a crash find whole rows.

        Raises:
            StorageError: it cannot be written.
        """
        row = _row(values)
        try:
            with self.path.open("ab") as file:
                header = b"" if file.tell() else _row(self.columns)
                file.write(header + row)
        except OSError as error:
            raise storage_error(self.path, error, len(row)) from error

    def rows(self) -> list[tuple[float, ...]]:
        """All whole rows; the first number of each is a step."""
        return [tuple(float(text) for text in texts) for texts in self._texts()]

    def keep_until(self, step: int) -> None:
        """Forget rows of later steps, and a last row that was cut short.

        Raises:
            StorageError: it cannot be written; the file is as it was.
        """
        if self.path.exists():
            kept = [_row(tuple(texts)) for texts in self._texts() if float(texts[0]) <= step]
            write_atomically(self.path, b"".join([_row(self.columns), *kept]))

    def _texts(self) -> Iterator[list[str]]:
        try:
            content = self.path.read_bytes()
        except OSError:  # not made yet
            return
        whole = content[: content.rfind(b"\n") + 1].decode("utf-8", "replace")
        for texts in csv.reader(io.StringIO(whole)):
            if len(texts) == len(self.columns) and all(_is_number(text) for text in texts):
                yield texts


def _row(values: tuple[object, ...]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(values)
    return line.getvalue().encode()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
