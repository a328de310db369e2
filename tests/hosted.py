"""What tests of the App share: an installation without the shipped model, small pictures, and waiting for jobs.

No fixtures; `two_models` stands in `tests/conftest.py`.
"""

import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from modules.app import App
from modules.events import Event, ImageDone, Sampled
from modules.flags import Flags
from modules.jobs import Job
from modules.model_state import ModelStatus
from modules.params import Txt2ImgParams
from modules.paths import Paths

ON_CPU = Flags(use_cpu=True)
PATIENCE = 120.0  # seconds until a hang is called one: ten times what anything here took on a busy machine


@dataclass(frozen=True)
class Isolated(Paths):
    """An installation that does not see the shipped model."""

    @property
    def checkpoint_folders(self) -> tuple[Path, ...]:
        return (self.data / "models" / "Stable-diffusion", *self.extra_checkpoints)


def installation(data: Path, models: Path) -> Isolated:
    """A data folder with copies of these checkpoints."""
    paths = Isolated(data)
    shutil.copytree(models, paths.checkpoint_folders[0])
    return paths


def params(prompt: str = "a cat", **values: object) -> Txt2ImgParams:
    """A picture of 64 × 64 in two steps."""
    small = {"prompt": prompt, "width": 64, "height": 64, "steps": 2, "seed": 1, "sampler": "Euler"}
    return Txt2ImgParams(**{**small, **values})  # type: ignore[arg-type]


def until(job: Job, reached: Callable[[], bool]) -> None:
    """Wait for something that an event of the job brings."""
    number = 0
    while not reached():
        assert job.wait(number, PATIENCE), "nothing happened"
        number = job.events_since(number)[1]


def ended(job: Job) -> list[Event]:
    """All events of the job, once it is over."""
    until(job, lambda: job.is_over)
    return job.events_since()[0]


def until_sampled(job: Job) -> None:
    """Wait until the job is in the midst of sampling."""
    until(job, lambda: any(isinstance(event, Sampled) for event in job.events_since()[0]))


def picture(job: Job) -> ImageDone:
    """The only picture of a job, once it is over."""
    (done,) = [event for event in ended(job) if isinstance(event, ImageDone)]
    return done


def loaded(app: App) -> App:
    """The App, which was started, once its model is loaded."""
    ended(app.jobs.jobs()[0])
    assert app.model_state.status is ModelStatus.READY, app.model_state.sentence
    return app


def wait_for_hashes() -> None:
    """Return when no checkpoint is being hashed any more."""
    for thread in threading.enumerate():
        if thread.name == "hashing":
            thread.join(PATIENCE)
