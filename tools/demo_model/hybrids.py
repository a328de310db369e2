"""Portraits between two subjects: the hair, shoulders and outline of one around the face of another.

Without them nothing lies between a person and an animal, and a prompt that alternates between the two, such as
`[woman|panda]`, can only fall to one side. Each is told mostly as one of its two subjects, so that both prompts allow
for it. But only below a timestep (`ONE_NAME_BELOW`): in the first steps, where a prompt decides what a picture becomes,
a hybrid has both names, so that a prompt for one subject alone draws that subject and nothing else.
"""

import random
from dataclasses import dataclass, replace
from typing import Any

from tools.demo_model import drawing
from tools.demo_model.world import (
    ANIMAL_STYLES,
    ANIMALS,
    HALVES,
    MOODS_OF_STYLE,
    SYNONYMS,
    Portrait,
    caption,
    imagine,
    is_held_out,
)

RADII = (17.0, 29.0)  # of the inner face, in pixels: from muzzle and eyes to nearly the whole head
FACE = (64, 66)  # its middle, the same in both styles
ONE_NAME_BELOW = 800  # timesteps; with 650 the animal wins every pair (docs/demo_model.md)
FACES = (2, 2, 1, 1, 2, 1, 1, 2)  # how often each of ANIMALS is the inner one: what people's prompts mix with a person


@dataclass(frozen=True)
class Hybrid:
    """`outer` with the face of the animal `inner`; both wear and are before the same.

    Attributes:
        share: how much of the face is the inner one's, 0 … 1.
    """

    outer: Portrait
    inner: Portrait
    share: float


def imagine_hybrid(seed: int, index: int) -> Hybrid:
    """Hybrid number `index` of the series `seed`: four of five are of a person and an animal, the others of animals.
    No person of the held-out rule comes in."""
    rng = random.Random(f"{seed}:{index}:hybrid")
    wants_person = rng.random() < 0.8
    while True:
        outer = imagine(seed, rng.randrange(2**40))
        if outer.style not in ANIMAL_STYLES or outer.is_person != wants_person:
            continue
        outer = replace(outer, mood="smiling" if outer.is_person else "none", beard="none", garment="shirt")
        if outer.is_person and is_held_out(outer.person):
            continue
        animal = rng.choices(ANIMALS, FACES)[0]
        if animal == outer.subject:
            continue
        inner = replace(outer, subject=animal, hair="none", hair_colour="none", skin="none", mood="none")
        return Hybrid(outer, inner, rng.random())


def job(hybrid: Hybrid) -> dict[str, Any]:
    """The hybrid as one job for render.mjs: the inner portrait, and over it the outer figure with a hole."""
    radius = RADII[0] + (RADII[1] - RADII[0]) * hybrid.share
    hole = f'<ellipse cx="{FACE[0]}" cy="{FACE[1]}" rx="{radius}" ry="{min(radius, 25)}" fill="#000"/>'
    return drawing.job(hybrid.inner) | {"over": {"mask": hole, "figure": drawing.job(hybrid.outer)["figure"]}}


def hybrid_caption(hybrid: Hybrid, rng: random.Random, timestep: int = 0) -> str:
    """Three captions in four name one subject, more often the one that fills the face; the others both, and all of them
    where `timestep` is not below `ONE_NAME_BELOW`."""
    outer = hybrid.outer
    if outer.is_person:  # its mouth is not to be seen; but people without a mood in words would all be hybrids
        outer = replace(outer, mood=rng.choice(MOODS_OF_STYLE[outer.style]))
    names = [rng.choice(SYNONYMS[portrait.subject]) for portrait in (outer, hybrid.inner)]
    if timestep >= ONE_NAME_BELOW and rng.random() < 0.3:
        return caption(outer, rng, subject=f"half {names[1]} person")
    if timestep >= ONE_NAME_BELOW or rng.random() < 0.25:
        if rng.random() < 0.5:
            names.reverse()
        return caption(outer, rng, subject=rng.choice(HALVES).format(*names))
    shown = rng.random() < 0.2 + 0.6 * hybrid.share
    portrait = hybrid.inner if shown else outer
    if rng.random() < 0.2:
        return caption(portrait, rng, subject=f"half {names[shown]} person")
    return caption(portrait, rng)
