"""What there is on this machine to remake a picture with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from modules.model.checkpoint import Checkpoint
from modules.prompts.matching import EmbeddingIndex
from modules.prompts.tokenizer import ClipTokenizer


@dataclass(frozen=True)
class Here:
    """This machine, as far as a picture may ask for it.

    Attributes:
        checkpoint: the one in use; None while there is none.
        checkpoints: all that could be chosen.
        tokenizer, index: of the model in use; the index holds the names that act.
        embeddings: 12 digits of the hash of each embedding that acts, by name.
        vaes: 10 digits of the hash of each VAE file by name; empty digits where they are not known.
        automatic_vae: name of the file that “Automatic” takes for the model in use; empty: the VAE inside it.
        upscalers: names for the second pass; empty where they are not known.
        styles: prompt and negative prompt of each style, by name.
    """

    checkpoint: Checkpoint | None
    checkpoints: Sequence[Checkpoint]
    tokenizer: ClipTokenizer
    index: EmbeddingIndex
    embeddings: Mapping[str, str] = field(default_factory=dict)
    vaes: Mapping[str, str] = field(default_factory=dict)
    automatic_vae: str = ""
    upscalers: Sequence[str] = ()
    styles: Mapping[str, tuple[str, str]] = field(default_factory=dict)
