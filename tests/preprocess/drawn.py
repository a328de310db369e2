"""Photos drawn for tests: detail, people of three sizes, and files of every kind."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw


def detailed(size: tuple[int, int], seed: int = 0, field: int = 16) -> Image.Image:
    """Fields of random colours with hard edges: sharp everywhere, of full contrast, and like no other seed."""
    rng = np.random.default_rng(seed)
    rows, columns = -(-size[1] // field), -(-size[0] // field)
    fields = rng.integers(0, 256, (rows, columns, 3), dtype=np.uint8)
    return Image.fromarray(np.kron(fields, np.ones((field, field, 1), np.uint8))[: size[1], : size[0]])


def figure(head: float, side: int = 512, background: str = "#c8d8e8") -> Image.Image:
    """Somebody before a wall; `head` is the height of the head as a share of the picture's."""
    picture = Image.new("RGB", (side, side), background)
    draw = ImageDraw.Draw(picture)
    height, middle, top = head * side, side / 2, 0.06 * side
    shoulders = top + height * 1.15
    draw.rectangle((middle - height * 0.2, top, middle + height * 0.2, shoulders), fill="#a06848")
    draw.ellipse((middle - height * 0.38, top, middle + height * 0.38, top + height), fill="#c08060")
    draw.rectangle((middle - height * 0.9, shoulders, middle + height * 0.9, shoulders + height * 3), fill="#304878")
    draw.rectangle(
        (middle - height * 0.6, shoulders + height * 3, middle + height * 0.6, top + height * 7.2), fill="#202020"
    )
    for x in (-0.15, 0.15):
        eye = middle + x * height
        draw.ellipse(
            (eye - height * 0.05, top + height * 0.4, eye + height * 0.05, top + height * 0.47), fill="#101010"
        )
    return picture


def save_all(folder: Path, pictures: dict[str, Image.Image]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        picture.save(folder / name)
    return folder
