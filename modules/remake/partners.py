"""Models that drew a part of a picture besides its own: the second pass of its hires fix, or its last steps."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from modules.model.checkpoint import Checkpoint
from modules.params import NO_REFINER, SAME_CHECKPOINT
from modules.remake.difference import Difference, Way

_BRACKETED = re.compile(r"\s*\[([0-9a-f]{10,64})\]\s*$")
_PARTS = {  # key: (field, what it drew, what the field says where the picture's own model does it)
    "Hires checkpoint": ("hr_checkpoint", "the second pass", SAME_CHECKPOINT),
    "Refiner": ("refiner_checkpoint", "the last steps", NO_REFINER),
}


def has_partner(said: Mapping[str, Any]) -> bool:
    """Whether another model took part in a picture."""
    return any(said.get(key, nobody) != nobody for key, (_, _, nobody) in _PARTS.items())


def find_partner(text: str, checkpoints: Sequence[Checkpoint]) -> str:
    """The title of the checkpoint called “name [hash]”, found by its hash, else by its name; empty: none is here."""
    name, digits = _read(text)
    same = [checkpoint for checkpoint in checkpoints if digits and checkpoint.sha256.startswith(digits)]
    return next((checkpoint.title for checkpoint in (*same, *_namesakes(name, checkpoints))), "")


def partner_differences(
    said: Mapping[str, Any], values: Mapping[str, Any], checkpoints: Sequence[Checkpoint]
) -> Iterator[Difference]:
    """What is to be told of them.

    Args:
        said: what `parse_infotext` read.
        values: the fields that were made of it.
    """
    for key, (field, part, nobody) in _PARTS.items():
        if field not in values or values[field] == nobody:
            continue
        called = str(said[key])
        name, digits = _read(called)
        namesakes = _namesakes(name, checkpoints)
        if any(digits and checkpoint.sha256.startswith(digits) for checkpoint in checkpoints):
            continue
        without = Way("Draw it with the same model", fields={field: nobody})
        look = Way("Look into all models", hash_checkpoints=True)
        unknown = any(not checkpoint.sha256 for checkpoint in checkpoints)
        if namesakes and not digits:
            continue
        if any(not checkpoint.sha256 for checkpoint in namesakes):
            text = f"“{called}” drew {part}. Whether the model of this name here is the same has not been looked into."
            yield Difference("Model", text, (look, without))
        elif namesakes:
            text = f"“{called}” drew {part}. The model of this name here is another one: details will differ."
            yield Difference("Model", text, (without,))
        else:
            text = (
                f"“{called}” drew {part}, and is not here. Put its file into models/Stable-diffusion, or draw that "
                "part with the same model as the rest."
            )
            yield Difference("Model", text, (look, without) if digits and unknown else (without,))


def _read(text: str) -> tuple[str, str]:
    found = _BRACKETED.search(text)
    return (text[: found.start()], found[1]) if found else (text, "")


def _namesakes(name: str, checkpoints: Sequence[Checkpoint]) -> list[Checkpoint]:
    return [checkpoint for checkpoint in checkpoints if name in (checkpoint.model_name, checkpoint.name)]
