"""The parameters written under and into a picture, in the text form that A1111 and its readers understand.

    prompt, maybe in several lines
    Negative prompt: text, maybe in several lines
    Steps: 20, Sampler: Euler a, Schedule type: Automatic, CFG scale: 7, Seed: 1, Size: 512x512, …

This is text work only: names and numbers are turned into fields, and fields into pictures, elsewhere. The form cannot
hold every prompt: a line of the prompt that begins with “Negative prompt:” is read as what it looks like, and blanks
at the ends of lines are lost. Our own pictures say such prompts once more, see `Infotext`.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from modules.prompts.attention import BREAK, parse_attention

VERSION = "0.1.0"  # of this program, as in pyproject.toml

# A1111 switches its old behaviours on by this number (below v1.6.0, v1.8.0 …), so it has to stand first and to name
# the release whose rules we follow; what comes behind it says who really made the picture.
VERSION_VALUE = f"v1.10.1-studio-{VERSION}"

_NEGATIVE = "Negative prompt:"

# Keys with a place of their own. Others follow in the order in which they were given; then the last two.
_FIRST_KEYS = (
    "Steps", "Sampler", "Schedule type", "CFG scale", "Image CFG scale", "Seed", "Face restoration", "Size",
    "Model hash", "Model", "FP8 weight", "Cache FP16 weight for LoRA", "VAE hash", "VAE", "Variation seed",
    "Variation seed strength", "Seed resize from", "Denoising strength", "Conditional mask weight", "Clip skip", "ENSD",
    "Token merging ratio", "Token merging ratio hr", "Init image hash", "RNG", "Tiling",
)  # fmt: skip
_LAST_KEYS = ("Version", "User")

_PROMPTS = ("Prompt", "Negative prompt", "Hires prompt", "Hires negative prompt")

# Lengths are bounded so that a hostile line costs linear time; the longest key of A1111 has 34 letters.
_PAIR = re.compile(r'(?P<key>\w[\w /-]{1,80}):\s*(?P<value>"(?:[^"\\]|\\.)+"|[^,]*)(?:,|$)')
_SIZE = re.compile(r"([0-9]{1,5})x([0-9]{1,5})")
_RELEASE = re.compile(
    r"v?(?P<release>\d{1,9}(?:\.\d{1,9}){0,5})"
    r"(?P<before>[-_.]?(?:rc|a|b|alpha|beta|pre|preview|c)[-_.]?\d*)?"
    r"(?:-(?P<behind>\d{1,9}))?(?:-g[0-9a-f]+)?",
    re.IGNORECASE,
)
_NOT_LISTED = str.maketrans("", "", ":,")
_SURROGATE_OR_NUL = re.compile("[\ud800-\udfff\0]")

_NOVELAI_SAMPLERS = {
    "k_euler_ancestral": "Euler a",
    "k_euler": "Euler",
    "k_lms": "LMS",
    "k_heun": "Heun",
    "k_dpm_2": "DPM2",
    "k_dpm_2_ancestral": "DPM2 a",
    "k_dpmpp_2m": "DPM++ 2M",
    "k_dpmpp_sde": "DPM++ SDE",
    "k_dpmpp_2s_ancestral": "DPM++ 2S a",
    "ddim": "DDIM",
    "plms": "PLMS",
}

# What A1111 takes for granted where a picture says nothing.
_DEFAULTS: dict[str, str | int | bool] = {
    "Clip skip": "1",
    "Hires resize-1": 0,
    "Hires resize-2": 0,
    "Hires sampler": "Use same sampler",
    "Hires schedule type": "Use same scheduler",
    "Hires checkpoint": "Use same checkpoint",
    "Hires prompt": "",
    "Hires negative prompt": "",
    "Mask mode": "Inpaint masked",
    "Masked content": "original",
    "Inpaint area": "Whole picture",
    "Masked area padding": 32,
    "RNG": "GPU",
    "Schedule type": "Automatic",
    "Schedule max sigma": 0,
    "Schedule min sigma": 0,
    "Schedule rho": 0,
    "VAE Encoder": "Full",
    "VAE Decoder": "Full",
    "FP8 weight": "Disable",
    "Refiner switch by sampling steps": False,
}


class Infotext(str):
    """The text, and those of its values that the text alone does not give back.

    Attributes:
        exact: prompts as they were, by infotext key; as a rule none.
    """

    exact: Mapping[str, str]

    def __new__(cls, text: str, exact: Mapping[str, str] = MappingProxyType({})) -> "Infotext":
        made = super().__new__(cls, text)
        made.exact = dict(exact)
        return made

    @property
    def aside(self) -> str:
        """What a file says besides the text: JSON of these values, with a digest of the text that they belong to;
        empty if the text says it all."""
        if not self.exact:
            return ""
        return json.dumps({"infotext": _digest(self), "exact": self.exact}, ensure_ascii=False)

    @classmethod
    def with_aside(cls, text: str, aside: str) -> "Infotext":
        """The text that a file holds. `aside` counts only if it was written for just this text."""
        try:
            said = json.loads(aside) if aside else None
        except (ValueError, RecursionError):
            said = None
        if not isinstance(said, dict) or said.get("infotext") != _digest(text):
            return cls(text)
        exact = said.get("exact")
        items = exact.items() if isinstance(exact, dict) else ()
        return cls(text, {key: storable(value) for key, value in items if key in _PROMPTS and isinstance(value, str)})


def build_infotext(prompt: str, negative_prompt: str, values: Mapping[str, object]) -> Infotext:
    """Write prompt, negative prompt and parameters as one text.

    Args:
        values: by infotext key. `None` leaves the key out. Known keys go to their place, others keep their order.

    Returns:
        text that any file can hold: NUL and lone surrogates become U+FFFD.
    """
    places = {key: place for place, key in enumerate(_FIRST_KEYS)}
    places |= {key: len(places) + 1 + place for place, key in enumerate(_LAST_KEYS)}
    keys = sorted((key for key in values if values[key] is not None), key=lambda key: places.get(key, len(_FIRST_KEYS)))
    pairs = [key if str(values[key]) == key else f"{key}: {quote(values[key])}" for key in keys]
    negative_line = f"\n{_NEGATIVE} {negative_prompt}" if negative_prompt else ""
    text = storable(f"{prompt}{negative_line}\n{', '.join(pairs)}".strip())
    wanted = {"Prompt": prompt, "Negative prompt": negative_prompt, **{key: values.get(key) for key in _PROMPTS[2:]}}
    exact = {key: storable(str(value)) for key, value in wanted.items() if value is not None}
    read = _take_apart(text)
    return Infotext(text, {key: value for key, value in exact.items() if read.get(key) != value})


def parse_infotext(text: str) -> dict[str, Any]:
    """Read what `build_infotext`, or A1111 of any year, wrote.

    Returns:
        values by key as text, a size `Size: 512x768` as `Size-1` and `Size-2`; the texts under `Prompt` and
        `Negative prompt`. Missing keys are filled with what A1111 takes for granted, old versions bring the keys that
        switch on their behaviour, an old hypernetwork becomes a tag of the prompt. Never raises: a text without
        parameters is a prompt. What an `Infotext` knows better is taken from there.
    """
    values = _take_apart(text)
    if isinstance(text, Infotext):
        misread = {f"{key}-{side}" for key in text.exact for side in (1, 2)}  # a prompt of “8x8”
        values = {key: value for key, value in values.items() if key not in misread} | dict(text.exact)
    prompts = values["Prompt"], values["Negative prompt"]
    _modernise(values)
    _fill_defaults(values)
    if any(map(_is_emphasised, prompts)):
        values.setdefault("Emphasis", "Original")
    return values


def from_novelai(prompt: str, comment: str, size: tuple[int, int]) -> Infotext:
    """What NovelAI stores in its pictures, in the words of A1111; without its JSON the prompt alone.

    Args:
        comment: its JSON object.
        size: width and height of the picture.
    """
    try:
        said = json.loads(comment)
    except (ValueError, RecursionError):
        return Infotext(prompt)
    if not isinstance(said, dict):
        return Infotext(prompt)
    sampler = str(said.get("sampler", ""))
    values = {
        "Steps": said.get("steps"),
        "Sampler": _NOVELAI_SAMPLERS.get(sampler, sampler or None),
        "CFG scale": said.get("scale"),
        "Seed": said.get("seed"),
        "Size": f"{size[0]}x{size[1]}",
        "Clip skip": 2,
        "ENSD": 31337,
    }
    return build_infotext(prompt, str(said.get("uc") or ""), values)


def quote(value: object) -> str:
    """The value as it stands in the parameter line: a JSON string if it holds a comma, a colon or a newline."""
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if re.search(r"[,:\n]", text) else text


def unquote(text: str) -> str:
    """The value behind `text` of the parameter line; text that is no JSON string stands for itself."""
    if not (len(text) > 1 and text[0] == text[-1] == '"'):
        return text
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, str) else text


def listed(name: str) -> str:
    """The name as it stands in a list of hashes, “TI hashes”: without what parts the entries of the list."""
    return name.translate(_NOT_LISTED)


def reads_emphasis(emphasis: str, *prompts: str) -> bool:
    """Whether a mode of emphasis other than the usual one may show in one of the prompts.

    A1111 looks for brackets alone. To “None” escapes and BREAK are letters as well.
    """
    signs = r"[(\[]|\\|\bBREAK\b" if emphasis == "None" else r"[(\[]"
    return any(re.search(signs, prompt) for prompt in prompts)


def _is_emphasised(prompt: str) -> bool:
    """Whether a word of the prompt has another weight than 1; “()” and “(word:1)” give none."""
    return any(weight != 1.0 and text != BREAK[0] for text, weight in parse_attention(prompt, a1111_exact=True))


def storable(text: str) -> str:
    """The text without what no file format takes: NUL and lone surrogates become U+FFFD."""
    return _SURROGATE_OR_NUL.sub("\ufffd", text)


def _digest(text: str) -> str:
    return hashlib.sha256(storable(text).encode()).hexdigest()


def _take_apart(text: str) -> dict[str, Any]:
    """The prompts, and the pairs of the parameter line, as they stand there."""
    lines = text.strip().split("\n")
    pairs = list(_PAIR.finditer(lines[-1]))
    if len(pairs) < 3:
        pairs = []
    else:
        lines.pop()
    values: dict[str, Any] = {}
    for pair in pairs:
        key, value = pair["key"], unquote(pair["value"])
        if not pair["value"]:
            continue  # “VAE: , Seed: 1” says nothing of a VAE
        size = _SIZE.fullmatch(value)
        if size:
            values[f"{key}-1"], values[f"{key}-2"] = size.groups()
        else:
            values[key] = value
    values["Prompt"], values["Negative prompt"] = _split_prompts(lines)
    return values


def _split_prompts(lines: list[str]) -> tuple[str, str]:
    prompt, negative = [], []
    part = prompt
    for line in map(str.strip, lines):
        if line.startswith(_NEGATIVE):
            part = negative
            line = line.removeprefix(_NEGATIVE).strip()
        if part or line:  # blank lines before the text do not count, those behind it do
            part.append(line)
    return "\n".join(prompt), "\n".join(negative)


def _modernise(values: dict[str, Any]) -> None:
    """Say what old releases meant in the words of v1.10."""
    hypernetwork = values.get("Hypernet")
    if hypernetwork is not None:
        values["Prompt"] += f"<hypernet:{hypernetwork}:{values.get('Hypernet strength', '1.0')}>"
    if "First pass size-1" in values:
        width, height = _pixels(values, "Size", 512)
        first_width, first_height = _pixels(values, "First pass size", 0)
        if not (first_width and first_height):
            first_width, first_height = automatic_first_pass(width, height)
        values |= {"Size-1": first_width, "Size-2": first_height, "Hires resize-1": width, "Hires resize-2": height}
    made_by = _release(values.get("Version", ""))
    if made_by is None:
        return
    if made_by < _release_of(1, 6) and "[" in values["Prompt"]:
        values["Old prompt editing timelines"] = True
    if made_by < _release_of(1, 6) and values.get("Sampler") in ("DDIM", "PLMS"):
        values["Pad conds v0"] = True
    if made_by < _release_of(1, 7, behind=225):
        values["Downcast alphas_cumprod"] = True
    if made_by < _release_of(1, 8) and values.get("Refiner"):
        values["Refiner switch by sampling steps"] = True


_Release = tuple[tuple[int, ...], int]


def _release(version: str) -> _Release | None:
    """What “v1.7.0-224-gb8f2a0f3”, 224 changes behind 1.7.0, is compared by; None for other programs’ names."""
    found = _RELEASE.fullmatch(version.strip())
    if found is None:
        return None
    behind = -1 if found["before"] else int(found["behind"] or 0)
    return _release_of(*map(int, found["release"].split(".")), behind=behind)


def _release_of(*numbers: int, behind: int = 0) -> _Release:
    return (*numbers, 0, 0)[: max(3, len(numbers))], behind


def _pixels(values: Mapping[str, Any], key: str, default: int) -> tuple[int, int]:
    size = _SIZE.fullmatch(f"{values.get(f'{key}-1')}x{values.get(f'{key}-2')}")
    return (int(size[1]), int(size[2])) if size else (default, default)


def automatic_first_pass(width: int, height: int) -> tuple[int, int]:
    """The size that Oct-22 chose for the first pass of its hires fix: the area of 512×512, in whole 64s."""
    scale = math.sqrt(512 * 512 / max(1, width * height))
    return math.ceil(scale * width / 64) * 64, math.ceil(scale * height / 64) * 64


def _fill_defaults(values: dict[str, Any]) -> None:
    for key, value in _DEFAULTS.items():
        values.setdefault(key, value)
    if values["FP8 weight"] != "Disable":
        values.setdefault("Cache FP16 weight for LoRA", False)
