"""The loop: steps, and what happens between them. Everything that a step depends on can be saved and brought back.

Samples, measurements and other people's pictures may come between two steps and change nothing: see `batches`.
"""

import contextlib
import dataclasses
import logging
import math
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from torch.nn import Module

from modules import images
from modules.embeddings.card import save_card
from modules.embeddings.database import EmbeddingDatabase
from modules.embeddings.embedding import Embedding
from modules.embeddings.writing import save_embedding
from modules.errors import NumericalError, OutOfMemory, StorageError, TrainingDiverged, WebuiError, is_out_of_memory
from modules.events import (
    Ending,
    Estimated,
    Event,
    HeldOut,
    Noticed,
    Previewed,
    Request,
    SnapshotSaved,
    StateSaved,
    Status,
    Trained,
    TrainingEnded,
    TrainingStarted,
    Work,
)
from modules.model.conditioning import Conditioner, PromptRules
from modules.model.model import SDModel
from modules.training import estimate, plan
from modules.training.batches import BatchSource
from modules.training.dataset import Example
from modules.training.health import CHECKED_AFTER, check_health
from modules.training.held_out import FixedLoss
from modules.training.learning_rate import cosine
from modules.training.photos import PhotoWatch
from modules.training.preview import draw_preview, preview_params
from modules.training.prompts import PromptMaker
from modules.training.run_folder import RunFolder
from modules.training.state import TrainingState, save_state
from modules.training.textual_inversion import Outcome, TextualInversion, rate_unit
from modules.training.use import keep_copy

MOST_STEPS_BACK = 3
CURVE_POINTS = 500  # of a whole run, as many as a chart can show
SMOOTHING = 0.98  # of the loss: a mean over about fifty steps

T = TypeVar("T")
_log = logging.getLogger(__name__)


class TrainingLoop:
    """One run, from the state it begins with.

    Args:
        model: what the vectors are trained for.
        embeddings: the user's, for what else prompts name.
        folder: where everything goes.
        state: fresh, or of an interrupted run.
        examples, aside: what `state.photos` and `state.held_out` name, in their order.
        lines: of the template.
        target: the file that gets the vectors when the run is finished or stopped.
        log: where the details of failures stand.
    """

    def __init__(
        self,
        model: SDModel,
        embeddings: EmbeddingDatabase,
        folder: RunFolder,
        state: TrainingState,
        examples: Sequence[Example],
        aside: Sequence[Example],
        lines: Sequence[str],
        target: Path,
        log: Path | None = None,
    ):
        params = state.params
        self.model, self.embeddings, self.folder, self.params = model, embeddings, folder, params
        self.examples, self.aside, self.target, self.log = examples, aside, target, log
        self.step, self.smoothed = state.step, state.smoothed_loss
        self.rate_factor, self.steps_back = state.rate_factor, state.steps_back
        self.rates = plan.rates(params, state.first_step)
        self.clipping = plan.clipping(params, state.first_step)
        self.last_step = min(params.steps, self.rates.end)
        self.curve_every = max(1, math.ceil((self.last_step - state.first_step) / CURVE_POINTS))
        self.prompts = PromptMaker(lines, params.embedding, params.tag_drop_out, params.shuffle_tags)
        self.fixed_loss = FixedLoss(aside or examples, self.prompts, params.seed)
        self.preview = preview_params(params, self.prompts.fixed(examples[0].photo.caption, 0))
        self.batches = BatchSource(model, state, examples, self.prompts, self.last_step)
        self.rate_unit = rate_unit(model, state.origin.init_text) if params.relative_rate else 1.0
        self.inversion = self._learner(state)
        self.begun_with, self.good = state.optimiser.vectors, state
        self.gradient_norms: list[float] = []
        self.seconds_per_step = 0.0
        self.photos = PhotoWatch([example.photo for example in (*examples, *aside)])
        self.stopping = self.sample_asked = False
        self.about: dict[str, Any] = {}  # what run.json says, which somebody may take away meanwhile

    def work(self) -> Work:
        """Train to the end, or until asked to stop.

        Yields:
            `TrainingStarted`, …, `TrainingEnded`. Requests are answered within a step: INTERRUPT keeps what there is,
            PAUSE writes the state down, SAMPLE has one drawn after the step, SKIP leaves the one that is being drawn.

        Raises:
            TrainingDiverged: after three steps back.
            StorageError: a file could not be written.
        """
        if self.params.gradient_checkpointing:
            self.model.unet.enable_gradient_checkpointing()
        try:
            yield from self._tell(self._started())
            yield from self.estimate()
            yield from self._look_around()
            while self.step < self.last_step and not self.stopping:
                yield from self._train_once()
        except GeneratorExit:  # nobody asks any more: the server ends
            with contextlib.suppress(StorageError):  # the state before is there
                save_state(self.state(), self.folder.states)
            raise
        except TrainingDiverged as error:
            yield from self._end(Ending.DIVERGED, str(error))
            raise
        except Exception as error:
            yield from self._end(Ending.FAILED, _sentence(error))
            raise
        else:
            yield from self._end(Ending.FINISHED if self.step >= self.last_step else Ending.STOPPED)
        finally:
            self.model.unet.disable_gradient_checkpointing()

    def _started(self) -> TrainingStarted:
        gone = len(self.good.held_out) - len(self.aside)
        self.about = self.folder.about()
        note = str(self.about.get("loss_note", ""))
        learned, aside = len(self.examples), len(self.aside)
        return TrainingStarted(self.folder.path, self.step, self.last_step, learned, aside, gone, note)

    def state(self) -> TrainingState:
        """A copy of everything that the following steps depend on."""
        return dataclasses.replace(
            self.good,
            step=self.step,
            optimiser=self.inversion.state,
            rate_factor=self.rate_factor,
            steps_back=self.steps_back,
            smoothed_loss=self.smoothed,
            **self.batches.position,
        )

    # --- requests ---------------------------------------------------------------------------------------------------

    def _tell(self, event: Event) -> Generator[Event, Request | None, Request | None]:
        """Yield an event, note what was asked with it, and return that."""
        request = yield event
        while request is Request.PAUSE:
            save_state(self.state(), self.folder.states)
            request = yield Status(f"paused after {self.step} steps")
            if request is None:  # the step that follows may take its time
                request = yield Status("resuming")
        self.stopping |= request is Request.INTERRUPT
        self.sample_asked |= request is Request.SAMPLE
        return None if request is Request.SAMPLE else request

    def _relay(self, work: Generator[Event, Request | None, T]) -> Generator[Event, Request | None, T]:
        """Yield the events of other work, handing requests on to it."""
        request = None
        try:
            while True:
                event = work.send(request)
                request = yield from self._tell(event)
        except StopIteration as end:
            return end.value
        finally:
            work.close()

    # --- steps ------------------------------------------------------------------------------------------------------

    def _train_once(self) -> Work:
        started = time.perf_counter()
        rate = self.rates.rate(self.step)
        assert rate is not None, "the schedule reaches to the last step"
        if self.params.rate_decay == "cosine":
            rate *= cosine(self.step, self.good.first_step, self.last_step)
        rate *= self.rate_factor
        clip = (self.clipping.rate(self.step) if self.clipping else None) or float("inf")
        self._put_vae_away()
        batches = self.batches.draw(self.step)
        outcome = self.inversion.step(batches, rate * self.rate_unit, self.params.clip_grad_mode, clip)
        if outcome.overflow:
            return
        if not outcome.done:
            yield from self._step_back(outcome, rate)
            return
        self.step += 1
        seconds = time.perf_counter() - started
        self.seconds_per_step = self.seconds_per_step * 0.9 + seconds * 0.1 if self.seconds_per_step else seconds
        self.smoothed = (
            outcome.loss if self.smoothed is None else self.smoothed * SMOOTHING + outcome.loss * (1 - SMOOTHING)
        )
        self._log(outcome.loss, rate)
        yield from self._tell(
            Trained(
                self.step,
                self.last_step,
                outcome.loss,
                self.smoothed,
                rate,
                self.inversion.vector_norm,
                self.seconds_per_step,
                batches[0].prompts[0],
            )
        )
        self.gradient_norms.append(outcome.gradient_norm)
        if len(self.gradient_norms) == CHECKED_AFTER:
            now = self.inversion.state.vectors
            yield from self._tell(check_health(self.step, self.gradient_norms, self.begun_with, now))
        yield from self._look_around()

    def _step_back(self, outcome: Outcome, rate: float) -> Work:
        """Go back to the last good state with half the rate, or give up. Random numbers go on: others may do better."""
        failed = self.step + 1
        self.inversion.restore(self.good.optimiser)
        self.step, self.smoothed = self.good.step, self.good.smoothed_loss
        for log in self.folder.logs:
            log.keep_until(self.step)
        if self.steps_back == MOST_STEPS_BACK:
            raise TrainingDiverged(failed, outcome.problem, rate)
        self.steps_back += 1
        self.rate_factor /= 2
        yield from self._tell(
            Noticed(
                f"Step {failed} diverged: {outcome.problem}. Back to step {self.step} with half the learning rate, "
                f"{self.steps_back} of {MOST_STEPS_BACK} times."
            )
        )

    def _log(self, loss: float, rate: float) -> None:
        assert self.smoothed is not None
        if self.step % self.curve_every == 0 or self.step == self.last_step:
            norm = self.inversion.vector_norm
            self.folder.curve_log.append(self.step, f"{self.smoothed:.7f}", f"{rate:.7g}", f"{norm:.6g}")
        every = self.params.write_csv_every
        if every and self.step % every == 0:
            epoch, epoch_step = divmod(self.step - 1, self.batches.order.epoch_steps)
            self.folder.loss_log.append(self.step, epoch, epoch_step, f"{loss:.7f}", f"{rate:.7g}")

    # --- between steps ----------------------------------------------------------------------------------------------

    def _look_around(self) -> Work:
        """Whatever is due after this many steps. Done twice, as after a resume, it does nothing new."""
        params = self.params
        snapshot = self._is_due(params.save_embedding_every)
        sample = self.sample_asked or self._is_due(params.create_image_every)
        self.sample_asked = False
        if snapshot:
            yield from self._save_snapshot()
        if snapshot or sample or self._is_due(params.save_state_every):
            self.good = self.state()
            path = save_state(self.good, self.folder.states)
            yield from self._tell(StateSaved(self.step, path))
            yield from self._tell_changes()
        measured = {int(row[0]) for row in self.folder.held_out_log.rows()} if params.held_out_every else set()
        if self._is_due(params.held_out_every) and self.step not in measured and not self.stopping:
            self._put_vae_away()
            with self.inversion.as_learned():
                loss = yield from self._relay(self.fixed_loss.measure(self.inversion))
            if loss is not None:
                self.folder.held_out_log.append(self.step, f"{loss:.7f}")
                yield from self._tell(HeldOut(self.step, loss))
        if sample and not self.stopping and not self.folder.sample(self.step).exists():
            yield from self._draw_sample()

    def _is_due(self, every: int) -> bool:
        return bool(every) and (self.step % every == 0 or self.step in (self.good.first_step, self.last_step))

    def _save_snapshot(self) -> Work:
        path = self.folder.snapshot(self.step, self.params.file_format)
        save_embedding(self._embedding(path.stem), path)
        yield from self._tell(SnapshotSaved(self.step, path))

    def _draw_sample(self) -> Work:
        save_embedding(self._embedding(self.params.embedding), self.folder.current)
        path = self.folder.sample(self.step)
        try:
            picture = yield from self._relay(
                draw_preview(self.model, self.embeddings, self.folder.current, self.preview, path)
            )
        except (MemoryError, RuntimeError, NumericalError, OutOfMemory) as error:
            if not isinstance(error, NumericalError) and not is_out_of_memory(error):
                raise
            why = str(error) if isinstance(error, NumericalError) else "There is too little memory for its size."
            yield from self._tell(Noticed(f"No sample after {self.step} steps; training goes on. {why}"))
            return
        if picture is None or picture.incomplete:
            return
        if self.params.save_image_with_stored_embedding and self.folder.card_is_due(self.step):
            card = self.folder.card(self.step)
            save_card(self._embedding(card.stem), images.open_image(path), card)
        yield from self._tell(Previewed(self.step, path, picture.infotext))

    def _tell_changes(self) -> Work:
        if news := self.photos.news():
            _log.warning("%s: %s", self.folder.path.name, news)
            yield from self._tell(Noticed(news))

    def estimate(self) -> Work:
        """Say what the run will cost, from two trial steps that leave no trace."""
        if self.step >= self.last_step or self.stopping:
            return
        yield from self._tell(Status("measuring two trial steps"))
        self._put_vae_away()
        trial, batches = self._learner(self.good), self.batches.trial(self.step)
        cost = estimate.measure(lambda: trial.step(batches, 1e-3), self.model.device)
        seconds = cost.seconds * (self.last_step - self.step)
        yield from self._tell(Estimated(cost.seconds, seconds, cost.memory, cost.memory_total))

    # --- the end ----------------------------------------------------------------------------------------------------

    def _end(self, kind: Ending, problem: str = "") -> Work:
        """Keep everything, and say what happened. The user's own file is replaced only by what ended well."""
        kept, path = True, self.folder.snapshot(self.step, self.params.file_format)
        kept_too, ended_well = "", kind in (Ending.FINISHED, Ending.STOPPED)
        try:
            save_state(self.state(), self.folder.states)
            save_embedding(self._embedding(path.stem), path)
            if ended_well and self.step > self.good.first_step:
                path = self.target
                kept_too = keep_copy(path, self.folder)
                save_embedding(self._embedding(self.params.embedding), path)
                self.embeddings.refresh()
            self.folder.describe({**self.about, "ending": kind, "step": self.step})
        except StorageError as error:
            if ended_well:
                yield from self._end(Ending.FAILED, str(error))
                raise
            _log.warning("The last state of %s could not be written: %s", self.folder.path.name, error)
            kept = False
        how = "finished" if kind is Ending.FINISHED else "interrupted"
        if ended_well:
            sentence = f"Training {how} at {self.step} steps. Embedding saved to {path}.{kept_too}"
        elif kept:
            sentence = f"{problem} The vectors after {self.step} steps are kept in {path.name}."
        else:
            sentence = f"{problem} Snapshots and states saved before are intact."
        yield TrainingEnded(kind, self.step, sentence, path if kept else None, None if ended_well else self.log)

    # --- parts ------------------------------------------------------------------------------------------------------

    def _learner(self, state: TrainingState) -> TextualInversion:
        rules = PromptRules(clip_skip=self.params.clip_skip)
        conditioner = Conditioner(self.model, self.embeddings)
        params = self.params
        return TextualInversion(
            conditioner,
            params.embedding,
            state.optimiser,
            rules,
            params.averaging,
            params.keep_length,
            params.equal_pull,
        )

    def _embedding(self, name: str) -> Embedding:
        origin = self.good.origin
        return Embedding(
            name,
            self.inversion.learned,
            self.step,
            origin.checkpoint_hash,
            origin.checkpoint_name,
            origin.init_text,
            self.params.digest,
        )

    def _put_vae_away(self) -> None:
        """Give the device's memory to the steps; decoding brings it back. Where all memory is one, there is no gain."""
        if self.model.device.type not in ("cpu", "mps") and self.model.vae.device.type != "cpu":
            Module.to(self.model.vae, "cpu")


def _sentence(error: Exception) -> str:
    if is_out_of_memory(error):
        return "Out of memory: choose a smaller size or batch, or save memory by gradient checkpointing."
    if isinstance(error, WebuiError):
        return str(error)
    return "Training failed, which is a mistake of this program: the log has the details."
