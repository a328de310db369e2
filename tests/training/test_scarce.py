"""D1 to D4: no room on the disk, no right to write, no memory, no numbers. What was won before is kept."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from modules import files
from modules.errors import StorageError
from modules.events import Ending, Noticed, Previewed, StateSaved, Trained, TrainingEnded
from modules.paths import Paths
from modules.training.run_folder import find_runs
from modules.training.train import train
from tests.test_files import FullDisk
from tests.training.tiny_run import NAME, database, embedding_of, make_embedding, pull, pull_resumed, small

NO_MEMORY = RuntimeError("[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: can't allocate memory: you tried")


@contextmanager
def spoiled(module: torch.nn.Module, error: Exception | None) -> Iterator[None]:
    """What the module answers is no number, or it does not answer at all."""

    def hook(module: object, args: object, output: Any) -> Any:
        if error is not None:
            raise error
        return output * float("nan")

    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@pytest.mark.parametrize("room", [0, 100])
def test_a_disk_that_fills_up_ends_the_run_and_it_goes_on_later(model, paths, photos, monkeypatch, room):
    whole = pull(model, paths, small(photos, steps=6))
    make_embedding(paths)
    with monkeypatch.context() as patch:

        def fill(event):
            if isinstance(event, Trained) and event.step == 3:
                patch.setattr(FullDisk, "room", room)
                patch.setattr(files, "open", lambda path, mode: io.BufferedWriter(FullDisk(path, mode)), raising=False)

        part = pull(model, paths, small(photos, steps=6), ask=fill, error=StorageError)
    assert part.ended.kind is Ending.FAILED
    assert part.ended.sentence.startswith("Disk full: “")
    assert "It needs " in part.ended.sentence
    assert [event.step for event in part.of(StateSaved)] == [0, 2]
    assert torch.equal(embedding_of(paths.embeddings / f"{NAME}.safetensors").vectors, part.before)
    rest = pull_resumed(model, paths, part.folder.path)
    assert rest.of(Trained)[0].step == 3
    assert torch.equal(rest.after, whole.after)
    assert rest.folder.loss_log.path.read_bytes() == whole.folder.loss_log.path.read_bytes()


def test_a_place_that_cannot_be_written_is_found_before_the_first_step(model, tmp_path, photos):
    """Learned from a foreign file, the vectors would go into a folder that is none: told now, not after the run."""
    elsewhere, paths = Paths(data=tmp_path / "elsewhere"), Paths(data=tmp_path / "data")
    source = make_embedding(elsewhere)
    torch.save({NAME: embedding_of(source).vectors}, source.with_suffix(".bin"))
    source.unlink()
    paths.embeddings.parent.mkdir(parents=True)
    paths.embeddings.write_text("in the way")
    with pytest.raises(StorageError, match=rf"“{NAME}\.safetensors” could not be written to .*embeddings"):
        next(train(model, database(elsewhere), small(photos), paths))
    assert not paths.textual_inversion.exists()


def test_the_question_whether_a_folder_can_be_written_leaves_nothing_there(tmp_path):
    files.require_writable(tmp_path / "new" / "file")
    assert not any((tmp_path / "new").iterdir())


@pytest.mark.parametrize("error", [None, NO_MEMORY, MemoryError()], ids=["NaN", "torch's memory", "memory"])
def test_a_sample_that_cannot_be_drawn_is_told_and_ends_no_run(model, paths, photos, error):
    plain = pull(model, paths, small(photos))
    make_embedding(paths)
    with spoiled(model.vae.decoder, error):
        run = pull(model, paths, small(photos, create_image_every=4))
    told = [event.text for event in run.of(Noticed)]
    assert [text.partition(";")[0] for text in told] == ["No sample after 0 steps", "No sample after 4 steps"]
    assert ("memory" if error else "NaN") in told[0]
    assert not run.of(Previewed)
    assert not list(run.folder.path.rglob("*.png"))
    assert run.of(TrainingEnded)[0].kind is Ending.FINISHED
    assert run.losses == plain.losses


def test_a_mistake_of_ours_in_a_sample_is_not_covered_up(model, paths, photos):
    with spoiled(model.vae.decoder, RuntimeError("a bug")):
        pull(model, paths, small(photos, create_image_every=4), error=RuntimeError)


def test_no_memory_for_a_step_is_told_and_the_run_goes_on_later(model, paths, photos):
    with spoiled(model.unet, NO_MEMORY):
        part = pull(model, paths, small(photos), error=RuntimeError)
    assert (part.ended.kind, part.ended.step) == (Ending.FAILED, 0)
    assert part.ended.sentence.startswith("Out of memory: choose a smaller size or batch")
    (run,) = find_runs(paths.textual_inversion)
    assert not any(parameter.requires_grad for parameter in model.unet.parameters())
    assert len(run.folder.snapshots()) == 1


def test_a_run_whose_description_is_taken_away_meanwhile_ends_as_any_other(model, paths, photos):
    """It had saved the embedding, and was told as failed."""

    def take_away(event):
        if isinstance(event, Trained) and event.step == 1:
            (find_runs(paths.textual_inversion)[0].folder.path / "run.json").unlink()

    run = pull(model, paths, small(photos, steps=2), ask=take_away)
    assert run.ended.kind is Ending.FINISHED
    again = find_runs(paths.textual_inversion)[0]
    assert (again.ending, again.step, again.steps) == (Ending.FINISHED, 2, 2)


def test_an_embedding_that_cannot_be_read_is_not_written_over(model, paths, photos):
    target = paths.embeddings / f"{NAME}.safetensors"

    def spoil(event):
        if isinstance(event, Trained) and event.step == 1:
            target.unlink()
            target.mkdir()

    run = pull(model, paths, small(photos, steps=2), ask=spoil, error=StorageError)
    assert f"“{target.name}”" in str(run.error)
    assert run.ended.kind is Ending.FAILED
    assert run.ended.sentence == f"{run.error} The vectors after 2 steps are kept in {NAME}-2.safetensors."
    assert find_runs(paths.textual_inversion)[0].may_go_on
