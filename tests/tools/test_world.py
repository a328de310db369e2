"""The demo model's small world: what is drawn, what is kept back, and which words captions use."""

import hashlib
import json
import math
import random
from dataclasses import replace

import pytest
import torch

from modules.prompts.attention import parse_attention
from modules.prompts.tokenizer import clip_tokenizer
from tools.demo_model import drawing, emphasis, hybrids, render, world
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
        assert not words.encode(captions)[0].eq(UNKNOWN).any(), captions


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


def test_hybrids_use_trained_words_only_and_nobody_of_the_held_out_rule():
    words = Words()
    for index in range(500):
        hybrid = hybrids.imagine_hybrid(4, index)
        assert not (hybrid.outer.is_person and held_out(hybrid.outer))
        assert hybrid.inner.subject in world.ANIMALS
        assert hybrid.inner.subject != hybrid.outer.subject
        text = hybrids.hybrid_caption(hybrid, random.Random(index))
        assert len(clip_tokenizer().encode(text)) <= MOST_TOKENS, text
        assert not words.encode([text])[0].eq(UNKNOWN).any(), text


def test_hybrids_are_told_by_either_parent_and_by_both():
    hybrid = hybrids.Hybrid(world.imagine(1, 0), world.imagine(1, 0), share=0.5)
    woman = replace(hybrid.outer, style="cartoon", subject="woman", mood="none", framing="half-length")
    hybrid = hybrids.Hybrid(woman, replace(woman, subject="panda"), 0.5)
    texts = [hybrids.hybrid_caption(hybrid, random.Random(seed)) for seed in range(400)]
    women = set(world.SYNONYMS["woman"])
    told = [(any(f" {name}" in text for name in women), "panda" in text) for text in texts]
    assert 0.25 - 0.09 < told.count((True, True)) / 400 < 0.25 + 0.09  # four standard deviations
    assert told.count((True, False)) > 80
    assert told.count((False, True)) > 80


def test_a_prompt_without_a_mood_does_not_mean_a_hybrid():
    """Guidance takes what is not said for a hint as well: people are told without a mood as often as hybrids are."""
    shown = 0
    without = {"people": 0, "hybrids": 0}
    moods = [word for mood in world.MOODS for word in world.SYNONYMS[mood]]
    for index in range(2000):
        hybrid = hybrids.imagine_hybrid(4, index)
        if not hybrid.outer.is_person:
            continue
        texts = {
            "people": world.caption(hybrid.outer, random.Random(index)),
            "hybrids": hybrids.hybrid_caption(replace(hybrid, share=0.0), random.Random(index)),
        }
        if any(name in texts["hybrids"] for name in world.SYNONYMS[hybrid.inner.subject]):
            continue  # told as the animal, which has no mood, or as both
        shown += 1
        for kind, text in texts.items():
            without[kind] += not any(word in text for word in moods)
    assert shown > 700
    # four standard deviations of a difference of two shares near a quarter
    assert abs(without["people"] - without["hybrids"]) / shown < 4 * (2 * 0.25 * 0.75 / shown) ** 0.5


def test_a_hybrid_has_both_names_where_it_is_decided_what_a_picture_becomes():
    """Else a prompt for one subject may begin a hybrid."""
    for index in range(300):
        hybrid = hybrids.imagine_hybrid(4, index)
        text = hybrids.hybrid_caption(hybrid, random.Random(index), hybrids.ONE_NAME_BELOW)
        inner = any(name in text for name in world.SYNONYMS[hybrid.inner.subject])
        assert inner, text
        outer = world.SYNONYMS["person"] + world.SYNONYMS[hybrid.outer.subject]
        assert any(name in text for name in outer) or "half" in text, text


def test_a_hybrid_has_one_name_below():
    told = [
        hybrids.hybrid_caption(hybrids.imagine_hybrid(4, i), random.Random(i), hybrids.ONE_NAME_BELOW - 1)
        for i in range(300)
    ]
    both = ("half", "hybrid", "mix of", "cross between")
    assert (
        sum(not any(word in text for word in both) for text in told) > 158
    )  # 0.64 of them; this is four standard deviations below


def test_a_weighted_caption_says_one_word_with_its_weight():
    said = 0
    for index in range(500):
        portrait = world.imagine(1, index)
        text = emphasis.weighted_caption(portrait, random.Random(index))
        weighted = [weight for _, weight in parse_attention(text) if weight != 1.0]
        assert len(weighted) <= 1, text
        assert all(0 <= weight <= emphasis.LARGEST_WEIGHT for weight in weighted), text
        assert not Words().encode([text])[0].eq(UNKNOWN).any(), text
        said += len(weighted)
    assert said > 200


def test_words_of_full_weight_are_true_and_words_of_none_never():
    beard = world.Portrait(
        style="flat", subject="man", hair="short", hair_colour="black", skin="light", beard="full beard",
        eyewear="glasses", mood="none", garment="shirt", garment_colour="red", background="white",
        framing="half-length", filter="none",
    )  # fmt: skip
    texts = [emphasis.weighted_caption(beard, random.Random(seed)) for seed in range(3000)]
    strong = [(text, w) for text in texts for part, w in parse_attention(text) if w > 1 and "glasses" in part]
    weak = [(text, w) for text in texts for part, w in parse_attention(text) if w < 0.2 and "glasses" in part]
    assert len(strong) > 50
    assert not any("sunglasses" in text for text, _ in strong)
    assert len(weak) > 20
    assert all("sunglasses" in text for text, _ in weak)


def test_truth_gives_the_odds_that_guidance_makes_the_goal_of():
    chance, choices = 0.2, 2
    for weight in (0.3, 0.5, 0.7):
        share = emphasis.truth(weight, chance, choices)
        # with the word told truly in `share` of the captions, else drawn from all choices (Bayes)
        told_if_real = share + (1 - share) / choices
        told_if_not = (1 - share) / choices
        prior = chance / (1 - chance)
        odds = prior * told_if_real / told_if_not
        guided = prior * (odds / prior) ** emphasis.GUIDANCE
        goal = math.exp(emphasis.STEEPNESS * (weight - emphasis.HALF_WEIGHT))
        assert guided == pytest.approx(max(goal, prior), rel=1e-6)
    assert emphasis.truth(1.0, chance, choices) == 1
    assert emphasis.truth(0.95, chance, choices) < 1
