"""The recommended step, on curves whose answer can be seen; and when to stop."""

import dataclasses
import random

import pytest

from modules.training.measurements import Measurement
from modules.training.recommend import advise_stop, recommend


def curve(losses, obediences, noise=0.0, step=100):
    """Measurements with 8 noises of the loss, each off by its own constant, and by `noise` at random."""
    source = random.Random(1)
    offsets = [source.uniform(-0.02, 0.02) for _ in range(8)]
    found = {}
    for place, (loss, obedience) in enumerate(zip(losses, obediences, strict=True)):
        each = tuple(loss + offset + source.gauss(0, noise) for offset in offsets)
        obeyed = tuple(obedience + source.gauss(0, noise) for _ in range(4))
        found[place * step] = Measurement(place * step, "", sum(each) / 8, each, sum(obeyed) / 4, obeyed, 1.0)
    return found


FALLING = [0.2, 0.17, 0.15, 0.13, 0.12, 0.115]


def test_the_lowest_loss_if_all_obey():
    losses = [*FALLING, 0.12, 0.13, 0.14, 0.15]
    told = recommend(curve(losses, [1.0] * 10))
    assert told
    assert told.step == 500
    assert told.sureness == "sure"
    assert "rises again" in told.reason


def test_a_lower_loss_does_not_help_one_that_obeys_no_more():
    losses = [0.2, 0.15, 0.14, 0.135, 0.13, 0.125, 0.12, 0.115, 0.11]
    obediences = [1, 0.9, 0.85, 0.7, 0.5, 0.3, 0.2, 0.1, 0.1]
    told = recommend(curve(losses, obediences))
    assert told
    assert 200 <= told.step <= 400
    assert "obey less: 10% at step 800" in told.reason


def near(likenesses, obediences, noise=0.0, losses=FALLING):
    """Measurements with eight drawings each; the losses say something else."""
    source = random.Random(2)
    found = {}
    for step, one in curve(losses[: len(likenesses)], obediences).items():
        likeness = likenesses[step // 100]
        each = tuple(likeness + source.gauss(0, noise) for _ in range(8))
        found[step] = dataclasses.replace(one, likeness=sum(each) / 8, likeness_each=each, photos=12)
    return found


def test_the_nearest_to_the_photos_if_all_obey():
    told = recommend(near([0, 0.3, 0.6, 0.8, 0.75, 0.5], [1.0] * 6))
    assert told
    assert (told.step, told.sureness) == (300, "sure")
    assert "come 80% of the way" in told.reason
    assert "moved away: 50% at step 500" in told.reason


def test_nearness_does_not_help_one_that_obeys_no_more():
    told = recommend(near([0, 0.5, 0.6, 0.7, 0.8, 0.9], [1, 1, 1, 0.7, 0.2, 0.0]))
    assert told
    assert told.step in (200, 300)
    assert "obey less: 0% at step 500" in told.reason


def test_drawings_that_differ_make_it_unsure():
    calm = recommend(near([0, 0.5, 0.5, 0.5, 0.5, 0.5], [1.0] * 6, noise=0.01))
    noisy = recommend(near([0, 0.5, 0.5, 0.5, 0.5, 0.5], [1.0] * 6, noise=0.6))
    assert calm
    assert noisy
    assert calm.confidence == 1
    assert noisy.confidence < calm.confidence


def test_drawings_that_have_hardly_moved_are_nothing_to_recommend():
    told = recommend(near([0, 0.02, 0.04, 0.03, 0.05, 0.01], [1.0] * 6))
    assert told
    assert told.confidence == 0
    assert "come 5% of the way" in told.reason


def test_losses_decide_where_not_all_were_laid_beside_the_same_photos():
    found = near([0, 0.9, 0.6, 0.5, 0.4, 0.3], [1.0] * 6)
    found[300] = dataclasses.replace(found[300], photos=11)
    told = recommend(found)
    assert told
    assert told.step == 500, "the lowest loss"


def test_a_loss_that_fell_by_chance_is_nothing_to_recommend():
    flat = [0.2, 0.1999, 0.1998, 0.1999]
    told = recommend(curve(flat, [1.0] * 4, noise=0.02))
    assert told
    assert told.confidence == 0


def test_of_equals_the_earliest():
    losses = [0.2, 0.15, 0.12, 0.1, 0.1, 0.1, 0.0999, 0.1]
    told = recommend(curve(losses, [1.0] * 8, noise=0.003))
    assert told
    assert told.step in (300, 400, 500)  # the lowest ones come later


def test_noise_makes_it_unsure():
    flat = [0.2] + [0.15] * 11
    calm = recommend(curve(FALLING, [1.0] * 6, noise=1e-4))
    noisy = recommend(curve(flat, [1.0] * 12, noise=0.03))
    assert calm
    assert noisy
    assert calm.confidence > 0.9
    assert noisy.confidence < calm.confidence
    assert noisy.sureness != "sure"


def test_still_falling():
    told = recommend(curve(FALLING, [1.0] * 6), is_held_out=False)
    assert told
    assert told.step == 500
    assert "Longer training may give more" in told.reason
    assert "on its photos" in told.reason


def test_nothing_learned():
    told = recommend(curve([0.1, 0.12, 0.13], [1.0] * 3))
    assert told
    assert "nothing was learned" in told.reason


def test_too_little_to_tell():
    assert recommend({}) is None
    assert recommend(curve([0.1], [1.0])) is None
    unmeasured = {step: Measurement(step, "", None, (), 1.0, (1.0,), 1.0) for step in (0, 100)}
    assert recommend(unmeasured) is None


def test_losses_of_the_log_alone():
    logged = {
        s: Measurement(s, "", one.held_out, (), 1.0, (1.0,) * 4, 1.0) for s, one in curve(FALLING, [1] * 6).items()
    }
    told = recommend(logged)
    assert told
    assert told.step == 500


@pytest.mark.parametrize("count", [0, 1, 9])
def test_no_advice_to_stop_before_there_is_enough(count):
    assert advise_stop([(50.0 * n, 0.2 + n) for n in range(count)]) is None


def test_stop_when_nothing_improves():
    rows = [(50.0 * n, max(0.2 - 0.01 * n, 0.1) + 0.0005 * n) for n in range(30)]
    told = [advise_stop(rows[:n]) for n in range(30)]
    assert told[15] is None
    assert told[29]
    assert told[29].step in (500, 550)  # smoothing rounds the corner off
    assert "since step" in told[29].reason
    assert advise_stop([(50.0 * n, 0.2 - 0.001 * n) for n in range(30)]) is None
    rising = advise_stop([(50.0 * n, 0.2 + 0.001 * n) for n in range(30)])
    assert rising
    assert "not fallen since the start" in rising.reason
