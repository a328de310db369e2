"""What step ③ shows and does, without a browser."""

import dataclasses
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import pytest
from markupsafe import Markup

from modules.errors import ParameterError
from modules.events import Estimated
from modules.training.best import best_snapshot
from modules.training.run_folder import RunFolder
from modules.training_params import PRESETS, TrainParams, advise, default
from modules.ui.train import create, run_view, train, train_form, unfinished
from modules.ui.train.chart import HEIGHT, WIDTH, Curve, axis, chart
from modules.ui.train.context import TrainContext
from modules.ui.train.run_screen import (
    TrainingScreen,
    how_it_ended,
    log_lines,
    look,
    newest_training,
    resumable,
    thinned,
)
from modules.ui.train.unfinished import Acted
from tests.ui.corpus import HOSTILE
from tests.ui.train.runs import wait_until
from tests.ui.train.training_run import WithTraining, failures, params, save_state, settle

NAMES = [field.name for field in dataclasses.fields(TrainParams)]


@pytest.fixture
def app(tmp_path: Path):
    app = WithTraining(tmp_path / "data")
    yield app
    app.steps.release(10_000)
    app.stop()


def gated(app: WithTraining, steps: int = 40):
    app.pace = None
    return app.training.begin(params(app, steps))


def shown(app: WithTraining) -> TrainingScreen:
    job = newest_training(app)
    assert job
    return look(job)


# --- the form -------------------------------------------------------------------------------------------------------


def test_every_field_has_its_control_and_scripts_know_their_ids() -> None:
    assert sorted(train_form.FIELDS) == sorted(NAMES)
    ids = {name: train_form.element_id(name) for name in NAMES}
    assert len(set(ids.values())) == len(ids)
    known = (
        "train_embedding train_embedding_learn_rate train_batch_size train_gradient_step train_dataset_directory "
        "train_log_directory train_template_file train_training_width train_training_height train_varsize train_steps "
        "train_create_image_every train_save_embedding_every use_weight train_save_image_with_stored_embedding "
        "train_shuffle_tags train_tag_drop_out train_latent_sampling_method"
    ).split()
    assert set(known) <= set(ids.values())


def test_what_is_shown_comes_back() -> None:
    sent: dict[str, Any] = {name: default(name) for name in NAMES} | {"steps": 900.0, "seed": "12345678901234567890"}
    sent |= {"embedding": None, "preview_seed": "-1"}
    with pytest.raises(ParameterError, match="Seed"):
        train_form.to_params(sent)  # beyond 63 bits
    assert train_form.to_params(sent | {"seed": "9007199254740993"}).seed == 2**53 + 1  # a float would lose the 1
    assert train_form.to_params(sent | {"seed": "-1"}) == TrainParams(steps=900)


@pytest.mark.parametrize(
    ("field", "value"),
    [("steps", None), ("steps", 1.5), ("batch_size", 0), ("seed", "x"), ("width", 500), ("clip_grad_mode", "?")],
)
def test_what_cannot_be_used_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ParameterError) as caught:
        train_form.to_params({field: value})
    assert caught.value.field == field


def test_presets_set_the_same_fields_and_say_why() -> None:
    fields = [list(train_form.advised(20, preset, (512, 512))[0]) for preset in PRESETS]
    assert all(names == fields[0] for names in fields)
    values, reasons = train_form.advised(12, "face", (128, 128))
    assert (values["steps"], values["width"], values["held_out"]) == (120, 128, 2)
    assert "12 photos" in reasons["steps"]
    assert train_form.advised(4, "face", (512, 512))[0]["held_out"] == 0
    assert train_form.advised(0, "nonsense", (0, 0)) == train_form.advised(20, "face", (512, 512))


def test_a_browser_may_remember_nonsense() -> None:
    kept = {"steps": 700, "batch_size": -3, "nonsense": 1, "embedding": "x", "data_root": "/etc", "seed": 5}
    assert train_form.remembered_values(kept) == {"steps": 700, "seed": "5"}
    assert train_form.remembered_values("nonsense") == {}


def test_at_the_button_stands_the_way_to_the_field_and_not_the_reason_again() -> None:
    html = train_form.pointer("learning_rate")
    assert 'href="#train_embedding_learn_rate"' in html
    assert "Embedding Learning rate" in html


def test_titles_say_what_is_set_inside() -> None:
    titles = train_form.group_titles({"width": 128, "height": 192, "gradient_step": 4, "shuffle_tags": True})
    assert titles["photos"] == "Photos: 128×192, 2 set aside"
    assert titles["batch"] == "Batch: 1 × 4, shuffled tags"
    assert titles["learning"] == "How it learns: cosine decay, even timesteps, averaged, equal pull"
    plain = dict(advise(20, "as in A1111").values)
    assert train_form.group_titles(plain)["learning"] == "How it learns: random timesteps"
    assert train_form.group_titles({"create_image_every": 0})["samples"] == "Samples: none, copies every 15 steps"
    assert train_form.group_titles({"width": None, "steps": "x"}) == train_form.group_titles({})


@pytest.mark.parametrize("name", sorted({*train_form.FIELDS} - {*train_form.FOLLOWED}))
def test_what_the_page_does_not_send_at_each_look_is_in_no_title(name: str) -> None:
    plain = train_form.group_titles({})
    for value in (0, 1, 3, 64, 0.5, True, False, "none", "value", "random", "min-SNR"):
        assert train_form.group_titles({name: value}) == plain


# --- curves ---------------------------------------------------------------------------------------------------------


def test_a_curve_is_drawn_to_scale() -> None:
    html = chart("Loss", [Curve("a", "held", [(0, 1.0), (50, 3.0), (100, 2.0)])], 0, 200)
    assert f'points="0.0,{HEIGHT}.00 {WIDTH / 4:.1f},0.00 {WIDTH / 2:.1f},{HEIGHT / 2:.2f}"' in html
    assert ">3</span>" in html
    assert ">1</span>" in html


def test_curves_fill_the_height_each_and_say_from_where_to_where() -> None:
    html = chart("x", [Curve("a", "held", [(0, 0.05), (1, 0.06)]), Curve("b", "smooth", [(0, 0.1), (1, 0.2)])], 0, 1)
    assert html.count(f'points="0.0,{HEIGHT}.00 {WIDTH}.0,0.00"') == 2
    assert '<div class="top"><span class="held">0.06</span><span class="smooth">0.2</span></div>' in html
    assert '<div class="bottom"><span class="held">0.05</span><span class="smooth">0.1</span></div>' in html


def test_a_learning_rate_is_told_as_short_as_it_can_be() -> None:
    html = chart("Rate", [Curve("rate", "rate", [(0, 5e-3), (1, 4.11e-5)])], 0, 1)
    assert "<b>4.11e-5</b>" in html
    assert "0.005" in html


def test_a_chart_of_nothing_and_of_one_point() -> None:
    assert "nothing measured yet" in chart("Loss", [Curve("a", "held", [])], 0, 1)
    html = chart("Loss", [Curve("a", "held", [(0, 1.0)])], 0, 0)
    assert f'points="0.0,{HEIGHT / 2:.2f} 6.0,{HEIGHT / 2:.2f}"' in html
    assert axis(0, 1).count("<span>") == 2


def test_names_in_a_chart_are_text() -> None:
    for text in HOSTILE:
        assert Markup.escape(text) in chart(text, [Curve(text, "held", [(0, 1.0)])], 0, 1)


def test_thinned_rows_keep_both_ends() -> None:
    assert thinned([1, 2, 3], 5) == [1, 2, 3]
    rows = thinned(list(range(1000)), 5)
    assert (rows[0], rows[-1], len(rows)) == (0, 999, 5)


# --- a run ----------------------------------------------------------------------------------------------------------


def test_while_it_runs(app: WithTraining) -> None:
    job = gated(app)
    app.steps.release(20)
    settle(job, 20)
    wait_until(lambda: len(shown(app).samples) == 2)
    screen = shown(app)
    status = run_view.status(screen)
    assert "step 20 / 40" in status
    assert "2.0 s/it" in status
    assert "40 s left" in status
    assert "lowest held-out loss: 0.2000 at step 20" in status
    strip = run_view.strip(screen)
    assert strip.index("step 10") < strip.index("step 20"), "keys go the way that the eye goes"
    assert strip.count('class="free"') == 3
    text = run_view.live_text(screen, app.paths.data)
    assert "<dd>textual_inversion/" in text, "no path of the machine"
    assert str(app.paths.data) not in text
    assert any("10 photos" in line and "2 photos are set aside" in line for line in screen.log)
    assert not run_view.ending(screen, app.paths.data)
    assert "smoothed loss" in run_view.curves(screen)


def test_pause_and_stop_are_said_at_once_and_done_after_the_step(app: WithTraining) -> None:
    job = gated(app)
    app.steps.release(1)
    settle(job, 1)
    job.pause()
    assert "pausing…" in run_view.status(shown(app))
    app.steps.release(1)
    wait_until(lambda: shown(app).status.startswith("paused"))
    assert "step 2 / 40 · paused, everything is saved" in run_view.status(shown(app))
    job.resume()
    assert "step 2 / 40 · resuming…" in run_view.status(shown(app)), "the next step may take its time"
    app.steps.release(1)
    settle(job, 3)
    assert "paused" not in run_view.status(shown(app))
    assert "another job cuts in…" in run_view.status(dataclasses.replace(shown(app), stands_back=True))
    job.interrupt()
    assert "stopping after this step…" in run_view.status(shown(app))
    app.steps.release(1)
    wait_until(lambda: job.is_over)
    assert "Stopped by you." in run_view.ending(shown(app), app.paths.data)
    assert shown(app).ended.step == 4  # type: ignore[union-attr]


def test_a_run_whose_turn_has_come_waits_no_more(app: WithTraining) -> None:
    gated(app)
    wait_until(lambda: shown(app).started is not None)
    begun = dataclasses.replace(shown(app), started=None, status="")
    assert "· starting…" in run_view.status(begun)
    assert "· encoding photo 1 of 4…" in run_view.status(dataclasses.replace(begun, status="encoding photo 1 of 4"))


def test_answers_that_overtake_each_other_leave_nothing_old_on_the_page(app: WithTraining) -> None:
    """What the page shows is told by the page, and not by a note of the server: the last answer to come counts."""
    with gr.Blocks():
        wiring = train._Wiring(train.make_step(), cast(TrainContext, SimpleNamespace(app=app)))
    assert isinstance(wiring.shown, gr.Textbox), "each answer brings along what the page shows with it"
    job = gated(app)
    wait_until(lambda: shown(app).started is not None)
    early = wiring.look("", train.Mine())
    app.steps.release(1)
    settle(job, 1)
    late = wiring.look("", train.Mine())
    assert early[wiring.step.status] != late[wiring.step.status]
    again = wiring.look(early[wiring.shown], train.Mine())  # the early answer came last
    assert again[wiring.step.status] == late[wiring.step.status]
    assert wiring.step.status not in wiring.look(late[wiring.shown], train.Mine())
    for unreadable in ("{", "[1]", 5, None, "[" * 100_000):
        assert wiring.look(unreadable, train.Mine())[wiring.step.status] == late[wiring.step.status]


def test_a_model_that_is_being_loaded_has_no_size_yet(tmp_path: Path) -> None:
    """And nothing can be begun: sizes and rates of the form would suit no model."""
    loading = threading.Event()
    app = WithTraining(tmp_path / "data", loading=loading)
    with gr.Blocks():
        wiring = train._Wiring(train.make_step(), cast(TrainContext, SimpleNamespace(app=app)))
    job = app.start()
    values = wiring._values(train.Mine(), None)
    assert values["model"] == f'<p class="quiet" role="status">{app.model_state.sentence}</p>'
    assert (values["start"], values["estimate"]) == (False, False)
    loading.set()
    wait_until(lambda: job.is_over)
    values = wiring._values(train.Mine(), None)
    assert values["model"].endswith("made for 128×128</p>")
    assert (values["start"], values["estimate"]) == (True, True)
    app.stop()


def test_a_creation_that_waits_for_another_job_says_so(tmp_path: Path) -> None:
    loading = threading.Event()
    app = WithTraining(tmp_path / "data", loading=loading)
    app.start()
    job = app.training.create("zzq-t1", "*", 2, False)
    assert "Waits for the job before it." in create.busy(job)
    loading.set()
    wait_until(lambda: job.is_over)
    assert "Creating…" in create.busy(job)
    app.stop()


def test_finished(app: WithTraining) -> None:
    job = app.training.begin(params(app, 10))
    wait_until(lambda: job.is_over)
    ending = run_view.ending(shown(app), app.paths.data)
    assert "<b>Finished.</b> Training finished at 10 steps. Embedding saved to embeddings/realbenny-t2" in ending
    assert 'data-open-step="compare"' in ending


@pytest.mark.parametrize("title", ["Failed", "Diverged"])
def test_bad_ends_are_told_apart_and_say_where_the_log_is(app: WithTraining, title: str) -> None:
    app.ends_with = failures()[title]
    job = app.training.begin(params(app, 10))
    wait_until(lambda: job.is_over)
    ending = run_view.ending(shown(app), app.paths.data)
    assert f"<b>{title}.</b>" in ending
    assert str(app.ends_with) in ending
    assert (app.paths.log_file.relative_to(app.paths.data).as_posix() in ending) == (title == "Failed")
    assert 'class="ending bad"' in ending


def test_a_run_that_never_began(app: WithTraining) -> None:
    app.pace = None
    app.training.estimate(params(app))
    job = app.training.begin(params(app))
    assert "waiting for its turn" in run_view.status(look(job))
    job.interrupt()
    assert how_it_ended(look(job)) == "cancelled"
    assert "Cancelled before it began" in run_view.ending(look(job), app.paths.data)
    assert newest_training(app) is None


def test_estimates_hold_for_what_was_measured(app: WithTraining) -> None:
    told = Estimated(0.7, 840, 3_400_000_000, 8_000_000_000)
    assert "about <b>14 min, 3.4 GB of 8.0</b>" in run_view.estimate(told)
    assert "about <b>28 min" in run_view.estimate(told, 2400)
    assert "Not measured yet" in run_view.estimate_line(None, 100, True)
    job = app.training.estimate(params(app))
    wait_until(lambda: job.is_over)
    assert "about <b>42 s" in run_view.estimate_line(job, 60, True)
    assert "measure again" in run_view.estimate_line(job, 100, False)


# --- what was cut short ---------------------------------------------------------------------------------------------


def cut_off(app: WithTraining, name: str = "realbenny-t2", ending: str = "", started: float = 1.0) -> RunFolder:
    """A run as a process leaves it that was killed after 30 steps."""
    folder = RunFolder(app.paths.textual_inversion / "2026-01-02" / name, name)
    folder.path.mkdir(parents=True)
    folder.describe({"ending": ending, "step": 30, "steps": 40, "checkpoint": "demo-portraits", "started": started})
    save_state(folder, 30)
    for step, loss in ((10, 0.3), (20, 0.1), (30, 0.2)):
        folder.snapshot(step).parent.mkdir(exist_ok=True)
        folder.snapshot(step).write_bytes(b"")
        folder.held_out_log.append(step, loss)
    return folder


def shown_name(app: WithTraining, folder: RunFolder) -> str:
    return run_view.shown_path(folder.path, app.paths.data)


def test_the_banner_offers_three_ways(app: WithTraining) -> None:
    cut_off(app)
    html = unfinished.content(app, Acted())
    assert "was cut off at step 30 of 40" in html
    assert [name for name in ("resume", "keep", "discard") if f'data-run-action="{name}"' in html] == [
        "resume",
        "keep",
        "discard",
    ]


@pytest.mark.parametrize(("count", "line"), [(2, "1 more unfinished run<"), (5, "4 more unfinished runs<")])
def test_only_the_newest_takes_room(app: WithTraining, count: int, line: str) -> None:
    for number in range(count):
        cut_off(app, f"run-{number}", started=float(number))
    in_sight, fold, folded = unfinished.content(app, Acted()).partition("<details>")
    assert fold
    assert in_sight.count("data-run-action") == 3
    assert f"<b>run-{count - 1}</b>" in in_sight
    assert line in folded
    assert folded.count("data-run-action") == 3 * (count - 1), "each of the others can be ended too"


def test_the_banner_says_that_photos_set_aside_are_gone(app: WithTraining, tmp_path: Path) -> None:
    folder = cut_off(app)
    params = {"data_root": str(tmp_path), "held_out_every": 10}
    folder.describe({**folder.about(), "held_out": ["a.png", "b.png"], "params": params})
    (tmp_path / "b.png").touch()
    assert "1 of the 2 photos that were set aside is gone: resumed, the held-out loss" in unfinished.content(
        app, Acted()
    )
    (tmp_path / "a.png").touch()
    assert "gone" not in unfinished.content(app, Acted())


def test_a_carried_run_goes_on_with_the_photos_that_are_chosen(app: WithTraining, tmp_path: Path) -> None:
    folder, chosen = cut_off(app), tmp_path / "chosen"
    folder.describe({**folder.about(), "photos": ["a.png"], "params": {"data_root": "/elsewhere/photos"}})
    assert "The photos are not in “/elsewhere/photos” any more" in unfinished.content(app, Acted(), str(chosen))
    chosen.mkdir()
    (chosen / "a.png").touch()
    assert "any more" not in unfinished.content(app, Acted(), str(chosen))
    unfinished.do(app, "resume", shown_name(app, folder), photos=str(chosen))
    wait_until(lambda: folder.about()["params"]["data_root"] == str(chosen))


def test_the_legend_and_the_log_say_what_the_loss_is_measured_on(app: WithTraining) -> None:
    job = gated(app)
    app.steps.release(10)
    settle(job, 10)
    wait_until(lambda: len(shown(app).held_out) == 1)
    screen = shown(app)
    assert "held-out loss <b>" in run_view.curves(screen)
    note = "since step 8 on training photos"
    assert screen.started
    started = dataclasses.replace(screen.started, held_out=0, aside_gone=2, loss_note=note)
    assert f"held-out loss, {note} <b>" in run_view.curves(dataclasses.replace(screen, started=started))
    assert any(f"the held-out loss is measured {note}" in line for line in log_lines([started]))


def test_the_best_step_is_sought_among_losses_on_the_same_photos(app: WithTraining) -> None:
    gated(app)
    app.steps.release(1)
    wait_until(lambda: shown(app).has_begun)
    rows = ((0, 0.5), (10, 0.3), (20, 0.4), (30, 0.1))
    screen = dataclasses.replace(shown(app), held_out=rows, loss_changes=(20,))
    assert screen.best == (10, 0.3)


def test_one_run_needs_no_fold(app: WithTraining) -> None:
    cut_off(app)
    assert "<details>" not in unfinished.content(app, Acted())
    assert 'class="banner"' in unfinished.content(app, Acted())


@pytest.mark.parametrize(
    ("ending", "words"), [("stopped", "was stopped"), ("failed", "failed"), ("diverged", "diverged")]
)
def test_the_banner_says_how_it_ended(app: WithTraining, ending: str, words: str) -> None:
    cut_off(app, ending=ending)
    assert f"{words} at step 30" in unfinished.content(app, Acted())


def test_a_run_that_diverged_is_not_offered_to_go_on_as_before(app: WithTraining) -> None:
    """What its sentence advises is another rate."""
    cut_off(app, ending="diverged")
    html = unfinished.content(app, Acted())
    assert [name for name in ("resume", "keep", "discard") if f'data-run-action="{name}"' in html] == [
        "keep",
        "discard",
    ]
    (run,) = app.training.unfinished()
    assert not run.may_go_on


def test_resume(app: WithTraining) -> None:
    folder = cut_off(app)
    app.pace = None
    unfinished.do(app, "resume", shown_name(app, folder))
    job = app.training.under_way()
    assert job
    assert not unfinished.content(app, Acted())
    app.steps.release(10)
    wait_until(lambda: job.is_over)
    assert shown(app).ended.step == 40  # type: ignore[union-attr]
    assert not resumable(app)


def test_keep_the_best(app: WithTraining) -> None:
    folder = cut_off(app)
    assert best_snapshot(folder) == 20
    app.pace = None
    id = unfinished.do(app, "keep", shown_name(app, folder))
    assert "Keeping realbenny-t2…" in unfinished.content(app, Acted(id))
    assert "data-run-action" not in unfinished.content(app, Acted(id)), "no second click while it is being kept"
    app.steps.release(1)
    wait_until(lambda: app.jobs.find(id).is_over)  # type: ignore[union-attr]
    assert "is now the snapshot of step 20" in unfinished.content(app, Acted(id))
    assert folder.about()["ending"] == "discarded"
    assert folder.snapshot(20).exists()


def test_nothing_to_keep(app: WithTraining) -> None:
    folder = cut_off(app)
    for step in (10, 20, 30):
        folder.snapshot(step).unlink()
    with pytest.raises(ParameterError, match="nothing to keep"):
        unfinished.do(app, "keep", shown_name(app, folder))


def test_without_measurements_the_newest_is_kept(app: WithTraining) -> None:
    folder = cut_off(app)
    folder.held_out_log.path.unlink()
    assert best_snapshot(folder) == 30


def test_discard_keeps_snapshots(app: WithTraining) -> None:
    folder = cut_off(app)
    unfinished.do(app, "discard", shown_name(app, folder))
    assert not resumable(app)
    assert folder.snapshot(30).exists()
    assert not any(folder.states.glob("*"))


@pytest.mark.parametrize("asked", [("resume", "textual_inversion/../../etc"), ("", ""), ("delete", "x")])
def test_whatever_else_a_page_asks_does_nothing(app: WithTraining, asked: tuple[str, str]) -> None:
    cut_off(app)
    assert unfinished.do(app, *asked) == ""
    assert app.training.under_way() is None
    assert len(resumable(app)) == 1


def test_markup_in_a_name_stays_text(app: WithTraining) -> None:
    cut_off(app, "<b>x<b>")
    html = unfinished.content(app, Acted())
    assert "<b>x" not in html
