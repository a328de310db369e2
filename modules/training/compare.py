"""Draw a sheet of pictures that are compared: the same prompts and seeds with each snapshot, by txt2img itself."""

import dataclasses
from collections.abc import Generator
from pathlib import Path

from modules.embeddings.database import EmbeddingDatabase
from modules.embeddings.embedding import Embedding
from modules.embeddings.reading import read_embedding
from modules.errors import ParameterError
from modules.events import CellDrawn, Event, ImageDone, Progressed, Request, Work
from modules.model.model import SDModel
from modules.training.comparison import Comparison, make_sheet
from modules.training.preview import draw_with
from modules.training.run_folder import RunFolder, open_run
from modules.training.state import Origin


def compare(model: SDModel, embeddings: EmbeddingDatabase, path: Path, comparison: Comparison) -> Work:
    """Draw what is not drawn yet of a sheet. Row by row, so that the first rows can be looked at meanwhile.

    Args:
        model: the one that the run belongs to.
        embeddings: the user's, for what else the prompts name.
        path: the run's folder.
        comparison: what to draw.

    Yields:
        `Status` of the pictures, a `CellDrawn` and a `Progressed` after each one. INTERRUPT leaves
        what is there; the picture that was under way is drawn anew next time.

    Raises:
        FileFormatError: no run.
        EmbeddingError: a snapshot cannot be read.
        ParameterError: the run belongs to another checkpoint, has no such snapshot, or there is no such sampler.
        StorageError: a picture could not be written.
    """
    folder = open_run(path).folder
    snapshots = {row.step: _snapshot(folder, row.step) for row in comparison.rows if row.step is not None}
    for snapshot in snapshots.values():
        Origin(snapshot.checkpoint_hash, snapshot.checkpoint_name).check(model.checkpoint)
    sheet = make_sheet(folder, comparison)
    for number in range(comparison.count):
        place, position = divmod(number, len(comparison.columns))
        row, column = comparison.rows[place], comparison.columns[position]
        cell = sheet.cell(place, position)
        asked: list[Request | None] = []
        if not cell.exists():
            params = comparison.look.params(comparison.prompt(row, column), column.seed)
            snapshot = None if row.step is None else snapshots[row.step]
            picture = yield from _noting(draw_with(model, embeddings, snapshot, params, cell), asked)
            if picture is None or picture.incomplete:
                if picture:
                    picture.path.unlink(missing_ok=True)
                return
            asked.append((yield CellDrawn(place, position, cell)))
        asked.append((yield Progressed(number + 1, comparison.count, f"{row.label}, seed {column.seed}")))
        if Request.INTERRUPT in asked:
            return


def _noting(
    work: Generator[Event, Request | None, ImageDone | None], asked: list[Request | None]
) -> Generator[Event, Request | None, ImageDone | None]:
    """Hand on events and requests, and note these: one that comes with the last event of a picture counts as well."""
    request = None
    try:
        while True:
            request = yield work.send(request)
            asked.append(request)
    except StopIteration as end:
        return end.value
    finally:
        work.close()


def _snapshot(folder: RunFolder, step: int) -> Embedding:
    path = folder.snapshots().get(step)
    embedding = read_embedding(path) if path else None
    if embedding is None:
        raise ParameterError("steps", f"This run has no snapshot of step {step}: choose another one.")
    return dataclasses.replace(embedding, name=folder.name)
