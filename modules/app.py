"""The App: one per server, made in `webui.py`, seen by front ends only.

It owns the job queue, the settings, the loaded model and the folder of embeddings. Only the worker thread touches
torch; a front end reads `model_state` and asks for jobs. Importing this module loads neither torch nor gradio, and
`start()` returns at once.
"""

import dataclasses
import gc
import logging
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modules import images
from modules.drawing_desk import DrawingDesk
from modules.errors import JobBusy, ModelMissing, ParameterError, StorageError, WebuiError
from modules.events import Noticed, Progressed, Request, Status, Work
from modules.files import safe_name, sweep_temporaries
from modules.flags import Flags
from modules.generation.scripts.script import Plan, make_plan
from modules.jobs import Job, JobQueue
from modules.library import Library
from modules.logs import close_log, open_log
from modules.model.checkpoint import Checkpoint, choose, ensure_hash, find_checkpoints, judge
from modules.model.hashes import HashCache
from modules.model_state import ModelState, ModelStatus
from modules.params import HIRES_FIELDS, Txt2ImgParams
from modules.paths import Paths
from modules.photo_desk import PhotoDesk
from modules.preprocess.run import Choice, preprocess, survey
from modules.preprocess_params import PreprocessParams
from modules.prompts.matching import EmbeddingIndex
from modules.prompts.tokenizer import ClipTokenizer, clip_tokenizer
from modules.remake.here import Here
from modules.script_bench import ScriptBench
from modules.script_params import ScriptParams
from modules.settings import Imported, Settings, import_settings, keep_copy, load_settings, save_settings
from modules.training import plan
from modules.training.best import best_snapshot
from modules.training.comparison import Comparison
from modules.training.run_folder import Run, open_run, unfinished_runs
from modules.training_params import TrainParams

if TYPE_CHECKING:  # these bring torch
    from PIL import Image

    from modules.embeddings.database import EmbeddingDatabase, Entry
    from modules.embeddings.embedding import Embedding
    from modules.model.conditioning import Conditioner
    from modules.model.model import SDModel

_log = logging.getLogger(__name__)


class App:
    """Everything a front end may ask for.

    Args:
        settings: None reads them from the data folder.
        say: gets the lines for the console.

    Attributes:
        paths, flags: as the server was started.
        settings: what the user chose; replaced by `change_settings`.
        notices: sentences about the start, for the page: a damaged settings file, a value without meaning.
        jobs: the queue of all long work.
        library: pictures that were made, and how they are made again.
        drawing: styles, VAEs and upscalers.
        photos: where photos are made ready for training.
        model_state: see `ModelState`.

    Raises:
        SettingsError: the settings file is there and cannot be opened.
    """

    def __init__(
        self, paths: Paths, settings: Settings | None, flags: Flags, say: Callable[[str], object] = lambda line: None
    ):
        self.paths = paths
        self.flags = flags
        self.notices: list[str] = []
        if settings is None:
            settings, self.notices = load_settings(paths.settings_file)
        self.settings = settings
        self.library = Library(paths, self._here)
        self.jobs = JobQueue(free_memory=_free_memory, on_event=self.library.note)
        self.model_state = ModelState(ModelStatus.LOADING, "The model is loaded in a moment.")
        self._settings_lock = threading.Lock()
        self._last_jobs: dict[tuple[str, Path], Job] = {}
        self._lock = threading.Lock()  # between the worker and the thread that hashes
        self._hashes = HashCache(paths.hash_cache)
        self._put_away: Checkpoint | None = None  # the one to load again when it is needed
        self._embeddings: EmbeddingDatabase | None = None
        self._say, self._said = say, ""
        self._conditioner: Conditioner | None = None
        self._log_handler: logging.Handler | None = None
        self._photo_roots = () if flags.is_private else (paths.data,)  # anywhere, unless other machines can ask
        self.drawing = DrawingDesk(paths, lambda: self.settings, self._hashes)
        self.photos = PhotoDesk(paths, self.jobs, self._photo_roots)

    # --- life -------------------------------------------------------------------------------------------------------

    def start(self) -> Job:
        """Open the log and let the worker load torch and the chosen model as its first job. Returns at once."""
        self._open_log()
        return self.jobs.submit("Loading the model", self._first_work())

    def stop(self, timeout: float = 10.0) -> bool:
        """End all jobs, keeping what can be kept. False: the worker was still busy after `timeout` seconds."""
        stopped = self.jobs.stop(timeout) & self.photos.stop(timeout)
        self.library.history.stop()
        if self._log_handler:
            close_log(self._log_handler)
            self._log_handler = None
        return stopped

    def change_settings(self, other: Mapping[str, Any] | None = None, **values: Any) -> Settings:
        """Replace some settings, by field name, and write them down.

        Args:
            other: keys to keep that mean nothing here, besides those there are.

        Raises:
            ParameterError: no such setting, or a value outside its range.
            StorageError: the file could not be written; the settings are as before.
        """
        with self._settings_lock:  # or of two changes at once the second would forget the first
            settings = self.settings.changed(**values)
            if other:
                settings = dataclasses.replace(settings, other={**settings.other, **other})
            save_settings(settings, self.paths.settings_file)
            self.settings = settings
        return settings

    def import_settings(self, content: bytes, name: str) -> Imported:
        """Take over the settings of another `config.json`, A1111's or ours; the file of before is kept beside it.

        Args:
            name: of the file, for sentences.

        Raises:
            SettingsError: it is no settings file.
            StorageError: nothing could be written; the settings are as before.
        """
        with self._settings_lock:
            imported = import_settings(self.settings, content, name)
            keep_copy(self.paths.settings_file)
            save_settings(imported.settings, self.paths.settings_file)
            self.settings = imported.settings
        return imported

    # --- work -------------------------------------------------------------------------------------------------------

    def generate(
        self,
        params: Txt2ImgParams,
        owner: str = "",
        title: str = "",
        folder: Path | None = None,
        settings: Settings | None = None,
        checkpoint: str = "",
        checkpoint_stays: bool = False,
    ) -> Job:
        """Queue a txt2img run with the model that is in use when its turn comes.

        Args:
            owner: browser session that gets the pictures.
            title: shown to everybody in the queue, so by default without the prompt.
            folder: where the files go, instead of the day's folders in `outputs/`.
            settings: for this run alone; None: those of the moment when its turn comes.
            checkpoint: draw with another one, by title, name or hash.
            checkpoint_stays: leave it in use afterwards, and write the choice down.

        Raises:
            ParameterError: see `DrawingDesk.checked`; or no such checkpoint.
            QueueFull: too many jobs wait.
        """
        params = self.drawing.checked(params, settings)
        title = title or f"{params.batch_count * params.batch_size} × {params.width}×{params.height}"
        work = self._txt2img(params, folder, settings)
        if checkpoint:
            work = self._draw_with(self._find_checkpoint(checkpoint), work, checkpoint_stays)
        return self.jobs.submit(title, work, owner, cuts_in=not checkpoint, kind="txt2img")  # training needs its model

    def enlarge(self, picture: Path, form: Txt2ImgParams, owner: str = "") -> Job:
        """Queue the second pass of a hires fix over a picture that was made here.

        Prompt, seed, sampler and everything else are as the picture says; the hires fix is as the form says.

        Args:
            picture: its parameters are read from the file.

        Raises:
            ImageError: it cannot be opened.
            ParameterError: it has no parameters, or no size that can be enlarged.
            QueueFull: too many jobs wait.
        """
        made = self.library.remake(images.read_infotext(picture))
        if not made.has_parameters:
            raise ParameterError("enable_hr", f"“{picture.name}” carries no parameters: it cannot be drawn on.")
        opened = images.open_image(picture)
        new_form = {"old_hires_size": False, "firstphase_width": 0, "firstphase_height": 0}
        second = {name: getattr(form, name) for name in HIRES_FIELDS} | new_form
        size = {"width": opened.width, "height": opened.height}
        wanted = {**made.values, **second, **size, "enable_hr": True, "preview_every": form.preview_every}
        params = self.drawing.checked(Txt2ImgParams(**wanted))
        title = f"Hires. fix of {opened.width}×{opened.height}"
        return self.jobs.submit(title, self._enlarge(params, opened), owner, cuts_in=True, kind="txt2img")

    def run_script(
        self,
        params: Txt2ImgParams,
        script: ScriptParams,
        owner: str = "",
        folder: Path | None = None,
        settings: Settings | None = None,
        checkpoint: str = "",
        checkpoint_stays: bool = False,
    ) -> Job:
        """Queue many runs made from one form, and the sheet of their pictures.

        Args:
            script: which script; not “None”.
            folder, settings, checkpoint, checkpoint_stays: as in `generate`.

        Raises:
            ParameterError: a value of the script or the form that cannot be used.
            QueueFull: too many jobs wait.
        """
        bench = self._bench(folder, settings)
        plan = make_plan(params, script, bench)
        title = f"{script.script}: {plan.pictures} × {params.width}×{params.height}"
        work = self._script(plan, bench)
        if checkpoint:
            work = self._draw_with(self._find_checkpoint(checkpoint), work, checkpoint_stays)
        cuts_in = not checkpoint and not plan.needs_other_checkpoints
        return self.jobs.submit(title, work, owner, cuts_in=cuts_in, kind="txt2img")

    def create_embedding(
        self, name: str, init_text: str = "*", vectors_per_token: int = 1, overwrite: bool = False, owner: str = ""
    ) -> Job:
        """Queue the making of an embedding; its events are those of `training.create.create_embedding`.

        Raises:
            ParameterError: the name cannot be a file's.
            JobBusy: the queue is full.
        """
        safe_name(name)
        work = self._create(name, init_text, vectors_per_token, overwrite)
        return self.jobs.submit(f"Creating {name}", work, owner, cuts_in=True, kind="create")

    def survey(self, params: PreprocessParams, owner: str = "") -> Job:
        """Queue a look at each photo of a folder, see `preprocess.run.survey`."""
        work = survey(params, self.paths.data / "models", self._photo_roots)
        return self.jobs.submit("Looking at photos", work, owner)

    def preprocess(self, params: PreprocessParams, choices: Mapping[str, Choice] | None = None, owner: str = "") -> Job:
        """Queue the preparing of photos, see `preprocess.run.preprocess`."""
        work = preprocess(params, self.paths.data / "models", choices, self._photo_roots)
        return self.jobs.submit("Preparing photos", work, owner)

    def train(self, params: TrainParams, owner: str = "") -> Job:
        """Queue a training run. It gives way to pictures; the change to another checkpoint waits until it is over.

        Raises:
            ParameterError: a field that cannot be used.
            JobBusy: another run is under way, or the queue is full.
        """
        self._check_training(params)
        return self._submit_training(f"Training {params.embedding}", self._train(params), owner)

    def estimate_training(self, params: TrainParams, owner: str = "") -> Job:
        """Queue two trial steps, which tell what a run would cost; see `training.train.estimate`.

        Raises:
            ParameterError, JobBusy: as for `train`.
        """
        self._check_training(params)
        return self.jobs.submit("Measuring two trial steps", self._estimate(params), owner, kind="estimate")

    def resume_training(self, folder: Path, owner: str = "", data_root: str = "") -> Job:
        """Queue the rest of a run that was stopped or killed.

        Args:
            folder: of the run, see `unfinished_runs`.
            data_root: where its photos lie by now, if they were moved.

        Raises:
            FileFormatError: it is no run.
            JobBusy: as for `train`.
        """
        name = open_run(folder).folder.name
        return self._submit_training(f"Training {name}", self._resume(folder, data_root), owner)

    def unfinished_runs(self) -> list[Run]:
        """Runs that can be resumed, newest first. None while one is under way here."""
        return [] if self.training() else unfinished_runs(self.paths.textual_inversion)

    def training(self) -> Job | None:
        """The training run that is under way or waits, whoever started it."""
        return next((job for job in self.jobs.jobs() if job.kind == "train" and not job.is_over), None)

    def keep_best(self, folder: Path, owner: str = "") -> Job:
        """Queue the end of an interrupted run: its best snapshot is put into use, see `training.best`.

        Raises:
            FileFormatError: it is no run.
            ParameterError: nothing trained was saved.
            JobBusy: the queue is full.
        """
        run = open_run(folder)
        step = best_snapshot(run.folder)
        if step is None:
            raise ParameterError("step", "No snapshot was saved yet, so there is nothing to keep: resume, or discard.")
        return self.jobs.submit(f"Keeping {run.folder.name}", self._keep(run, step), owner, cuts_in=True)

    def discard_run(self, folder: Path) -> None:
        """Give up an interrupted run: it cannot be resumed any more; its snapshots, samples and logs stay.

        Raises:
            FileFormatError: it is no run.
            StorageError: nothing could be written.
        """
        open_run(folder).folder.discard()

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

    def use_snapshot(self, folder: Path, step: int, name: str, overwrite: bool = False, owner: str = "") -> Job:
        """Queue the installing of a snapshot in the folder of embeddings, see `training.use`.

        Raises:
            ParameterError: the name cannot be a file's.
            JobBusy: the queue is full.
        """
        safe_name(name)
        return self.jobs.submit(f"Using {name}", self._use(folder, step, name, overwrite), owner, cuts_in=True)

    def undo_use(self, folder: Path, owner: str = "") -> Job:
        """Queue the taking back of what was put into use last from a run."""
        return self.jobs.submit("Undoing a use", self._undo_use(folder), owner, cuts_in=True)

    def last_job(self, kind: str, folder: Path) -> Job | None:
        """The newest job that is “Measuring” or “Comparing” the run of this folder, if there was one."""
        return self._last_jobs.get((kind, folder.resolve()))

    def select_checkpoint(self, title: str, owner: str = "") -> Job:
        """Queue the change to another checkpoint. If its file cannot be used, the model in use stays.

        Args:
            title: or file name, or hash.

        Raises:
            ParameterError: no checkpoint is called so.
            JobBusy: the queue is full.
        """
        checkpoint = self._find_checkpoint(title)
        return self.jobs.submit(f"Loading {checkpoint.name}", self._select(checkpoint), owner)

    def hash_checkpoints(self, owner: str = "") -> Job:
        """Queue the reading of every checkpoint whose hash is not known yet: seconds for each.

        Raises:
            JobBusy: the queue is full.
        """
        return self.jobs.submit("Looking into all models", self._hash_all(), owner, cuts_in=True)

    def unload_checkpoint(self, owner: str = "") -> Job:
        """Queue the freeing of the model's memory; it is loaded again when it is needed.

        Raises:
            QueueFull: too many jobs wait.
        """
        return self.jobs.submit("Putting the model away", self._unload(), owner)

    def reload_checkpoint(self, owner: str = "") -> Job:
        """Queue the loading of the model that was put away; if one is in use, nothing happens.

        Raises:
            QueueFull: too many jobs wait.
        """
        return self.jobs.submit("Loading the model again", self._reload(), owner)

    # --- what the page shows without torch --------------------------------------------------------------------------

    def checkpoints(self) -> list[Checkpoint]:
        """All checkpoints in the folders, looked up afresh; titles carry a hash as soon as it is known."""
        found = find_checkpoints(self.paths.checkpoint_folders, self._hashes)
        first = self.flags.ckpt
        if first and first.exists() and first.resolve() not in {checkpoint.path.resolve() for checkpoint in found}:
            sha256 = self._hashes.known([first]) if first.is_file() else None
            found.insert(0, Checkpoint(first, first.name, sha256 or ""))
        return found

    @property
    def tokenizer(self) -> ClipTokenizer:
        """The tokenizer of every model that can be loaded."""
        return clip_tokenizer()

    @property
    def embeddings(self) -> "EmbeddingDatabase | None":
        """The folder of embeddings; None until torch is loaded."""
        return self._embeddings

    def embedding_index(self) -> EmbeddingIndex:
        """The embeddings that fit the model in use; none while there is no model."""
        conditioner = self._conditioner
        if conditioner is None:
            return EmbeddingIndex({}, self.tokenizer)
        return conditioner.embeddings.index(conditioner.model.width, self.tokenizer)

    def find_embedding(self, name: str) -> "Embedding | None":
        """The embedding that answers to this name with the model in use, as the folder was when last looked at."""
        conditioner = self._conditioner
        if conditioner is None:
            return None
        model = conditioner.model
        return conditioner.embeddings.vocabulary(model.width, model.tokenizer).embeddings.get(name)

    def _here(self) -> Here:
        """What a picture can be remade with now."""
        state, checkpoints, conditioner = self.model_state, self.checkpoints(), self._conditioner
        in_use = [c for c in checkpoints if c.title == state.checkpoint and state.status is ModelStatus.READY]
        in_use = next(iter(in_use), None)
        embeddings = {}
        if conditioner:
            model = conditioner.model
            conditioner.embeddings.refresh()
            vocabulary = conditioner.embeddings.vocabulary(model.width, model.tokenizer)
            embeddings = {name: embedding.short_hash or "" for name, embedding in vocabulary.embeddings.items()}
        stock = self.drawing.stock(in_use)
        return Here(in_use, checkpoints, self.tokenizer, self.embedding_index(), embeddings, *stock)

    def embedding_entries(self) -> "list[Entry]":
        """Every file in the folder of embeddings, newest first, with what it can do for the model in use."""
        conditioner = self._conditioner
        if conditioner is None:
            return []
        conditioner.embeddings.refresh()
        return conditioner.embeddings.entries(conditioner.model.width, conditioner.model.tokenizer)

    def snapshot_steps(self, prompt: str) -> list[int]:
        """The steps of the snapshots of the newest training run whose embedding a prompt names."""
        return list(self._bench().snapshot_steps(prompt))

    def _bench(self, folder: Path | None = None, settings: Settings | None = None) -> ScriptBench:
        runs, find, switch = self.paths.textual_inversion, self._find_checkpoint, self._switch
        return ScriptBench(self.drawing, runs, lambda: self._conditioner, find, switch, folder, settings)

    def embedding_names(self) -> list[str]:
        """The names that answer with the model in use, by alphabet; looked up afresh."""
        conditioner = self._conditioner
        if conditioner is None:
            return []
        conditioner.embeddings.refresh()
        model = conditioner.model
        return sorted(conditioner.embeddings.vocabulary(model.width, model.tokenizer).embeddings, key=str.casefold)

    # --- the worker's part ------------------------------------------------------------------------------------------

    def _txt2img(self, params: Txt2ImgParams, folder: Path | None, settings: Settings | None = None) -> Work:
        yield from self._reload()
        if self._conditioner is None:
            raise ModelMissing(self.model_state.sentence)
        yield from self.drawing.draw(self._conditioner, params, self.drawing.outputs(folder, settings))
        self._report_embeddings()

    def _enlarge(self, params: Txt2ImgParams, picture: "Image.Image") -> Work:
        yield from self._reload()
        if self._conditioner is None:
            raise ModelMissing(self.model_state.sentence)
        yield from self.drawing.draw(self._conditioner, params, self.drawing.outputs(), picture)

    def _draw_with(self, checkpoint: Checkpoint, work: Work, stays: bool) -> Work:
        """Do the work with another model in use, then put the one before back."""
        before = self._conditioner.model.checkpoint if self._conditioner else None
        if before is None or before.path != checkpoint.path:
            yield from self._select(checkpoint) if stays else self._switch(checkpoint)
        now = self._conditioner.model.checkpoint if self._conditioner else None
        if now is None or now.path != checkpoint.path:  # interrupted while it was loading
            return
        failure = None
        try:
            yield from work
        except Exception as error:
            traceback.clear_frames(error.__traceback__)  # they hold what has to make room
            failure = error
        if before and before.path != checkpoint.path and not stays:
            yield from self._switch(before)
        if failure:
            raise failure

    def _script(self, plan: Plan, bench: ScriptBench) -> Work:
        """Draw a script, then put the model before back."""
        yield from self._reload()
        before = self._loaded()[0].checkpoint
        failure = None
        try:
            yield from plan.work(bench)
        except Exception as error:
            traceback.clear_frames(error.__traceback__)  # they hold what has to make room
            failure = error
        if self._conditioner is None or self._conditioner.model.checkpoint.path != before.path:
            yield from self._switch(before)
        if failure:
            raise failure

    def _unload(self) -> Work:
        yield Status("putting the model away")
        conditioner = self._conditioner
        if conditioner is None:
            return
        title = conditioner.model.checkpoint.title
        self._put_away = conditioner.model.checkpoint
        del conditioner
        self.drawing.forget()
        sentence = "The model was put away to free memory: the next picture loads it again."
        self._put(None, ModelState(ModelStatus.READY, sentence, title))
        _free_memory()

    def _reload(self) -> Work:
        if self._conditioner is None and self._put_away:
            yield from self._switch(self._put_away)

    def _create(self, *given: Any) -> Work:
        from modules.training.create import create_embedding

        yield from self._reload()
        yield from create_embedding(*self._loaded(), self.paths.embeddings, *given)
        self._report_embeddings()

    def _train(self, params: TrainParams) -> Work:
        from modules.training.train import train

        yield from self._reload()
        yield from train(*self._loaded(), params, self.paths)

    def _estimate(self, params: TrainParams) -> Work:
        from modules.training.train import estimate

        yield from self._reload()
        yield from estimate(*self._loaded(), params, self.paths)

    def _check_training(self, params: TrainParams) -> None:
        """Refuse what can be refused at the click; as long as there is no model, the embedding is not looked for."""
        plan.check(params, self.paths, self._photo_roots)
        if self._conditioner:
            from modules.training.train import ready

            ready(*self._loaded(), params, self.paths)

    def _resume(self, folder: Path, data_root: str) -> Work:
        from modules.training.train import resume

        yield from self._reload()
        yield from resume(*self._loaded(), folder, self.paths, data_root)

    def _hash_all(self) -> Work:
        unknown = [checkpoint for checkpoint in self.checkpoints() if not checkpoint.sha256]
        for number, checkpoint in enumerate(unknown):
            request = yield Progressed(number, len(unknown), checkpoint.name)
            if request is Request.INTERRUPT:
                return
            try:
                ensure_hash(checkpoint, self._hashes)
            except OSError as error:
                yield Noticed(f"{checkpoint.name} cannot be read: {error.strerror}.")

    def _measure(self, folder: Path, word: str) -> Work:
        from modules.training.measure import measure_snapshots

        yield from self._reload()
        yield from measure_snapshots(*self._loaded(), folder, self.paths, word)

    def _compare(self, folder: Path, comparison: Comparison) -> Work:
        from modules.training.compare import compare

        yield from self._reload()
        yield from compare(*self._loaded(), folder, comparison)

    def _use(self, folder: Path, step: int, name: str, overwrite: bool) -> Work:
        from modules.training.use import use_snapshot

        yield from self._reload()
        yield from use_snapshot(self._loaded()[1], self.paths.embeddings, folder, step, name, overwrite)

    def _keep(self, run: Run, step: int) -> Work:
        yield from self._use(run.folder.path, step, run.folder.name, True)
        run.folder.discard()

    def _undo_use(self, folder: Path) -> Work:
        from modules.training.use import undo_use

        yield from self._reload()
        yield from undo_use(self._loaded()[1], folder)

    def _submit_between(self, kind: str, folder: Path, work: Work, owner: str) -> Job:
        """Work of minutes: it need not wait for training, and pictures need not wait for it."""
        name = open_run(folder).folder.name
        with self._lock:  # two clicks at the same moment
            last = self.last_job(kind, folder)
            if last and not last.is_over:
                raise JobBusy(f"{kind} {name} is under way: wait until it has ended, or interrupt it.")
            job = self.jobs.submit(f"{kind} {name}", work, owner, gives_way=True, cuts_in=True)
            self._last_jobs[kind, folder.resolve()] = job
            return job

    def _report_embeddings(self) -> None:
        """Say on the console what the folder of embeddings holds, if that is new."""
        model, embeddings = self._loaded()
        report = embeddings.report(model.width, model.tokenizer)
        if report != self._said:
            self._said = report
            self._say(report)

    def _loaded(self) -> "tuple[SDModel, EmbeddingDatabase]":
        conditioner = self._conditioner
        if conditioner is None:
            raise ModelMissing(self.model_state.sentence)
        return conditioner.model, conditioner.embeddings

    def _find_checkpoint(self, title: str) -> Checkpoint:
        checkpoint = choose(self.checkpoints(), title)
        if checkpoint is None:
            raise ParameterError("checkpoint", f"There is no checkpoint “{title}”: press refresh, or choose another.")
        return checkpoint

    def _submit_training(self, title: str, work: Work, owner: str) -> Job:
        with self._lock:  # two clicks at the same moment
            if self.training():
                raise JobBusy("A training run is under way: stop it first, or wait until it has ended.")
            return self.jobs.submit(title, work, owner, gives_way=True, kind="train")

    def _first_work(self) -> Work:
        yield Status("loading PyTorch")
        try:
            from modules.embeddings.database import EmbeddingDatabase

            for folder in (self.paths.outputs, self.paths.embeddings, self.paths.textual_inversion):
                sweep_temporaries(folder)
            self._embeddings = EmbeddingDatabase([self.paths.embeddings])
            self._embeddings.refresh()
            checkpoint = self._first_checkpoint()
        except Exception as error:
            self._put(None, ModelState(ModelStatus.FAILED, _sentence(error)))
            raise
        yield from self._switch(checkpoint)

    def _first_checkpoint(self) -> Checkpoint:
        """The one named by `--ckpt`, else the one used last, else the first that looks right."""
        checkpoints = self.checkpoints()
        if not checkpoints:
            folder = self.paths.checkpoint_folders[0]
            raise ModelMissing(f"There is no model: put a .safetensors file into {folder.name}, then press refresh.")
        wanted = str(self.flags.ckpt or self.settings.checkpoint)
        found = choose(checkpoints, wanted) if wanted else None
        if found:
            return found
        usable = next(filter(self._looks_right, checkpoints), None)
        if usable is None:
            raise ModelMissing("None of the checkpoints can be used: " + " ".join(self.notices))
        if wanted:
            self.notices.append(f"The checkpoint “{wanted}” is not there any more: {usable.name} is used.")
        return usable

    def _looks_right(self, checkpoint: Checkpoint) -> bool:
        """Whether the header of a file that nobody asked for is a model's; what is wrong with it becomes a notice."""
        try:
            judge(checkpoint.path)
        except WebuiError as error:
            self.notices.append(str(error))
            return False
        return True

    def _select(self, checkpoint: Checkpoint) -> Work:
        yield from self._switch(checkpoint)
        try:
            self.change_settings(checkpoint=self.model_state.checkpoint)
        except StorageError as error:
            yield Noticed(f"The choice holds until the server ends: {error}")

    def _switch(self, checkpoint: Checkpoint) -> Work:
        """Judge the file while the old model is in use; only a file that looks right makes it go."""
        conditioner = self._conditioner
        old = conditioner.model.checkpoint if conditioner else None
        request = yield Status(f"loading {checkpoint.name}")
        if request is Request.INTERRUPT:
            return
        self._put(conditioner, ModelState(ModelStatus.LOADING, f"Loading {checkpoint.name}.", checkpoint.title))
        del conditioner  # or the old model could not go
        try:
            judge(checkpoint.path)
            self._put(None, self.model_state)
            self.drawing.forget()
            _free_memory()  # before the new one needs the room
            self._load(checkpoint)
        except Exception as error:
            sentence = _sentence(error)
            if self._conditioner is None:
                self._put(None, ModelState(ModelStatus.FAILED, sentence))
                traceback.clear_frames(error.__traceback__)  # they hold what was loaded of the new model
                if old:
                    self._load(old)
            kept = self._conditioner
            if kept:
                self._put(kept, dataclasses.replace(_ready(kept.model), sentence=sentence))
            raise

    def _load(self, checkpoint: Checkpoint) -> None:
        from modules.model.conditioning import Conditioner
        from modules.model.device import DevicePolicy
        from modules.model.loader import load_model

        assert self._embeddings is not None, "made before the first model"
        model = load_model(checkpoint, DevicePolicy.chosen(self.flags))
        self._put(Conditioner(model, self._embeddings), _ready(model))
        self._report_embeddings()
        if not checkpoint.sha256:
            threading.Thread(target=self._hash, args=(checkpoint,), name="hashing", daemon=True).start()

    def _hash(self, checkpoint: Checkpoint) -> None:
        """Compute a missing hash, which takes seconds for gigabytes, and let the model in use know it."""
        from modules.model.conditioning import Conditioner

        try:
            hashed = ensure_hash(checkpoint, self._hashes)
        except OSError as error:
            _log.warning("The hash of %s is not known: %s", checkpoint.name, error)
            return
        with self._lock:
            now = self._conditioner
            if now is None or now.model.checkpoint != checkpoint:
                return  # another model by now
            self._conditioner = Conditioner(dataclasses.replace(now.model, checkpoint=hashed), now.embeddings)
            if self.model_state.checkpoint == checkpoint.title:
                self.model_state = dataclasses.replace(self.model_state, checkpoint=hashed.title)

    def _put(self, conditioner: "Conditioner | None", state: ModelState) -> None:
        with self._lock:
            self._conditioner, self.model_state = conditioner, state

    def _open_log(self) -> None:
        """A data folder that cannot be written is only told."""
        try:
            self._log_handler = open_log(self.paths.log_file)
        except OSError as error:
            self.notices.append(f"There is no log: {self.paths.log_file.name} cannot be written ({error.strerror}).")


def _ready(model: "SDModel") -> ModelState:
    title = model.checkpoint.title
    return ModelState(ModelStatus.READY, "", title, model.device_line, model.native_size, dict(model.recommended))


def _sentence(error: Exception) -> str:
    if isinstance(error, WebuiError):
        return str(error)
    return "The model could not be loaded, which is a mistake of this program: see the log."


def _free_memory() -> None:
    """Give what nothing refers to any more back to the system, on the device too."""
    gc.collect()
    torch = sys.modules.get("torch")  # not imported for this: without torch there is nothing of it to free
    if torch is None:
        return
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()
