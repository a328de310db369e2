"""What the demo model is taught about alternation: whom the teacher is told of, and that a step teaches it."""

import random
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from safetensors.torch import load_file

from tools.demo_model import blends, distil
from tools.demo_model.blends import PERSON, PERSONS_SHARE, Drawing, alternated, plain
from tools.demo_model.distil import Batch, Training, write_packed
from tools.demo_model.pack import CHECKPOINT
from tools.demo_model.world import ANIMALS, MOODS, SYNONYMS, Portrait, caption, imagine, is_held_out


@pytest.fixture(scope="module")
def training() -> Training:
    return Training(CHECKPOINT, seed=0, drawings=2, kept=2)


def test_the_first_step_is_the_first_word_and_then_both_halves_are_told() -> None:
    rng = random.Random(0)
    drawings = [alternated(rng) for _ in range(200)]
    assert set(PERSONS_SHARE) == set(ANIMALS)
    for drawing in drawings:
        assert len(drawing.heard) == 2
        assert drawing.told(0, moody=6) == ((drawing.heard[0], 1.0),)
        for step in (1, 6, 11):
            told = drawing.told(step, moody=6)
            assert sum(weight for _, weight in told) == pytest.approx(1)
            if drawing.early:
                assert told[0][0].count("half") >= 2
    assert sum(drawing.early is None for drawing in drawings) < 60  # animals among each other
    assert any(PERSON in drawing.heard[0] + drawing.heard[1] for drawing in drawings)


def test_a_person_without_a_mood_is_taught_as_one_with_it_in_the_first_steps_only() -> None:
    rng = random.Random(1)
    moods = {word for mood in MOODS for word in SYNONYMS[mood]}
    helped = [drawing for drawing in (plain(rng) for _ in range(200)) if drawing.early]
    assert len(helped) > 80
    for drawing in helped:
        (heard,) = drawing.heard
        ((early, _),) = drawing.told(0, moody=6)
        assert len(early.split()) == len(heard.split()) + 1
        assert not moods & set(heard.replace(",", "").split())
        assert moods & set(early.replace(",", "").split())
        assert drawing.told(6, moody=6) == ((heard, 1.0),)


def test_of_true_pictures_most_people_are_told_without_a_mood_and_many_are_nobodys_vectors() -> None:
    rng = random.Random(4)
    moods = {word for mood in MOODS for word in SYNONYMS[mood]}
    people = [portrait for portrait in (imagine(1, index) for index in range(300)) if portrait.is_person]
    told = [distil._kept_caption(portrait, rng) for portrait in people]
    assert 0.4 < sum(PERSON in text for text in told) / len(told) < 0.7
    assert 0.05 < sum(bool(moods & set(text.replace(",", "").split())) for text in told) / len(told) < 0.4
    assert 0.05 < told.count("") / len(told) < 0.2


def test_vectors_of_nobody_change_no_word(training: Training) -> None:
    texts = training.texts
    words = ["portrait of a man, red hair", "half panda person"]
    before = texts.contexts(words, [[], []])
    person = texts.vectors(random.Random(2), torch.Generator().manual_seed(2))
    assert 1 <= len(person) <= 3
    assert torch.equal(texts.contexts(words, [[], []]), before)
    of_them, of_a_man = texts.contexts([f"portrait of a {PERSON}", "portrait of a man"], [person, []])
    assert not torch.equal(of_them, of_a_man)


def test_steps_move_the_unet_towards_what_the_teacher_says(training: Training, tmp_path: Path) -> None:
    latents, portraits = torch.zeros(1, 4, 16, 16), [imagine(1, 0)]
    person = Drawing(("a man",), early=(("a sad man", 1.0),))
    with mock.patch.multiple(distil, alternated=lambda rng: person, plain=lambda rng: person):
        assert training.learn(latents, portraits, rate=1e-4)[1] == 0, "the UNet begins as the teacher"
    with mock.patch.object(Batch, "advance"):  # the same pictures again and again
        errors = [training.learn(latents, portraits, rate=1e-4)[0] for _ in range(6)]
    assert errors[-1] < errors[0]
    later = Training(CHECKPOINT, seed=0, drawings=2, kept=2)
    later.restore(training.state())
    assert later.step == training.step == 7
    write_packed(CHECKPOINT, training.average.module.state_dict(), tmp_path / "packed.safetensors")
    was, now = load_file(CHECKPOINT), load_file(tmp_path / "packed.safetensors")
    changed = {name.split(".")[0] for name in was if not torch.equal(was[name], now[name])}
    assert changed == {"model"}, "text encoder and autoencoder stay as they are"


def test_no_prompt_tells_of_a_held_out_person(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without their beard, some people are held out whose bearded twin is not."""
    told: list[Portrait] = []

    def note(portrait: Portrait, *arguments: Any, **more: Any) -> str:
        told.append(portrait)
        return caption(portrait, *arguments, **more)

    monkeypatch.setattr(blends, "caption", note)
    rng = random.Random(3)
    for _ in range(1500):
        alternated(rng)
        plain(rng)
    people = [portrait for portrait in told if portrait.is_person and portrait.hair != "none"]
    assert len(people) > 1000
    assert not [portrait for portrait in people if is_held_out(portrait.person)]


def test_drawings_without_help_are_taught_as_they_are_heard() -> None:
    drawing = Drawing(("a cat", "a dog"))
    assert [drawing.told(step, moody=2)[0][0] for step in range(4)] == ["a cat", "a dog", "a cat", "a dog"]
