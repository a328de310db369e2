"""What one browser is to see at this moment, worked out from the App alone: no gradio, no memory of its own.

A page asks twice a second and sends only what changed since its last look. So a reloaded page, a second tab or a
phone shows the same truth at its first look.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modules.app import App, ModelState, ModelStatus
from modules.events import Failed, GridDone, ImageDone, Noticed, Sampled, Status
from modules.jobs import Job, JobState


@dataclass(frozen=True)
class Picture:
    """One finished picture. `seed`, and the variation seed, draw it again; the overview of a whole run has none."""

    path: Path
    infotext: str
    seed: int | None = None
    incomplete: bool = False
    subseed: int = -1


@dataclass(frozen=True)
class Run:
    """One txt2img job as its owner sees it: its events, gathered."""

    id: str
    state: JobState
    elapsed: float
    seconds_left: float | None
    status: str = ""
    sampled: Sampled | None = None
    pictures: tuple[Picture, ...] = ()
    notices: tuple[str, ...] = ()
    failed: Failed | None = None

    @property
    def is_running(self) -> bool:
        return self.state is JobState.RUNNING


@dataclass(frozen=True)
class QueueEntry:
    """One job that runs or waits, as everybody sees it."""

    id: str
    title: str
    is_running: bool
    is_mine: bool
    progress: float


@dataclass(frozen=True)
class Screen:
    """All that the page shows besides the form.

    Attributes:
        model: the loaded model, or why there is none.
        queue: the running job and the waiting ones, in their order.
        run: this browser's newest run that was started; None before the first one.
        notices: sentences about the start of the program.
        waiting_checkpoint: that this browser chose, while training holds another one; empty: none.
    """

    model: ModelState
    queue: tuple[QueueEntry, ...] = ()
    run: Run | None = None
    notices: tuple[str, ...] = ()
    waiting_checkpoint: str = ""

    @property
    def is_ready(self) -> bool:
        return self.model.status is ModelStatus.READY

    @property
    def recommended(self) -> dict[str, Any]:
        """Form values that suit the model: its native size, and what its maker recommends."""
        width, height = self.model.native_size
        return {"width": width, "height": height, **self.model.recommended} if self.is_ready else {}


def look(app: App, owner: str) -> Screen:
    """What the browser session `owner` is to see now."""
    jobs = app.jobs.jobs()
    queue = tuple(
        QueueEntry(job.id, job.title, job.state is JobState.RUNNING, job.owner == owner, job.progress)
        for job in jobs
        if not job.is_over
    )
    started = [job for job in jobs if job.owner == owner and job.kind == "txt2img" and job.started]
    run = gather(started[-1]) if started else None
    return Screen(app.model_state, queue, run, tuple(app.notices), app.waiting_checkpoint(owner))


def gather(job: Job) -> Run:
    """Fold the events of a job into what is shown of it. The overview comes behind the pictures: none of them moves."""
    state, elapsed, seconds_left = job.state, job.elapsed, job.seconds_left  # before the events: never newer than them
    status, sampled, failed = "", None, None
    pictures: list[Picture] = []
    notices: list[str] = []
    for event in job.events_since()[0]:
        match event:
            case Status():
                status = event.text
            case Sampled():
                sampled, status = event, ""
            case ImageDone():
                pictures.append(Picture(event.path, event.infotext, event.seed, event.incomplete, event.subseed))
            case GridDone():
                pictures = [picture for picture in pictures if picture.seed is None] if event.alone else pictures
                pictures.append(Picture(event.path, event.infotext))
            case Noticed():
                notices.append(event.text)
            case Failed():
                failed = event
    return Run(job.id, state, elapsed, seconds_left, status, sampled, tuple(pictures), tuple(notices), failed)
