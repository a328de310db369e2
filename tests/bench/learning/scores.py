"""What the judge says of drawn pictures, in points of 100, and how sure a mean of them is."""

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from modules.model.model import SDModel
from tests.bench.learning.drawing import NAME, draw
from tests.bench.learning.people import IDENTITY, PROMPTS, Person
from tools.demo_model.judge import Judge

FIRST_SEED = 50_000  # of pictures that are judged; training and tuning of the judge use others
_RESAMPLES = 2000


@dataclass(frozen=True)
class Scores:
    """Of one set of pictures.

    Attributes:
        identity: for each picture, which share of the person's attributes is as it should be, in points of 100.
        obedience: for each picture that was asked for something besides the person, which share of it is there.
    """

    identity: list[float]
    obedience: list[float]

    @property
    def mean_identity(self) -> float:
        return statistics.fmean(self.identity)

    @property
    def mean_obedience(self) -> float:
        return statistics.fmean(self.obedience)


def judged(
    model: SDModel, judge: Judge, person: Person, word: str, vectors: Tensor | None, seeds: int, steps: int
) -> Scores:
    """Draw each of `PROMPTS` with so many seeds, and ask the judge.

    Args:
        word: that stands for the person; with `vectors` it is their name.
    """
    asked = [(prompt.format(word), wishes) for prompt, wishes in PROMPTS for _ in range(seeds)]
    numbers = [FIRST_SEED + seed + 1000 * place for place in range(len(PROMPTS)) for seed in range(seeds)]
    pictures = draw(model, vectors, [prompt for prompt, _ in asked], numbers, steps)
    told, _ = judge.describe(pictures)
    identity, obedience = [], []
    for place, (_, wishes) in enumerate(asked):
        its = person.attributes
        identity.append(100 * statistics.fmean(told[name][place] == its[name] for name in IDENTITY))
        if wishes:
            obedience.append(100 * statistics.fmean(told[name][place] == value for name, value in wishes.items()))
    return Scores(identity, obedience)


def trained_word() -> str:
    """The word for vectors."""
    return NAME


def interval(groups: Sequence[Sequence[float]]) -> tuple[float, float, float]:
    """Mean of all values, and the middle 95 % of means when whole groups are drawn anew (bootstrap by person)."""
    flat = [value for group in groups for value in group]
    if len(groups) < 2:
        return statistics.fmean(flat), float("nan"), float("nan")
    source, means = random.Random(0), []
    for _ in range(_RESAMPLES):
        drawn = [value for group in source.choices(groups, k=len(groups)) for value in group]
        means.append(statistics.fmean(drawn))
    means.sort()
    return statistics.fmean(flat), means[int(0.025 * _RESAMPLES)], means[int(0.975 * _RESAMPLES)]
