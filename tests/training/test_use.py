"""A snapshot put into use, what it takes the place of, and the way back. No model is needed for that."""

import errno
import os

import pytest
import torch

from modules.app import App
from modules.embeddings.embedding import Embedding
from modules.embeddings.reading import read_embedding
from modules.embeddings.writing import save_embedding
from modules.errors import FileFormatError, JobBusy, ParameterError, StorageError
from modules.events import EmbeddingSaved
from modules.paths import Paths
from modules.prompts.tokenizer import clip_tokenizer
from modules.training.run_folder import RunFolder
from modules.training.use import undo_use, use_snapshot
from modules.training.uses import last_use, taken
from tests.hosted import ON_CPU
from tests.training.tiny_run import another_process, database

NAME = "realbenny-t2"


@pytest.fixture
def paths(tmp_path):
    paths = Paths(data=tmp_path / "data")
    paths.embeddings.mkdir(parents=True)
    return paths


@pytest.fixture
def run(paths):
    folder = RunFolder(paths.textual_inversion / "2026-01-01" / NAME, NAME)
    for step in (0, 300):
        vectors = torch.full((2, 72), float(step))
        save_embedding(Embedding(f"{NAME}-{step}", vectors, step, "ab", "tiny", "face", "d"), folder.snapshot(step))
    folder.describe({"ending": "finished", "step": 300, "steps": 300, "checkpoint": "tiny", "started": 1.0})
    return folder


def use(paths, run, step=300, name=NAME, **more):
    (event,) = use_snapshot(database(paths), paths.embeddings, run.path, step, name, clip_tokenizer(), **more)
    assert isinstance(event, EmbeddingSaved)
    return event


def undo(paths, run):
    (event,) = undo_use(database(paths), run.path)
    assert isinstance(event, EmbeddingSaved)
    return event


def test_what_another_process_trains_is_left_alone(paths, run):
    app = App(paths, None, ON_CPU)
    with (
        another_process(run.path) as process,
        pytest.raises(JobBusy, match=f"is being trained already, by process {process} .run 2026-01-01/{NAME}"),
    ):
        app.training.use_snapshot(run.path, 300, NAME.title(), overwrite=True)
    assert not app.jobs.jobs()
    assert app.stop()


def test_it_acts_under_its_name(paths, run):
    embeddings = database(paths)
    list(use_snapshot(embeddings, paths.embeddings, run.path, 300, "benny-t2", clip_tokenizer()))
    found = embeddings.for_width(72)["benny-t2"]
    assert (found.step, found.checkpoint_name, found.init_text) == (300, "tiny", "face")
    assert torch.equal(found.vectors, torch.full((2, 72), 300.0))
    used = last_use(run)
    assert used
    assert (used.name, used.step, used.path) == ("benny-t2", 300, paths.embeddings / "benny-t2.safetensors")
    undo(paths, run)
    assert list(paths.embeddings.iterdir()) == []
    assert last_use(run) is None


def test_what_it_takes_the_place_of_is_kept_and_comes_back(paths, run):
    (paths.embeddings / "old").mkdir()
    older = [paths.embeddings / f"{NAME}.safetensors", paths.embeddings / "old" / f"{NAME.upper()}.pt"]
    for place, path in enumerate(older):
        save_embedding(Embedding(path.stem, torch.full((1, 72), float(place + 1))), path)
    before = {path: path.read_bytes() for path in older}
    with pytest.raises(ParameterError, match="is there already") as raised:
        use(paths, run)
    assert raised.value.field == "name"
    assert taken(paths.embeddings, NAME) == sorted(older)
    (paths.embeddings / f"{NAME}.safetensors.bak").write_bytes(b"an older backup")
    event = use(paths, run, overwrite=True)
    assert "keeps what was there" in event.text
    assert taken(paths.embeddings, NAME) == [older[0]]
    embedding = read_embedding(older[0])
    assert embedding
    assert embedding.step == 300
    undo(paths, run)
    assert {path: path.read_bytes() for path in older} == before
    assert (paths.embeddings / f"{NAME}.safetensors.bak").read_bytes() == b"an older backup"


def test_a_file_that_was_changed_since_is_not_thrown_away(paths, run):
    event = use(paths, run)
    event.path.write_bytes(b"trained on")
    with pytest.raises(ParameterError, match="changed since"):
        undo(paths, run)
    assert event.path.read_bytes() == b"trained on"


@pytest.mark.parametrize("name", ["", "../x", "con", "a/b", ".x"])
def test_names_that_cannot_be(paths, run, name):
    with pytest.raises(ParameterError) as raised:
        use(paths, run, name=name)
    assert raised.value.field == "name"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("woman", "ordinary word"),
        ("BREAK", "reads as a command"),
        ("anna - t1", "the same as “anna-t1”"),
        ("anna-t10", "begins with “anna-t1”"),
    ],
)
def test_names_that_prompts_would_mistake(paths, run, name, words):
    save_embedding(Embedding("anna-t1", torch.ones(1, 1024)), paths.embeddings / "anna-t1.safetensors")
    with pytest.raises(ParameterError, match=words) as raised:
        use(paths, run, name=name)
    assert raised.value.field == "name"


def test_a_word_that_is_there_or_was_trained_may_be_used(paths, run):
    save_embedding(Embedding("woman", torch.ones(1, 72)), paths.embeddings / "woman.safetensors")
    use(paths, run, name="woman", overwrite=True)
    run.describe({**run.about(), "name": "man"})
    (paths.textual_inversion / "2026-01-01" / NAME / "embeddings" / f"{NAME}-300.safetensors").rename(
        RunFolder(run.path, "man").snapshot(300)
    )
    use(paths, run, name="man")


def test_what_is_not_there(paths, run, tmp_path):
    with pytest.raises(ParameterError, match="no snapshot of step 7"):
        use(paths, run, step=7)
    with pytest.raises(ParameterError, match="nothing to undo"):
        undo(paths, run)
    with pytest.raises(FileFormatError):
        list(use_snapshot(database(paths), paths.embeddings, tmp_path, 300, NAME, clip_tokenizer()))


def test_a_full_disk_leaves_everything_as_it_was(paths, run, monkeypatch):
    path = paths.embeddings / f"{NAME}.safetensors"
    save_embedding(Embedding(NAME, torch.ones(1, 72)), path)
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="Disk full"):
        use(paths, run, overwrite=True)
    assert path.read_bytes() == before
    assert list(paths.embeddings.iterdir()) == [path]
    assert last_use(run) is None
