"""The whole interface put on a web server."""

from collections.abc import Callable

from fastapi import APIRouter, FastAPI

from modules.api import absent, docs, embeddings, jobs, lists, machine, options, png_info, progress, scripts, txt2img
from modules.api.edge import Edge
from modules.api.errors import Json
from modules.api.host import Host
from modules.api.route import Route
from modules.api.txt2img import Runs
from modules.app import App


def add_api(server: FastAPI, app: App, end_server: Callable[[str], object]) -> None:
    """Let a server answer programs, if the App's flags say so; if not, say how that is switched on.

    Args:
        end_server: called with "stop" or "restart" when a program asks for it and may.
    """
    router = APIRouter(route_class=Route, default_response_class=Json, strict_content_type=False, responses=docs.ERRORS)
    if not app.flags.api:
        absent.add_hint(router)
        server.include_router(router)
        return
    host = Host(app, end_server)
    runs = Runs(host)
    txt2img.add_routes(router, host, runs)
    progress.add_routes(router, host)
    options.add_routes(router, host)
    lists.add_routes(router, host)
    scripts.add_routes(router)
    embeddings.add_routes(router, host)
    png_info.add_routes(router, host)
    jobs.add_routes(router, host, runs)
    machine.add_routes(router, host)
    docs.add_routes(router, server)
    absent.add_routes(router, server)
    server.include_router(router)


def add_edge(server: FastAPI, app: App) -> None:
    """Time every request to the interface, refused ones too: to be added behind the guard, which is then inside."""
    if app.flags.api:
        server.add_middleware(Edge, tell=_print if app.flags.api_log else None)


def _print(line: str) -> None:
    print(line, flush=True)
