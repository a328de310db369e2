"""The run that a command names, and the checkpoint that it belongs to."""

import dataclasses
from pathlib import Path

from modules.cli.host import hosted
from modules.errors import FileFormatError, ParameterError
from modules.flags import Flags
from modules.model.checkpoint import choose
from modules.training.run_folder import Run, open_run


def named_run(path: Path, flag: str) -> Run:
    """The run in a folder that was named on the command line.

    Raises:
        ParameterError: it is no run.
    """
    try:
        return open_run(path)
    except FileFormatError as error:
        raise ParameterError(flag, f"{flag}: {error} Name the folder textual_inversion/DATE/NAME.") from error


def with_checkpoint(flags: Flags, run: Run) -> Flags:
    """The flags with the run's own checkpoint, unless another one is named or it cannot be found."""
    if flags.ckpt:
        return flags
    with hosted(flags) as app:
        found = choose(app.models.checkpoints(), run.checkpoint)
    return dataclasses.replace(flags, ckpt=found.path) if found else flags
