"""The folder of embeddings, as the model in use reads it."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from modules.desks.models import ModelDesk
from modules.prompts.matching import EmbeddingIndex
from modules.prompts.tokenizer import clip_tokenizer

if TYPE_CHECKING:  # these bring torch
    from modules.embeddings.database import EmbeddingDatabase, Entry
    from modules.embeddings.embedding import Embedding


class EmbeddingDesk:
    """What front ends ask about embeddings; while there is no model, there is none. Any thread may ask.

    Args:
        models: says which model is in use.
        say: gets the lines for the console.
    """

    def __init__(self, models: ModelDesk, say: Callable[[str], object]):
        self._models = models
        self._say, self._said = say, ""

    @property
    def database(self) -> "EmbeddingDatabase | None":
        """The folder itself; None until torch is loaded."""
        return self._models.embeddings

    def refresh(self) -> None:
        """Look into the folder again."""
        if self.database:
            self.database.refresh()

    def index(self) -> EmbeddingIndex:
        """Those that fit the model in use, for reading prompts."""
        conditioner = self._models.conditioner
        if conditioner is None:
            return EmbeddingIndex({}, clip_tokenizer())
        return conditioner.embeddings.index(conditioner.model.width, clip_tokenizer())

    def find(self, name: str) -> "Embedding | None":
        """The one that answers to this name with the model in use, as the folder was when last looked at."""
        return self._answering().get(name)

    def names(self) -> list[str]:
        """The names that answer with the model in use, by alphabet; looked up afresh."""
        self.refresh()
        return sorted(self._answering(), key=str.casefold)

    def short_hashes(self) -> dict[str, str]:
        """What answers with the model in use, and its hash as infotexts carry it; looked up afresh."""
        self.refresh()
        return {name: embedding.short_hash or "" for name, embedding in self._answering().items()}

    def entries(self) -> "list[Entry]":
        """Every file in the folder, newest first, with what it can do for the model in use; looked up afresh."""
        conditioner = self._models.conditioner
        if conditioner is None:
            return []
        self.refresh()
        return conditioner.embeddings.entries(conditioner.model.width, conditioner.model.tokenizer)

    def report(self) -> None:
        """Say on the console what the folder holds, if that is new. Part of work.

        Raises:
            ModelMissing: there is no model that could say what fits.
        """
        model, embeddings = self._models.loaded()
        report = embeddings.report(model.width, model.tokenizer)
        if report != self._said:
            self._said = report
            self._say(report)

    def _answering(self) -> "dict[str, Embedding]":
        conditioner = self._models.conditioner
        if conditioner is None:
            return {}
        model = conditioner.model
        return dict(conditioner.embeddings.vocabulary(model.width, model.tokenizer).embeddings)
