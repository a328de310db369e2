"""A server for programs in this process: the real one, with the tiny model, on a port of its own."""

import base64
import contextlib
import io
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from PIL import Image

from modules.app import App
from modules.flags import Flags
from modules.jobs import Job
from modules.server import Server, make_server
from modules.settings import Settings
from tests.hosted import PATIENCE, Isolated, loaded, until

STARTING = 60.0
API_ONLY = Flags(use_cpu=True, api=True, nowebui=True)
SMALL = {"prompt": "a cat", "width": 64, "height": 64, "steps": 2, "seed": 1, "sampler_name": "Euler"}


class _ServerInThread(Server):
    """The real one, without signals: those reach the main thread only."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Served:
    """An App and the server before it.

    Attributes:
        app: the App; started, its model loaded.
        url, port: of the server.
        client: a program that knows no login.
        wishes: what programs asked for by `server-stop` and the like.
    """

    def __init__(self, app: App):
        self.app = app
        self.wishes: list[str] = []
        config = uvicorn.Config(
            make_server(app, self.wishes.append), "127.0.0.1", 0, log_config=None, timeout_graceful_shutdown=5
        )
        self._server = _ServerInThread(config, on_ready=lambda: None)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        deadline = time.monotonic() + STARTING
        while not self._server.started and time.monotonic() < deadline:
            time.sleep(0.02)
        assert self._server.started
        self.port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = httpx.Client(base_url=self.url, timeout=PATIENCE)

    def get(self, path: str, **query: Any) -> httpx.Response:
        return self.client.get(_full(path), params=query)

    def post(self, path: str, body: Any = None, **query: Any) -> httpx.Response:
        return self.client.post(_full(path), json=body, params=query)

    def stop(self) -> None:
        """End server and App; everything has to end in time."""
        self.client.close()
        self._server.should_exit = True
        assert self.app.stop(PATIENCE)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()


def start(data: Path, flags: Flags = API_ONLY, settings: Settings | None = None) -> Served:
    """Serve an App with the model that lies in its data folder, once it is loaded."""
    app = App(Isolated(data), settings, flags)
    app.start()
    return Served(loaded(app))


def over(job: Job) -> Job:
    """The job, once it is over."""
    until(job, lambda: job.is_over)
    return job


def image(encoded: str) -> Image.Image:
    """A picture of an answer."""
    return Image.open(io.BytesIO(base64.b64decode(encoded, validate=True)))


def info(answer: httpx.Response) -> dict[str, Any]:
    """The JSON inside of the JSON."""
    return json.loads(answer.json()["info"])


def sentence(answer: httpx.Response) -> str:
    """What an error says: in A1111's form, one line, without a trace of our inside."""
    told = answer.json()
    assert set(told) == {"error", "detail", "body", "errors"}, told
    assert told["detail"] == told["errors"]
    assert "\n" not in told["detail"]
    assert "Traceback" not in answer.text
    assert told["detail"].endswith((".", "?"))
    return told["detail"]


def _full(path: str) -> str:
    return path if path.startswith("/") else f"/sdapi/v1/{path}"
