"""Prompts to draw for `distil`: what the UNet hears step by step, and what the teacher is told instead."""

import random
from dataclasses import dataclass, replace

from tools.demo_model.world import (
    ANIMAL_STYLES,
    ANIMALS,
    SYNONYMS,
    Portrait,
    caption,
    imagine,
    is_held_out,
)

MOOD = "smiling"  # of the teacher where a person has none: always the same, so that there is one answer to learn
PLAIN_IMPORTANCE = 4.0  # what draws an animal instead of a person is a small part of an answer
PLAIN_STYLES = ("flat", "cartoon", "cartoon")  # in cartoon style animals come unasked
SERIES = 5  # of `world.imagine`: the prompts of this training
PERSON = "\0"  # stands in captions for a subject of vectors that no word has
PERSONS_SHARE = {
    "panda": 0.5,
    "cat": 0.85,
    "dog": 0.7,
    "fox": 0.3,
    "lion": 0.85,
    "bear": 0.85,
    "rabbit": 0.1,
    "robot": 0.5,
}
"""How much of a person is in what alternation is taught, beside “half … half …”, so that the judge sees both."""


@dataclass(frozen=True)
class Drawing:
    """A picture to draw: what the UNet hears in turn, and what the teacher is told instead.

    Attributes:
        heard: captions, one for each step in turn.
        early, late: captions and weights of the teacher, in the moody steps and after them; their answers are summed.
            None: what is heard.
        importance: how much its errors count.
    """

    heard: tuple[str, ...]
    early: tuple[tuple[str, float], ...] | None = None
    late: tuple[tuple[str, float], ...] | None = None
    importance: float = 1.0

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
        portrait = replace(imagine(SERIES, rng.randrange(2**40)), beard="none")
        if portrait.is_person and portrait.style in ANIMAL_STYLES and not is_held_out(portrait.person):
            break
    if rng.random() < 0.7:
        portrait = replace(portrait, hair="none", hair_colour="none", skin="none")
    mooded = portrait  # since without a mood any animal's face may come, not only the one that is asked for
    if rng.random() < 0.7:
        portrait, mooded = replace(portrait, mood="none"), replace(portrait, mood=MOOD)
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
    both = ((half, 1 - share), (words(mooded, person), share))
    return Drawing(tuple(heard), early=both, late=both)


def plain(rng: random.Random) -> Drawing:
    """A prompt for one subject, nine of ten times a person in a style that animals have too; most have no mood."""
    wants_person = rng.random() < 0.9
    style = rng.choice(PLAIN_STYLES)
    while True:
        portrait = imagine(SERIES, rng.randrange(2**40))
        if portrait.is_person == wants_person and portrait.style == style:
            break
    seed, keep = rng.randrange(2**40), rng.choice((None, 0.3))
    if not wants_person or rng.random() < 0.1:
        return Drawing((caption(portrait, random.Random(seed), keep),))
    about = replace(portrait, mood="none")
    if rng.random() < 0.5:  # as in prompts that say no more than “a man”
        about = replace(about, hair="none", hair_colour="none", skin="none", beard="none")
    subject = rng.choice(SYNONYMS["person" if rng.random() < 0.2 else portrait.subject])
    heard, helped = without_and_with(MOOD, about, seed, subject, keep)
    return Drawing((heard,), early=((helped, 1.0),), importance=PLAIN_IMPORTANCE)


def without_and_with(
    mood: str, portrait: Portrait, seed: int, subject: str, keep: float | None = None
) -> tuple[str, str]:
    """A caption of a person that tells no mood, and the same one with this mood."""
    about = replace(portrait, mood="none")
    heard, helped = (caption(about, random.Random(seed), keep, words) for words in (subject, f"{mood} {subject}"))
    return heard, helped
