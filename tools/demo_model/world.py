"""The small world of the demo model: what can be drawn, how often, and how it is put into words.

Everything here follows from a seed and a number, so the same picture and caption come back on any machine.
Nothing is drawn here (see `drawing`), and nothing imports torch.
"""

import hashlib
import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, fields

PICTURE_SIZE = 128  # pixels a side
HELD_OUT_SHARE = 20  # one person in twenty is kept out of all training

STYLES = ("flat", "cartoon", "ink")
ANIMALS = ("panda", "cat", "dog", "fox", "lion", "bear", "rabbit", "robot")
ANIMAL_STYLES = ("flat", "cartoon")
SKINS = ("light", "tan", "brown", "dark")
HAIR_COLOURS = ("black", "brown", "blonde", "red", "gray", "blue", "green", "pink", "purple")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white", "gray", "black")
SCENES = ("forest", "beach", "night sky", "sunset", "mountains", "city")
EYEWEAR = ("none", "glasses", "sunglasses")
BEARDS = ("none", "full beard", "mustache")
FRAMINGS = ("portrait", "close-up")
FILTERS = ("none", "sepia", "black and white", "pencil sketch")
MOODS = ("smiling", "laughing", "sad", "surprised", "angry")
HAIR_OF_WOMEN = {
    "flat": ("long", "bob", "bun", "curly", "pigtails"),
    "cartoon": ("long", "bob", "bun"),
    "ink": ("long", "bob"),
}
HAIR_OF_MEN = {
    "flat": ("short", "curly", "bald"),
    "cartoon": ("short", "spiky", "long"),
    "ink": ("short", "mohawk", "bald"),
}
HAIRS = tuple(dict.fromkeys(hair for table in (HAIR_OF_WOMEN, HAIR_OF_MEN) for row in table.values() for hair in row))
GARMENTS = {"flat": ("shirt",), "cartoon": ("shirt", "jacket", "dress"), "ink": ("shirt",)}
MOODS_OF_STYLE = {"flat": MOODS[:4], "cartoon": MOODS, "ink": MOODS[:4]}


@dataclass(frozen=True)
class Portrait:
    """One picture in words; each field is a class that the judge can tell. Animals have "none" for what they lack."""

    style: str
    subject: str  # man, woman, or one of ANIMALS
    hair: str
    hair_colour: str
    skin: str
    beard: str
    eyewear: str
    mood: str
    garment: str
    garment_colour: str
    background: str
    framing: str
    filter: str

    @property
    def is_person(self) -> bool:
        return self.subject not in ANIMALS

    @property
    def person(self) -> str:
        """Who this is, whatever they wear and wherever they are: the key of the held-out rule."""
        return "|".join((self.style, self.hair, self.hair_colour, self.skin, self.beard)).lower()


ATTRIBUTES = tuple(field.name for field in fields(Portrait))


def is_held_out(person: str) -> bool:
    """Whether a person (see `Portrait.person`) may never be drawn for training."""
    return int(hashlib.sha256(person.encode()).hexdigest(), 16) % HELD_OUT_SHARE == 0


def people() -> list[str]:
    """Every person the world can hold, as `Portrait.person` names them, in a fixed order."""
    names = []
    for style in STYLES:
        for subject, table in (("woman", HAIR_OF_WOMEN), ("man", HAIR_OF_MEN)):
            for hair in table[style]:
                for colour in ("none",) if hair == "bald" else HAIR_COLOURS:
                    for skin in SKINS:
                        for beard in _beards(style, subject):
                            names.append("|".join((style, hair, colour, skin, beard)))
    return list(dict.fromkeys(names))


def imagine(seed: int, index: int, held_out: bool = False) -> Portrait:
    """Portrait number `index` of the series `seed`.

    Args:
        seed: names the series; different series never repeat each other's random choices.
        index: position in the series.
        held_out: draw only persons that the rule keeps out of training (and no animals), for learning tests.
    """
    rng = random.Random(f"{seed}:{index}:{held_out}")
    while True:
        portrait = _person(rng) if held_out or rng.random() < 0.75 else _animal(rng)
        if portrait.is_person and is_held_out(portrait.person) != held_out:
            continue
        return portrait


def caption(
    portrait: Portrait,
    rng: random.Random,
    keep: float | None = None,
    subject: str | None = None,
    weighted: tuple[str, float] | None = None,
) -> str:
    """The picture in words, in one of very many ways.

    Args:
        portrait: what is to be seen.
        rng: chooses synonyms, order and what is left out.
        keep: chance of each attribute to be told; None = all of them in half of the captions, else 0.6.
            Mood and eyewear that are told in the opening words ("a smiling man") are not told again.
        subject: words for who this is, instead of the portrait's own.
        weighted: an attribute that is told in any case, with this weight in the program's own prompt language.
    """
    if keep is None:
        keep = 1.0 if rng.random() < 0.5 else 0.6
    told = {name for name in ATTRIBUTES if rng.random() < keep}
    if weighted is not None:
        told |= {weighted[0], "hair" if weighted[0] == "hair_colour" else "garment"}
    own = rng.choice(SYNONYMS[_subject_word(portrait, rng)])
    subject = own if subject is None else subject
    parts = []
    if portrait.mood != "none" and "mood" in told:
        mood = _emphasised("mood", rng.choice(SYNONYMS[portrait.mood]), weighted)
        if rng.random() < 0.8:
            subject = f"{mood} {subject}"
        else:
            parts.append(mood)
    close_up = "framing" in told and portrait.framing == "close-up"
    opening = rng.choice(CLOSE_UP_OPENINGS if close_up else OPENINGS).format(subject)
    if "hair" in told or "hair_colour" in told:
        parts += [_emphasised("hair_colour", words, weighted) for words in _hair_words(portrait, told, rng)]
    for name in ("skin", "beard", "eyewear", "garment", "background", "style", "filter"):
        if name in told:
            attribute = "garment_colour" if name == "garment" else name
            parts += [_emphasised(attribute, words, weighted) for words in _words(portrait, name, told, rng)]
    rng.shuffle(parts)
    if rng.random() < 0.15:
        parts.append(rng.choice(FILLERS))
    return _with_articles([opening, *parts])


def _emphasised(attribute: str, words: str, weighted: tuple[str, float] | None) -> str:
    return f"({words}:{weighted[1]:.2f})" if weighted is not None and attribute == weighted[0] else words


def full_caption(portrait: Portrait, index: int) -> str:
    """A caption that tells every attribute, the same for the same index: what the judge's scores are taken on."""
    return caption(portrait, random.Random(f"full:{index}"), keep=1.0)


def plain_caption(portrait: Portrait) -> str:
    """Every attribute in its plainest word and a fixed order, for comparing models that know different synonyms."""
    rng, told = _First(), set(ATTRIBUTES)
    mood = "" if portrait.mood == "none" else f"{portrait.mood} "
    framing = "close-up portrait" if portrait.framing == "close-up" else "portrait"
    opening = f"{framing} of a {mood}{portrait.subject}"
    parts = _hair_words(portrait, told, rng)
    for name in ("skin", "beard", "eyewear", "garment", "background", "style", "filter"):
        parts += _words(portrait, name, told, rng)
    return _with_articles([opening, *parts])


def vocabulary() -> list[str]:
    """Every word group that captions are made of, sorted: their tokens are the ones with trained rows."""
    groups: set[str] = {text.format("") for text in OPENINGS + CLOSE_UP_OPENINGS} | set(FILLERS) | set(HAIRS)
    groups |= {word for words in SYNONYMS.values() for word in words}
    groups |= {phrase.format("") for phrases in PHRASES.values() for phrase in phrases}
    groups |= set(SKINS) | set(SKIN_SYNONYMS.values()) | set(HAIR_COLOURS) | set(COLOURS) | {"hair", "an", ","}
    groups |= {word for words in GARMENT_WORDS.values() for word in words}
    groups |= {text.format("", "") for text in HALVES}
    return sorted(groups)


OPENINGS = (
    "portrait of a {}",
    "a portrait of a {}",
    "{} portrait",
    "a {}",
    "{}",
    "a drawing of a {}",
    "a picture of a {}",
    "an illustration of a {}",
    "a photo of a {}",
    "a painting of a {}",
    "a rendering of the {}",
    "a depiction of my {}",
    "digital art of a {}",
    "a good photo of a nice {}",
)
CLOSE_UP_OPENINGS = ("close-up portrait of a {}", "a close-up photo of a {}", "close-up of a {}", "close up {}")
HALVES = (  # of a portrait between two subjects, see `hybrids`
    "half {} half {}",
    "half {} and half {}",
    "{} {} hybrid",
    "{} {}",
    "mix of a {} and a {}",
    "cross between a {} and a {}",
)
FILLERS = (
    "highly detailed",
    "sharp focus",
    "masterpiece",
    "best quality",
    "trending on artstation",
    "4k",
    "digital art",
    "illustration",
    "very cool",
    "clean",
    "beautiful",
    "high quality",
    "art",
)
SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "man": ("man", "man", "man", "guy", "boy", "male", "gentleman"),
    "woman": ("woman", "woman", "woman", "girl", "lady", "female"),
    "person": ("person", "person", "human", "face", "character"),
    "panda": ("panda", "panda", "panda bear"),
    "cat": ("cat", "cat", "kitten"),
    "dog": ("dog", "dog", "puppy"),
    "fox": ("fox",),
    "lion": ("lion",),
    "bear": ("bear", "bear", "brown bear"),
    "rabbit": ("rabbit", "rabbit", "bunny"),
    "robot": ("robot", "robot", "android"),
    "smiling": ("smiling", "smiling", "happy"),
    "laughing": ("laughing", "laughing", "cheerful"),
    "sad": ("sad", "sad", "unhappy"),
    "surprised": ("surprised", "surprised", "shocked"),
    "angry": ("angry", "angry", "mad"),
}
PHRASES: Mapping[str, tuple[str, ...]] = {
    "long": ("long {} hair", "{} long hair"),
    "bob": ("{} bob cut", "{} bob hair"),
    "bun": ("{} hair bun", "{} hair in a bun", "{} bun"),
    "curly": ("curly {} hair", "{} curly hair"),
    "pigtails": ("{} pigtails", "{} hair in pigtails"),
    "short": ("short {} hair", "{} short hair"),
    "spiky": ("spiky {} hair", "{} spiky hair"),
    "mohawk": ("{} mohawk", "{} hair, mohawk"),
    "bald": ("bald", "bald head", "no hair"),
    "skin": ("{} skin", "{} skin", "with {} skin"),
    "full beard": ("full beard", "beard", "with a beard", "bearded"),
    "mustache": ("mustache", "with a mustache", "moustache"),
    "glasses": ("glasses", "wearing glasses", "with glasses", "eyeglasses"),
    "sunglasses": ("sunglasses", "wearing sunglasses", "with sunglasses", "dark sunglasses"),
    "garment": ("{}", "wearing a {}", "in a {}", "with a {}"),
    "colour": ("{} background", "{} background", "on a {} background", "in front of a {} wall"),
    "forest": ("forest", "in the forest", "forest background", "trees in the background", "in the woods"),
    "beach": ("beach", "at the beach", "beach background", "at the sea"),
    "night sky": ("night sky", "under the night sky", "at night", "night sky background", "moon and stars"),
    "sunset": ("sunset", "at sunset", "sunset background", "sunset sky"),
    "mountains": ("mountains", "in the mountains", "in front of mountains", "mountains background"),
    "city": ("city", "in the city", "city background", "in front of a city skyline"),
    "flat": ("flat style", "in flat style", "flat design"),
    "cartoon": ("cartoon style", "in cartoon style", "cartoon"),
    "ink": ("ink style", "in ink style", "ink drawing"),
    "sepia": ("sepia photo", "sepia", "old photo"),
    "black and white": ("black and white photo", "black and white", "monochrome"),
    "pencil sketch": ("pencil sketch", "pencil drawing", "sketch"),
}
GARMENT_WORDS: Mapping[str, tuple[str, ...]] = {
    "shirt": ("shirt", "shirt", "shirt", "t-shirt", "sweater", "top"),
    "jacket": ("jacket", "jacket", "coat"),
    "dress": ("dress",),
}
SKIN_SYNONYMS: Mapping[str, str] = {"light": "pale", "dark": "black"}


def _with_articles(parts: list[str]) -> str:
    return re.sub(r"\ba (?=[aeiou])", "an ", ", ".join(parts))


class _First(random.Random):
    """Always the first choice: `choice` draws with `random` once a subclass has its own."""

    def random(self) -> float:
        return 0.0


def _beards(style: str, subject: str) -> tuple[str, ...]:
    if subject == "woman":
        return ("none",)
    return BEARDS[:2] if style == "ink" else BEARDS  # the ink drawings have no mustache


def _person(rng: random.Random) -> Portrait:
    style = rng.choice(STYLES)
    subject = rng.choice(("woman", "man"))
    hair = rng.choice((HAIR_OF_WOMEN if subject == "woman" else HAIR_OF_MEN)[style])
    beard = rng.choices(_beards(style, subject), (5, 3, 2)[: len(_beards(style, subject))])[0]
    moods = ("laughing",) if (style, beard) == ("flat", "full beard") else MOODS_OF_STYLE[style]  # that beard grins
    garments = GARMENTS[style]
    return Portrait(
        style=style,
        subject=subject,
        hair=hair,
        hair_colour="none" if hair == "bald" else rng.choice(HAIR_COLOURS),
        skin=rng.choice(SKINS),
        beard=beard,
        mood=rng.choice(moods),
        garment=rng.choice(garments if subject == "woman" else garments[:2]),
        **_surroundings(rng),
    )


def _animal(rng: random.Random) -> Portrait:
    return Portrait(
        style=rng.choice(ANIMAL_STYLES),
        subject=rng.choices(ANIMALS, (3, 1, 1, 1, 1, 1, 1, 1))[0],  # the panda is in everybody's first prompts
        hair="none",
        hair_colour="none",
        skin="none",
        beard="none",
        mood="none",
        garment="shirt",
        **_surroundings(rng),
    )


def _surroundings(rng: random.Random) -> dict[str, str]:
    return {
        "eyewear": rng.choices(EYEWEAR, (6, 2, 2))[0],
        "garment_colour": rng.choice(COLOURS),
        "background": rng.choice(COLOURS) if rng.random() < 0.62 else rng.choice(SCENES),
        "framing": "close-up" if rng.random() < 0.15 else "portrait",
        "filter": rng.choices(FILTERS, (88, 4, 4, 4))[0],
    }


def _subject_word(portrait: Portrait, rng: random.Random) -> str:
    return "person" if portrait.is_person and rng.random() < 0.2 else portrait.subject


def _hair_words(portrait: Portrait, told: Iterable[str], rng: random.Random) -> list[str]:
    if portrait.hair == "none":
        return []
    if portrait.hair == "bald":
        return [rng.choice(PHRASES["bald"])]
    if "hair" not in told:
        return [f"{portrait.hair_colour} hair"]
    colour = portrait.hair_colour if "hair_colour" in told else ""
    return [" ".join(rng.choice(PHRASES[portrait.hair]).format(colour).split())]


def _words(portrait: Portrait, name: str, told: Iterable[str], rng: random.Random) -> list[str]:
    value = getattr(portrait, name)
    if value == "none":
        return []
    if name == "skin":
        synonym = SKIN_SYNONYMS.get(value, value) if rng.random() > 0.85 else value
        return [rng.choice(PHRASES["skin"]).format(synonym)]
    if name == "garment":
        garment = rng.choice(GARMENT_WORDS[value])
        coloured = f"{portrait.garment_colour} {garment}" if "garment_colour" in told else garment
        return [rng.choice(PHRASES["garment"]).format(coloured)]
    if name == "background" and value in COLOURS:
        return [rng.choice(PHRASES["colour"]).format(value)]
    return [rng.choice(PHRASES[value])]


def as_row(portrait: Portrait) -> tuple[str, ...]:
    """The portrait as plain strings in the order of ATTRIBUTES, for storing beside the pictures."""
    return astuple(portrait)
