"""Prompts from a file or text box: a run for each line, a prompt or flags such as `--prompt "a cat" --steps 10`."""

import dataclasses
import secrets
import shlex
from typing import Any

from modules import params as fields
from modules.errors import ParameterError
from modules.params import RANDOM, Txt2ImgParams
from modules.script_params import ScriptParams

_NAMES = {"sampler_name": "sampler", "sampler_index": "sampler", "scheduler": "schedule", "n_iter": "batch_count"}
_ALLOWED = (
    "prompt", "negative_prompt", "styles", "seed", "subseed", "subseed_strength", "seed_resize_from_h",
    "seed_resize_from_w", "sampler", "schedule", "batch_size", "batch_count", "steps", "cfg_scale", "width", "height",
    "tiling", "clip_skip", "vae", "enable_hr", "denoising_strength", "hr_scale", "hr_upscaler", "hr_second_pass_steps",
    "hr_prompt", "hr_negative_prompt",
)  # fmt: skip
_WITHOUT_MEANING = ("outpath_samples", "outpath_grids", "prompt_for_display", "restore_faces", "do_not_save_samples")
_WITHOUT_MEANING += ("do_not_save_grid",)


def read_lines(params: Txt2ImgParams, script: ScriptParams) -> list[Txt2ImgParams]:
    """The form of each line that is not empty.

    Raises:
        ParameterError: no lines, or a flag that cannot be used; the sentence names the line.
    """
    numbered = [(n, line.strip()) for n, line in enumerate(script.prompt_lines.splitlines(), 1) if line.strip()]
    if not numbered:
        raise ParameterError("prompt_lines", "There are no prompts: type one a line, or open a text file.")
    seed = params.seed
    if seed == RANDOM and (script.iterate_seeds or script.same_seed):
        seed = secrets.randbelow(2**32)
    forms = []
    for number, line in numbered:
        values = {"seed": seed, **_values(number, line)}
        if "prompt" in values and script.prompt_position != "none":
            pair = [values["prompt"], params.prompt]
            values["prompt"] = " ".join(pair if script.prompt_position == "start" else reversed(pair)).strip()
        try:
            forms.append(dataclasses.replace(params, **values))
        except ParameterError as error:
            raise ParameterError("prompt_lines", f"Line {number}: {error}") from error
        if script.iterate_seeds:
            seed += forms[-1].batch_count * forms[-1].batch_size
    return forms


def _values(number: int, line: str) -> dict[str, Any]:
    if "--" not in line:
        return {"prompt": line}
    try:
        words = shlex.split(line)
    except ValueError:
        return {"prompt": line}  # a quote without its partner: then it is a prompt
    if not words[0].startswith("--"):
        return {"prompt": line}
    found: dict[str, Any] = {}
    while words:
        flag, name = words[0], words[0].removeprefix("--").replace("-", "_")
        name = _NAMES.get(name, name)
        if not flag.startswith("--") or name not in (*_ALLOWED, *_WITHOUT_MEANING):
            raise ParameterError("prompt_lines", f"Line {number}: there is no flag {flag:.40} here.")
        if len(words) < 2:
            raise ParameterError("prompt_lines", f"Line {number}: {flag} has no value.")
        value = words[1]
        words = words[2:]
        if name in ("prompt", "negative_prompt"):  # may go on without quotes
            while words and not words[0].startswith("--"):
                value += f" {words.pop(0)}"
        if name in _ALLOWED:
            found[name] = _typed(number, flag, name, value)
    return found


def _typed(number: int, flag: str, name: str, value: str) -> Any:
    kind = type(fields.default(name))
    if kind is tuple:
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if kind is bool:
        if value.lower() in ("true", "false"):
            return value.lower() == "true"
        raise ParameterError("prompt_lines", f"Line {number}: {flag} is true or false, not {value!r:.40}.")
    try:
        return kind(value)
    except ValueError:
        raise ParameterError("prompt_lines", f"Line {number}: {flag} {value!r:.40} is no number.") from None
