import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from modules.history.history import History

LINE = "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: {seed}, Size: 64x64, Model hash: 1234567890, Model: cosy"


def png(infotext: str) -> bytes:
    info = PngInfo()
    info.add_text("parameters", infotext)
    file = io.BytesIO()
    Image.new("RGB", (64, 64), (90, 120, 150)).save(file, "PNG", pnginfo=info)
    return file.getvalue()


def save(root: Path, name: str, infotext: str, made: float = 0.0) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(infotext))
    if made:
        os.utime(path, (made, made))
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three pictures of two days, and an overview."""
    root = tmp_path / "outputs"
    day = 1_800_000_000.0
    save(root, "txt2img-images/2027-01-15/00000-1.png", f"a pixar cat, red hat\n{LINE.format(seed=1)}", day)
    save(
        root,
        "txt2img-images/2027-01-15/00001-2.png",
        f'half benny-t1 person\n{LINE.format(seed=2)}, TI hashes: "benny-t1: abc"',
        day + 60,
    )
    save(
        root,
        "txt2img-images/2027-02-20/00000-3.png",
        f"benny-t1 in the sun\nNegative prompt: pixar\n{LINE.format(seed=3).replace('Euler a', 'LMS')}",
        day + 36 * 86400,
    )
    save(root, "txt2img-grids/2027-01-15/grid-0000.png", f"a pixar cat\n{LINE.format(seed=1)}", day + 120)
    return root


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[], History]]:
    """`make()` opens the history of this test as a start of the program does, and has looked through the folder."""
    opened: list[History] = []

    def make() -> History:
        history = History(tmp_path / "outputs", tmp_path / "cache", tmp_path / "stars.json")
        opened.append(history)
        look(history)
        return history

    yield make
    for history in opened:
        history.stop()


def look(history: History) -> None:
    """What the thread in the background does, in this one."""
    history._scan()
