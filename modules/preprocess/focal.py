"""The part of a photo that matters most: edges, detail and faces vote, each with its weight."""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from modules.preprocess.corners import find_corners
from modules.preprocess.crop import Crop, Size
from modules.preprocess.faces import FaceFinder

SEARCHED_PIXELS = 16_000_000  # extreme ratios are searched at a smaller size
CORNER_DISTANCE = 0.06  # of the shorter side
WATERMARK = 0.9  # everything below this share of the height may be a printed date or name
MID_GREY = 128
WINDOW_STEP = 4  # pixels between the windows that are compared …
MOST_WINDOWS = 1000  # … unless the photo is so long that they would be more than these

Point = tuple[float, float]


@dataclass(frozen=True)
class Weights:
    """How much each kind of interest counts; what weighs nothing is not looked for."""

    faces: float = 0.9
    entropy: float = 0.15
    edges: float = 0.5


@dataclass(frozen=True)
class Interest:
    """What one kind of search found, in pixels of the picture that was searched.

    Attributes:
        kind: "faces", "entropy" or "edges".
        points: what was found; their middle is what counts.
    """

    kind: str
    weight: float
    points: tuple[Point, ...]

    @property
    def middle(self) -> Point:
        xs, ys = zip(*self.points, strict=True)
        return sum(xs) / len(xs), sum(ys) / len(ys)


@dataclass(frozen=True)
class Focus:
    """The proposal for one photo, and what it rests on.

    Attributes:
        searched: the photo at the size that was searched.
        interests: empty if nothing was found, or all weights are 0; the proposal is the middle of the photo then.
    """

    searched: Image.Image
    interests: tuple[Interest, ...]

    @property
    def point(self) -> tuple[int, int]:
        """In pixels of the searched picture."""
        total = sum(interest.weight for interest in self.interests)
        if not total:
            return self.searched.width // 2, self.searched.height // 2
        middles = [(interest.weight / total, interest.middle) for interest in self.interests]
        return round(sum(w * x for w, (x, _) in middles)), round(sum(w * y for w, (_, y) in middles))

    @property
    def crop(self) -> Crop:
        if not self.interests:
            return Crop()
        x, y = self.point
        return Crop(min(x / self.searched.width, 1.0), min(y / self.searched.height, 1.0))

    def drawn(self, target: Size) -> Image.Image:
        """The searched picture with what was found in it, and the proposed crop."""
        sheet = self.searched.copy()
        draw = ImageDraw.Draw(sheet)
        colours = {"faces": "#3b82f6", "entropy": "#f59e0b", "edges": "#22c55e"}
        for interest in self.interests:
            for x, y in interest.points:
                draw.ellipse((x - 4, y - 4, x + 4, y + 4), outline=colours[interest.kind], width=2)
        x, y = self.point
        draw.ellipse((x - 8, y - 8, x + 8, y + 8), outline="#ffffff", width=3)
        draw.rectangle(self.crop.box(sheet.size, target), outline="#ffffff", width=3)
        return sheet


def find_focus(photo: Image.Image, target: Size, weights: Weights, faces: FaceFinder | None) -> Focus:
    """Propose a crop of the ratio of `target`.

    Args:
        faces: None if there is no way to find faces: the other two decide then.

    Source: A1111 v1.10, spec of its "Auto focal point crop".
    """
    searched, window = _to_cover(photo, target)
    interests = []
    if weights.edges:
        interests.append(Interest("edges", weights.edges, _edge_points(searched)))
    if weights.entropy:
        interests.append(Interest("entropy", weights.entropy, _entropy_points(searched, window)))
    if weights.faces and faces:
        interests.append(Interest("faces", weights.faces, tuple(faces.focus_points(searched))))
    return Focus(searched, tuple(interest for interest in interests if interest.points))


def _to_cover(photo: Image.Image, target: Size) -> tuple[Image.Image, Size]:
    """The photo at the size that just covers the target, and the target at that scale."""
    scale = max(target[0] / photo.width, target[1] / photo.height)
    shrink = min(1.0, math.sqrt(SEARCHED_PIXELS / (scale**2 * photo.width * photo.height)))
    size = tuple(max(1, round(side * scale * shrink)) for side in photo.size)
    window = tuple(min(max(1, round(side * shrink)), limit) for side, limit in zip(target, size, strict=True))
    return photo.resize((size[0], size[1]), Image.Resampling.LANCZOS), (window[0], window[1])


def _edge_points(image: Image.Image) -> tuple[Point, ...]:
    grey = image.convert("L")
    ImageDraw.Draw(grey).rectangle((0, image.height * WATERMARK, image.width, image.height), fill=MID_GREY)
    found = find_corners(np.asarray(grey, np.float32), distance=min(image.size) * CORNER_DISTANCE)
    return tuple((float(x), float(y)) for x, y in found)


def _entropy_points(image: Image.Image, window: Size) -> tuple[Point, ...]:
    """The middle of the window with the most uneven share of light and dark dots; nothing for a square picture.

    The score, -Σ log2 p, is A1111's: unlike the entropy it is highest where one shade is rare.
    """
    if image.width == image.height:
        return ()
    along = 0 if image.width > image.height else 1
    grey = image.convert("L")
    best, best_score = 0, -1.0
    way = image.size[along] - window[along]
    for offset in range(0, way + 1, max(WINDOW_STEP, way // MOST_WINDOWS)):
        left, top = (offset, 0) if along == 0 else (0, offset)
        dots = grey.crop((left, top, left + window[0], top + window[1])).convert("1").histogram()
        shares = [count / (window[0] * window[1]) for count in dots if count]
        score = -sum(math.log2(share) for share in shares)
        if score > best_score:
            best, best_score = offset, score
    middle = best + window[along] / 2
    across = image.size[1 - along] / 2
    return ((middle, across) if along == 0 else (across, middle),)
