"""Where faces are. Needs opencv, which is no part of the installation: without it nothing is looked for, and the
callers say so."""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

YUNET = "face_detection_yunet*.onnx"  # from OpenCV's model zoo, if the user has put one into the folder
YUNET_SCORE, YUNET_OVERLAP, YUNET_CANDIDATES = 0.9, 0.3, 5000

FACE_CASCADES = ("frontalface_default", "profileface", "frontalface_alt", "frontalface_alt2", "frontalface_alt_tree")
FOCUS_CASCADES = ("eye", *FACE_CASCADES, "eye_tree_eyeglasses", "upperbody")
SMALLEST_FACE = 0.05  # of the shorter side: smaller ones are mostly leaves and bricks


@dataclass(frozen=True)
class Face:
    """A rectangle in pixels of the picture that was searched."""

    left: float
    top: float
    width: float
    height: float

    @property
    def focus(self) -> tuple[float, float]:
        """Between the eyes."""
        return self.left + self.width / 2, self.top + self.height / 3


class FaceFinder:
    """Finds faces with opencv's YuNet network or, without its file, its Haar cascades. Made by `load_face_finder`."""

    def __init__(self, cv2: Any, network: Path | None, cascades: Path | None):
        self._cv2 = cv2
        self._network = network
        self._cascades = cascades

    def faces(self, image: Image.Image) -> list[Face]:
        """Every face, as far as it is found."""
        return self._by_network(image) if self._network else self._by_cascades(image, FACE_CASCADES)

    def focus_points(self, image: Image.Image) -> list[tuple[float, float]]:
        """Where to look: faces or, failing that, parts of people.

        Source: A1111 v1.10, which tries its cascades in turn until one of them finds something.
        """
        found = self._by_network(image) if self._network else self._by_cascades(image, FOCUS_CASCADES)
        return [face.focus for face in found]

    def _by_network(self, image: Image.Image) -> list[Face]:
        detector = self._cv2.FaceDetectorYN.create(
            str(self._network), "", image.size, YUNET_SCORE, YUNET_OVERLAP, YUNET_CANDIDATES
        )
        _, found = detector.detect(np.asarray(image)[:, :, ::-1].copy())
        return [] if found is None else [Face(*map(float, row[:4])) for row in found]

    def _by_cascades(self, image: Image.Image, names: tuple[str, ...]) -> list[Face]:
        assert self._cascades
        grey = np.asarray(image.convert("L"))
        smallest = max(1, int(min(image.size) * SMALLEST_FACE))
        for name in names:
            cascade = self._cv2.CascadeClassifier(str(self._cascades / f"haarcascade_{name}.xml"))
            found = cascade.detectMultiScale(grey, scaleFactor=1.1, minNeighbors=7, minSize=(smallest, smallest))
            if len(found):
                return [Face(*map(float, row)) for row in found]
        return []


def load_face_finder(folder: Path) -> FaceFinder | None:
    """A face finder, or None if opencv, or both its cascades and a network, are missing.

    Args:
        folder: where the user may have put YuNet's file.
    """
    try:
        cv2: Any = importlib.import_module("cv2")
    except ImportError:
        return None
    network = min(folder.glob(YUNET), default=None)
    cascades = Path(cv2.__file__).parent / "data"  # the wheels of opencv 5 have none
    if not (cascades / f"haarcascade_{FACE_CASCADES[0]}.xml").is_file():
        cascades = None
    return FaceFinder(cv2, network, cascades) if network or cascades else None
