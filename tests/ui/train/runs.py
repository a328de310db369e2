"""A finished run without a model, and an App that measures, compares and uses its snapshots without one."""

import hashlib
import time
from pathlib import Path
from typing import Any

from PIL import Image

from modules.desks.training import TrainingDesk
from modules.events import CellDrawn, EmbeddingSaved, Progressed, Request, SnapshotMeasured, Status, Work
from modules.images import save_png
from modules.paths import Paths
from modules.training.backups import backup_of
from modules.training.comparison import Comparison, make_sheet
from modules.training.measurements import Conditions, Measurement, MeasurementFile
from modules.training.run_folder import RunFolder, open_run
from modules.training.uses import Use, last_use, note_use, taken
from tests.ui.stand_in import StandIn

NAME = "realbenny-t2"
CONDITIONS = Conditions("tiny", "man", ("a.png", "b.png"), True)
LOSSES = (0.118, 0.101, 0.094, 0.0871, 0.0839, 0.0833, 0.0852, 0.0881)
LIKENESSES = (0.0, 0.35, 0.52, 0.66, 0.74, 0.78, 0.76, 0.71)
OBEDIENCES = (1.0, 0.97, 0.95, 0.92, 0.86, 0.71, 0.42, 0.2)
STEPS = tuple(range(0, 800, 100))


def make_run(paths: Paths, name: str = NAME, started: float = 1.0, samples: bool = True) -> RunFolder:
    """A run of eight snapshots; its files hold nothing."""
    folder = RunFolder(paths.textual_inversion / "2026-01-02" / name, name)
    for step in STEPS:
        path = folder.snapshot(step)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d" % step)
        if samples:
            save_png(picture(step), folder.sample(step), "a sample")
    folder.describe(
        {"ending": "finished", "step": 700, "steps": 700, "checkpoint": "tiny", "started": started}
        | {"held_out": ["a.png", "b.png"], "init_text": "man"}
        | {"params": {"width": 128, "height": 128, "preview_steps": 2}}
    )
    return folder


def picture(step: int, column: int = 0) -> Image.Image:
    """A face of sorts, which becomes another one with the steps."""
    image = Image.new("RGB", (128, 128), (40 + step // 4, 120, 200 - step // 5))
    image.paste((230, 190 - step // 10, 150), (36, 24 + column % 3 * 4, 92, 100))
    image.paste((30, 30, 30), (48, 50, 56, 58))
    image.paste((30, 30, 30), (72, 50, 80, 58))
    return image


def measurement(place: int) -> Measurement:
    """Of one snapshot, by its place among the steps."""
    loss, obedience = LOSSES[place], OBEDIENCES[place]
    each = tuple(loss + offset / 1000 for offset in (-3, -1, 1, 3))
    obeyed = tuple(obedience + offset / 100 for offset in (-1, 1))
    liked = tuple(LIKENESSES[place] + offset / 100 for offset in (-2, 2))
    return Measurement(STEPS[place], "", loss, each, obedience, obeyed, 1.0, LIKENESSES[place], liked, 12)


class WithRuns(StandIn):
    """A stand-in whose pace holds for measuring and drawing too."""

    def __init__(self, *given: Any, **more: Any):
        super().__init__(*given, **more)
        self.training = _Training(self)


class _Training(TrainingDesk):
    def __init__(self, app: WithRuns):
        super().__init__(app.paths, app.jobs, app.models, app.embeddings)
        self._app = app

    def _measure(self, folder: Path, word: str) -> Work:
        run = open_run(folder).folder
        known = list(MeasurementFile(run).read().values())
        for place in range(len(known), len(STEPS)):
            yield Status("measuring obedience, noise 1 of 4")
            self._app.wait_for_a_step()
            known.append(measurement(place))
            MeasurementFile(run).write(CONDITIONS, known)
            asked = [(yield SnapshotMeasured(STEPS[place], known[-1].held_out, known[-1].obedience))]
            asked.append((yield Progressed(place + 1, len(STEPS), "")))
            if Request.INTERRUPT in asked:
                return

    def _compare(self, folder: Path, comparison: Comparison) -> Work:
        sheet = make_sheet(open_run(folder).folder, comparison)
        for number in range(comparison.count):
            row, column = divmod(number, len(comparison.columns))
            if not sheet.cell(row, column).exists():
                yield Status("drawing a sample")
                self._app.wait_for_a_step()
                save_png(picture(comparison.rows[row].step or 0, column), sheet.cell(row, column), "a cell")
                yield CellDrawn(row, column, sheet.cell(row, column))
            if (yield Progressed(number + 1, comparison.count, "")) is Request.INTERRUPT:
                return

    def _use(self, folder: Path, step: int, name: str, overwrite: bool) -> Work:
        run, path = open_run(folder).folder, self._paths.embeddings / f"{name}.safetensors"
        replaced = {one: backup_of(one) for one in taken(self._paths.embeddings, name)}
        for before, now in replaced.items():
            before.rename(now)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(run.snapshot(step).read_bytes())
        note_use(run, Use(name, step, path, hashlib.sha256(path.read_bytes()).hexdigest(), replaced))
        yield EmbeddingSaved(path, f"{name} is now the snapshot of step {step}.")

    def _undo_use(self, folder: Path) -> Work:
        run = open_run(folder).folder
        use = last_use(run)
        assert use
        use.path.unlink()
        for before, now in use.replaced.items():
            now.rename(before)
        note_use(run, None)
        yield EmbeddingSaved(use.path, f"{use.name} is again what it was before.")


def wait_until(reached, patience: float = 60.0) -> None:
    """Look again and again until something holds; the guard is ten times what a busy machine needed."""
    deadline = time.monotonic() + patience
    while not reached():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)
