"""Measure the snapshots of a run: how well each one knows its photos, and whether prompts are still followed."""

from collections.abc import Generator
from pathlib import Path
from typing import cast

from torch import Tensor

from modules.embeddings.database import EmbeddingDatabase
from modules.embeddings.embedding import Embedding
from modules.embeddings.reading import read_embedding
from modules.errors import EmbeddingError, ParameterError
from modules.events import Event, Noticed, Progressed, Request, SnapshotMeasured, Work
from modules.files import folder_of
from modules.model.checkpoint import Checkpoint
from modules.model.conditioning import Conditioner, PromptRules
from modules.model.model import SDModel
from modules.paths import Paths
from modules.training.dataset import encode_files
from modules.training.held_out import FixedLoss, choose
from modules.training.likeness import Liked, Likeness
from modules.training.measurements import Conditions, Measurement, MeasurementFile
from modules.training.obedience import Obedience
from modules.training.prompts import PromptMaker, read_template
from modules.training.run_folder import RunFolder, open_run
from modules.training.state import Origin
from modules.training.textual_inversion import TextualInversion, fresh_state
from modules.training.whereabouts import loss_changes, photos_now, stretches
from modules.training_params import from_mapping

MOST_SEEN = 24  # photos that drawings are laid beside
PLAIN_WORD = "person"  # if the embedding began as nothing that says what it is


def measure_snapshots(model: SDModel, embeddings: EmbeddingDatabase, path: Path, paths: Paths, word: str = "") -> Work:
    """Measure each snapshot of a run that has not been measured yet. Interrupted, it goes on from there next time.

    Args:
        model: the one that the run belongs to.
        embeddings: the user's, for what else prompts name.
        path: the run's folder; `measurements.json` in it grows with each snapshot.
        paths: where templates are.
        word: the plain word to compare with; empty: what the embedding began as.

    Yields:
        `Status`, `Progressed`, `Noticed` if something cannot be measured, one `SnapshotMeasured` for each snapshot.

    Raises:
        FileFormatError: no run.
        ParameterError: it belongs to another checkpoint, or has no snapshots.
        StorageError: a measurement could not be written.
    """
    folder = open_run(path).folder
    snapshots, notices = read_snapshots(folder)
    for notice in notices:
        yield Noticed(notice)
    first = next(iter(snapshots.values()))
    Origin(first.checkpoint_hash, first.checkpoint_name).check(model.checkpoint)
    bench = _Bench(model, embeddings, folder, plain_word(word, first.init_text), paths)
    known = bench.file.read(bench.conditions)
    left = {
        step: snapshot
        for step, snapshot in snapshots.items()
        if step not in known
        or known[step].vectors != snapshot.vectors_digest
        or known[step].photos < len(bench.seen)  # it was measured while photos were missing
    }
    if not left:
        return
    if not (yield from bench.set_up()):
        return
    for number, (step, snapshot) in enumerate(left.items()):
        measured = yield from bench.measure(step, snapshot)
        if measured is None:
            return
        known[step] = measured
        bench.file.write(bench.conditions, (one for one in known.values() if one.step in snapshots))
        asked = [(yield SnapshotMeasured(step, measured.held_out, measured.obedience, measured.likeness))]
        asked.append((yield Progressed(number + 1, len(left), f"step {step}")))
        if Request.INTERRUPT in asked:
            return


def read_snapshots(folder: RunFolder) -> tuple[dict[int, Embedding], list[str]]:
    """All snapshots of a run by step, and a sentence for each that cannot be read.

    Raises:
        ParameterError: there are none.
    """
    found, notices = {}, []
    for step, path in folder.snapshots().items():
        try:
            embedding = read_embedding(path)
        except EmbeddingError as error:
            notices.append(f"The snapshot of step {step} is left out: {error}")
        else:
            if embedding:
                found[step] = embedding
    if not found:
        raise ParameterError("run", "This run has no snapshots yet: let it train until the first one is saved.")
    return found, notices


def plain_word(word: str, init_text: str | None) -> str:
    """The words that the embedding is compared with: those given, or those it began as, or “person”."""
    candidates = (word.strip(), (init_text or "").strip(" *"), PLAIN_WORD)
    return next(filter(None, candidates))


class _Bench:
    """Everything that snapshots of one run are measured with.

    Attributes:
        seen: files of the photos that drawings are laid beside, those that are still there.
    """

    def __init__(self, model: SDModel, embeddings: EmbeddingDatabase, folder: RunFolder, word: str, paths: Paths):
        about = folder.about()
        params = from_mapping(about.get("params", {}))
        aside = [str(name) for name in about.get("held_out", [])]
        learned = [str(name) for name in about.get("photos", [])]
        names = choose(aside or learned, params.seed)
        self.model, self.folder, self.params, self.paths = model, folder, params, paths
        self.conditioner = Conditioner(model, embeddings)
        self.file = MeasurementFile(folder)
        self.conditions = Conditions(_identity(model.checkpoint), word, tuple(names), bool(aside))
        self.rules = PromptRules(clip_skip=params.clip_skip)
        self.word = word
        self.size = (params.preview_width or params.width, params.preview_height or params.height)
        self.obedience = Obedience(self.conditioner, folder.name, word, self.size, self.rules)
        table = cast(Tensor, model.text_encoder.get_input_embeddings().weight)
        ids = model.tokenizer.encode(word) or [0]
        self.usual_norm = float(table[ids].detach().float().norm(dim=1).mean().clamp(min=1e-12))
        begun = stretches(folder.held_out_log.rows(), loss_changes(folder))[0]  # later ones are of other photos
        self.logged = {int(row[0]): row[1] for row in begun}
        self.fixed_loss: FixedLoss | None = None
        self.likeness: Likeness | None = None
        self.problem = ""  # why there are no photos
        try:
            self.root = folder_of(photos_now(folder, params.data_root, paths.data), "data_root")
        except ParameterError as error:
            self.problem = str(error)
            self.seen = []
        else:
            chosen = choose(list(dict.fromkeys([*learned, *aside])), params.seed, MOST_SEEN)
            self.seen = [path for path in (self.root / name for name in chosen) if path.is_file()]

    def set_up(self) -> Generator[Event, Request | None, bool]:
        """Encode the pictures; if they have gone, the log of the run has to do. False: interrupted."""
        try:
            lines = read_template(self.params.template, self.paths.template_folders)
        except ParameterError as error:
            self.problem = self.problem or str(error)
            lines = []
        aside = [] if self.problem else [self.root / name for name in self.conditions.aside]
        found = yield from encode_files(self.model, dict.fromkeys([*aside, *self.seen]), self.params)
        if found is None:
            return False
        examples = {example.photo.name: example for example in found[0]}
        refused = found[1]
        gone = self.problem or next((refused[path.name] for path in aside if path.name in refused), "")
        if gone or not aside:  # on other pictures, the losses would be other ones
            yield Noticed(f"The held-out loss is taken from the log of the run: {gone or 'no picture is noted in it.'}")
        else:
            their = [examples[path.name] for path in aside]
            self.fixed_loss = FixedLoss(their, PromptMaker(lines, self.folder.name), self.params.seed)
        latents = [examples[path.name].mean for path in self.seen if path.name in examples]
        if latents:
            self.likeness = Likeness(self.conditioner, self.folder.name, self.word, self.size, self.rules, latents)
        return True

    def measure(self, step: int, snapshot: Embedding) -> Generator[Event, Request | None, Measurement | None]:
        """Measure one snapshot. None: interrupted."""
        each: list[float] | None = []
        if self.fixed_loss:
            inversion = TextualInversion(self.conditioner, self.folder.name, fresh_state(snapshot.vectors), self.rules)
            each = yield from self.fixed_loss.measure_each(inversion)
            if each is None:
                return None
        liked: Liked | None = None
        if self.likeness:
            liked = yield from self.likeness.measure(snapshot.vectors)
            if liked is None:
                return None
        obeyed = yield from self.obedience.measure(snapshot.vectors)
        if obeyed is None:
            return None
        return Measurement(
            step=step,
            vectors=snapshot.vectors_digest,
            held_out=sum(each) / len(each) if each else self.logged.get(step),
            held_out_each=tuple(each),
            obedience=obeyed.value,
            obedience_each=obeyed.each,
            norm=float(snapshot.vectors.norm(dim=1).mean()) / self.usual_norm,
            likeness=liked.value if liked else None,
            likeness_each=liked.each if liked else (),
            photos=len(self.seen),
        )


def _identity(checkpoint: Checkpoint) -> str:
    return checkpoint.short_hash or checkpoint.model_name
