"""What one browser is to see: its own newest run, everybody's queue."""

import time
from pathlib import Path

import pytest

from modules.events import GridDone, ImageDone, Work
from modules.jobs import Job, JobState
from modules.params import Txt2ImgParams
from modules.ui.screen import gather, look
from tests.ui.stand_in import StandIn

PATIENCE = 30.0  # seconds; a guard against hanging: none of this takes one


@pytest.fixture
def app(tmp_path: Path) -> StandIn:
    return StandIn(tmp_path, pace=None)


def generate(app: StandIn, owner: str, **values: object) -> Job:
    return app.generate(Txt2ImgParams(width=64, height=64, steps=2, **values), owner)  # type: ignore[arg-type]


def wait_for(job: Job, number: int) -> None:
    assert job.wait(number, PATIENCE)


def finish(app: StandIn, job: Job) -> None:
    app.steps.release(100)
    deadline = time.monotonic() + PATIENCE
    while not job.is_over and time.monotonic() < deadline:
        time.sleep(0.01)
    assert job.is_over
    while app.steps.acquire(blocking=False):
        pass


def test_nothing_yet(app: StandIn) -> None:
    screen = look(app, "ann")
    assert (screen.run, screen.queue, screen.is_ready, screen.recommended) == (None, (), False, {})


def test_model_recommends_its_size_and_values(app: StandIn) -> None:
    app.start()
    [loading] = app.jobs.jobs()
    finish(app, loading)
    assert look(app, "ann").recommended == {"width": 128, "height": 128, "cfg_scale": 5.0, "steps": 12}
    assert look(app, "ann").run is None  # loading belongs to the program
    app.stop()


def test_everybody_sees_the_queue_and_only_the_owner_the_run(app: StandIn) -> None:
    mine, theirs = generate(app, "ann", prompt="secret"), generate(app, "bob")
    wait_for(mine, 0)
    for owner, is_mine in (("ann", [True, False]), ("bob", [False, True]), ("eve", [False, False])):
        screen = look(app, owner)
        assert [entry.id for entry in screen.queue] == [mine.id, theirs.id]
        assert [entry.is_running for entry in screen.queue] == [True, False]
        assert [entry.is_mine for entry in screen.queue] == is_mine
        assert "secret" not in str([entry.title for entry in screen.queue])
    ann = look(app, "ann").run
    assert ann is not None
    assert (ann.id, ann.is_running) == (mine.id, True)
    assert look(app, "bob").run is None  # waiting only: an older result would stay
    finish(app, mine)
    finish(app, theirs)
    assert look(app, "eve").run is None
    app.stop()


def test_a_sheet_that_stands_alone_takes_the_place_of_its_pictures(app: StandIn) -> None:
    def work(alone: bool) -> Work:
        for seed in (1, 2):
            yield ImageDone(Path(f"{seed}.png"), "", seed - 1, seed)
        for name in ("table", "whole"):
            yield GridDone(Path(f"{name}.png"), "", alone)

    for alone, left in ((False, ["1", "2", "table", "whole"]), (True, ["table", "whole"])):
        job = app.jobs.submit("plot", work(alone), "ann", kind="txt2img")
        finish(app, job)
        assert [picture.path.stem for picture in gather(job).pictures] == left
    app.stop()


def test_a_run_is_gathered_from_its_events_at_any_time(app: StandIn) -> None:
    job = generate(app, "ann", prompt="[a|b]", batch_count=2, seed=7)
    wait_for(job, 0)
    assert gather(job).status == "reading the prompt"
    app.steps.release(3)  # a whole batch of two steps, and one step of the next
    wait_for(job, 4)
    midway = gather(job)
    assert midway.sampled is not None
    assert (midway.sampled.batch, midway.sampled.step, midway.status) == (2, 1, "")
    assert [picture.seed for picture in midway.pictures] == [7]
    finish(app, job)
    done = gather(job)
    assert done.state is JobState.FINISHED
    assert [picture.seed for picture in done.pictures] == [7, 8, None]  # the overview comes last: nothing jumps
    assert done.notices == ("A note about [a|b]",)
    assert done == gather(job)
    app.stop()


def test_interrupted_run_keeps_what_there_is(app: StandIn) -> None:
    job = generate(app, "ann", batch_count=3)
    app.steps.release(1)
    wait_for(job, 1)
    job.interrupt()
    finish(app, job)
    ended = gather(job)
    assert ended.state is JobState.INTERRUPTED
    assert [picture.incomplete for picture in ended.pictures] == [True]
    app.stop()


def test_failed_run_says_why(tmp_path: Path) -> None:
    app = StandIn(tmp_path, failing=True)
    job = generate(app, "ann")
    finish(app, job)
    failed = gather(job).failed
    assert failed is not None
    assert "too little memory" in failed.text
    app.stop()


def test_newest_started_run_is_shown(app: StandIn) -> None:
    first, second, third = (generate(app, "ann", seed=seed) for seed in (1, 2, 3))
    third.interrupt()  # cancelled while waiting: it never started
    finish(app, first)
    finish(app, second)
    shown = look(app, "ann").run
    assert shown is not None
    assert shown.id == second.id
    app.stop()
