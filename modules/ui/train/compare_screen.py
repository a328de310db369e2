"""What steps ④ and ⑤ show of one run, gathered from its folder and from the App's jobs. Knows no HTML."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from modules.app import App
from modules.errors import ParameterError, WebuiError
from modules.events import Failed, Noticed, Progressed, Status
from modules.jobs import Job, JobState
from modules.training.comparison import Look, Sheet, sheets
from modules.training.measurements import Measurement, MeasurementFile
from modules.training.recommend import Recommendation, recommend
from modules.training.run_folder import Run, find_runs
from modules.training_params import TrainParams, from_mapping
from modules.ui.train.choice import Choice

FEW_STEPS = 6  # of a sheet that nobody has chosen steps for


@dataclass(frozen=True)
class Snapshot:
    """One snapshot; None: not measured yet, or no sample was drawn."""

    step: int
    sample: Path | None
    measured: Measurement | None


@dataclass(frozen=True)
class Doing:
    """A job about this run.

    Attributes:
        text: what it does now, or how it ended; empty after a good end.
        progress: 0 … 1.
        is_running: whether it can be interrupted.
        failed: whether `text` is an error.
        notices: sentences that stop nothing.
    """

    text: str = ""
    progress: float = 0.0
    is_running: bool = False
    failed: bool = False
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cells:
    """A sheet and which of its pictures are there."""

    sheet: Sheet
    drawn: frozenset[tuple[int, int]]


@dataclass(frozen=True)
class RunScreen:
    """One run.

    Attributes:
        key: its folder below the data folder, as a choice carries it.
        word: what the embedding began as.
        look: how pictures of it are drawn.
    """

    key: str
    run: Run
    word: str
    look: Look
    snapshots: tuple[Snapshot, ...]
    recommended: Recommendation | None
    is_held_out: bool
    measuring: Doing
    comparing: Doing
    steps_sheet: Cells | None
    strength_sheet: Cells | None

    @property
    def name(self) -> str:
        return self.run.folder.name

    @property
    def missing(self) -> int:
        """How many snapshots are not measured."""
        return sum(snapshot.measured is None for snapshot in self.snapshots)

    def chosen(self, step: str) -> int | None:
        """The step that somebody has picked, if there is such a snapshot, or the recommended or last one."""
        steps = [snapshot.step for snapshot in self.snapshots]
        if step.isascii() and step.isdecimal() and int(step) in steps:
            return int(step)
        if self.recommended:
            return self.recommended.step
        return steps[-1] if steps else None

    def some_steps(self) -> list[int]:
        """Steps for a first look: the first, the last, the recommended one, and some between."""
        steps = [snapshot.step for snapshot in self.snapshots]
        if len(steps) <= FEW_STEPS:
            return steps
        last = len(steps) - 1
        some = {steps[round(place * last / (FEW_STEPS - 1))] for place in range(FEW_STEPS)}
        return sorted(some | ({self.recommended.step} if self.recommended else set()))


def run_key(app: App, run: Run) -> str:
    """The run's folder below the data folder."""
    path = run.folder.path
    return path.relative_to(app.paths.data).as_posix() if path.is_relative_to(app.paths.data) else str(path)


def runs(app: App) -> dict[str, Run]:
    """All runs with snapshots by their keys, newest first."""
    return {run_key(app, run): run for run in find_runs(app.paths.textual_inversion) if run.folder.snapshots()}


def pick(found: dict[str, Run], choice: Choice) -> str:
    """The key of the run that is looked at: the chosen one, else the newest of the embedding, else the newest."""
    if choice.run in found:
        return choice.run
    of_embedding = (key for key, run in found.items() if run.folder.name == choice.embedding)
    return next(of_embedding, next(iter(found), ""))


def find(app: App, choice: Choice) -> RunScreen | None:
    """What is to be seen of the run that is looked at; None if there is none."""
    found = runs(app)
    key = pick(found, choice)
    return gather(app, key, found[key]) if key else None


def gather(app: App, key: str, run: Run) -> RunScreen:
    """Read everything about one run."""
    folder = run.folder
    try:
        about = folder.about()
        params = from_mapping(about.get("params", {}))
    except (WebuiError, TypeError):
        about, params = {}, TrainParams()
    file = MeasurementFile(folder)
    measured, conditions = file.read(), file.conditions()
    samples = folder.samples()
    snapshots = tuple(Snapshot(step, samples.get(step), measured.get(step)) for step in folder.snapshots())
    is_held_out = conditions.is_held_out if conditions else bool(about.get("held_out"))
    drawn = sheets(folder)
    return RunScreen(
        key,
        run,
        conditions.word if conditions else str(about.get("init_text") or "").strip(" *"),
        look_of(params),
        snapshots,
        _recommended(tuple(measured.values()), is_held_out) if measured else None,
        is_held_out,
        doing(app.training.last_job("Measuring", folder.path)),
        doing(app.training.last_job("Comparing", folder.path)),
        next((_cells(sheet) for sheet in drawn if sheet.comparison.kind == "steps"), None),
        next((_cells(sheet) for sheet in drawn if sheet.comparison.kind == "strength"), None),
    )


def look_of(params: TrainParams) -> Look:
    """Pictures as the samples of the run were drawn."""
    return Look(
        params.preview_negative_prompt,
        params.preview_sampler,
        params.preview_steps,
        params.preview_width or params.width,
        params.preview_height or params.height,
        params.preview_cfg_scale,
        params.clip_skip,
    )


def doing(job: Job | None) -> Doing:
    """A job in a few words."""
    if job is None:
        return Doing()
    status, failed, done, notices = "", "", None, []
    state = job.state
    for event in job.events_since()[0]:
        match event:
            case Status():
                status = event.text
            case Progressed():
                done = event
            case Failed():
                failed = event.text
            case Noticed():
                notices.append(event.text)
    told = tuple(dict.fromkeys(notices))
    if state is JobState.WAITING:
        return Doing("waiting for its turn", is_running=True)
    if state is JobState.RUNNING:
        count = f"{done.done} of {done.total} done · " if done else ""
        return Doing(count + (status or "starting"), job.progress, True, notices=told)
    if state is JobState.FAILED:
        return Doing(failed, failed=True, notices=told)
    if state in (JobState.INTERRUPTED, JobState.CANCELLED):
        return Doing("Interrupted: what is done is kept, the button goes on.", notices=told)
    return Doing(notices=told)


def wanted(app: App, key: str) -> RunScreen:
    """The run of a key that a page sent.

    Raises:
        ParameterError: there is no such run.
    """
    found = runs(app)
    if key not in found:
        raise ParameterError("run", "This run is not there any more: choose another one.")
    return gather(app, key, found[key])


@lru_cache(maxsize=32)
def _recommended(measured: tuple[Measurement, ...], is_held_out: bool) -> Recommendation | None:
    """Of one state of the measurements, because a page asks once a second."""
    return recommend({one.step: one for one in measured}, is_held_out)


def _cells(sheet: Sheet) -> Cells:
    rows, columns = len(sheet.comparison.rows), len(sheet.comparison.columns)
    places = [(row, column) for row in range(rows) for column in range(columns)]
    return Cells(sheet, frozenset(place for place in places if sheet.cell(*place).exists()))
