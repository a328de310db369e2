"""What steps ④ and ⑤ gather and say, without a browser."""

from dataclasses import replace

import pytest

from modules.errors import ParameterError
from modules.training.comparison import Look, compare_steps, compare_strengths, make_sheet
from modules.training.measurements import MeasurementFile
from modules.ui.train import compare_screen, compare_view
from modules.ui.train.choice import Choice
from modules.ui.train.compare_screen import find, wanted
from modules.ui.train.prompt_word import take_out, write
from tests.ui.train.runs import CONDITIONS, NAME, WithRuns, make_run, measurement


@pytest.fixture
def app(tmp_path):
    return WithRuns(tmp_path / "data")


def measured(app, count=8):
    folder = make_run(app.paths)
    MeasurementFile(folder).write(CONDITIONS, [measurement(place) for place in range(count)])
    return folder


def test_without_runs(app):
    assert find(app, Choice()) is None
    assert "Nothing to compare yet" in compare_view.empty()
    assert "Nothing to use yet" in compare_view.empty(compare_view.NOTHING_TO_USE)
    with pytest.raises(ParameterError):
        wanted(app, "textual_inversion/../../etc")


def test_the_newest_run_of_the_embedding_unless_another_is_chosen(app):
    make_run(app.paths, "first", 1.0)
    make_run(app.paths, "second", 2.0)
    names = [
        screen.name
        for screen in (
            find(app, Choice()),
            find(app, Choice(embedding="first")),
            find(app, Choice(run="textual_inversion/2026-01-02/first")),
            find(app, Choice(run="/etc", embedding="second")),
        )
        if screen
    ]
    assert names == ["second", "first", "first", "second"]


def test_the_recommended_step_is_chosen_unless_another_is_picked(app):
    measured(app)
    screen = find(app, Choice())
    assert screen
    assert screen.missing == 0
    assert screen.recommended
    assert screen.recommended.step == 500
    assert [screen.chosen(step) for step in ("", "300", "350", "x")] == [500, 300, 500, 500]
    assert {0, 500, 700} <= set(screen.some_steps())
    assert f"This advice is {screen.recommended.sureness}." in compare_view.advice(screen)
    html = compare_view.strip(screen, 300)
    assert html.count("<em>recommended</em>") == 1
    assert 'data-step="300" aria-pressed="true"' in html
    assert "obeys 71%" in html


def test_nobody_is_told_that_prompts_are_followed_better_than_wholly(app):
    """The noise of measuring may go beyond; what was measured stays in the file."""
    folder = make_run(app.paths)
    beyond = [replace(measurement(place), obedience=obeyed) for place, obeyed in ((0, 1.0), (4, 1.02), (5, -0.01))]
    MeasurementFile(folder).write(CONDITIONS, beyond)
    screen = find(app, Choice())
    assert screen
    assert screen.recommended
    assert "follows prompts 100% as well" in screen.recommended.reason
    assert "Later ones obey less: 0% at step 500" in screen.recommended.reason
    html = compare_view.strip(screen, 400) + compare_view.in_use(screen, 400)
    assert "obeys 100%" in html
    assert "follows prompts 100% as well" in html
    assert MeasurementFile(folder).read()[400].obedience == 1.02


def test_before_it_is_measured(app):
    measured(app, count=1)
    screen = find(app, Choice())
    assert screen
    assert screen.missing == 7
    assert screen.chosen("") == 700
    assert "Which one is best?" in compare_view.advice(screen)
    assert "not measured" in compare_view.strip(screen, None)
    assert screen.look == Look("", "DPM++ 2M", 2, 128, 128, 7.0)


def test_what_a_user_typed_is_text(app):
    folder = measured(app)
    evil = f"{NAME} <img src=x onerror=alert(1)>"
    make_sheet(folder, compare_steps(NAME, [0], [evil], [1], Look(width=64, height=64), "<script>x</script>"))
    screen = find(app, Choice())
    assert screen
    html = compare_view.grid(screen.steps_sheet, screen, "")
    html += compare_view.prompts_list("<b>", "<i>")
    for tag in ("<img src=x", "<script>", "<b>", "<i>"):
        assert tag not in html
    assert "0 of 2 pictures" in html


def test_pictures_of_a_strength_say_of_which_step(app):
    """Somebody may pick another step after they were drawn."""
    make_sheet(measured(app), compare_strengths(NAME, 300, [NAME], [1], Look(width=64, height=64), "face"))
    screen = find(app, Choice())
    assert screen
    assert "0 of 6 pictures of step 300 ·" in compare_view.grid(screen.strength_sheet, screen, "")


def test_damaged_files_of_a_run_cost_no_page(app):
    folder = measured(app)
    (folder.path / "measurements.json").write_text("{")
    (folder.path / "comparisons" / "x").mkdir(parents=True)
    (folder.path / "comparisons" / "x" / "comparison.json").write_text("[]")
    screen = find(app, Choice())
    assert screen
    assert screen.missing == 8
    assert screen.steps_sheet is None


def test_how_a_job_is_told(app):
    folder = make_run(app.paths)
    assert compare_screen.doing(None).text == ""
    job = app.training.measure(folder.path)
    while not job.is_over:
        job.wait(job.events_since()[1], 10)
    ended = compare_screen.doing(job)
    assert not ended.is_running
    assert ended.text == ""
    assert app.training.last_job("Measuring", folder.path) is job
    app.stop()


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("", "portrait of benny"),
        ("a dog, ", "a dog, benny"),
        ("half [Benny | panda]", "half [Benny | panda]"),
        ("benny2", "benny2, benny"),
    ],
)
def test_the_name_is_written_into_the_prompt_once(prompt, expected):
    assert write("", "benny", prompt).after == expected


@pytest.mark.parametrize(
    ("before", "since", "expected"),
    [
        ("", "portrait of benny", ""),
        ("", "portrait of benny, smiling", "smiling"),
        ("", "painting of benny, smiling", "painting of, smiling"),
        ("a dog, ", "a dog, benny", "a dog, "),
        ("a dog", "a dog, benny, in snow", "a dog, in snow"),
        ("a dog", "a dog, benny in snow", "a dog, in snow"),
        ("a dog", "a cat, benny", "a cat"),
        ("a dog", "a dog, benny, benny's hat, benny", "a dog, benny's hat, benny"),
        ("a dog", "a dog,\nbenny, in snow", "a dog,\nin snow"),
        ("a dog", "a dog, (benny:1.2)", "a dog, (benny:1.2)"),
        ("a dog", "all new", "all new"),
        ("benny, a dog", "benny, a dog, in snow", "benny, a dog, in snow"),
    ],
)
def test_undone_the_prompt_loses_what_the_use_wrote_and_nothing_else(before, since, expected):
    assert take_out(write("", "benny", before), since) == expected
