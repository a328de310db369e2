"""Names of pictures and of the folders that they are sorted into, from A1111's patterns: `[seed]-[prompt_spaces]`.

What a pattern names is taken from the picture's own infotext. Whatever stands in it, and whatever it stands for, a
name stays one component of a path: no sign leads out of the folder.
"""

import hashlib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from PIL import Image

from modules.files import WINDOWS_DEVICES
from modules.infotext import parse_infotext, storable
from modules.styles import Style, without

LONGEST = 200  # bytes of a name; file systems take 255, and a number and a suffix are added
_LONGEST_PART = 128  # letters that one part of a pattern may stand for
_FIRST_WORDS = 8
_HASH_DIGITS = 8
_DAY, _SECOND = "%Y-%m-%d", "%Y%m%d%H%M%S"

_PART = re.compile(r"\[([a-z_]+)((?:<[^<>]*>)*)\]")
_ARGUMENT = re.compile(r"<([^<>]*)>")
_FORBIDDEN = re.compile(r"""[#<>:"/\\|?*\x00-\x1f\x7f]""")
_BETWEEN_WORDS = re.compile(r"[^\w'-]+")


@dataclass(frozen=True)
class Turn:
    """Which picture of which run it is.

    Attributes:
        index: of the picture, from 0.
        count: of all pictures of the run.
        batch_size: pictures that are drawn at a time.
        seeds: of the first and the last picture; empty: each picture stands for itself.
        started: when the run began, in seconds since 1970; 0: now.
    """

    index: int = 0
    count: int = 1
    batch_size: int = 1
    seeds: tuple[int, int] | tuple[()] = ()
    started: float = 0.0


@dataclass(frozen=True)
class Naming:
    """How files are called.

    Attributes:
        name: pattern of a picture's name, without number and suffix.
        folders: pattern of the folders, with `/` between them.
        numbered: names begin with a number of five digits.
        long_grids: names of overviews tell seed and prompt.
        styles: that were written into the prompt.
        user: who logged in for it; empty: no login was asked for.
    """

    name: str = "[seed]"
    folders: str = "[date]"
    numbered: bool = True
    long_grids: bool = False
    styles: tuple[Style, ...] = ()
    user: str = ""

    def picture(self, infotext: str, image: Image.Image, turn: Turn) -> str:
        """The name of a picture; empty if the pattern stands for nothing."""
        return _component(self.name, self._facts(infotext, image, turn))

    def grid(self, infotext: str, image: Image.Image) -> str:
        """What stands behind the number of an overview; may be empty."""
        if not self.long_grids:
            return ""
        return _component("[seed]-[prompt_spaces]", self._facts(infotext, image, Turn()))

    def folder(self, root: Path, infotext: str, image: Image.Image, turn: Turn) -> Path:
        """The folder of a picture, `root` itself or below it."""
        facts = self._facts(infotext, image, turn)
        parts = [_component(part, facts) for part in re.split(r"[/\\]", self.folders)]
        return root.joinpath(*filter(None, parts))

    def _facts(self, infotext: str, image: Image.Image, turn: Turn) -> "_Facts":
        return _Facts(parse_infotext(infotext), image, turn, self.styles, self.user)


BY_SEED_AND_DAY = Naming()


@dataclass(frozen=True)
class _Facts:
    """What the parts of a pattern stand for."""

    said: Mapping[str, Any]
    image: Image.Image
    turn: Turn
    styles: tuple[Style, ...]
    user: str

    @property
    def prompt(self) -> str:
        return str(self.said["Prompt"])

    @property
    def negative(self) -> str:
        return str(self.said["Negative prompt"])


_Reader = Callable[[_Facts, Sequence[str]], object]  # None: nothing, and what stands before it goes too


def _says(key: str) -> _Reader:
    return lambda facts, _: facts.said.get(key, "")


def _prompt_words(facts: _Facts, _: Sequence[str]) -> str:
    words = [word for word in _BETWEEN_WORDS.split(facts.prompt) if word]
    return " ".join(words[:_FIRST_WORDS]) or "empty"


def _has(facts: _Facts, arguments: Sequence[str]) -> str | None:
    """`hasprompt<a|b>` is “a” if the prompt has it, else “b”; several are put together."""
    found, prompt = "", facts.prompt.lower()
    for argument in arguments:
        wanted, _, otherwise = argument.partition("|")
        found += wanted if wanted and wanted.lower() in prompt else otherwise
    return found if arguments else None


def _hash_of(content: Callable[[_Facts], str | bytes]) -> _Reader:
    def read(facts: _Facts, arguments: Sequence[str]) -> str:
        found = content(facts)
        digits = hashlib.sha256(found.encode("utf-8", "replace") if isinstance(found, str) else found).hexdigest()
        wanted = arguments[0] if arguments else ""
        return digits[: int(wanted) if wanted.isdecimal() and 0 < int(wanted[:3]) <= 64 else _HASH_DIGITS]

    return read


def _datetime(_: _Facts, arguments: Sequence[str]) -> str:
    """`datetime<format><zone>`, the two of them as Python and the IANA write them."""
    zone = None
    if len(arguments) > 1:
        try:
            zone = ZoneInfo(arguments[1])
        except (ZoneInfoNotFoundError, ValueError, OSError):  # as of this machine
            zone = None
    now = datetime.now(zone)
    try:
        return now.strftime(arguments[0] if arguments and arguments[0] else _SECOND)
    except ValueError:
        return now.strftime(_SECOND)


def _of_run(place: Callable[[Turn], int], alone: Callable[[Turn], bool]) -> _Reader:
    """A number that says nothing, and is left out, where there is no other picture to tell it from."""
    return lambda facts, _: None if alone(facts.turn) else place(facts.turn)


def _seed_at(end: int) -> _Reader:
    return lambda facts, _: facts.turn.seeds[end] if facts.turn.seeds else facts.said.get("Seed", "")


_READERS: Mapping[str, _Reader] = {
    "seed": _says("Seed"),
    "seed_first": _seed_at(0),
    "seed_last": _seed_at(-1),
    "steps": _says("Steps"),
    "cfg": _says("CFG scale"),
    "width": lambda facts, _: facts.image.width,
    "height": lambda facts, _: facts.image.height,
    "styles": lambda facts, _: ", ".join(style.name for style in facts.styles) or "None",
    "sampler": _says("Sampler"),
    "scheduler": _says("Schedule type"),
    "sampler_scheduler": lambda facts, _: f"{facts.said.get('Sampler', '')} {facts.said.get('Schedule type', '')}",
    "model_hash": _says("Model hash"),
    "model_name": _says("Model"),
    "vae_filename": lambda facts, _: str(facts.said.get("VAE") or "None").partition(".")[0],
    "date": lambda facts, _: time.strftime(_DAY),
    "datetime": _datetime,
    "job_timestamp": lambda facts, _: time.strftime(_SECOND, time.localtime(facts.turn.started or None)),
    "prompt": lambda facts, _: re.sub(r"\s", "_", facts.prompt),
    "prompt_spaces": lambda facts, _: facts.prompt,
    "prompt_no_styles": lambda facts, _: without(facts.prompt, [style.prompt for style in facts.styles]),
    "prompt_words": _prompt_words,
    "prompt_hash": _hash_of(lambda facts: facts.prompt),
    "negative_prompt_hash": _hash_of(lambda facts: facts.negative),
    "full_prompt_hash": _hash_of(lambda facts: f"{facts.prompt} {facts.negative}"),
    "hasprompt": _has,
    "image_hash": _hash_of(lambda facts: facts.image.tobytes()),
    "clip_skip": _says("Clip skip"),
    "denoising": _says("Denoising strength"),
    "batch_number": _of_run(lambda turn: turn.index % turn.batch_size + 1, lambda turn: turn.batch_size == 1),
    "batch_size": lambda facts, _: facts.turn.batch_size,
    "generation_number": _of_run(lambda turn: turn.index + 1, lambda turn: turn.count == 1),
    "basename": lambda _facts, _: "",  # of a file that a picture was made from: txt2img has none
    "user": lambda facts, _: facts.user or None,
    "none": lambda facts, _: None,
}


def _component(pattern: str, facts: _Facts) -> str:
    """One component of a path; what is no known part of a pattern stays as it is."""
    found, end = "", 0
    for part in _PART.finditer(pattern):
        read = _READERS.get(part[1])
        if read is None:
            continue
        value = read(facts, _ARGUMENT.findall(part[2]))
        before = pattern[end : part.start()]
        found += "" if value is None else before + _part(str(value))
        end = part.end()
    return _safe(found + pattern[end:])


def _part(text: str) -> str:
    return _FORBIDDEN.sub("_", text).lstrip(" ")[:_LONGEST_PART].rstrip(" .")


def _safe(text: str) -> str:
    """The text as a name that every system takes; empty if there is none."""
    text = _FORBIDDEN.sub("_", storable(text)).encode()[:LONGEST].decode(errors="ignore").strip(" .")
    return f"_{text}" if WINDOWS_DEVICES.fullmatch(text) else text
