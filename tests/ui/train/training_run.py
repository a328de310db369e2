"""An App whose training runs without a model: the real queue, events, run folder and logs, one step at a time."""

import time
from pathlib import Path
from typing import Any

from modules.desks.embeddings import EmbeddingDesk
from modules.desks.training import TrainingDesk
from modules.errors import OutOfMemory, TrainingDiverged
from modules.events import (
    EmbeddingSaved,
    Ending,
    Estimated,
    HeldOut,
    Previewed,
    Request,
    SnapshotSaved,
    Status,
    Trained,
    TrainingEnded,
    TrainingStarted,
    Work,
)
from modules.images import save_png
from modules.training.run_folder import RunFolder, new_run_folder, open_run
from modules.training_params import TrainParams
from tests.ui.stand_in import StandIn
from tests.ui.train.runs import picture

GUARD = 600.0  # seconds: tabs take their time to open on a busy machine
GIGABYTE = 10**9


class WithTraining(StandIn):
    """A stand-in that trains at its pace; every tenth step draws a sample and keeps a copy.

    Attributes:
        ends_with: raised at step 3: the run fails, or diverges.
    """

    ends_with: Exception | None = None

    def __init__(self, *given: Any, **more: Any):
        super().__init__(*given, **more)
        self.embeddings = _Embeddings(self.models, lambda line: None)
        self.training = _Training(self)


class _Embeddings(EmbeddingDesk):
    """One that is there without a model."""

    def names(self) -> list[str]:
        return ["realbenny-t2"]


class _Training(TrainingDesk):
    def __init__(self, app: WithTraining):
        super().__init__(app.paths, app.jobs, app.models, app.embeddings)
        self._app = app

    def _estimate(self, params: TrainParams) -> Work:
        yield Status("measuring two trial steps")
        self._app.wait_for_a_step()
        yield Estimated(0.7, 0.7 * params.steps, 34 * GIGABYTE // 10, 8 * GIGABYTE)

    def _train(self, params: TrainParams) -> Work:
        folder = new_run_folder(self._paths.textual_inversion, params.embedding)
        about = {"ending": "", "step": 0, "steps": params.steps, "checkpoint": "demo-portraits", "started": 1e9}
        folder.describe(about)
        yield from self._steps(folder, 0, params.steps)

    def _resume(self, folder: Path, data_root: str) -> Work:
        run = open_run(folder)
        run.folder.go_on(run.step, data_root, self._paths.data)
        yield from self._steps(run.folder, run.step, run.steps)

    def _use(self, folder: Path, step: int, name: str, overwrite: bool) -> Work:
        self._app.wait_for_a_step()
        path = self._paths.embeddings / f"{name}.safetensors"
        yield EmbeddingSaved(path, f"{name} is now the snapshot of step {step}.")

    def _steps(self, folder: RunFolder, first: int, last: int) -> Work:
        request = yield TrainingStarted(folder.path, first, last, 10, 2)
        step, asked_for_sample = first, False
        try:
            while step < last and request is not Request.INTERRUPT:
                self._app.wait_for_a_step()
                step += 1
                if self._app.ends_with and step == 3:
                    raise self._app.ends_with
                loss = 0.1 + 1 / (step + 5)
                folder.curve_log.append(step, loss, 0.005, 0.4 + step / 100)
                request = yield Trained(step, last, loss, loss, 0.005, 0.4 + step / 100, 2.0, "a photo of realbenny-t2")
                while request is Request.PAUSE:
                    save_state(folder, step)
                    request = yield Status(f"paused after {step} steps")
                asked_for_sample |= request is Request.SAMPLE
                if request is Request.INTERRUPT:
                    break
                if step % 10 == 0 or asked_for_sample:
                    yield from self._keep_copy(folder, step)
                    asked_for_sample = False
        except Exception as error:
            kind = Ending.DIVERGED if isinstance(error, TrainingDiverged) else Ending.FAILED
            folder.end(kind, step)
            yield TrainingEnded(kind, step, f"{error} The vectors are kept.", None, self._paths.log_file)
            raise
        ending = Ending.FINISHED if step == last else Ending.STOPPED
        save_state(folder, step)
        folder.end(ending, step)
        path = self._paths.embeddings / f"{folder.name}.safetensors"
        how = "finished" if ending is Ending.FINISHED else "interrupted"
        yield TrainingEnded(ending, step, f"Training {how} at {step} steps. Embedding saved to {path}.", path)

    def _keep_copy(self, folder: RunFolder, step: int) -> Work:
        save_state(folder, step)
        path = folder.snapshot(step)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"%d" % step)
        yield SnapshotSaved(step, path)
        folder.held_out_log.append(step, 0.2 + abs(step - 20) / 100)
        yield HeldOut(step, 0.2 + abs(step - 20) / 100)
        save_png(picture(step), folder.sample(step), "a sample")
        yield Previewed(step, folder.sample(step), "realbenny-t2, up close\nSteps: 20")


def save_state(folder: RunFolder, step: int) -> None:
    """What `open_run` counts as a state; it holds nothing."""
    folder.states.mkdir(exist_ok=True)
    (folder.states / f"state-{step}.safetensors").write_bytes(b"")


def make_photos(folder: Path, count: int = 12) -> Path:
    """So many pictures with nothing on them."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        save_png(picture(number), folder / f"{number:05}-0-face.png", "")
    return folder


def params(app: StandIn, steps: int = 40) -> TrainParams:
    """Of a run that the stand-in accepts."""
    photos = make_photos(app.paths.data / "photos")
    return TrainParams(embedding="realbenny-t2", data_root=str(photos), steps=steps)


def failures() -> dict[str, Exception]:
    """What ends a run badly, by the words that it must say."""
    return {
        "Failed": OutOfMemory("There is too little memory: choose a smaller batch."),
        "Diverged": TrainingDiverged(3, "the loss is nan", 0.005),
    }


def settle(job, step: int) -> None:
    """Wait until a run has done so many steps, or is over."""
    deadline = time.monotonic() + GUARD
    number = 0
    while not job.is_over:
        events, next_number = job.events_since()
        if any(isinstance(event, Trained) and event.step >= step for event in events):
            return
        assert time.monotonic() < deadline, "the run does not get there"
        job.wait(max(number, next_number), 1)
        number = next_number
