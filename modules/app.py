"""The App: one per server, made in `webui.py`, seen by front ends only.

It owns the job queue, the settings, the loaded model and the folder of embeddings. Only the worker thread touches
torch; a front end reads `model_state` and asks for jobs. Importing this module loads neither torch nor gradio, and
`start()` returns at once.
"""

from __future__ import annotations

import dataclasses
import gc
import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from logging.handlers import RotatingFileHandler
from typing import TYPE_CHECKING, Any

from modules.errors import ModelMissing, ParameterError, WebuiError
from modules.events import Status
from modules.files import sweep_temporaries
from modules.jobs import Job, JobQueue, Work
from modules.params import Txt2ImgParams
from modules.paths import Paths
from modules.prompts.matching import EmbeddingIndex
from modules.prompts.tokenizer import ClipTokenizer, clip_tokenizer
from modules.samplers.names import resolve
from modules.settings import Settings, load_settings, save_settings

if TYPE_CHECKING:  # these bring torch
    from modules.embeddings.database import EmbeddingDatabase
    from modules.flags import Flags
    from modules.model.checkpoint import Checkpoint
    from modules.model.model import SDModel

LOG_BYTES = 2_000_000  # of each of three files


class ModelStatus(StrEnum):
    """What the model can do for a user now."""

    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"  # nothing is loaded; the sentence says why


@dataclass(frozen=True)
class ModelState:
    """The loaded model as a page shows it; a change makes a new one, so it is read without a lock.

    Attributes:
        status: whether pictures can be drawn.
        sentence: what is being done, or why there is no model; after a failed switch, why the old one stays.
        checkpoint: title of the checkpoint in use, or of the one being loaded.
        device: where and how it computes: “cpu · fp32 · 1 thread”; empty until loaded.
        native_size: (width, height) in pixels that the model was trained for.
        recommended: form values that the model's maker recommends, by field name of `Txt2ImgParams`.
    """

    status: ModelStatus
    sentence: str = ""
    checkpoint: str = ""
    device: str = ""
    native_size: tuple[int, int] = (512, 512)
    recommended: Mapping[str, Any] = field(default_factory=dict)


class App:
    """Everything a front end may ask for.

    Attributes:
        paths, flags: as the server was started.
        settings: what the user chose; replaced by `change_settings`.
        notices: sentences about the start, for the page: a damaged settings file, a value without meaning.
        jobs: the queue of all long work.
        model_state: see `ModelState`.
    """

    def __init__(self, paths: Paths, settings: Settings | None, flags: Flags):
        self.paths = paths
        self.flags = flags
        self.notices: list[str] = []
        if settings is None:
            settings, self.notices = load_settings(paths.settings_file)
        self.settings = settings
        self.jobs = JobQueue(free_memory=_free_memory)
        self.model_state = ModelState(ModelStatus.LOADING, "The model is loaded in a moment.")
        self._model: SDModel | None = None
        self._embeddings: EmbeddingDatabase | None = None
        self._checkpoints: list[Checkpoint] = []
        self._log_handler: logging.Handler | None = None

    # --- life -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Open the log and let the worker load torch and the chosen model as its first job. Returns at once."""
        self._open_log()
        self.jobs.submit("Loading the model", self._first_work())

    def stop(self, timeout: float = 10.0) -> bool:
        """End all jobs, keeping what can be kept. False: the worker was still busy after `timeout` seconds."""
        stopped = self.jobs.stop(timeout)
        if self._log_handler:
            logging.getLogger().removeHandler(self._log_handler)
            self._log_handler.close()
            self._log_handler = None
        return stopped

    def change_settings(self, **values: Any) -> Settings:
        """Replace some settings, by field name, and write them down.

        Raises:
            ParameterError: no such setting, or a value outside its range.
            StorageError: the file could not be written; the settings are as before.
        """
        settings = self.settings.changed(**values)
        save_settings(settings, self.paths.settings_file)
        self.settings = settings
        return settings

    # --- work -------------------------------------------------------------------------------------------------------

    def generate(self, params: Txt2ImgParams, owner: str = "", title: str = "") -> Job:
        """Queue a txt2img run with the model that is in use when its turn comes.

        Args:
            owner: browser session that gets the pictures.
            title: shown to everybody in the queue, so by default without the prompt.

        Raises:
            ParameterError: no such sampler or schedule.
            JobBusy: the queue is full.
        """
        resolve(params.sampler, params.schedule)
        title = title or f"{params.batch_count * params.batch_size} × {params.width}×{params.height}"
        return self.jobs.submit(title, self._txt2img(params), owner)

    def select_checkpoint(self, title: str, owner: str = "") -> Job:
        """Queue the change to another checkpoint. If its file cannot be used, the model in use stays.

        Raises:
            ParameterError: no checkpoint has this title.
            JobBusy: the queue is full.
        """
        checkpoint = self._find_checkpoint(title)
        if checkpoint is None:
            raise ParameterError("checkpoint", f"There is no checkpoint “{title}”: press refresh, or choose another.")
        return self.jobs.submit(f"Loading {checkpoint.name}", self._switch(checkpoint), owner)

    def _txt2img(self, params: Txt2ImgParams) -> Work:
        if self._model is None or self._embeddings is None:
            raise ModelMissing(self.model_state.sentence)
        from modules.generation.txt2img import OutputFolders, txt2img

        outputs = OutputFolders.of(self.paths, self.settings)
        yield from txt2img(self._model, self._embeddings, params, outputs)

    # --- what the page shows while typing: no torch -----------------------------------------------------------------

    @property
    def tokenizer(self) -> ClipTokenizer:
        return clip_tokenizer()

    @property
    def embeddings(self) -> EmbeddingDatabase | None:
        """The folder of embeddings; None until torch is loaded."""
        return self._embeddings

    def embedding_index(self) -> EmbeddingIndex:
        """The embeddings that fit the model in use; none while there is no model."""
        if self._model is None or self._embeddings is None:
            return EmbeddingIndex({}, self.tokenizer)
        return self._embeddings.index(self._model.width, self.tokenizer)

    # --- the model: worker thread only ------------------------------------------------------------------------------

    def checkpoints(self) -> list[Checkpoint]:
        """All checkpoints in the folders, looked up afresh; titles carry a hash as soon as it is known."""
        from modules.model.checkpoint import find_checkpoints

        return find_checkpoints(self.paths.checkpoint_folders)

    def _find_checkpoint(self, title: str) -> Checkpoint | None:
        return next(
            (checkpoint for checkpoint in self.checkpoints() if title in (checkpoint.title, checkpoint.name)), None
        )

    def _first_work(self) -> Work:
        yield Status("loading PyTorch")
        try:
            from modules.embeddings.database import EmbeddingDatabase

            for folder in (self.paths.outputs, self.paths.embeddings):
                sweep_temporaries(folder)
            self._embeddings = EmbeddingDatabase([self.paths.embeddings])
            self._embeddings.refresh()
            checkpoint = self._find_checkpoint(self.settings.checkpoint) or next(iter(self.checkpoints()), None)
            if checkpoint is None:
                folder = self.paths.checkpoint_folders[0]
                raise ModelMissing(
                    f"There is no model: put a .safetensors file into {folder.name}, then press refresh."
                )
        except Exception as error:
            self.model_state = ModelState(ModelStatus.FAILED, _sentence(error))
            raise
        yield from self._switch(checkpoint)

    def _switch(self, checkpoint: Checkpoint) -> Work:
        """Judge the file while the old model is in use; only a file that looks right makes it go."""
        before, old = self.model_state, self._model and self._model.checkpoint
        self.model_state = ModelState(ModelStatus.LOADING, f"Loading {checkpoint.name}.", checkpoint.title)
        yield Status(f"loading {checkpoint.name}")
        from modules.model.checkpoint import judge

        try:
            judge(checkpoint.path)
            self._model = None
            _free_memory()  # before the new one needs the room
            self._load(checkpoint)
        except Exception as error:
            if old and self._model is None:
                self._load(old)
            status = ModelStatus.READY if self._model else ModelStatus.FAILED
            self.model_state = dataclasses.replace(before, status=status, sentence=_sentence(error))
            raise

    def _load(self, checkpoint: Checkpoint) -> None:
        from modules.model.device import DevicePolicy
        from modules.model.loader import load_model

        self._model = model = load_model(checkpoint, DevicePolicy.chosen(self.flags))
        self.model_state = ModelState(
            ModelStatus.READY, "", checkpoint.title, model.device_line, model.native_size, model.recommended
        )

    def _open_log(self) -> None:
        """Write warnings and errors to the log file as well; a data folder that cannot be written is only told."""
        try:
            self.paths.data.mkdir(parents=True, exist_ok=True)
            handler = RotatingFileHandler(self.paths.log_file, maxBytes=LOG_BYTES, backupCount=2, encoding="utf-8")
        except OSError as error:
            self.notices.append(f"There is no log: {self.paths.log_file.name} cannot be written ({error.strerror}).")
            return
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        handler.setLevel(logging.WARNING)
        logging.getLogger().addHandler(handler)
        self._log_handler = handler


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
