"""K4: the server ends in the middle of a run. The run loses no step, nothing goes on running, and it can be resumed."""

import dataclasses
import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from modules.events import Trained
from modules.model.checkpoint import Checkpoint
from modules.paths import PROGRAM
from modules.training.run_folder import RunFolder, find_runs
from modules.training.state import load_state
from tests.prompts.prompt_vectors import REFERENCE
from tests.training.tiny_run import pull_resumed

STARTING, ENDING = 300.0, 120.0  # seconds; guards: ten times what a busy machine needed
STEPS_BEFORE = 3


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as chosen:  # not the first free one: tests run side by side
        return chosen.getsockname()[1]


def wait_for_steps(process: subprocess.Popen[str], root: Path) -> RunFolder:
    """The run, once it has done some steps."""
    deadline = time.monotonic() + STARTING
    while time.monotonic() < deadline and process.poll() is None:
        for run in find_runs(root):
            if len(run.folder.loss_log.rows()) >= STEPS_BEFORE:
                return run.folder
        time.sleep(0.1)
    process.kill()
    pytest.fail(f"no steps were done: {process.communicate()[0]}")


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 0), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow)],
    ids=["SIGTERM", "SIGINT"],
)
def test_a_server_that_is_ended_keeps_the_run(model, paths, photos, number, code):
    checkpoint, port = REFERENCE / "models" / "tiny-sd15.safetensors", free_port()
    flags = ["--data-dir", paths.data, "--ckpt", checkpoint, "--port", port, "--use-cpu", "all"]
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.training.served", str(photos), *map(str, flags)],
        cwd=PROGRAM,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # whatever it starts belongs to its group
    )
    folder = wait_for_steps(server, paths.textual_inversion)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/internal/ping", timeout=ENDING) as answer:
        assert answer.status == 200
    server.send_signal(number)
    said = server.communicate(timeout=ENDING)[0]
    assert server.returncode == code, said
    assert "Traceback" not in said
    with pytest.raises(ProcessLookupError):
        os.killpg(server.pid, 0)

    done = int(folder.loss_log.rows()[-1][0])
    state, notices = load_state(folder.states)
    assert (state.step, notices) == (done, [])
    [run] = find_runs(paths.textual_inversion)
    assert run.is_unfinished
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    same = dataclasses.replace(model, checkpoint=Checkpoint(checkpoint, checkpoint.name, digest))
    rest = pull_resumed(same, paths, folder.path, close_after=done + 2)
    assert [event.step for event in rest.of(Trained)] == [done + 1, done + 2]
