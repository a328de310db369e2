"""Render the training, validation, held-out and hybrid pictures: `python -m tools.demo_model.render`.

Writes shards of 1000 pictures to `tools/demo_model/work/pictures`: `<series>-000.npz` with `pictures` uint8
[n, 128, 128, 3] and `portraits` text [n, 13]; of hybrids text [n, 27]: the outer portrait, the inner one, its share.
A shard that is already there is skipped, so a stopped run goes on where it was.
Needs Node and `npm ci` in tools/demo_model; nothing else of the demo model's tools does.
"""

import argparse
import json
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from modules.files import write_atomically
from tools.demo_model import drawing, hybrids
from tools.demo_model.hybrids import Hybrid, imagine_hybrid
from tools.demo_model.world import ATTRIBUTES, PICTURE_SIZE, Portrait, as_row, imagine

HERE = Path(__file__).resolve().parent
PICTURES = HERE / "work" / "pictures"
SHARD = 1000
SERIES = {  # name: seed, pictures
    "train": (1, 40_000),
    "validation": (2, 2_000),
    "held-out": (3, 2_000),
    "hybrids": (4, 12_000),
}


def render(portraits: Sequence[Portrait | Hybrid]) -> np.ndarray:
    """Draw portraits in one run of Node.

    Returns:
        uint8 [n, 128, 128, 3], RGB.
    """
    lines = "\n".join(json.dumps(_job(portrait)) for portrait in portraits)
    drawn = subprocess.run(["node", "render.mjs"], input=lines.encode(), cwd=HERE, stdout=subprocess.PIPE, check=True)
    pictures = np.frombuffer(drawn.stdout, np.uint8).reshape(-1, PICTURE_SIZE, PICTURE_SIZE, 3)
    looks = [portrait.outer.filter if isinstance(portrait, Hybrid) else portrait.filter for portrait in portraits]
    return np.stack([filtered(picture, look) for picture, look in zip(pictures, looks, strict=True)])


def _job(portrait: Portrait | Hybrid) -> dict[str, Any]:
    return hybrids.job(portrait) if isinstance(portrait, Hybrid) else drawing.job(portrait)


def filtered(picture: np.ndarray, name: str) -> np.ndarray:
    """A whole-picture look: uint8 [h, w, 3] in, the same out."""
    if name == "none":
        return picture
    gray = picture.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    if name == "black and white":
        return np.repeat(gray[..., None], 3, axis=2).round().astype(np.uint8)
    if name == "sepia":
        toned = gray[..., None] * np.array([1.0, 0.86, 0.67], np.float32) + np.array([18, 8, 0], np.float32)
        return toned.clip(0, 255).round().astype(np.uint8)
    edges = np.abs(np.diff(gray, axis=0, append=gray[-1:])) + np.abs(np.diff(gray, axis=1, append=gray[:, -1:]))
    thick = np.maximum.reduce([edges, np.roll(edges, 1, 0), np.roll(edges, 1, 1)])
    pencil = 250 - 0.18 * (255 - gray) - 2.2 * thick  # dark outlines over a faint wash
    return np.repeat(pencil.clip(60, 255)[..., None], 3, axis=2).round().astype(np.uint8)


def shards(series: str, folder: Path = PICTURES) -> list[Path]:
    """The shards of a series that exist, in order."""
    return sorted(folder.glob(f"{series}-*.npz"))


def load_shard(path: Path) -> tuple[np.ndarray, list[Portrait]]:
    """Pictures uint8 [n, 128, 128, 3] and portraits of one shard; of hybrids the outer ones."""
    with np.load(path) as shard:
        return shard["pictures"], load_portraits(path)


def load_portraits(path: Path) -> list[Portrait]:
    """The portraits of one shard, without reading its pictures; of hybrids the outer ones."""
    with np.load(path) as shard:
        return [Portrait(*row[: len(ATTRIBUTES)]) for row in shard["portraits"].tolist()]


def load_hybrids(path: Path) -> list[Hybrid]:
    """The hybrids of one shard, without reading its pictures."""
    count = len(ATTRIBUTES)
    with np.load(path) as shard:
        rows = shard["portraits"].tolist()
    return [Hybrid(Portrait(*row[:count]), Portrait(*row[count:-1]), float(row[-1])) for row in rows]


def load(series: str, limit: int | None = None, folder: Path = PICTURES) -> tuple[np.ndarray, list[Portrait]]:
    """Pictures uint8 [n, 128, 128, 3] and portraits of a series, the first `limit` of them."""
    pictures: list[np.ndarray] = []
    portraits: list[Portrait] = []
    for path in shards(series, folder):
        if limit is not None and len(portraits) >= limit:
            break
        shard = load_shard(path)
        pictures.append(shard[0])
        portraits += shard[1]
    if not pictures:
        raise SystemExit(f"No pictures of “{series}” in {folder}. Run: python -m tools.demo_model.render")
    return np.concatenate(pictures)[:limit], portraits[:limit]


def imagined(series: str, number: int) -> list[Portrait]:
    """Whom shard `number` of a series of portraits shows; only the held-out series has persons that the rule keeps
    out."""
    seed, indices = _members(series, number)
    return [imagine(seed, index, held_out=series == "held-out") for index in indices]


def imagined_hybrids(number: int) -> list[Hybrid]:
    """What shard `number` of the hybrids shows."""
    seed, indices = _members("hybrids", number)
    return [imagine_hybrid(seed, index) for index in indices]


def _members(series: str, number: int) -> tuple[int, range]:
    seed, total = SERIES[series]
    return seed, range(number * SHARD, min((number + 1) * SHARD, total))


def _write_shard(series: str, number: int) -> None:
    path = PICTURES / f"{series}-{number:03d}.npz"
    if path.exists():
        return
    portraits = imagined_hybrids(number) if series == "hybrids" else imagined(series, number)
    pictures = render(portraits)
    rows = np.array([_row(portrait) for portrait in portraits])
    write_atomically(path, lambda file: np.savez_compressed(file, pictures=pictures, portraits=rows))
    print(f"{path.name}: {len(portraits)} pictures", flush=True)


def _row(portrait: Portrait | Hybrid) -> tuple[str, ...]:
    if isinstance(portrait, Hybrid):
        return (*as_row(portrait.outer), *as_row(portrait.inner), f"{portrait.share:.4f}")
    return as_row(portrait)


def main() -> None:
    parser = argparse.ArgumentParser(description="Render the pictures of all series.")
    parser.add_argument("--workers", type=int, default=1, help="Node processes at a time")
    workers = parser.parse_args().workers
    jobs = [(series, n) for series, (_, total) in SERIES.items() for n in range((total + SHARD - 1) // SHARD)]
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda job: _write_shard(*job), jobs))


if __name__ == "__main__":
    main()
