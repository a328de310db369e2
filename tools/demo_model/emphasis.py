"""Captions with a weighted word, so that a weight acts by degrees and not as a switch.

A model that was only ever told the truth obeys half a word as surely as a whole one. Here a word of low weight is
told less truly: the lower its weight, the more often the picture shows something else. How often follows from what a
prompt with that weight is to draw under guidance. Guidance with scale s draws an attribute with odds

    odds(s) = prior * (odds(1) / prior) ** s,

so the odds that captions must have are odds(1) = prior * (goal / prior) ** (1 / s).
"""

import math
import random
from dataclasses import replace

from tools.demo_model.world import (
    BEARDS,
    COLOURS,
    EYEWEAR,
    FILTERS,
    HAIR_COLOURS,
    MOODS_OF_STYLE,
    SCENES,
    Portrait,
    caption,
    is_held_out,
)

GUIDANCE = 5.0  # the scale that the model recommends
HALF_WEIGHT, STEEPNESS = 0.5, 7.0  # the goal: a logistic curve over the weight, one half at HALF_WEIGHT
NO_WEIGHT, FULL_WEIGHT = 0.2, 0.9  # below: never told truly; from here the truth comes back, to be whole at 1
LARGEST_WEIGHT = 1.5
WEIGHTED = ("eyewear", "eyewear", "beard", "beard", "mood", "background", "hair_colour", "garment_colour", "filter")


def truth(weight: float, chance: float, choices: int) -> float:
    """How often a word of this weight is the true one; otherwise it is drawn from all choices.

    Args:
        weight: of the word in the prompt.
        chance: how often the attribute has this value in the pictures, between 0 and 1.
        choices: how many values the word is drawn from.
    """
    if weight >= 1:
        return 1.0
    prior = chance / (1 - chance)
    goal = math.exp(STEEPNESS * (min(weight, FULL_WEIGHT) - HALF_WEIGHT))
    gain = max(1.0, (goal / prior) ** (1 / GUIDANCE))
    share = (gain - 1) / (choices + gain - 1)
    return share if weight < FULL_WEIGHT else share + (1 - share) * (weight - FULL_WEIGHT) / (1 - FULL_WEIGHT)


def weighted_caption(portrait: Portrait, rng: random.Random) -> str:
    """A caption in which one word has a weight of 0 … LARGEST_WEIGHT, true or not; plain where none would fit."""
    attribute = rng.choice(WEIGHTED)
    weight = round(rng.uniform(0, LARGEST_WEIGHT), 2)
    tellable = choices(portrait, attribute)
    real = getattr(portrait, attribute)
    if not tellable:
        return caption(portrait, rng)
    told = real
    if weight < NO_WEIGHT:
        told = rng.choice([value for value in tellable if value != real] or list(tellable))
    elif rng.random() > truth(weight, CHANCES[attribute], len(tellable)):
        told = rng.choice(tellable)
    described = replace(portrait, **{attribute: told})
    if told == "none" or (described.is_person and is_held_out(described.person)):
        return caption(portrait, rng)
    return caption(described, rng, weighted=(attribute, weight))


CHANCES = {  # of one value, see `world`
    "eyewear": 0.2,
    "beard": 0.25,
    "mood": 0.25,
    "background": 0.06,
    "hair_colour": 1 / len(HAIR_COLOURS),
    "garment_colour": 1 / len(COLOURS),
    "filter": 0.04,
}


def choices(portrait: Portrait, attribute: str) -> tuple[str, ...]:
    """The values that could be told of this portrait's attribute; empty if it has none."""
    if attribute == "eyewear":
        return EYEWEAR[1:]
    if attribute == "filter":
        return FILTERS[1:]
    if attribute == "background":
        return COLOURS + SCENES
    if attribute == "garment_colour":
        return COLOURS
    if not portrait.is_person:
        return ()
    if attribute == "beard":
        return () if portrait.subject == "woman" else BEARDS[1:2] if portrait.style == "ink" else BEARDS[1:]
    if attribute == "hair_colour":
        return () if portrait.hair == "bald" else HAIR_COLOURS
    return () if portrait.beard == "full beard" else MOODS_OF_STYLE[portrait.style]
