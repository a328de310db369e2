"""The demo model's small world: what is drawn, what is kept back, and which words captions use."""

import hashlib
import json
import random

import pytest
import torch

from modules.prompts.tokenizer import clip_tokenizer
from tools.demo_model import drawing, render, world
from tools.demo_model.words import UNKNOWN, Words

MOST_TOKENS = 75  # one chunk of a prompt


def held_out(portrait: world.Portrait) -> bool:
    """The rule, written out once more."""
    who = f"{portrait.style}|{portrait.hair}|{portrait.hair_colour}|{portrait.skin}|{portrait.beard}".lower()
    return int.from_bytes(hashlib.sha256(who.encode()).digest(), "big") % 20 == 0


@pytest.mark.parametrize("series", ["train", "validation"])
def test_held_out_people_are_never_drawn_for_training(series: str):
    portraits = render.imagined(series, 0) + render.imagined(series, 1)
    people = [portrait for portrait in portraits if portrait.is_person]

    assert len(people) > 1000
    assert not any(held_out(portrait) for portrait in people)


def test_the_held_out_series_shows_nobody_else():
    portraits = render.imagined("held-out", 0)

    assert all(portrait.is_person and held_out(portrait) for portrait in portraits)
    assert len({portrait.person for portrait in portraits}) >= 40


def test_about_one_person_in_twenty_is_held_out():
    share = sum(map(world.is_held_out, world.people())) / len(world.people())

    assert share == pytest.approx(1 / 20, abs=0.02)  # some 1000 persons: three standard deviations are 0.02


def test_series_come_back_the_same_and_differ_from_each_other():
    assert [world.imagine(1, index) for index in range(50)] == [world.imagine(1, index) for index in range(50)]
    assert [world.imagine(1, index) for index in range(50)] != [world.imagine(2, index) for index in range(50)]


def test_captions_use_trained_words_only_and_fit_one_chunk():
    words = Words()
    for index in range(1000):
        portrait = world.imagine(1, index)
        captions = [world.caption(portrait, random.Random(index)), world.plain_caption(portrait)]
        for text in captions:
            assert len(clip_tokenizer().encode(text)) <= MOST_TOKENS, text
        assert not words.encode(captions).eq(UNKNOWN).any(), captions


def test_full_captions_tell_every_attribute():
    told = world.plain_caption(
        world.Portrait(
            style="cartoon",
            subject="man",
            hair="spiky",
            hair_colour="green",
            skin="dark",
            beard="mustache",
            eyewear="sunglasses",
            mood="angry",
            garment="jacket",
            garment_colour="orange",
            background="night sky",
            framing="close-up",
            filter="sepia",
        )
    )

    assert told == (
        "close-up portrait of an angry man, spiky green hair, dark skin, mustache, sunglasses, orange jacket, "
        "night sky, cartoon style, sepia photo"
    )


def test_every_portrait_can_be_drawn():
    for index in range(500):
        for kept_back in (False, True):
            job = drawing.job(world.imagine(4, index, kept_back))
            assert json.loads(json.dumps(job)) == {
                **job,
                "figure": {**job["figure"], "box": list(job["figure"]["box"])},
            }


def test_the_small_token_table_spreads_to_the_full_one():
    words = Words()
    small = torch.randn(len(words), 3, generator=torch.Generator().manual_seed(0))
    full = words.spread(small, 49408)

    assert full.shape == (49408, small.shape[1])
    assert full[words.token_ids].equal(small[1:])
    unused = next(token for token in range(49408) if token not in words.token_ids)
    assert full[unused].equal(small[UNKNOWN])
    assert words.take(full)[1:].equal(small[1:])
