"""The commands without a page: what they print, what they write, how they end."""

import json
import os
import signal
import time

import pytest
from PIL import Image

from modules import cli, images
from modules.cli.following import follow
from modules.events import ImageDone, Sampled
from modules.flags import COMMANDS
from modules.infotext import parse_infotext
from modules.jobs import JobQueue
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


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--steps", "0"], "Sampling steps 0"),
        (["--steps", "many"], "--steps"),
        (["--width", "70"], "Width 70"),
        (["--emphasis", "Loud"], "--emphasis"),
        (["--stepps", "3"], "--stepps"),
    ],
)
def test_what_cannot_be_used_is_refused_before_a_model_is_loaded(arguments, named, capsys):
    assert cli.main(["txt2img", *arguments]) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert named in printed.err


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
        "event": "image_done", "path": "", "infotext": "", "index": 0, "seed": 1, "incomplete": True
    }  # fmt: skip
    assert signal.getsignal(signal.SIGINT) is before
    jobs.stop(10)


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
    assert lines(capsys) == [{"infotext": "", "parameters": {}}]


@pytest.mark.parametrize("name", ["text.png", "missing.png"])
def test_png_info_of_no_picture_is_a_sentence(tmp_path, capsys, name):
    (tmp_path / "text.png").write_text("no picture")
    assert cli.main(["png-info", str(tmp_path / name)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "--help"])
    assert ended.value.code == 0
    assert f"webui.sh {command}" in capsys.readouterr().out
