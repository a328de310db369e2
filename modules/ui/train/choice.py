"""What travels between the steps: which embedding, which photos, which run."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any


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

    def changed(self, **values: str) -> "Choice":
        """A copy in which some values are others."""
        return dataclasses.replace(self, **values)

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
