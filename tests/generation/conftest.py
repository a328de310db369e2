"""The models of these tests, loaded once, and a way to run them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from modules.events import Event, ImageDone, Request

if TYPE_CHECKING:  # these bring torch
    from modules.generation.outputs import OutputFolder
    from modules.model.conditioning import Conditioner
    from modules.model.model import SDModel

REFERENCE = Path(__file__).parents[1] / "data" / "reference"


def load(path: Path) -> "SDModel":
    from modules.flags import Flags
    from modules.model.checkpoint import Checkpoint
    from modules.model.device import DevicePolicy
    from modules.model.loader import load_model

    return load_model(Checkpoint(path, path.name, "ab" * 32), DevicePolicy.chosen(Flags(no_half=True, use_cpu=True)))


def reading(model: "SDModel") -> "Conditioner":
    from modules.embeddings.database import EmbeddingDatabase
    from modules.model.conditioning import Conditioner

    return Conditioner(model, EmbeddingDatabase([REFERENCE / "embeddings" / "width72"]))


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> "SDModel":
    from tests import tiny

    return load(tiny.checkpoint(tmp_path_factory.mktemp("model") / "tiny-sd15.safetensors", "sd1-72"))


@pytest.fixture(scope="session")
def conditioner(model) -> "Conditioner":
    return reading(model)


@pytest.fixture(scope="session")
def reference() -> "Conditioner":
    """The model that the reference values were recorded with: of the same width, but twice as slow."""
    return reading(load(REFERENCE / "models" / "tiny-sd15.safetensors"))


@pytest.fixture
def outputs(tmp_path):
    from modules.generation.outputs import OutputFolder

    return OutputFolder(tmp_path / "images", tmp_path / "grids")


@dataclass
class Pulled:
    """All events of a run, and how often the networks were called."""

    events: list[Event] = field(default_factory=list)
    unet_calls: int = 0
    decoder_calls: int = 0

    def of(self, kind: type) -> list:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def pictures(self) -> list[ImageDone]:
        return self.of(ImageDone)


Runner = Callable[..., Pulled]


@pytest.fixture
def run(conditioner, outputs) -> Iterator[Runner]:
    """`run(prompt=…, steps=…)` draws with the tiny model. `ask(event)` says what to send at an event."""
    with runner(conditioner, outputs) as pull:
        yield pull


@pytest.fixture
def run_reference(reference, outputs) -> Iterator[Runner]:
    """The same with the reference model."""
    with runner(reference, outputs) as pull:
        yield pull


@contextmanager
def runner(conditioner: "Conditioner", outputs: "OutputFolder") -> Iterator[Runner]:
    import torch

    from modules.generation.txt2img import txt2img
    from modules.params import Txt2ImgParams

    pulled = Pulled()

    def count_unet(*_: object) -> None:
        pulled.unet_calls += 1

    def count_decoder(*_: object) -> None:
        pulled.decoder_calls += 1

    def pull(
        *, ask: Callable[[Event], Request | None] = lambda event: None, outputs=outputs, **values: object
    ) -> Pulled:
        nonlocal pulled
        pulled = Pulled()
        small = {"width": 64, "height": 64, "steps": 3, "seed": 1, "sampler": "Euler"}
        work = txt2img(conditioner, Txt2ImgParams(**{**small, **values}), outputs)
        request = None
        while True:
            try:
                event = work.send(request)
            except StopIteration:
                return pulled
            assert torch.is_grad_enabled(), "a mode leaked out of the work"
            pulled.events.append(event)
            request = ask(event)

    model = conditioner.model
    hooks = [
        model.unet.register_forward_hook(count_unet),
        model.vae.decoder.register_forward_hook(count_decoder),
    ]
    yield pull
    for hook in hooks:
        hook.remove()
