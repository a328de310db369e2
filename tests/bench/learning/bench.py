"""The work list of the bench, done in processes; each result is written down at once and never made twice."""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch
from diffusers.models.attention_processor import AttnProcessor

from modules.model.checkpoint import Checkpoint
from modules.model.device import DevicePolicy, computes_bf16
from modules.model.hashes import sha256_of
from modules.model.loader import load_model
from modules.model.model import SDModel
from modules.paths import PROGRAM
from tests.bench.learning import methods, records, report
from tests.bench.learning.methods import PLAIN, Budget
from tests.bench.learning.people import Person, chosen, photos
from tests.bench.learning.records import Point, Record
from tests.bench.learning.scores import judged
from tools.demo_model.judge import Judge, load_judge
from tools.demo_model.networks import autocast

WORK = PROGRAM / "tools" / "demo_model" / "work" / "learning"
SHIPPED = PROGRAM / "models" / "Stable-diffusion" / "demo-portraits.safetensors"
RATES = (0.02, 0.06, 0.2)  # of the plain algorithm; one is chosen on the tuning persons
SAMPLER_STEPS = 8  # eight judge as twenty do: see docs/learning.md
PICTURES = 4  # of each of the eight prompts, with the same seeds for every snapshot, so that snapshots can be compared
FIRST_SEED_OF_TUNING = 100


@dataclass(frozen=True)
class Task:
    """One run that is to be done."""

    method: str
    person: Person
    tuning: bool
    seed: int


@dataclass(frozen=True)
class Plan:
    """What a call of the bench does; what is done already is not done again."""

    model: Path
    work: Path
    persons: int
    seeds: int
    tuning_persons: int
    budget: Budget
    pictures: int  # of each prompt, for each snapshot

    @property
    def name(self) -> str:
        """Of the folder of results: figures of other models and budgets never mix."""
        return f"{sha256_of([self.model])[:10]}-{self.budget.samples}x{self.budget.batch}"


def main(arguments: Sequence[str]) -> int:
    """Run the bench, print the tables. Returns the exit code: 0 when everything is measured."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench learning",
        description="Train embeddings of held-out persons on the demo model and judge them. Stop it whenever you like: "
        "the same command goes on.",
    )
    parser.add_argument("--model", type=Path, default=SHIPPED, help="a checkpoint of the demo model's kind")
    parser.add_argument("--work", type=Path, default=WORK, help="where photos, runs and results are kept")
    parser.add_argument("--persons", type=int, default=5, help="persons of the table")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each person")
    parser.add_argument("--tuning-persons", type=int, default=2, help="persons that the plain rate is chosen on")
    parser.add_argument("--samples", type=int, default=800, help="through the UNet in each run")
    parser.add_argument("--batch", type=int, default=8, help="samples a step")
    parser.add_argument("--quick", action="store_true", help="one person, one seed, few pictures: does it work at all?")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument(
        "--only", nargs="+", metavar="METHOD", help="these methods, on the tuning persons: to try things"
    )
    parser.add_argument(
        "--spoil", action="store_true", help="runs that ruin the embedding: is it seen that prompts are not obeyed?"
    )
    parser.add_argument("--report", action="store_true", help="measure nothing, print what there is")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the tables between the marks of this document")
    given = parser.parse_args(arguments)
    quick = given.quick
    plan = Plan(
        given.model.expanduser().absolute(),
        given.work.expanduser().absolute(),
        1 if quick else given.persons,
        1 if quick else given.seeds,
        1 if quick else given.tuning_persons,
        Budget(64 if quick else given.samples, given.batch),
        1 if quick else PICTURES,
    )
    if not given.report:
        if given.only or given.spoil:
            _do(plan, list(_tuning(plan, given.only or methods.SPOILING)), given.processes)
        else:
            _do(plan, list(_tuning(plan, [f"{PLAIN}{rate:g}" for rate in RATES])), given.processes)
            _do(plan, list(_comparison(plan)), given.processes)
    found = records.read_all(plan.work, plan.name)
    text = report.spoiled(found) if given.spoil else report.tables(found)
    print(text)
    if given.write:
        report.write(given.write, text, report.SPOILED if given.spoil else report.FIGURES)
    return 0 if given.only or given.spoil or report.is_complete(found, plan.persons * plan.seeds) else 1


def _tuning(plan: Plan, wanted: Sequence[str]) -> Iterator[Task]:
    for person in chosen(plan.tuning_persons, tuning=True):
        for method in wanted:
            yield Task(method, person, True, FIRST_SEED_OF_TUNING)


def _comparison(plan: Plan) -> Iterator[Task]:
    """Seed by seed, so that a bench that is stopped has something of everybody."""
    plain = report.best_plain(records.read_all(plan.work, plan.name))
    assert plain, "the rates have been tried"
    for seed in range(1, plan.seeds + 1):
        for person in chosen(plan.persons, tuning=False):
            if seed == 1:
                yield Task("words", person, False, 1)
                yield Task("description", person, False, 1)
            yield Task(methods.DEFAULT, person, False, seed)
            yield Task(plain, person, False, seed)


def _do(plan: Plan, tasks: Sequence[Task], processes: int) -> None:
    left = [task for task in tasks if not _path(plan, task).exists()]
    for person, one_sided in {(task.person, task.method.startswith(methods.ONE_SIDED)) for task in left}:
        photos(person, plan.work, one_sided)  # one Node at a time
    if not left:
        return
    with ProcessPoolExecutor(
        min(processes, len(left)), mp_context=get_context("spawn"), initializer=_begin, initargs=(plan,)
    ) as pool:
        for task, told in zip(left, pool.map(_one, left), strict=True):
            print(f"{task.method:20} {task.person.key:32} seed {task.seed}: {told}", flush=True)


def _path(plan: Plan, task: Task) -> Path:
    return records.path_of(plan.work, plan.name, task.method, task.person.slug, task.seed)


_worker: tuple[Plan, SDModel, Judge] | None = None


def _begin(plan: Plan) -> None:
    """What every process does once."""
    global _worker
    torch.set_num_threads(1)
    if hasattr(os, "nice"):
        os.nice(10)
    model = load_model(
        Checkpoint(plan.model, plan.model.name, sha256_of([plan.model])), DevicePolicy(torch.device("cpu"))
    )
    if computes_bf16():  # a core does twice as much so, for all methods alike; the gradient is the same (cosine 0.9999)
        model.unet.set_attn_processor(AttnProcessor())
        model.text_encoder.set_attn_implementation("eager")
    _worker = plan, model, load_judge()


def _one(task: Task) -> str:
    """Do one run, judge it, write it down. Returns a line about it."""
    assert _worker, "begun"
    plan, model, judge = _worker
    with autocast("cpu"):
        return _measured(task, plan, model, judge)


def _measured(task: Task, plan: Plan, model: SDModel, judge: Judge) -> str:
    trained = methods.run(task.method, model, task.person, task.seed, plan.budget, plan.work)
    points = []
    for step, vectors in sorted(trained.vectors.items()):
        scores = judged(model, judge, task.person, trained.word, vectors, plan.pictures, SAMPLER_STEPS)
        known = trained.measured.get(step)
        its = (known.held_out, known.obedience, known.likeness) if known else (None, None, None)
        points.append(Point(step, step * plan.budget.batch, scores.identity, scores.obedience, *its))
    record = Record(
        model.checkpoint.short_hash,
        task.method,
        task.person.key,
        task.tuning,
        task.seed,
        plan.budget.batch,
        trained.seconds,
        points,
        trained.recommended,
    )
    records.write(record, _path(plan, task))
    end = points[-1]
    identity, obedience = (sum(values) / len(values) for values in (end.identity, end.obedience))
    return f"identity {identity:.1f}, obedience {obedience:.1f}, {trained.seconds:.0f} s"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
