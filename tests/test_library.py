import time

import pytest

from modules.app import ModelStatus
from modules.errors import SettingsError, StorageError
from modules.events import ImageDone
from modules.flags import Flags
from modules.history.index import Query
from modules.infotext import build_infotext
from modules.jobs import JobQueue, JobState
from modules.library import Library
from modules.params import Txt2ImgParams
from tests.ui.stand_in import StandIn


@pytest.fixture
def app(tmp_path):
    app = StandIn(tmp_path / "data")
    app.start()
    for _ in range(600):  # a guard against hanging: it takes milliseconds
        if app.model_state.status is ModelStatus.READY:
            break
        time.sleep(0.05)
    yield app
    app.stop()


def run(app, **params):
    job = app.generate(Txt2ImgParams(steps=1, width=64, height=64, **params))
    assert job.wait(10_000, timeout=60)
    return job


def test_a_picture_is_in_the_history_before_anybody_hears_of_it(app):
    run(app, prompt="a pixar cat", seed=5, batch_count=2)
    found = app.library.history.search(Query(text="pixar"))
    assert [record.seed for record in found.records] == ["6", "5"]
    assert app.library.history.search(Query()).total == 3  # and the overview


def test_the_last_parameters_are_those_of_the_first_picture(app):
    assert app.library.last_infotext() == ""
    run(app, prompt="first", batch_count=2, seed=1)
    run(app, prompt="a cat\nin the sun", batch_count=2, seed=7)
    assert app.library.last_infotext().startswith("a cat\nin the sun\nSteps: 1")
    assert "Seed: 7" in app.library.last_infotext()
    assert (app.paths.data / "params.txt").read_text("utf-8") == app.library.last_infotext()


def test_the_last_parameters_know_a_prompt_that_their_text_cannot_hold(app):
    text = build_infotext("a\nNegative prompt: b", "", {"Steps": 1, "Sampler": "Euler", "Seed": 1})
    app.library.note(ImageDone(app.paths.outputs / "a.png", text, 0, 1, False, 1))
    assert app.library.remake(app.library.last_infotext()).values["prompt"] == "a\nNegative prompt: b"
    app.paths.last_parameters.write_text("another\nSteps: 1, Sampler: Euler, Seed: 1")
    assert app.library.remake(app.library.last_infotext()).values["prompt"] == "another"


def test_the_last_parameters_are_not_kept_if_nobody_wants_them(tmp_path):
    app = StandIn(tmp_path / "data", flags=Flags(no_prompt_history=True))
    app.start()
    run(app, prompt="second")
    assert app.library.history.search(Query()).total == 1
    assert app.library.last_infotext() == ""
    assert not app.paths.last_parameters.exists()
    app.paths.last_parameters.write_text("first")
    assert app.library.last_infotext() == ""
    app.stop()


def test_a_run_does_not_fail_because_history_or_last_parameters_cannot_be_kept(app):
    app.paths.cache.write_text("in the way")
    app.paths.last_parameters.mkdir()
    assert run(app, prompt="a cat").state is JobState.FINISHED
    with pytest.raises(StorageError):
        app.library.history.search(Query())


def test_remaking_knows_the_models_of_this_machine(app):
    text = "a\nSteps: 1, Sampler: Euler, Schedule type: Automatic, Seed: 1, RNG: CPU, Model hash: {}, Version: v1.10.1"
    assert app.library.remake(text.format("0123456789")).differences == ()
    found = app.library.remake(text.format("abcdef0123"))
    assert [way.checkpoint for difference in found.differences for way in difference.ways] == [
        "other.safetensors [abcdef0123]"
    ]


def test_events_reach_whoever_made_the_queue(app):
    heard = []
    queue = JobQueue(on_event=heard.append)
    job = queue.submit("", app._first_work())
    job.wait(10_000, timeout=60)
    assert heard == job.events_since()[0]
    queue.stop()


def test_imported_settings_hold_at_once_and_the_old_file_is_kept(app):
    app.change_settings(grid_rows=3)
    before = app.paths.settings_file.read_bytes()
    imported = app.import_settings(b'{"CLIP_stop_at_last_layers": 2, "theirs": [1]}', "config.json")
    assert imported.settings is app.settings
    assert (app.settings.clip_skip, app.settings.grid_rows, app.settings.other) == (2, 3, {"theirs": [1]})
    copies = list(app.paths.data.glob("config.before-import-*.json"))
    assert [copy.read_bytes() for copy in copies] == [before]
    with pytest.raises(SettingsError):
        app.import_settings(b"{", "config.json")
    assert app.settings.clip_skip == 2


def test_nothing_is_written_for_a_look(tmp_path):
    Library(StandIn(tmp_path / "data").paths, lambda: pytest.fail("nobody asked")).last_infotext()
    assert not (tmp_path / "data").exists()
