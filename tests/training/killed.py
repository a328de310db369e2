"""A process that starts training and is killed: by signal at a random moment, or at a chosen place inside a save.

`python -m tests.training.killed FOLDER` loads the model once and forks a child for each life. It prints one JSON line
for each: the step it was resumed from, the last one that it reached, the last that was acknowledged as saved, the one
that is found after its death, and whether it came to its end.
"""

import json
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from unittest import mock

import torch

from modules import files
from modules.embeddings.reading import read_embedding
from modules.events import StateSaved, Trained, TrainingEnded, TrainingStarted
from modules.paths import Paths
from modules.training.run_folder import unfinished_runs
from modules.training.state import read_state
from modules.training.train import resume, train
from tests.training.tiny_run import database, load, make_embedding, make_photos, small

STEPS, SAVE_EVERY = 60, 3
SIGNALS = 20
MOST_LINES = 6  # of a life before its signal: no life gets far, so that the run is not over before the last of them
PLACES = ("opened", "half written", "before fsync", "before rename", "before the folder's fsync")


@dataclass(frozen=True)
class Moment:
    """When a life is ended: so many of its lines were read, and then so many seconds went by."""

    lines: int
    seconds: float


def main(root: Path) -> None:
    torch.set_num_threads(1)  # forked children must not wait for threads that they do not have
    model = load()
    photos = make_photos(root / "photos", 4)

    def lives(name: str, kills: Iterator[Moment | str]) -> None:
        """Train to the end in as many lives as it takes; `kills` says how each of them is ended."""
        paths = Paths(data=root / name)
        make_embedding(paths)
        for kill in kills:
            told = _live(model, paths, photos, kill) | {"found": _found(paths)}
            print(json.dumps({"name": name, **told}), flush=True)
            if told["ended"]:
                return

    source = random.Random(2)
    began = time.monotonic()
    lives("whole", iter([""]))
    pace = (time.monotonic() - began) / STEPS
    moments = [Moment(source.randrange(MOST_LINES + 1), pace * source.random()) for _ in range(SIGNALS)]
    lives("signals", iter([*moments, ""]))
    lives("saves", iter([*PLACES, ""]))


def _found(paths: Paths) -> int | None:
    """The newest step that can be resumed from. Every file with a final name has to be whole.

    Raises:
        FileFormatError: one is not.
    """
    states = [read_state(path) for path in paths.textual_inversion.glob("*/*/states/state-*.safetensors")]
    for path in paths.textual_inversion.glob("*/*/embeddings/*.safetensors"):
        assert read_embedding(path)
    return max((state.step for state in states), default=None)


def _live(model: object, paths: Paths, photos: Path, kill: Moment | str) -> dict[str, object]:
    """One life: a child that trains, or goes on with the run that is there, and is killed."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        with os.fdopen(writer, "w") as told:
            try:
                _train(model, paths, photos, kill if isinstance(kill, str) else "", told)
            finally:
                told.flush()
                os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as told:
        lines = []
        if isinstance(kill, Moment):
            lines = [told.readline() for _ in range(kill.lines)]
            time.sleep(kill.seconds)  # the moment is the test: it may be anywhere
            os.kill(pid, signal.SIGKILL)
        lines += told
    os.waitpid(pid, 0)
    events = [json.loads(line) for line in lines if line.endswith("\n")]
    return {
        "from": events[0]["from"] if events else None,
        "reached": max((event["step"] for event in events if "step" in event), default=None),
        "saved": max((event["saved"] for event in events if "saved" in event), default=None),
        "ended": any("ended" in event for event in events),
    }


def _train(model, paths: Paths, photos: Path, place: str, told) -> None:
    def say(**event: object) -> None:
        told.write(json.dumps(event) + "\n")
        told.flush()

    runs = unfinished_runs(paths.textual_inversion)
    embeddings = database(paths)
    if runs:
        work = resume(model, embeddings, runs[0].folder.path, paths)
    else:
        params = small(photos, steps=STEPS, save_state_every=SAVE_EVERY, save_embedding_every=6, held_out_every=8)
        work = train(model, embeddings, params, paths)
    saves = 0
    for event in work:
        if isinstance(event, TrainingStarted):
            say(**{"from": event.first_step})
        if isinstance(event, Trained):
            say(step=event.step)
        if isinstance(event, StateSaved):
            say(saved=event.step)
            saves += 1
            if saves == 2 and place:  # the next file that is written, whichever it is
                _die_at(place)
        if isinstance(event, TrainingEnded):
            say(ended=str(event.kind))


def _die_at(place: str) -> None:
    """Kill this process inside the next durable write, at the named place."""

    def die(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def open_and_die(path: Path, mode: str) -> IO[Any]:
        file = open(path, mode)  # noqa: SIM115 -- it is never closed: that is the point
        if place == "half written":
            file.write(b"\0" * 100)
            file.flush()
        die()
        return file

    if place in PLACES[:2]:
        mock.patch.object(files, "open", open_and_die, create=True).start()
    elif place == PLACES[2]:
        mock.patch.object(os, "fsync", die).start()
    elif place == PLACES[3]:
        mock.patch.object(os, "replace", die).start()
    else:
        mock.patch.object(files, "_sync_folder", die).start()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
