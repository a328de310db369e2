"""How each portrait is drawn: which parts of which drawing set, in which colours, before which scenery.

The figures come from the drawing sets named in CREDITS.md; backgrounds, animals' shirts and the glasses laid over
faces are this project's own. One palette serves all sets, so "red" means the same red hair and shirt everywhere.
"""

from typing import Any

from tools.demo_model.world import Portrait

HAIR_HEX = {
    "black": "272529",
    "brown": "764529",
    "blonde": "eec54b",
    "red": "d6422a",
    "gray": "9aa0a8",
    "blue": "3f6ae0",
    "green": "379e51",
    "pink": "f48fc0",
    "purple": "8247c8",
    "none": "5a3a26",  # brows and beard of the bald
}
SKIN_HEX = {"light": "f8dcc8", "tan": "e2b088", "brown": "b4764a", "dark": "7a4a2e"}
GARMENT_HEX = {
    "red": "d63031",
    "orange": "f38829",
    "yellow": "fad53a",
    "green": "2e9e4f",
    "blue": "2f5fd0",
    "purple": "7640c0",
    "pink": "ee76ad",
    "white": "f6f8fa",
    "gray": "8c95a0",
    "black": "26272b",
}
BACKGROUND_HEX = {
    "red": "e87474",
    "orange": "fbbc7d",
    "yellow": "fbe88f",
    "green": "a4deae",
    "blue": "9dcdf5",
    "purple": "cbaff0",
    "pink": "fcc5de",
    "white": "fcfcfc",
    "gray": "c2c6d0",
    "black": "3c3e42",
}
SCENES = {  # large plain shapes: details smaller than a latent cell (8 pixels) would come out as fog
    "forest": '<rect width="128" height="128" fill="#b9e3c0"/>'
    '<path d="M-6 104 14 40 34 104zM94 104 114 36 134 104z" fill="#2e7d46"/>'
    '<path d="M18 108 34 62 50 108zM78 108 94 58 110 108z" fill="#3f9a58"/>'
    '<rect y="100" width="128" height="28" fill="#4caf6a"/>',
    "beach": '<rect width="128" height="128" fill="#98daf6"/><rect y="70" width="128" height="24" fill="#2f9bd8"/>'
    '<rect y="94" width="128" height="34" fill="#f3dfa2"/><circle cx="108" cy="20" r="12" fill="#ffd84d"/>',
    "night sky": '<rect width="128" height="128" fill="#131a38"/><circle cx="108" cy="22" r="13" fill="#fdf3c4"/>'
    '<circle cx="102" cy="18" r="11" fill="#131a38"/><g fill="#ffffff"><circle cx="16" cy="16" r="3"/>'
    '<circle cx="40" cy="8" r="2.5"/><circle cx="12" cy="56" r="2.5"/><circle cx="118" cy="62" r="3"/>'
    '<circle cx="26" cy="84" r="2.5"/><circle cx="108" cy="96" r="2.5"/></g>',
    "sunset": '<defs><linearGradient id="dusk" x2="0" y2="1"><stop stop-color="#69358d"/>'
    '<stop offset=".5" stop-color="#e8596a"/><stop offset="1" stop-color="#fdb94e"/></linearGradient></defs>'
    '<rect width="128" height="128" fill="url(#dusk)"/>',
    "mountains": '<rect width="128" height="128" fill="#cde7f8"/>'
    '<path d="M-30 112 18 38 66 112zM62 112 110 38 158 112z" fill="#7287a0"/>'
    '<path d="M2.500 62 18 38 33.500 62zM94.500 62 110 38 125.500 62z" fill="#ffffff"/>'
    '<rect y="104" width="128" height="24" fill="#86b787"/>',
    "city": '<rect width="128" height="128" fill="#f7d8bc"/><g fill="#5f6b8a"><rect y="44" width="20" height="84"/>'
    '<rect x="22" y="66" width="20" height="62"/><rect x="86" y="60" width="20" height="68"/>'
    '<rect x="108" y="36" width="20" height="92"/></g>',
}

_PERSONAS_HAIR = {
    "long": "extraLong",
    "bob": "bobCut",
    "bun": "straightBun",
    "curly": "curly",
    "pigtails": "pigtails",
    "short": "shortCombover",
    "bald": "bald",
}
_PERSONAS_MOUTH = {"smiling": "smile", "laughing": "bigSmile", "sad": "frown", "surprised": "surprise"}
_PERSONAS_BEARD = {"full beard": "beardMustache", "mustache": "walrus"}
_TOON_HAIR = {"long": "sideComed", "bob": "sideComed", "bun": "bun", "short": "sideComed", "spiky": "spiky"}
_TOON_REAR_HAIR = {"long": "longStraight", "bob": "neckHigh"}
_TOON_FACE = {  # mood: mouth, eyes, eyebrows
    "smiling": ("smile", "happy", "happy"),
    "laughing": ("laugh", "happy", "raised"),
    "sad": ("sad", "humble", "sad"),
    "surprised": ("agape", "wide", "raised"),
    "angry": ("angry", "happy", "angry"),
}
_TOON_BEARD = {"full beard": "longBeard", "mustache": "moustacheTwirl"}
_TOON_CLOTHES = {"shirt": "tShirt", "jacket": "openJacket", "dress": "dress"}
_MICAH_HAIR = {"long": "full", "bob": "pixie", "short": "fonze", "mohawk": "mrT", "bald": "mrClean"}
_MICAH_FACE = {  # mood: mouth, eyes, eyebrows
    "smiling": ("smile", "eyes", "up"),
    "laughing": ("laughing", "smiling", "up"),
    "sad": ("frown", "eyes", "down"),
    "surprised": ("surprised", "round", "up"),
}
_EMOJI_NAMES = {"cat": "cat-face", "dog": "dog-face", "rabbit": "rabbit-face"}
_ANIMAL_BOX = (24, 18, 80)  # left, top, side: the head sits on the shirt
# Where the eyes of an animal are, in parts of its box: height, half the distance between them.
_ANIMAL_EYES = {
    ("flat", "panda"): (0.47, 0.19),
    ("flat", "cat"): (0.47, 0.16),
    ("flat", "dog"): (0.43, 0.13),
    ("flat", "fox"): (0.55, 0.15),
    ("flat", "lion"): (0.45, 0.13),
    ("flat", "bear"): (0.50, 0.16),
    ("flat", "rabbit"): (0.61, 0.13),
    ("flat", "robot"): (0.46, 0.12),
    ("cartoon", "panda"): (0.47, 0.18),
    ("cartoon", "cat"): (0.53, 0.19),
    ("cartoon", "dog"): (0.47, 0.16),
    ("cartoon", "fox"): (0.58, 0.16),
    ("cartoon", "lion"): (0.49, 0.13),
    ("cartoon", "bear"): (0.49, 0.18),
    ("cartoon", "rabbit"): (0.60, 0.12),
    ("cartoon", "robot"): (0.48, 0.16),
}


def job(portrait: Portrait) -> dict[str, Any]:
    """The portrait as one job for render.mjs: SVG before, below and above the figure, and the figure's parts."""
    background = SCENES.get(portrait.background) or (
        f'<rect width="128" height="128" fill="#{BACKGROUND_HEX[portrait.background]}"/>'
    )
    below, above = "", ""
    if portrait.is_person:
        figure = {"flat": _personas, "cartoon": _toon_head, "ink": _micah}[portrait.style](portrait)
        if portrait.style == "cartoon":
            above = _eyewear(portrait.eyewear, 64, 67.5, 11.5)
        elif portrait.style == "ink" and portrait.eyewear == "sunglasses":
            above = _eyewear("sunglasses", 71, 50, 11)
    else:
        figure = _emoji(portrait)
        left, top, side = _ANIMAL_BOX
        height, half_distance = _ANIMAL_EYES[portrait.style, portrait.subject]
        below = _shirt(GARMENT_HEX[portrait.garment_colour])
        above = _eyewear(portrait.eyewear, left + side / 2, top + side * height, side * half_distance)
    return {
        "background": background,
        "below": below,
        "figure": figure,
        "above": above,
        "scale": 1.4 if portrait.framing == "close-up" else 1.0,
    }


def _personas(portrait: Portrait) -> dict[str, Any]:
    eyes = {"glasses": "glasses", "sunglasses": "sunglasses"}.get(portrait.eyewear)
    options = {
        "hair": [_PERSONAS_HAIR[portrait.hair]],
        "hairColor": [HAIR_HEX[portrait.hair_colour]],
        "skinColor": [SKIN_HEX[portrait.skin]],
        "clothingColor": [GARMENT_HEX[portrait.garment_colour]],
        "eyes": [eyes or ("happy" if portrait.mood == "laughing" else "open")],
        "mouth": [_PERSONAS_MOUTH[portrait.mood]],
        "nose": ["mediumRound"],
        "body": ["rounded"],
        **_optional("facialHair", _PERSONAS_BEARD.get(portrait.beard)),
    }
    return {"set": "personas", "options": options, "box": (0, 0, 128)}


def _toon_head(portrait: Portrait) -> dict[str, Any]:
    mouth, eyes, eyebrows = _TOON_FACE[portrait.mood]
    options = {
        "hair": [_TOON_HAIR[portrait.hair]],
        "hairColor": [HAIR_HEX[portrait.hair_colour]],
        "skinColor": [SKIN_HEX[portrait.skin]],
        "clothes": [_TOON_CLOTHES[portrait.garment]],
        "clothesColor": [GARMENT_HEX[portrait.garment_colour]],
        "mouth": [mouth],
        "eyes": [eyes],
        "eyebrows": [eyebrows],
        **_optional("rearHair", _TOON_REAR_HAIR.get(portrait.hair)),
        **_optional("beard", _TOON_BEARD.get(portrait.beard)),
    }
    return {"set": "toon-head", "options": options, "box": (0, 0, 128)}


def _micah(portrait: Portrait) -> dict[str, Any]:
    mouth, eyes, eyebrows = _MICAH_FACE[portrait.mood]
    hair = HAIR_HEX[portrait.hair_colour]
    options = {
        "hair": [_MICAH_HAIR[portrait.hair]],
        "hairColor": [hair],
        "facialHairColor": [hair],
        "baseColor": [SKIN_HEX[portrait.skin]],
        "shirt": ["crew"],
        "shirtColor": [GARMENT_HEX[portrait.garment_colour]],
        "mouth": [mouth],
        "eyes": [eyes],
        "eyebrows": [eyebrows],
        "ears": ["attached"],
        "nose": ["curve"],
        "earringsProbability": 0,
        "glassesColor": ["000000"],
        **_optional("glasses", "round" if portrait.eyewear == "glasses" else None),
        **_optional("facialHair", "beard" if portrait.beard == "full beard" else None),
    }
    return {"set": "micah", "options": options, "box": (0, 0, 128)}


def _emoji(portrait: Portrait) -> dict[str, Any]:
    name = _EMOJI_NAMES.get(portrait.subject, portrait.subject)
    if portrait.style == "cartoon":
        return {"set": "noto", "name": name, "box": _ANIMAL_BOX}
    if portrait.subject == "panda":  # the other flat set has a purple one
        return {"set": "twemoji", "name": name, "box": _ANIMAL_BOX}
    return {"set": "fluent-emoji-flat", "name": name, "box": _ANIMAL_BOX}


def _optional(part: str, choice: str | None) -> dict[str, Any]:
    return {f"{part}Probability": 0} if choice is None else {part: [choice], f"{part}Probability": 100}


def _shirt(colour: str) -> str:
    return f'<path d="M22 140C22 102 38 90 64 90S106 102 106 140z" fill="#{colour}"/>'


def _eyewear(eyewear: str, x: float, y: float, half_distance: float) -> str:
    """Round glasses or sunglasses around two eyes, in units of the picture."""
    if eyewear == "none":
        return ""
    radius = half_distance * 0.8
    glass = 'fill="#1d1f2b"' if eyewear == "sunglasses" else 'fill="#ffffff" fill-opacity=".35"'
    return (
        f'<g stroke="#1d1f2b" stroke-width="2.6" {glass}><circle cx="{x - half_distance}" cy="{y}" r="{radius}"/>'
        f'<circle cx="{x + half_distance}" cy="{y}" r="{radius}"/>'
        f'<path d="M{x - half_distance + radius} {y}h{2 * (half_distance - radius)}" fill="none"/></g>'
    )
