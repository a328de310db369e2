import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from modules import job as record
from modules import jobs
from modules.errors import JobBusy, OutOfMemory, ParameterError, StorageError
from modules.events import Event, Failed, Noticed, Request, Sampled, Status, Trained, TrainingStarted, Work
from modules.jobs import Job, JobQueue, JobState

PATIENCE = 30.0  # seconds until a hang is called one; each wait takes milliseconds


@pytest.fixture
def queue():
    queue = JobQueue()
    yield queue
    assert queue.stop(PATIENCE)


def says(*texts: str) -> Work:
    for text in texts:
        yield Noticed(text)


def fails(error: BaseException) -> Work:
    yield Noticed("before")
    raise error


class Held:
    """Work that stands still between two events until the test lets it go on."""

    def __init__(self):
        self.reached = threading.Event()
        self.go = threading.Event()
        self.requests: list[Request | None] = []
        self.closed_in: str | None = None

    def work(self, events: int = 1) -> Work:
        try:
            for number in range(events):
                self.reached.set()
                assert self.go.wait(PATIENCE)
                request = yield Noticed(f"event {number}")
                self.requests.append(request)
                if request is Request.INTERRUPT:
                    yield Noticed("what could be kept")
                    return
        finally:
            self.closed_in = threading.current_thread().name


@pytest.fixture
def held():
    held = Held()
    yield held
    held.go.set()


def ended(job: Job) -> list[Event]:
    """All events of the job, once it is over."""
    number = 0
    while not job.is_over:
        assert job.wait(number, PATIENCE)
        number = job.events_since(number)[1]
    return job.events_since()[0]


def texts(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Noticed)]


def test_work_runs_to_its_end_and_every_reader_sees_all(queue):
    job = queue.submit("three", says("a", "b", "c"), owner="me")
    assert texts(ended(job)) == ["a", "b", "c"]
    events, following = job.events_since(1)
    assert (texts(events), following) == (["b", "c"], 3)
    assert job.events_since(following) == ([], 3)
    assert (job.state, job.progress, job.owner, job.title) == (JobState.FINISHED, 1.0, "me", "three")
    assert job.created <= job.started <= job.ended
    assert job.elapsed == job.ended - job.started


def test_jobs_run_one_after_the_other_in_one_thread(queue):
    seen: list[tuple[str, str]] = []

    def work(name: str) -> Work:
        seen.append((name, threading.current_thread().name))
        yield Noticed(name)
        seen.append((name, threading.current_thread().name))

    submitted = [queue.submit(name, work(name)) for name in "abc"]
    for job in submitted:
        ended(job)
    assert [name for name, _ in seen] == list("aabbcc")
    assert {thread for _, thread in seen} == {"jobs"}
    assert queue.jobs() == submitted


def test_no_thread_starts_before_the_first_job():
    before = threading.active_count()
    assert JobQueue().stop()
    assert threading.active_count() == before


def test_interrupt_reaches_the_work_at_its_next_event(queue, held):
    job = queue.submit("held", held.work(5))
    assert held.reached.wait(PATIENCE)
    job.interrupt()
    held.go.set()
    assert texts(ended(job)) == ["event 0", "what could be kept"]
    assert held.requests == [Request.INTERRUPT]
    assert job.state is JobState.INTERRUPTED
    assert held.closed_in == "jobs"


def test_skip_is_sent_once_and_the_work_goes_on(queue, held):
    job = queue.submit("held", held.work(3))
    assert held.reached.wait(PATIENCE)
    job.skip()
    held.go.set()
    ended(job)
    assert held.requests == [Request.SKIP, None, None]
    assert job.state is JobState.FINISHED


def test_interrupt_outranks_skip(queue, held):
    job = queue.submit("held", held.work(3))
    assert held.reached.wait(PATIENCE)
    job.skip()
    job.interrupt()
    job.skip()
    held.go.set()
    ended(job)
    assert held.requests == [Request.INTERRUPT]


def test_a_waiting_job_is_cancelled_and_never_begins(queue, held):
    begun = []

    def work() -> Work:
        begun.append(True)
        yield Noticed("never")

    running = queue.submit("held", held.work())
    waiting = queue.submit("waits", work())
    assert held.reached.wait(PATIENCE)
    assert queue.running() is running
    assert queue.cancel(waiting.id) is waiting
    assert (waiting.state, waiting.is_over, waiting.elapsed) == (JobState.CANCELLED, True, 0.0)
    held.go.set()
    ended(running)
    assert texts(ended(queue.submit("next", says("a")))) == ["a"]
    assert not begun


def test_cancel_of_an_unknown_job_is_told(queue):
    with pytest.raises(ParameterError, match="no such job"):
        queue.cancel("nobody")


def test_a_full_queue_refuses_and_works_again_later(held):
    queue = JobQueue(max_waiting=2)
    running = queue.submit("held", held.work())
    assert held.reached.wait(PATIENCE)
    waiting = [queue.submit(f"{n}", says("a")) for n in range(2)]
    with pytest.raises(JobBusy, match="2 jobs are waiting"):
        queue.submit("too many", says("b"))
    held.go.set()
    for job in (running, *waiting):
        ended(job)
    assert texts(ended(queue.submit("later", says("c")))) == ["c"]
    assert queue.stop(PATIENCE)


@pytest.mark.parametrize(
    ("error", "field"),
    [(StorageError("Disk full."), ""), (ParameterError("steps", "Too many steps."), "steps")],
)
def test_errors_with_a_sentence_reach_the_reader(queue, error, field):
    job = queue.submit("fails", fails(error))
    assert ended(job)[-1] == Failed(str(error), field=field)
    assert job.state is JobState.FAILED


def test_other_errors_are_logged_and_the_reader_sees_an_id_only(queue, caplog):
    job = queue.submit("fails", fails(RuntimeError("secret at /home/me/file.py")))
    failed = ended(job)[-1]
    assert isinstance(failed, Failed)
    assert failed.log_id
    assert failed.log_id in failed.text
    assert "secret" not in failed.text
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert failed.log_id in record.getMessage()
    assert "secret at /home/me/file.py" in record.getMessage()
    assert "test_jobs.py" in record.getMessage()  # the traceback leads to the work


def yields_a_text() -> Work:
    yield "no event"  # pyright: ignore[reportReturnType] -- the mistake that is meant


def holds_on() -> Work:
    """Work that does not let itself be closed."""
    try:
        yield Noticed("before")
        yield Noticed("told to nobody")
    finally:
        raise LookupError("while cleaning up")


def refuses_to_end() -> Work:
    with suppress(GeneratorExit):
        yield Noticed("again")
    yield Noticed("and again")


NO_WORK = {
    "list": lambda: [Noticed("a")],
    "nothing": lambda: None,
    "result": lambda: "what a plain function gave back",
    "function": lambda: says,
    "iterator": lambda: iter([Noticed("a")]),
    "no event": yields_a_text,
    "system exit": lambda: fails(SystemExit(1)),
    "keyboard interrupt": lambda: fails(KeyboardInterrupt()),
    "generator exit": lambda: fails(GeneratorExit()),
}


def assert_told_and_next_runs(queue: JobQueue, job: Job, caplog: pytest.LogCaptureFixture, cause: str) -> None:
    failed = ended(job)[-1]
    assert job.state is JobState.FAILED
    assert isinstance(failed, Failed)
    assert failed.text.startswith("Something went wrong here")
    assert failed.log_id
    assert failed.log_id in failed.text
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert failed.log_id in record.getMessage()
    assert cause in record.getMessage()
    assert texts(ended(queue.submit("next", says("a")))) == ["a"]


@pytest.mark.parametrize("kind", NO_WORK)
def test_what_is_no_work_fails_and_the_next_job_runs(queue, caplog, kind):
    job = queue.submit("odd", NO_WORK[kind]())
    causes = {"system exit": "SystemExit", "keyboard interrupt": "KeyboardInterrupt", "generator exit": "GeneratorExit"}
    assert_told_and_next_runs(queue, job, caplog, causes.get(kind, "TypeError"))


@pytest.mark.parametrize(
    ("work", "cause"), [(holds_on, "while cleaning up"), (refuses_to_end, "generator ignored GeneratorExit")]
)
def test_work_that_fails_while_it_is_closed_fails_and_the_next_job_runs(caplog, work, cause):
    def hear(event: Event) -> None:
        if texts([event]) in (["before"], ["again"]):
            raise RuntimeError("what hears of events is broken")

    queue = JobQueue(on_event=hear)
    assert_told_and_next_runs(queue, queue.submit("odd", work()), caplog, cause)
    assert queue.stop(PATIENCE)


def test_what_is_no_work_and_cuts_in_leaves_training_running(queue, held):
    long = queue.submit("training", held.work(3), gives_way=True)
    assert held.reached.wait(PATIENCE)
    odd = [queue.submit(kind, NO_WORK[kind](), cuts_in=True) for kind in ("nothing", "system exit")]
    held.go.set()
    ended(long)
    assert [job.state for job in (*odd, long)] == [JobState.FAILED, JobState.FAILED, JobState.FINISHED]


def test_memory_that_cannot_be_freed_is_logged_and_the_next_job_runs(caplog):
    def is_lost() -> None:
        raise RuntimeError("the device is lost")

    queue = JobQueue(free_memory=is_lost)
    assert isinstance(ended(queue.submit("large", fails(MemoryError())))[-1], Failed)
    assert texts(ended(queue.submit("next", says("a")))) == ["a"]
    assert "the device is lost" in caplog.text
    assert queue.stop(PATIENCE)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OutOfMemory("This picture needs more memory than there is."),
        RuntimeError("CUDA out of memory. Tried to allocate 20 GiB"),
        RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
)
def test_out_of_memory_frees_what_is_held_and_the_next_job_runs(error):
    freed: list[bool] = []
    alive = threading.Event()  # as a flag

    class Tensor:
        def __del__(self):
            alive.clear()

    def work() -> Work:
        tensor = Tensor()
        alive.set()
        yield Noticed("large")
        assert tensor
        raise type(error)(*error.args)  # a fresh one: the test itself must not hold the traceback

    queue = JobQueue(free_memory=lambda: freed.append(alive.is_set()))
    job = queue.submit("large", work())
    assert "memory" in getattr(ended(job)[-1], "text", "")
    assert texts(ended(queue.submit("small", says("a")))) == ["a"]
    assert freed == [False]  # called once, when nothing of the failed work was left
    assert queue.stop(PATIENCE)


def test_the_newest_step_and_status_replace_the_older_ones(queue):
    def work() -> Work:
        for batch in (1, 2):
            yield Status(f"batch {batch}")
            for step in range(1, 1001):
                yield Sampled(step, 1000, batch, 2, preview=b"a picture")
            yield Noticed(f"picture {batch}")

    job = queue.submit("long", work())
    events = ended(job)
    assert texts(events) == ["picture 1", "picture 2"]
    assert [event.text for event in events if isinstance(event, Status)] == ["batch 2"]
    assert [(event.step, event.batch) for event in events if isinstance(event, Sampled)] == [(1000, 2)]
    assert job.events_since()[1] == 2004  # numbers count every event


def test_events_of_one_job_are_bounded(queue):
    job = queue.submit("chatty", says(*map(str, range(record.EVENTS_KEPT + 10))))
    assert len(ended(job)) == record.EVENTS_KEPT


def test_where_a_run_lies_is_never_forgotten(queue):
    started = TrainingStarted(Path("run"), 0, 9, 4, 0)

    def work():
        yield started
        yield from says(*map(str, range(record.EVENTS_KEPT + 10)))

    events = ended(queue.submit("long", work()))
    assert len(events) == record.EVENTS_KEPT
    assert events[0] is started
    assert events[-1] == Noticed(str(record.EVENTS_KEPT + 9))


def test_old_jobs_are_forgotten_and_waiting_ones_never(queue, held, monkeypatch):
    monkeypatch.setattr(jobs, "ENDED_JOBS_KEPT", 2)
    done = [queue.submit(f"{n}", says("a")) for n in range(4)]
    for job in done:
        ended(job)
    running = queue.submit("held", held.work())
    assert queue.jobs() == [*done[2:], running]
    assert queue.find(done[0].id) is None
    assert queue.find(done[3].id) is done[3]


def test_progress_and_time_left_come_from_steps(queue):
    go = threading.Event()

    def work() -> Work:
        yield Sampled(1, 2, batch=2, batches=2)
        assert go.wait(PATIENCE)

    job = queue.submit("half", work())
    assert job.wait(0, PATIENCE)
    assert job.progress == 0.75
    assert job.seconds_left is not None
    assert job.seconds_left >= 0
    go.set()
    ended(job)
    assert (job.progress, job.seconds_left) == (1.0, None)


def test_waiting_for_news_ends_with_the_time_or_the_job(queue, held):
    job = queue.submit("held", held.work())
    assert job.wait(0, timeout=0.01) is False
    held.go.set()
    ended(job)
    assert job.wait(99, timeout=PATIENCE) is True


def test_stopping_interrupts_and_cancels_and_accepts_no_more(held):
    queue = JobQueue()
    running = queue.submit("held", held.work(5))
    waiting = queue.submit("waits", says("never"))
    assert held.reached.wait(PATIENCE)
    assert queue.stop(timeout=0.01) is False  # the work does not come to its next event
    held.go.set()
    assert queue.stop(PATIENCE) is True
    assert (running.state, waiting.state) == (JobState.INTERRUPTED, JobState.CANCELLED)
    with pytest.raises(JobBusy, match="stopping"):
        queue.submit("late", says("a"))


def test_many_callers_at_once_all_get_their_own(queue):
    """Eight callers, four jobs each: every job ends, none is mixed up with another, or is refused with a sentence."""
    outcome: dict[str, list[str]] = {}
    refused: list[str] = []

    def call(caller: int) -> None:
        for number in range(4):
            name = f"{caller}-{number}"
            try:
                outcome[name] = texts(ended(queue.submit(name, says(name), owner=str(caller))))
            except JobBusy as error:
                refused.append(str(error))

    run_together(call, range(8))
    assert all(found == [name] for name, found in outcome.items())
    assert len(outcome) + len(refused) == 32


def run_together(call: Callable[[int], None], arguments: range) -> None:
    threads = [threading.Thread(target=call, args=(argument,)) for argument in arguments]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


# --- giving way -------------------------------------------------------------------------------------------------------


def test_short_work_cuts_in_one_job_between_two_events(queue, held):
    long = queue.submit("training", held.work(4), gives_way=True)
    assert held.reached.wait(PATIENCE)
    order: list[str] = []

    def short(name: str) -> Work:
        order.append(f"{name} after {len(long.events_since()[0])}")
        assert queue.running() is not long
        assert long.stands_back is (name in "ab")
        yield Noticed(name)

    waiting = queue.submit("another model", short("c"))
    others = [queue.submit(name, short(name), cuts_in=True) for name in "ab"]
    held.go.set()
    for job in (long, *others, waiting):
        ended(job)
    assert order == ["a after 1", "b after 2", "c after 4"]
    assert {job.state for job in (long, *others, waiting)} == {JobState.FINISHED}
    assert held.requests == [None] * 4


def test_work_that_does_not_give_way_is_not_cut(queue, held):
    first = queue.submit("pictures", held.work(3))
    assert held.reached.wait(PATIENCE)
    second = queue.submit("picture", says("x"), cuts_in=True)
    held.go.set()
    ended(second)
    assert first.ended <= second.started


def test_a_failure_that_cuts_in_is_its_own(queue, held):
    long = queue.submit("training", held.work(2), gives_way=True)
    assert held.reached.wait(PATIENCE)
    short = queue.submit("picture", fails(StorageError("Disk full.")), cuts_in=True)
    held.go.set()
    ended(long)
    assert short.state is JobState.FAILED
    assert long.state is JobState.FINISHED


def test_a_pause_is_told_to_the_work_and_lasts(queue, held):
    long = queue.submit("training", held.work(4), gives_way=True)
    assert held.reached.wait(PATIENCE)
    long.pause()
    assert long.is_paused
    held.go.set()
    assert long.wait(1, PATIENCE)  # the event before the pause is told, and the one that answers it
    for name in ("one", "two"):
        short = queue.submit(name, says(name), cuts_in=True)
        ended(short)
    assert held.requests == [Request.PAUSE]
    assert not long.is_over
    standing = long.elapsed
    assert long.elapsed == standing
    long.resume()
    ended(long)
    assert held.requests == [Request.PAUSE, None, None, None]
    assert long.state is JobState.FINISHED
    assert long.elapsed <= long.ended - long.started


@pytest.mark.parametrize("stop", [Job.interrupt, lambda job: None])
def test_a_paused_job_can_be_ended(queue, held, stop):
    long = queue.submit("training", held.work(4), gives_way=True)
    assert held.reached.wait(PATIENCE)
    long.pause()
    held.go.set()
    assert long.wait(1, PATIENCE)
    stop(long)
    assert queue.stop(PATIENCE)
    assert long.state is JobState.INTERRUPTED
    assert texts(long.events_since()[0])[-1] == "what could be kept"


def test_a_pause_taken_back_in_time_never_happened(queue, held):
    long = queue.submit("training", held.work(2), gives_way=True)
    assert held.reached.wait(PATIENCE)
    long.pause()
    long.resume()
    held.go.set()
    ended(long)
    assert held.requests == [None, None]


def test_only_work_that_gives_way_can_pause(queue, held):
    job = queue.submit("pictures", held.work(2))
    assert held.reached.wait(PATIENCE)
    job.pause()
    assert not job.is_paused
    held.go.set()
    ended(job)
    assert held.requests == [None, None]


def test_training_steps_replace_one_another_and_tell_the_time_left(queue):
    def work() -> Work:
        for step in range(1, 4):
            yield Trained(step, 10, 0.1, 0.1, 0.005, 1.0, 2.0)
        assert job.progress == pytest.approx(0.3)
        assert job.seconds_left == 14.0

    started = threading.Event()

    def wait_then_work() -> Work:
        assert started.wait(PATIENCE)
        yield from work()

    job = queue.submit("training", wait_then_work(), gives_way=True)
    started.set()
    assert [event for event in ended(job) if isinstance(event, Trained)] == [Trained(3, 10, 0.1, 0.1, 0.005, 1.0, 2.0)]
    assert job.state is JobState.FINISHED
