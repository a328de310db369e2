"""Whole runs on the tiny model: what they write, how they end, what they can be asked."""

import json
import math
import os
import shutil
import sys

import pytest
import torch
from PIL import Image

from modules.errors import DatasetError, FileFormatError, ParameterError, StorageError, TrainingDiverged
from modules.events import (
    Ending,
    Estimated,
    HealthChecked,
    HeldOut,
    ImageDone,
    Noticed,
    Previewed,
    Request,
    SnapshotSaved,
    StateSaved,
    Status,
    Trained,
    TrainingEnded,
    TrainingStarted,
)
from modules.files import write_atomically
from modules.training.run_folder import RunFolder, find_runs
from modules.training.state import load_state
from modules.training.textual_inversion import Outcome, TextualInversion
from modules.training.train import train
from tests.forbidden_ops import forbidden_ops
from tests.training.tiny_run import (
    NAME,
    Pulled,
    database,
    embedding_of,
    make_embedding,
    make_photos,
    pull,
    pull_resumed,
    small,
)


def test_a_run_from_start_to_end(model, paths, photos):
    with forbidden_ops():
        run = pull(model, paths, small(photos, create_image_every=2, held_out_every=4))
    started, ended = run.of(TrainingStarted)[0], run.of(TrainingEnded)[0]
    assert (started.first_step, started.steps, started.photos, started.held_out) == (0, 4, 4, 0)
    assert Status("encoding photo 4 of 4") in run.events
    assert run.of(Estimated)[0].seconds_per_step > 0
    assert [event.step for event in run.of(Trained)] == [1, 2, 3, 4]
    assert [event.step for event in run.of(SnapshotSaved)] == [0, 2, 4]
    assert [event.step for event in run.of(StateSaved)] == [0, 2, 4]
    assert [event.step for event in run.of(Previewed)] == [0, 2, 4]
    assert [event.step for event in run.of(HeldOut)] == [0, 4]
    assert run.events[-1] is ended
    assert (ended.kind, ended.step) == (Ending.FINISHED, 4)
    assert ended.sentence == f"Training finished at 4 steps. Embedding saved to {ended.path}."

    folder = RunFolder(started.folder, NAME)
    assert list(folder.snapshots()) == list(folder.samples()) == [0, 2, 4]
    last = embedding_of(folder.snapshot(4))
    installed = embedding_of(paths.embeddings / f"{NAME}.safetensors")
    assert torch.equal(installed.vectors, last.vectors)
    assert (last.step, last.name, installed.name) == (4, f"{NAME}-4", NAME)
    assert (last.checkpoint_name, last.checkpoint_hash, last.init_text) == ("tiny-sd15", "ab" * 5, "face")
    assert torch.equal(embedding_of(folder.snapshot(0)).vectors, run.before)
    assert embedding_of(folder.card(4)).step == 4
    rows = folder.loss_log.rows()
    assert [row[:3] for row in rows] == [(1, 0, 0), (2, 0, 1), (3, 0, 2), (4, 0, 3)]
    assert [row[3] for row in rows] == pytest.approx([event.loss for event in run.of(Trained)], abs=1e-7)
    assert [row[0] for row in folder.held_out_log.rows()] == [0, 4]
    settings = json.loads(next(folder.path.glob("settings-*.json")).read_bytes())
    assert (settings["embedding_name"], settings["training_width"], settings["initial_step"]) == (NAME, 64, 0)
    assert find_runs(paths.textual_inversion)[0].ending == Ending.FINISHED
    assert not find_runs(paths.textual_inversion)[0].is_unfinished


def test_a_run_can_be_resumed_from_its_beginning_on(model, paths, photos):
    """Killed in its trial steps, before anything is due to be saved, it keeps its place and the seeds it drew."""
    work = train(model, database(paths), small(photos, seed=-1), paths)
    started = next(event for event in work if isinstance(event, TrainingStarted))
    folder = RunFolder(started.folder, NAME)
    state, _ = load_state(folder.states)
    assert (state.step, state.params.seed) == (0, folder.about()["params"]["seed"])
    work.close()


def test_samples_are_what_txt2img_draws(model, paths, photos, tmp_path):
    """With the snapshot of that step under the embedding's name, and with the same settings: the same pixels."""
    from modules.generation.outputs import OutputFolder
    from modules.generation.txt2img import txt2img
    from modules.images import open_image
    from modules.model.conditioning import Conditioner
    from modules.training.preview import preview_params

    params = small(photos, create_image_every=2, preview_seed=5, preview_prompt=f"a {NAME} (wave:1.2)", steps=2)
    run = pull(model, paths, params)
    sample = run.of(Previewed)[-1]
    outputs = OutputFolder(tmp_path / "again", tmp_path / "grids")
    again = list(txt2img(Conditioner(model, database(paths)), preview_params(params, ""), outputs))[-1]
    assert isinstance(again, ImageDone)
    assert open_image(again.path).tobytes() == open_image(sample.path).tobytes()
    assert sample.infotext.splitlines()[0] == f"a {NAME} (wave:1.2)"
    first = run.of(Previewed)[0]
    assert open_image(first.path).tobytes() != open_image(sample.path).tobytes()


def test_samples_and_measurements_change_nothing(model, paths, photos):
    plain = pull(model, paths, small(photos))
    paths_again = make_embedding(paths)
    busy = pull(model, paths, small(photos, create_image_every=2, held_out_every=2))
    assert paths_again.exists()
    assert plain.losses == busy.losses
    assert torch.equal(plain.after, busy.after)


def test_the_seed_decides_everything(model, paths, photos):
    first = pull(model, paths, small(photos))
    make_embedding(paths)
    other = pull(model, paths, small(photos, seed=8))
    assert first.losses != other.losses


def test_stopped_keeps_and_resumed_ends_the_same(model, paths, photos):
    whole = pull(model, paths, small(photos, steps=5, held_out_every=2, learning_rate="0.01:3, 0.005"))
    make_embedding(paths)

    def stop(event):
        return Request.INTERRUPT if isinstance(event, Trained) and event.step == 3 else None

    params = small(photos, steps=5, held_out_every=2, learning_rate="0.01:3, 0.005")
    part = pull(model, paths, params, ask=stop)
    ended = part.of(TrainingEnded)[0]
    assert (ended.kind, ended.step) == (Ending.STOPPED, 3)
    assert ended.sentence.startswith("Training interrupted at 3 steps. Embedding saved to ")
    assert embedding_of(paths.embeddings / f"{NAME}.safetensors").step == 3
    run = find_runs(paths.textual_inversion)[0]
    assert (run.ending, run.step, run.is_unfinished) == (Ending.STOPPED, 3, True)

    rest = pull_resumed(model, paths, part.folder.path)
    assert rest.of(TrainingEnded)[0].kind is Ending.FINISHED
    assert part.losses + rest.losses == whole.losses
    assert torch.equal(rest.after, whole.after)
    assert rest.folder.loss_log.path.read_bytes() == whole.folder.loss_log.path.read_bytes()
    assert rest.folder.held_out_log.path.read_bytes() == whole.folder.held_out_log.path.read_bytes()
    for step, path in whole.folder.snapshots().items():
        assert torch.equal(embedding_of(path).vectors, embedding_of(rest.folder.snapshots()[step]).vectors)


@pytest.mark.parametrize("killed_at", [1, 4])
def test_a_resumed_run_makes_the_same_cards(model, paths, photos, killed_at):
    """Killed between a snapshot and the sample that shows it, or so that a snapshot is saved once more."""
    params = small(photos, steps=6, create_image_every=2, save_embedding_every=3)
    part = pull(model, paths, params, close_after=killed_at)
    if killed_at == 1:
        (part.folder.states / "state-1.safetensors").unlink()
    pull_resumed(model, paths, part.folder.path)
    cards = sorted(path.name for path in (part.folder.path / "image_embeddings").iterdir())
    assert cards == [f"{NAME}-{step}.png" for step in (0, 4, 6)]


def test_a_pause_writes_the_state_down(model, paths, photos):
    asked = []

    def pause(event):
        if isinstance(event, Trained) and event.step == 3 and not asked:
            asked.append(sorted(path.name for path in paths.textual_inversion.rglob("state-*")))
            return Request.PAUSE
        return None

    run = pull(model, paths, small(photos), ask=pause)
    assert asked == [["state-0.safetensors", "state-2.safetensors"]]
    paused = run.events.index(Status("paused after 3 steps"))
    assert run.events[paused + 1] == Status("resuming"), "whoever looks before the next step is done"
    make_embedding(paths)
    assert run.losses == pull(model, paths, small(photos)).losses


def test_stop_while_a_sample_is_drawn(model, paths, photos):
    def stop(event):
        return Request.INTERRUPT if event == Status("drawing a sample, step 1 of 2") else None

    run = pull(model, paths, small(photos, create_image_every=2), ask=stop)
    assert not run.of(Previewed)
    assert not run.of(Trained)
    assert run.of(TrainingEnded)[0].kind is Ending.STOPPED
    assert embedding_of(paths.embeddings / f"{NAME}.safetensors").step == 0


def test_interrupted_before_the_start_leaves_no_trace(model, paths, photos):
    run = pull(model, paths, small(photos), ask=lambda event: Request.INTERRUPT)
    assert run.events == [Status("encoding photo 1 of 4")]
    assert not paths.textual_inversion.exists()


def test_closing_saves_the_state(model, paths, photos):
    work = pull(model, paths, small(photos, save_state_every=100), close_after=3)
    run = find_runs(paths.textual_inversion)[0]
    assert (run.ending, run.step, run.is_unfinished) == ("", 3, True)
    assert len(pull_resumed(model, paths, work.folder.path).of(Trained)) == 1


# --- R7: no file ever holds a NaN ------------------------------------------------------------------------------------


@pytest.fixture
def fail_at(monkeypatch):
    """Let steps diverge, by the count of calls of `step`, trial steps left out."""

    def fail(*calls: int) -> None:
        real, done = TextualInversion.step, [-2]

        def step(self, batches, rate, mode="disabled", clip=0.0):
            done[0] += 1
            if done[0] in calls:
                with torch.no_grad():
                    self.vectors.fill_(float("nan"))
                return Outcome(float("nan"), float("nan"), done=False, problem="the loss is nan")
            return real(self, batches, rate, mode, clip)

        monkeypatch.setattr(TextualInversion, "step", step)

    return fail


def test_a_step_that_diverges_is_taken_back(model, paths, photos, fail_at):
    fail_at(4)
    run = pull(model, paths, small(photos, steps=5))
    assert [event.step for event in run.of(Trained)] == [1, 2, 3, 3, 4, 5]
    assert [event.learning_rate for event in run.of(Trained)] == [0.005] * 3 + [0.0025] * 3
    told = [event.text for event in run.of(Noticed) if "diverged" in event.text]
    assert told == ["Step 4 diverged: the loss is nan. Back to step 2 with half the learning rate, 1 of 3 times."]
    assert [row[0] for row in run.folder.loss_log.rows()] == [1, 2, 3, 4, 5]
    assert run.of(TrainingEnded)[0].kind is Ending.FINISHED


def test_three_times_at_most(model, paths, photos, fail_at):
    fail_at(4, 6, 8, 10)
    run = pull(model, paths, small(photos, steps=50), error=TrainingDiverged)
    ended = run.ended
    assert (ended.kind, ended.step) == (Ending.DIVERGED, 2)
    assert len([event for event in run.of(Noticed) if "diverged" in event.text]) == 3
    assert run.of(Trained)[-1].learning_rate == 0.005 / 8
    assert embedding_of(ended.path).step == 2
    assert torch.equal(embedding_of(paths.embeddings / f"{NAME}.safetensors").vectors, run.before)
    for path in run.folder.path.rglob("*.safetensors"):
        from modules.tensorfile import open_tensors

        assert all(
            bool(torch.isfinite(t).all()) for t in open_tensors(path).tensors().values() if t.is_floating_point()
        )


def test_a_rate_that_explodes_is_told(model, paths, photos):
    run = pull(model, paths, small(photos, learning_rate="1e6"), error=TrainingDiverged)
    assert run.of(TrainingEnded)[0].kind is Ending.DIVERGED
    assert run.of(TrainingEnded)[0].step == 0
    assert "times the length of a word's" in run.of(TrainingEnded)[0].sentence, "the loss was as it should be"
    assert all(math.isfinite(loss) for loss in run.losses)
    assert torch.isfinite(embedding_of(run.of(TrainingEnded)[0].path).vectors).all()


# --- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError("a bug"), "mistake of this program"),
        (MemoryError(), "Out of memory"),
        (StorageError("Disk full: there."), "Disk full: there."),
    ],
)
def test_failed_is_told_and_kept(model, paths, photos, monkeypatch, error, words):
    real, calls = TextualInversion.step, []

    def step(self, *given):
        calls.append(1)
        if len(calls) == 6:  # two trial steps come first
            raise error
        return real(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(TextualInversion, "step", step)
        run = pull(model, paths, small(photos, steps=6), error=type(error))
    ended = run.ended
    assert (ended.kind, ended.step, ended.log) == (Ending.FAILED, 3, paths.log_file)
    assert words in ended.sentence
    assert embedding_of(ended.path).step == 3
    assert torch.equal(embedding_of(paths.embeddings / f"{NAME}.safetensors").vectors, run.before)
    assert find_runs(paths.textual_inversion)[0].is_unfinished
    assert len(pull_resumed(model, paths, run.folder.path).of(Trained)) == 3


def test_a_full_disk_at_the_end_of_a_failure(model, paths, photos, monkeypatch):
    def full(*_):
        raise StorageError("Disk full: no room.")

    def fill(event):
        if isinstance(event, Trained) and event.step == 1:
            monkeypatch.setattr("modules.training.loop.save_state", full)

    run = pull(model, paths, small(photos), ask=fill, error=StorageError)
    ended = run.ended
    assert (ended.kind, ended.path) == (Ending.FAILED, None)
    assert "Disk full" in ended.sentence
    assert "intact" in ended.sentence


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"embedding": ""}, "embedding"),
        ({"embedding": "nobody"}, "embedding"),
        ({"learning_rate": "fast"}, "learning_rate"),
        ({"learning_rate": "nan"}, "learning_rate"),
        ({"clip_grad_mode": "norm", "clip_grad_value": "-1"}, "clip_grad_value"),
        ({"data_root": ""}, "data_root"),
        ({"data_root": "gone"}, "data_root"),
        ({"template": "hypernetwork.txt"}, "template"),
        ({"template": "inside_words.txt"}, "template"),
        ({"log_directory": "../elsewhere"}, "log_directory"),
        ({"preview_sampler": "Nobody's"}, "preview_sampler"),
        ({"filename_word_regex": "("}, "filename_word_regex"),
    ],
)
def test_refused_before_anything_is_done(model, paths, photos, values, field):
    write_atomically(paths.template_folders[0] / "inside_words.txt", "pre[name]fix")
    run = pull(model, paths, small(photos, **values), error=ParameterError)
    assert run.refused == field
    assert not run.events
    assert list(paths.textual_inversion.iterdir()) == [paths.template_folders[0]]


def test_trained_beyond_max_steps(model, paths, photos):
    make_embedding(paths, step=4)
    assert pull(model, paths, small(photos), error=ParameterError).refused == "steps"


def test_training_goes_on_from_the_embeddings_step(model, paths, photos):
    make_embedding(paths, step=3)
    run = pull(model, paths, small(photos, steps=5, learning_rate="0.5:3, 0.001"))
    assert [event.step for event in run.of(Trained)] == [4, 5]
    assert {event.learning_rate for event in run.of(Trained)} == {0.001}
    assert [event.step for event in run.of(SnapshotSaved)] == [3, 4, 5]


def test_what_stood_under_the_name_is_never_lost(model, paths, photos):
    path = paths.embeddings / f"{NAME}.safetensors"
    backup = path.with_name(path.name + ".bak")
    before = path.read_bytes()
    run = pull(model, paths, small(photos, save_embedding_every=0))
    assert backup.read_bytes() == before
    assert run.ended.sentence.endswith(f"Embedding saved to {path}. {backup.name} keeps what was there.")
    pull(model, paths, small(photos, steps=8))
    assert not path.with_name(path.name + ".bak2").exists(), "a snapshot of the run keeps it already"

    def replace_it(event):
        if isinstance(event, Trained) and event.step == 10:
            make_embedding(paths, step=77)

    pull(model, paths, small(photos, steps=12, save_embedding_every=0), ask=replace_it)
    assert embedding_of(path.with_name(path.name + ".bak2")).step == 77


def test_the_schedule_ends_the_run(model, paths, photos):
    run = pull(model, paths, small(photos, steps=100, learning_rate="0.005:3"))
    assert run.of(TrainingEnded)[0].step == 3
    assert run.of(TrainingEnded)[0].kind is Ending.FINISHED


# --- photos -----------------------------------------------------------------------------------------------------------


def test_two_are_set_aside(model, paths, tmp_path):
    photos = make_photos(tmp_path / "more", 8)
    (photos / "broken.png").write_bytes(b"no picture")
    (photos / "notes.md").write_text("no picture either")
    shutil.copy(next(photos.glob("*.png")), photos / "grid-0000.png")
    run = pull(model, paths, small(photos, steps=3, held_out_every=1))
    started = run.of(TrainingStarted)[0]
    assert (started.photos, started.held_out) == (6, 2)
    assert any(event.text.startswith("1 photo is not used: broken.png") for event in run.of(Noticed))
    assert any(event.text.startswith("“grid-0000.png” is an overview") for event in run.of(Noticed))
    about = run.folder.about()
    assert len(about["held_out"]) == 2
    assert not set(about["held_out"]) & set(about["photos"])
    assert [event.step for event in run.of(HeldOut)] == [0, 1, 2, 3]


def test_nothing_usable_is_refused(model, paths, tmp_path):
    photos = tmp_path / "none"
    photos.mkdir()
    (photos / "a.png").write_text("text")
    run = pull(model, paths, small(photos), error=DatasetError)
    assert "a.png" in str(run.error)
    assert not run.of(TrainingEnded)


def test_photos_that_change_meanwhile_are_named_once(model, paths, photos):
    def spoil(event):
        if isinstance(event, Trained) and event.step == 1:
            files = sorted(photos.iterdir())
            files[0].unlink()
            files[1].write_text("now a text")

    run = pull(model, paths, small(photos), ask=spoil)
    told = [event.text for event in run.of(Noticed)]
    assert len(told) == 1
    assert "2 of the photos changed" in told[0]
    assert "00000-0-wave 0.png has gone" in told[0]
    assert run.of(TrainingEnded)[0].kind is Ending.FINISHED


def test_photos_that_went_before_a_resume_are_named(model, paths, photos):
    part = pull(model, paths, small(photos, steps=6), close_after=2)
    sorted(photos.iterdir())[0].unlink()
    rest = pull_resumed(model, paths, part.folder.path)
    assert any("00000-0-wave 0.png" in event.text for event in rest.of(Noticed))
    assert rest.of(TrainingStarted)[0].photos == 3
    assert rest.of(TrainingEnded)[0].step == 6


def test_photos_replaced_before_a_resume_are_named_once(model, paths, photos):
    part = pull(model, paths, small(photos, steps=6), close_after=2)
    for photo in sorted(photos.iterdir()):  # copied elsewhere and back: newer files with the same pictures
        photo.write_bytes(photo.read_bytes())
    sorted(photos.iterdir())[1].write_bytes(sorted(photos.iterdir())[0].read_bytes())
    rest = pull_resumed(model, paths, part.folder.path, close_after=4)
    named = [event.text for event in rest.of(Noticed)]
    assert named == [
        "1 of the photos changed since the run stopped: 00001-0-wave 1.png. The run goes on with what is there now."
    ]
    last = pull_resumed(model, paths, part.folder.path)
    assert (last.of(Noticed), last.ended.kind) == ([], Ending.FINISHED)


def test_a_photo_of_another_size_is_learned_from_after_a_resume(model, paths, photos):
    """Batches that were drawn already may hold it beside others, with which it cannot be stacked any more."""
    params = small(photos, steps=6, batch_size=2, varsize=True, width=128, height=128)
    part = pull(model, paths, params, close_after=1)
    with Image.open(sorted(photos.iterdir())[0]) as picture:
        larger = picture.resize((96, 64))
    for photo in sorted(photos.iterdir())[:2]:
        larger.save(photo)
    rest = pull_resumed(model, paths, part.folder.path)
    assert rest.ended.kind is Ending.FINISHED
    assert "2 of the photos changed since the run stopped" in rest.of(Noticed)[0].text


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="there every file name is text")
def test_a_name_that_is_no_text_is_trained_on_and_resumed(model, paths, photos):
    odd = os.fsdecode(b"f\xffoo.png")
    sorted(photos.iterdir())[0].rename(photos / odd)
    part = pull(model, paths, small(photos, latent_sampling_method="once"), close_after=2)
    assert (part.of(TrainingStarted)[0].photos, part.of(Noticed)) == (4, [])
    rest = pull_resumed(model, paths, part.folder.path)
    assert (rest.of(Noticed), rest.ended.kind) == ([], Ending.FINISHED)


def test_a_run_json_of_another_name_leads_nowhere(model, paths, photos, tmp_path):
    part = pull(model, paths, small(photos), close_after=1)
    for name in ("../../../../../escaped", "other"):
        part.folder.describe({**part.folder.about(), "name": name})
        before = sorted(tmp_path.rglob("*"))
        pull_resumed(model, paths, part.folder.path, error=FileFormatError)
        assert [path for path in sorted(tmp_path.rglob("*")) if path not in before] == []
        part.folder.describe({**json.loads((part.folder.path / "run.json").read_text()), "name": NAME})


def test_another_checkpoint_cannot_go_on(model, paths, photos):
    import dataclasses

    part = pull(model, paths, small(photos), close_after=1)
    other = dataclasses.replace(model, checkpoint=dataclasses.replace(model.checkpoint, sha256="cd" * 32))
    assert pull_resumed(other, paths, part.folder.path, error=ParameterError).refused == "checkpoint"


# --- the rest ---------------------------------------------------------------------------------------------------------


def test_health_is_checked_after_twenty_steps(model, paths, photos):
    run = pull(model, paths, small(photos, steps=21, save_embedding_every=0, save_state_every=100))
    checked = run.of(HealthChecked)
    assert [event.step for event in checked] == [20]
    assert checked[0].healthy
    assert checked[0].moved > 0


@pytest.mark.parametrize(
    "values",
    [
        {"batch_size": 2, "gradient_step": 2, "latent_sampling_method": "random", "shuffle_tags": True},
        {"varsize": True, "batch_size": 2, "latent_sampling_method": "deterministic", "use_weight": True},
        {"gradient_checkpointing": True, "clip_grad_mode": "norm", "clip_grad_value": "1:2, 0.5"},
        {"file_format": "pt"},
        {"rate_decay": "cosine", "averaging": 0.9, "keep_length": 0.1, "timestep_sampling": "even", "batch_size": 2},
        {"loss_weighting": "min-SNR", "timestep_sampling": "middle", "small_first": 0.5, "width": 128, "height": 128},
    ],
)
def test_every_way_to_train_can_be_resumed_exactly(model, paths, photos, values):
    whole = pull(model, paths, small(photos, **values))
    make_embedding(paths)
    part = pull(model, paths, small(photos, **values), close_after=3)
    rest = pull_resumed(model, paths, part.folder.path)
    assert part.losses + rest.losses == whole.losses
    assert torch.equal(rest.after, whole.after)
    assert not model.unet.is_gradient_checkpointing


def test_the_rate_falls_along_a_cosine(model, paths, photos):
    run = pull(model, paths, small(photos, rate_decay="cosine"))
    rates = [event.learning_rate for event in run.of(Trained)]
    assert rates == pytest.approx([0.005 * (1 + math.cos(math.pi * step / 4)) / 2 for step in range(4)])


def test_the_first_steps_learn_from_small_pictures(model, paths, photos, monkeypatch):
    sizes = []
    gradient = TextualInversion.gradient
    monkeypatch.setattr(
        TextualInversion,
        "gradient",
        lambda self, batches: sizes.extend(each.latents.shape[2:] for each in batches) or gradient(self, batches),
    )
    pull(model, paths, small(photos, small_first=0.5, width=128, height=128))
    trial = 2  # steps that measure the cost, as small as the first ones
    assert [tuple(size) for size in sizes[trial:]] == [(8, 8), (8, 8), (16, 16), (16, 16)]


def test_checkpointing_gives_the_same_losses(model, paths, photos):
    plain = pull(model, paths, small(photos))
    make_embedding(paths)
    assert pull(model, paths, small(photos, gradient_checkpointing=True)).losses == pytest.approx(
        plain.losses, rel=1e-6
    )


def test_two_runs_on_one_day_have_two_folders(model, paths, photos):
    first, second = (pull(model, paths, small(photos, steps=n)) for n in (1, 2))
    assert second.folder.path.name == f"{NAME}.2"
    assert isinstance(first, Pulled)
    assert len(find_runs(paths.textual_inversion)) == 2
