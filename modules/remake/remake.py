"""From the infotext of a picture to the fields that draw it again, and a report of what differs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modules.infotext import parse_infotext
from modules.model.vae import AUTOMATIC, BUILT_IN
from modules.params import SAME_SAMPLER, control
from modules.remake.difference import Difference
from modules.remake.differences import differences
from modules.remake.fields import read_fields
from modules.remake.here import Here
from modules.remake.maker import Maker, find_maker, in_todays_keys, old_rules
from modules.remake.partners import find_partner, has_partner
from modules.remake.rules import reads_differently
from modules.samplers.names import find_sampler

_USED_EMBEDDINGS = re.compile(r"\n\s*\nUsed embeddings: ([^\n]{1,4000})\s*\Z")  # under pictures of 2022, not in them
_USED_EMBEDDING = re.compile(r"([^,\[\]]+?) \[[0-9a-f]{4}\]")


@dataclass(frozen=True)
class Remake:
    """How a picture is drawn again.

    Attributes:
        said: its parameters as `parse_infotext` reads them.
        values: fields of `Txt2ImgParams`, see `Fields`.
        differences: what will not be as it was, or may not be.
        has_parameters: False for a text that is a prompt and nothing else: then only the prompts are in `values`.
    """

    said: dict[str, Any]
    values: dict[str, Any]
    differences: tuple[Difference, ...]
    has_parameters: bool


def remake(text: str, here: Here) -> Remake:
    """Read an infotext, of this program or of any A1111, and compare it with what is here. Never raises."""
    embeddings = _USED_EMBEDDINGS.search(text)
    said = parse_infotext(text[: embeddings.start()] if embeddings else text)
    if embeddings and "TI hashes" not in said:
        said["TI hashes"] = ", ".join(f"{name.strip()}:" for name in _USED_EMBEDDING.findall(embeddings[1]))
    if "Steps" not in said and "Sampler" not in said and "Seed" not in said:
        prompts = {"prompt": said["Prompt"], "negative_prompt": said["Negative prompt"]}
        return Remake(said, {name: text for name, text in prompts.items() if text}, (), has_parameters=False)
    maker = find_maker(said, text)
    fields = read_fields(in_todays_keys(maker, said))
    values = fields.values | old_rules(maker, said)
    if not maker.ours and said["RNG"] == "GPU":
        values["randn_source"] = "NV"  # no other card's numbers can be computed, and few cards were others
    if not maker.ours and _reads_differently(values, here):
        values["a1111_exact"] = True
    for field in ("hr_checkpoint", "refiner_checkpoint"):
        if field in values:
            values[field] = find_partner(str(values[field]), here.checkpoints) or values[field]
    values["vae"] = _vae(said, maker, here)
    found = [Difference(_subject(misfit.field), misfit.text) for misfit in fields.misfits]
    found += differences(said, maker, values, here)
    styles = _take_styles(values, here.styles)
    return Remake(said, values | styles, tuple(sorted(found, key=lambda difference: difference.harmless)), True)


def _vae(said: Mapping[str, Any], maker: Maker, here: Here) -> str:
    """The VAE to take: the one of that name or of those contents. What is not here is told by `differences`."""
    name, wanted = str(said.get("VAE", "")), str(said.get("VAE hash", "")).lower()[:10]
    if not name and not wanted:  # we name every file that we use
        return BUILT_IN if maker.ours and here.automatic_vae else AUTOMATIC
    if name == here.automatic_vae and has_partner(said):  # whose own one is taken by “Automatic” too
        return AUTOMATIC
    if name in (AUTOMATIC, BUILT_IN) or (name in here.vaes and here.vaes[name][:10] in ("", wanted)):
        return name
    same = [found for found, digits in here.vaes.items() if wanted and digits.startswith(wanted)]
    return next(iter([*same, *[found for found in here.vaes if found == name]]), AUTOMATIC)


def _reads_differently(values: Mapping[str, Any], here: Here) -> bool:
    prompts = (values["prompt"], values["negative_prompt"])
    old_edits, old_timelines = bool(values.get("old_edit_steps")), bool(values.get("old_timelines"))
    steps = find_sampler(values["sampler"]).prompt_steps(values["steps"], old_edits)
    rules = (old_timelines, values.get("comments", True), values.get("breaks", True))
    if reads_differently(*prompts, steps, here.tokenizer, here.index, None, *rules):
        return True
    if not values.get("enable_hr"):
        return False
    second = (values.get("hr_prompt") or prompts[0], values.get("hr_negative_prompt") or prompts[1])
    sampler = values.get("hr_sampler", SAME_SAMPLER)
    sampler = values["sampler"] if sampler == SAME_SAMPLER else sampler
    hires_steps = find_sampler(sampler).prompt_steps(values.get("hr_second_pass_steps") or values["steps"], old_edits)
    return reads_differently(*second, steps, here.tokenizer, here.index, hires_steps, *rules)


def _take_styles(values: Mapping[str, Any], styles: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """The styles whose texts stand at the ends of all prompts, and the prompts without them."""
    prompts = {name: str(values[name]) for name in _STYLED if name in _ALWAYS_STYLED or values.get(name)}
    taken: list[str] = []
    while found := _last_style(prompts, {name: texts for name, texts in styles.items() if name not in taken}):
        name, prompts = found
        taken.insert(0, name)
    return {"styles": tuple(taken), **prompts} if taken else {}


_ALWAYS_STYLED = ("prompt", "negative_prompt")
_STYLED = {"prompt": 0, "negative_prompt": 1, "hr_prompt": 0, "hr_negative_prompt": 1}  # by which text of a style


def _last_style(prompts: Mapping[str, str], styles: Mapping[str, tuple[str, str]]) -> tuple[str, dict[str, str]] | None:
    """The longest style that may have been added last, and the prompts before it."""
    for name, texts in sorted(styles.items(), key=lambda style: -sum(map(len, style[1]))):
        before = {field: _without(prompt, texts[_STYLED[field]]) for field, prompt in prompts.items()}
        emptied = any(not text for field, text in before.items() if field not in _ALWAYS_STYLED)  # = the first pass’s
        if any(texts) and not emptied and None not in before.values():
            return name, {field: text for field, text in before.items() if text is not None}
    return None


def _without(prompt: str, style: str) -> str | None:
    """The prompt before a style was added to it, or None if it was not."""
    before, wrapped, after = style.partition("{prompt}")
    if not style:
        return prompt
    if wrapped:
        fits = prompt.startswith(before) and prompt.endswith(after) and len(prompt) >= len(before) + len(after)
        return prompt[len(before) : len(prompt) - len(after)] if fits else None
    if prompt == style:
        return ""
    return prompt.removesuffix(f", {style}") if prompt.endswith(f", {style}") else None


def _subject(field: str) -> str:
    return control(field).label
