"""Prompts to draw for `distil`: what the UNet hears step by step, and what the teacher is told instead."""

import random
from dataclasses import dataclass, replace

from tools.demo_model.world import (
    ANIMAL_STYLES,
    ANIMALS,
    MOODS_OF_STYLE,
    SYNONYMS,
    Portrait,
    caption,
    imagine,
)

SERIES = 5  # of `world.imagine`: the prompts of this training
PERSON = "\0"  # stands in captions for a subject of vectors that no word has
PERSONS_SHARE = {
    "panda": 0.4,
    "cat": 0.68,
    "dog": 0.6,
    "fox": 0.15,
    "lion": 0.65,
    "bear": 0.7,
    "rabbit": 0.1,
    "robot": 0.3,
}
"""How much of a person is in what alternation is taught, beside “half … half …”, so that the judge sees both."""


@dataclass(frozen=True)
class Drawing:
    """A picture to draw: what the UNet hears in turn, and what the teacher is told instead.

    Attributes:
        heard: captions, one for each step in turn.
        early, late: captions and weights of the teacher, in the moody steps and after them; their answers are summed.
            None: what is heard.
    """

    heard: tuple[str, ...]
    early: tuple[tuple[str, float], ...] | None = None
    late: tuple[tuple[str, float], ...] | None = None

    def told(self, step: int, moody: int) -> tuple[tuple[str, float], ...]:
        """What the teacher is told in a step. In the first one no picture can tell a blend from its first word."""
        here = self.heard[step % len(self.heard)]
        if len(self.heard) > 1 and step == 0:
            return ((here, 1.0),)
        wanted = self.early if step < moody else self.late
        return wanted or ((here, 1.0),)


def alternated(rng: random.Random) -> Drawing:
    """A prompt that alternates between two subjects, four of five times a person and an animal."""
    while True:
        portrait = imagine(SERIES, rng.randrange(2**40))
        if portrait.is_person and portrait.style in ANIMAL_STYLES:
            break
    plain = replace(portrait, hair="none", hair_colour="none", skin="none", beard="none")
    portrait = plain if rng.random() < 0.7 else replace(portrait, beard="none")
    mooded = portrait
    if rng.random() < 0.7:
        portrait = replace(portrait, mood="none")
    seed = rng.randrange(2**40)
    animal, other = rng.sample(ANIMALS, 2)
    wild = replace(portrait, mood="none")

    def words(of: Portrait, subject: str) -> str:
        return caption(of, random.Random(seed), subject=subject)

    if rng.random() < 0.15:  # animals among each other blend already
        return Drawing((words(wild, animal), words(wild, other)))
    person = PERSON if rng.random() < 0.15 else rng.choice(SYNONYMS[portrait.subject])
    share = PERSONS_SHARE[animal]
    half = words(portrait, f"half {person} half {animal}")
    if rng.random() < 0.15:
        heard = [words(portrait, f"half {person} person"), words(portrait, f"half {animal} person")]
    else:
        heard = [words(portrait, person), words(portrait, animal)]
    if rng.random() < 0.5:
        heard.reverse()
    return Drawing(
        tuple(heard),
        early=((half, 1 - share), (words(mooded, person), share)),
        late=((half, 1 - share), (words(portrait, person), share)),
    )


def plain(rng: random.Random) -> Drawing:
    """A prompt for one subject; of the persons most have no mood in words."""
    portrait = imagine(SERIES, rng.randrange(2**40))
    if not portrait.is_person:
        return Drawing((caption(portrait, rng),))
    seed = rng.randrange(2**40)
    keep = rng.choice((None, 0.3))
    subject = rng.choice(SYNONYMS["person" if rng.random() < 0.2 else portrait.subject])
    mooded = replace(portrait, mood=rng.choice(MOODS_OF_STYLE[portrait.style]))
    if rng.random() < 0.2:
        return Drawing((caption(portrait, random.Random(seed), keep, subject),))
    heard = caption(replace(portrait, mood="none"), random.Random(seed), keep, subject)
    helped = f"{mooded.mood} {subject}"
    return Drawing((heard,), early=((caption(replace(portrait, mood="none"), random.Random(seed), keep, helped), 1.0),))
