"""States written, read back, damaged."""

import json
import random
from pathlib import Path

import pytest
import torch

from modules.errors import FileFormatError, ParameterError
from modules.model.checkpoint import Checkpoint
from modules.training.state import Origin, TrainingState, fresh_generators, load_state, read_state, save_state
from modules.training.textual_inversion import OptimiserState
from modules.training_params import TrainParams


def state(step: int = 3) -> TrainingState:
    generator, source = fresh_generators(5)
    tensors = torch.randn(3, 2, 72, generator=torch.Generator().manual_seed(step))
    return TrainingState(
        TrainParams(embedding="me", seed=5),
        step,
        1,
        OptimiserState(*tensors, updates=2, loss_scale=512.0, scale_age=7),
        generator,
        source,
        queue=[[1, 0], [2, 3]],
        photos=["ä.png", "b.png"],
        held_out=["c.png"],
        rate_factor=0.25,
        steps_back=2,
        smoothed_loss=0.1 + 0.2,
        origin=Origin("ab", "model", "face"),
        digests={"ä.png": "ab" * 32},
    )


def test_everything_comes_back(tmp_path):
    saved = state()
    read = read_state(save_state(saved, tmp_path))
    for name in ("params", "step", "first_step", "source", "queue", "photos", "held_out", "rate_factor", "steps_back"):
        assert getattr(read, name) == getattr(saved, name)
    assert (read.smoothed_loss, read.origin, read.digests) == (saved.smoothed_loss, saved.origin, saved.digests)
    assert torch.equal(read.generator, saved.generator)
    for name in ("vectors", "mean", "variance"):
        assert torch.equal(getattr(read.optimiser, name), getattr(saved.optimiser, name))
    assert (read.optimiser.updates, read.optimiser.loss_scale, read.optimiser.scale_age) == (2, 512.0, 7)
    random.Random().setstate(read.source)


def test_a_state_from_before_the_digests_is_read(tmp_path, monkeypatch):
    dumps = json.dumps
    monkeypatch.setattr(
        json, "dumps", lambda numbers: dumps({key: numbers[key] for key in numbers if key != "digests"})
    )
    assert read_state(save_state(state(), tmp_path)).digests == {}


def test_two_are_kept_by_step(tmp_path):
    for step in (2, 10, 9):
        save_state(state(step), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state-10.safetensors", "state-9.safetensors"]
    assert load_state(tmp_path)[0].step == 10


def test_damage_is_seen_and_the_one_before_is_used(tmp_path):
    save_state(state(2), tmp_path)
    newest = save_state(state(4), tmp_path)
    whole = newest.read_bytes()
    source = random.Random(0)
    for _ in range(20):
        damaged = bytearray(whole)
        damaged[source.randrange(len(whole))] ^= 1 << source.randrange(8)
        newest.write_bytes(damaged)
        loaded, notices = load_state(tmp_path)
        # a flipped bit in the header may be one that says nothing: then the state is the whole one
        assert loaded.step == 2 if notices else torch.equal(loaded.optimiser.vectors, state(4).optimiser.vectors)
    newest.write_bytes(whole[: len(whole) // 2])
    loaded, notices = load_state(tmp_path)
    assert loaded.step == 2
    assert "The one before is used." in notices[0]
    flipped = bytearray(whole)
    flipped[-1] ^= 1
    newest.write_bytes(flipped)
    with pytest.raises(FileFormatError, match="damaged"):
        read_state(newest)


@pytest.mark.parametrize(
    ("name", "sha256", "words"),
    [
        ("model", "ab" * 32, None),
        ("model", "", None),
        ("other", "cd" * 32, "belongs to the checkpoint “model”"),
        ("model", "cd" * 32, "its hash was ababababab and is cdcdcdcdcd. Put the old file back"),
    ],
)
def test_a_run_goes_on_with_its_own_checkpoint_only(name, sha256, words):
    origin, now = Origin("ab" * 5, "model", "face"), Checkpoint(Path(f"{name}.safetensors"), name, sha256)
    if words is None:
        origin.check(now)
        return
    with pytest.raises(ParameterError, match=words) as raised:
        origin.check(now)
    assert raised.value.field == "checkpoint"


def test_nothing_to_resume_from(tmp_path):
    with pytest.raises(FileFormatError, match="no state"):
        load_state(tmp_path)
