"""`alwayson_scripts`: those of A1111's own page that say in another way what fields of the request say."""

from collections.abc import Mapping, Sequence
from typing import Any

from modules.api import errors

_FIELDS: Mapping[str, tuple[str, ...]] = {
    # the script: its arguments by their place, as fields of the request; “use” says whether the others count
    "refiner": ("use", "refiner_checkpoint", "refiner_switch_at"),
    "seed": ("seed", "use", "subseed", "subseed_strength", "seed_resize_from_w", "seed_resize_from_h"),
    "sampler": ("steps", "sampler_name", "scheduler"),
}
_USED_AS_WELL = ("seed",)  # whatever “use” says


def said(scripts: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that always-on scripts set, by A1111's names.

    Args:
        scripts: `{"Refiner": {"args": [true, "name", 0.8]}}`.

    Raises:
        HTTPException: 422, a script that is not here, or arguments that it does not have.
    """
    found: dict[str, Any] = {}
    for name, content in scripts.items():
        fields = _FIELDS.get(name.lower())
        if fields is None:
            raise errors.refuse(422, f"There is no always-on script {name!r:.60} here.")
        args = content.get("args", []) if isinstance(content, Mapping) else content
        if not isinstance(args, Sequence) or isinstance(args, str) or len(args) > len(fields):
            raise errors.refuse(422, f"alwayson_scripts: {name} takes a list of up to {len(fields)} args.")
        values = {field: value for field, value in zip(fields, args, strict=False) if value is not None}
        if not values.pop("use", "use" not in fields):
            values = {field: value for field, value in values.items() if field in _USED_AS_WELL}
        found |= values
    return found
