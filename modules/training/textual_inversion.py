"""One optimiser step of textual inversion: only the vectors of the embedding are parameters.

Source: Gal et al. 2022, arXiv:2208.01618; the loss of velocity models: Salimans and Ho 2022, arXiv:2202.00512.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from modules.model.conditioning import Conditioner, PromptRules
from modules.model.model import SDModel

RUNAWAY = 1000  # times the length of a word's vector: no embedding that means anything is near it
SIZE_OF_SD1 = 0.0139  # a number of a word's vector in SD 1, root mean square; rates in A1111's guides are meant for it
_FIRST_SCALE = 2.0**16
_STEPS_BEFORE_GROWTH = 500


@dataclass(frozen=True, eq=False)
class Batch:
    """One call of the UNet.

    Attributes:
        latents, noise: [B, 4, h, w].
        timesteps: int64 [B], 0 … 999.
        prompts: B texts.
        weights: [B, 1, h, w] of the loss, or None.
    """

    latents: Tensor
    noise: Tensor
    timesteps: Tensor
    prompts: Sequence[str]
    weights: Tensor | None = None


@dataclass(frozen=True)
class Outcome:
    """What a step came to.

    Attributes:
        loss: mean over the batches.
        gradient_norm: length of the gradient before clipping, mean over the vectors.
        done: the vectors have moved, and are numbers of a sensible size.
        overflow: half precision overflowed, as it does now and then: nothing has moved, try once more.
        problem: why it is not done, as the part of a sentence.
    """

    loss: float
    gradient_norm: float
    done: bool
    overflow: bool = False
    problem: str = ""


@dataclass(frozen=True, eq=False)
class OptimiserState:
    """Everything that an optimiser step changes. Tensors float32 [vectors, width] on the CPU.

    Attributes:
        vectors: of the embedding.
        mean, variance: AdamW's running moments of the gradient.
        updates: how often AdamW has moved the vectors.
        loss_scale, scale_age: the factor that keeps half-precision gradients from vanishing, and its steps without
            overflow.
        average: running mean of the vectors; None without averaging.
        lengths: [vectors, 1], those that the vectors are held to; None: nothing holds them.
    """

    vectors: Tensor
    mean: Tensor
    variance: Tensor
    updates: int = 0
    loss_scale: float = _FIRST_SCALE
    scale_age: int = 0
    average: Tensor | None = None
    lengths: Tensor | None = None


def fresh_state(vectors: Tensor) -> OptimiserState:
    """The state before the first step."""
    vectors = vectors.detach().to("cpu", torch.float32)
    lengths = vectors.norm(dim=1, keepdim=True)
    zeros = torch.zeros_like
    return OptimiserState(vectors, zeros(vectors), zeros(vectors), lengths=lengths if lengths.all() else None)


def rate_unit(model: SDModel, init_text: str | None) -> float:
    """What rates are multiplied with, so that they move a model's words as far, in proportion, as those of SD 1.

    Args:
        init_text: the words that the embedding began as: the longest of them counts. None of them: all words do.
    """
    table = cast(Tensor, model.text_encoder.get_input_embeddings().weight).detach()
    ids = model.tokenizer.encode(init_text or "")
    words = table[ids] if ids else table[::49]  # a thousand words say it as well as all
    lengths = words.float().norm(dim=1)
    length = float(lengths.max() if ids else lengths.mean())
    return length / table.shape[1] ** 0.5 / SIZE_OF_SD1


class TextualInversion:
    """The vectors of one embedding, and how they learn.

    Args:
        conditioner: encodes the prompts, by the same path as pictures are drawn.
        name: that stands for the vectors in prompts.
        state: where to begin.
        rules: how prompts are read.
        averaging: how much of the running mean of the vectors each step keeps; 0: there is none.
        keep_length: how far each step goes back to the lengths that the vectors began with, 0 … 1.
        equal_pull: bring the gradient of each picture to the length of the middle one before they are averaged.
    """

    def __init__(
        self,
        conditioner: Conditioner,
        name: str,
        state: OptimiserState,
        rules: PromptRules,
        averaging: float = 0.0,
        keep_length: float = 0.0,
        equal_pull: bool = False,
    ):
        self._conditioner = conditioner
        self._model = conditioner.model
        self._name = name
        self._rules = rules
        self._averaging, self._keep_length, self._equal_pull = averaging, keep_length, equal_pull
        self._alphas = self._model.alphas_cumprod.to(self._model.device)
        self._half = self._model.unet.dtype == torch.float16
        table = cast(Tensor, self._model.text_encoder.get_input_embeddings().weight)
        self._word = float(table[:1000].float().norm(dim=1).mean().clamp(min=1e-12))
        self.vectors = torch.nn.Parameter(torch.empty_like(state.vectors, device=self._model.device))
        self.restore(state)

    @property
    def state(self) -> OptimiserState:
        """A copy of all that steps change."""
        moments = self._optimiser.state[self.vectors]
        return OptimiserState(
            _copy(self.vectors),
            _copy(moments["exp_avg"]),
            _copy(moments["exp_avg_sq"]),
            int(moments["step"]),
            self._scale,
            self._scale_age,
            None if self._average is None else _copy(self._average),
            None if self._lengths is None else _copy(self._lengths),
        )

    @property
    def learned(self) -> Tensor:
        """A copy of what the embedding is to be: the running mean, or the vectors themselves without averaging."""
        return _copy(self.vectors if self._average is None else self._average)

    @contextlib.contextmanager
    def as_learned(self) -> Iterator[None]:
        """Losses are those of `learned` meanwhile."""
        vectors = self.vectors.detach().clone()
        with torch.no_grad():
            self.vectors.copy_(self.learned)
        try:
            yield
        finally:
            with torch.no_grad():
                self.vectors.copy_(vectors)

    def restore(self, state: OptimiserState) -> None:
        """Go back to, or on from, a state."""
        with torch.no_grad():
            self.vectors.copy_(state.vectors)
        # no weight decay: it would pull the vectors to zero, which is no word at all
        self._optimiser = torch.optim.AdamW([self.vectors], betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)
        self._optimiser.state[self.vectors] = {
            "step": torch.tensor(float(state.updates)),
            "exp_avg": state.mean.to(self.vectors.device, copy=True),
            "exp_avg_sq": state.variance.to(self.vectors.device, copy=True),
        }
        self._scale, self._scale_age = state.loss_scale, state.scale_age
        self._lengths = None if state.lengths is None else state.lengths.to(self.vectors.device, copy=True)
        average = state.vectors if state.average is None else state.average
        self._average = average.to(self.vectors.device, copy=True) if self._averaging else None

    @property
    def vector_norm(self) -> float:
        """Mean length of the vectors."""
        return float(self.vectors.detach().norm(dim=1).mean())

    def loss(self, batch: Batch) -> Tensor:
        """Mean squared error of the prediction, one number; gradients flow to the vectors."""
        return self._losses(batch, self.vectors).mean()

    def gradient(self, batches: Sequence[Batch]) -> tuple[float, Tensor]:
        """The loss, mean over the batches, and its gradient [vectors, width], free of any scale.

        With equal pull, the gradients of single pictures come from one pass backward through a copy of the vectors for
        each of them; what is averaged then has as many units as without.
        """
        scale = self._scale if self._half else 1.0
        total, found = 0.0, []
        for batch in batches:
            copies = self.vectors.detach()
            if self._equal_pull:
                copies = copies.expand(len(batch.prompts), *copies.shape)
            copies = copies.clone().requires_grad_()
            losses = self._losses(batch, copies)
            loss = losses.sum() if self._equal_pull else losses.mean()
            if loss.requires_grad:  # else no prompt of the batch names the embedding, which the health check tells
                (loss * scale).backward()
            total += float(losses.detach().mean()) / len(batches)
            gradient = torch.zeros_like(copies) if copies.grad is None else copies.grad / scale
            found.append(gradient if self._equal_pull else gradient[None])
        gradients = torch.cat(found)
        return total, (_equally_long(gradients) if self._equal_pull else gradients).mean(0)

    def _losses(self, batch: Batch, vectors: Tensor) -> Tensor:
        """Mean squared error of each prediction, [B].

        Args:
            vectors: [vectors, width], or [B, vectors, width]: each picture its own.
        """
        latents, noise, timesteps = (t.to(self._model.device) for t in (batch.latents, batch.noise, batch.timesteps))
        share = self._alphas[timesteps][:, None, None, None]
        signal, rest = share.sqrt(), (1 - share).sqrt()
        cond = self._conditioner.encode(batch.prompts, self._rules, {self._name: vectors})
        denoiser = self._model.denoiser
        prediction = denoiser.predict(signal * latents + rest * noise, timesteps, cond)
        target = signal * noise - rest * latents if denoiser.predicts_v else noise
        error = (prediction - target) ** 2
        return (error if batch.weights is None else error * batch.weights.to(error)).mean((1, 2, 3))

    def step(self, batches: Sequence[Batch], rate: float, clip_mode: str = "disabled", clip: float = 0.0) -> Outcome:
        """Move the vectors once.

        Args:
            batches: whose gradients are averaged.
            rate: learning rate.
            clip_mode, clip: "value" cuts each number of the gradient, "norm" shortens it as a whole.
        """
        loss, gradient = self.gradient(batches)
        self.vectors.grad = None
        norm = float(gradient.norm(dim=1).mean())
        if not (torch.isfinite(gradient).all() and loss < float("inf")):
            if self._half and self._scale > 1 and loss < float("inf"):
                self._scale, self._scale_age = self._scale / 2, 0
                return Outcome(loss, norm, done=False, overflow=True)
            return Outcome(loss, norm, done=False, problem=_no_number(loss))
        if clip_mode == "value":
            gradient = gradient.clamp(-clip, clip)
        elif clip_mode == "norm":
            gradient = gradient * (clip / gradient.norm().clamp(min=clip))
        self._optimiser.param_groups[0]["lr"] = rate
        self.vectors.grad = gradient
        self._optimiser.step()
        self.vectors.grad = None
        self._hold_lengths()
        self._move_average()
        self._scale_age += 1
        if self._half and self._scale_age >= _STEPS_BEFORE_GROWTH:
            self._scale, self._scale_age = min(self._scale * 2, _FIRST_SCALE), 0
        words = float(self.vectors.detach().norm(dim=1).max()) / self._word
        if words < RUNAWAY:
            return Outcome(loss, norm, done=True)
        grown = f"grew to {words:,.0f} times the length of a word's" if words < float("inf") else "are no numbers now"
        return Outcome(loss, norm, done=False, problem=f"the vectors {grown}")

    @torch.no_grad()
    def _hold_lengths(self) -> None:
        if self._keep_length and self._lengths is not None:
            now = self.vectors.norm(dim=1, keepdim=True).clamp(min=1e-12)
            self.vectors.mul_(1 + self._keep_length * (self._lengths / now - 1))

    def _move_average(self) -> None:
        """The first steps are forgotten sooner: they are the farthest from where it goes."""
        if self._average is not None:
            updates = float(self._optimiser.state[self.vectors]["step"])
            kept = min(self._averaging, updates / (updates + 9))
            self._average.lerp_(self.vectors.detach(), 1 - kept)


def _equally_long(gradients: Tensor) -> Tensor:
    """Each picture's gradient with the length of the middle one.

    A few pictures with hardly any noise have gradients many times as long as the rest, and mostly by chance.

    Args:
        gradients: [pictures, vectors, width]; those of zero, whose prompts leave the name out, stay so.
    """
    lengths = gradients.flatten(1).norm(dim=1)
    pulling = lengths[lengths != 0]  # NaN and infinity too: the step has to see them
    if not len(pulling):
        return gradients
    shares = pulling.median() / torch.where(lengths == 0, 1.0, lengths)
    return gradients * shares[:, None, None]


def _no_number(loss: float) -> str:
    """What of a step is NaN or infinite: its loss, or else only the gradient."""
    return "the gradient holds NaN or infinity" if loss < float("inf") else f"the loss is {loss}"


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", torch.float32, copy=True)
