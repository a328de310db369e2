"""How far work is, and stopping it: `progress`, `interrupt`, `skip`, and the same for one job by its name."""

import time
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter

from modules.api import pictures
from modules.api.answers import PendingTasks, ProgressAnswer, State, TaskProgressAnswer
from modules.api.host import Host
from modules.api.requests import ProgressRequest
from modules.events import Event, Request, Sampled, Status, Trained
from modules.jobs import Job, JobState


@dataclass(frozen=True)
class Position:
    """Where a job stands.

    Attributes:
        batch, batches: 0-based batch, and how many there are.
        step, steps: done of this batch, and how many it has.
        text: what is being done, if not sampling.
        preview: PNG bytes of the newest preview.
    """

    batch: int = 0
    batches: int = 1
    step: int = 0
    steps: int = 0
    text: str | None = None
    preview: bytes | None = None

    @property
    def progress(self) -> float:
        """0.01 … 1, as A1111 counts."""
        part = self.step / self.steps if self.steps else 0.0
        return min(1.0, 0.01 + (self.batch + part) / self.batches)

    @property
    def preview_number(self) -> int:
        """Grows with each preview."""
        return self.batch * self.steps + self.step


def position(events: list[Event]) -> Position:
    """Fold the events of a job."""
    found = Position()
    for event in events:
        match event:
            case Sampled():
                found = Position(
                    event.batch - 1, event.batches, event.step, event.steps, None, event.preview or found.preview
                )
            case Trained():
                found = Position(step=event.step, steps=event.steps)
            case Status():
                found = Position(found.batch, found.batches, found.step, found.steps, event.text, found.preview)
    return found


def add_routes(router: APIRouter, host: Host) -> None:
    jobs = host.app.jobs

    @router.get("/sdapi/v1/progress")
    def progress(skip_current_image: bool = False) -> ProgressAnswer:
        """How far the running job is; of a job of one's own, `jobs/{id}` tells more."""
        job = jobs.running()
        if job is None:
            return ProgressAnswer(progress=0.0, eta_relative=0.0, state=State())
        here = position(job.events_since()[0])
        image = None if skip_current_image or here.preview is None else pictures.encode_bytes(here.preview)
        return ProgressAnswer(
            progress=here.progress,
            eta_relative=job.seconds_left or 0.0,
            state=_state(host, job, here),
            current_image=image,
            textinfo=here.text,
            current_task=host.names.name(job),
        )

    @router.post("/sdapi/v1/interrupt")
    def interrupt() -> dict[str, Any]:
        """End the running job within one step; what can be kept is kept. Nothing runs: nothing happens."""
        if job := jobs.running():
            job.interrupt()
        return {}

    @router.post("/sdapi/v1/skip")
    def skip() -> None:
        """Leave the running batch, go on with the next one."""
        if job := jobs.running():
            job.skip()

    @router.post("/internal/progress")
    def task_progress(body: ProgressRequest) -> TaskProgressAnswer:
        """How far one job is, for programs that gave it a name."""
        job = jobs.find(host.names.job_id(body.id_task)) if body.id_task else None
        if job is None or job.is_over:
            over = job is not None
            return TaskProgressAnswer(active=False, queued=False, completed=over, textinfo="Waiting…")
        if job.state is JobState.WAITING:
            waiting = [one for one in jobs.jobs() if one.state is JobState.WAITING]
            place = waiting.index(job) + 1 if job in waiting else 1
            text = f"In queue: {place}/{len(waiting)}"
            return TaskProgressAnswer(active=False, queued=True, completed=False, textinfo=text)
        here = position(job.events_since()[0])
        seen = body.id_live_preview if body.id_live_preview is not None else -1
        new = body.live_preview is not False and here.preview is not None and here.preview_number != seen
        return TaskProgressAnswer(
            active=True,
            queued=False,
            completed=False,
            progress=here.progress,
            eta=job.seconds_left,
            live_preview=f"data:image/png;base64,{pictures.encode_bytes(here.preview)}"
            if new and here.preview
            else None,
            id_live_preview=here.preview_number if new else seen,
            textinfo=here.text,
        )

    @router.get("/internal/pending-tasks")
    def pending_tasks() -> PendingTasks:
        """The names of the running job and of those that wait."""
        names = [host.names.name(job) for job in jobs.jobs() if not job.is_over]
        return PendingTasks(size=len(names), tasks=names)


def _state(host: Host, job: Job, here: Position) -> State:
    return State(
        skipped=job.asked is Request.SKIP,
        interrupted=job.asked is Request.INTERRUPT,
        stopping_generation=False,
        job=host.names.name(job),
        job_count=here.batches,
        job_timestamp=time.strftime("%Y%m%d%H%M%S", time.localtime(job.started)),
        job_no=here.batch,
        sampling_step=here.step,
        sampling_steps=here.steps,
    )
