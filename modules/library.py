"""Pictures that were made, and how they are made again: the history, the last parameters, and remaking. One per App."""

import logging
from collections.abc import Callable
from pathlib import Path

from modules.errors import StorageError
from modules.events import Event, GridDone, ImageDone
from modules.files import write_atomically
from modules.history.history import History
from modules.history.saved_copies import SavedCopies
from modules.paths import Paths
from modules.remake.here import Here
from modules.remake.remake import Remake, remake

_log = logging.getLogger(__name__)


class Library:
    """What front ends ask about pictures. Any thread may ask.

    Args:
        here: what there is at this moment to remake a picture with.
        keeps_last: whether the parameters of the run made last are written down.

    Attributes:
        history: every picture below `outputs/`.
        saved_copies: those that somebody chose to keep.
    """

    def __init__(self, paths: Paths, here: Callable[[], Here], keeps_last: bool = True):
        self.history = History(paths.outputs, paths.cache, paths.stars)
        self.saved_copies = SavedCopies(paths.saved_copies)
        self._here = here
        self._last_infotext = ""
        self._last: Path | None = paths.last_parameters if keeps_last else None

    def note(self, event: Event) -> None:
        """Remember what a job reports: a picture goes into the history, the first of a run is the last made."""
        if isinstance(event, (ImageDone, GridDone)):
            self.history.add(event.path)
        if self._last and isinstance(event, ImageDone) and event.index == 0:
            self._last_infotext = event.infotext
            try:
                write_atomically(self._last, event.infotext)
            except StorageError as error:  # the picture itself is safe, and says the same
                _log.warning("The last parameters are not kept: %s", error)

    def last_infotext(self) -> str:
        """The parameters of the run made last, of this start or an earlier one; empty if there was none, or none is
        kept."""
        if self._last is None:
            return ""
        try:
            text = self._last.read_text("utf-8", errors="replace")
        except OSError:
            return ""
        return self._last_infotext if text == self._last_infotext else text  # which knows its prompts as well

    def remake(self, infotext: str) -> Remake:
        """How a picture is drawn again here, and what differs."""
        return remake(infotext, self._here())
