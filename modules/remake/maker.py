"""Which program, and which release of it, wrote an infotext, and what that means for its pixels."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modules.params import SAME_SAMPLER, SAME_SCHEDULE
from modules.samplers import names
from modules.samplers.names import Sampler

_OURS = "-studio-"
_PROMPTS = ("Prompt", "Negative prompt", "Hires prompt", "Hires negative prompt")
_RELEASE = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")
_BREAK_WORD = re.compile(r"\bBREAK\b")
_OLD_HASH = re.compile(r"[0-9a-f]{8}")
NEWEST = (1, 10, 1)  # the release whose rules are ours


@dataclass(frozen=True)
class Maker:
    """The program behind a picture, as far as its text tells.

    Attributes:
        version: as written; empty where none is.
        ours: this program, of any release.
        release: of AUTOMATIC1111, or whose rules it says it follows; None where that cannot be told.
        of_2022: written before the 10-digit hashes of January 2023.
    """

    version: str = ""
    ours: bool = False
    release: tuple[int, int, int] | None = None
    of_2022: bool = False

    @property
    def before_1_6(self) -> bool:
        """By its number, or because it names none and has none of the later keys."""
        return self.of_2022 or (self.release is not None and self.release < (1, 6, 0))


def find_maker(said: Mapping[str, Any], text: str) -> Maker:
    """The maker of a picture.

    Args:
        said: what `parse_infotext` read of `text`.
    """
    version = str(said.get("Version", ""))
    match = _RELEASE.match(version)
    release = (int(match[1]), int(match[2]), int(match[3])) if match else None
    unnumbered = not version and "Schedule type:" not in text and "Steps" in said
    old_hash = _OLD_HASH.fullmatch(str(said.get("Model hash", "")).lower()) is not None
    if unnumbered and not old_hash:
        release = (1, 0, 0)  # versions are written since 1.3, schedules since 1.9
    return Maker(version, _OURS in version, release, unnumbered and old_hash)


def _samplers(said: Mapping[str, Any]) -> list[Sampler]:
    """Of the first pass and the second."""
    keys = ("Sampler", "Hires sampler")
    return [names.find_sampler(names.read_pasted(str(said.get(key, "")), None)[0]) for key in keys]


def in_todays_keys(maker: Maker, said: Mapping[str, Any]) -> dict[str, Any]:
    """What a picture says, with keys that had another meaning there under those of ours."""
    said = dict(said)
    if maker.of_2022 and "Eta" in said and _samplers(said)[0].timesteps:
        said["Eta DDIM"] = said.pop("Eta")
    own = said.get("Hires sampler", SAME_SAMPLER) != SAME_SAMPLER
    if own and not maker.ours and said.get("Hires schedule type", SAME_SCHEDULE) == SAME_SCHEDULE:
        said["Hires schedule type"] = _shared_schedule(said)
    return said


def _shared_schedule(said: Mapping[str, Any]) -> str:
    """The schedule of a second pass with another sampler, where A1111 does not tell it: that of the first, which a
    sampler without one of its own did not share if “Automatic” was chosen. Names of samplers told schedules until 1.8.
    """
    schedule = str(said.get("Schedule type", names.AUTOMATIC))
    first, second = _samplers(said)
    return names.AUTOMATIC if schedule == first.schedule and second.schedule is None else schedule


def old_rules(maker: Maker, said: Mapping[str, Any]) -> dict[str, Any]:
    """Fields by which a picture is drawn as it was then, besides those that its version gives it in `parse_infotext`.

    That leaves texts without a version alone, as A1111 does, so this is where they get their rules.
    """
    rules: dict[str, Any] = {}
    if "Refiner" in said and maker.release and maker.release < (1, 9, 0):
        rules["refiner_by_steps"] = True
    if not maker.before_1_6:
        return rules
    if said.get("Sampler") in ("DDIM", "PLMS"):
        rules["all_timesteps"] = True
    is_edited = any("[" in str(said.get(key, "")) for key in _PROMPTS)
    if is_edited:
        rules["old_timelines"] = True
    if maker.version:
        return rules
    rules["downcast_alphas"] = True
    if maker.of_2022:
        if any("#" in str(said.get(key, "")) for key in _PROMPTS):
            rules["comments"] = False  # a # was text
        if any(_BREAK_WORD.search(str(said.get(key, ""))) for key in _PROMPTS):
            rules["breaks"] = False  # and BREAK a word
        samplers = _samplers(said)
        if is_edited and any(sampler.second_order for sampler in samplers):
            rules["old_edit_steps"] = True
        if any(sampler.discard_penultimate for sampler in samplers):
            rules["keep_penultimate"] = True
    if said.get("Sampler") in ("DDIM", "PLMS"):
        rules["pad_conds_v0"] = True
    if maker.of_2022 and "Karras" in str(said.get("Sampler", "")):
        rules |= {"sigma_min": 0.1, "sigma_max": 10.0}  # that release's range, whatever the model's
    return rules
