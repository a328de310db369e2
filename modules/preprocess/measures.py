"""What can be measured on one photo, without any network: sharpness, exposure, likeness, background, head size.

All of it is measured on a copy of at most 512 pixels: what training sees of a photo, and quick for large ones.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MEASURED_SIDE = 512
TILE = 64  # sharpness is that of the sharpest places: a soft background is no fault
PLAIN_COLOURS = 24  # shades along the edges, of 512: a wall has a handful, a wood far more
FLAT = 4.0  # grey levels of standard deviation: sky and walls say nothing about sharpness

Array = NDArray[np.float32]


def small_copy(photo: Image.Image, side: int = MEASURED_SIDE) -> Image.Image:
    """The photo with its longer side at most `side` pixels long."""
    copy = photo.copy() if max(photo.size) <= side else None
    if copy is None:
        scale = side / max(photo.size)
        size = max(1, round(photo.width * scale)), max(1, round(photo.height * scale))
        copy = photo.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    return copy


def sharpness(image: Image.Image) -> float | None:
    """How much of the finest detail a further blur would take away: 0 = all blurred already, near 1 = crisp.

    Returns:
        That of the sharpest tenth of the places that have any detail; None if none has.

    Source: Crété-Roffet et al. 2007, "The Blur Effect", one minus its measure, per tile.
    """
    grey = np.asarray(image.convert("L"), np.float32)
    found = [
        _sharpness_of(tile)
        for top in range(0, grey.shape[0], TILE)
        for left in range(0, grey.shape[1], TILE)
        if min((tile := grey[top : top + TILE, left : left + TILE]).shape) >= TILE // 2 and tile.std() > FLAT
    ]
    return float(np.quantile(found, 0.9)) if found else None


def _sharpness_of(tile: Array) -> float:
    kept = []
    for values in (tile, tile.T):
        padded = np.pad(values, ((4, 4), (0, 0)), mode="edge")
        sums = np.cumsum(np.pad(padded, ((1, 0), (0, 0))), axis=0, dtype=np.float64)
        blurred = (sums[9:] - sums[:-9]) / 9
        change = np.abs(np.diff(values, axis=0))
        total = change.sum()
        lost = np.maximum(change - np.abs(np.diff(blurred, axis=0)), 0).sum()
        if total > 0:
            kept.append(float(lost / total))
    return min(kept, default=0.0)  # the direction in which the camera moved


def exposure(image: Image.Image) -> tuple[int, int, int]:
    """The grey levels that 5, 50 and 95 % of the picture stay below, 0 … 255."""
    dark, middle, bright = np.percentile(np.asarray(image.convert("L")), (5, 50, 95))
    return round(float(dark)), round(float(middle)), round(float(bright))


def perceptual_hash(image: Image.Image) -> int:
    """64 bits that hardly change with size, compression and brightness; alike photos differ in few of them.

    Each bit says whether one of the 8×8 slowest waves of the picture lies above the middle one.
    """
    side, waves = 32, 8
    grey = np.asarray(image.convert("L").resize((side, side), Image.Resampling.LANCZOS), np.float64)
    angle = np.pi / side * (np.arange(side) + 0.5)
    cosines = np.cos(angle[None, :] * np.arange(waves)[:, None])
    spectrum = cosines @ grey @ cosines.T
    # 0.5: levels of grey that only rounding made would otherwise decide the bits of a flat picture
    bits = (spectrum > np.median(spectrum) + 0.5).ravel()
    return int.from_bytes(np.packbits(bits).tobytes())


def colours(image: Image.Image) -> bytes:
    """The colours of 8×8 fields."""
    return image.resize((8, 8), Image.Resampling.BOX).tobytes()


def backdrop(image: Image.Image) -> bytes:
    """The colours along the upper edge and down both sides, where people do not stand: twenty fields."""
    fields = np.frombuffer(colours(image), np.uint8).reshape(8, 8, 3)
    return np.concatenate([fields[0], fields[1:7, 0], fields[1:7, -1]]).tobytes()


def difference(first: bytes, second: bytes) -> float:
    """The mean distance of two lists of colours, in grey levels."""
    a, b = (np.frombuffer(colours, np.uint8).astype(np.float32) for colours in (first, second))
    return float(np.abs(a - b).mean())


def head_width(image: Image.Image) -> float | None:
    """A guess how wide the head is, as a share of the picture's height, from what stands out against the edges.

    Returns:
        None if the edges are too motley for that, if nothing stands out, or what does fills the whole width.
    """
    small = np.asarray(small_copy(image, 64), np.float32)
    height, width = small.shape[:2]
    if min(height, width) < 8:
        return None
    edge = np.concatenate([small[0], small[: height // 2, 0], small[: height // 2, -1]])
    if len(np.unique(edge // 32, axis=0)) > PLAIN_COLOURS:
        return None
    distance = np.linalg.norm(small[:, :, None] - edge[None, None, ::2], axis=-1).min(axis=-1)
    figure = distance > 40  # grey levels, over three channels: above noise and soft shadows
    runs = np.array([_longest_run(row) for row in figure])
    rows = np.flatnonzero(runs >= 2)
    if len(rows) < height * 0.2:
        return None
    top, length = rows[0], rows[-1] + 1 - rows[0]
    head = runs[top + int(length * 0.04) : top + max(2, int(length * 0.16))]
    widest = float(head.max(initial=0))
    return None if widest == 0 or widest >= width - 1 else widest / height


def _longest_run(row: NDArray[np.bool_]) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], row, [False]])))
    return int((edges[1::2] - edges[::2]).max(initial=0))
