"""The App of one command, with its model."""

from collections.abc import Iterator
from contextlib import contextmanager

from modules.app import App, ModelStatus
from modules.cli.following import follow, say, tell
from modules.errors import WebuiError
from modules.events import Noticed, Work, as_data
from modules.flags import Flags


class Stopped(Exception):
    """The command ended while the model was being loaded.

    Args:
        code: the exit code.
    """

    def __init__(self, code: int):
        super().__init__(code)
        self.code = code


@contextmanager
def hosted(flags: Flags) -> Iterator[App]:
    """An App without a model, ended whatever happens."""
    app = App(flags.paths(), None, flags)
    try:
        yield app
    finally:
        app.stop()


def load(app: App) -> None:
    """Load the model, telling about it and about what is not as the settings say.

    Raises:
        Stopped: interrupted, or the model cannot be used, which has been told.
        WebuiError: there is no model.
    """
    code = follow(app.start(), more=True)
    for notice in app.notices:
        tell(as_data(Noticed(notice)))
        say(notice)
    if code:
        raise Stopped(code)
    if app.model_state.status is not ModelStatus.READY:
        raise WebuiError(app.model_state.sentence)
    # what is made here names the model by its hash, and the command may end before that is known
    if code := follow(app.jobs.submit("Computing the hash of the model", _hashed(app))):
        raise Stopped(code)


def _hashed(app: App) -> Work:
    yield from app.models.with_hash()
