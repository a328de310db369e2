"""What every browser is to see of training at this moment, worked out from the App and the run's folder: no gradio.

A run belongs to the server. Whoever looks, from a reloaded page, a second tab or a phone, sees the same.
"""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from modules.app import App
from modules.errors import FileFormatError
from modules.events import (
    Ending,
    Estimated,
    Event,
    Failed,
    HealthChecked,
    HeldOut,
    Noticed,
    Previewed,
    Request,
    SnapshotSaved,
    Status,
    Trained,
    TrainingEnded,
    TrainingStarted,
)
from modules.jobs import Job, JobState
from modules.training.recommend import StopAdvice, advise_stop
from modules.training.run_folder import Run, RunFolder
from modules.training.whereabouts import longest, loss_changes, stretches

MOST_POINTS = 500  # of a curve: as many as a chart can show
MOST_SAMPLES = 60  # of a strip

E = TypeVar("E", bound=Event)


@dataclass(frozen=True)
class TrainingScreen:
    """One run, from the click to its end.

    Attributes:
        id, title: of the job.
        state: of the job.
        stands_back: another job cuts in at this moment.
        is_paused: it stands still, or will after this step, until somebody lets it go on.
        is_stopping: it was asked to end, and will after this step.
        name: of the embedding.
        status: what is done between two steps, in words.
        held_out, curve: rows of the run's logs, see `RunFolder`.
        loss_changes: steps after which the held-out loss was measured on other photos.
        samples: (step, file), in order.
        log: sentences, oldest first.
        advice: that the run may be ended.
    """

    id: str
    title: str
    state: JobState
    stands_back: bool
    is_paused: bool
    is_stopping: bool
    elapsed: float
    seconds_left: float | None
    name: str = ""
    status: str = ""
    started: TrainingStarted | None = None
    estimated: Estimated | None = None
    trained: Trained | None = None
    health: HealthChecked | None = None
    ended: TrainingEnded | None = None
    failed: Failed | None = None
    last_snapshot: Path | None = None
    last_sample: Previewed | None = None
    held_out: tuple[tuple[float, ...], ...] = ()
    curve: tuple[tuple[float, ...], ...] = ()
    loss_changes: tuple[int, ...] = ()
    samples: tuple[tuple[int, Path], ...] = ()
    log: tuple[str, ...] = ()
    advice: StopAdvice | None = None

    @property
    def is_over(self) -> bool:
        return self.state not in (JobState.WAITING, JobState.RUNNING)

    @property
    def folder(self) -> Path | None:
        return self.started.folder if self.started else None

    @property
    def has_begun(self) -> bool:
        """Whether a step has been done: only then is there something to keep still, or to draw."""
        return self.trained is not None

    @property
    def best(self) -> tuple[int, float] | None:
        """The step with the lowest held-out loss so far, and that loss."""
        trained = [(int(row[0]), row[1]) for row in longest(self.held_out, self.loss_changes)]
        return min(trained, key=lambda row: row[1]) if trained else None


def newest_training(app: App) -> Job | None:
    """The run that is under way or waits, or else the one that ended last since the server was started."""
    runs = [job for job in app.jobs.jobs() if job.kind == "train" and (job.started or not job.is_over)]
    return runs[-1] if runs else None


def trained_name(job: Job) -> str:
    """The embedding that a run is about."""
    return job.title.removeprefix("Training ")


def look(job: Job) -> TrainingScreen:
    """Fold the events of a run, and what its folder holds, into what is shown of it."""
    state, elapsed, seconds_left = job.state, job.elapsed, job.seconds_left  # before the events: never newer than them
    is_paused, is_stopping = job.is_paused, job.asked is Request.INTERRUPT
    events = job.events_since()[0]
    newest = {type(event): event for event in events}
    started = newest.get(TrainingStarted)
    trained, status = newest.get(Trained), newest.get(Status)
    held_out: list[tuple[float, ...]] = []
    curve: list[tuple[float, ...]] = []
    changes: list[int] = []
    samples: list[tuple[int, Path]] = []
    if isinstance(started, TrainingStarted):
        folder = RunFolder(started.folder, trained_name(job))
        held_out, curve = folder.held_out_log.rows(), folder.curve_log.rows()
        samples = list(folder.samples().items())
        with contextlib.suppress(FileFormatError):  # somebody has deleted the folder
            changes = loss_changes(folder)
    snapshot = newest.get(SnapshotSaved)
    advice = None if job.is_over else advise_stop(stretches(held_out, changes)[-1])
    return TrainingScreen(
        id=job.id,
        title=job.title,
        state=state,
        stands_back=job.stands_back,
        is_paused=is_paused and not job.is_over,
        is_stopping=is_stopping and not job.is_over,
        elapsed=elapsed,
        seconds_left=seconds_left,
        name=trained_name(job),
        status=status.text if isinstance(status, Status) and _is_later(events, status, trained) else "",
        started=_of(started, TrainingStarted),
        estimated=_of(newest.get(Estimated), Estimated),
        trained=_of(trained, Trained),
        health=_of(newest.get(HealthChecked), HealthChecked),
        ended=_of(newest.get(TrainingEnded), TrainingEnded),
        failed=_of(newest.get(Failed), Failed),
        last_snapshot=snapshot.path if isinstance(snapshot, SnapshotSaved) else None,
        last_sample=_of(newest.get(Previewed), Previewed),
        held_out=tuple(thinned(held_out, MOST_POINTS)),
        curve=tuple(thinned(curve, MOST_POINTS)),
        samples=tuple(thinned(samples, MOST_SAMPLES)),
        log=tuple(log_lines(events)),
        advice=advice,
        loss_changes=tuple(changes),
    )


def loss_name(started: TrainingStarted | None) -> str:
    """What the loss on fixed noises is called: held out, if photos were set aside for it."""
    is_held_out = started is None or started.held_out or started.aside_gone
    return "held-out loss" if is_held_out else "loss on fixed noises"


def how_it_ended(screen: TrainingScreen) -> str:
    """“finished”, “stopped”, “failed”, “diverged”: one of `Ending`; “cancelled” if it never began."""
    if screen.ended:
        return screen.ended.kind
    if screen.failed:
        return Ending.FAILED
    return "cancelled"


def resumable(app: App) -> list[Run]:
    """The runs that the banner offers: newest first, but for the one whose end step ③ shows, and what is being kept."""
    last = newest_training(app)
    shown = look(last).folder if last else None
    kept = {job.title for job in app.jobs.jobs() if not job.is_over}
    return [
        run
        for run in app.training.unfinished()
        if run.folder.path != shown and f"Keeping {run.folder.name}" not in kept
    ]


def thinned(rows: list[Any], most: int) -> list[Any]:
    """At most so many rows, evenly chosen, the first and the last among them."""
    if len(rows) <= most:
        return rows
    return [rows[round(place * (len(rows) - 1) / (most - 1))] for place in range(most)]


def _of(event: Event | None, kind: type[E]) -> E | None:
    return event if isinstance(event, kind) else None


def _is_later(events: list[Event], first: Event, second: Event | None) -> bool:
    return second is None or events.index(first) > events.index(second)


def log_lines(events: Iterable[Event]) -> Iterable[str]:
    """The events that somebody may want to read about, as sentences."""
    for event in events:
        match event:
            case TrainingStarted():
                aside = (
                    f"{event.held_out} photos are set aside for the held-out loss"
                    if event.held_out
                    else "with so few photos none is set aside: the held-out loss is measured on the training photos"
                )
                if event.loss_note:
                    aside = f"the {loss_name(event)} is measured {event.loss_note}"
                yield f"Learning from {event.photos} photos, steps {event.first_step} to {event.steps}; {aside}."
            case Estimated():
                yield f"Two trial steps: {event.seconds_per_step:.2f} s for a step."
            case Noticed() | HealthChecked():
                yield event.text
            case SnapshotSaved():
                yield f"Step {event.step}: saved {event.path.name}."
            case Previewed():
                yield f"Step {event.step}: sample {event.path.name}."
            case HeldOut():
                yield f"Step {event.step}: held-out loss {event.loss:.4f}."
            case TrainingEnded():
                yield event.sentence
