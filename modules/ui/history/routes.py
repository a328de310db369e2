"""The two addresses under which the page gets pictures of the history: as they are, and small."""

from fastapi import FastAPI
from fastapi.responses import FileResponse, PlainTextResponse, Response

from modules.app import App
from modules.errors import ParameterError, WebuiError
from modules.ui.history.fragments import PICTURE, THUMBNAIL

_KEPT = {"Cache-Control": "private, max-age=31536000, immutable"}  # the address holds the time of the file


def add_routes(server: FastAPI, app: App) -> None:
    """Add them. Only what the history knows can be asked for, so no path leads out of its folder."""
    history = app.library.history

    @server.get(f"/{PICTURE}")
    def picture(name: str) -> Response:  # pyright: ignore[reportUnusedFunction]
        try:
            path = history.path(history.find(name))
        except WebuiError as error:
            return _refused(error)
        if not path.is_file():
            return _refused(ParameterError("picture", "This picture is not there any more."))
        return FileResponse(path, headers=_KEPT, content_disposition_type="inline", filename=path.name)

    @server.get(f"/{THUMBNAIL}")
    def thumbnail(name: str) -> Response:  # pyright: ignore[reportUnusedFunction]
        try:
            return Response(history.thumbnail(name), media_type="image/webp", headers=_KEPT)
        except WebuiError as error:
            return _refused(error)


def _refused(error: WebuiError) -> Response:
    return PlainTextResponse(str(error), status_code=404)
