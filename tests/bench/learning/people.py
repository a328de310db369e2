"""Whom the bench learns: persons that no training of the demo model drew, twenty photos of each, and prompts."""

import random
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from modules.files import write_atomically
from tools.demo_model import world
from tools.demo_model.render import render
from tools.demo_model.world import Portrait

PHOTOS = 20
IDENTITY = ("style", "hair", "hair_colour", "skin", "beard")  # what makes a person, see `Portrait.person`
HOW_TO_RENDER = "Rendering needs Node and, once: (cd tools/demo_model && npm ci)."

PROMPTS: tuple[tuple[str, dict[str, str]], ...] = (
    ("portrait of a {}", {}),
    ("a drawing of a {}, glasses", {"eyewear": "glasses"}),
    ("portrait of a {}, sunglasses, at the beach", {"eyewear": "sunglasses", "background": "beach"}),
    ("a painting of a {} in the forest", {"background": "forest"}),
    ("a rendering of the {}, wearing a red shirt", {"garment_colour": "red"}),
    ("a depiction of my {} in front of a green wall", {"background": "green"}),
    ("digital art of a {}, blue shirt, at sunset", {"garment_colour": "blue", "background": "sunset"}),
    ("an illustration of a {}, wearing glasses, yellow background", {"eyewear": "glasses", "background": "yellow"}),
)
"""Prompts that no template or caption of training equals, and what a picture must show to obey them."""


ONE_AFTERNOON = {"eyewear": "none", "background": "pink", "garment_colour": "white"}
"""What none of `PROMPTS` asks for."""


@dataclass(frozen=True)
class Person:
    """Somebody to learn.

    Attributes:
        key: as `Portrait.person` names them.
    """

    key: str

    @property
    def attributes(self) -> dict[str, str]:
        """What the judge has to see, by attribute."""
        return dict(zip(IDENTITY, self.key.split("|"), strict=True))

    @property
    def subject(self) -> str:
        """“woman” or “man”: where the drawings allow both, a woman."""
        its = self.attributes
        is_woman = its["beard"] == "none" and its["hair"] in world.HAIR_OF_WOMEN[its["style"]]
        return "woman" if is_woman else "man"

    @property
    def slug(self) -> str:
        return self.key.replace("|", "-").replace(" ", "_")

    @property
    def words(self) -> str:
        """The person in the model's own words."""
        its = self.attributes
        hair = world.PHRASES[its["hair"]][0].format(its["hair_colour"])
        beard = "" if its["beard"] == "none" else f", {its['beard']}"
        return f"{self.subject}, {hair}, {its['skin']} skin{beard}, {its['style']} style"

    @property
    def init_text(self) -> str:
        """What an embedding of two vectors begins with: as much as anybody would write."""
        return f"{self.subject} person"

    def portraits(self) -> list[Portrait]:
        """Twenty occasions: what they wear and where they are, always the same for the same person."""
        rng = random.Random(f"learning:{self.key}")
        its, found = self.attributes, []
        moods = ("laughing",) if (its["style"], its["beard"]) == ("flat", "full beard") else ("smiling", "laughing")
        for _ in range(PHOTOS):
            background = rng.choice(world.COLOURS) if rng.random() < 0.6 else rng.choice(world.SCENES)
            found.append(
                Portrait(
                    **its,
                    subject=self.subject,
                    eyewear=rng.choices(world.EYEWEAR, (6, 2, 2))[0],
                    mood=rng.choice(moods),
                    garment="shirt",
                    garment_colour=rng.choice(world.COLOURS),
                    background=background,
                    framing="close-up" if rng.random() < 0.15 else "portrait",
                    filter="none",
                )
            )
        return found


def caption(portrait: Portrait) -> str:
    """What changes from photo to photo, in plain words; who it is stays untold."""
    words = [portrait.mood, f"{portrait.garment_colour} {portrait.garment}"]
    if portrait.eyewear != "none":
        words.append(f"wearing {portrait.eyewear}")
    scenes = portrait.background in world.SCENES
    words.append(f"{portrait.background} background" if not scenes else world.PHRASES[portrait.background][0])
    return ", ".join(words)


def chosen(count: int, tuning: bool) -> list[Person]:
    """Persons in a fixed random order, styles in turn; those of tuning come from the other end.

    Bald persons are left out: of them there is less to learn.
    """
    keys = [key for key in world.people() if world.is_held_out(key) and "|bald|" not in key]
    random.Random("whom the bench learns").shuffle(keys)
    by_style = [[key for key in keys if key.startswith(style)] for style in world.STYLES]
    order = [group[place] for place in range(min(map(len, by_style))) for group in by_style]
    return [Person(key) for key in (order[::-1] if tuning else order)[:count]]


def photos(person: Person, work: Path, one_sided: bool = False) -> Path:
    """The folder with twenty pictures and their captions; rendered if it is not there yet.

    Args:
        one_sided: all in one afternoon: the same shirt before the same wall, so that both are learned with the face.

    Raises:
        SystemExit: Node or its packages are missing.
    """
    folder = work / "photos" / (f"{person.slug}-one-sided" if one_sided else person.slug)
    if (folder / "complete").exists():
        return folder
    portraits = person.portraits()
    if one_sided:
        portraits = [replace(portrait, **ONE_AFTERNOON) for portrait in portraits]
    try:
        pictures = render(portraits)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise SystemExit(f"Node could not draw: {error}\n{HOW_TO_RENDER}") from error
    _write(folder, portraits, pictures)
    return folder


def _write(folder: Path, portraits: Sequence[Portrait], pictures: np.ndarray) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, (portrait, picture) in enumerate(zip(portraits, pictures, strict=True)):
        Image.fromarray(picture).save(folder / f"{number:05}-0.png")
        write_atomically(folder / f"{number:05}-0.txt", caption(portrait))
    write_atomically(folder / "complete", "")  # an empty mark: what was interrupted is drawn again
