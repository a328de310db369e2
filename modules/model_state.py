"""What is told of the model in use, to those who need not load torch for it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class ModelStatus(StrEnum):
    """What the model can do for a user now."""

    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"  # nothing is loaded; the sentence says why


@dataclass(frozen=True)
class Advice:
    """What suits a checkpoint, where nobody says anything else.

    Attributes:
        native_size: (width, height) in pixels that it was trained for.
        recommended: form values that its maker recommends, by field name of `Txt2ImgParams`; often none.
    """

    native_size: tuple[int, int] = (512, 512)
    recommended: Mapping[str, Any] = field(default_factory=dict)

    @property
    def values(self) -> dict[str, Any]:
        """All of it, by field name of `Txt2ImgParams`."""
        width, height = self.native_size
        return {"width": width, "height": height, **self.recommended}


@dataclass(frozen=True)
class ModelState:
    """The loaded model as a page shows it; a change makes a new one, so it is read without a lock.

    Attributes:
        status: whether pictures can be drawn.
        sentence: what is being done, or why there is no model; after a failed switch, why the old one stays.
        checkpoint: title of the checkpoint in use, or of the one being loaded.
        device: where and how it computes: “cpu · fp32 · 1 thread”; empty until loaded.
        native_size: (width, height) in pixels that the model was trained for; (0, 0) until it is loaded.
        recommended: form values that the model's maker recommends, by field name of `Txt2ImgParams`.
    """

    status: ModelStatus
    sentence: str = ""
    checkpoint: str = ""
    device: str = ""
    native_size: tuple[int, int] = (0, 0)
    recommended: Mapping[str, Any] = field(default_factory=dict)
