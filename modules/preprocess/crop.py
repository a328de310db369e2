"""Which part of a photo becomes a picture, and at which size. A crop has the ratio of its target, so nothing is ever
stretched; all parts are counted on the upright photo."""

import math
from dataclasses import dataclass

from PIL import Image

from modules.errors import ParameterError
from modules.preprocess_params import MAXIMIZE_AREA, PreprocessParams

MAX_ZOOM = 16.0
AUTO_SIZE_STEP = 64

Size = tuple[int, int]
"""Width and height in pixels."""
Box = tuple[float, float, float, float]
"""Left, top, right and bottom, in pixels of the photo."""


@dataclass(frozen=True)
class Crop:
    """A part of a photo, by position and zoom; together with a target size it is a rectangle.

    Attributes:
        x, y: the middle of the part, as shares 0 … 1 of the photo's width and height. Where the rectangle would
            reach over the edge, it is moved back.
        zoom: 1 takes as much of the photo as the target's ratio allows; 2 half of that, enlarged.

    Raises:
        ParameterError: a position outside the photo, a zoom outside 1 … 16, or no number.
    """

    x: float = 0.5
    y: float = 0.5
    zoom: float = 1.0

    def __post_init__(self) -> None:
        for name, low, high in (("x", 0.0, 1.0), ("y", 0.0, 1.0), ("zoom", 1.0, MAX_ZOOM)):
            if not low <= getattr(self, name) <= high:  # NaN fails too
                raise ParameterError(
                    name, f"A crop's {name} lies within {low:g} … {high:g}, not at {getattr(self, name)}."
                )

    def box(self, photo: Size, target: Size) -> Box:
        """The rectangle on a photo of that size, with the ratio of the target."""
        width, height = (side / self.zoom for side in _largest(photo, target))
        left = min(max(self.x * photo[0] - width / 2, 0.0), photo[0] - width)
        top = min(max(self.y * photo[1] - height / 2, 0.0), photo[1] - height)
        # a millionth of a pixel: whole pixels stay whole, and are copied instead of resampled
        return round(left, 6), round(top, 6), round(left + width, 6), round(top + height, 6)


def cut(photo: Image.Image, crop: Crop, target: Size) -> Image.Image:
    """The part of the photo, resampled (Lanczos) to exactly the target size."""
    return photo.resize(target, Image.Resampling.LANCZOS, crop.box(photo.size, target))


def split(photo: Size, target: Size, threshold: float, overlap: float) -> list[Crop]:
    """Overlapping parts along the long side of a photo that is far longer than the target.

    Args:
        threshold: split if the target's ratio is at most this share of the photo's.
        overlap: how much of a part is in the next one as well, 0 … 0.9, at least.

    Returns:
        The parts in order; none if the photo is not long enough.

    Source: A1111 v1.10, spec of its "Split oversized images".
    """
    along = 1 if photo[1] > photo[0] else 0  # the axis of the long side; a square counts as wide
    long, short = photo[along], photo[1 - along]
    window, across = target[along], target[1 - along]
    if short * window >= long * across or short * window > threshold * long * across:
        return []
    length = long * across // short  # of the long side, once the short one fits its target
    count = math.ceil(round((length - window * overlap) / (window * (1 - overlap)), 9))
    offsets = [piece * (length - window) // (count - 1) for piece in range(count)] if count > 1 else [0]
    middles = [(offset + window / 2) / length for offset in offsets]
    return [Crop(x=middle) if along == 0 else Crop(y=middle) for middle in middles]


def auto_size(photo: Size, params: PreprocessParams) -> Size | None:
    """The size, on a grid of 64 pixels and within the bounds, whose ratio is near that of the photo.

    Returns:
        The largest size within the error threshold, or the one nearest in ratio, as the objective says; None if no
        size lies within the threshold.

    Source: A1111 v1.10, spec of its "Auto-sized crop".
    """
    sides = range(params.dimension_lower, params.dimension_upper + 1, AUTO_SIZE_STEP)
    candidates = []
    for width in sides:
        for height in sides:
            ratio = photo[0] * height / (photo[1] * width)
            error = 1 - min(ratio, 1 / ratio)
            area = width * height
            if params.area_lower <= area <= params.area_upper and error <= params.error_threshold:
                rank = (area, -error) if params.objective == MAXIMIZE_AREA else (-error, area)
                candidates.append((rank, (width, height)))
    return max(candidates)[1] if candidates else None


def _largest(photo: Size, target: Size) -> tuple[float, float]:
    """The sides of the largest rectangle of the target's ratio within the photo."""
    if photo[0] * target[1] > photo[1] * target[0]:
        return photo[1] * target[0] / target[1], float(photo[1])
    return float(photo[0]), photo[0] * target[1] / target[0]
