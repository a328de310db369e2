"""What the server advises for the form of step ③, as the page takes it up.

The page alone puts advice into the form: only the browser knows what was typed, or chosen anew, since it was asked for.
"""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

# typed values stay; what belongs to another choice or preset by now is passed over, because more advice comes
_TAKE = """(said, choice, preset) => {
    const advice = JSON.parse(said), now = JSON.parse(choice || "{}"), typed = window.rememberedTraining ?? {};
    const isOther = name => advice[name] !== (now[name] ?? "");
    const isLate = isOther("photos") || JSON.stringify(advice.preset) !== JSON.stringify(preset);
    const stays = name => name === "embedding" ? isOther(name) : isLate || name in typed;
    return %s.map(name => ({
        __type__: "update",
        ...(stays(name) ? {} : {value: advice.values[name]}),
        ...(isLate || !(name in advice.reasons) ? {} : {info: advice.reasons[name]}),
    }));
}"""


@dataclass(frozen=True)
class Advice:
    """Values for some fields of the form, and why.

    Attributes:
        embedding, photos: what was chosen when the page asked.
        preset: likewise.
        values: of all fields that take it, the embedding among them.
        reasons: help texts of some of them.
    """

    embedding: str
    photos: str
    preset: Any
    values: Mapping[str, Any]
    reasons: Mapping[str, str]

    def write(self, anew: bool = False) -> str:
        """As the page carries it.

        Args:
            anew: take it up even if the page was told the same before.
        """
        return json.dumps({**asdict(self), "id": secrets.token_hex(4) if anew else ""}, ensure_ascii=False)


def taking(fields: Sequence[str]) -> str:
    """The script of an event with an advice, the choice and the preset as inputs, and these fields as outputs."""
    return _TAKE % json.dumps(list(fields))
