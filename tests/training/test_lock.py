"""K5 for runs: a living process keeps its run, a dead one does not."""

import json
import os
import platform
import subprocess
import sys

import psutil
import pytest

from modules.errors import JobBusy
from modules.paths import PROGRAM
from modules.training import lock
from modules.training.lock import NAME, held, holder
from modules.training.run_folder import RunFolder, find_runs
from modules.training.train import train
from tests.training.tiny_run import NAME as NAME_OF_RUN
from tests.training.tiny_run import database, make_embedding, make_photos, small


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


HOLDS = """
import sys
from pathlib import Path
from modules.training.lock import starting
with starting(Path(sys.argv[1])):
    print("held", flush=True)
    input()
"""


def test_only_one_process_at_a_time_takes_a_run_and_a_dead_one_gives_it_back(tmp_path, monkeypatch):
    """Two that saw a free embedding at the same moment would both train it."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=PROGRAM,
    ) as other:
        assert other.stdout
        assert other.stdout.readline() == "held\n"
        monkeypatch.setattr(lock, "PATIENCE", 0.1)
        with pytest.raises(JobBusy, match="Another program is starting"), lock.starting(tmp_path):
            pytest.fail("held twice")
        other.kill()
        other.wait()
        with lock.starting(tmp_path):
            pass


def test_an_embedding_that_another_process_begins_to_train_meanwhile_is_left_to_it(tmp_path, paths, model):
    """While photos are encoded: the look before the start saw nobody."""
    make_embedding(paths)
    work = train(model, database(paths), small(make_photos(tmp_path / "photos", 2)), paths)
    next(work)
    folder = RunFolder(paths.textual_inversion / "2026-01-02" / NAME_OF_RUN, NAME_OF_RUN)
    folder.describe({"ending": "", "step": 3, "steps": 9, "checkpoint": "tiny", "started": 1.0})
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        (folder.path / NAME).write_text(noted(other.pid, psutil.Process(other.pid).create_time()))
        with pytest.raises(JobBusy, match=f"by process {other.pid}"):
            list(work)
        other.kill()
    assert [run.folder.path for run in find_runs(paths.textual_inversion)] == [folder.path]


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
