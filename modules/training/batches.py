"""The batches of a run, one optimiser step after the other.

All that is random about training is drawn here, from random numbers of its own: samples, measurements and other
people's pictures may come between two steps and change nothing.
"""

import random
from collections.abc import Sequence
from typing import Any

import torch

from modules.model.model import SDModel
from modules.training.dataset import BatchOrder, Example, stack
from modules.training.prompts import PromptMaker
from modules.training.state import TrainingState
from modules.training.textual_inversion import Batch
from modules.training.timesteps import draw_timesteps, min_snr_weights


class BatchSource:
    """What each step learns from.

    Args:
        model: whose noise levels the timesteps mean.
        state: where random numbers, and the order of the photos, stand.
        examples: what `state.photos` names, in that order.
        prompts: what stands beside them.
        last_step: of the run.
    """

    def __init__(
        self,
        model: SDModel,
        state: TrainingState,
        examples: Sequence[Example],
        prompts: PromptMaker,
        last_step: int,
    ):
        self.params, self.examples, self.prompts = state.params, examples, prompts
        self.alphas, self.predicts_v = model.alphas_cumprod, model.denoiser.predicts_v
        self.first_step, self.last_step = state.first_step, last_step
        self.generator = torch.Generator()
        self.generator.set_state(state.generator)
        self.source = random.Random()
        self.source.setstate(state.source)
        self.order = self._new_order()
        self.order.queue = state.queue
        self.order.forget_mixed()  # photos may have been replaced before a resume

    def draw(self, step: int) -> list[Batch]:
        """The batches of the step after `step` steps."""
        return self._batches(step, self.order.draw(self.source))

    def trial(self, step: int) -> list[Batch]:
        """Batches like those of a step; the ones to come are as if nobody had asked."""
        generator, source = self.generator.get_state(), self.source.getstate()
        batches = self._batches(step, self._new_order().draw(self.source))
        self.generator.set_state(generator)
        self.source.setstate(source)
        return batches

    @property
    def position(self) -> dict[str, Any]:
        """A copy of what the batches to come depend on, by field of `TrainingState`."""
        return {
            "generator": self.generator.get_state(),
            "source": self.source.getstate(),
            "queue": list(self.order.queue),
        }

    def _new_order(self) -> BatchOrder:
        sizes = [tuple(example.mean.shape) for example in self.examples]
        return BatchOrder(sizes, self.params.batch_size, self.params.gradient_step)

    def _batches(self, step: int, drawn: Sequence[Sequence[int]]) -> list[Batch]:
        sizes = [len(indices) for indices in drawn]
        places = [step * sum(sizes) + sum(sizes[:number]) for number in range(len(sizes))]
        return [self._batch(step, indices, place) for indices, place in zip(drawn, places, strict=True)]

    def _batch(self, step: int, indices: Sequence[int], place: int) -> Batch:
        examples = [self.examples[index] for index in indices]
        if step - self.first_step < self.params.small_first * (self.last_step - self.first_step):
            examples = [example.small or example for example in examples]
        latents, weights = stack(examples, self.generator)
        noise = torch.randn(latents.shape, generator=self.generator)
        sampling = self.params.timestep_sampling
        timesteps = draw_timesteps(sampling, len(examples), place, self.params.seed, self.generator, len(self.alphas))
        prompts = [self.prompts.draw(example.photo.caption, self.source) for example in examples]
        if self.params.loss_weighting == "min-SNR":
            shares = min_snr_weights(timesteps, self.alphas, self.predicts_v)
            weights = shares if weights is None else shares * weights
        return Batch(latents, noise, timesteps, prompts, weights)
