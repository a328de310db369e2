"""`./webui.sh train`: what it tells, how it ends, and that nothing it did is lost."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

from modules.cli import following, train
from modules.model.hashes import sha256_of
from modules.paths import PROGRAM, Paths
from modules.training.run_folder import RunFolder, find_runs, require_free
from modules.training_params import TrainParams
from tests.cli.runs import MODEL, NAME, events, run, server, told, trained, training
from tests.training.tiny_run import another_process, make_photos

PATIENCE = 300.0  # seconds for a process to load torch and do six tiny steps on a busy machine


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return make_photos(tmp_path_factory.mktemp("photos") / "ben", 4)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, photos):
    """The data folder of a run that nothing disturbed."""
    data = tmp_path_factory.mktemp("whole")
    assert run(training(data, photos)) == 0
    return data


def stop_at(monkeypatch, step: int) -> None:
    """Send what Ctrl-C sends, once this step was told."""
    tell = following.tell

    def tell_and_stop(data):
        tell(data)
        if data["event"] == "state_saved" and data["step"] == step:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(following, "tell", tell_and_stop)


def the_run(data):
    (found,) = find_runs(data / "textual_inversion")
    return found


def test_a_run_is_told_line_by_line_and_the_embedding_made_first(tmp_path, photos, capsys):
    assert run(training(tmp_path, photos)) == 0
    lines, sentences = told(capsys)
    assert [line["step"] for line in events(lines, "snapshot_saved")] == [0, 2, 4, 6]
    assert events(lines, "trained")[-1]["step"] == 6
    (ended,) = events(lines, "training_ended")
    assert (ended["kind"], ended["step"]) == ("finished", 6)
    assert trained(tmp_path).step == 6
    assert trained(tmp_path).checkpoint_hash == sha256_of([MODEL])[:10]
    assert "Training to step 6 on 4 photos" in sentences
    assert ended["sentence"] in sentences


def test_the_number_of_photos_decides_what_is_not_given(tmp_path, photos, capsys):
    words = training(tmp_path, photos)
    without = words[: words.index("--steps")] + words[words.index("--steps") + 2 :]
    assert run([*without, "--preset", "face", "--learning-rate", "1e-3:1"]) == 0  # the schedule ends after one step
    about = the_run(tmp_path).folder.about()
    assert about["params"]["steps"] == 100, "the least that is advised"
    assert about["params"]["template"] == "subject_filewords.txt"


def test_ctrl_c_stops_and_keeps_and_the_same_command_ends_the_same(tmp_path, photos, whole, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        stop_at(patch, 2)
        assert run(training(tmp_path, photos)) == 130
    lines, _ = told(capsys)
    (ended,) = events(lines, "training_ended")
    assert ended["kind"] == "stopped"
    assert 2 <= ended["step"] < 6
    assert trained(tmp_path).step == ended["step"]
    assert run(training(tmp_path, photos)) == 0
    lines, sentences = told(capsys)
    assert "Going on with the run in" in sentences
    assert events(lines, "training_started")[0]["first_step"] == ended["step"]
    assert torch.equal(trained(tmp_path).vectors, trained(whole).vectors)


def test_the_same_command_goes_on_without_photos_that_were_set_aside(tmp_path, monkeypatch, capsys):
    """As the page does. What is not given suited more photos when the run began."""
    photos = make_photos(tmp_path / "photos", 12)
    words = [*training(tmp_path, photos, held_out="2", held_out_every="2"), "--preset", "object"]
    for name in ("--steps", "--seed"):
        del words[words.index(name) : words.index(name) + 2]
    with monkeypatch.context() as patch:
        stop_at(patch, 2)
        assert run(words) == 130
    before = the_run(tmp_path)
    for name in before.folder.about()["held_out"]:
        (photos / name).unlink()
    capsys.readouterr()
    stop_at(monkeypatch, 6)
    assert run(words) == 130
    lines, sentences = told(capsys)
    assert "The 2 photos that were set aside are gone: resumed, the held-out loss is measured on" in sentences
    assert events(lines, "training_started")[0]["first_step"] == before.step
    assert the_run(tmp_path).steps == before.steps


def test_a_run_that_has_learned_from_an_overview_goes_on(tmp_path, monkeypatch):
    """New runs leave those out; in this one none of its photos is gone."""
    photos = make_photos(tmp_path / "photos", 1)
    shutil.copy(next(photos.glob("*.png")), photos / "grid-0000.png")
    params = TrainParams(NAME, data_root=str(photos))
    about = {"photos": [path.name for path in photos.glob("*.png")], "params": asdict(params)}
    before = SimpleNamespace(folder=SimpleNamespace(about=lambda: about), may_go_on=True)
    monkeypatch.setattr(train, "find_runs", lambda root: [before])
    app: Any = SimpleNamespace(paths=Paths(tmp_path))
    assert train._same_run(app, params, {}, "face") is before


@pytest.mark.parametrize("gone", ["one", "one for another", "all"])
def test_photos_that_a_run_learned_from_are_missed_by_name(tmp_path, monkeypatch, capsys, gone):
    """No other run in silence, and none without them that nobody asked for: both cannot be undone."""
    photos = make_photos(tmp_path / "photos", 5)
    words = training(tmp_path, photos)
    with monkeypatch.context() as patch:
        stop_at(patch, 2)
        assert run(words) == 130
    before = the_run(tmp_path)
    first, *others = sorted(before.folder.about()["photos"])
    kept = {name: (photos / name).read_bytes() for name in (first, *others)}
    for name in kept if gone == "all" else [first]:
        (photos / name).unlink()
    if gone != "one":
        (photos / "another.png").write_bytes(kept[first])
    capsys.readouterr()
    assert run(words) == 2
    lines, sentences = told(capsys)
    assert not events(lines, "training_started")
    assert f"gone from “{photos}”: {first}" in sentences
    assert "Put them back, go on without them by --resume FOLDER, or start another run by --afresh." in sentences
    assert the_run(tmp_path) == before
    code = run(["train", "--resume", str(before.folder.path), *server(tmp_path)])
    lines, sentences = told(capsys)
    if gone == "all":
        assert code == 2
        assert "No photo in" in sentences
    else:
        assert code == 0
        assert f"1 photo is not used: {first}" in sentences
        assert events(lines, "training_started")[0]["photos"] == 4


def test_the_photos_of_another_folder_make_another_run(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        stop_at(patch, 2)
        assert run(training(tmp_path, make_photos(tmp_path / "photos", 4))) == 130
    others = make_photos(tmp_path / "others", 4)
    for path in list(others.iterdir()):
        path.rename(path.with_name("of-another-" + path.name))
    assert run(training(tmp_path, others)) == 0
    assert len(find_runs(tmp_path / "textual_inversion")) == 2


def test_a_terminated_process_keeps_what_it_did(tmp_path, photos):
    """K4: as systems end programs, without a keyboard."""
    words = training(tmp_path, photos)
    words[words.index("--steps") + 1] = "100000"
    command = [sys.executable, "webui.py", *words]
    with subprocess.Popen(
        command, cwd=PROGRAM, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout
        told = []
        for line in process.stdout:
            told.append(json.loads(line))
            if told[-1]["event"] == "state_saved" and told[-1]["step"] == 2:
                process.terminate()
        assert process.wait(PATIENCE) == 130
    (ended,) = [event for event in told if event["event"] == "training_ended"]
    assert ended["kind"] == "stopped"
    assert trained(tmp_path).step == ended["step"] == the_run(tmp_path).step


def test_two_processes_never_train_one_embedding(tmp_path, photos, capsys):
    """Both would write its file. Another embedding may be trained meanwhile, and a dead process holds nobody back."""
    folder = RunFolder(tmp_path / "textual_inversion" / "2026-01-02" / NAME, NAME)
    folder.describe({"ending": "", "step": 3, "steps": 9, "checkpoint": "tiny", "started": 1.0})
    with another_process(folder.path) as process:
        assert run(training(tmp_path, photos)) == 1
        printed = capsys.readouterr()
        assert (printed.out, printed.err.count("\n")) == ("", 1)
        assert f"“{NAME}” is being trained already, by process {process} (run 2026-01-02/{NAME})" in printed.err
        require_free(tmp_path / "textual_inversion", "another-t1")
    assert run(training(tmp_path, photos)) == 0


def test_afresh_starts_another_run(tmp_path, photos, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        stop_at(patch, 2)
        assert run(training(tmp_path, photos)) == 130
    assert run([*training(tmp_path, photos), "--afresh"]) == 0
    assert len(find_runs(tmp_path / "textual_inversion")) == 2


def test_a_killed_process_is_gone_on_with_by_the_same_command(tmp_path, photos, whole, capsys):
    command = [sys.executable, "webui.py", *training(tmp_path, photos)]
    with subprocess.Popen(
        command, cwd=PROGRAM, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "state_saved" and event["step"] == 4:
                process.kill()
                break
        assert process.wait(PATIENCE) == -signal.SIGKILL
    assert the_run(tmp_path).ending == ""
    assert run(training(tmp_path, photos)) == 0
    lines, _ = told(capsys)
    assert events(lines, "training_started")[0]["first_step"] == 4
    assert torch.equal(trained(tmp_path).vectors, trained(whole).vectors)


@pytest.mark.parametrize("carried", ["beside", "elsewhere"])
def test_a_run_is_carried_to_another_machine(tmp_path, whole, monkeypatch, capsys, carried):
    rented, home = tmp_path / "rented", tmp_path / "home"
    photos = make_photos(rented / "photos", 4)
    with monkeypatch.context() as patch:
        stop_at(patch, 2)
        assert run(training(rented, photos)) == 130
    shutil.move(rented, home)
    folder = the_run(home).folder.path
    given = []
    if carried == "elsewhere":
        shutil.move(home / "photos", tmp_path / "pictures")
        assert run(["train", "--resume", str(folder), *server(home)]) == 2, "nobody can guess where they are"
        given = ["--data-root", str(tmp_path / "pictures")]
    capsys.readouterr()
    assert run(["train", "--resume", str(folder), *given, *server(home)]) == 0
    lines, _ = told(capsys)
    assert events(lines, "training_started")[0]["first_step"] >= 2
    assert torch.equal(trained(home).vectors, trained(whole).vectors)


def test_a_run_is_repeated_from_its_settings_file(tmp_path, photos, whole, capsys):
    (settings,) = the_run(whole).folder.path.glob("settings-*.json")
    start = ["--init-text", "face", "--vectors-per-token", "2"]
    assert run(["train", "--settings", str(settings), *start, *server(tmp_path)]) == 0
    assert torch.equal(trained(tmp_path).vectors, trained(whole).vectors)


def test_a_diverged_run_ends_with_one(tmp_path, photos, capsys):
    assert run(training(tmp_path, photos, learning_rate="1e30")) == 1
    lines, sentences = told(capsys)
    assert events(lines, "training_ended")[0]["kind"] == "diverged"
    assert sentences.count("Training diverged") == 1


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"steps": "0"}, "Max steps 0"),
        ({"learning_rate": "fast"}, "“fast”"),
        ({"template": "mine.txt"}, "mine.txt"),
        ({"data_root": "/nowhere"}, "/nowhere"),
        ({"stepps": "3"}, "--stepps"),
        ({"preset": "cat"}, "--preset"),
        ({"resume": "somewhere"}, "only --data-root can"),
        ({"settings": "no-such-file.json"}, "no-such-file.json"),
        ({"filename_word_regex": "a{99999999999}"}, "regex cannot be read"),
        ({"filename_word_regex": "(" * 3000 + ")" * 3000}, "regex cannot be read"),
        ({"template": "t" * 300}, "The template “ttt"),
        ({"log_directory": "l" * 300}, "no path"),
        ({"log_directory": "l/" * 2500}, "no path"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_used_is_refused_before_a_model_is_loaded(tmp_path, photos, capsys, changed, named):
    assert run(training(tmp_path, photos, **changed)) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert named in printed.err


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[1, 2]",
        '{"steps": "many", "batch_size": 1}',
        '{"steps": 3, "batch_size": {}}',
        '{"steps": 3, "template_file": ["a"]}',
        '{"steps": 3, "log_directory": ["a"]}',
        '{"steps": 3, "template_file": "a\\u0000b"}',
        '{"steps": 3, "log_directory": "a\\u0000b"}',
    ],
)
def test_a_settings_file_that_cannot_be_used_is_a_bad_command_line(tmp_path, photos, capsys, content):
    settings = tmp_path / "settings.json"
    settings.write_text(content)
    assert run(["train", NAME, str(photos), "--settings", str(settings), *server(tmp_path)]) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)


@pytest.mark.parametrize("content", [None, "{", "[]", '{"name": "x"}'])
def test_only_a_run_can_be_gone_on_with(tmp_path, capsys, content):
    folder = tmp_path / "no-run"
    if content is not None:
        folder.mkdir()
        (folder / "run.json").write_text(content)
    assert run(["train", "--resume", str(folder), *server(tmp_path)]) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert "“no-run” is no training run" in printed.err


def test_photos_that_are_too_small_are_named_and_left_out(tmp_path, capsys):
    photos = make_photos(tmp_path / "photos", 3)
    Image.new("RGB", (1, 1)).save(photos / "dot.png")
    Image.new("RGB", (2000, 8)).save(photos / "line.png")
    assert run(training(tmp_path, photos)) == 0
    lines, sentences = told(capsys)
    assert events(lines, "training_started")[0]["photos"] == 3
    assert "2 photos are not used: dot.png: it is 1×1, less than 64 pixels on one side; line.png" in sentences
    for path in photos.glob("0*"):
        path.unlink()
    assert run([*training(tmp_path, photos, steps="9"), "--afresh"]) == 2
    assert "No photo in" in capsys.readouterr().err


def test_an_embedding_that_nobody_made_is_refused(tmp_path, photos, capsys):
    words = [word for word in training(tmp_path, photos) if word not in ("--init-text", "face")]
    words = words[: words.index("--vectors-per-token")] + words[words.index("--vectors-per-token") + 2 :]
    assert run(words) == 2
    assert f"“{NAME}” cannot be trained" in capsys.readouterr().err
