"""A training run: from its parameters, or from what an interrupted one left."""

import dataclasses
import logging
import secrets
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

from modules.embeddings.database import EmbeddingDatabase
from modules.embeddings.embedding import Embedding
from modules.errors import DatasetError, FileFormatError, ParameterError
from modules.events import Event, Noticed, Request, Work
from modules.files import folder_of, require_writable, sweep_temporaries
from modules.model.checkpoint import Checkpoint
from modules.model.model import SDModel
from modules.paths import Paths
from modules.training import plan
from modules.training.dataset import Example, encode_files, refusals, set_aside
from modules.training.lock import held, starting
from modules.training.loop import TrainingLoop
from modules.training.photos import others, overviews, photo_files, replaced
from modules.training.prompts import read_template, require_name
from modules.training.run_folder import RunFolder, new_run_folder, open_run, require_free
from modules.training.settings_file import write_settings
from modules.training.state import Origin, TrainingState, fresh_generators, load_state, save_state
from modules.training.textual_inversion import fresh_state
from modules.training.whereabouts import go_on, photos_now
from modules.training_params import TrainParams

_log = logging.getLogger(__name__)


def train(model: SDModel, embeddings: EmbeddingDatabase, params: TrainParams, paths: Paths) -> Work:
    """Train an embedding on the photos of a folder. It begins with the vectors and the step of the embedding's file.

    Args:
        model: what the embedding is for.
        embeddings: looked up afresh; the embedding must be among them.
        params: of the run; seeds of -1 are drawn now and written down.
        paths: where logs go, and the embedding when the run is finished or stopped.

    Yields:
        `Status` and `Noticed` while photos are encoded, then what `TrainingLoop.work` yields. Interrupted before
        the first step, it ends without a trace.

    Raises:
        ParameterError: a field that cannot be used.
        DatasetError: no photo can be used.
        JobBusy: another process trains this embedding.
        StorageError: before the first step, if the trained embedding could not be written; else as
            `TrainingLoop.work`.
        TrainingDiverged: see there.
    """
    embedding, lines = ready(model, embeddings, params, paths)
    target = _target(embedding, paths, params)
    require_writable(target)
    root = plan.log_root(params, paths)
    require_free(root, params.embedding)
    first_step = embedding.step or 0
    params = _with_seeds(params)
    examples = yield from _load(model, photo_files(folder_of(params.data_root, "data_root")), params)
    if examples is None:
        return
    for sentence in overviews(folder_of(params.data_root, "data_root")):
        yield Noticed(sentence)
    aside = set(set_aside([example.photo.name for example in examples], params))
    learned = [example for example in examples if example.photo.name not in aside]
    held_out = [example for example in examples if example.photo.name in aside]
    checkpoint = model.checkpoint
    state = _first_state(params, embedding, learned, held_out, checkpoint)
    with ExitStack() as stack:
        with starting(root):
            require_free(root, params.embedding)  # encoding took its time
            folder = new_run_folder(root, params.embedding)
            stack.enter_context(held(folder.path))
            folder.describe(
                {
                    "ending": "",
                    "step": first_step,
                    "steps": params.steps,
                    "checkpoint": checkpoint.model_name,
                    "started": time.time(),
                    "photos": state.photos,
                    "held_out": state.held_out,
                    "init_text": embedding.init_text or "",
                    "params": dataclasses.asdict(params),
                    "data_folder": str(paths.data),
                }
            )
        write_settings(folder, state, checkpoint)
        save_state(state, folder.states)  # its trial steps may take minutes: killed in them, it goes on as this run
        yield from TrainingLoop(
            model, embeddings, folder, state, learned, held_out, lines, target, paths.log_file
        ).work()


def estimate(model: SDModel, embeddings: EmbeddingDatabase, params: TrainParams, paths: Paths) -> Work:
    """What a run would cost, before it is started: two trial steps on the first usable photos, without a trace.

    Args:
        model, embeddings, params, paths: as for `train`.

    Yields:
        `Status` and `Noticed`, then `Estimated`.

    Raises:
        ParameterError, DatasetError: as `train`.
    """
    embedding, lines = ready(model, embeddings, params, paths)
    params = _with_seeds(params)
    files, enough = photo_files(folder_of(params.data_root, "data_root")), params.batch_size * params.gradient_step
    examples: list[Example] | None = None
    for start in range(0, len(files), enough):
        try:
            examples = yield from _load(model, files[start : start + enough], params)
            break
        except DatasetError:  # none of these few can be used, which says nothing of the others
            if start + enough >= len(files):
                raise
    if examples is None:
        return
    state = _first_state(params, embedding, examples, [], model.checkpoint)
    folder = RunFolder(paths.textual_inversion, params.embedding)
    target = _target(embedding, paths, params)
    yield from TrainingLoop(model, embeddings, folder, state, examples, [], lines, target).estimate()


def ready(
    model: SDModel, embeddings: EmbeddingDatabase, params: TrainParams, paths: Paths
) -> tuple[Embedding, tuple[str, ...]]:
    """The embedding to begin with, and the lines of the template.

    Raises:
        ParameterError: a field that cannot be used.
    """
    plan.check(params, paths)
    embedding = _find(embeddings, model, params)
    plan.check_start(params, embedding.step or 0)
    lines = read_template(params.template, paths.template_folders)
    require_name(lines, params.embedding, model.tokenizer)
    return embedding, lines


def resume(model: SDModel, embeddings: EmbeddingDatabase, path: Path, paths: Paths, data_root: str = "") -> Work:
    """Go on with a run that was stopped, or whose process died. On a CPU the end is the same, bit for bit.

    Args:
        path: the run's folder.
        model, embeddings, paths: as for `train`.
        data_root: where the photos lie by now; empty: where they lay, or at the same place below a data folder that
            was moved.

    Yields, raises: as `train`, and
        FileFormatError: no state is left that can be read.
        ParameterError: the run belongs to another checkpoint, or its photos are gone.
        JobBusy: another process works at it.
    """
    folder = open_run(path).folder
    root = folder.path.parents[1]
    with ExitStack() as stack:
        with starting(root):
            require_free(root, folder.name)
            stack.enter_context(held(folder.path))
        yield from _resume(model, embeddings, path, paths, data_root)


def _resume(model: SDModel, embeddings: EmbeddingDatabase, path: Path, paths: Paths, data_root: str) -> Work:
    folder = open_run(path).folder
    sweep_temporaries(path)
    state, notices = load_state(folder.states)
    name = state.params.embedding
    if name != folder.name:  # the run's files are called by the one, its result by the other
        raise FileFormatError(
            f"“{path.name}” cannot be resumed: its run.json says “{folder.name}”, and its state “{name}”."
        )
    state.origin.check(model.checkpoint)
    params = dataclasses.replace(
        state.params, data_root=photos_now(folder, state.params.data_root, paths.data, data_root)
    )
    state = dataclasses.replace(state, params=params)
    lines = read_template(params.template, paths.template_folders)
    for notice in notices:
        yield Noticed(notice)
    names = [*state.photos, *state.held_out]
    photos = folder_of(params.data_root, "data_root")
    examples = yield from _load(model, [photos / name for name in sorted(names)], params)
    if examples is None:
        return
    by_name = {example.photo.name: example for example in examples}
    learned = [by_name[name] for name in state.photos if name in by_name]
    held_out = [by_name[name] for name in state.held_out if name in by_name]
    if not learned:
        raise DatasetError(f"None of the photos in “{params.data_root}” can be used any more: put them back.")
    if len(learned) < len(state.photos):  # the indices of the batches to come mean other photos now
        state = dataclasses.replace(state, queue=[], photos=[example.photo.name for example in learned])
    digests = _digests(examples)
    if news := replaced(state.digests, digests):
        _log.warning("%s: %s", path.name, news)
        yield Noticed(news)
    for log in folder.logs:
        log.keep_until(state.step)
    folder.go_on(state.step, params.data_root, paths.data)
    here, aside = ([example.photo.name for example in some] for some in (learned, held_out))
    if params.held_out_every and (news := go_on(folder, state.step, here, aside, others(state.digests, digests))):
        _log.warning("%s: %s", path.name, news)
        yield Noticed(news)
    state = dataclasses.replace(state, digests=digests)
    embeddings.refresh()
    now = embeddings.for_width(model.width).get(params.embedding)
    target = _target(now, paths, params)
    yield from TrainingLoop(model, embeddings, folder, state, learned, held_out, lines, target, paths.log_file).work()


def _first_state(
    params: TrainParams,
    embedding: Embedding,
    learned: Sequence[Example],
    held_out: Sequence[Example],
    checkpoint: Checkpoint,
) -> TrainingState:
    first_step = embedding.step or 0
    generator, source = fresh_generators(params.seed)
    return TrainingState(
        params,
        first_step,
        first_step,
        fresh_state(embedding.vectors),
        generator,
        source,
        queue=[],
        photos=[example.photo.name for example in learned],
        held_out=[example.photo.name for example in held_out],
        origin=Origin(checkpoint.short_hash or None, checkpoint.model_name, embedding.init_text),
        digests=_digests([*learned, *held_out]),
    )


def _digests(examples: Iterable[Example]) -> dict[str, str]:
    return {example.photo.name: example.digest for example in examples}


def _load(
    model: SDModel, files: Iterable[Path], params: TrainParams
) -> Generator[Event, Request | None, list[Example] | None]:
    """Encode photos; those that cannot be used are named. None: interrupted.

    Raises:
        DatasetError: none can be used.
    """
    found = yield from encode_files(model, files, params)
    if found is None:
        return None
    examples, refused = found
    if not examples:
        raise DatasetError(f"No photo in “{params.data_root}” can be used. {refusals(refused)}".rstrip())
    if refused:
        yield Noticed(refusals(refused))
    return examples


def _find(embeddings: EmbeddingDatabase, model: SDModel, params: TrainParams) -> Embedding:
    embeddings.refresh()
    found = embeddings.vocabulary(model.width, model.tokenizer).embeddings.get(params.embedding)
    if found is None:
        reasons = [
            entry.reason
            for entry in embeddings.entries(model.width, model.tokenizer)
            if entry.name == params.embedding and entry.reason
        ]
        why = reasons[0] if reasons else "Create it first, or choose another."
        raise ParameterError("embedding", f"“{params.embedding}” cannot be trained: {why}")
    return found


def _with_seeds(params: TrainParams) -> TrainParams:
    seeds = {name: secrets.randbelow(2**32) for name in ("seed", "preview_seed") if getattr(params, name) < 0}
    return dataclasses.replace(params, **seeds)


def _target(embedding: Embedding | None, paths: Paths, params: TrainParams) -> Path:
    """The embedding's own file, or one beside it if training cannot write that format."""
    if embedding and embedding.path and embedding.path.suffix in (".safetensors", ".pt"):
        return embedding.path
    return paths.embeddings / f"{params.embedding}.{params.file_format}"
