"""Photos as latents, encoded once, and the order in which batches of them are learned from."""

import dataclasses
import hashlib
import random
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from modules import images
from modules.errors import DatasetError, FileFormatError, ImageError
from modules.events import Event, Request, Status
from modules.model.model import SDModel
from modules.training.photos import Photo, describe_photo, open_photo, photo_digest
from modules.training_params import FEWEST_FOR_HELD_OUT, TrainParams


@dataclass(frozen=True, eq=False)
class Example:
    """What is learned from one photo. All tensors float32, on the CPU.

    Attributes:
        mean: [4, h, w], scaled as the UNet has latents.
        deviation: [4, h, w] of each fresh sample; None: `mean` is what is learned from, always.
        weight: [1, h, w] of the loss, 1 on average; None: 1 everywhere.
        small: the same of half the size, for the first steps; None: not wanted.
        digest: of the photo's file, by which another one of that name is told; empty: it could not be read again.
    """

    photo: Photo
    mean: Tensor
    deviation: Tensor | None = None
    weight: Tensor | None = None
    small: "Example | None" = None
    digest: str = ""

    def latents(self, generator: torch.Generator) -> Tensor:
        """[4, h, w] for one use."""
        if self.deviation is None:
            return self.mean
        return self.mean + self.deviation * torch.randn(self.mean.shape, generator=generator)


def encode(
    model: SDModel, photos: Sequence[Photo], params: TrainParams
) -> Generator[Event, Request | None, tuple[list[Example], dict[str, str]]]:
    """Put photos through the VAE, one at a time.

    Yields:
        a `Status` after each photo.

    Returns:
        the examples, in order, and why the other photos cannot be used, by file name.

    Raises:
        NumericalError: the VAE answered with NaN.
    """
    examples, refused = [], {}
    for number, photo in enumerate(photos):
        try:
            picture, mask = open_photo(photo, params.width, params.height, params.varsize, params.use_weight)
        except (ImageError, DatasetError) as error:
            refused[photo.name] = str(error)
        else:
            example = _encoded(model, photo, picture, mask, params)
            if params.small_first:
                half = [max(64, side // 16 * 8) for side in picture.size]
                small = picture.resize(half, Image.Resampling.LANCZOS)
                example = dataclasses.replace(example, small=_encoded(model, photo, small, mask, params))
            examples.append(dataclasses.replace(example, digest=photo_digest(photo)))
        yield Status(f"encoding photo {number + 1} of {len(photos)}")
    return examples, refused


def encode_files(
    model: SDModel, files: Iterable[Path], params: TrainParams
) -> Generator[Event, Request | None, tuple[list[Example], dict[str, str]] | None]:
    """Read what photos show from their names and captions, then `encode` them. None: interrupted.

    Raises:
        NumericalError: the VAE answered with NaN.
    """
    photos: list[Photo] = []
    refused = {}
    for path in files:
        try:
            photos.append(describe_photo(path, params.filename_word_regex, params.filename_join_string))
        except (DatasetError, FileFormatError) as error:
            refused[path.name] = str(error)
    encoding = encode(model, photos, params)
    request = None
    try:
        while request is not Request.INTERRUPT:
            request = yield encoding.send(None)
        return None
    except StopIteration as end:
        examples, unreadable = end.value
        return examples, refused | unreadable


def set_aside(names: Sequence[str], params: TrainParams) -> list[str]:
    """The photos that are never learned from: none if there are few, at most a quarter, drawn by the seed."""
    if len(names) < FEWEST_FOR_HELD_OUT:
        return []
    return sorted(random.Random(params.seed).sample(list(names), min(params.held_out, len(names) // 4)))


@dataclass
class BatchOrder:
    """Random batches without end; each takes pictures of one size only.

    Args:
        sizes: the size of each example, anything that can be compared.
        batch_size: cut to the number of examples.
        accumulation: batches that belong to one optimiser step; what is left over in an epoch is not used.
        queue: batches of the epoch that has begun, as indices.

    Source: A1111 v1.10: a size's examples fill batches; what remains of all sizes is drawn with replacement, from a
    size as often as much of it remains.
    """

    sizes: Sequence[object]
    batch_size: int
    accumulation: int = 1
    queue: list[list[int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.batch_size = min(self.batch_size, len(self.sizes))
        self.accumulation = min(self.accumulation, len(self.sizes) // self.batch_size)

    @property
    def epoch_steps(self) -> int:
        """Optimiser steps of one pass over the examples."""
        return len(self.sizes) // self.batch_size // self.accumulation

    def forget_mixed(self) -> None:
        """Begin a new epoch if a batch of this one has pictures of several sizes by now: they cannot be stacked."""
        if any(len({self.sizes[index] for index in batch}) > 1 for batch in self.queue):
            self.queue = []

    def draw(self, source: random.Random) -> list[list[int]]:
        """The batches of the next optimiser step."""
        if not self.queue:
            self.queue = self._epoch(source)
        batches, self.queue = self.queue[: self.accumulation], self.queue[self.accumulation :]
        return batches

    def _epoch(self, source: random.Random) -> list[list[int]]:
        size = self.batch_size
        groups: dict[object, list[int]] = {}
        for index, key in enumerate(self.sizes):
            groups.setdefault(key, []).append(index)
        batches = []
        for group in groups.values():
            shuffled = source.sample(group, len(group))
            batches += [shuffled[start : start + size] for start in range(0, len(group) - size + 1, size)]
        remaining = [len(group) % size for group in groups.values()]
        while len(batches) < len(self.sizes) // size:
            group = source.choices(list(groups.values()), remaining)[0]
            batches.append(source.choices(group, k=size))
        source.shuffle(batches)
        return batches[: self.epoch_steps * self.accumulation]


def stack(examples: Sequence[Example], generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
    """Latents [B, 4, h, w] and weights [B, 1, h, w] of a batch; None if all weights are 1."""
    latents = torch.stack([example.latents(generator) for example in examples])
    if all(example.weight is None for example in examples):
        return latents, None
    ones = torch.ones(1, *latents.shape[2:])
    return latents, torch.stack([ones if example.weight is None else example.weight for example in examples])


def refusals(refused: Mapping[str, str]) -> str:
    """One sentence for photos that are not used; empty if there are none."""
    if not refused:
        return ""
    listed = "; ".join(f"{name}: {reason.rstrip('.')}" for name, reason in list(refused.items())[:5])
    more = f"; and {len(refused) - 5} more" if len(refused) > 5 else ""
    photos = "1 photo is" if len(refused) == 1 else f"{len(refused)} photos are"
    return f"{photos} not used: {listed}{more}."


def _encoded(
    model: SDModel, photo: Photo, picture: Image.Image, mask: Image.Image | None, params: TrainParams
) -> Example:
    moments = model.encode(images.to_tensor(picture)[None])[0].cpu()
    scaling_factor = model.architecture.scaling_factor
    mean, log_variance = moments.chunk(2)
    mean = mean * scaling_factor
    deviation = (log_variance.clamp(-30, 20) / 2).exp() * scaling_factor  # the range that the VAE was trained with
    weight = _weight(mask, mean.shape[1:]) if mask else None
    if params.latent_sampling_method == "random":
        return Example(photo, mean, deviation, weight)
    if params.latent_sampling_method == "once":  # by name, so that it is the same when a run is resumed
        digest = hashlib.sha256(f"{params.seed} {photo.name}".encode("utf-8", "surrogateescape")).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:7]))
        mean = Example(photo, mean, deviation).latents(generator)
    return Example(photo, mean, None, weight)


def _weight(mask: Image.Image, size: Sequence[int]) -> Tensor | None:
    """Opacity as weights [1, h, w] with mean 1, the least opaque place at 0; None for an even one."""
    height, width = size
    alpha = torch.from_numpy(np.array(mask.resize((width, height), Image.Resampling.BOX))).float()
    alpha = alpha - alpha.min()
    return (alpha / alpha.mean())[None] if alpha.mean() > 0 else None
