"""The web server: the page, one route that says it is alive, and the guard before both."""

import contextlib
import secrets
import signal
import socket
import types
from collections.abc import Callable, Iterator

import gradio as gr
import uvicorn
from fastapi import FastAPI

from modules.app import App
from modules.flags import Flags
from modules.guard import Guard
from modules.ui import assets
from modules.ui.page import make_page
from modules.ui.theme import make_theme
from modules.ui.train.photo_routes import add_photo_routes

MAX_UPLOAD = "50mb"


def make_server(app: App) -> FastAPI:
    """Everything that answers requests, for an App that need not be started yet."""
    server = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    started = secrets.token_hex(4)

    @server.get("/internal/ping")
    def ping() -> dict[str, str]:  # pyright: ignore[reportUnusedFunction]
        return {"started": started}

    add_photo_routes(server, app)
    gr.set_static_paths([app.paths.outputs])  # served from where they lie: copies in a cache would double the disk
    gr.mount_gradio_app(
        server,
        make_page(app),
        path="/",
        footer_links=[],
        run_history=False,
        show_error=False,
        max_file_size=MAX_UPLOAD,
        ssr_mode=False,
        pwa=False,
        enable_monitoring=False,
        theme=make_theme(),
        js=assets.script(),
        head=_head(app.flags),
    )
    is_open = app.flags.listen or app.flags.server_name is not None
    server.add_middleware(Guard, names=_names(app.flags), any_address=is_open, logins=app.flags.logins)
    return server


def serve(server: FastAPI, address: str, port: int, on_ready: Callable[[], object]) -> int:
    """Answer requests until a signal says stop.

    Args:
        on_ready: called once, when the port is open.

    Returns:
        the exit code: 130 after Ctrl-C, else 0.
    """
    config = uvicorn.Config(server, address, port, log_config=None, access_log=False, timeout_graceful_shutdown=5)
    running = Server(config, on_ready)
    running.run()
    return 130 if running.signal == signal.SIGINT else 0


class Server(uvicorn.Server):
    """Ends by itself: uvicorn's own sends the signal once more at the end, before the App could put things away."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], object]):
        super().__init__(config)
        self.signal: int | None = None
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.should_exit:
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for connection in list(self.server_state.connections):  # a page's event stream would never end by itself
            if connection.transport:
                connection.transport.close()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: types.FrameType | None) -> None:
        self.signal = sig
        super().handle_exit(sig, frame)


def _head(flags: Flags) -> str:
    """The style sheets as they are, which Gradio's `css` would break at media queries; and the wished look."""
    return f'<meta name="webui-theme" content="{flags.theme or ""}"><style>{assets.style()}</style>'


def _names(flags: Flags) -> set[str]:
    """The host names that mean this server."""
    if not flags.listen and flags.server_name is None:
        return {"localhost"}
    machine = socket.gethostname().lower()
    return {"localhost", machine, f"{machine.split('.')[0]}.local", (flags.server_name or machine).lower()}
