"""A hub that answers on this machine, with a BLIP of a megabyte that nobody could load."""

import hashlib
import http.server
import json
import threading

from modules.preprocess.blip import REPOSITORY

CONTENT = {
    "config.json": b'{"model_type": "blip"}',
    "tokenizer.json": b"{}",
    "model.safetensors": bytes(range(256)) * 4096,
    "pytorch_model.bin": b"not needed",
}


class Hub(http.server.ThreadingHTTPServer):
    """Knows the two requests that are made, and ranges.

    Attributes:
        asked: path and range of each request.
        cut: bytes after which a download breaks off; None: never.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.files = dict(CONTENT)
        self.listed = dict(CONTENT)
        self.asked: list[tuple[str, str]] = []
        self.cut: int | None = None
        self.knows_ranges = True

    def start(self) -> None:
        """Answer until `stop`."""
        self._thread = threading.Thread(target=self.serve_forever)
        self._thread.start()

    def stop(self) -> None:
        """End, as far as it has not been closed."""
        self.shutdown()
        self.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answers(http.server.BaseHTTPRequestHandler):
    server: Hub  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        asked = self.headers.get("Range", "")
        self.server.asked.append((self.path.rpartition("/")[2], asked))
        if self.path == f"/api/models/{REPOSITORY}/tree/main":
            self._send(json.dumps([entry(*item) for item in self.server.listed.items()]).encode())
            return
        content = self.server.files.get(self.path.removeprefix(f"/{REPOSITORY}/resolve/main/"))
        if content is None:
            self.send_error(404)
            return
        begin = int(asked.removeprefix("bytes=").removesuffix("-") or 0) if self.server.knows_ranges else 0
        self._send(content[begin:], 206 if begin else 200)

    def _send(self, content: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: self.server.cut])

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


def entry(name: str, content: bytes) -> dict[str, object]:
    found: dict[str, object] = {"type": "file", "path": name, "size": len(content)}
    if name.endswith(".json"):
        return {**found, "oid": hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()}
    return {**found, "oid": "0" * 40, "lfs": {"oid": hashlib.sha256(content).hexdigest(), "size": len(content)}}
