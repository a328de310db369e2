"""The workbench of scripts: what they ask of the App. It checks each run beforehand, and draws it with the model, the
VAE and the snapshot that it names."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from modules.desks.drawing import DAYS_FOLDERS, DrawingDesk, Place
from modules.desks.models import ModelDesk
from modules.errors import ParameterError
from modules.events import Status, Work
from modules.generation.scripts.cells import Cell
from modules.settings import Settings
from modules.training.run_folder import Run, find_runs
from modules.training.uses import last_use

if TYPE_CHECKING:  # these bring torch
    from modules.generation.outputs import OutputFolder


class ScriptBench:
    """See `modules.generation.scripts.cells.Workbench`.

    Args:
        desk: draws.
        models: puts other models into use.
        runs: folder of training runs.
        place: where everything goes.
        settings: for these runs alone; None: those of the moment.
    """

    def __init__(
        self,
        desk: DrawingDesk,
        models: ModelDesk,
        runs: Path,
        place: Place = DAYS_FOLDERS,
        settings: Settings | None = None,
    ):
        self._desk = desk
        self._models = models
        self._runs = runs
        self._place = place
        self._settings = settings

    def check(self, cell: Cell) -> Cell:
        """The run with its styles in the prompts.

        Raises:
            ParameterError: something that it names does not exist.
        """
        if cell.checkpoint:
            self._models.find(cell.checkpoint)
        if cell.embedding_step is not None:
            self._snapshot(cell)
        return replace(cell, params=self._desk.checked(cell.params, self._settings))

    def snapshot_steps(self, prompt: str) -> Sequence[int]:
        """The steps of the snapshots of the newest run whose embedding the prompt names; none: empty."""
        _, run = self._named_run(prompt)
        return list(run.folder.snapshots()) if run else []

    def draw(self, cell: Cell, outputs: "OutputFolder") -> Work:
        """One run, with another model or a snapshot if it says so."""
        if cell.checkpoint:
            yield from self._models.use(self._models.find(cell.checkpoint))
        embedding = None
        if cell.embedding_step is not None:
            from modules.embeddings.reading import read_embedding

            name, path = self._snapshot(cell)
            yield Status(f"reading {path.name}")
            embedding = read_embedding(path)
            assert embedding is not None, "a snapshot is no picture"
            embedding = replace(embedding, name=name)
        yield from self._desk.draw(cell.params, outputs, embedding=embedding, settings=self._settings)

    def outputs(self) -> "OutputFolder":
        """Where pictures and sheets go."""
        return self._desk.script_outputs(self._place, self._settings)

    def _snapshot(self, cell: Cell) -> tuple[str, Path]:
        """Name and file of the embedding that a run is to be drawn with."""
        name, run = self._named_run(f"{cell.params.prompt} {cell.params.negative_prompt}")
        path = run.folder.snapshots().get(cell.embedding_step or 0) if run else None
        if run is None or path is None:
            raise ParameterError(
                "x_values",
                f"The prompt “{cell.params.prompt:.60}” names no embedding with a snapshot of step "
                f"{cell.embedding_step}.",
            )
        return name, path

    def _named_run(self, prompt: str) -> tuple[str, Run | None]:
        """The newest run with snapshots, and what the prompt calls it; of several names in the prompt the longest."""
        runs = [run for run in find_runs(self._runs) if run.folder.snapshots()]
        named = [(name, run) for run in runs for name in _names(run) if _stands_in(name, prompt)]
        return max(named, key=lambda one: len(one[0]), default=("", None))  # the first of equals is the newest


def _names(run: Run) -> list[str]:
    """What its embedding answers to: the name that was trained, and the one under which a snapshot is in use."""
    use = last_use(run.folder)
    return [run.folder.name, *([use.name] if use and use.name != run.folder.name and use.is_in_force else [])]


def _stands_in(name: str, prompt: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", prompt, re.IGNORECASE) is not None
