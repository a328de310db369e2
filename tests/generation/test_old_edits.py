"""Prompt editing of 2022 with samplers that call the model twice a step: S = steps, while calls are counted."""

import numpy as np
import pytest

from modules import images
from modules.events import ImageDone
from modules.generation.stages import Pass
from modules.params import Txt2ImgParams

OLD = {"steps": 6, "seed": 5, "old_edit_steps": True}


def pixels(done: ImageDone) -> np.ndarray:
    return np.asarray(images.open_image(done.path)).astype(int)


@pytest.mark.parametrize("sampler", ["Heun", "DPM2", "DPM2 a"])
def test_an_edit_comes_twice_as_early_and_goes_behind_the_last_step(run, sampler):
    """Of 11 calls the edit at half of 6 steps serves 4 … 6; behind the 6th no text fits, so the first one holds."""
    (old,) = run(prompt="a [cat:dog:0.5]", sampler=sampler, **OLD).pictures
    told = {**OLD, "old_edit_steps": False}
    (by_calls,) = run(prompt="a [[cat:dog:3]:cat:6]", sampler=sampler, **told).pictures  # whole numbers count calls
    assert (pixels(old) == pixels(by_calls)).all()
    (today,) = run(prompt="a [cat:dog:0.5]", sampler=sampler, **told).pictures
    assert (pixels(old) != pixels(today)).any()
    assert "Old prompt editing steps: True" in old.infotext
    assert "Old prompt editing steps" not in today.infotext


def test_samplers_of_one_call_a_step_know_no_difference(run):
    (old,) = run(prompt="a [cat:dog:0.5]", sampler="Euler", **OLD).pictures
    (today,) = run(prompt="a [cat:dog:0.5]", sampler="Euler", **{**OLD, "old_edit_steps": False}).pictures
    assert (pixels(old) == pixels(today)).all()
    assert old.infotext == today.infotext


def test_the_second_pass_too():
    params = Txt2ImgParams(sampler="Heun", steps=6, enable_hr=True, hr_second_pass_steps=4)
    assert (Pass.first(params).calls, Pass.second(params).calls) == (12, 8)
    old = Txt2ImgParams(sampler="Heun", steps=6, enable_hr=True, hr_second_pass_steps=4, old_edit_steps=True)
    assert (Pass.first(old).calls, Pass.second(old).calls) == (6, 4)
