"""The line above the steps: which embedding, which photos; and what is being trained, whoever began it."""

from pathlib import Path

import pytest
from markupsafe import Markup

from modules.ui.train.choice import Choice
from modules.ui.train.header import header
from tests.ui.corpus import HOSTILE
from tests.ui.train.runs import make_run, wait_until
from tests.ui.train.training_run import WithTraining, make_photos, params


@pytest.fixture
def app(tmp_path: Path):
    app = WithTraining(tmp_path / "data", pace=None)
    yield app
    app.steps.release(10_000)
    app.stop()


def test_before_anything_is_chosen(app: WithTraining) -> None:
    assert "no embedding chosen yet" in header(app, Choice())
    photos = make_photos(app.paths.data / "photos", 3)
    assert "no embedding chosen yet · 3 photos" in header(app, Choice(photos=str(photos)))


def test_a_run_is_named_in_a_browser_that_has_chosen_nothing(app: WithTraining) -> None:
    job = app.training.begin(params(app))
    app.steps.release(1)
    wait_until(lambda: "12 photos" in header(app, Choice()))  # ten to learn from, two set aside
    assert ">realbenny-t2</b> · 12 photos<" in header(app, Choice())
    job.interrupt()
    app.steps.release(1)
    wait_until(lambda: job.is_over)
    assert ">realbenny-t2</b> · 12 photos<" in header(app, Choice()), "steps ③ and ④ show it still"


def test_an_old_run_is_named_as_the_later_steps_show_it(app: WithTraining) -> None:
    make_run(app.paths)
    assert ">realbenny-t2</b>" in header(app, Choice())
    assert ">other-t1</b>" in header(app, Choice("other-t1"))


def test_looking_again_reads_only_the_runs_that_changed(app: WithTraining, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, other = make_run(app.paths), make_run(app.paths, "other-t1", started=2.0)
    header(app, Choice())
    read: list[Path] = []
    plain = Path.read_bytes

    def read_bytes(path: Path) -> bytes:
        read.append(path)
        return plain(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    assert ">other-t1</b>" in header(app, Choice())
    assert read == []
    folder.describe({**folder.about(), "started": 3.0})  # of the same size
    assert ">realbenny-t2</b>" in header(app, Choice())
    assert read == [folder.path / "run.json"]
    other.about()["started"] = 4.0  # nobody else's copy
    assert ">realbenny-t2</b>" in header(app, Choice())


def test_a_run_of_another_embedding_is_told_beside_the_chosen_one(app: WithTraining) -> None:
    job = app.training.begin(params(app))
    assert ">other-t1</b> · realbenny-t2 is being trained<" in header(app, Choice("other-t1"))
    assert "is being trained" not in header(app, Choice("realbenny-t2"))
    job.interrupt()
    app.steps.release(1)
    wait_until(lambda: job.is_over)
    assert "realbenny-t2" not in header(app, Choice("other-t1"))


def test_markup_in_a_name_stays_text(app: WithTraining) -> None:
    for text in HOSTILE:
        assert Markup.escape(text) in header(app, Choice(text))
