"""The judge that scores demo models: small enough to be stored, right about real pictures, not fooled by fog."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from tools.demo_model import judge

LARGEST = 5_000_000  # bytes


@pytest.fixture(scope="module")
def trained() -> judge.Judge:
    return judge.load_judge()


def test_the_stored_judge_is_small():
    assert judge.JUDGE.stat().st_size <= LARGEST


def test_real_pictures_are_told_right(trained: judge.Judge):
    pictures, portraits = judge.load_examples()
    shares = judge.accuracy(trained, pictures, portraits)

    assert len(portraits) == 16
    assert shares["mean"] >= 0.9
    assert shares["style"] == shares["framing"] == 1
    assert shares["fog"] == 0


def test_other_captions_are_not_told_right(trained: judge.Judge):
    pictures, portraits = judge.load_examples()

    assert judge.accuracy(trained, pictures.roll(1, 0), portraits)["mean"] < 0.6


def test_fog_is_rejected(trained: judge.Judge):
    pictures, _ = judge.load_examples()
    smooth = F.avg_pool2d(pictures.permute(0, 3, 1, 2).float(), 16)
    blurred = F.interpolate(smooth, scale_factor=16, mode="bilinear").byte().permute(0, 2, 3, 1)
    noise = torch.randint(0, 256, pictures.shape, generator=torch.Generator().manual_seed(0)).byte()
    _, chance = trained.describe(torch.cat([blurred, noise]))

    assert (chance < 0.5).float().mean() >= 0.9


def test_colours_under_a_filter_are_not_asked_for():
    _, portraits = judge.load_examples()
    filtered = next(portrait for portrait in portraits if portrait.filter != "none")

    assert judge.label(filtered, "garment_colour") is None
    assert judge.label(filtered, "style") == filtered.style


def test_a_garment_outside_the_frame_is_not_asked_for():
    _, portraits = judge.load_examples()
    person = next(portrait for portrait in portraits if portrait.is_person and portrait.filter == "none")

    assert judge.label(replace(person, framing="close-up"), "garment_colour") is None
    assert judge.label(replace(person, framing="portrait"), "garment_colour") == person.garment_colour
