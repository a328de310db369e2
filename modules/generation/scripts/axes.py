"""What an axis of the X/Y/Z plot may change, and how its values are read."""

import itertools
import math
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from modules import params
from modules.errors import ParameterError
from modules.generation.scripts.cells import Cell, Workbench
from modules.generation.scripts.values import MOST, read_numbers, split_values
from modules.samplers import names
from modules.script_params import AXES, NOTHING

_COSTS = {"Checkpoint name": 1.0, "VAE": 0.7, "Refiner checkpoint": 0.5, "Embedding step": 0.1}
_SIZE = re.compile(r"(\d{1,5})\s*[x×]\s*(\d{1,5})")


@dataclass(frozen=True)
class Value:
    """One value of an axis: how it is labelled, what it makes of a run, and how it is typed, if not as labelled."""

    label: str
    apply: Callable[[Cell], Cell]
    typed: str = ""


@dataclass(frozen=True)
class Axis:
    """An axis with its values.

    Attributes:
        name: one of `AXES`.
        values: at least one; of an axis that is not used the one that changes nothing.
        cost: axes of higher cost change more slowly: what they load takes longer than a picture.
        text: as typed, for the sheet's infotext.
    """

    name: str
    values: tuple[Value, ...]
    cost: float = 0.0
    text: str = ""

    @property
    def typed(self) -> str:
        """What was typed, or, where nothing means everything, what that came to."""
        return self.text.strip() or ", ".join(value.typed or value.label for value in self.values)


def read_axis(name: str, text: str, field: str, cell: Cell, bench: Workbench) -> Axis:
    """Read what was typed for an axis.

    Args:
        name: one of `AXES`.
        field: where the text was typed, to name in errors.
        cell: the run without any axis.

    Raises:
        ParameterError: no values, or one that cannot be used.
    """
    if name == NOTHING:
        return Axis(name, (Value("", lambda cell: cell),))
    assert name in AXES
    read = _READERS[name]
    values = read(text, field, cell, bench)
    if not values:
        raise ParameterError(field, f"{name} has no values: type some, or choose Nothing.")
    if len(values) > MOST:
        raise ParameterError(field, f"{name} has {len(values)} values: at most {MOST} can be drawn.")
    return Axis(name, tuple(values), _COSTS.get(name, 0.0), text)


Reader = Callable[[str, str, Cell, Workbench], list[Value]]


def _setting(name: str, field_name: str, value: Any, label: str | None = None) -> Value:
    shown = label if label is not None else f"{name}: {value:g}" if isinstance(value, float) else f"{name}: {value}"
    return Value(shown, lambda cell: cell.changed(**{field_name: value}))


def _numbers(name: str, field_name: str, **also: Any) -> Reader:
    """Numbers for one field; `also` switches on what the field needs to act."""
    kind = type(params.default(field_name))

    def read(text: str, field: str, cell: Cell, bench: Workbench) -> list[Value]:
        return [
            Value(
                f"{name}: {number:g}" if kind is float else f"{name}: {number}",
                lambda cell, number=number: cell.changed(**{field_name: kind(number), **also}),
            )
            for number in read_numbers(text, kind is int, field)
        ]

    return read


def _seeds(name: str, field_name: str) -> Reader:
    """As numbers; -1 is a random seed that is drawn once, so that a whole row shares it."""

    def read(text: str, field: str, cell: Cell, bench: Workbench) -> list[Value]:
        numbers = [secrets.randbelow(2**32) if n == params.RANDOM else int(n) for n in read_numbers(text, True, field)]
        return [_setting(name, field_name, number) for number in numbers]

    return read


def _choices(name: str, field_name: str, **also: Any) -> Reader:
    def read(text: str, field: str, cell: Cell, bench: Workbench) -> list[Value]:
        return [
            Value(value, lambda cell, value=value: cell.changed(**{field_name: value, **also}))
            for value in split_values(text)
        ]

    return read


def _switches(field_name: str) -> Reader:
    """True and False, labelled by what they switch."""

    def read(text: str, field: str, cell: Cell, bench: Workbench) -> list[Value]:
        found = []
        for value in split_values(text):
            if value.lower() not in _SWITCH:
                raise ParameterError(field, f"“{value:.40}” is neither True nor False.")
            found.append(_setting(params.control(field_name).label, field_name, _SWITCH[value.lower()]))
        return found

    return read


_SWITCH = {"true": True, "false": False}


def _replace(cell: Cell, before: str, after: str) -> Cell:
    fields = ("prompt", "negative_prompt", "hr_prompt", "hr_negative_prompt")
    return cell.changed(**{name: getattr(cell.params, name).replace(before, after) for name in fields})


def _etas(text: str, field: str, cell: Cell, bench: Workbench) -> list[Value]:
    """A1111's one eta, of whichever sampler draws."""

    def at(cell: Cell, eta: float) -> Cell:
        return cell.changed(**params.one_eta(eta, names.find_sampler(cell.params.sampler).timesteps))

    return [
        Value(f"Eta: {number:g}", lambda cell, number=number: at(cell, float(number)))
        for number in read_numbers(text, False, field)
    ]


def _search_replace(text: str, field: str, cell: Cell, bench: Workbench) -> list[Value]:
    values = split_values(text)
    if not values:
        return []
    first = values[0]
    if first not in cell.params.prompt and first not in cell.params.negative_prompt:
        raise ParameterError(
            field, f"“{first:.60}” stands in neither prompt: the first value is what the others take the place of."
        )
    return [Value(value, lambda cell, value=value: _replace(cell, first, value)) for value in values]


def _order(text: str, field: str, cell: Cell, bench: Workbench) -> list[Value]:
    values = split_values(text)
    if math.factorial(min(len(values), 20)) > MOST:
        raise ParameterError(field, f"{len(values)} values have more than {MOST} orders: use fewer.")
    missing = [value for value in values if value not in cell.params.prompt]
    if missing:
        raise ParameterError(field, f"“{missing[0]:.60}” does not stand in the prompt.")
    found = [Value(", ".join(order), lambda cell, order=order: _reordered(cell, order)) for order in _orders(values)]
    return found if values else []


def _orders(values: Sequence[str]) -> list[tuple[str, ...]]:
    return list(itertools.permutations(values))


def _reordered(cell: Cell, order: Sequence[str]) -> Cell:
    """The values put into the places where they stand now, in another order."""
    prompt = cell.params.prompt
    places = sorted((prompt.find(value), value) for value in order)
    pieces, at = [], 0
    for (start, here), value in zip(places, order, strict=True):
        if start < at:  # they overlap, or an earlier axis took it away
            continue
        pieces += [prompt[at:start], value]
        at = start + len(here)
    return cell.changed(prompt="".join(pieces) + prompt[at:])


def _embedding_steps(text: str, field: str, cell: Cell, bench: Workbench) -> list[Value]:
    """Steps of snapshots; nothing typed means all there are."""
    prompts = f"{cell.params.prompt} {cell.params.negative_prompt}"
    there = bench.snapshot_steps(prompts)
    if not there:
        raise ParameterError(
            field, "The prompt names no embedding with snapshots: type the name of one that was trained here."
        )
    steps = [int(step) for step in read_numbers(text, True, field)] or list(there)
    for step in steps:
        if step not in there:
            known = ", ".join(map(str, there))
            raise ParameterError(field, f"There is no snapshot of step {step}: there are {known:.200}.")
    return [Value(f"step {step}", lambda cell, step=step: _at_step(cell, step), str(step)) for step in steps]


def _at_step(cell: Cell, step: int) -> Cell:
    return Cell(cell.params, cell.checkpoint, step)


def _checkpoints(text: str, field: str, cell: Cell, bench: Workbench) -> list[Value]:
    return [
        Value(
            re.sub(r"\s*\[[0-9a-f]+\]$", "", value),
            lambda cell, value=value: Cell(cell.params, value, cell.embedding_step),
        )
        for value in split_values(text)
    ]


def _styles(text: str, field: str, cell: Cell, bench: Workbench) -> list[Value]:
    return [
        Value(value, lambda cell, value=value: cell.changed(styles=() if value == "None" else (value,)))
        for value in split_values(text)
    ]


def _sizes(text: str, field: str, cell: Cell, bench: Workbench) -> list[Value]:
    found = []
    for value in split_values(text):
        match = _SIZE.fullmatch(value)
        if match is None:
            raise ParameterError(field, f"“{value:.40}” is no size: type sizes such as 512x768.")
        width, height = int(match[1]), int(match[2])
        found.append(
            Value(f"{width}x{height}", lambda cell, size=(width, height): cell.changed(width=size[0], height=size[1]))
        )
    return found


_READERS: dict[str, Reader] = {
    "Seed": _seeds("Seed", "seed"),
    "Var. seed": _seeds("Var. seed", "subseed"),
    "Var. strength": _numbers("Var. strength", "subseed_strength"),
    "Steps": _numbers("Steps", "steps"),
    "CFG Scale": _numbers("CFG Scale", "cfg_scale"),
    "Prompt S/R": _search_replace,
    "Prompt order": _order,
    "Embedding": _search_replace,
    "Embedding step": _embedding_steps,
    "Sampler": _choices("Sampler", "sampler"),
    "Schedule type": _choices("Schedule type", "schedule"),
    "Size": _sizes,
    "Checkpoint name": _checkpoints,
    "VAE": _choices("VAE", "vae"),
    "Clip skip": _numbers("Clip skip", "clip_skip"),
    "Styles": _styles,
    "Hires upscaler": _choices("Hires upscaler", "hr_upscaler"),
    "Hires steps": _numbers("Hires steps", "hr_second_pass_steps"),
    "Hires scale": _numbers("Hires scale", "hr_scale"),
    "Hires sampler": _choices("Hires sampler", "hr_sampler"),
    "Hires schedule type": _choices("Hires schedule type", "hr_schedule"),
    "Denoising": _numbers("Denoising", "denoising_strength"),
    "Extra noise": _numbers("Extra noise", "extra_noise"),
    "Eta": _etas,
    "Eta for DDIM": _numbers("Eta for DDIM", "eta_ddim"),
    "Sigma Churn": _numbers("Sigma Churn", "s_churn"),
    "Sigma min": _numbers("Sigma min", "s_tmin"),
    "Sigma max": _numbers("Sigma max", "s_tmax"),
    "Sigma noise": _numbers("Sigma noise", "s_noise"),
    "Schedule min sigma": _numbers("Schedule min sigma", "sigma_min"),
    "Schedule max sigma": _numbers("Schedule max sigma", "sigma_max"),
    "Schedule rho": _numbers("Schedule rho", "rho"),
    "Beta schedule alpha": _numbers("Beta schedule alpha", "beta_alpha"),
    "Beta schedule beta": _numbers("Beta schedule beta", "beta_beta"),
    "Negative Guidance minimum sigma": _numbers("NGMS", "s_min_uncond"),
    "Refiner checkpoint": _choices("Refiner checkpoint", "refiner_checkpoint"),
    "Refiner switch at": _numbers("Refiner switch at", "refiner_switch_at"),
    "ENSD": _numbers("ENSD", "ensd"),
    "RNG": _choices("RNG", "randn_source"),
    "UniPC Order": _numbers("UniPC Order", "unipc_order"),
    "Token merging ratio": _numbers("Token merging ratio", "token_merging_ratio"),
    "Token merging ratio high-res": _numbers("Token merging ratio high-res", "token_merging_ratio_hr"),
    "Always discard next-to-last sigma": _switches("discard_penultimate"),
    "SGM noise multiplier": _switches("sgm_noise_multiplier"),
}
