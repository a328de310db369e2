"""UniPC: predictor and corrector of one family, any order, one model call per step.

Source: Zhao et al. 2023, arXiv:2302.04867, algorithms 5 and 6 (prediction of the clean latents), B₁ and B₂ of its
equation 11, and its variant with varying coefficients, as the authors' program for Stable Diffusion computes it.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Literal

from torch import Tensor

from modules.samplers.options import UniPcVariant
from modules.samplers.solvers.step import Step
from modules.samplers.solvers.timestep import PredictNoise

Spacing = Literal["time_uniform", "time_quadratic", "logSNR"]


class _Path:
    """The noising process at any moment t between 1/n and 1, straight lines in log α between training timesteps."""

    def __init__(self, alphas_cumprod: Sequence[float]):
        self.size = len(alphas_cumprod)
        self._log_alphas = [0.5 * math.log(alpha) for alpha in alphas_cumprod]

    def timestep(self, moment: float) -> float:
        """The training timestep that the model is told, fractional."""
        return moment * self.size - 1

    def scale(self, moment: float) -> float:
        """α: how much of the clean latents is in x."""
        return math.exp(self._log_alpha(moment))

    def noise(self, moment: float) -> float:
        """σ: how much noise is in x."""
        return math.sqrt(-math.expm1(2 * self._log_alpha(moment)))

    def log_snr(self, moment: float) -> float:
        """λ = log(α / σ), falling in t."""
        return math.log(self.scale(moment) / self.noise(moment))

    def moment(self, log_snr: float) -> float:
        """The moment of a λ."""
        log_alpha = -0.5 * math.log1p(math.exp(-2 * log_snr))
        low = max((i for i in range(self.size - 1) if self._log_alphas[i] >= log_alpha), default=0)
        share = (self._log_alphas[low] - log_alpha) / (self._log_alphas[low] - self._log_alphas[low + 1])
        return (low + 1 + share) / self.size

    def _log_alpha(self, moment: float) -> float:
        place = self.timestep(moment)
        low = min(max(math.floor(place), 0), self.size - 2)
        return self._log_alphas[low] + (place - low) * (self._log_alphas[low + 1] - self._log_alphas[low])


def unipc(
    predict: PredictNoise,
    x: Tensor,
    steps: int,
    alphas_cumprod: Sequence[float],
    variant: UniPcVariant = "bh1",
    spacing: Spacing = "time_uniform",
    order: int = 3,
    lower_order_final: bool = True,
    start: float = 1.0,
) -> Iterator[Step]:
    """Follow `steps` steps from the moment `start` to the first training timestep.

    Args:
        x: latents of variance 1 at `start`.
        alphas_cumprod: of all training timesteps.
        order: how many guesses a step uses; fewer where there are not so many yet.
        lower_order_final: use fewer for the last steps too, which is steadier with few steps.
        start: 1 for pure noise.
    """
    path = _Path(alphas_cumprod)
    moments = _moments(path, start, steps, spacing)
    guesses: list[tuple[float, Tensor]] = []  # moments with the guesses of the clean latents, the newest first
    for i, (moment, target) in enumerate(itertools.pairwise(moments)):
        if not guesses:
            guesses = [(moment, _clean(predict, x, moment, path))]
        growing = i + 1 < order <= steps  # the first steps use all guesses that there are, as in A1111
        used = min(order, steps - i) if lower_order_final and not growing else order
        update = _Update(path, guesses[:used], target, variant)
        denoised = guesses[0][1]
        x_before, x = x, update.predicted(x)
        if i + 1 < steps:  # the last step has nothing to correct with
            guess = _clean(predict, x, target, path)
            x = update.corrected(x_before, guess)
            guesses = [(target, guess), *guesses][:order]
        yield Step(i, steps, x, denoised)


class _Update:
    """One step from the newest guess to `target`, as prediction and as correction.

    Args:
        guesses: (moment, guess), the newest first; as many as the order.
    """

    def __init__(self, path: _Path, guesses: Sequence[tuple[float, Tensor]], target: float, variant: UniPcVariant):
        moment, self._newest = guesses[0]
        self._order = len(guesses)
        self._scale = path.scale(target)
        self._keep = path.noise(target) / path.noise(moment)
        h = path.log_snr(target) - path.log_snr(moment)
        self._places = [(path.log_snr(earlier) - path.log_snr(moment)) / h for earlier, _ in guesses[1:]]
        self._changes = [
            (guess - self._newest) / place for place, (_, guess) in zip(self._places, guesses[1:], strict=True)
        ]
        self._phi = math.expm1(-h)
        self._varying = variant == "vary_coeff"
        self._height = {"bh1": -h, "bh2": self._phi, "vary_coeff": 1.0}[variant]
        self._targets = []  # right-hand side of equation 11, for powers 0, 1, …
        phi, factorial = self._phi / -h - 1, 1
        for power in range(1, self._order + 1):
            self._targets.append(phi * factorial / self._height)
            factorial *= power + 1
            phi = phi / -h - 1 / factorial

    def predicted(self, x: Tensor) -> Tensor:
        """x at the target, from earlier guesses alone."""
        shortened = self._order == 2 and not self._varying
        weights = [0.5] if shortened else _vandermonde_solution(self._places, self._targets[:-1])
        return self._moved(x, self._changes, weights)

    def corrected(self, x: Tensor, guess: Tensor) -> Tensor:
        """x at the target, now that the model has answered there."""
        places = [*self._places, 1.0]
        if self._varying:
            weights = self._varying_weights(places)
        else:
            weights = [0.5] if self._order == 1 else _vandermonde_solution(places, self._targets)
        return self._moved(x, [*self._changes, guess - self._newest], weights)

    def _varying_weights(self, places: Sequence[float]) -> list[float]:
        """Those of a correction with varying coefficients. The solution of the whole equation would be that of B(h);
        the authors' program takes the earlier guesses without the highest power, and the new one by that power alone
        where the one below it stands."""
        *lower, highest = self._targets
        earlier = _vandermonde_solution(places, [*lower, 0.0])[:-1]
        alone = [0.0] * self._order
        alone[max(self._order - 2, 0)] = highest / self._order
        return [*earlier, _vandermonde_solution(places, alone)[-1]]

    def _moved(self, x: Tensor, changes: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
        x = x * self._keep - self._newest * (self._scale * self._phi)
        for change, weight in zip(changes, weights, strict=True):
            x = x - change * (self._scale * self._height * weight)
        return x


def _clean(predict: PredictNoise, x: Tensor, moment: float, path: _Path) -> Tensor:
    noise = predict(x, path.timestep(moment))
    return (x - noise * path.noise(moment)) / path.scale(moment)


def _moments(path: _Path, start: float, steps: int, spacing: Spacing) -> list[float]:
    end = 1 / path.size
    shares = [i / steps for i in range(steps + 1)]
    if spacing == "time_uniform":
        return [start + (end - start) * share for share in shares]
    if spacing == "time_quadratic":
        return [(math.sqrt(start) + (math.sqrt(end) - math.sqrt(start)) * share) ** 2 for share in shares]
    first, last = path.log_snr(start), path.log_snr(end)
    return [start, *(path.moment(first + (last - first) * share) for share in shares[1:-1]), end]


def _vandermonde_solution(places: Sequence[float], targets: Sequence[float]) -> list[float]:
    """Weights w with Σ wⱼ·placesⱼᵏ = targetsₖ for k = 0, 1, …, by Gaussian elimination in Python floats."""
    size = len(places)
    rows = [[place**k for place in places] + [targets[k]] for k in range(size)]
    for column in range(size):
        pivot = max(range(column, size), key=lambda row: abs(rows[row][column]))
        rows[column], rows[pivot] = rows[pivot], rows[column]
        for row in range(size):
            if row != column:
                ratio = rows[row][column] / rows[column][column]
                rows[row] = [a - ratio * b for a, b in zip(rows[row], rows[column], strict=True)]
    return [rows[row][size] / rows[row][row] for row in range(size)]
