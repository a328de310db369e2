"""Jobs by id: our own part of the interface, which A1111 does not have. Long work can be followed and cancelled."""

import math
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from modules.api import errors
from modules.api.answers import JobAnswer, JobEventsAnswer, Txt2ImgAnswer
from modules.api.host import Host
from modules.api.txt2img import Runs
from modules.events import as_data
from modules.jobs import Job


def add_routes(router: APIRouter, host: Host, runs: Runs) -> None:
    jobs = host.app.jobs

    @router.get("/sdapi/v1/jobs")
    def list_jobs() -> list[JobAnswer]:
        """The jobs that are remembered, oldest first: ended ones, the running one, waiting ones."""
        return [JobAnswer(**_told(host, job)) for job in jobs.jobs()]

    @router.get("/sdapi/v1/jobs/{id}")
    def job(id: str, since: Annotated[int, Query(ge=0, le=2**53)] = 0) -> JobEventsAnswer:
        """One job with its events from number `since` on. Of steps and the like only the newest is kept."""
        found = host.find(id)
        told = _told(host, found)  # before the events: never newer than them
        events, number = found.events_since(since)
        data = host.app.paths.data
        return JobEventsAnswer(**told, events=[_plain(as_data(event), data) for event in events], next=number)

    @router.post("/sdapi/v1/jobs/{id}/cancel")
    def cancel(id: str) -> JobAnswer:
        """Take a waiting job out of the queue, or interrupt the running one, which keeps what can be kept."""
        found = host.find(id)
        found.interrupt()
        return JobAnswer(**_told(host, found))

    @router.get("/sdapi/v1/jobs/{id}/result", response_model=Txt2ImgAnswer)
    async def result(id: str) -> Response:
        """The answer of a txt2img request, for a client that did not wait for it."""
        found = host.find(id)
        if not found.is_over:
            raise errors.refuse(409, "The job is not over yet: ask again when its state says so.")
        return await host.in_thread(lambda: runs.answer(found))


def _told(host: Host, job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "task_id": host.names.name(job),
        "title": job.title,
        "state": job.state.value,
        "created": job.created,
        "started": job.started,
        "ended": job.ended,
        "elapsed": job.elapsed,
        "progress": job.progress,
        "seconds_left": job.seconds_left,
    }


def _plain(value: Any, data: Path) -> Any:
    """What events hold as JSON has it: files by their place in the data folder, no number that is none."""
    match value:
        case dict():
            return {key: _plain(part, data) for key, part in value.items()}
        case list():
            return [_plain(part, data) for part in value]
        case float():
            return value if math.isfinite(value) else None
        case Path():
            return value.relative_to(data).as_posix() if value.is_relative_to(data) else str(value)
        case None | bool() | int() | str():
            return str(value) if isinstance(value, Enum) else value
    return str(value)
