"""Without opencv, with a stand-in for it, and with the real one where it is installed."""

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from modules.preprocess.faces import FACE_CASCADES, FOCUS_CASCADES, Face, load_face_finder

PHOTO = Image.new("RGB", (200, 100), (10, 20, 30))


class StandIn(ModuleType):
    """An opencv whose cascades and network find what they are told to; it keeps what it was asked."""

    def __init__(self, folder: Path, finds: dict[str, list[list[int]]], with_cascades: bool = True):
        super().__init__("cv2")
        self.__file__ = str(folder / "__init__.py")
        self.asked: list[str] = []
        self.pictures: list[np.ndarray] = []
        (folder / "data").mkdir(parents=True)
        if with_cascades:
            (folder / "data" / "haarcascade_frontalface_default.xml").touch()
        outer = self

        class Cascade:
            def __init__(self, path: str):
                self.name = Path(path).stem.removeprefix("haarcascade_")

            def detectMultiScale(self, picture, scaleFactor, minNeighbors, minSize):
                outer.asked.append(self.name)
                outer.pictures.append(picture)
                return np.array(finds.get(self.name, []))

        class Network:
            @staticmethod
            def create(path, config, size, score, overlap, candidates):
                outer.asked.append(f"{Path(path).name} {size} {score} {overlap} {candidates}")
                return Network()

            def detect(self, picture):
                outer.pictures.append(picture)
                found = [[*box, 0, 0, 0.95] for box in finds.get("network", [])]
                return 1, np.array(found, np.float32) if found else None

        self.CascadeClassifier = Cascade
        self.FaceDetectorYN = Network


def test_without_opencv_there_is_no_finder(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert load_face_finder(tmp_path) is None


def test_an_opencv_without_cascades_needs_the_network(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", StandIn(tmp_path / "cv2", {}, with_cascades=False))
    assert load_face_finder(tmp_path) is None
    (tmp_path / "face_detection_yunet_2023mar.onnx").touch()
    assert load_face_finder(tmp_path) is not None


def test_cascades_are_tried_in_turn_until_one_finds_something(tmp_path, monkeypatch):
    cv2 = StandIn(tmp_path, {"profileface": [[10, 20, 30, 40]], "frontalface_alt": [[0, 0, 9, 9]]})
    monkeypatch.setitem(sys.modules, "cv2", cv2)
    finder = load_face_finder(tmp_path)
    assert finder is not None
    assert finder.focus_points(PHOTO) == [(10 + 30 / 2, pytest.approx(20 + 40 / 3))]
    assert cv2.asked == ["eye", "frontalface_default", "profileface"]
    assert cv2.pictures[0].shape == (100, 200)
    cv2.asked.clear()
    assert finder.faces(PHOTO) == [Face(10, 20, 30, 40)]
    assert cv2.asked == ["frontalface_default", "profileface"]


def test_nothing_found_is_no_face(tmp_path, monkeypatch):
    cv2 = StandIn(tmp_path, {})
    monkeypatch.setitem(sys.modules, "cv2", cv2)
    finder = load_face_finder(tmp_path)
    assert finder is not None
    assert finder.faces(PHOTO) == []
    assert finder.focus_points(PHOTO) == []
    assert cv2.asked == [*FACE_CASCADES, *FOCUS_CASCADES]


def test_the_network_comes_before_the_cascades_and_sees_blue_first(tmp_path, monkeypatch):
    cv2 = StandIn(tmp_path / "cv2", {"network": [[10, 20, 30, 60]], "eye": [[0, 0, 5, 5]]})
    monkeypatch.setitem(sys.modules, "cv2", cv2)
    (tmp_path / "face_detection_yunet_2023mar.onnx").touch()
    finder = load_face_finder(tmp_path)
    assert finder is not None
    assert finder.faces(PHOTO) == [Face(10, 20, 30, 60)]
    assert finder.focus_points(PHOTO) == [(25, 40)]
    assert cv2.asked == ["face_detection_yunet_2023mar.onnx (200, 100) 0.9 0.3 5000"] * 2
    assert cv2.pictures[0][0, 0].tolist() == [30, 20, 10]
