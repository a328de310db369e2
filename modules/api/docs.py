"""The interface described for programs (`/openapi.json`) and for people (`/docs`), with nothing fetched from elsewhere.

The page is Swagger UI, whose files the package fastapi-offline carries.
"""

import importlib.resources
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from starlette.responses import HTMLResponse, Response

from modules.api import errors
from modules.api.answers import ErrorAnswer
from modules.api.errors import Json
from modules.guard import PING
from modules.infotext import VERSION

TITLE = "The studio for personal embeddings"
_FILES = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon.png": "image/png",
}


def add_routes(router: APIRouter, server: FastAPI) -> None:
    document: dict[str, Any] = {}

    @router.get("/openapi.json", include_in_schema=False)
    def openapi() -> Response:
        if not document:
            document.update(
                get_openapi(
                    title=TITLE,
                    version=VERSION,
                    summary="What programs made for AUTOMATIC1111 speak.",
                    routes=[*router.routes, *(route for route in server.routes if getattr(route, "path", "") == PING)],
                )
            )
        return Json(document)

    @router.get("/docs", include_in_schema=False)
    def page() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=TITLE,
            swagger_js_url="/docs/swagger-ui-bundle.js",
            swagger_css_url="/docs/swagger-ui.css",
            swagger_favicon_url="/docs/favicon.png",
        )

    files = importlib.resources.files("fastapi_offline") / "static"

    @router.get("/docs/{name}", include_in_schema=False)
    def file(name: str) -> Response:
        if name not in _FILES:
            raise errors.refuse(404, "There is no such file.")
        return Response(
            (files / name).read_bytes(), media_type=_FILES[name], headers={"cache-control": "max-age=86400"}
        )


ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorAnswer, "description": words}
    for status, words in {
        400: "No such sampler or schedule.",
        401: "A login is needed (HTTP Basic).",
        404: "There is no such job, or it has no pictures any more.",
        409: "Something else has to end first, or there is no model.",
        413: "The body is too large.",
        422: "A value that cannot be used, or a body that is no JSON.",
        503: "The queue is full: try again when a job has ended.",
        507: "A file could not be written: the disk is full, or may not be written to.",
    }.items()
}
