"""What is compared. Each method gets a person and a seed, and gives vectors (or words) after some steps.

words        the initial words alone
description  everything about the person in the model's own words: what vectors can hardly beat
plain-RATE   see `plain`
default      the program as it comes: `advise` for twenty photos of a face
default+F=V  … with a field of `TrainParams` changed, to see what it does
one-sided    … on photos of one afternoon, see `people.photos`; fields as above
"""

import dataclasses
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from modules.embeddings.creation import initial_vectors
from modules.embeddings.database import EmbeddingDatabase
from modules.embeddings.embedding import Embedding
from modules.embeddings.reading import read_embedding
from modules.embeddings.writing import save_embedding
from modules.events import TrainingEnded, TrainingStarted
from modules.model.model import SDModel
from modules.paths import Paths
from modules.training.dataset import Example, encode
from modules.training.measure import measure_snapshots
from modules.training.measurements import Measurement, read_measurements
from modules.training.photos import describe_photo, photo_files
from modules.training.prompts import PromptMaker, read_template
from modules.training.recommend import recommend
from modules.training.run_folder import RunFolder
from modules.training.train import train
from modules.training_params import TrainParams, advise
from tests.bench.learning.drawing import NAME
from tests.bench.learning.people import Person, photos
from tests.bench.learning.plain import train_plainly

VECTORS = 2
SNAPSHOTS = 4  # of a run, besides the one at its start
PLAIN, DEFAULT, ONE_SIDED = "plain-", "default", "one-sided"
SPOILING = (
    f"{DEFAULT}+equal_pull=false+learning_rate=1",
    ONE_SIDED,
    f"{ONE_SIDED}+template=subject.txt",
    f"{ONE_SIDED}+template=subject.txt+learning_rate=0.5",
)
"""Photos and settings that nobody should choose: what is before the wall in all photos is learned with the face."""


@dataclass(frozen=True)
class Budget:
    """How much a run may do.

    Attributes:
        samples: through the UNet, forward and backward.
        batch: samples a step.
    """

    samples: int
    batch: int

    @property
    def steps(self) -> int:
        return self.samples // self.batch


@dataclass(frozen=True, eq=False)
class Trained:
    """What a method came to.

    Attributes:
        vectors: by step, the last one at the end; None: no vectors, the word says it all.
        word: for prompts.
        measured: the program's own measurements by step.
    """

    word: str
    vectors: Mapping[int, Tensor | None]
    seconds: float = 0.0
    recommended: int | None = None
    measured: Mapping[int, Measurement] = dataclasses.field(default_factory=dict)


def run(method: str, model: SDModel, person: Person, seed: int, budget: Budget, work: Path) -> Trained:
    """Do one run of a method.

    Raises:
        ValueError: no such method.
    """
    if method == "words":
        return Trained(person.init_text, {0: None})
    if method == "description":
        return Trained(person.words, {0: None})
    if method.startswith(PLAIN):
        return _plain(model, person, seed, budget, float(method.removeprefix(PLAIN)), work)
    name, *changes = method.split("+")
    if name in (DEFAULT, ONE_SIDED):
        folder = photos(person, work, one_sided=name == ONE_SIDED)
        return _program(model, person, seed, budget, work, folder, dict(change.split("=", 1) for change in changes))
    raise ValueError(f"There is no method {method}.")


def default_params(model: SDModel, budget: Budget) -> dict[str, Any]:
    """What the program advises for twenty photos of a face, at this budget."""
    values = dict(advise(20, "face", model.native_size).values)
    return {**values, **_at(budget)}


def _at(budget: Budget) -> dict[str, Any]:
    every = max(1, budget.steps // SNAPSHOTS)
    return {
        "steps": budget.steps,
        "batch_size": budget.batch,
        "gradient_step": 1,
        "save_embedding_every": every,
        "held_out_every": every,
        "save_state_every": every,
        "create_image_every": 0,
    }


def _plain(model: SDModel, person: Person, seed: int, budget: Budget, rate: float, work: Path) -> Trained:
    width, height = model.native_size
    examples = _examples(model, photos(person, work), TrainParams(width=width, height=height))
    prompts = PromptMaker(read_template(str(_advised("template")), [work]), NAME)
    steps = budget.steps
    kept = {steps // 2, steps}
    started = time.process_time()
    rows = train_plainly(model, examples, prompts, _rows(model, person), rate, steps, budget.batch, seed, kept)
    return Trained(NAME, rows, time.process_time() - started)


def _program(
    model: SDModel, person: Person, seed: int, budget: Budget, work: Path, folder: Path, changes: Mapping[str, str]
) -> Trained:
    home = work / "runs" / "+".join((f"{folder.name}-{seed}", *(f"{key}={text}" for key, text in changes.items())))
    shutil.rmtree(home, ignore_errors=True)
    paths = Paths(data=home)
    start = Embedding(NAME, _rows(model, person), 0, init_text=person.init_text)
    save_embedding(start, paths.embeddings / f"{NAME}.safetensors")
    fields = TrainParams.__dataclass_fields__
    changed = {key: _value(fields[key].default, text) for key, text in changes.items()}
    values = {**default_params(model, budget), **changed}
    params = TrainParams(embedding=NAME, data_root=str(folder), seed=seed, preview_seed=1, **values)
    embeddings = EmbeddingDatabase([paths.embeddings])
    started, run_folder = time.process_time(), None
    for event in train(model, embeddings, params, paths):
        if isinstance(event, TrainingStarted):
            run_folder = RunFolder(event.folder, NAME)
        if isinstance(event, TrainingEnded):
            print(event.sentence, flush=True)
    seconds = time.process_time() - started
    assert run_folder, "it has started"
    for _ in measure_snapshots(model, embeddings, run_folder.path, paths):
        pass
    found = read_measurements(run_folder.path, NAME)
    advice = recommend(found)
    vectors = {step: _read(path) for step, path in run_folder.snapshots().items()}
    return Trained(NAME, vectors, seconds, advice and advice.step, found)


def _rows(model: SDModel, person: Person) -> Tensor:
    table = model.text_encoder.get_input_embeddings().weight
    return initial_vectors(person.init_text, VECTORS, table, model.tokenizer)  # type: ignore[arg-type]


def _examples(model: SDModel, folder: Path, params: TrainParams) -> Sequence[Example]:
    work = encode(model, [describe_photo(path) for path in photo_files(folder)], params)
    try:
        while True:
            next(work)
    except StopIteration as end:
        return end.value[0]


def _advised(name: str) -> object:
    return advise(20, "face").values[name]


def _read(path: Path) -> Tensor:
    embedding = read_embedding(path)
    assert embedding, "a snapshot"
    return embedding.vectors


def _value(default: object, text: str) -> Any:
    return text if isinstance(default, str) else json.loads(text)
