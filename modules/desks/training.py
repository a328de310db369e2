"""The desk at which embeddings are made: created, trained, measured, compared, put into use.

One run at a time. Training gives way to pictures; what is done about a run's snapshots need not wait for it.
"""

import threading
from collections.abc import Callable
from pathlib import Path

from modules.desks.embeddings import EmbeddingDesk
from modules.desks.models import ModelDesk
from modules.errors import JobBusy, ParameterError
from modules.events import Work
from modules.files import folder_of, safe_name
from modules.jobs import Job, JobQueue
from modules.paths import Paths
from modules.training import plan
from modules.training.best import best_snapshot
from modules.training.comparison import Comparison
from modules.training.run_folder import Run, open_run, require_free, unfinished_runs
from modules.training.uses import last_use
from modules.training.whereabouts import found_in
from modules.training_params import TrainParams


class TrainingDesk:
    """All that a front end does about training. Any thread may ask.

    Args:
        jobs: the App's queue.
        models: the model that is trained with.
        embeddings: told of new files.
        roots: where photos have to lie, if anywhere.
        file_format: of embeddings that are created or put into use, as the settings have it now.
    """

    def __init__(
        self,
        paths: Paths,
        jobs: JobQueue,
        models: ModelDesk,
        embeddings: EmbeddingDesk,
        roots: tuple[Path, ...] = (),
        file_format: Callable[[], str] = lambda: "safetensors",
    ):
        self._paths = paths
        self._jobs = jobs
        self._models = models
        self._embeddings = embeddings
        self._roots = roots
        self._file_format = file_format
        self._lock = threading.Lock()  # against two clicks at the same moment
        self._trained = ""  # name of the embedding of the run begun last
        self._last_jobs: dict[tuple[str, Path], Job] = {}

    # --- a run ------------------------------------------------------------------------------------------------------

    def create(
        self, name: str, init_text: str = "*", vectors_per_token: int = 1, overwrite: bool = False, owner: str = ""
    ) -> Job:
        """Queue the making of an embedding; its events are those of `training.create.create_embedding`.

        Raises:
            ParameterError: the name cannot be a file's.
            JobBusy: it would overwrite what is being trained, or the queue is full.
        """
        safe_name(name)
        if overwrite:
            self._require_untrained(name)
        work = self._create(name, init_text, vectors_per_token, overwrite)
        return self._jobs.submit(f"Creating {name}", work, owner, cuts_in=True, kind="create")

    def begin(self, params: TrainParams, owner: str = "") -> Job:
        """Queue a training run. It gives way to pictures; the change to another checkpoint waits until it is over.

        Raises:
            ParameterError: a field that cannot be used.
            JobBusy: another run is under way, here or of this embedding in another process, or the queue is full.
        """
        self._check(params)
        require_free(plan.log_root(params, self._paths), params.embedding)
        return self._submit_run(params.embedding, self._train(params), owner)

    def estimate(self, params: TrainParams, owner: str = "") -> Job:
        """Queue two trial steps, which tell what a run would cost; see `training.train.estimate`.

        Raises:
            ParameterError, JobBusy: as for `begin`.
        """
        self._check(params)
        return self._jobs.submit("Measuring two trial steps", self._estimate(params), owner, kind="estimate")

    def resume(self, folder: Path, owner: str = "", data_root: str = "", chosen: str = "") -> Job:
        """Queue the rest of a run that was stopped or killed.

        Args:
            folder: of the run, see `unfinished`.
            data_root: where its photos lie by now, if they were moved.
            chosen: where they may lie, if they are not found; see `whereabouts.found_in`.

        Raises:
            FileFormatError: it is no run.
            ParameterError: photos may not lie there.
            JobBusy: as for `begin`.
        """
        run = open_run(folder).folder
        if where := data_root or found_in(run, self._paths.data, chosen):
            folder_of(where, "data_root", self._roots)
        return self._submit_run(run.name, self._resume(folder, where), owner)

    def under_way(self) -> Job | None:
        """The run that is at work or waits, whoever started it."""
        return next((job for job in self._jobs.jobs() if job.kind == "train" and not job.is_over), None)

    def unfinished(self) -> list[Run]:
        """Runs that can be resumed, newest first. None while one is under way here."""
        return [] if self.under_way() else unfinished_runs(self._paths.textual_inversion)

    def keep_best(self, folder: Path, owner: str = "") -> Job:
        """Queue the end of an interrupted run: its best snapshot is put into use, see `training.best`.

        Raises:
            FileFormatError: it is no run.
            ParameterError: nothing trained was saved.
            JobBusy: its embedding is being trained, or the queue is full.
        """
        run = open_run(folder)
        self._require_untrained(run.folder.name, "wait until it has ended")
        step = best_snapshot(run.folder)
        if step is None:
            raise ParameterError("step", "No snapshot was saved yet, so there is nothing to keep: resume, or discard.")
        return self._jobs.submit(f"Keeping {run.folder.name}", self._keep(run, step), owner, cuts_in=True)

    def discard(self, folder: Path) -> None:
        """Give up an interrupted run: it cannot be resumed any more; its snapshots, samples and logs stay.

        Raises:
            FileFormatError: it is no run.
            StorageError: nothing could be written.
        """
        open_run(folder).folder.discard()

    # --- its snapshots ----------------------------------------------------------------------------------------------

    def measure(self, folder: Path, word: str = "", owner: str = "") -> Job:
        """Queue the measuring of a run's snapshots, see `training.measure`. It cuts in on training, and gives way too.

        Raises:
            FileFormatError: it is no run.
            JobBusy: the same is under way, or the queue is full.
        """
        return self._submit_between("Measuring", folder, self._measure(folder, word), owner)

    def compare(self, folder: Path, comparison: Comparison, owner: str = "") -> Job:
        """Queue the drawing of a sheet, see `training.compare`. It cuts in on training, and gives way to pictures.

        Raises, as `measure`.
        """
        return self._submit_between("Comparing", folder, self._compare(folder, comparison), owner)

    def last_job(self, kind: str, folder: Path) -> Job | None:
        """The newest job that is “Measuring” or “Comparing” the run of this folder, if there was one."""
        return self._last_jobs.get((kind, folder.resolve()))

    def use_snapshot(self, folder: Path, step: int, name: str, overwrite: bool = False, owner: str = "") -> Job:
        """Queue the installing of a snapshot in the folder of embeddings, see `training.use`.

        Raises:
            ParameterError: the name cannot be a file's.
            JobBusy: an embedding of that name is being trained, or the queue is full.
        """
        self._require_untrained(safe_name(name))
        return self._jobs.submit(f"Using {name}", self._use(folder, step, name, overwrite), owner, cuts_in=True)

    def undo_use(self, folder: Path, owner: str = "") -> Job:
        """Queue the taking back of what was put into use last from a run.

        Raises:
            FileFormatError: it is no run.
            JobBusy: what was put into use is being trained, or the queue is full.
        """
        if use := last_use(open_run(folder).folder):
            self._require_untrained(use.name, "wait until it has ended")
        return self._jobs.submit("Undoing a use", self._undo_use(folder), owner, cuts_in=True)

    # --- the worker's part ------------------------------------------------------------------------------------------

    def _create(self, name: str, init_text: str, vectors_per_token: int, overwrite: bool) -> Work:
        from modules.training.create import create_embedding

        yield from self._models.ready()
        if (yield from self._models.with_hash()):
            given = (name, init_text, vectors_per_token, overwrite, self._file_format())
            yield from create_embedding(*self._models.loaded(), self._paths.embeddings, *given)
            self._embeddings.report()

    def _train(self, params: TrainParams) -> Work:
        from modules.training.train import train

        yield from self._models.ready()
        if (yield from self._models.with_hash()):
            yield from train(*self._models.loaded(), params, self._paths)

    def _estimate(self, params: TrainParams) -> Work:
        from modules.training.train import estimate

        yield from self._models.ready()
        yield from estimate(*self._models.loaded(), params, self._paths)

    def _resume(self, folder: Path, data_root: str) -> Work:
        from modules.training.train import resume

        yield from self._models.ready()
        if (yield from self._models.with_hash()):
            yield from resume(*self._models.loaded(), folder, self._paths, data_root)

    def _measure(self, folder: Path, word: str) -> Work:
        from modules.training.measure import measure_snapshots

        yield from self._models.ready()
        yield from measure_snapshots(*self._models.loaded(), folder, self._paths, word)

    def _compare(self, folder: Path, comparison: Comparison) -> Work:
        from modules.training.compare import compare

        yield from self._models.ready()
        yield from compare(*self._models.loaded(), folder, comparison)

    def _use(self, folder: Path, step: int, name: str, overwrite: bool) -> Work:
        from modules.training.use import use_snapshot

        yield from self._models.ready()
        model, embeddings = self._models.loaded()
        given = (self._paths.embeddings, folder, step, name, model.tokenizer, overwrite, self._file_format())
        yield from use_snapshot(embeddings, *given)

    def _keep(self, run: Run, step: int) -> Work:
        yield from self._use(run.folder.path, step, run.folder.name, True)
        run.folder.discard()

    def _undo_use(self, folder: Path) -> Work:
        from modules.training.use import undo_use

        yield from self._models.ready()
        yield from undo_use(self._models.loaded()[1], folder)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _check(self, params: TrainParams) -> None:
        """Refuse what can be refused at the click; as long as there is no model, the embedding is not looked for."""
        plan.check(params, self._paths, self._roots)
        if self._models.conditioner:
            from modules.training.train import ready

            ready(*self._models.loaded(), params, self._paths)

    def _submit_run(self, name: str, work: Work, owner: str) -> Job:
        with self._lock:
            if self.under_way():
                raise JobBusy("A training run is under way: stop it first, or wait until it has ended.")
            self._trained = name
            return self._jobs.submit(f"Training {name}", work, owner, gives_way=True, kind="train")

    def _require_untrained(self, name: str, instead: str = "choose another name") -> None:
        """Refuse to change the file of an embedding that a run, here or in another process, will write at its end: what
        was put there would act for minutes only."""
        if self.under_way() and name.casefold() == self._trained.casefold():
            raise JobBusy(f"“{name}” is being trained: stop that run first, or {instead}.")
        require_free(self._paths.textual_inversion, name)

    def _submit_between(self, kind: str, folder: Path, work: Work, owner: str) -> Job:
        """Work of minutes: it need not wait for training, and pictures need not wait for it."""
        name = open_run(folder).folder.name
        with self._lock:
            last = self.last_job(kind, folder)
            if last and not last.is_over:
                raise JobBusy(f"{kind} {name} is under way: wait until it has ended, or interrupt it.")
            job = self._jobs.submit(f"{kind} {name}", work, owner, gives_way=True, cuts_in=True)
            self._last_jobs[kind, folder.resolve()] = job
            return job
