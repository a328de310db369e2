"""The checkpoint that a run belongs to, for commands that go on with a run or look at it."""

import dataclasses
from pathlib import Path

from modules.cli.host import hosted
from modules.flags import Flags
from modules.model.checkpoint import choose
from modules.training.run_folder import open_run


def with_checkpoint(flags: Flags, run: Path) -> Flags:
    """The flags with the run's own checkpoint, unless another one is named or it cannot be found.

    Raises:
        FileFormatError: it is no run.
    """
    wanted = open_run(run).checkpoint
    if flags.ckpt:
        return flags
    with hosted(flags) as app:
        found = choose(app.models.checkpoints(), wanted)
    return dataclasses.replace(flags, ckpt=found.path) if found else flags
