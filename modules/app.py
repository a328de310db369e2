"""The App: one per server, made in `webui.py`, seen by front ends only.

It makes the desks and hands them what they share: the job queue, the settings, the model in use. Only the worker
thread touches torch. Importing this module loads neither torch nor gradio, and `start()` returns at once.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modules import images
from modules.desks.checkpoints import CheckpointShelf
from modules.desks.drawing import DAYS_FOLDERS, DrawingDesk, Place
from modules.desks.embeddings import EmbeddingDesk
from modules.desks.memory import free_memory
from modules.desks.models import ModelDesk
from modules.desks.photos import PhotoDesk
from modules.desks.script_bench import ScriptBench
from modules.desks.settings import SettingsDesk
from modules.desks.training import TrainingDesk
from modules.errors import ParameterError
from modules.events import Status, Work
from modules.files import sweep_older, sweep_temporaries
from modules.flags import Flags
from modules.generation import partners
from modules.generation.scripts.script import Plan, make_plan
from modules.jobs import Job, JobQueue, JobState
from modules.library import Library
from modules.logs import close_log, open_log
from modules.model.checkpoint import Checkpoint
from modules.model.hashes import HashCache
from modules.model_state import ModelState, ModelStatus
from modules.params import HIRES_FIELDS, Txt2ImgParams
from modules.paths import Paths
from modules.prompts.tokenizer import ClipTokenizer, clip_tokenizer
from modules.remake.here import Here
from modules.script_params import ScriptParams
from modules.settings import Settings
from modules.settings_file import Imported

if TYPE_CHECKING:  # these bring torch
    from PIL import Image

SHEETS_KEPT = 86400.0  # seconds: those that are only shown; another process may be showing them

Suited = Callable[[Checkpoint], Txt2ImgParams | None]

_log = logging.getLogger(__name__)


class App:
    """Everything a front end may ask for: pictures here, the rest at the desks.

    Args:
        settings: None reads them from the data folder.
        say: gets the lines for the console.
        shelf: the checkpoints there are; None: those in the folders of `paths`.

    Attributes:
        paths, flags: as the server was started.
        notices: sentences about the start: a damaged settings file, a value without meaning. The page shows them, and
            `say` got them, for a server that has none.
        jobs: the queue of all long work.
        library: pictures that were made, and how they are made again.
        drawing: styles, VAEs and upscalers.
        models: checkpoints, and the one in use.
        embeddings: the folder of embeddings.
        training: embeddings made and trained.
        photos: where photos are made ready for training.

    Raises:
        SettingsError: the settings file is there and cannot be opened.
    """

    def __init__(
        self,
        paths: Paths,
        settings: Settings | None,
        flags: Flags,
        say: Callable[[str], object] = lambda line: None,
        shelf: CheckpointShelf | None = None,
    ):
        self.paths = paths
        self.flags = flags
        self._settings = SettingsDesk(paths.settings_file, settings)
        self._say = say
        self.notices: list[str] = []
        for notice in self._settings.notices:
            self._notice(notice)
        self.library = Library(paths, self._here, keeps_last=not flags.no_prompt_history)
        self.jobs = JobQueue(free_memory=free_memory, on_event=self.library.note)
        hashes = HashCache(paths.hash_cache)
        self.models = ModelDesk(
            shelf or CheckpointShelf(paths, flags, hashes),
            paths.embeddings,
            self._settings,
            self.jobs,
            flags,
            notice=self._notice,
            on_load=lambda: self.embeddings.report(),
            on_leave=lambda: self.drawing.forget(),
        )
        self.drawing = DrawingDesk(paths, lambda: self.settings, hashes, self.models)
        self.embeddings = EmbeddingDesk(self.models, say)
        photo_roots = () if flags.is_private else (paths.data,)  # anywhere, unless other machines can ask
        self.training = TrainingDesk(
            paths, self.jobs, self.models, self.embeddings, photo_roots, lambda: self.settings.embedding_format
        )
        self.photos = PhotoDesk(paths, self.jobs, photo_roots)
        self._log_handler: logging.Handler | None = None

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

    # --- settings ---------------------------------------------------------------------------------------------------

    @property
    def settings(self) -> Settings:
        """What the user chose; a change makes a new one."""
        return self._settings.now

    def change_settings(self, other: Mapping[str, Any] | None = None, **values: Any) -> Settings:
        """Replace some settings, by field name, and write them down, see `SettingsDesk.change`."""
        return self._settings.change(other, **values)

    def import_settings(self, content: bytes, name: str) -> Imported:
        """Take over the settings of another `config.json`, see `SettingsDesk.import_file`."""
        return self._settings.import_file(content, name)

    # --- pictures ---------------------------------------------------------------------------------------------------

    def generate(
        self,
        params: Txt2ImgParams,
        owner: str = "",
        title: str = "",
        place: Place = DAYS_FOLDERS,
        settings: Settings | None = None,
        checkpoint: str = "",
        checkpoint_stays: bool = False,
        picture: "Image.Image | None" = None,
        suited: Suited | None = None,
    ) -> Job:
        """Queue a txt2img run with the model that is in use when its turn comes.

        Args:
            owner: browser session that gets the pictures.
            title: shown to everybody in the queue, so by default without the prompt.
            place: where the files go.
            settings: for this run alone; None: those of the moment when its turn comes.
            checkpoint: draw with another one, by title, name or hash.
            checkpoint_stays: leave it in use afterwards, and write the choice down.
            picture: stands for the first pass of a hires fix.
            suited: told, when its turn comes, which checkpoint draws; gives the parameters that suit it, if others do.

        Raises:
            ParameterError: see `DrawingDesk.checked`; or no such checkpoint.
            QueueFull: too many jobs wait.
        """
        place = replace(place, styles=self.drawing.styles.named(params.styles))
        params = self.drawing.checked(params, settings)
        title = title or f"{params.batch_count * params.batch_size} × {params.width}×{params.height}"
        work = self._txt2img(params, place, settings, picture, suited)
        if checkpoint:
            work = self.models.with_checkpoint(checkpoint, work, checkpoint_stays)
        cuts_in = not self._needs_another(checkpoint) and not partners.wanted(params)  # training needs its model
        return self._submit_drawing(title, work, owner, cuts_in, checkpoint, checkpoint_stays)

    def enlarge(self, picture: Path, form: Txt2ImgParams, owner: str = "", place: Place = DAYS_FOLDERS) -> Job:
        """Queue the second pass of a hires fix over a picture that was made here.

        Prompt, seed, sampler and everything else are as the picture says; the hires fix is as the form says.

        Args:
            picture: its parameters are read from the file.
            place: as in `generate`.

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
        work = self._txt2img(params, place, picture=opened)
        return self._submit_drawing(title, work, owner, cuts_in=not partners.wanted(params))

    def run_script(
        self,
        params: Txt2ImgParams,
        script: ScriptParams,
        owner: str = "",
        place: Place = DAYS_FOLDERS,
        settings: Settings | None = None,
        checkpoint: str = "",
        checkpoint_stays: bool = False,
        suited: Suited | None = None,
    ) -> Job:
        """Queue many runs made from one form, and the sheet of their pictures.

        Args:
            script: which script; not “None”.
            place, settings, checkpoint, checkpoint_stays, suited: as in `generate`.

        Raises:
            ParameterError: a value of the script or the form that cannot be used.
            QueueFull: too many jobs wait.
        """
        bench = self._bench(replace(place, styles=self.drawing.styles.named(params.styles)), settings)
        plan = make_plan(params, script, bench)
        title = f"{script.script}: {plan.pictures} × {params.width}×{params.height}"
        work = self._script(plan, bench, script, suited)
        if checkpoint:
            work = self.models.with_checkpoint(checkpoint, work, checkpoint_stays)
        cuts_in = not self._needs_another(checkpoint) and not plan.needs_other_checkpoints
        return self._submit_drawing(title, work, owner, cuts_in, checkpoint, checkpoint_stays)

    def waiting_checkpoint(self, owner: str) -> str:
        """The file of the checkpoint that a browser session chose, while training holds another one; else empty."""
        chosen = self._awaited(owner)
        return chosen[0].name if chosen else ""

    def _awaited(self, owner: str) -> tuple[Checkpoint, Job] | None:
        """The same, and the job that loads it."""
        return self.models.waits(owner) if owner and self.training.under_way() else None

    def _needs_another(self, checkpoint: str) -> bool:
        """Whether a run that asks for this checkpoint (empty: for none) has to wait until training is over. A program
        that names the one in use with every request need not."""
        if not checkpoint:
            return False
        run = self.training.under_way()
        trained_with = run and run.state is JobState.RUNNING and self.models.is_in_use(checkpoint)
        return not trained_with

    def _submit_drawing(
        self, title: str, work: Work, owner: str, cuts_in: bool, checkpoint: str = "", stays: bool = False
    ) -> Job:
        """Queue pictures. Who chose another checkpoint on the page waits for it, unless its loading is cancelled.

        Args:
            checkpoint: that they name; empty: none.
            stays: they leave it in use.
        """
        chosen = None if checkpoint else self._awaited(owner)
        after = chosen[1] if chosen else None
        job = self.jobs.submit(title, work, owner, cuts_in=cuts_in, kind="txt2img", after=after)
        if checkpoint and stays:
            self.models.stays(checkpoint, job)
        return job

    def snapshot_steps(self, prompt: str) -> list[int]:
        """The steps of the snapshots of the newest training run whose embedding a prompt names."""
        return list(self._bench().snapshot_steps(prompt))

    # --- what the page shows without torch --------------------------------------------------------------------------

    @property
    def model_state(self) -> ModelState:
        """What is told of the model in use."""
        return self.models.state

    @property
    def tokenizer(self) -> ClipTokenizer:
        """The tokenizer of every model that can be loaded."""
        return clip_tokenizer()

    def _here(self) -> Here:
        """What a picture can be remade with now."""
        state, checkpoints = self.model_state, self.models.checkpoints()
        in_use = [c for c in checkpoints if c.title == state.checkpoint and state.status is ModelStatus.READY]
        in_use = next(iter(in_use), None)
        hashes = self.embeddings.short_hashes()
        stock = self.drawing.stock(in_use)
        return Here(in_use, checkpoints, self.tokenizer, self.embeddings.index(), hashes, *stock)

    # --- the worker's part ------------------------------------------------------------------------------------------

    def _first_work(self) -> Work:
        yield Status("tidying up")
        for folder in (self.paths.outputs, self.paths.embeddings, self.paths.textual_inversion):
            try:
                sweep_temporaries(folder)
            except OSError as error:  # litter hinders nobody
                _log.warning("What killed writers left in %s stays: %s", folder.name, error)
        sweep_older(self.paths.passing_sheets, SHEETS_KEPT)
        if vae := self.drawing.missing_vae():
            self._notice(f"The VAE “{vae}” is not there any more: Automatic is used.")
        try:
            yield from self.models.first_work()
        except Exception:
            self._say(self.model_state.sentence)
            raise

    def _txt2img(
        self,
        params: Txt2ImgParams,
        place: Place = DAYS_FOLDERS,
        settings: Settings | None = None,
        picture: "Image.Image | None" = None,
        suited: Suited | None = None,
    ) -> Work:
        yield from self.models.ready()
        if suited and (other := suited(self.models.in_use().model.checkpoint)):
            params = self.drawing.checked(other, settings)
        yield from self.drawing.draw(params, self.drawing.outputs(place, settings), picture, settings=settings)
        self.embeddings.report()

    def _script(self, plan: Plan, bench: ScriptBench, script: ScriptParams, suited: Suited | None) -> Work:
        """Draw a script, then put the model before back."""
        yield from self.models.ready()
        checkpoint = self.models.in_use().model.checkpoint
        if suited and (other := suited(checkpoint)):
            plan = make_plan(other, script, bench)
        yield from self.models.back_after(plan.work(bench))

    def _bench(self, place: Place = DAYS_FOLDERS, settings: Settings | None = None) -> ScriptBench:
        return ScriptBench(self.drawing, self.models, self.paths.textual_inversion, place, settings)

    def _notice(self, sentence: str) -> None:
        self.notices.append(sentence)
        self._say(sentence)

    def _open_log(self) -> None:
        """A data folder that cannot be written is only told."""
        try:
            self._log_handler = open_log(self.paths.log_file)
        except OSError as error:
            self._notice(f"There is no log: {self.paths.log_file.name} cannot be written ({error.strerror}).")
