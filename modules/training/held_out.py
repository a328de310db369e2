"""A loss that can be compared between steps: the same pictures, noises and timesteps each time."""

import random
from collections.abc import Generator, Sequence
from typing import TypeVar

import torch

from modules.events import Event, Request, Status
from modules.training.dataset import Example, stack
from modules.training.prompts import PromptMaker
from modules.training.textual_inversion import Batch, TextualInversion

MEASUREMENTS = 8  # calls of the UNet for one value, or one for each picture
MOST_PICTURES = 8

T = TypeVar("T")


class FixedLoss:
    """Batches that were drawn once.

    Args:
        examples: pictures set aside, or, if there are none, of the training set.
        prompts: lines are taken in turn, captions whole.
        seed: draws the rest.
        measurements: how many, or one for each picture.
    """

    def __init__(self, examples: Sequence[Example], prompts: PromptMaker, seed: int, measurements: int = MEASUREMENTS):
        generator = torch.Generator().manual_seed(seed)
        chosen = choose(examples, seed)
        count = max(measurements, len(chosen))
        self._batches = []
        for number in range(count):
            example = chosen[number % len(chosen)]
            latents, weights = stack([example], generator)
            place = (number + float(torch.rand(1, generator=generator))) / count  # every part of the range once
            noise = torch.randn(latents.shape, generator=generator)
            prompt = prompts.fixed(example.photo.caption, number)
            self._batches.append(Batch(latents, noise, torch.tensor([int(place * 1000)]), [prompt], weights))

    def measure(self, inversion: TextualInversion) -> Generator[Event, Request | None, float | None]:
        """The mean loss with the vectors as they are; None if it was interrupted. Yields as `measure_each`."""
        losses = yield from self.measure_each(inversion)
        return sum(losses) / len(losses) if losses else None

    def measure_each(self, inversion: TextualInversion) -> Generator[Event, Request | None, list[float] | None]:
        """The loss of each batch with the vectors as they are; None if it was interrupted.

        Yields:
            a `Status` before each call of the UNet, so that requests need not wait.
        """
        losses = []
        for number, batch in enumerate(self._batches):
            request = yield Status(f"measuring the held-out loss, {number + 1} of {len(self._batches)}")
            if request is Request.INTERRUPT:
                return None
            with torch.no_grad():
                losses.append(float(inversion.loss(batch)))
        return losses


def choose(pictures: Sequence[T], seed: int, most: int = MOST_PICTURES) -> list[T]:
    """The pictures that something is measured on: all, or some if there are many."""
    return random.Random(seed).sample(list(pictures), most) if len(pictures) > most else [*pictures]
