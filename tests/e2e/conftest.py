"""The program as a user starts it: `./webui.sh` in a clean clone, with a data folder of its own."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modules.paths import PROGRAM

STARTING = 120.0  # seconds; guards: ten times what a busy machine needed
ENDING = 60.0


class Started:
    """A running `./webui.sh`.

    Attributes:
        data: its data folder.
        url: of the page, as it printed it.
        said: the lines it has printed.
    """

    def __init__(self, clone: Path, data: Path, *flags: str):
        self.data = data
        self.said: list[str] = []
        self._ready = threading.Event()
        with socket.create_server(("127.0.0.1", 0)) as chosen:  # not the first free one: tests run side by side
            port = str(chosen.getsockname()[1])
        self._process = subprocess.Popen(
            ["./webui.sh", "--skip-install", "--port", port, "--data-dir", str(data), *flags],
            cwd=clone,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self._listen, daemon=True).start()
        assert self._ready.wait(STARTING), f"no page after {STARTING:.0f} s: {self.said}"
        match = re.search(r"http://\S+", "".join(self.said))
        assert match, self.said
        self.url = match.group()

    def _listen(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self.said.append(line)
            if "Running on local URL" in line:
                self._ready.set()
        self._ready.set()

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; returns the exit code."""
        self._process.send_signal(number)
        return self._process.wait(ENDING)

    def kill(self) -> None:
        """End it whatever it does; nothing happens if it has ended."""
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of this checkout, with what is not committed yet laid over it; nothing that git ignores."""
    folder = tmp_path_factory.mktemp("clone") / "the studio"  # a path with a space
    _git("clone", "--quiet", str(PROGRAM), str(folder))
    for name in filter(None, _git("ls-files", "-z", "--modified", "--others", "--exclude-standard").split("\0")):
        source = PROGRAM / name
        if source.is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, folder / name)
        else:
            (folder / name).unlink(missing_ok=True)
    return folder


@pytest.fixture(scope="module")
def start(clone: Path) -> Iterator[Callable[..., Started]]:
    """`start(data, *flags)` starts the program; what still runs at the end of the module is killed."""
    running: list[Started] = []

    def start(data: Path, *flags: str) -> Started:
        running.append(Started(clone, data, *flags))
        return running[-1]

    yield start
    for started in running:
        started.kill()


def _environment() -> dict[str, str]:
    """The Python of this test run for the program, and no wishes of the developer's own."""
    in_venv = sys.prefix != sys.base_prefix
    wishes = {"COMMANDLINE_ARGS", "TORCH_COMMAND", "TORCH_INDEX_URL"}
    kept = {name: value for name, value in os.environ.items() if name not in wishes}
    return {**kept, "python_cmd": sys.executable, "venv_dir": sys.prefix if in_venv else "-"}


def _git(*words: str) -> str:
    trusted = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
    command = ["git", "-C", str(PROGRAM), *words]
    return subprocess.run(command, env={**os.environ, **trusted}, capture_output=True, text=True, check=True).stdout
