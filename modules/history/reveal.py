"""Showing a file in the file manager of the machine the server runs on."""

import shutil
import subprocess
import sys
from pathlib import Path

from modules.errors import StorageError


def reveal(path: Path) -> None:
    """Open the folder of a file, the file marked where the file manager can do that.

    Raises:
        StorageError: it has gone, or this machine has no file manager.
    """
    if not path.exists():
        raise StorageError(f"“{path.name}” is not there any more.")
    command = _command(path)
    if command is None:
        raise StorageError(
            f"This machine has no file manager that could be asked: “{path.name}” lies in {path.parent}."
        )
    subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _command(path: Path) -> list[str] | None:
    if sys.platform == "darwin":
        return ["open", "-R", str(path)]
    if sys.platform == "win32":
        return ["explorer", f"/select,{path}"]
    program = shutil.which("xdg-open")
    return [program, str(path.parent)] if program else None
