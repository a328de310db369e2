"""Copies of pictures that somebody chose to keep, in a folder of their own with a table, as A1111's button Save makes
them: `log/images` and its `log.csv`."""

import csv
import io
import itertools
import re
import threading
from pathlib import Path

from modules import image_saving, images
from modules.errors import ImageError, StorageError
from modules.files import storage_error, write_atomically
from modules.history.companions import companions
from modules.infotext import Infotext, parse_infotext

LOG = "log.csv"
COLUMNS = {
    "prompt": "Prompt",
    "seed": "Seed",
    "width": "Size-1",
    "height": "Size-2",
    "sampler": "Sampler",
    "cfgs": "CFG scale",
    "steps": "Steps",
    "filename": "",
    "negative_prompt": "Negative prompt",
    "sd_model_name": "Model",
    "sd_model_hash": "Model hash",
}
"""Columns of the table, each with the infotext key of what stands there. Source: A1111 v1.10."""

_NUMBER = re.compile(r"\d{5}-(?=.)")  # as a rule the name begins with one, which is of another folder


class SavedCopies:
    """The folder of copies. Any thread may ask.

    Args:
        folder: made with the first copy.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._lock = threading.Lock()

    def save(self, picture: Path, log: bool = True) -> Path:
        """Copy a picture, and what lies beside it under its name. Returns the path of the copy.

        Args:
            log: note it in the table.

        Raises:
            ImageError: the picture has gone, or is none.
            StorageError: disk full, read-only or gone; or the table is there and cannot be read.
        """
        infotext = images.read_infotext(picture)
        sources = [picture, *companions(picture)]
        try:
            contents = {source.suffix: source.read_bytes() for source in sources}
        except OSError as error:
            raise ImageError(f"“{picture.name}” is not there any more.") from error
        with self._lock:
            table = _table(self.folder / LOG) if log else []  # before anything is copied
            name = self._free_name(_NUMBER.sub("", picture.stem), list(contents))
            for suffix, content in contents.items():
                write_atomically(self.folder / f"{name}{suffix}", content, replace=False)
            copy = self.folder / f"{name}{picture.suffix}"
            if log:
                _write_table(self.folder / LOG, [*table, _row(infotext, copy.name)])
        return copy

    def _free_name(self, rest: str, suffixes: list[str]) -> str:
        names = (f"{number:05}-{rest}" for number in itertools.count(image_saving.next_number(self.folder)))
        return next(
            name for name in names if not any((self.folder / f"{name}{suffix}").exists() for suffix in suffixes)
        )


def _row(infotext: Infotext, name: str) -> dict[str, str]:
    said = parse_infotext(infotext)
    return {column: str(said.get(key, "")) for column, key in COLUMNS.items()} | {"filename": name}


def _table(path: Path) -> list[dict[str, str]]:
    """The rows there are; those of older programs have fewer columns."""
    try:
        rows = csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline=""), restkey="", restval="")
        return [{column: value for column, value in row.items() if column} for row in rows]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise storage_error(path, error) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise StorageError(
            f"{path.name} in {path.parent.name} cannot be read as a table: save it as CSV in UTF-8, or move it away."
        ) from error


def _write_table(path: Path, rows: list[dict[str, str]]) -> None:
    columns = list(dict.fromkeys([*COLUMNS, *(column for row in rows for column in row)]))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue())
