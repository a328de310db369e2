"""What travels between the steps: which embedding, which photos, which run."""

import dataclasses
import json
import secrets
from dataclasses import dataclass
from typing import Any

_MERGED = "JSON.stringify({{...JSON.parse(choice || '{{}}'), ...{changes}}})"
MERGE = f"(choice, change) => {_MERGED.format(changes='JSON.parse(change).changes')}"
"""What the page makes of a choice and a text of `change`."""


def change(**values: str) -> str:
    """Some values of a `Choice`, as the server tells the page of them.

    The page alone puts them into its choice (`MERGE`): a whole one, written by an answer that was under way while
    something else was chosen, would take that back.
    """
    return json.dumps({"changes": values, "id": secrets.token_hex(4)}, ensure_ascii=False)  # each one is another text


def taken_from(field: str, *emptied: str) -> str:
    """The script of an event with a choice and a control as inputs: the control's value becomes a field of the choice.

    Args:
        emptied: fields that mean nothing any more.
    """
    values = ", ".join([f"{field}: (value ?? '').trim()", *(f"{name}: ''" for name in emptied)])
    return f"(choice, value) => {_MERGED.format(changes=f'{{{values}}}')}"


@dataclass(frozen=True)
class Choice:
    """What this browser works on. Nothing of it is believed: names and folders are looked up when they are used.

    Attributes:
        embedding: name of the embedding that is made.
        photos: folder of the prepared photos, as it would be typed.
        run: folder of the run that is looked at, below the data folder; empty: the newest one of the embedding.
        step: of the snapshot of that run that is to be used; empty: the recommended one.
    """

    embedding: str = ""
    photos: str = ""
    run: str = ""
    step: str = ""

    def write(self) -> str:
        """As the page carries it."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False)


def read_choice(text: Any) -> Choice:
    """A choice as the page, or a browser's memory, sends it; whatever cannot be used is left out."""
    try:
        values = json.loads(text) if isinstance(text, str) else text
    except (ValueError, RecursionError):
        return Choice()
    if not isinstance(values, dict):
        return Choice()
    names = [field.name for field in dataclasses.fields(Choice)]
    return Choice(**{name: values[name] for name in names if isinstance(values.get(name), str)})
