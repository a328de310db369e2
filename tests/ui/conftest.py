"""A page that answers in this process, drawn by the stand-in."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvicorn

from modules.server import Server, make_server
from tests.ui.stand_in import StandIn

STARTING = 60.0  # seconds; a guard: it takes less than two


class ServerInThread(Server):
    """The real one, without signals: those reach the main thread only."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Live:
    """A stand-in and the server before it.

    Attributes:
        app: the App.
        port, url: of the page.
    """

    def __init__(self, app: StandIn, port: int = 0):
        self.app = app
        config = uvicorn.Config(make_server(app), "127.0.0.1", port, log_config=None, timeout_graceful_shutdown=5)
        self._server = ServerInThread(config, on_ready=app.start)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        deadline = time.monotonic() + STARTING
        while not self._server.started and time.monotonic() < deadline:
            time.sleep(0.05)
        assert self._server.started
        self.port = self._server.servers[0].sockets[0].getsockname()[1]  # chosen by the system: tests run side by side
        self.url = f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """End the server as its process would end: connections are cut."""
        self._server.should_exit = True
        self._thread.join()
        self.app.steps.release(10_000)
        self.app.stop()


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """One server for a module; see `live`."""
    live = Live(StandIn(tmp_path_factory.mktemp("lasting") / "data"))
    yield live
    live.stop()


@pytest.fixture
def live(lasting: Live, capsys: pytest.CaptureFixture[str]) -> Iterator[Live]:
    """The module's server, idle and as it was at its start, but for pictures that other browsers made.

    A test may change the pace of its App, and break runs; its browser is a new one. The test fails as with `serve`.
    """
    yield lasting
    lasting.app.calm_down()
    assert "Traceback" not in capsys.readouterr().err


@pytest.fixture
def serve(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Live]]:
    """`serve(pace=…, …)` makes a stand-in with these arguments and serves it, for this test alone.

    The test fails if Gradio printed a traceback: its page shows nothing of an event that went wrong.
    """
    running: list[Live] = []

    def start(port: int = 0, **arguments: object) -> Live:
        running.append(Live(StandIn(tmp_path / f"data{len(running)}", **arguments), port))  # type: ignore[arg-type]
        return running[-1]

    yield start
    for live in running:
        live.stop()
    assert "Traceback" not in capsys.readouterr().err
