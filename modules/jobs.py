"""The one queue of long work: one worker thread, one job at a time, events that any number of readers follow.

A job is a generator of events. The worker asks it for the next event, keeps the event for readers, and sends along
what a user asked meanwhile. Training takes hours: it gives way, so that short work may cut in between two of its
events. Readers hold a number and ask for what came since, so a reloaded page, a second tab, the
API and the command line all see the same. This module knows neither torch nor gradio.
"""

import gc
import logging
import secrets
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from enum import StrEnum

from modules.errors import OutOfMemory, ParameterError, QueueFull, WebuiError, is_out_of_memory
from modules.events import (
    Event,
    Failed,
    HeldOut,
    Progressed,
    Request,
    Sampled,
    StateSaved,
    Status,
    Trained,
    TrainingStarted,
    Work,
)

EVENTS_KEPT = 2000  # of one job; a txt2img run has at most 800 pictures, its steps and status are kept once
ENDED_JOBS_KEPT = 100

_NEWEST_ONLY = (Sampled, Status, Trained, Progressed, StateSaved, HeldOut)
_KEPT_ALWAYS = TrainingStarted  # else a run of days would forget where its folder is

_log = logging.getLogger(__name__)


class JobState(StrEnum):
    """Where a job stands. The last four are ends: nothing comes after them."""

    WAITING = "waiting"
    RUNNING = "running"
    FINISHED = "finished"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Job:
    """One piece of long work, as its readers see it. Made by `JobQueue.submit`.

    Attributes:
        id: unguessable text, unique across restarts of the server.
        title: what the queue shows to everybody.
        kind: what sort of work it is, so that a front end finds its own: “txt2img”, “train”; empty for others.
        owner: browser session that asked for it; empty for the program itself.
        created, started, ended: seconds since the epoch; 0.0 = not yet.
        progress: how much is done, 0 … 1.
        gives_way: waiting jobs that may cut in run between two of its events; it can be paused.
        cuts_in: it may run in between; other jobs wait until the running one is over.
        asked: what it was last asked to do, if anything.
    """

    def __init__(
        self,
        title: str,
        work: Work,
        owner: str,
        changed: threading.Condition,
        gives_way: bool = False,
        cuts_in: bool = False,
        kind: str = "",
    ):
        self.id = secrets.token_hex(8)
        self.title = title
        self.kind = kind
        self.owner = owner
        self.state = JobState.WAITING
        self.created = time.time()
        self.started = 0.0
        self.ended = 0.0
        self.progress = 0.0
        self.gives_way = gives_way
        self.cuts_in = cuts_in
        self.asked: Request | None = None
        self._paused = False
        self._away = 0.0  # seconds that it stood still for others, or paused
        self._away_since = 0.0
        self._told_seconds_left: float | None = None
        self._work: Work | None = work
        self._changed = changed
        self._events: deque[tuple[int, Event]] = deque()
        self._next_number = 0
        self._request: Request | None = None

    @property
    def is_over(self) -> bool:
        """Whether the job has come to one of its ends."""
        return self.state not in (JobState.WAITING, JobState.RUNNING)

    @property
    def is_paused(self) -> bool:
        """Whether it stands still, or will after its next event, until `resume`."""
        return self._paused

    @property
    def elapsed(self) -> float:
        """Seconds of its own work so far; of the whole work once it is over. 0.0 while waiting."""
        if not self.started:
            return 0.0
        return (self.ended or self._away_since or time.time()) - self.started - self._away

    @property
    def seconds_left(self) -> float | None:
        """What the work itself says, or an estimate from the time it took so far; None while there is neither."""
        if self.state is not JobState.RUNNING or not self.progress:
            return None
        if self._told_seconds_left is not None:
            return self._told_seconds_left
        return self.elapsed / self.progress - self.elapsed

    def events_since(self, number: int = 0) -> tuple[list[Event], int]:
        """Events from `number` on, and the number to ask with next time.

        A newer event of a kind that only tells how things stand, such as `Sampled` or `Trained`, replaces the older
        one, so whoever reads late sees the newest step only; all other events come to every reader.
        """
        with self._changed:
            return [event for n, event in self._events if n >= number], self._next_number

    def wait(self, number: int, timeout: float | None = None) -> bool:
        """Sleep until there is an event from `number` on or the job is over. False: `timeout` seconds have passed."""
        with self._changed:
            return self._changed.wait_for(lambda: self._next_number > number or self.is_over, timeout)

    def interrupt(self) -> None:
        """End the job at its next event, keeping what can be kept; a job that still waits is cancelled."""
        with self._changed:
            if self.state is JobState.WAITING:
                self._end(JobState.CANCELLED)
            self.asked = self._request = Request.INTERRUPT
            self._paused = False
            self._changed.notify_all()

    def skip(self) -> None:
        """Leave the running batch at its next event and go on with the one after it."""
        with self._changed:
            if self.state is JobState.RUNNING and self._request is None:
                self.asked = self._request = Request.SKIP

    def sample(self) -> None:
        """Let training draw a sample as soon as the step that runs is done."""
        with self._changed:
            if self.state is JobState.RUNNING and self.gives_way and self._request is None:
                self._request = Request.SAMPLE

    def pause(self) -> None:
        """Let work that gives way write down what it has, and stand still after its next event."""
        with self._changed:
            if self.state is JobState.RUNNING and self.gives_way and self._request is not Request.INTERRUPT:
                self.asked = self._request = Request.PAUSE
                self._paused = True

    def resume(self) -> None:
        """Let a paused job go on."""
        with self._changed:
            self._paused = False
            if self.asked is Request.PAUSE:
                self.asked = None
            if self._request is Request.PAUSE:
                self._request = None
            self._changed.notify_all()

    def _begin(self) -> Work | None:
        """Take the work for running it; None if the job was cancelled first."""
        with self._changed:
            if self.state is not JobState.WAITING:
                return None
            self.state, self.started = JobState.RUNNING, time.time()
            self._changed.notify_all()
            return self._work

    def _publish(self, event: Event) -> None:
        with self._changed:
            if isinstance(event, _NEWEST_ONLY):
                older = next((entry for entry in self._events if type(entry[1]) is type(event)), None)
                if older:
                    self._events.remove(older)
            if isinstance(event, (Sampled, Trained, Progressed)):
                self.progress = event.progress
            if isinstance(event, Trained):
                self._told_seconds_left = event.seconds_left
            if len(self._events) == EVENTS_KEPT:
                del self._events[1 if isinstance(self._events[0][1], _KEPT_ALWAYS) else 0]
            self._events.append((self._next_number, event))
            self._next_number += 1
            self._changed.notify_all()

    def _take_request(self) -> Request | None:
        with self._changed:
            request, self._request = self._request, None
            return request

    def _go_away(self) -> None:
        self._away_since = time.time()

    def _come_back(self) -> None:
        self._away, self._away_since = self._away + time.time() - self._away_since, 0.0

    def _end(self, state: JobState) -> None:
        with self._changed:
            self.state, self.ended, self._work = state, time.time(), None
            if state is JobState.FINISHED:
                self.progress = 1.0
            self._changed.notify_all()


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
        self._jobs: dict[str, Job] = {}  # in order of submission
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
    ) -> Job:
        """Put work at the end of the queue; the last three as in `Job`.

        Raises:
            QueueFull: too many jobs wait already, or the server is stopping. The work was not touched.
        """
        with self._changed:
            if self._stopping:
                raise QueueFull("The server is stopping: start it again to go on.")
            waiting = len(self._waiting())
            if waiting >= self._max_waiting:
                raise QueueFull(f"The queue is full: {waiting} jobs are waiting. Try again when one of them has ended.")
            job = Job(title, work, owner, self._changed, gives_way, cuts_in, kind)
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

    def _waiting(self) -> list[Job]:
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

    def _run(self, job: Job) -> None:
        work = job._begin()
        if work is None:
            return
        end, out_of_memory = JobState.FAILED, False
        try:
            end = self._drive(job, work)
        except Exception as error:  # the program's one catch-all: whatever happens, the next job gets its turn
            out_of_memory = is_out_of_memory(error)
            job._publish(_failed(error, job.title))
        finally:
            work.close()  # in this thread: its cleaning up belongs to the work
            job._end(end)
        del work
        if out_of_memory:  # only now is nothing left that holds the tensors of the failed work
            self._free_memory()

    def _drive(self, job: Job, work: Work) -> JobState:
        """Run the work to its end, handing on requests at each event."""
        end = JobState.FINISHED
        request = None
        while True:
            try:
                event = work.send(request)
            except StopIteration:
                return end
            self._on_event(event)  # before readers know: what they ask for next is there
            job._publish(event)
            if job.gives_way:
                self._let_others_in(job, paused=request is Request.PAUSE)
            request = job._take_request()
            if request is Request.INTERRUPT:
                end = JobState.INTERRUPTED

    def _let_others_in(self, job: Job, paused: bool) -> None:
        """Run one waiting job that may cut in, so that both go on; while `job` is paused, all that come."""
        job._go_away()
        while True:
            with self._changed:
                if paused:
                    self._changed.wait_for(lambda: not job.is_paused or self._next_in())
                other = self._next_in()
            if other:
                self._run(other)
            if not (paused and job.is_paused):
                break
        job._come_back()

    def _next_in(self) -> Job | None:
        return next((job for job in self._waiting() if job.cuts_in), None)


def _failed(error: Exception, title: str) -> Failed:
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
