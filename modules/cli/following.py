"""A job from the outside: its events as JSON lines for programs, its sentences for people, and Ctrl-C."""

import json
import signal
import sys
from collections.abc import Callable
from typing import Any

from modules.errors import DatasetError
from modules.events import (
    EmbeddingSaved,
    Estimated,
    Event,
    Failed,
    HealthChecked,
    Noticed,
    Request,
    TrainingEnded,
    TrainingStarted,
    as_data,
)
from modules.jobs import Job, JobState

REFUSED, INTERRUPTED = 2, 130
EXIT_CODES = {
    JobState.FINISHED: 0,
    JobState.FAILED: 1,
    JobState.INTERRUPTED: INTERRUPTED,
    JobState.CANCELLED: INTERRUPTED,
}
_REFUSALS = {DatasetError.__name__}  # of what was given, though no parameter is named
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def follow(job: Job, listen: Callable[[Event], object] = lambda event: None, more: bool = False) -> int:
    """Print the events of a job until it is over; Ctrl-C or SIGTERM interrupts it, keeping what can be kept.

    Args:
        listen: called with each event that is printed.
        more: other jobs come behind this one. An interruption that came too late for it is meant for them too.

    Returns:
        the exit code: 2 for a job that was refused because of a parameter, or because no photo can be used.
    """
    number, refused = 0, False
    before = {name: signal.signal(name, lambda *_: job.interrupt()) for name in _SIGNALS}
    try:
        while True:
            over = job.is_over  # asked first: the last events come before the end
            events, number = job.events_since(number)
            for event in events:
                tell(as_data(event))
                if sentence := _sentence(event):
                    say(sentence)
                refused |= isinstance(event, Failed) and bool(event.field or event.kind in _REFUSALS)
                listen(event)
            if over:
                code = REFUSED if refused else EXIT_CODES[job.state]
                return code or (INTERRUPTED if more and job.asked is Request.INTERRUPT else 0)
            job.wait(number, timeout=1.0)
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def tell(data: dict[str, Any]) -> None:
    """One line of JSON on standard output, in ASCII: no terminal and no half of a character ends a run."""
    print(json.dumps(data, default=str), flush=True)


def say(sentence: str) -> None:
    """A line for people on standard error."""
    print(sentence, file=sys.stderr, flush=True)


def _sentence(event: Event) -> str:
    if isinstance(event, (Failed, Noticed, HealthChecked, EmbeddingSaved)):
        return event.text
    if isinstance(event, TrainingStarted):
        aside = f", {event.held_out} more are set aside" if event.held_out else ""
        aside += f" (held-out loss {event.loss_note})" if event.loss_note else ""
        return f"Training to step {event.steps} on {event.photos} photos{aside}, in {event.folder}."
    if isinstance(event, Estimated):
        minutes = max(1, round(event.seconds / 60))
        return f"About {minutes} {'minute' if minutes == 1 else 'minutes'} without samples and saving."
    if isinstance(event, TrainingEnded) and event.log is None:  # failures are told by the job
        return event.sentence
    return str(getattr(event, "sentence", "")) if not isinstance(event, TrainingEnded) else ""
