"""The model in use: which one it is, what is told of it, and how another takes its place.

There is room for one. The old model goes before the new one comes, but not before the new file looks right.
"""

import dataclasses
import logging
import threading
import traceback
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING

from modules.desks.checkpoints import CheckpointShelf
from modules.desks.memory import free_memory
from modules.desks.settings import SettingsDesk
from modules.errors import ModelMissing, StorageError, WebuiError
from modules.events import Event, Noticed, Request, Status, Work
from modules.flags import Flags
from modules.jobs import Job, JobQueue
from modules.model.checkpoint import Checkpoint
from modules.model_state import Advice, ModelState, ModelStatus

if TYPE_CHECKING:  # these bring torch
    from modules.embeddings.database import EmbeddingDatabase
    from modules.model.conditioning import Conditioner
    from modules.model.model import SDModel

_log = logging.getLogger(__name__)


class ModelDesk:
    """Loads models, one at a time. Any thread may look and ask; only the worker thread touches torch.

    Args:
        shelf: what there is to load.
        embeddings: the folder that goes with every model.
        settings: remembers the choice.
        jobs: the App's queue.
        flags: choose the device.
        notice: gets sentences about the start, for the page.
        on_load: called in the worker thread when a model has come into use.
        on_leave: called in the worker thread before a model goes: lets go of what belongs to it.

    Attributes:
        state: see `ModelState`.
        conditioner: reads prompts for the model in use, and holds it; None while there is none.
        embeddings: None until torch is loaded.
    """

    def __init__(
        self,
        shelf: CheckpointShelf,
        embeddings: Path,
        settings: SettingsDesk,
        jobs: JobQueue,
        flags: Flags,
        notice: Callable[[str], object],
        on_load: Callable[[], object],
        on_leave: Callable[[], object],
    ):
        self.state = ModelState(ModelStatus.LOADING, "The model is loaded in a moment.")
        self.conditioner: Conditioner | None = None
        self.embeddings: EmbeddingDatabase | None = None
        self._shelf = shelf
        self._embeddings_folder = embeddings
        self._settings = settings
        self._jobs = jobs
        self._flags = flags
        self._notice = notice
        self._on_load = on_load
        self._on_leave = on_leave
        self._lock = threading.Lock()  # between the worker and the thread that hashes
        self._asking = threading.Lock()  # two requests may ask for the same at once
        self._selected: tuple[Checkpoint, Job] | None = None
        self._coming: tuple[Checkpoint, Job] | None = None  # the newest job that leaves another one in use
        self._chosen: dict[str, tuple[Checkpoint, Job]] = {}  # by each browser session that chose one, the last
        self._comes_back: Checkpoint | None = None  # after the job that runs
        self._put_away: Checkpoint | None = None  # the one to load again when it is needed
        self._hashing: threading.Thread | None = None

    # --- what a front end asks for ----------------------------------------------------------------------------------

    def checkpoints(self) -> list[Checkpoint]:
        """All checkpoints there are, looked up afresh; titles carry a hash as soon as it is known."""
        return self._shelf.all()

    def find(self, title: str) -> Checkpoint:
        """The checkpoint that a title, file name or hash means.

        Raises:
            ParameterError: no checkpoint is called so.
        """
        return self._shelf.find(title)

    def select(self, title: str, owner: str = "") -> Job:
        """Queue the change to another checkpoint. If its file cannot be used, the model in use stays.

        Asked for twice, as Gradio's lists do with each choice, it is one change.

        Args:
            title: or file name, or hash.

        Raises:
            ParameterError: no checkpoint is called so.
            QueueFull: too many jobs wait.
        """
        checkpoint = self._shelf.find(title)
        with self._asking:
            last = next((job for job in reversed(self._jobs.jobs()) if not job.is_over), None)
            if last and not last.asked and self._selected == (checkpoint, last):  # an interrupted one may not load
                return last
            job = self._jobs.submit(f"Loading {checkpoint.name}", self._select(checkpoint), owner, kind="load")
            self._selected = self._coming = (checkpoint, job)
            self._chosen = {one: kept for one, kept in self._chosen.items() if not kept[1].is_over}
            self._chosen[owner] = (checkpoint, job)
            return job

    def waits(self, owner: str) -> tuple[Checkpoint, Job] | None:
        """The checkpoint that a browser session chose last, as long as it is not in use, and the job that loads it;
        None: there is nothing to wait for."""
        chosen = self._chosen.get(owner)
        return chosen if chosen and not chosen[1].is_over and not self._is_in_use(chosen[0]) else None

    def is_in_use(self, title: str) -> bool:
        """Whether a title, file name or hash means the checkpoint that will draw what is queued now, and that one is
        loaded already.

        Raises:
            ParameterError: no checkpoint is called so.
        """
        checkpoint = self._shelf.find(title)
        after = self.next_to_draw()
        return after is not None and after.path == checkpoint.path and self._is_in_use(checkpoint)

    def stays(self, title: str, job: Job) -> None:
        """Note that a job, just queued, leaves this checkpoint in use."""
        self._coming = (self._shelf.find(title), job)

    def next_to_draw(self) -> Checkpoint | None:
        """The checkpoint that will draw what is queued now and names none; None while there is no model."""
        if self._coming and not self._coming[1].is_over:
            return self._coming[0]
        return self._comes_back or self._checkpoint() or self._put_away

    def advice(self, title: str = "") -> Advice | None:
        """What suits the checkpoint that will draw what is queued now. While torch is being loaded, this waits.

        Args:
            title: or file name, or hash, of the one that is asked for; empty: none is.

        Returns:
            None while there is no model.

        Raises:
            ParameterError: no checkpoint is called so.
            FileFormatError: its file cannot be used.
        """
        for first in self._jobs.jobs()[:1]:  # it loads torch, and two threads must not do so at once
            while self.conditioner is None and not first.is_over:
                first.wait(first.events_since()[1])
        checkpoint = self._shelf.find(title) if title else self.next_to_draw()
        return self._shelf.advice(checkpoint) if checkpoint else None

    def hash_all(self, owner: str = "") -> Job:
        """Queue the reading of every checkpoint whose hash is not known yet: seconds for each.

        Raises:
            QueueFull: too many jobs wait.
        """
        return self._jobs.submit("Looking into all models", self._shelf.hash_all(), owner, cuts_in=True)

    def unload(self, owner: str = "") -> Job:
        """Queue the freeing of the model's memory; it is loaded again when it is needed.

        Raises:
            QueueFull: too many jobs wait.
        """
        return self._jobs.submit("Putting the model away", self._unload(), owner)

    def reload(self, owner: str = "") -> Job:
        """Queue the loading of the model that was put away; if one is in use, nothing happens.

        Raises:
            QueueFull: too many jobs wait.
        """
        return self._jobs.submit("Loading the model again", self.ready(), owner, cuts_in=True)

    # --- what other work builds on ----------------------------------------------------------------------------------

    def first_work(self) -> Work:
        """Load torch, the folder of embeddings and the model to start with."""
        yield Status("loading PyTorch")
        try:
            from modules.embeddings.database import EmbeddingDatabase

            self.embeddings = EmbeddingDatabase([self._embeddings_folder])
            self.embeddings.refresh()
            checkpoint = self._shelf.first(self._settings.now.checkpoint, self._notice)
        except Exception as error:
            self._put(None, ModelState(ModelStatus.FAILED, _sentence(error)))
            raise
        yield from self._switch(checkpoint)

    def ready(self) -> Work:
        """Load the model again that was put away, if one was."""
        if self.conditioner is None and self._put_away:
            yield from self._switch(self._put_away)

    def in_use(self) -> "Conditioner":
        """What reads prompts for the model in use, and holds it.

        Raises:
            ModelMissing: there is none; the sentence says why.
        """
        conditioner = self.conditioner
        if conditioner is None:
            raise ModelMissing(self.state.sentence)
        return conditioner

    def loaded(self) -> "tuple[SDModel, EmbeddingDatabase]":
        """The model in use and the embeddings that prompts may name. Raises, as `in_use`."""
        conditioner = self.in_use()
        return conditioner.model, conditioner.embeddings

    def use(self, checkpoint: Checkpoint) -> Work:
        """Put a checkpoint into use, unless it is. If its file cannot be used, the model in use stays."""
        if not self._is_in_use(checkpoint):
            yield from self._switch(checkpoint)

    def lend(self, checkpoint: Checkpoint) -> Work:
        """As `use`, for a part of a run whose own model comes back: what the page says of the model stays."""
        if not self._is_in_use(checkpoint):
            yield from self._switch(checkpoint, lent=True)

    def with_checkpoint(self, title: str, work: Work, stays: bool) -> Work:
        """Work that is done with another model in use.

        Args:
            title: or file name, or hash.
            stays: leave that model in use, and write the choice down; else the one before comes back.

        Raises:
            ParameterError: no checkpoint is called so. Raised at once, not by the work.
        """
        checkpoint = self._shelf.find(title)
        return self._select_for(checkpoint, work) if stays else self.back_after(self._use_for(checkpoint, work))

    def back_after(self, work: Work, lent: bool = False) -> Work:
        """Work that may change the model in use; whatever becomes of it, the one before comes back.

        Args:
            lent: the work changes it by `lend`.
        """
        before, outer = self._checkpoint(), self._comes_back
        self._comes_back = outer or before
        failure = None
        try:
            try:
                yield from work
            except Exception as error:
                traceback.clear_frames(error.__traceback__)  # they hold what has to make room
                failure = error
            if before:
                coming = self.lend(before) if lent else self.use(before)
                while (event := next(coming, None)) is not None:  # without the answers: nothing can interrupt that
                    yield event
        finally:
            self._comes_back = outer
        if failure:
            raise failure

    def with_hash(self) -> Generator[Event, Request | None, bool]:
        """Part of work whose files name the model: wait until its hash is known, or cannot be. False: interrupted."""
        while self._hashing and self._hashing.is_alive():
            if (yield Status("computing the hash of the model")) is Request.INTERRUPT:
                return False
            self._hashing.join(0.5)  # seconds until somebody may interrupt again
        return True

    # --- inside -----------------------------------------------------------------------------------------------------

    def _use_for(self, checkpoint: Checkpoint, work: Work) -> Work:
        yield from self.use(checkpoint)
        if self._is_in_use(checkpoint):  # else it was interrupted while it was loading
            yield from work

    def _select_for(self, checkpoint: Checkpoint, work: Work) -> Work:
        if not self._is_in_use(checkpoint):
            yield from self._select(checkpoint)
        if self._is_in_use(checkpoint):
            yield from work

    def _select(self, checkpoint: Checkpoint) -> Work:
        yield from self._switch(checkpoint)
        try:
            self._settings.change(checkpoint=self.state.checkpoint)
        except StorageError as error:
            yield Noticed(f"The choice holds until the server ends: {error}")

    def _switch(self, checkpoint: Checkpoint, lent: bool = False) -> Work:
        """Judge the file while the old model is in use; only a file that looks right makes it go."""
        from modules.model.loader import judge

        conditioner, state = self.conditioner, self.state
        old = conditioner.model.checkpoint if conditioner else None
        if (yield Status(f"loading {checkpoint.name}")) is Request.INTERRUPT:
            return
        loading = ModelState(ModelStatus.LOADING, f"Loading {checkpoint.name}.", checkpoint.title)
        self._put(conditioner, None if lent else loading)
        del conditioner  # or the old model could not go
        try:
            if old:
                judge(checkpoint.path)
            self._put(None, None)
            self._on_leave()
            free_memory()  # before the new one needs the room
            self._load(checkpoint, keep_state=lent)
        except Exception as error:
            sentence = _sentence(error)
            if self.conditioner is None:
                self._put(None, ModelState(ModelStatus.FAILED, sentence))
                traceback.clear_frames(error.__traceback__)  # they hold what was loaded of the new model
                if old:
                    self._load(old)
            kept = self.conditioner
            if kept:
                as_before = lent and kept.model.checkpoint.title == state.checkpoint
                self._put(kept, state if as_before else dataclasses.replace(_ready(kept.model), sentence=sentence))
            raise

    def _checkpoint(self) -> Checkpoint | None:
        return self.conditioner.model.checkpoint if self.conditioner else None

    def _is_in_use(self, checkpoint: Checkpoint) -> bool:
        now = self._checkpoint()
        return now is not None and now.path == checkpoint.path

    def _unload(self) -> Work:
        yield Status("putting the model away")
        if (conditioner := self.conditioner) is None:
            return
        self._put_away = conditioner.model.checkpoint
        sentence = "The model was put away to free memory: the next picture loads it again."
        state = dataclasses.replace(_ready(conditioner.model), sentence=sentence, device="")
        del conditioner
        self._on_leave()
        self._put(None, state)
        free_memory()

    def _load(self, checkpoint: Checkpoint, keep_state: bool = False) -> None:
        from modules.model.conditioning import Conditioner
        from modules.model.device import DevicePolicy
        from modules.model.loader import load_model

        assert self.embeddings is not None, "made before the first model"
        model = load_model(checkpoint, DevicePolicy.chosen(self._flags))
        self._put(Conditioner(model, self.embeddings), None if keep_state else _ready(model))
        self._shelf.learned(checkpoint, Advice(model.native_size, dict(model.recommended)))
        self._on_load()
        if not checkpoint.sha256:
            self._hashing = threading.Thread(target=self._hash, args=(checkpoint,), name="hashing", daemon=True)
            self._hashing.start()

    def _hash(self, checkpoint: Checkpoint) -> None:
        """Compute a missing hash, which takes seconds for gigabytes, and let the model in use know it."""
        from modules.model.conditioning import Conditioner

        try:
            hashed = self._shelf.hashed(checkpoint)
        except OSError as error:
            _log.warning("The hash of %s is not known: %s", checkpoint.name, error)
            return
        with self._lock:
            now = self.conditioner
            if now is None or now.model.checkpoint != checkpoint:
                return  # another model by now
            self.conditioner = Conditioner(dataclasses.replace(now.model, checkpoint=hashed), now.embeddings)
            if self.state.checkpoint == checkpoint.title:
                self.state = dataclasses.replace(self.state, checkpoint=hashed.title)

    def _put(self, conditioner: "Conditioner | None", state: ModelState | None) -> None:
        """Put a model into use, or none; `state` is what is told of it, None: what was told before."""
        with self._lock:
            self.conditioner, self.state = conditioner, state or self.state


def _ready(model: "SDModel") -> ModelState:
    title = model.checkpoint.title
    return ModelState(ModelStatus.READY, "", title, model.device_line, model.native_size, dict(model.recommended))


def _sentence(error: Exception) -> str:
    if isinstance(error, WebuiError):
        return str(error)
    return "The model could not be loaded, which is a mistake of this program: see the log."
