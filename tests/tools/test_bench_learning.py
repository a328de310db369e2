"""The bench of learning: fair to both sides, and its sums right. Nothing here draws or trains for long."""

import math
import random
from pathlib import Path
from typing import cast

import pytest
import torch

from modules.embeddings.creation import initial_vectors
from modules.training.dataset import Example
from modules.training.photos import Photo
from modules.training.prompts import PromptMaker, read_template
from modules.training_params import PRESETS, advise
from tests.bench.learning import records, report
from tests.bench.learning.drawing import NAME
from tests.bench.learning.methods import SPOILING
from tests.bench.learning.people import IDENTITY, ONE_AFTERNOON, PHOTOS, PROMPTS, caption, chosen
from tests.bench.learning.plain import WEIGHT_DECAY, train_plainly
from tests.bench.learning.records import Point, Record
from tests.bench.learning.scores import interval
from tests.training.tiny_run import load
from tools.demo_model.judge import CLASSES
from tools.demo_model.world import is_held_out


def test_everybody_is_held_out_and_nobody_tunes_and_counts():
    final, tuning = chosen(6, tuning=False), chosen(4, tuning=True)
    assert all(is_held_out(person.key) for person in final + tuning)
    assert not {*final} & {*tuning}
    assert {person.attributes["style"] for person in final} == {"flat", "cartoon", "ink"}


def test_the_judge_knows_what_is_asked_of_it():
    for person in chosen(6, tuning=False):
        assert all(person.attributes[name] in CLASSES[name] for name in IDENTITY)
    for _, wishes in PROMPTS:
        assert all(value in CLASSES[name] and name not in IDENTITY for name, value in wishes.items())


def test_photos_are_the_same_each_time_and_captions_keep_the_person_untold():
    for person in chosen(5, tuning=False):
        portraits = person.portraits()
        assert len(portraits) == PHOTOS
        assert portraits == person.portraits()
        assert {portrait.person for portrait in portraits} == {person.key}
        words = {word for portrait in portraits for word in caption(portrait).replace(",", "").split()}
        assert not words & {"hair", "skin", "style", "beard", person.attributes["hair"], person.attributes["style"]}


def test_no_judged_prompt_asks_for_what_the_photos_of_one_afternoon_show():
    for _, wishes in PROMPTS:
        assert all(ONE_AFTERNOON.get(name) != value for name, value in wishes.items())
    assert {name for _, wishes in PROMPTS for name in wishes} == {*ONE_AFTERNOON}


def test_no_judged_prompt_is_one_of_training(tmp_path):
    names = {str(advise(20, preset).values["template"]) for preset in PRESETS}
    lines = [line for name in names for line in read_template(name, [tmp_path])]
    captions = [caption(portrait) for person in chosen(5, tuning=False) for portrait in person.portraits()]
    source = random.Random(0)
    trained = {PromptMaker([line], "{}").draw(text, source) for line in lines for text in captions}
    assert not trained & {prompt for prompt, _ in PROMPTS}


@pytest.fixture
def plain_step():
    model = load()
    table = cast(torch.Tensor, model.text_encoder.get_input_embeddings().weight)
    rows = initial_vectors("face", 1, table, model.tokenizer)
    latents = torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(3))
    example = Example(Photo(Path("a.png"), "beach", 0, 0), latents)
    prompts = PromptMaker(["a photo of [name], [filewords]"], NAME)
    before = table.detach().clone()
    after = train_plainly(model, [example], prompts, rows, 0.01, steps=1, batch=1, seed=1)
    assert torch.equal(table, before), "other rows are as they were"
    return rows, after[1]


def test_the_first_plain_step_is_adamws(plain_step):
    rows, after = plain_step
    moved = after - rows * (1 - 0.01 * WEIGHT_DECAY)
    assert torch.allclose(moved.abs(), torch.full_like(moved, 0.01), rtol=1e-2), "sign of the gradient times the rate"


def a_record(
    method: str = "default",
    person: str = "a",
    seed: int = 1,
    tuning: bool = False,
    identities: tuple[float, ...] = (20.0, 60.0, 80.0),
    recommended: int | None = 2,
) -> Record:
    points = [
        Point(step, step * 8, [identity, identity + 2], [90.0], 0.1 - step / 100, 1.0 - step / 10)
        for step, identity in enumerate(identities)
    ]
    return Record("abc", method, person, tuning, 1, 8, 10.0, points, recommended)


def test_a_record_survives_the_disk(tmp_path):
    path = records.path_of(tmp_path, "m", "default", "a", 1)
    records.write(a_record(), path)
    assert records.read_all(tmp_path, "m") == [a_record()]


def test_the_table_compares_run_by_run():
    found = [a_record(), a_record(person="b"), a_record("plain-0.1", identities=(20.0, 50.0, 70.0), recommended=None)]
    text = report.tables(found)
    assert "| default | 2 (2) | 4 | 81.0 (81.0 … 81.0) | 90.0 | 2 | 16 | 10 |" in text
    assert "| default, half of the samples | 2 (2) | 4 | 61.0" in text
    assert "Default with as many samples, minus plain at its end, in 1 pairs of runs: +10.0 points" in text
    assert "half as many samples, minus plain at its end, in 1 pairs of runs: -10.0 points" in text
    assert "on average 0.0 points" in text
    assert "obedience nan" not in text


def test_the_plain_rate_is_chosen_on_tuning_persons_only():
    tuned = [
        a_record(f"plain-{rate}", tuning=True, identities=(0.0, last)) for rate, last in ((0.1, 50.0), (0.2, 60.0))
    ]
    assert report.best_plain([*tuned, a_record("plain-0.1", identities=(0.0, 99.0))]) == "plain-0.2"


def test_spoiled_runs_are_judged_by_their_obedience():
    def run(person: str, obeyed: tuple[float, ...], measured: tuple[float, ...]) -> Record:
        points = [
            Point(step, step * 8, [40.0], [its], 0.1, ours)
            for step, (its, ours) in enumerate(zip(obeyed, measured, strict=True))
        ]
        return Record("abc", SPOILING[0], person, True, 100, 8, 10.0, points, None)

    text = report.spoiled([run("a", (98, 60, 20), (1, 0.5, 0.1)), run("b", (99, 50, 30), (1.1, 0.4, 0.2)), a_record()])
    assert f"| {SPOILING[0]} | 2 | 40.0 | 25.0 | 0.15 |" in text
    assert "over 6 snapshots of 2 runs: **1.00**" in text
    assert "from 20 to 99 points" in text
    assert report.spoiled([a_record()]) == "Nothing is measured yet."


def test_rank_correlation():
    assert report.spearman([1, 2, 3, 4], [10, 20, 30, 40]) == pytest.approx(1)
    assert report.spearman([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1)
    assert report.spearman([1, 1, 2, 3], [5, 5, 6, 7]) == pytest.approx(1), "equal values share a rank"
    assert report.spearman([1, 1, 1], [1, 2, 3]) == 0


def test_the_interval_is_by_person():
    mean, low, high = interval([[50.0] * 10, [70.0] * 10])
    assert (mean, low, high) == (60.0, 50.0, 70.0)
    assert math.isnan(interval([[50.0, 60.0]])[1])


def test_tables_go_between_the_marks(tmp_path):
    document = tmp_path / "learning.md"
    document.write_text(f"# Title\n{report.FIGURES}\nold\n{report.END}\nrest\n")
    report.write(document, "new")
    assert document.read_text() == f"# Title\n{report.FIGURES}\n\nnew\n\n{report.END}\nrest\n"
    document.write_text("# Title\n")
    with pytest.raises(ValueError, match="marks"):
        report.write(document, "new")
