"""Guidance: prompt, negative prompt and AND parts, mixed into one guess per image.

Text has become tensors before it comes here; this module picks the right ones for each call of the model, joins
them into as few calls as it may, and mixes the answers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from modules.errors import NumericalError
from modules.samplers.sigmas import NoiseTable

Scheduled = list[tuple[int, Tensor]]
"""Encodings [T, D] of one prompt, each with the number of the last call that it serves."""

Composed = list[tuple[Scheduled, float]]
"""The AND parts of one prompt with their weights."""


class Denoiser(Protocol):
    """What can be sampled: a model that guesses the clean latents in noisy ones."""

    @property
    def sigmas(self) -> NoiseTable:
        """The noise levels it was trained on."""
        ...

    def __call__(self, x: Tensor, sigma: Tensor, cond: Tensor, /) -> Tensor:
        """Guess of the clean latents in x [B, 4, h, w] of noise level sigma [B], told by cond [B, T, D]."""
        ...

    def eps(self, x: Tensor, timestep: Tensor, cond: Tensor, /) -> Tensor:
        """Guess of the noise in x [B, 4, h, w] of variance 1 at timestep [B], told by cond [B, T, D]."""
        ...


@dataclass(frozen=True)
class GuidanceOptions:
    """How the negative prompt takes part.

    Attributes:
        s_min_uncond: below this noise level every other call leaves it out ("Negative Guidance minimum sigma").
        s_min_uncond_all: … every call does.
        skip_early: it is left out in this share of the run's beginning, 0 … 1.
        one_call: send prompt and negative prompt through the model together where their lengths agree.
        padding: encoded empty prompt [77, D], laid behind the shorter of prompt and negative prompt, or None.
        pad_v0: repeat the last vector of the negative prompt, or cut it, to the prompt's length; wins over `padding`.
    """

    s_min_uncond: float = 0.0
    s_min_uncond_all: bool = False
    skip_early: float = 0.0
    one_call: bool = True
    padding: Tensor | None = None
    pad_v0: bool = False


class Guided:
    """A denoiser told by prompts: `guided(x, sigma)` is the guess that a solver follows.

    It counts its calls, because prompts change with them: call k (from 0) is served by the first encoding whose last
    call is not below k, so an encoding meant for N steps serves N + 1 calls. A1111 does so, and it decides pixels.

    Args:
        denoiser: the model.
        conds: the prompt of each image of the batch.
        unconds: the negative prompt of each image.
        cfg_scale: how far to go from the negative prompt to the prompt and beyond; 1 = no guidance.
        options: how the negative prompt takes part.

    Attributes:
        before_call: told the training timestep of each call before it is made; it may change the model.

    Raises:
        NumericalError: when called, if the model answers with NaN or infinity.
    """

    denoiser: Denoiser

    def __init__(
        self,
        denoiser: Denoiser,
        conds: Sequence[Composed],
        unconds: Sequence[Scheduled],
        cfg_scale: float,
        options: GuidanceOptions | None = None,
    ):
        assert len(conds) == len(unconds), "one negative prompt per prompt"
        self.denoiser = denoiser
        self.conds = conds
        self.unconds = unconds
        self.cfg_scale = cfg_scale
        self.options = options or GuidanceOptions()
        self.before_call: Callable[[int], None] | None = None
        self.calls = 0
        self.total_steps = 0
        self._weights = [weight for composed in conds for _, weight in composed]
        self._images = [image for image, composed in enumerate(conds) for _ in composed]  # of each AND part
        self._first_parts = [self._images.index(image) for image in range(len(conds))]
        self._needs_uncond = any(cfg_scale * sum(weight for _, weight in composed) != 1 for composed in conds)

    def begin(self, total_steps: int) -> None:
        """Start a run whose prompt schedules see `total_steps` steps."""
        self.calls, self.total_steps = 0, total_steps

    def let_go(self) -> None:
        """Forget the model, to make room for the next one: `go_on_with` has to come before the next call."""
        del self.denoiser
        self.before_call = None

    def go_on_with(
        self, denoiser: Denoiser, conds: Sequence[Composed], unconds: Sequence[Scheduled], options: GuidanceOptions
    ) -> None:
        """Let another model do the calls to come, told by the same prompts in its own encodings."""
        assert [len(composed) for composed in conds] == [len(composed) for composed in self.conds], "the same prompts"
        self.denoiser, self.conds, self.unconds, self.options = denoiser, conds, unconds, options

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        """Guess of the clean latents in x [images, 4, h, w] of noise level sigma."""
        if self.before_call:
            self.before_call(self.denoiser.sigmas.nearest(sigma))
        return self._guide(self.denoiser, x, sigma, sigma)[0]

    def eps(self, x: Tensor, timestep: float, level: float | None = None) -> Tensor:
        """Guess of the noise in x [images, 4, h, w] of variance 1.

        Args:
            timestep: what the model is told, whole or fractional.
            level: compared with `s_min_uncond`; the timestep itself, if not given, as A1111 does.
        """
        if self.before_call:
            self.before_call(int(timestep))
        return self._guide(self.denoiser.eps, x, timestep, timestep if level is None else level)[0]

    def eps_and_uncond(self, x: Tensor, timestep: float, cfg_divisor: float) -> tuple[Tensor, Tensor]:
        """As `eps` with cfg_scale divided by `cfg_divisor`, and beside it the guess of the negative prompt alone."""
        if self.before_call:
            self.before_call(int(timestep))
        return self._guide(self.denoiser.eps, x, timestep, timestep, self.cfg_scale / cfg_divisor, both=True)

    def _guide(
        self,
        predict: Callable[[Tensor, Tensor, Tensor], Tensor],
        x: Tensor,
        at: float,
        level: float,
        cfg_scale: float | None = None,
        both: bool = False,
    ) -> tuple[Tensor, Tensor]:
        cfg_scale = self.cfg_scale if cfg_scale is None else cfg_scale
        ignored = self._ignores_uncond(level)
        conds = _stack([_pick(schedule, self.calls) for composed in self.conds for schedule, _ in composed])
        if ignored or not (both or self._needs_uncond):
            parts = self._predict(predict, x[self._images], at, conds)
            uncond = parts[self._first_parts]  # with weights that sum to 1 its own share is 0
            cfg_scale = 1.0 if ignored else cfg_scale
        else:
            unconds = _stack([_pick(schedule, self.calls) for schedule in self.unconds])
            parts, uncond = self._predict_both(predict, x, at, *self._padded(conds, unconds))
        self.calls += 1
        result = uncond.clone()
        for part, image, weight in zip(parts, self._images, self._weights, strict=True):
            result[image] += (part - uncond[image]) * (weight * cfg_scale)
        return result, uncond

    def _ignores_uncond(self, level: float) -> bool:
        options = self.options
        if options.skip_early and self.total_steps and self.calls / self.total_steps <= options.skip_early:
            return True
        return level < options.s_min_uncond and (options.s_min_uncond_all or self.calls % 2 == 1)

    def _predict_both(
        self, predict: Callable[[Tensor, Tensor, Tensor], Tensor], x: Tensor, at: float, conds: Tensor, unconds: Tensor
    ) -> tuple[Tensor, Tensor]:
        inputs = x[self._images]
        if not self.options.one_call or conds.shape[1] != unconds.shape[1]:
            return self._predict(predict, inputs, at, conds), self._predict(predict, x, at, unconds)
        answers = self._predict(predict, torch.cat([inputs, x]), at, torch.cat([conds, unconds]))
        return answers[: len(inputs)], answers[len(inputs) :]

    def _predict(
        self, predict: Callable[[Tensor, Tensor, Tensor], Tensor], x: Tensor, at: float, conds: Tensor
    ) -> Tensor:
        answer = predict(x, torch.full((len(x),), at, dtype=torch.float32, device=x.device), conds)
        if not torch.isfinite(answer).all():
            raise NumericalError(
                "The model answered with values that are no numbers (NaN), so there is no picture. Half precision may "
                "be too coarse for it: start with --no-half; if that does not help, the model file is damaged."
            )
        return answer

    def _padded(self, conds: Tensor, unconds: Tensor) -> tuple[Tensor, Tensor]:
        length, missing = conds.shape[1], conds.shape[1] - unconds.shape[1]
        if self.options.pad_v0:
            return conds, _lengthened(unconds[:, :length], length)
        if self.options.padding is None or not missing:
            return conds, unconds
        empty = self.options.padding.to(conds)
        fill = empty.repeat(abs(missing) // len(empty), 1)
        if missing > 0:
            return conds, torch.cat([unconds, fill.expand(len(unconds), -1, -1)], dim=1)
        return torch.cat([conds, fill.expand(len(conds), -1, -1)], dim=1), unconds


def _pick(schedule: Scheduled, call: int) -> Tensor:
    return next((encoding for last_call, encoding in schedule if call <= last_call), schedule[0][1])


def _stack(encodings: list[Tensor]) -> Tensor:
    """[B, T, D]; shorter ones repeat their last vector."""
    length = max(len(encoding) for encoding in encodings)
    return torch.cat([_lengthened(encoding[None], length) for encoding in encodings])


def _lengthened(encodings: Tensor, length: int) -> Tensor:
    missing = length - encodings.shape[1]
    return torch.cat([encodings, encodings[:, -1:].expand(-1, missing, -1)], dim=1) if missing else encodings
