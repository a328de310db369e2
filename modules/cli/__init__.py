"""The same work without a page: `./webui.sh txt2img …`, `create`, `prepare`, `train`, `compare`, `export`, `png-info`.

What happens is told on standard output, one JSON object a line, so that another program can follow it; sentences for
people go to standard error. Exit codes: 0 done, 1 failed, 2 a command line or a folder of photos that cannot be used,
130 interrupted, or nobody reads on.

arguments  flags made from the fields of a dataclass      following  the events of a job, until it is over
host       the App with its model                         one file for each command
"""

import importlib
import os
import sys
from collections.abc import Sequence

from modules.cli.following import INTERRUPTED
from modules.cli.host import Stopped
from modules.errors import DatasetError, ParameterError, WebuiError


def main(arguments: Sequence[str]) -> int:
    """Run the command of `flags.COMMANDS` that stands first in `arguments`. Returns the exit code."""
    command, *rest = arguments
    module = importlib.import_module(f"{__name__}.{command.replace('-', '_')}")
    try:
        return module.run(rest)
    except Stopped as stopped:
        return stopped.code
    except KeyboardInterrupt:  # between two jobs
        return INTERRUPTED
    except BrokenPipeError:  # as behind `| head`; a run was stopped and kept when the App ended
        _print_nowhere()
        return INTERRUPTED
    except (ParameterError, DatasetError) as error:
        print(error, file=sys.stderr)
        return 2
    except WebuiError as error:
        print(error, file=sys.stderr)
        return 1


def _print_nowhere() -> None:
    """Nobody reads what is printed: what is left of it must not fail once more when Python ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())
