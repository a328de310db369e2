"""Prompts kept under a name, in A1111's `styles.csv`.

A style that holds `{prompt}` wraps the prompt, any other is added behind it. Rows whose name begins with “#” are
comments: they are kept and not shown. There may be several files.
"""

import csv
import dataclasses
import glob
import io
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from modules.errors import ParameterError, StorageError
from modules.files import storage_error, write_atomically
from modules.params import Txt2ImgParams

COLUMNS = ("name", "prompt", "negative_prompt")
PLACE = "{prompt}"
_LARGEST = 16 << 20  # bytes of a file that is read


@dataclass(frozen=True)
class Style:
    """A prompt and a negative prompt under a name; either may be empty."""

    name: str
    prompt: str = ""
    negative_prompt: str = ""


class StyleFile:
    """One file of styles. Any thread may ask; a file that changed on disk is read again.

    Args:
        path: of `styles.csv`; it is made when the first style is saved.
    """

    def __init__(self, path: Path):
        self.path = path
        self._lock = threading.RLock()
        self._rows: list[Style] = []
        self._read_at: object = None

    @property
    def backup(self) -> Path:
        """The file as it was before its last change."""
        return self.path.with_name(self.path.name + ".bak")

    def styles(self) -> list[Style]:
        """All styles in the order of the file; of equal names the last.

        Raises:
            StorageError: the file is there and cannot be read.
        """
        with self._lock:
            self._refresh()
            return list({row.name: row for row in self._rows if row.name and not row.name.startswith("#")}.values())

    def save(self, style: Style) -> None:
        """Add a style, or replace the one of that name where it stands.

        Raises:
            ParameterError: no name, or one that would be a comment.
            StorageError: nothing was changed.
        """
        name = style.name.strip()
        if not name or name.startswith("#"):
            raise ParameterError("style", "A style needs a name, and it must not begin with “#”: type one.")
        style = dataclasses.replace(style, name=name)
        with self._lock:
            self._refresh()
            known = any(row.name == name for row in self._rows)
            self._write([style if row.name == name else row for row in self._rows] + ([] if known else [style]))

    def delete(self, name: str) -> None:
        """Remove a style, if there is one of that name.

        Raises:
            StorageError: nothing was changed.
        """
        with self._lock:
            self._refresh()
            left = [row for row in self._rows if row.name != name]
            if len(left) < len(self._rows):
                self._write(left)

    def _refresh(self) -> None:
        try:
            status = self.path.stat()
            state = (status.st_mtime_ns, status.st_size)
            if state == self._read_at:
                return
            if status.st_size > _LARGEST:
                raise StorageError(f"{self.path.name} is larger than {_LARGEST >> 20} MB, which no file of styles is.")
            text = self.path.read_bytes().decode("utf-8-sig")
            self._rows, self._read_at = read_styles(text), state
        except (FileNotFoundError, NotADirectoryError):
            self._rows, self._read_at = [], None
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise StorageError(
                f"{self.path.name} cannot be read as a list of styles: save it as CSV in UTF-8, or remove it."
            ) from error

    def _write(self, rows: list[Style]) -> None:
        if self.path.exists():
            try:
                before = self.path.read_bytes()
            except OSError as error:
                raise storage_error(self.path, error) from error
            write_atomically(self.backup, before)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(dataclasses.astuple(row) for row in rows)
        # with a byte order mark, by which spreadsheets know UTF-8
        write_atomically(self.path, text.getvalue().encode("utf-8-sig"))
        self._read_at = None


class StyleFiles:
    """The user's styles, in one file or several. Any thread may ask.

    Args:
        names: of the files, at least one; a name with wildcards stands for all files that fit.
    """

    def __init__(self, names: Sequence[Path]):
        self._names = tuple(names)
        self._known: dict[Path, StyleFile] = {}

    def styles(self) -> list[Style]:
        """All styles, file by file; of equal names the last.

        Raises:
            StorageError: a file is there and cannot be read.
        """
        return list({style.name: style for file in self._files() for style in file.styles()}.values())

    def save(self, style: Style) -> None:
        """Add a style to the first file, or replace the one of that name where it stands.

        Raises:
            ParameterError: no name, or one that would be a comment.
            StorageError: nothing was changed.
        """
        files = self._files()
        holding = [file for file in files if any(known.name == style.name.strip() for known in file.styles())]
        (holding[-1] if holding else files[0]).save(style)

    def delete(self, name: str) -> tuple[str, ...]:
        """Remove a style from every file that holds it; returns the names of the copies that still have it.

        Raises:
            ParameterError: there is none of that name.
            StorageError: the file that is named was not changed.
        """
        self._find(name)
        holding = [file for file in self._files() if any(style.name == name for style in file.styles())]
        for file in holding:
            file.delete(name)
        return tuple(file.backup.name for file in holding)

    def applied(self, params: Txt2ImgParams) -> Txt2ImgParams:
        """The same parameters with their styles written into the prompts, those of the second pass too.

        Raises:
            ParameterError: there is no such style.
        """
        if not params.styles:
            return params
        chosen = self.named(params.styles)
        prompts = [style.prompt for style in chosen]
        negatives = [style.negative_prompt for style in chosen]
        return dataclasses.replace(
            params,
            styles=(),
            prompt=merged(params.prompt, prompts),
            negative_prompt=merged(params.negative_prompt, negatives),
            hr_prompt=merged(params.hr_prompt, prompts) if params.hr_prompt else "",
            hr_negative_prompt=merged(params.hr_negative_prompt, negatives) if params.hr_negative_prompt else "",
        )

    def named(self, names: Sequence[str]) -> tuple[Style, ...]:
        """The styles of these names.

        Raises:
            ParameterError: there is no such style.
        """
        return tuple(self._find(name) for name in names)

    def _find(self, name: str) -> Style:
        found = next((style for style in self.styles() if style.name == name), None)
        if found is None:
            raise ParameterError("styles", f"There is no style “{name:.60}”: take it out of the list.")
        return found

    def _files(self) -> list[StyleFile]:
        """The files, as they are now: those that fit wildcards may come and go."""
        paths: list[Path] = []
        for name in self._names:
            paths += map(Path, sorted(glob.glob(str(name)))) if glob.has_magic(name.name) else [name]
        if not paths:  # wildcards that nothing fits: the first style makes a file beside them
            paths = [self._names[0].with_name("styles.csv")]
        return [self._known.setdefault(path, StyleFile(path)) for path in dict.fromkeys(paths)]


def read_styles(text: str) -> list[Style]:
    """Every row of a file, comments too; the oldest files call the prompt `text`.

    Raises:
        csv.Error: no such table.
    """
    rows = csv.DictReader(io.StringIO(text, newline=""))
    return [
        Style(row.get("name") or "", row.get("prompt") or row.get("text") or "", row.get("negative_prompt") or "")
        for row in rows
    ]


def without(prompt: str, styles: Sequence[str]) -> str:
    """The prompt that `merged` made this one of; the text of a style that is not found in its place stays."""
    for style in reversed([style for style in styles if style.strip()]):
        before, place, after = style.partition(PLACE)
        if not place:
            before, after = "", style.strip()
            if prompt.strip() != after:
                after = f", {after}"
        if len(prompt) >= len(before) + len(after) and prompt.startswith(before) and prompt.endswith(after):
            prompt = prompt[len(before) : len(prompt) - len(after)]
    return prompt


def merged(prompt: str, styles: list[str]) -> str:
    """The prompt with the texts of styles, in their order."""
    for style in styles:
        if PLACE in style:
            prompt = style.replace(PLACE, prompt)
        else:
            prompt = ", ".join(filter(None, (prompt.strip(), style.strip()))) if style.strip() else prompt
    return prompt
