"""What all routes share: the App, names that programs give to their jobs, and waiting for a job in a thread."""

import asyncio
import contextvars
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from modules.api import errors
from modules.api.errors import JobFailed
from modules.app import App
from modules.errors import JobBusy
from modules.events import Event, Failed
from modules.jobs import Job, JobState

WAITERS = 64  # threads that wait for jobs: more than jobs can be queued, and none of the web server's own
NAMES_KEPT = 256

T = TypeVar("T")


class TaskNames:
    """The names that programs gave to their jobs (`force_task_id`), the newest of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: OrderedDict[str, str] = OrderedDict()

    def give(self, name: str | None, job: Job) -> None:
        """Let a job be found by a name too."""
        if not name:
            return
        with self._lock:
            self._jobs.pop(name, None)
            self._jobs[name] = job.id
            while len(self._jobs) > NAMES_KEPT:
                self._jobs.popitem(last=False)

    def job_id(self, name: str) -> str:
        """The id that a name stands for; an id stands for itself."""
        return self._jobs.get(name, name)

    def name(self, job: Job) -> str:
        """The newest name of a job; without one, its id."""
        with self._lock:
            return next((name for name, id in reversed(self._jobs.items()) if id == job.id), job.id)


@dataclass
class Host:
    """One interface of one App.

    Attributes:
        app: what does the work.
        end_server: called with "stop" or "restart".
        owner: of all jobs that come this way; no browser can guess it.
        names: of these jobs.
    """

    app: App
    end_server: Callable[[str], object]
    owner: str = field(default_factory=lambda: f"api-{secrets.token_hex(16)}")
    names: TaskNames = field(default_factory=TaskNames)
    _waiters: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(WAITERS, "api"))

    def find(self, id: str) -> Job:
        """The job of that id, or that was given that name.

        Raises:
            HTTPException: 404, there is none.
        """
        job = self.app.jobs.find(self.names.job_id(id))
        if job is None:
            raise errors.refuse(404, "There is no such job: it may have ended long ago.")
        return job

    def require_no_training(self, what: str) -> None:
        """Refuse what would wait until a training run is over: hours, without a word.

        Args:
            what: is asked for, as “to do something”.

        Raises:
            JobBusy: one is under way, or waits.
        """
        if run := self.app.training.under_way():
            raise JobBusy(f"“{run.title}” needs the model that is in use: stop that run {what}, or wait for its end.")

    def place(self, path: Path) -> str:
        """A file as clients are told of it: by its place in the data folder."""
        data = self.app.paths.data
        return path.relative_to(data).as_posix() if path.is_relative_to(data) else path.name

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Do something that takes long, or waits, without holding up other requests."""
        context = contextvars.copy_context()  # who asks, see `guard`
        return await asyncio.get_running_loop().run_in_executor(self._waiters, lambda: context.run(work))

    async def end_of(self, job: Job) -> list[Event]:
        """Wait until a job is over. Its client may go meanwhile: the job goes on.

        Returns:
            its events.

        Raises:
            JobFailed: with its last sentence.
            HTTPException: 409, somebody took it out of the queue.
        """
        return await self.in_thread(lambda: _end_of(job))


def result_of(job: Job) -> list[Event]:
    """The events of a job that is over.

    Raises:
        JobFailed, HTTPException: as `Host.end_of`.
    """
    events, _ = job.events_since()
    failed = next((event for event in reversed(events) if isinstance(event, Failed)), None)
    if job.state is JobState.FAILED:
        raise JobFailed(failed or Failed("The job failed.", kind="Error"))
    if job.state is JobState.CANCELLED:
        raise errors.refuse(409, "The job was taken out of the queue before it began.")
    return events


def _end_of(job: Job) -> list[Event]:
    number = 0
    while not job.is_over:
        job.wait(number, timeout=60.0)
        _, number = job.events_since(number)
    return result_of(job)
