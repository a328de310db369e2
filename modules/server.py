"""The web server: the page, the interface for programs, and the guard before both."""

import contextlib
import re
import secrets
import signal
import socket
import types
from collections.abc import Callable, Iterator

import uvicorn
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import RedirectResponse

from modules.api.server import add_api, add_edge
from modules.app import App
from modules.flags import Flags
from modules.guard import PING, Guard


def make_server(app: App, end_server: Callable[[str], object] = lambda how: None) -> FastAPI:
    """Everything that answers requests, for an App that need not be started yet.

    Args:
        end_server: called with "stop" or "restart" when a program asks for it and may.
    """
    flags = app.flags
    server = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    started = secrets.token_hex(4)

    @server.get(PING, include_in_schema=flags.api)
    def ping() -> dict[str, str]:  # pyright: ignore[reportUnusedFunction]
        """Alive; another text after a restart."""
        return {"started": started}

    add_api(server, app, end_server)
    if flags.nowebui:
        server.add_route("/", lambda request: RedirectResponse("/docs"), include_in_schema=False)
    else:
        from modules.ui.mount import add_page  # gradio takes seconds to import, and programs do not need it

        add_page(server, app)
    server.add_middleware(
        Guard,
        names=_names(flags),
        any_address=flags.listen or flags.server_name is not None,
        logins=(*flags.logins, *flags.api_logins) if flags.nowebui else flags.logins,  # then all is for programs
        api_logins=flags.api_logins,
        is_welcome=_welcome(flags),
    )
    add_edge(server, app)
    if flags.cors_allow_origins or flags.cors_allow_origins_regex:  # outside: refusals can be read by welcome sites too
        server.add_middleware(
            CORSMiddleware,
            allow_origins=flags.cors_allow_origins,
            allow_origin_regex=flags.cors_allow_origins_regex,
            allow_methods=["*"],
            allow_headers=["*"],
            allow_credentials=True,
        )
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


def _welcome(flags: Flags) -> Callable[[str], bool]:
    """Whether pages of an origin may use this server as if they were ours."""
    origins, pattern = flags.cors_allow_origins, re.compile(flags.cors_allow_origins_regex or r"(?!)")
    return lambda origin: origin in origins or bool(pattern.fullmatch(origin))


def _names(flags: Flags) -> set[str]:
    """The host names that mean this server."""
    if not flags.listen and flags.server_name is None:
        return {"localhost"}
    machine = socket.gethostname().lower()
    return {"localhost", machine, f"{machine.split('.')[0]}.local", (flags.server_name or machine).lower()}
