"""What the light table asks of the server directly: photos sent, small copies fetched, decisions made."""

import json
import tempfile
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, JSONResponse, Response

from modules.app import App
from modules.errors import StorageError, WebuiError
from modules.preprocess.uploads import MAX_BYTES
from modules.ui.train.photo_edits import read_edit, told

PATH = "/internal/photos"
IN_MEMORY = 1 << 20  # bytes of a photo that is being sent; more goes to a temporary file
LONGEST_EDIT = 1_000_000  # bytes
TOO_LARGE, UNUSABLE, NOT_THERE, NO_ROOM = 413, 400, 404, 507
FOREVER = {"Cache-Control": "private, max-age=31536000, immutable"}  # another photo has another name


def add_photo_routes(server: FastAPI, app: App) -> None:
    """Add the routes, before the page takes all other paths."""
    desk = app.photos

    @server.get(PATH + "/{key}/{copy}")
    def copy(key: str, copy: str) -> Response:  # pyright: ignore[reportUnusedFunction]
        try:
            path = desk.albums.copies_of(key).path(copy)
        except WebuiError as error:
            return _refusal(error, NOT_THERE)
        if not path.is_file():
            return Response(status_code=NOT_THERE)
        return FileResponse(path, media_type="image/jpeg", headers=FOREVER)

    @server.post(PATH + "/sent")
    async def new_folder(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        sent = await _json(request)
        wish = sent.get("wish") if isinstance(sent, Mapping) else ""
        name = await run_in_threadpool(desk.new_folder, wish if isinstance(wish, str) else "")
        return JSONResponse({"folder": name})

    @server.post(PATH + "/sent/{folder}")
    async def receive(folder: str, name: str, request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        announced = request.headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > MAX_BYTES:
            return _too_large(name)
        try:
            with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as file:
                size = 0
                async for block in request.stream():
                    size += len(block)
                    if size > MAX_BYTES:
                        return _too_large(name)
                    await run_in_threadpool(file.write, block)
                path = await run_in_threadpool(desk.receive, folder, name, file)
        except WebuiError as error:
            return _refusal(error, NO_ROOM if isinstance(error, StorageError) else UNUSABLE)
        except OSError as error:
            return _refusal(StorageError(f"“{name:.80}” could not be kept: {error.strerror or error}."), NO_ROOM)
        return JSONResponse({"name": path.name})

    @server.post(PATH + "/{key}/edit")
    async def edit(key: str, request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        sent = await _json(request)

        def change() -> dict[str, Any]:
            kept = desk.albums.change(desk.find(key), read_edit(sent))
            return told(kept, key)

        try:
            return JSONResponse(await run_in_threadpool(change))
        except WebuiError as error:
            return _refusal(error, NO_ROOM if isinstance(error, StorageError) else UNUSABLE)


async def _json(request: Request) -> Any:
    """The body; None if it is no JSON, or far too long."""
    body = b""
    async for block in request.stream():
        body += block
        if len(body) > LONGEST_EDIT:
            return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _too_large(name: str) -> Response:
    return _refusal(WebuiError(f"“{name:.80}” is larger than {MAX_BYTES // 10**6} MB: it is left out."), TOO_LARGE)


def _refusal(error: WebuiError, status: int) -> Response:
    return JSONResponse({"error": str(error)}, status)
