"""The log file: warnings and errors of the whole program, with what no user should have to read."""

import logging
from logging.handlers import RotatingFileHandler
from pathlib import Path

LOG_BYTES = 2_000_000  # of each of three files


def open_log(path: Path) -> logging.Handler:
    """Write warnings and errors to a file as well, until `close_log`.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=2, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.setLevel(logging.WARNING)
    logging.getLogger().addHandler(handler)
    return handler


def close_log(handler: logging.Handler) -> None:
    """What `open_log` made."""
    logging.getLogger().removeHandler(handler)
    handler.close()
