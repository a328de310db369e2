"""Which snapshot to use, why, and how sure that is; and when to stop. Reads measurements only: no torch, no model."""

import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from modules.training.measurements import Measurement

GOOD_OBEDIENCE = 0.6  # of what the plain word does: above it, prompts are followed as one expects
WITHIN = 1.5  # standard deviations of the difference: the best of many equals is as far ahead by chance
RESAMPLED = 400  # sets of noises drawn from those that there are
MUCH = 0.1  # of what there is to learn
LEAST_LIKENESS = 0.1  # of the way to the photos: less is no more than drawings differ by chance
SURE, FAIRLY_SURE = 0.8, 0.5  # shares of them that must agree
PATIENCE = 0.25  # of the run so far without anything new …
PATIENT_MEASUREMENTS = 5  # … and at least so many measurements


@dataclass(frozen=True)
class Recommendation:
    """The step to use.

    Attributes:
        step: of the snapshot.
        reason: one or two sentences.
        confidence: 0 … 1: the share of resampled noises (or drawings) by which no other snapshot is worth much more; 0:
            hardly anything was learned, so that there is nothing to recommend.
    """

    step: int
    reason: str
    confidence: float

    @property
    def sureness(self) -> str:
        """`confidence` in words."""
        if self.confidence >= SURE:
            return "sure"
        return "fairly sure" if self.confidence >= FAIRLY_SURE else "not sure: look at the pictures"


def recommend(
    measurements: Mapping[int, Measurement], is_held_out: bool = True, seed: int = 0
) -> Recommendation | None:
    """Choose among the snapshots of a run.

    A snapshot is worth what it has learned times how far it still obeys; of obedience, what goes beyond
    `GOOD_OBEDIENCE` does not count. Learned is its likeness, if that was measured: the best is taken.

    Without it (the photos have gone), learned is the fall of the held-out loss from the first snapshot, 1 at the best,
    smoothed over neighbouring snapshots. It is the weaker measure: of all snapshots that are as good as the best within
    its noise, the earliest is taken, which is the least bound to its photos.

    Args:
        measurements: by step, in order.
        is_held_out: whether the losses are of pictures that were never learned from; only said in the reason.
        seed: of the resampling.

    Returns:
        None without any measured likeness or loss after the first step.
    """
    everything = list(measurements.values())
    if len(everything) > 1 and _is_alike(everything):
        return _by_likeness(everything, random.Random(seed))
    snapshots = [one for one in everything if one.held_out is not None]
    if len(snapshots) < 2:
        return None
    return _by_loss(snapshots, is_held_out, random.Random(seed))


def _is_alike(snapshots: Sequence[Measurement]) -> bool:
    """Whether all were laid beside the same photos."""
    first = snapshots[0]
    return all(
        one.likeness is not None and one.photos == first.photos and len(one.likeness_each) == len(first.likeness_each)
        for one in snapshots
    )


def _by_likeness(snapshots: Sequence[Measurement], source: random.Random) -> Recommendation:
    obediences = _smoothed([one.obedience for one in snapshots])
    found = [_worth(float(one.likeness or 0), obeys) for one, obeys in zip(snapshots, obediences, strict=True)]
    chosen = max(range(len(found)), key=found.__getitem__)
    best = snapshots[chosen]
    if max(float(one.likeness or 0) for one in snapshots) < LEAST_LIKENESS:
        told = (
            f"Hardly anything is learned yet: the drawings have come {_share(best.likeness)} of the way from the plain "
            "word to the photos. Train longer, or with a higher learning rate."
        )
        return Recommendation(best.step, told, 0.0)
    drawings, noises = len(best.likeness_each), len(best.obedience_each)
    agreeing = 0
    for _ in range(RESAMPLED):
        drawn = source.choices(range(drawings), k=drawings)
        obeyed = source.choices(range(noises), k=noises)
        obeys = _smoothed([sum(one.obedience_each[i] for i in obeyed) / noises for one in snapshots])
        some = [
            _worth(sum(one.likeness_each[i] for i in drawn) / drawings, its)
            for one, its in zip(snapshots, obeys, strict=True)
        ]
        agreeing += max(some) - some[chosen] <= MUCH
    return Recommendation(best.step, _why_alike(snapshots, chosen), agreeing / RESAMPLED)


def _why_alike(snapshots: Sequence[Measurement], chosen: int) -> str:
    one, later = snapshots[chosen], snapshots[chosen + 1 :]
    told = (
        f"Its drawings have come {_share(one.likeness)} of the way from the plain word to the photos, and it follows "
        f"prompts {one.followed:.0%} as well as the plain word."
    )
    if not later:
        return f"{told} Longer training may give more."
    last = later[-1]
    if last.followed < one.followed - MUCH:
        return f"{told} Later ones obey less: {last.followed:.0%} at step {last.step}."
    if float(last.likeness or 0) < float(one.likeness or 0) - MUCH:
        return f"{told} Later ones have moved away: {_share(last.likeness)} at step {last.step}."
    return f"{told} Later ones are not nearer."


def _share(likeness: float | None) -> str:
    return f"{max(0.0, likeness or 0.0):.0%}"


def _by_loss(snapshots: Sequence[Measurement], is_held_out: bool, source: random.Random) -> Recommendation:
    count = len(snapshots[0].held_out_each)
    paired = count > 1 and all(len(one.held_out_each) == count for one in snapshots)
    noises = len(snapshots[0].obedience_each)
    losses = [float(one.held_out or 0) for one in snapshots]
    obediences = [one.obedience for one in snapshots]
    found = worths(losses, obediences)
    resampled = []
    for _ in range(RESAMPLED):
        drawn = source.choices(range(count), k=count) if paired else []
        obeyed = source.choices(range(noises), k=noises)
        some_losses = [sum(one.held_out_each[i] for i in drawn) / count for one in snapshots] if paired else losses
        some_obediences = [sum(one.obedience_each[i] for i in obeyed) / noises for one in snapshots]
        resampled.append(worths(some_losses, some_obediences))
    if not any(found):
        told = "The loss never fell below that of the start: nothing was learned. Try a lower learning rate."
        return Recommendation(snapshots[0].step, told, 0.0)
    chosen = _earliest_good(found, resampled)
    if paired and _is_noise(
        snapshots[0].held_out_each, min(snapshots, key=lambda one: one.held_out or 0).held_out_each
    ):
        told = (
            "Hardly anything is learned yet: the loss has fallen by no more than the noise of the measurement. Train "
            "longer, or with a higher learning rate."
        )
        return Recommendation(snapshots[chosen].step, told, 0.0)
    confidence = sum(max(some) - some[chosen] <= MUCH for some in resampled) / len(resampled)
    return Recommendation(snapshots[chosen].step, _reason(snapshots, chosen, is_held_out), confidence)


def _is_noise(before: Sequence[float], after: Sequence[float]) -> bool:
    """Whether a mean fall is less than twice its standard error: as much as that happens by chance."""
    falls = [one - other for one, other in zip(before, after, strict=True)]
    return statistics.fmean(falls) < 2 * statistics.stdev(falls) / len(falls) ** 0.5


@dataclass(frozen=True)
class StopAdvice:
    """That a run may be ended.

    Attributes:
        step: with the best held-out loss so far.
        reason: one sentence.
    """

    step: int
    reason: str


def advise_stop(held_out: Sequence[tuple[float, ...]]) -> StopAdvice | None:
    """Whether a run that is under way has stopped to improve.

    Args:
        held_out: (step, loss) in order, as the run's log has them.

    Returns:
        None as long as the smoothed loss is still falling, or it is too early to tell: the best one must lie at least
        five measurements and a quarter of the run so far back.
    """
    if len(held_out) < 2 * PATIENT_MEASUREMENTS:
        return None
    steps = [int(row[0]) for row in held_out]
    losses = _smoothed([row[1] for row in held_out])
    best = min(range(len(losses)), key=losses.__getitem__)
    behind = len(losses) - 1 - best
    if behind < max(PATIENT_MEASUREMENTS, PATIENCE * len(losses)):
        return None
    if best == 0:
        told = f"The held-out loss has not fallen since the start ({held_out[0][1]:.4f}): stop, and try a lower rate."
    else:
        told = (
            f"Nothing has improved since step {steps[best]} (held-out loss {losses[best]:.4f}, now {losses[-1]:.4f}): "
            "you can stop and keep."
        )
    return StopAdvice(steps[best], told)


def worths(losses: Sequence[float], obediences: Sequence[float]) -> list[float]:
    """What each snapshot is worth by its loss, 0 … 1: see `recommend`."""
    smooth = _smoothed(losses)
    fall = smooth[0] - min(smooth)
    learned = [max(0.0, (smooth[0] - loss) / fall) if fall > 0 else 0.0 for loss in smooth]
    return [_worth(gain, obedience) for gain, obedience in zip(learned, _smoothed(obediences), strict=True)]


def _worth(learned: float, obedience: float) -> float:
    return max(0.0, learned) * min(1.0, max(0.0, obedience / GOOD_OBEDIENCE))


def _smoothed(values: Sequence[float]) -> list[float]:
    """Each value with half of both neighbours; the first one, from before the training, is left alone."""
    smooth = list(values)
    for place in range(1, len(values)):
        before = values[place - 1] if place > 1 else values[place]
        after = values[place + 1] if place + 1 < len(values) else values[place]
        smooth[place] = (before + 2 * values[place] + after) / 4
    return smooth


def _earliest_good(worths: Sequence[float], resampled: Sequence[Sequence[float]]) -> int:
    """The first place whose worth is within the noise of the best one."""
    best = max(range(len(worths)), key=worths.__getitem__)
    for place in range(best):
        behind = [some[best] - some[place] for some in resampled]
        mean = sum(behind) / len(behind)
        noise = (sum((one - mean) ** 2 for one in behind) / len(behind)) ** 0.5
        if worths[best] - worths[place] <= WITHIN * noise:
            return place
    return best


def _reason(snapshots: Sequence[Measurement], chosen: int, is_held_out: bool) -> str:
    one = snapshots[chosen]
    losses = [float(snapshot.held_out or 0) for snapshot in snapshots]
    on = "on photos it never saw" if is_held_out else "on its photos"
    lowest = min(range(len(losses)), key=losses.__getitem__)
    learned = (losses[0] - losses[chosen]) / (losses[0] - losses[lowest]) if losses[0] > losses[lowest] else 1.0
    told = (
        f"It has made {learned:.0%} of the best progress {on}, and follows prompts {one.followed:.0%} as well as the "
        "plain word."
    )
    later = snapshots[chosen + 1 :]
    if not later:
        return f"{told} Longer training may give more."
    last = later[-1]
    if last.followed < one.followed - 0.1:
        return f"{told} Later ones obey less: {last.followed:.0%} at step {last.step}."
    if losses[-1] > losses[chosen]:
        return f"{told} After it the loss rises again."
    return f"{told} Later ones are no better than the noise of the measurement."
