import numpy as np
import pytest

from modules.preprocess.corners import find_corners

RECORDED = [[20, 30], [50, 10], [70, 48], [19, 50], [39, 50], [70, 9], [10, 41], [11, 20]]


def test_the_same_corners_as_opencv():
    """Recorded from cv2.goodFeaturesToTrack (opencv 4.14), called with the same grey levels and limits."""
    rng = np.random.default_rng(7)
    grey = np.kron(rng.integers(0, 256, (6, 8)), np.ones((10, 10))).astype(np.float32)
    assert find_corners(grey, 8, 0.04, 12.0).tolist() == RECORDED


def test_corners_of_a_rectangle_lie_at_its_corners():
    grey = np.zeros((60, 90), np.float32)
    grey[20:40, 30:60] = 200
    assert sorted(find_corners(grey).tolist()) == [[30, 20], [30, 39], [59, 20], [59, 39]]


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (2, 2), (40, 40)])
def test_where_nothing_changes_there_are_no_corners(shape):
    assert len(find_corners(np.full(shape, 77, np.float32))) == 0


def test_an_edge_is_no_corner():
    grey = np.zeros((40, 40), np.float32)
    grey[:, 20:] = 255
    assert len(find_corners(grey)) == 0


def test_count_and_distance_are_kept():
    grey = np.random.default_rng(1).random((80, 80)).astype(np.float32)
    assert len(find_corners(grey, count=7, distance=3)) == 7
    found = find_corners(grey, distance=20)
    between = np.linalg.norm(found[:, None] - found[None], axis=-1) + 1000 * np.eye(len(found))
    assert between.min() >= 20
