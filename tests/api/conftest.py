from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modules.flags import Flags
from modules.settings import Settings
from tests.api.serving import API_ONLY, Served, start


@pytest.fixture(scope="module")
def begin(tmp_path_factory: pytest.TempPathFactory, two_models: Path) -> Iterator[Callable[..., Served]]:
    """`begin(flags, settings)` serves an App of its own until the end of the module."""
    running: list[Served] = []

    def begin(flags: Flags = API_ONLY, settings: Settings | None = None) -> Served:
        data = tmp_path_factory.mktemp("data")
        folder = data / "models" / "Stable-diffusion"
        folder.mkdir(parents=True)
        for file in two_models.iterdir():
            (folder / file.name).symlink_to(file)
        running.append(start(data, flags, settings))
        return running[-1]

    yield begin
    for served in running:
        served.stop()


@pytest.fixture(scope="module")
def served(begin: Callable[..., Served]) -> Served:
    """One server for a module: its tests leave it as they found it."""
    return begin()
