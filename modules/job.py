"""One piece of long work on record: what readers see of it and may ask of it, and what its worker notes.

Readers hold a number and ask for the events that came since, so a reloaded page, a second tab, the API and the
command line all see the same. Nothing here runs anything: that is `modules.jobs`.
"""

import secrets
import threading
import time
from collections import deque
from enum import StrEnum

from modules.events import (
    Event,
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

_NEWEST_ONLY = (Sampled, Status, Trained, Progressed, StateSaved, HeldOut)
_KEPT_ALWAYS = TrainingStarted  # else a run of days would forget where its folder is


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
        after: a job that has to be over before it may cut in; None: there is none.
        stands_back: another job cuts in at this moment.
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
        after: "Job | None" = None,
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
        self.after = after
        self.stands_back = False
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
    def may_cut_in(self) -> bool:
        """Whether it may run now in between the events of one that gives way."""
        return self.cuts_in and (self.after is None or self.after.is_over)

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

    def _end(self, state: JobState) -> None:
        with self._changed:
            self.state, self.ended, self._work = state, time.time(), None
            if state is JobState.FINISHED:
                self.progress = 1.0
            self._changed.notify_all()


class QueuedJob(Job):
    """The same job, as the worker that runs it sees it: front ends get a `Job`, which cannot do this."""

    def begin(self) -> bool:
        """Tell that its turn has come. False: the job was cancelled first."""
        with self._changed:
            if self.state is not JobState.WAITING:
                return False
            self.state, self.started = JobState.RUNNING, time.time()
            self._changed.notify_all()
            return True

    def take_work(self) -> Work | None:
        """Hand over the work, once: from then on only who runs it holds its tensors."""
        work, self._work = self._work, None
        return work

    def publish(self, event: Event) -> None:
        """Keep an event for readers."""
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

    def take_request(self) -> Request | None:
        """What was asked since the last time."""
        with self._changed:
            request, self._request = self._request, None
            return request

    def go_away(self) -> None:
        """Stop its clock: it stands still, for others or because it is paused."""
        self._away_since = time.time()

    def come_back(self) -> None:
        """Let its clock go on."""
        self._away, self._away_since = self._away + time.time() - self._away_since, 0.0

    def end(self, state: JobState) -> None:
        """Note how it ended; nothing comes after."""
        self._end(state)
