"""Models, an installation with one embedding, and photos."""

from pathlib import Path

import pytest

from modules.paths import Paths


@pytest.fixture(scope="session")
def model():
    from tests.training.tiny_run import load

    return load()


@pytest.fixture(scope="session")
def reference():
    """The model that the reference values were recorded with: of the same width, but twice as slow."""
    from tests.training.tiny_run import load_reference

    return load_reference()


@pytest.fixture
def paths(tmp_path) -> Paths:
    """An installation with one embedding of two vectors."""
    from tests.training.tiny_run import make_embedding

    paths = Paths(data=tmp_path / "data")
    make_embedding(paths)
    return paths


@pytest.fixture
def photos(tmp_path) -> Path:
    from tests.training.tiny_run import make_photos

    return make_photos(tmp_path / "photos", 4)
