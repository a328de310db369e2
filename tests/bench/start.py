"""From `./webui.sh` to the whole page sent to a browser, the environment being set up already (the second start)."""

import re
import signal
import statistics
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from modules.paths import PROGRAM
from tests.bench import RUNS, Result


def run() -> Iterator[Result]:
    with tempfile.TemporaryDirectory() as folder:
        _start(Path(folder))  # not counted: it may still set something up
        times = [_start(Path(folder)) for _ in range(RUNS)]
    yield Result("the page answers after ./webui.sh", statistics.median(times), "s", 8.0)


def _start(data: Path) -> float:
    begin = time.perf_counter()
    command = [str(PROGRAM / "webui.sh"), "--data-dir", str(data)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert server.stdout
        line = next((line for line in server.stdout if "local URL" in line), "")
        found = re.search(r"http://\S+", line)
        assert found, "the server ended before it served"
        with urllib.request.urlopen(found.group(), timeout=60) as answer:
            answer.read()
        return time.perf_counter() - begin
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)
