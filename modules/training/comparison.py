"""A sheet of pictures that are compared, as it lies in the run's folder. Knows no torch, so that pages can read along.

<run>/comparisons/<digest>/
    comparison.json       rows, columns, and what the pictures are drawn with
    <row>-<column>.png    the pictures that are drawn so far

The digest is that of what is asked for: asked for again, a sheet that was interrupted is gone on with.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from modules.errors import FileFormatError, ParameterError
from modules.files import write_atomically
from modules.params import Txt2ImgParams
from modules.samplers import names
from modules.training.run_folder import RunFolder

STRENGTHS = (0.5, 0.75, 1.0, 1.25, 1.5)
MOST_CELLS = 400
MOST_SEEDS = 8


@dataclass(frozen=True)
class Row:
    """One line of a sheet.

    Attributes:
        label: as the page shows it.
        step: of the snapshot that the embedding's name stands for; None: no snapshot is needed.
        text: what stands in the prompts in the place of the embedding's name.
    """

    label: str
    step: int | None
    text: str


@dataclass(frozen=True)
class Column:
    """One picture of each row: a prompt that names the embedding, and a seed."""

    prompt: str
    seed: int


@dataclass(frozen=True)
class Look:
    """How all pictures of a sheet are drawn; fields as in `Txt2ImgParams`."""

    negative_prompt: str = ""
    sampler: str = "DPM++ 2M"
    steps: int = 20
    width: int = 512
    height: int = 512
    cfg_scale: float = 7.0
    clip_skip: int = 1

    def params(self, prompt: str, seed: int) -> Txt2ImgParams:
        """What one picture is drawn from.

        Raises:
            ParameterError: a value outside its range.
        """
        return Txt2ImgParams(prompt=prompt, seed=seed, preview_every=0, **asdict(self))


@dataclass(frozen=True)
class Comparison:
    """A sheet: each row drawn for each column.

    Attributes:
        kind: "steps" or "strength".
        name: of the embedding.
    """

    kind: str
    name: str
    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    look: Look

    @property
    def digest(self) -> str:
        """12 digits that tell this sheet from others."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]

    @property
    def count(self) -> int:
        """How many pictures it has."""
        return len(self.rows) * len(self.columns)

    def prompt(self, row: Row, column: Column) -> str:
        """What one picture is drawn from: the prompt, with the row's text in the place of the name."""
        return substitute(column.prompt, self.name, row.text)


def compare_steps(
    name: str, steps: Sequence[int], prompts: Sequence[str], seeds: Sequence[int], look: Look, description: str = ""
) -> Comparison:
    """A sheet with a row for each step, and one for a full description in words above them, if one is given.

    Raises:
        ParameterError: no steps, prompts or seeds, too many pictures, or a prompt without the name.
    """
    rows = [Row("in words", None, description.strip())] if description.strip() else []
    rows += [Row(f"step {step}", step, name) for step in sorted(set(steps))]
    if not steps:
        raise ParameterError("steps", "No steps are chosen: choose at least one.")
    return _checked(Comparison("steps", name, tuple(rows), _columns(name, prompts, seeds), look))


def compare_strengths(
    name: str, step: int, prompts: Sequence[str], seeds: Sequence[int], look: Look, init_text: str
) -> Comparison:
    """A sheet of one snapshot: the words it began as, then the embedding with weights 0.5 … 1.5.

    Raises:
        ParameterError: as for `compare_steps`.
    """
    rows = [Row(init_text, None, init_text)]
    rows += [
        Row(name if weight == 1 else f"({name}:{weight:g})", step, name if weight == 1 else f"({name}:{weight:g})")
        for weight in STRENGTHS
    ]
    return _checked(Comparison("strength", name, tuple(rows), _columns(name, prompts, seeds), look))


def substitute(prompt: str, name: str, text: str) -> str:
    """The prompt with `text` wherever the name stands as a word of its own, whatever its case."""
    return _pattern(name).sub(lambda _: text, prompt)


def parse_seeds(text: str) -> tuple[int, ...]:
    """Seeds as a user types them: “1, 2, 3” or “1 2 3”.

    Raises:
        ParameterError: no seeds, too many, or something that is no whole number from 0 on.
    """
    parts = [part for part in re.split(r"[,;\s]+", text) if part]
    if not parts or len(parts) > MOST_SEEDS:
        raise ParameterError("seeds", f"Type one to {MOST_SEEDS} seeds, such as “1, 2, 3”.")
    for part in parts:
        if not (part.isascii() and part.isdecimal() and int(part) < 2**63):
            raise ParameterError("seeds", f"“{part:.40}” is no seed: type whole numbers from 0 on, such as “1, 2, 3”.")
    return tuple(dict.fromkeys(int(part) for part in parts))


@dataclass(frozen=True)
class Sheet:
    """A comparison and where its pictures lie.

    Attributes:
        path: its folder.
        begun: when its file was last written, seconds since 1970.
    """

    path: Path
    comparison: Comparison
    begun: float = 0.0

    def cell(self, row: int, column: int) -> Path:
        """Where that picture is, or will be."""
        return self.path / f"{row}-{column}.png"

    @property
    def done(self) -> int:
        """How many pictures are drawn."""
        rows, columns = range(len(self.comparison.rows)), range(len(self.comparison.columns))
        return sum(self.cell(row, column).exists() for row in rows for column in columns)


def make_sheet(folder: RunFolder, comparison: Comparison) -> Sheet:
    """The sheet of a comparison, new or begun before; it becomes the newest one of the run.

    Raises:
        StorageError: it cannot be written.
    """
    path = folder.path / "comparisons" / comparison.digest
    write_atomically(path / "comparison.json", json.dumps(asdict(comparison), indent=1))
    return Sheet(path, comparison)


def sheets(folder: RunFolder) -> list[Sheet]:
    """All sheets of a run, newest first; those that cannot be read are left out."""
    found = []
    for path in (folder.path / "comparisons").glob("*/comparison.json"):
        try:
            found.append(Sheet(path.parent, _read(path), path.stat().st_mtime))
        except (FileFormatError, OSError):
            continue
    return sorted(found, key=lambda sheet: -sheet.begun)


def discard_sheet(sheet: Sheet) -> None:
    """Remove a sheet with its pictures."""
    shutil.rmtree(sheet.path, ignore_errors=True)


def _read(path: Path) -> Comparison:
    """The comparison in a file.

    Raises:
        FileFormatError: it is none.
    """
    try:
        values: dict[str, Any] = json.loads(path.read_bytes())
        return Comparison(
            str(values["kind"]),
            str(values["name"]),
            tuple(Row(**row) for row in values["rows"]),
            tuple(Column(**column) for column in values["columns"]),
            Look(**values["look"]),
        )
    except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise FileFormatError(f"“{path.name}” is no comparison.") from error


def _columns(name: str, prompts: Sequence[str], seeds: Sequence[int]) -> tuple[Column, ...]:
    texts = [prompt.strip() for prompt in prompts if prompt.strip()]
    if not texts:
        raise ParameterError("prompts", "There is no prompt: write one on each line.")
    for text in texts:
        if not _pattern(name).search(text):
            raise ParameterError("prompts", f"The prompt “{text:.60}” does not name {name}: write that word into it.")
    return tuple(Column(text, seed) for text in texts for seed in seeds)


def _checked(comparison: Comparison) -> Comparison:
    if not comparison.columns:
        raise ParameterError("seeds", "There is no seed: type at least one.")
    if comparison.count > MOST_CELLS:
        raise ParameterError(
            "steps", f"That would be {comparison.count} pictures, at most {MOST_CELLS} are drawn: choose fewer steps."
        )
    comparison.look.params("", 0)
    names.find(comparison.look.sampler, "Automatic")
    return comparison


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])", re.IGNORECASE)
