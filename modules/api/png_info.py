"""`png-info`: the parameters that a picture carries."""

from typing import Any

from fastapi import APIRouter

from modules import images
from modules.api import pictures
from modules.api.answers import PngInfoAnswer
from modules.api.host import Host
from modules.api.requests import PngInfoRequest
from modules.infotext import parse_infotext


def add_routes(router: APIRouter, host: Host) -> None:
    @router.post("/sdapi/v1/png-info")
    async def png_info(body: PngInfoRequest) -> PngInfoAnswer:
        """Parameters of a PNG, JPEG, WebP, AVIF or GIF file, as text and taken apart; empty if it carries none."""
        return await host.in_thread(lambda: _read(body.image))


def _read(image: str) -> PngInfoAnswer:
    with pictures.as_file(pictures.decode(image)) as path:
        infotext = images.read_infotext(path)
        items = images.read_items(path)
    parameters: dict[str, Any] = parse_infotext(infotext) if infotext else {}
    return PngInfoAnswer(info=infotext, items=items, parameters=parameters)
