"""The History tab over 10,000 pictures: opened, searched, looked through again; and the first look that fills it."""

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from modules.history.history import History
from modules.history.index import Query
from tests.bench import Result, seconds

PICTURES = 10_000
PER_DAY = 200
_SUBJECTS = ("cat", "panda", "knight", "harbour", "robot", "forest", "portrait", "castle")
_STYLES = ("pixar", "oil painting", "35mm film", "watercolour", "cyberpunk")


def run() -> Iterator[Result]:
    """Make the pictures in a temporary folder, and measure."""
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        root = base / "outputs"
        for number in range(PICTURES):
            path = root / "txt2img-images" / f"day-{number // PER_DAY:03}" / f"{number:05}-{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_picture(number, 64))

        def fresh() -> History:
            return History(root, base / "cache", base / "stars.json")

        first = seconds(lambda: History(root, Path(tempfile.mkdtemp(dir=base)), base / "stars.json")._scan(), runs=1)
        yield Result(f"first look through {PICTURES} files", first, "s")
        fresh()._scan()
        yield Result("look through them again, nothing changed", seconds(lambda: fresh()._scan()), "s")

        def open_tab() -> None:
            history = fresh()
            assert history.search(Query()).total == PICTURES
            history.facets()

        yield Result("open the tab: first page, counts of all choices", seconds(open_tab), "s", 1.0)
        history = fresh()
        yield Result("search “pixar”", seconds(lambda: history.search(Query(text="pixar"))), "s", 1.0)
        yield Result("the last page", seconds(lambda: history.search(Query(), PICTURES // 60)), "s", 1.0)
        large = base / "large"
        large.mkdir()
        for number in range(60):
            (large / f"{number}.png").write_bytes(_picture(number, 512))

        def thumbnails() -> None:
            shown = History(large, Path(tempfile.mkdtemp(dir=base)), base / "stars.json")
            shown._scan()
            for record in shown.search(Query()).records:
                shown.thumbnail(record.name)

        yield Result("60 thumbnails of 512×512, one after the other", seconds(thumbnails, runs=3), "s")


def _picture(number: int, side: int) -> bytes:
    info = PngInfo()
    subject, style = _SUBJECTS[number % len(_SUBJECTS)], _STYLES[number % len(_STYLES)]
    info.add_text(
        "parameters",
        f"half (benny-t{number % 7}:1.2) {subject}, {style}, highly detailed, soft light, number {number}\n"
        "Negative prompt: blurry, lowres, extra fingers, watermark\n"
        f"Steps: 20, Sampler: Euler a, Schedule type: Automatic, CFG scale: 7, Seed: {number}, Size: {side}x{side}, "
        f'Model hash: 6ce0161689, Model: v1-5-pruned, TI hashes: "benny-t{number % 7}: 0123456789ab", Version: v1.10.1',
    )
    file = io.BytesIO()
    image = Image.effect_noise((side, side), 60) if side > 64 else Image.new("L", (side, side), number % 256)
    image.convert("RGB").save(file, "PNG", pnginfo=info, compress_level=1)
    return file.getvalue()
