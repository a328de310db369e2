"""Snapshots measured: once each, through interruptions, with and without photos."""

import dataclasses
import functools
import shutil
from pathlib import Path

import pytest

from modules.embeddings.reading import read_embedding
from modules.embeddings.writing import save_embedding
from modules.errors import ParameterError
from modules.events import Noticed, Progressed, Request, SnapshotMeasured
from modules.model.checkpoint import Checkpoint
from modules.paths import Paths
from modules.training import likeness, measure
from modules.training.measure import measure_snapshots, plain_word
from modules.training.measurements import MeasurementFile, read_measurements
from modules.training.obedience import CHANGES, Obedience
from modules.training.run_folder import find_runs
from tests.training.tiny_run import NAME, database, make_embedding, make_photos, pull, small


@pytest.fixture(autouse=True)
def fewer(monkeypatch):
    """How well these are measured, their own tests tell; here a fifteenth of the calls will do."""
    monkeypatch.setattr(measure, "Obedience", functools.partial(Obedience, noises=1, changes=CHANGES[:2]))
    monkeypatch.setattr(likeness, "DRAWINGS", 2)
    monkeypatch.setattr(likeness, "STEPS", 2)


@pytest.fixture(scope="module")
def trained(model, tmp_path_factory):
    """A data folder with a run of three snapshots, steps 0, 2 and 4, and its photos in there; trained once."""
    paths = Paths(data=tmp_path_factory.mktemp("trained"))
    make_embedding(paths)
    pull(model, paths, small(make_photos(paths.data / "photos", 4), held_out_every=2))
    return paths.data.rename(paths.data.with_name("carried"))  # photos are looked for beside the run that is copied


@pytest.fixture
def paths(trained, tmp_path):
    """A copy of it of the test's own."""
    return Paths(data=shutil.copytree(trained, tmp_path / "data"))


@pytest.fixture
def run(paths):
    (found,) = find_runs(paths.textual_inversion)
    return found.folder


@pytest.fixture
def calls(model):
    """Counts the calls of the UNet."""
    counted = []
    hook = model.unet.register_forward_hook(lambda *_: counted.append(1))
    yield counted
    hook.remove()


def measured(model, paths, folder, ask=lambda event: None, **more):
    work = measure_snapshots(model, database(paths), folder.path, paths, **more)
    events, request = [], None
    while True:
        try:
            event = work.send(request)
        except StopIteration:
            return events
        events.append(event)
        request = ask(event)


def of(events, kind):
    return [event for event in events if isinstance(event, kind)]


def test_each_snapshot_is_measured_once(model, paths, run, calls):
    events = measured(model, paths, run)
    told = of(events, SnapshotMeasured)
    assert [event.step for event in told] == [0, 2, 4]
    found = read_measurements(run.path, NAME)
    assert [(one.step, one.held_out, one.obedience) for one in found.values()] == [
        (event.step, event.held_out, event.obedience) for event in told
    ]
    calls.clear()
    assert measured(model, paths, run) == []
    assert not calls


def test_the_loss_is_the_one_of_the_log(model, paths, run):
    """The same pictures, noises and timesteps."""
    measured(model, paths, run)
    logged = [(int(step), loss) for step, loss in run.held_out_log.rows()]
    found = read_measurements(run.path, NAME)
    assert [(step, round(one.held_out or 0, 7)) for step, one in found.items()] == logged


@pytest.mark.parametrize("kind", [Progressed, SnapshotMeasured])
def test_interrupted_it_goes_on(model, paths, run, kind):
    def stop(event):
        return Request.INTERRUPT if isinstance(event, kind) else None

    assert len(of(measured(model, paths, run, stop), SnapshotMeasured)) == 1
    assert list(read_measurements(run.path, NAME)) == [0]
    rest = measured(model, paths, run)
    assert [event.step for event in of(rest, SnapshotMeasured)] == [2, 4]
    again = measured(model, paths, run, word="panda")
    assert len(of(again, SnapshotMeasured)) == 3, "other words are another measure"


def test_other_vectors_under_the_same_name_are_measured_anew(model, paths, run):
    measured(model, paths, run)
    first = read_embedding(run.snapshot(0))
    assert first
    save_embedding(first, run.snapshot(4))
    events = measured(model, paths, run)
    assert [event.step for event in of(events, SnapshotMeasured)] == [4]
    found = read_measurements(run.path, NAME)
    assert found[4].held_out == found[0].held_out


def test_without_photos_the_log_has_to_do(model, paths, run):
    logged = [loss for _, loss in run.held_out_log.rows()]
    shutil.rmtree(paths.data / "photos")
    events = measured(model, paths, run)
    assert "taken from the log" in of(events, Noticed)[0].text
    assert [event.held_out for event in of(events, SnapshotMeasured)] == logged
    assert all(not one.held_out_each for one in read_measurements(run.path, NAME).values())


def test_another_model_is_refused(model, paths, run):
    other = dataclasses.replace(model, checkpoint=Checkpoint(Path("other.safetensors"), "other.safetensors", "cd" * 32))
    with pytest.raises(ParameterError, match="belongs to the checkpoint") as raised:
        measured(other, paths, run)
    assert raised.value.field == "checkpoint"


def test_damaged_snapshots_are_named_and_left_out(model, paths, run):
    run.snapshot(2).write_bytes(b"nothing")
    events = measured(model, paths, run)
    assert "step 2 is left out" in of(events, Noticed)[0].text
    assert [event.step for event in of(events, SnapshotMeasured)] == [0, 4]
    for path in run.snapshots().values():
        path.unlink()
    with pytest.raises(ParameterError, match="no snapshots yet"):
        measured(model, paths, run)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"snapshots": 3}', b'{"conditions": {}, "snapshots": [{}]}'])
def test_a_damaged_file_is_as_none(model, paths, run, content):
    MeasurementFile(run).path.write_bytes(content)
    assert read_measurements(run.path, NAME) == {}
    assert MeasurementFile(run).conditions() is None


@pytest.mark.parametrize(
    ("given", "init_text", "word"),
    [
        ("", "face", "face"),
        ("panda", "face", "panda"),
        ("", "*", "person"),
        (" ", None, "person"),
        ("", "* man", "man"),
    ],
)
def test_the_plain_word(given, init_text, word):
    assert plain_word(given, init_text) == word
