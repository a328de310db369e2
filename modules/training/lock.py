"""A run belongs to one process at a time: two of them would tear its states apart. Knows no torch."""

import contextlib
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock
import psutil

from modules.errors import JobBusy
from modules.files import storage_error, write_atomically

NAME = "running.json"
STARTING = ".starting.lock"
PATIENCE = 60.0  # seconds for the other's look and a few small files, a hundred times over


def holder(run: Path) -> int | None:
    """The process on this machine that works at a run; None: nobody, or one that has died."""
    try:
        stored = json.loads((run / NAME).read_bytes())
        process, created, machine = int(stored["process"]), float(stored["created"]), str(stored["machine"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if machine != platform.node():
        return None
    try:
        alive = abs(psutil.Process(process).create_time() - created) < 2  # seconds; else the number was given anew
    except psutil.Error:
        return None
    return process if alive else None


@contextmanager
def starting(root: Path) -> Iterator[None]:
    """One process at a time sees whether a run, or the embedding it is for, is free, and takes it.

    The operating system keeps the lock and gives it back when a process dies. Where a file system knows no locks, the
    lock is a file that is there or not.

    Args:
        root: the log directory of the run.

    Raises:
        JobBusy: another process has been starting one for a minute.
        StorageError: the folder cannot be written.
    """
    lock = filelock.FileLock(root / STARTING, timeout=PATIENCE, is_singleton=False)
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except filelock.Timeout as error:
        raise JobBusy(f"Another program is starting a run in “{root}”: wait until it has, and try again.") from error
    except OSError as error:
        raise storage_error(root, error) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def held(run: Path) -> Iterator[None]:
    """Keep a run for this process; to be entered while `starting`.

    Raises:
        JobBusy: another one has it.
        StorageError: the folder cannot be written.
    """
    other = holder(run)
    if other is not None:
        raise JobBusy(
            f"The run “{run.name}” is under way in process {other}: stop it there, or wait until it has ended."
        )
    me = {"process": os.getpid(), "created": psutil.Process().create_time(), "machine": platform.node()}
    write_atomically(run / NAME, json.dumps(me))
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # it holds nobody back once this process has ended
            (run / NAME).unlink()
