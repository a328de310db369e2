"""One difference between what a picture says and what is here, and the ways out of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Way:
    """Something a user may press.

    Attributes:
        label: what the button says.
        checkpoint: title of the checkpoint to load.
        fields: values of `Txt2ImgParams` to set.
        hash_checkpoints: compute the hashes that are not known yet, and look again.
    """

    label: str
    checkpoint: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    hash_checkpoints: bool = False


@dataclass(frozen=True)
class Difference:
    """One thing that is not as it was.

    Attributes:
        subject: “Model”, “Embedding” …
        text: what the picture says, what is here, what to do.
        ways: buttons; none where the sentence says all that can be done.
        harmless: worth knowing, and no reason for another picture.
    """

    subject: str
    text: str
    ways: tuple[Way, ...] = ()
    harmless: bool = False
