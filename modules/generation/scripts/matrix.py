"""Prompt matrix: “a cat|oil|snow” is a cat, and with each choice of the parts behind it."""

import dataclasses
import math
import secrets

from modules.errors import ParameterError
from modules.generation.scripts.sheet import Label
from modules.params import RANDOM, Txt2ImgParams
from modules.script_params import ScriptParams

MOST_PARTS = 10


def read_matrix(
    params: Txt2ImgParams, script: ScriptParams
) -> tuple[list[Txt2ImgParams], tuple[Label, ...], tuple[Label, ...]]:
    """The forms of all combinations, row by row, and the labels of columns and rows.

    Raises:
        ParameterError: nothing to combine, or too much.
    """
    field = "negative_prompt" if script.vary_negative else "prompt"
    first, *parts = (part.strip() for part in getattr(params, field).split("|"))
    if not parts:
        raise ParameterError(field, "There is nothing to combine: write “what stays|a part|another part”.")
    if len(parts) > MOST_PARTS:
        raise ParameterError(
            field, f"{len(parts)} parts have {2 ** len(parts)} combinations: use {MOST_PARTS} at most."
        )
    seed = secrets.randbelow(2**32) if params.seed == RANDOM else params.seed
    subseed = secrets.randbelow(2**32) if params.subseed == RANDOM else params.subseed
    between = " " if script.space_between else ", "
    forms = []
    for number in range(2 ** len(parts)):
        chosen = [part for position, part in enumerate(parts) if number >> position & 1]
        text = between.join([*chosen, first] if script.put_at_start else [first, *chosen])
        own_seed = seed + number * params.batch_count * params.batch_size if script.different_seeds else seed
        forms.append(dataclasses.replace(params, **{field: text, "seed": own_seed, "subseed": subseed}))
    across = math.ceil(len(parts) / 2)
    return forms, _labels(parts[:across]), _labels(parts[across:])


def _labels(parts: list[str]) -> tuple[Label, ...]:
    """Every choice of these parts; those left out are pale."""
    return tuple(
        Label(tuple(parts), tuple(not number >> position & 1 for position in range(len(parts))))
        for number in range(2 ** len(parts))
    )
