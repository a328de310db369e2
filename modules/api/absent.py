"""What A1111 has and this program does not, and what neither has: each answers with a sentence."""

from typing import Any

from fastapi import APIRouter, FastAPI, Request
from starlette.routing import Match

from modules.api import errors

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
ABSENT = {
    "POST img2img": "Drawing over a picture (img2img) is not there yet: txt2img is.",
    "POST extra-single-image": "Enlarging a given picture is not there yet: txt2img with enable_hr enlarges its own.",
    "POST extra-batch-images": "Enlarging given pictures is not there yet: txt2img with enable_hr enlarges its own.",
    "POST interrogate": "Describing a picture through this interface is not there yet: the Train tab writes captions.",
    "POST create/hypernetwork": "Hypernetworks are not there yet: embeddings are.",
    "POST train/hypernetwork": "Hypernetworks are not there yet: train an embedding.",
    "POST preprocess": "Preparing photos through this interface is not there yet: the Train tab does it.",
    "GET artists": "There is no list of artists: A1111 had one in 2022.",
    "GET artist-categories": "There is no list of artists: A1111 had one in 2022.",
    "POST realesrgan-models": "There are no models of that kind to add.",
}


def add_routes(router: APIRouter, server: FastAPI) -> None:
    """To be called last: what nobody else answers comes here, instead of to the page."""
    for name, sentence in ABSENT.items():
        method, path = name.split()
        router.add_api_route(f"/sdapi/v1/{path}", _absent(sentence), methods=[method], include_in_schema=False)

    known = [*server.routes, *router.routes]

    def unknown(request: Request) -> None:
        here = [route for route in known if route.matches(request.scope)[0] is Match.PARTIAL]
        if here:
            methods = sorted({method for route in here for method in getattr(route, "methods", None) or ()})
            raise errors.refuse(
                405,
                f"{request.method} is not for this address: use {' or '.join(methods)}.",
                {"allow": ", ".join(methods)},
            )
        raise errors.refuse(404, "There is nothing at this address: /docs lists what there is.")

    for path in ("/sdapi/{rest:path}", "/internal/{rest:path}", "/docs/{rest:path}", "/docs", "/openapi.json"):
        router.add_api_route(path, unknown, methods=METHODS, include_in_schema=False)


def add_hint(router: APIRouter) -> None:
    """For a server without the interface: say how it is switched on."""

    @router.api_route("/sdapi/{rest:path}", methods=METHODS, include_in_schema=False)
    def off(rest: str) -> None:
        raise errors.refuse(404, "The HTTP interface is off: start the server with --api.")


def _absent(sentence: str) -> Any:
    def absent() -> None:
        raise errors.refuse(501, sentence)

    return absent
