"""The commands without a page: what they print, what they write, how they end."""

import dataclasses
import json
import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
from unittest import mock

import pytest
from PIL import Image

from modules import cli, images
from modules.cli import png_info
from modules.cli.following import follow, tell
from modules.desks.models import ModelDesk
from modules.events import ImageDone, Sampled, Trained, as_data
from modules.flags import COMMANDS
from modules.infotext import parse_infotext
from modules.jobs import JobQueue, JobState
from modules.model.hashes import HashCache, sha256_of
from modules.params import Txt2ImgParams
from modules.paths import PROGRAM
from modules.script_params import ScriptParams
from tests import tiny


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    metadata = {"architecture.native_size": "64x64", "recommended.steps": "3", "recommended.cfg_scale": "2.5"}
    return tiny.checkpoint(tmp_path_factory.mktemp("model") / "small.safetensors", metadata=metadata)


def lines(capsys) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_picture_is_drawn_as_the_model_recommends_and_told_line_by_line(tmp_path, checkpoint, capsys):
    output = tmp_path / "out"
    server = ["--data-dir", str(tmp_path / "data"), "--ckpt", str(checkpoint), "--use-cpu", "all"]
    wanted = ["--prompt", "a (cat:1.2)", "--seed", "7", "--sampler", "Euler", "-o", str(output)]
    assert cli.main(["txt2img", *wanted, *server]) == 0
    told = lines(capsys)
    assert [(line["step"], line["steps"]) for line in told if line["event"] == "sampled"][-1] == (3, 3)
    done = [line for line in told if line["event"] == "image_done"]
    assert [line["path"] for line in done] == [str(path) for path in output.iterdir()]
    written = parse_infotext(images.read_infotext(next(output.iterdir())))
    expected = {"Prompt": "a (cat:1.2)", "Seed": "7", "Steps": "3", "Size-1": "64", "CFG scale": "2.5"}
    assert {key: written[key] for key in expected} == expected


def test_a_vae_of_the_settings_that_has_gone_is_told_and_passed_over(tmp_path, checkpoint, capsys):
    data, output = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    (data / "config.json").write_text(json.dumps({"sd_vae": "gone.pt", "CLIP_stop_at_last_layers": 2}))
    server = ["--data-dir", str(data), "--ckpt", str(checkpoint), "--use-cpu", "all"]
    words = ["txt2img", "--prompt", "a cat", "--seed", "7", "--sampler", "Euler", "-o", str(output)]
    assert cli.main([*words, *server]) == 0
    printed = capsys.readouterr()
    sentence = "The VAE “gone.pt” is not there any more: Automatic is used."
    assert [json.loads(line)["text"] for line in printed.out.splitlines() if '"noticed"' in line] == [sentence]
    assert sentence in printed.err
    assert parse_infotext(images.read_infotext(next(output.iterdir())))["Clip skip"] == "2"
    assert cli.main([*words, "--vae", "gone.pt", *server]) == 2, "asked for by name it is refused"
    assert "no VAE 'gone.pt'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--steps", "0"], "Sampling steps 0"),
        (["--steps", "many"], "--steps"),
        (["--width", "7"], "Width 7"),
        (["--emphasis", "Loud"], "--emphasis"),
        (["--stepps", "3"], "--stepps"),
        (["--sampler", "Foo"], "no sampler 'Foo'"),
        (["--script", "Foo"], "--script"),
        (["-o", "cat.png"], "--output is a folder"),
        (["--prompts-from", "no such file.txt"], "no such file.txt"),
    ],
)
def test_what_cannot_be_used_is_refused_before_a_model_is_loaded(arguments, named, capsys):
    assert cli.main(["txt2img", *arguments]) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert named in printed.err


def test_the_first_picture_by_a_model_names_its_hash(tmp_path, checkpoint, capsys, monkeypatch):
    go, ensure, wait = threading.Event(), HashCache.ensure, ModelDesk.with_hash
    monkeypatch.setattr(HashCache, "ensure", lambda cache, files: ensure(cache, files) if go.wait(60) else "")
    monkeypatch.setattr(ModelDesk, "with_hash", lambda desk: go.set() or wait(desk))
    server = ["--data-dir", str(tmp_path / "data"), "--ckpt", str(checkpoint), "--use-cpu", "all"]
    assert cli.main(["txt2img", "--steps", "1", *server]) == 0
    (done,) = (line for line in lines(capsys) if line["event"] == "image_done")
    assert parse_infotext(done["infotext"])["Model hash"] == sha256_of([checkpoint])[:10]


@pytest.mark.parametrize("written", [["--prompt", "-red"], ["--prompt=-red"]], ids=" ".join)
def test_a_text_may_begin_with_a_minus_sign(tmp_path, checkpoint, capsys, written):
    server = ["--data-dir", str(tmp_path / "data"), "--ckpt", str(checkpoint), "--use-cpu", "all"]
    wanted = [*written, "--negative-prompt", "-(blue:1.2), green", "--seed", "-1", "--steps", "1"]
    assert cli.main(["txt2img", *wanted, "-o", str(tmp_path / "out"), *server]) == 0
    (done,) = [line for line in lines(capsys) if line["event"] == "image_done"]
    read = parse_infotext(done["infotext"])
    assert (read["Prompt"], read["Negative prompt"]) == ("-red", "-(blue:1.2), green")
    assert read["Seed"] != "-1"


def test_a_word_that_means_nothing_is_refused_whatever_scripts_may_do(monkeypatch, capsys):
    monkeypatch.setenv("IGNORE_CMD_ARGS_ERRORS", "1")
    assert cli.main(["txt2img", "--stepps", "3"]) == 2
    assert "--stepps" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["prepare", "--survey", "photos"], "“photos” is not expected there (as in webui.sh prepare [SOURCE] "),
        (["create", "my", "cat"], "“cat” is not expected there (as in webui.sh create [NAME] [flags]): a text of"),
        (["txt2img", "a", "--steps", "3"], "“a” is not expected there (webui.sh txt2img takes flags only): a text of"),
    ],
    ids=lambda case: " ".join(case) if isinstance(case, list) else "",
)
def test_a_word_in_the_wrong_place_is_told_what_the_right_one_is(words, told, capsys):
    assert cli.main(words) == 2
    assert capsys.readouterr().err.startswith(told)


@pytest.mark.parametrize("behind", [[], ["--steps", "3"], ["-o", "out"], ["--stepps"]], ids=" ".join)
def test_a_text_that_is_missing_is_told_and_no_flag_is_taken_for_it(behind, capsys):
    assert cli.main(["txt2img", "--prompt", *behind]) == 2
    told = capsys.readouterr().err
    assert told == "--prompt: expected one argument (one that begins with a minus sign is written --prompt=-…).\n"


def test_a_picture_is_drawn_like_another_and_what_differs_is_told(tmp_path, checkpoint, capsys):
    picture, output = tmp_path / "picture.png", tmp_path / "out"
    infotext = "a ((cat))\nSteps: 2, Sampler: Euler a, CFG scale: 5, Seed: 11, Size: 72x64, Model hash: 0123456789"
    images.save_png(Image.new("RGB", (8, 8)), picture, infotext)
    server = ["--data-dir", str(tmp_path / "data"), "--ckpt", str(checkpoint), "--use-cpu", "all"]
    assert cli.main(["txt2img", "--like", str(picture), "--cfg-scale", "4", "-o", str(output), *server]) == 0
    told = lines(capsys)
    assert "Model" in [line["subject"] for line in told if line["event"] == "difference"]
    written = parse_infotext(images.read_infotext(next(output.iterdir())))
    expected = {"Prompt": "a ((cat))", "Seed": "11", "Steps": "2", "Sampler": "Euler a", "Size-1": "72"}
    assert {key: written[key] for key in expected} == expected
    assert written["CFG scale"] == "4", "what is given wins"


def test_a_script_draws_its_sheet(tmp_path, checkpoint, capsys):
    server = ["--data-dir", str(tmp_path / "data"), "--ckpt", str(checkpoint), "--use-cpu", "all"]
    axis = ["--script", "X/Y/Z plot", "--x-type", "Steps", "--x-values", "1,2"]
    assert cli.main(["txt2img", "--prompt", "a cat", *axis, "-o", str(tmp_path / "out"), *server]) == 0
    told = lines(capsys)
    assert sum(line["event"] == "image_done" for line in told) == 2
    (sheet,) = [line["path"] for line in told if line["event"] == "grid_done"]
    assert "X Type: Steps" in images.read_infotext(sheet)


def test_the_lines_of_a_file_are_drawn_one_after_the_other(tmp_path, checkpoint, capsys):
    prompts = tmp_path / "prompts.txt"
    prompts.write_text('a cat\n--prompt "a dog" --seed 5\n')
    server = ["--data-dir", str(tmp_path / "data"), "--ckpt", str(checkpoint), "--use-cpu", "all"]
    assert cli.main(["txt2img", "--steps", "1", "--prompts-from", str(prompts), *server]) == 0
    done = [line["infotext"] for line in lines(capsys) if line["event"] == "image_done"]
    assert [text.splitlines()[0] for text in done] == ["a cat", "a dog"]
    assert "Seed: 5" in done[1]


def test_every_parameter_of_a_run_and_of_a_script_has_a_flag(capsys):
    with pytest.raises(SystemExit):
        cli.main(["txt2img", "--help"])
    explained = capsys.readouterr().out
    fields = {field.name for kind in (Txt2ImgParams, ScriptParams) for field in dataclasses.fields(kind)}
    flags = {
        "--" + name.replace("_", "-") for name in fields - {"preview_every", "include_sub_images"}
    }  # shown on pages only
    assert {flag for flag in flags if not re.search(rf"{flag}\b", explained)} == set()


def test_ranges_are_told_in_numbers_that_can_be_typed(capsys):
    with pytest.raises(SystemExit):
        cli.main(["train", "--help"])
    assert "1 … 1000000" in (explained := capsys.readouterr().out)
    assert "e+" not in explained
    assert cli.main(["train", "x", "photos", "--steps", "0"]) == 2
    assert capsys.readouterr().err == "Max steps 0 lies outside 1 … 1000000.\n"


def test_a_line_is_json_whatever_it_tells(capsys):
    """No NaN, which JSON does not know, and no half of a character, which UTF-8 does not."""
    tell(as_data(Trained(1, 2, math.nan, math.inf, 0.005, 1.0, 0.1)))
    tell({"event": "x", "text": "\ud800"})
    first, second = capsys.readouterr().out.splitlines()
    assert json.loads(first, parse_constant=lambda word: pytest.fail(word))["loss"] is None
    assert json.loads(second)["text"] == "\ud800"


def test_a_picture_without_parameters_is_no_example(tmp_path, capsys):
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.png")
    assert cli.main(["txt2img", "--like", str(tmp_path / "plain.png")]) == 1
    assert "carries no parameters" in capsys.readouterr().err


def test_a_model_that_cannot_be_used_ends_with_one(tmp_path, capsys):
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no model")
    assert cli.main(["txt2img", "--data-dir", str(tmp_path), "--ckpt", str(broken), "--use-cpu", "all"]) == 1
    assert lines(capsys)[-1]["event"] == "failed"


def test_ctrl_c_interrupts_the_job_and_ends_with_130(tmp_path, capsys):
    before = signal.getsignal(signal.SIGINT)

    def work():
        yield Sampled(1, 9)
        os.kill(os.getpid(), signal.SIGINT)  # what a terminal sends
        for _ in range(6000):  # a minute: the handler runs when the main thread has its turn
            if (yield Sampled(2, 9)):
                yield ImageDone(tmp_path / "kept.png", "", 0, 1, incomplete=True)
                return
            time.sleep(0.01)

    jobs = JobQueue()
    assert follow(jobs.submit("long", work())) == 130
    assert lines(capsys)[-1] | {"path": ""} == {
        "event": "image_done", "path": "", "infotext": "", "index": 0, "seed": 1, "incomplete": True, "subseed": -1,
        "place": -1,
    }  # fmt: skip
    assert signal.getsignal(signal.SIGINT) is before
    jobs.stop(10)


def test_ctrl_c_that_comes_too_late_for_one_job_ends_the_command_before_the_next():
    """While a model loads nothing is asked for long: the training behind it is what was meant."""
    followed, jobs = threading.Event(), JobQueue()

    def work():
        yield Sampled(1, 9)
        followed.wait(60)
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(6000):  # as above
            if job.asked:
                return
            time.sleep(0.01)

    job = jobs.submit("loading", work())
    assert follow(job, listen=lambda _: followed.set(), more=True) == 130
    assert (job.state, follow(job)) == (JobState.FINISHED, 0)
    jobs.stop(10)


def test_ctrl_c_between_two_jobs_ends_with_130(monkeypatch):
    monkeypatch.setattr(png_info, "run", mock.Mock(side_effect=KeyboardInterrupt))
    assert cli.main(["png-info", "a.png"]) == 130


def test_a_reader_that_has_gone_ends_the_command_without_a_traceback(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.png")
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "webui.py", "png-info", str(tmp_path / "plain.png")]
    ended = subprocess.run(command, cwd=PROGRAM, stdout=writer, stderr=subprocess.PIPE, timeout=60)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (130, b"")


def test_png_info_prints_text_and_parameters(tmp_path, capsys):
    path = tmp_path / "picture.png"
    images.save_png(
        Image.new("RGB", (8, 8)), path, "a cat\nSteps: 4, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 8x8"
    )
    assert cli.main(["png-info", str(path)]) == 0
    (told,) = lines(capsys)
    assert (told["infotext"][:5], told["parameters"]["Sampler"]) == ("a cat", "Euler a")


def test_png_info_of_a_picture_without_parameters_is_empty(tmp_path, capsys):
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.png")
    assert cli.main(["png-info", str(tmp_path / "plain.png")]) == 0
    assert lines(capsys) == [{"infotext": "", "parameters": {}, "items": {}}]


@pytest.mark.parametrize("command", [["png-info"], ["txt2img", "--like"]])
@pytest.mark.parametrize(
    ("name", "words"),
    [("text.png", "is not a picture"), ("missing.png", "There is no file"), ("folder", "is a folder")],
)
def test_no_picture_is_a_sentence_that_says_what_it_is(tmp_path, capsys, command, name, words):
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "folder").mkdir()
    assert cli.main([*command, str(tmp_path / name)]) == 1
    told = capsys.readouterr().err
    assert (words in told, name in told, told.count("\n")) == (True, True, 1)


@pytest.mark.parametrize("name", ["a" * 5000, "~nobody-of-that-name/a.png"], ids=["too long", "unknown user"])
@pytest.mark.parametrize(
    "command",
    [
        ["png-info"],
        ["txt2img", "--like"],
        ["txt2img", "--output"],
        ["txt2img", "--prompts-from"],
        ["txt2img", "--data-dir"],
        ["train", "--settings"],
        ["train", "--resume"],
        ["compare"],
        ["export", "ben", "--output"],
        ["export", "--format", "pt", "--name"],
    ],
    ids=" ".join,
)
def test_no_path_is_a_sentence(command, name, capsys):
    assert cli.main([*command, name]) == 2
    printed = capsys.readouterr()
    assert not printed.out
    assert re.fullmatch(r"[^\n]+\.\n", printed.err)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "--help"])
    assert ended.value.code == 0
    assert f"webui.sh {command}" in capsys.readouterr().out
