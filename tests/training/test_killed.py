"""K1 to K3, K6: killed at any moment, a run loses at most one save interval and ends the same, bit for bit."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from modules.embeddings.embedding import Embedding
from modules.embeddings.reading import read_embedding
from modules.files import TEMPORARY_SUFFIX
from modules.paths import PROGRAM
from modules.training.run_folder import RunFolder, find_runs
from modules.training.state import load_state, read_state
from tests.training.killed import PLACES, SAVE_EVERY, SIGNALS, STEPS
from tests.training.tiny_run import NAME

PATIENCE = 600.0  # seconds: ten times what all lives took on a busy machine


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("killed")


@pytest.fixture(scope="module")
def lives(root) -> list[dict]:
    command = [sys.executable, "-m", "tests.training.killed", str(root)]
    ended = subprocess.run(command, cwd=PROGRAM, capture_output=True, text=True, timeout=PATIENCE)
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


def read(path: Path) -> Embedding:
    embedding = read_embedding(path)
    assert embedding
    return embedding


def run_folder(root: Path, name: str) -> RunFolder:
    run, *stillborn = find_runs(root / name / "textual_inversion")  # a busy machine may be killed before the first save
    assert not any(other.is_unfinished for other in stillborn)
    return run.folder


@pytest.mark.parametrize("name", ["signals", "saves"])
def test_no_life_loses_more_than_an_interval(lives, name):
    told = [life for life in lives if life["name"] == name]
    assert [life["ended"] for life in told] == [False] * (len(told) - 1) + [True]
    assert len(told) == 1 + {"signals": SIGNALS, "saves": len(PLACES)}[name]
    saved = reached = 0
    for life in told:
        if life["from"] is not None:  # else it was killed before it could say where it begins
            assert life["from"] >= saved
            assert reached - life["from"] <= SAVE_EVERY
            reached = life["reached"] or life["from"]
        saved = max(saved, life["saved"] or 0)
        assert (life["found"] or 0) >= saved


def test_signals_came_at_all_sorts_of_moments(lives):
    """Before the start, between a step and its save, after a save: else the seed is a poor one."""
    told = [life for life in lives if life["name"] == "signals" and not life["ended"]]
    assert any(life["from"] is None for life in told)
    assert any(life["reached"] and life["reached"] % SAVE_EVERY for life in told)
    assert any(life["saved"] for life in told)


@pytest.mark.parametrize("name", ["signals", "saves"])
def test_the_end_is_the_same_bit_for_bit(lives, root, name):
    whole, killed = run_folder(root, "whole"), run_folder(root, name)
    ends = [load_state(folder.states)[0] for folder in (whole, killed)]
    assert [state.step for state in ends] == [STEPS, STEPS]
    for part in ("vectors", "mean", "variance"):
        assert torch.equal(getattr(ends[0].optimiser, part), getattr(ends[1].optimiser, part))
    assert torch.equal(ends[0].generator, ends[1].generator)
    assert (ends[0].source, ends[0].queue) == (ends[1].source, ends[1].queue)
    assert killed.loss_log.path.read_bytes() == whole.loss_log.path.read_bytes()
    assert killed.held_out_log.path.read_bytes() == whole.held_out_log.path.read_bytes()
    assert list(killed.snapshots()) == list(whole.snapshots())
    for step, path in whole.snapshots().items():
        assert torch.equal(read(path).vectors, read(killed.snapshots()[step]).vectors)


@pytest.mark.parametrize("name", ["signals", "saves"])
def test_nothing_is_torn_and_nothing_is_left_behind(lives, root, name):
    folder = run_folder(root, name).path
    for path in folder.rglob("*"):
        assert not path.name.endswith(TEMPORARY_SUFFIX)
        if path.parent.name == "states":
            read_state(path)
        elif path.suffix == ".safetensors":
            assert read(path).name.startswith(NAME)
        elif path.suffix == ".json":
            json.loads(path.read_bytes())
        elif path.suffix == ".png":
            Image.open(path).verify()
    assert len(list((folder / "states").iterdir())) == 2
    rows = RunFolder(folder, NAME).loss_log.path.read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["step", *map(str, range(1, STEPS + 1))]
    assert STEPS % SAVE_EVERY == 0
