"""K5 for runs: a living process keeps its run, a dead one does not."""

import json
import os
import platform
import subprocess
import sys

import psutil
import pytest

from modules.errors import JobBusy
from modules.training.lock import NAME, held, holder


def noted(process: int, created: float, machine: str = "") -> str:
    return json.dumps({"process": process, "created": created, "machine": machine or platform.node()})


def test_who_holds_it_is_told_while_it_is_held(tmp_path):
    with held(tmp_path):
        assert holder(tmp_path) == os.getpid()
        with pytest.raises(JobBusy, match=str(os.getpid())), held(tmp_path):
            pytest.fail("held twice")
    assert holder(tmp_path) is None
    assert not any(tmp_path.iterdir())


def test_what_a_dead_process_left_is_taken_over(tmp_path):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        (tmp_path / NAME).write_text(noted(other.pid, psutil.Process(other.pid).create_time()))
        assert holder(tmp_path) == other.pid
        other.kill()
    assert holder(tmp_path) is None
    with held(tmp_path):
        assert holder(tmp_path) == os.getpid()


@pytest.mark.parametrize(
    "text",
    [
        noted(os.getpid(), psutil.Process().create_time() - 100),  # the number belongs to a younger process now
        noted(os.getpid(), psutil.Process().create_time(), "another machine"),
        "half a fi",
        "[]",
        '{"process": null, "created": 1, "machine": "x"}',
    ],
    ids=["younger process", "another machine", "half", "list", "null"],  # the texts differ from process to process
)
def test_what_says_nothing_holds_nobody_back(tmp_path, text):
    (tmp_path / NAME).write_text(text)
    assert holder(tmp_path) is None
