"""How near the drawings of an embedding have come to its photos, seen with the model's own eyes.

The inner layers of a diffusion UNet tell what a noisy picture shows (Tang et al. 2023, arXiv:2306.03881, find the same
parts of two pictures by them); pictures of alike things answer alike there. So no other network is needed, and it works
with any checkpoint: pictures are drawn with the plain word and with the embedding, and both are laid beside the photos.
"""

import contextlib
import functools
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor
from torch.nn import Module

from modules.events import Event, Request, Status
from modules.model.conditioning import Conditioner, PromptRules
from modules.samplers.guidance import Guided
from modules.samplers.noise import ImageNoise
from modules.samplers.sample import sample

PROMPTS = ("a portrait of {}", "a photo of a {}")
DRAWINGS = 8  # half of them of each prompt, always of the same seeds
STEPS, SAMPLER, SCHEDULE, CFG_SCALE = 8, "DPM++ 2M", "Karras", 5.0
TIMESTEP = 500  # half of the picture is noise: shapes and colours can be seen, single lines cannot
FIRST_SEED = 900
MOST_PIXELS = 512 * 512  # of the pictures that are drawn at once
LEAST_WAY = 1e-6  # of a length of 1: the word draws the photos already


@dataclass(frozen=True)
class Liked:
    """How much of the way from the plain word to the photos the drawings have come: 0 none, 1 all of it.

    Attributes:
        value: mean over the drawings.
        each: of each drawing alone, always in the same order; how much they differ tells how sure `value` is.
    """

    value: float
    each: tuple[float, ...]


class Likeness:
    """Likeness of the embeddings of one run: fixed prompts, seeds and photos, so that snapshots can be compared.

    With f(picture) [features] what the UNet's first half says of it (see `_features`), P the mean of f over the photos
    and W the mean of f over drawings with the plain word, a drawing x of the embedding has likeness

        ⟨f(x) − W, P − W⟩ / |P − W|²

    which is 0 at W on average, 1 at P, and may be beyond both for a single drawing.

    Args:
        conditioner: model and embeddings.
        name: of the embedding.
        word: the plain word or words.
        size: (width, height) in pixels of the drawings.
        rules: how prompts are read.
        photos: [4, h, w] latents of each, scaled as the UNet has them; of any sizes.
    """

    def __init__(
        self,
        conditioner: Conditioner,
        name: str,
        word: str,
        size: tuple[int, int],
        rules: PromptRules,
        photos: Sequence[Tensor],
    ):
        self._conditioner = conditioner
        self._model = conditioner.model
        self._name, self._word, self._rules = name, word, rules
        self._shape = (4, size[1] // 8, size[0] // 8)
        self._at_once = max(1, min(DRAWINGS, MOST_PIXELS // (size[0] * size[1])))
        self._photos = photos
        self._norms: list[Tensor] = []  # of each block, the usual length of what it says
        self._begin = self._way = torch.empty(0)  # W and P - W

    def measure(self, vectors: Tensor) -> Generator[Event, Request | None, Liked | None]:
        """Measure one snapshot; the first call also looks at the photos and draws the plain word.

        Args:
            vectors: [vectors_per_token, width].

        Yields:
            a `Status` before each photo and each step of a drawing. INTERRUPT ends it.

        Returns:
            None if it was interrupted.
        """
        if not self._norms and not (yield from self._prepare()):
            return None
        drawn = yield from self._drawn(self._name, vectors, "drawing what the embedding draws")
        if drawn is None:
            return None
        square = float(self._way @ self._way)
        if square < LEAST_WAY:
            return Liked(1.0, (1.0,) * DRAWINGS)
        each = tuple(((self._seen(drawn) - self._begin) @ self._way / square).tolist())
        return Liked(sum(each) / len(each), each)

    def _prepare(self) -> Generator[Event, Request | None, bool]:
        """See the photos and what the plain word draws. False: interrupted."""
        said: list[list[Tensor]] = []
        for number, photo in enumerate(self._photos):
            request = yield Status(f"looking at photo {number + 1} of {len(self._photos)}")
            if request is Request.INTERRUPT:
                return False
            said.append(self._features(photo[None]))
        blocks = [torch.cat(of_block) for of_block in zip(*said, strict=True)]
        norms = [block.norm(dim=1).mean().clamp(min=1e-12) for block in blocks]
        self._norms = norms
        photos = self._joined(blocks)
        plain = yield from self._drawn(self._word, None, "drawing what the plain word draws")
        if plain is None:
            self._norms = []
            return False
        self._begin = self._seen(plain).mean(0)
        self._way = photos.mean(0) - self._begin
        return True

    def _drawn(
        self, subject: str, vectors: Tensor | None, doing: str
    ) -> Generator[Event, Request | None, Tensor | None]:
        """Latents [drawings, 4, h, w] of drawings of `subject`; None if interrupted."""
        texts = [PROMPTS[number % len(PROMPTS)].format(subject) for number in range(DRAWINGS)]
        given = {} if vectors is None else {subject: vectors.to(self._model.device)}
        found = []
        for first in range(0, DRAWINGS, self._at_once):
            some = texts[first : first + self._at_once]
            conds = [self._conditioner.encode([text], self._rules, given)[0] for text in some]
            empty = self._conditioner.encode([""], self._rules, {})[0]
            guided = Guided(
                self._model.denoiser,
                [[([(STEPS, cond)], 1.0)] for cond in conds],
                [[(STEPS, empty)]] * len(some),
                CFG_SCALE,
            )
            seeds = [FIRST_SEED + number for number in range(first, first + len(some))]
            noise = ImageNoise(self._shape, seeds, device=self._model.device)
            x = None
            for step in sample(SAMPLER, SCHEDULE, STEPS, guided, noise):
                request = yield Status(f"{doing}, {first + len(some)} of {DRAWINGS}")
                if request is Request.INTERRUPT:
                    return None
                x = step.x
            assert x is not None, "there are steps"
            found.append(x)
        return torch.cat(found)

    def _joined(self, blocks: Sequence[Tensor]) -> Tensor:
        """f [pictures, features]: what all blocks say, each as loud as the others."""
        return torch.cat([block / norm for block, norm in zip(blocks, self._norms, strict=True)], dim=1)

    def _seen(self, drawn: Tensor) -> Tensor:
        """f [drawings, features] of latents."""
        return torch.cat([self._joined(self._features(some)) for some in drawn.split(self._at_once)])

    @torch.no_grad()
    def _features(self, latents: Tensor) -> list[Tensor]:
        """What each block of the UNet's first half says of pictures [B, 4, h, w] under the same noise.

        Returns:
            of each block but the first, which sees little more than edges: mean and deviation over the picture of each
            channel, float32 [B, 2 · channels] on the CPU.
        """
        noise = torch.randn(latents.shape[1:], generator=torch.Generator().manual_seed(FIRST_SEED))
        share = self._model.alphas_cumprod[TIMESTEP].to(latents.device)
        x = share**0.5 * latents + (1 - share) ** 0.5 * noise.to(latents.device)
        x = x.to(self._model.device)
        empty = self._conditioner.encode([""], self._rules, {})[0]
        timesteps = torch.full((len(x),), float(TIMESTEP), device=x.device)
        with _overheard(self._model.unet) as said:
            self._model.denoiser.predict(x, timesteps, empty[None].expand(len(x), -1, -1))
        return [torch.cat([one.mean((2, 3)), one.std((2, 3), correction=0)], dim=1).cpu() for one in said.values()]


@contextlib.contextmanager
def _overheard(unet: UNet2DConditionModel) -> Iterator[Mapping[int, Tensor]]:
    """What the blocks on the way down (but the first) and the middle one answer in a call, float32 [B, C, h, w]."""
    said: dict[int, Tensor] = {}  # of the last call: one that overflows in half precision is made again

    def listen(place: int, _block: Module, _given: object, answer: Tensor | tuple[Tensor, ...]) -> None:
        said[place] = (answer if isinstance(answer, Tensor) else answer[0]).detach().float()

    blocks = [*unet.down_blocks, unet.mid_block][1:]
    hooks = [
        block.register_forward_hook(functools.partial(listen, place)) for place, block in enumerate(blocks) if block
    ]
    try:
        yield said
    finally:
        for hook in hooks:
            hook.remove()
