"""Where a run gets its model from, and changes it for another one on the way."""

from collections.abc import Generator
from typing import TYPE_CHECKING, Protocol

from modules.events import Event, Request
from modules.model.checkpoint import Checkpoint

if TYPE_CHECKING:  # brings torch
    from modules.model.conditioning import Conditioner

Use = Generator[Event, Request | None, "Conditioner"]


class Models(Protocol):
    """The models of one run, one of them loaded at a time."""

    def use(self, checkpoint: Checkpoint | None) -> Use:
        """Put a model into use, and give it to draw with.

        Nobody may hold on to the one before: it goes first, so that the next one has room.

        Args:
            checkpoint: None is the run's own.

        Returns:
            the model in use now: the one before, if the loading was interrupted.

        Raises:
            FileFormatError, OutOfMemory: it cannot be loaded.
        """
        ...


class OneModel:
    """A model that is never changed for another.

    Args:
        conditioner: the model, and the embeddings to draw with.
    """

    def __init__(self, conditioner: "Conditioner"):
        self._conditioner = conditioner

    def use(self, checkpoint: Checkpoint | None) -> Use:
        """See `Models.use`."""
        assert checkpoint is None, "there is no other model"
        yield from ()
        return self._conditioner


def without_events(use: Use) -> "Conditioner":
    """The model, once it is in use; what its loading tells is dropped."""
    while True:
        try:
            next(use)
        except StopIteration as end:
            return end.value
