"""Scripts by A1111's names: `script_name` and `script_args` read, and told in `scripts` and `script-info`.

Arguments come by position, as the controls stand on A1111's page; those that are not sent are as there. Lists of
versions before 1.7 are a little shorter, which is seen from their types.
"""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter

from modules.api import errors
from modules.api.answers import ScriptArgument, ScriptItem, ScriptsAnswer
from modules.errors import ParameterError
from modules.script_params import AXES, LINES, MATRIX, NOTHING, XYZ, ScriptParams

# The axes of A1111 v1.10 in its order, since programs send an axis by its place; then those that are only here.
_THEIR_AXES = (
    NOTHING, "Seed", "Var. seed", "Var. strength", "Steps", "Hires steps", "CFG Scale", "Prompt S/R", "Prompt order",
    "Sampler", "Hires sampler", "Checkpoint name", "Negative Guidance minimum sigma", "Sigma Churn", "Sigma min",
    "Sigma max", "Sigma noise", "Schedule type", "Schedule min sigma", "Schedule max sigma", "Schedule rho", "Eta",
    "Clip skip", "Denoising", "Initial noise multiplier", "Extra noise", "Hires upscaler", "VAE", "Styles",
    "UniPC Order", "Face restore", "Token merging ratio", "Token merging ratio high-res",
    "Always discard next-to-last sigma", "SGM noise multiplier", "Refiner checkpoint", "Refiner switch at",
    "RNG source", "FP8 mode", "Size",
)  # fmt: skip
_OURS = {"RNG source": "RNG"}
AXIS_CHOICES = (*_THEIR_AXES, *(axis for axis in AXES if axis not in _THEIR_AXES and axis not in _OURS.values()))


@dataclass(frozen=True)
class _Arg:
    """One argument: A1111's label, the value that counts if none is sent, and what there is to choose from."""

    label: str
    default: Any
    choices: tuple[str, ...] = ()
    range: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class _Script:
    args: tuple[_Arg, ...]
    read: Callable[[Sequence[Any]], ScriptParams]
    modern: Callable[[list[Any]], list[Any]] = list  # arguments of older versions, as those of now


def read(name: Any, args: Any) -> ScriptParams | None:
    """The script of a request; None: it asks for none.

    Raises:
        ParameterError: an argument that cannot be used.
        HTTPException: 422, no such script.
    """
    if not name or str(name).lower() == "none":
        return None
    script = _SCRIPTS.get(str(name).lower())
    if script is None:
        raise errors.refuse(422, f"There is no script {name!r:.60}: there are {', '.join(_SCRIPTS)}.")
    try:
        return script.read(_complete(script, script.modern(list(args or ()))))
    except ParameterError as error:
        raise ParameterError(error.field, f"script_args: {error}") from error


def add_routes(router: APIRouter) -> None:
    @router.get("/sdapi/v1/scripts")
    def scripts() -> ScriptsAnswer:
        """Names for script_name."""
        return ScriptsAnswer(txt2img=list(_SCRIPTS), img2img=[])

    @router.get("/sdapi/v1/script-info")
    def script_info() -> list[ScriptItem]:
        """Scripts with their arguments, in the order of script_args. An axis may be sent by its name or its place."""
        return [
            ScriptItem(name=name, is_alwayson=False, is_img2img=False, args=[_told(arg) for arg in script.args])
            for name, script in _SCRIPTS.items()
        ]


def _told(arg: _Arg) -> ScriptArgument:
    low, high, step = arg.range or (None, None, None)
    choices = list(arg.choices) or None
    return ScriptArgument(label=arg.label, value=arg.default, minimum=low, maximum=high, step=step, choices=choices)


def _complete(script: _Script, args: list[Any]) -> list[Any]:
    """As many arguments as the script has, each of the kind that it takes."""
    if len(args) > len(script.args):
        raise ParameterError("script", f"there are {len(args)}, this script has {len(script.args)}: see script-info.")
    args += [arg.default for arg in script.args[len(args) :]]
    return [_typed(value, arg) for value, arg in zip(args, script.args, strict=True)]


def _typed(value: Any, arg: _Arg) -> Any:
    if value is None:
        return arg.default
    if isinstance(arg.default, bool):
        word = str(value).lower()
        if word in ("true", "1"):
            return True
        if word in ("false", "0", ""):
            return False
        raise ParameterError("script", f"{arg.label} is true or false, not {value!r:.40}.")
    if arg.range:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value):
            raise ParameterError("script", f"{arg.label} is a whole number, not {value!r:.40}.")
        return int(value)
    return value


def _xyz(args: Sequence[Any]) -> ScriptParams:
    axes = {}
    csv_mode = args[17]
    for letter, (kind, text, chosen) in zip("xyz", (args[0:3], args[3:6], args[6:9]), strict=True):
        axes[f"{letter}_type"] = _axis(kind)
        axes[f"{letter}_values"] = _values(letter, text, chosen, csv_mode)
    legend, lone, sub_grids, keep, vary_x, vary_y, vary_z, margin = args[9:17]
    return ScriptParams(
        script=XYZ,
        **axes,
        draw_legend=legend,
        include_sub_images=lone,
        include_sub_grids=sub_grids,
        keep_seeds=keep,
        vary_seeds_x=vary_x,
        vary_seeds_y=vary_y,
        vary_seeds_z=vary_z,
        margin_size=margin,
    )


def _axis(sent: Any) -> str:
    """Our name of an axis that was sent by its place or its name."""
    if isinstance(sent, float) and sent.is_integer():
        sent = int(sent)
    if isinstance(sent, int) and not isinstance(sent, bool):
        if not 0 <= sent < len(AXIS_CHOICES):
            raise ParameterError("x_type", f"there is no axis {sent}: they are counted from 0, see script-info.")
        sent = AXIS_CHOICES[sent]
    by_name = {name.lower(): name for name in AXIS_CHOICES} | {name.lower(): name for name in AXES} | {"": NOTHING}
    name = by_name.get(sent.lower()) if isinstance(sent, str) else None
    if name is None:
        raise ParameterError("x_type", f"there is no axis {sent!r:.60}: see script-info.")
    name = _OURS.get(name, name)
    if name not in AXES:
        raise ParameterError("x_type", f"the axis “{name}” is not there yet.")
    return name


def _values(letter: str, text: Any, chosen: Any, csv_mode: bool) -> str:
    """What is typed for an axis, or the choices of its list as if they were typed."""
    if not isinstance(text, str):
        raise ParameterError(f"{letter}_values", f"{letter.upper()} values are a text, not {text!r:.40}.")
    if isinstance(chosen, str):
        chosen = [chosen] if chosen else []
    if not isinstance(chosen, list) or not all(isinstance(one, str) for one in chosen):
        raise ParameterError(f"{letter}_values", f"the choices for {letter.upper()} are a list of texts.")
    if not chosen or (csv_mode and text):
        return text
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(chosen)
    return line.getvalue()


def _matrix(args: Sequence[Any]) -> ScriptParams:
    at_start, different_seeds, prompt, delimiter, margin = args
    for value, allowed in ((prompt, ("positive", "negative")), (delimiter, ("comma", "space"))):
        if value not in allowed:
            raise ParameterError("script", f"{value!r:.40} is neither {allowed[0]} nor {allowed[1]}.")
    return ScriptParams(
        script=MATRIX,
        put_at_start=at_start,
        different_seeds=different_seeds,
        vary_negative=prompt == "negative",
        space_between=delimiter == "space",
        margin_size=margin,
    )


def _lines(args: Sequence[Any]) -> ScriptParams:
    iterate, same, position, text = args
    if position not in ("none", "start", "end"):
        raise ParameterError("prompt_position", f"{position!r:.40} is neither start nor end.")
    if not isinstance(text, str):
        raise ParameterError("prompt_lines", f"the prompts are one text with line ends, not {text!r:.40}.")
    return ScriptParams(
        script=LINES, iterate_seeds=iterate, same_seed=same, prompt_position=position, prompt_lines=text
    )


def _xyz_of_any_version(args: list[Any]) -> list[Any]:
    """In v1.6 and before, the margin stood where “Vary seeds for X” stands now."""
    if len(args) in (14, 15) and isinstance(args[13], (int, float)) and not isinstance(args[13], bool):
        return [*args[:13], False, False, False, *args[13:]]
    return args


def _lines_of_any_version(args: list[Any]) -> list[Any]:
    """In v1.6 and before, the lines came third and stood alone."""
    if len(args) == 3 and args[2] not in ("none", "start", "end"):
        return [*args[:2], "none", args[2]]
    return args


_AXIS_ARGS = tuple(
    arg
    for letter in "XYZ"
    for arg in (
        _Arg(f"{letter} type", NOTHING, AXIS_CHOICES),
        _Arg(f"{letter} values", ""),
        _Arg(f"{letter} values", []),
    )
)
_MARGIN = _Arg("Grid margins (px)", 0, range=(0, 500, 2))
_SCRIPTS: Mapping[str, _Script] = {
    MATRIX.lower(): _Script(
        (
            _Arg("Put variable parts at start of prompt", False),
            _Arg("Use different seed for each picture", False),
            _Arg("Select prompt", "positive", ("positive", "negative")),
            _Arg("Select joining char", "comma", ("comma", "space")),
            _MARGIN,
        ),
        _matrix,
    ),
    LINES.lower(): _Script(
        (
            _Arg("Iterate seed every line", False),
            _Arg("Use same random seed for all lines", False),
            _Arg("Insert prompts at the", "start", ("start", "end", "none")),
            _Arg("List of prompt inputs", ""),
        ),
        _lines,
        _lines_of_any_version,
    ),
    XYZ.lower(): _Script(
        (
            *_AXIS_ARGS,
            _Arg("Draw legend", True),
            _Arg("Include Sub Images", False),
            _Arg("Include Sub Grids", False),
            _Arg("Keep -1 for seeds", False),
            _Arg("Vary seeds for X", False),
            _Arg("Vary seeds for Y", False),
            _Arg("Vary seeds for Z", False),
            _MARGIN,
            _Arg("Use text inputs instead of dropdowns", False),
        ),
        _xyz,
        _xyz_of_any_version,
    ),
}
