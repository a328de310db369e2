"""`./webui.sh compare`: measured, recommended, drawn, put into use."""

import dataclasses
import functools
import shutil

import pytest
from PIL import Image

from modules.embeddings.reading import read_embedding
from modules.training import likeness, measure
from modules.training.measurements import MeasurementFile
from modules.training.obedience import CHANGES, Obedience
from modules.training.run_folder import RunFolder, find_runs
from tests.cli.runs import NAME, events, run, server, told, training
from tests.training.tiny_run import another_process, make_photos


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory):
    data = tmp_path_factory.mktemp("data")
    assert run(training(data, make_photos(data / "photos", 4), save_embedding_every="3")) == 0
    with pytest.MonkeyPatch.context() as patch:  # measuring takes longer than anything else, and lasts
        patch.setattr(measure, "Obedience", functools.partial(Obedience, noises=1, changes=CHANGES[:2]))
        patch.setattr(likeness, "DRAWINGS", 2)
        patch.setattr(likeness, "STEPS", 2)
        assert compare(data) == 0
    return data


@pytest.fixture
def home(trained_once, tmp_path):
    """A data folder of one's own with the measured run in it, carried there."""
    return shutil.copytree(trained_once, tmp_path / "home")


def step_of(home) -> int | None:
    embedding = read_embedding(home / "embeddings" / "ben-final.safetensors")
    assert embedding
    return embedding.step


def compare(home, *words: str) -> int:
    (found,) = find_runs(home / "textual_inversion")
    return run(["compare", str(found.folder.path), *words, *server(home)])


def make_likeness(home, *likenesses: float) -> None:
    """As if the drawings of steps 0, 3 and 6 had come so near the photos: what noise teaches is left to chance."""
    (found,) = find_runs(home / "textual_inversion")
    file = MeasurementFile(found.folder)
    conditions, known = file.conditions(), file.read()
    assert conditions
    learned = [
        dataclasses.replace(one, likeness=value, likeness_each=(value,) * 8, obedience=1.0)
        for one, value in zip(known.values(), likenesses, strict=True)
    ]
    file.write(conditions, learned)


def test_a_step_is_recommended_with_its_reason(home, capsys):
    make_likeness(home, 0.0, 0.8, 0.5)
    assert compare(home) == 0
    lines, sentences = told(capsys)
    assert not events(lines, "snapshot_measured"), "nothing is measured twice"
    (best,) = events(lines, "recommended")
    assert best["step"] == 3
    assert "Step 3 is recommended" in sentences
    assert best["reason"] in sentences


def test_of_a_run_that_learned_nothing_no_step_is_recommended(home, capsys):
    make_likeness(home, 0.0, 0.02, 0.01)
    assert compare(home) == 0
    lines, sentences = told(capsys)
    assert events(lines, "recommended")[0]["confidence"] == 0
    assert "Hardly anything is learned yet" in sentences
    assert "is recommended" not in sentences
    assert compare(home, "--use", "ben-final") == 1
    assert "name it with --step" in told(capsys)[1]
    assert not (home / "embeddings" / "ben-final.safetensors").exists()
    assert compare(home, "--use", "ben-final", "--step", "3") == 0
    assert step_of(home) == 3


def test_the_step_is_put_into_use(home, capsys):
    make_likeness(home, 0.0, 0.8, 0.5)
    assert compare(home, "--use", "ben-final") == 0
    assert step_of(home) == 3
    assert compare(home, "--use", "ben-final", "--step", "6") == 2, "the name is taken"
    assert compare(home, "--use", "ben-final", "--step", "6", "--overwrite") == 0
    assert step_of(home) == 6


def test_a_grid_of_steps(home, capsys):
    words = ["--prompts", f"{NAME} on a hill", "--steps", "6", "--seeds", "1,2", "--description", "a face"]
    assert compare(home, *words, "--width", "64", "--height", "72", "--sampling-steps", "2") == 0
    lines, _ = told(capsys)
    (grid,) = events(lines, "grid")
    assert grid["rows"] == ["in words", "step 6"]
    with Image.open(grid["path"]) as picture, Image.open(events(lines, "cell_drawn")[0]["path"]) as cell:
        assert cell.size == (64, 72)
        assert picture.size == (2 * cell.width, 2 * cell.height)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--steps", "5"], "no snapshot of step 5"),
        (["--seeds", "x"], "“x” is no seed"),
        (["--width", "65"], "--width"),
        (["--stepp", "2"], "--stepp"),
        (["--use", "cat"], "“cat” is an ordinary word"),
        (["--use", NAME], "is there already"),
    ],
)
def test_what_cannot_be_used_is_refused_before_a_model_is_loaded(trained_once, capsys, words, named):
    assert compare(trained_once, *words) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert named in printed.err


def test_a_prompt_without_the_name_is_refused(home, capsys):
    assert compare(home, "--prompts", "somebody else") == 2
    assert f"does not name {NAME}" in capsys.readouterr().err


def test_what_is_no_run_is_refused(tmp_path, capsys):
    assert run(["compare", str(tmp_path), *server(tmp_path)]) == 2
    assert "is no training run" in capsys.readouterr().err
    assert run(["compare", *server(tmp_path)]) == 2


def test_use_of_what_is_being_trained_is_refused_before_anything_is_measured(home, capsys):
    (found,) = find_runs(home / "textual_inversion")
    folder = RunFolder(home / "textual_inversion" / "2026-01-02" / "ben-final", "ben-final")
    folder.describe({"ending": "", "step": 3, "steps": 9, "checkpoint": "tiny", "started": 1.0})
    words = ["compare", str(found.folder.path), "--use", "Ben-Final", *server(home)]
    with another_process(folder.path) as process:
        assert run(words) == 1
        printed = capsys.readouterr()
        assert (printed.out, printed.err.count("\n")) == ("", 1)
        assert f"is being trained already, by process {process} (run 2026-01-02/ben-final)" in printed.err
