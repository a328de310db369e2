"""The one queue of long work: one worker thread, one job at a time.

A job's work is a generator of events. The worker asks it for the next event, keeps the event for readers, and sends
along what a user asked meanwhile. Training takes hours: it gives way, so that short work may cut in between two of its
events. Whatever work does, the worker goes on with the next job. This module knows neither torch nor gradio.
"""

import gc
import logging
import secrets
import threading
import traceback
from collections.abc import Callable, Generator
from contextlib import closing

from modules.errors import OutOfMemory, ParameterError, QueueFull, WebuiError, is_out_of_memory
from modules.events import Event, Failed, Request, Work
from modules.job import Job, JobState, QueuedJob

ENDED_JOBS_KEPT = 100

_log = logging.getLogger(__name__)


class JobQueue:
    """First come, first served, by one worker thread that starts with the first job.

    Args:
        max_waiting: how many jobs may wait behind the running one.
        free_memory: called in the worker thread after a job ran out of memory, once nothing of it is left.
        on_event: called in the worker thread with every event of every job; must not raise.
    """

    def __init__(
        self,
        max_waiting: int = 16,
        free_memory: Callable[[], object] = gc.collect,
        on_event: Callable[[Event], object] = lambda event: None,
    ):
        self._max_waiting = max_waiting
        self._free_memory = free_memory
        self._on_event = on_event
        self._changed = threading.Condition(threading.RLock())
        self._jobs: dict[str, QueuedJob] = {}  # in order of submission
        self._worker: threading.Thread | None = None
        self._stopping = False

    def submit(
        self,
        title: str,
        work: Work,
        owner: str = "",
        *,
        gives_way: bool = False,
        cuts_in: bool = False,
        kind: str = "",
        after: Job | None = None,
    ) -> Job:
        """Put work at the end of the queue; the last four as in `Job`.

        Raises:
            QueueFull: too many jobs wait already, or the server is stopping. The work was not touched.
        """
        with self._changed:
            if self._stopping:
                raise QueueFull("The server is stopping: start it again to go on.")
            waiting = len(self._waiting())
            if waiting >= self._max_waiting:
                raise QueueFull(f"The queue is full: {waiting} jobs are waiting. Try again when one of them has ended.")
            job = QueuedJob(title, work, owner, self._changed, gives_way, cuts_in, kind, after)
            self._jobs[job.id] = job
            self._forget_old_jobs()
            if self._worker is None:
                self._worker = threading.Thread(target=self._run_all, name="jobs", daemon=True)
                self._worker.start()
            self._changed.notify_all()
            return job

    def jobs(self) -> list[Job]:
        """The jobs that are remembered, oldest first: ended ones, the running one, waiting ones."""
        with self._changed:
            return list(self._jobs.values())

    def running(self) -> Job | None:
        """The job at work, if any: while one gives way to another, the other."""
        return next((job for job in reversed(self.jobs()) if job.state is JobState.RUNNING), None)

    def find(self, id: str) -> Job | None:
        """The job of that id; None when there is none, or it was long ago."""
        return self._jobs.get(id)

    def cancel(self, id: str) -> Job:
        """Take a waiting job out of the queue, or interrupt the running one; a job that is over stays as it is.

        Raises:
            ParameterError: no such job.
        """
        job = self.find(id)
        if job is None:
            raise ParameterError("id", "There is no such job: it may have ended long ago.")
        job.interrupt()
        return job

    def stop(self, timeout: float = 10.0) -> bool:
        """Cancel what waits, interrupt what runs, and wait for the worker. False: it was still busy after `timeout`."""
        with self._changed:
            self._stopping = True
            for job in self._jobs.values():
                job.interrupt()
            self._changed.notify_all()
            worker = self._worker
        if worker is None:
            return True
        worker.join(timeout)
        return not worker.is_alive()

    def _waiting(self) -> list[QueuedJob]:
        return [job for job in self._jobs.values() if job.state is JobState.WAITING]

    def _forget_old_jobs(self) -> None:
        ended = [job for job in self._jobs.values() if job.is_over]
        for job in ended[: max(0, len(ended) - ENDED_JOBS_KEPT)]:
            del self._jobs[job.id]

    def _run_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or self._waiting())
                waiting = self._waiting()
            if not waiting:
                return
            self._run(waiting[0])

    def _run(self, job: QueuedJob) -> None:
        if not job.begin():
            return
        end, out_of_memory = JobState.FAILED, False
        try:
            end = self._finish(job)
        except BaseException as error:  # the program's one catch-all: whatever happens, the next job gets its turn
            out_of_memory = is_out_of_memory(error)
            job.publish(_failed(error, job.title))
        finally:
            job.end(end)
        if out_of_memory:  # only now is nothing left that holds the tensors of the failed work
            self._clear_up(job)

    def _finish(self, job: QueuedJob) -> JobState:
        """Run the work of a job and close it, in this thread: its cleaning up belongs to the work."""
        work = job.take_work()
        if not isinstance(work, Generator):
            raise TypeError(f"work has to be a generator of events, not {type(work).__name__}")
        with closing(work):
            return self._drive(job, work)

    def _clear_up(self, job: QueuedJob) -> None:
        try:
            self._free_memory()
        except Exception:  # a device that is lost says so to the next job, which tells its user
            _log.exception("After job “%s” no memory could be freed", job.title)

    def _drive(self, job: QueuedJob, work: Work) -> JobState:
        """Run the work to its end, handing on requests at each event."""
        end = JobState.FINISHED
        request = None
        while True:
            try:
                event = work.send(request)
            except StopIteration:
                return end
            if not isinstance(event, Event):
                raise TypeError(f"work has to yield events, not {type(event).__name__}")
            self._on_event(event)  # before readers know: what they ask for next is there
            job.publish(event)
            if job.gives_way:
                self._let_others_in(job, paused=request is Request.PAUSE)
            request = job.take_request()
            if request is Request.INTERRUPT:
                end = JobState.INTERRUPTED

    def _let_others_in(self, job: QueuedJob, paused: bool) -> None:
        """Run one waiting job that may cut in, so that both go on; while `job` is paused, all that come."""
        job.go_away()
        while True:
            with self._changed:
                if paused:
                    self._changed.wait_for(lambda: not job.is_paused or self._next_in())
                other = self._next_in()
            if other:
                job.stands_back = True
                self._run(other)
                job.stands_back = False
            if not (paused and job.is_paused):
                break
        job.come_back()

    def _next_in(self) -> QueuedJob | None:
        return next((job for job in self._waiting() if job.may_cut_in), None)


def _failed(error: BaseException, title: str) -> Failed:
    """The event for an error; errors that were not foreseen are logged with a traceback, which no user sees."""
    if isinstance(error, WebuiError):
        field = error.field if isinstance(error, ParameterError) else ""
        return Failed(str(error), field=field, kind=type(error).__name__)
    log_id = secrets.token_hex(4)
    # as text: a log record that held the traceback itself would hold its frames, and with them their tensors
    _log.error("Job “%s” failed, log id %s\n%s", title, log_id, "".join(traceback.format_exception(error)))
    if is_out_of_memory(error):
        return Failed(
            "Out of memory: choose a smaller size or batch size, or close other programs, and try again.",
            log_id,
            kind=OutOfMemory.__name__,
        )
    return Failed(
        f"Something went wrong here, which is a mistake of this program. The log has the details: id {log_id}.",
        log_id,
        kind="Error",
    )
