"""Around every request to the interface: how long it took, and a line about it if `--api-log` asks for one."""

import time
from collections.abc import Callable

from modules.guard import Application, Message, Receive, Scope, Send, is_api

Print = Callable[[str], object]


class Edge:
    """ASGI middleware.

    Args:
        app: the application behind it.
        tell: gets a line for each request; None: nobody wants to know.
    """

    def __init__(self, app: Application, tell: Print | None = None):
        self.app = app
        self.tell = tell

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not is_api(scope["path"]):
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()

        async def send_timed(message: Message) -> None:
            if message["type"] == "http.response.start":
                seconds = f"{time.perf_counter() - began:.4f}"
                message = {**message, "headers": [*message.get("headers", ()), (b"x-process-time", seconds.encode())]}
                if self.tell:
                    self.tell(_line(scope, message["status"], seconds))
            await send(message)

        await self.app(scope, receive, send_timed)


def _line(scope: Scope, status: int, seconds: str) -> str:
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    client = (scope.get("client") or ("unknown",))[0]
    path = scope["path"].encode("unicode_escape").decode()  # a line stays a line
    return f"API {now} {status} http/{scope.get('http_version', '1.1')} {scope['method']} {path} {client} {seconds}"
