"""The address under which the page gives one embedding as a file."""

from urllib.parse import quote

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse, Response

from modules.app import App
from modules.desks.export import FORMATS, exported
from modules.errors import ParameterError, WebuiError
from modules.ui.embeddings_panel import FILE

_KINDS = {"png": "image/png"}


def add_embedding_route(server: FastAPI, app: App) -> None:
    """Add it. Only what the folder of embeddings holds can be asked for."""

    @server.get(f"/{FILE}")
    def embedding(name: str, digest: str, format: str) -> Response:  # pyright: ignore[reportUnusedFunction]
        try:
            content = _content(app, name, digest, format)
        except WebuiError as error:
            return PlainTextResponse(str(error), 404)
        told = f"attachment; filename*=utf-8''{quote(f'{name}.{format}', safe='')}"
        kind = _KINDS.get(format, "application/octet-stream")
        return Response(content, media_type=kind, headers={"Content-Disposition": told, "Cache-Control": "no-store"})


def _content(app: App, name: str, digest: str, file_format: str) -> bytes:
    if file_format not in FORMATS:
        raise ParameterError("format", f"Embeddings are saved as {', '.join(FORMATS)}.")
    for entry in app.embeddings.entries():
        if entry.embedding and entry.name == name and entry.embedding.sha256 == digest:
            return exported(entry.embedding, file_format, app.paths.textual_inversion)
    raise ParameterError("name", f"“{name:.100}” is not there any more, or was changed: look for embeddings again.")
