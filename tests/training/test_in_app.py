"""Training as a job of the App: beside pictures, other checkpoints, second clicks, and the end of the server."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from modules.app import App
from modules.errors import JobBusy, ParameterError
from modules.events import EmbeddingSaved, Ending, Failed, ImageDone, Trained, TrainingEnded, TrainingStarted
from modules.flags import Flags
from modules.images import open_image
from modules.jobs import Job, JobState
from modules.params import Txt2ImgParams
from modules.paths import Paths
from modules.preprocess.run import PreprocessingEnded, Surveyed
from modules.preprocess_params import PreprocessParams
from modules.training.run_folder import RunFolder
from tests.hosted import ON_CPU, PATIENCE, ended, loaded, until
from tests.prompts.prompt_vectors import REFERENCE
from tests.training.tiny_run import NAME, make_embedding, small


@dataclass(frozen=True)
class WithReference(Paths):
    """An installation whose models are those of the reference values."""

    @property
    def checkpoint_folders(self) -> tuple[Path, ...]:
        return (REFERENCE / "models",)


def start(data: Path) -> App:
    paths = WithReference(data=data)
    make_embedding(paths)
    app = App(paths, None, ON_CPU)
    app.start()
    return loaded(app)


@pytest.fixture(scope="module")
def lasting(tmp_path_factory) -> Iterator[App]:
    app = start(tmp_path_factory.mktemp("lasting") / "data")
    yield app
    assert app.stop(PATIENCE)


@pytest.fixture
def app(lasting) -> App:
    """The App of all tests, with an embedding as it was created; no test leaves a job behind."""
    assert all(job.is_over for job in lasting.jobs.jobs())
    make_embedding(lasting.paths)
    return lasting


def of(job: Job, kind: type) -> list:
    return [event for event in job.events_since()[0] if isinstance(event, kind)]


def losses(job: Job) -> list[tuple[float, ...]]:
    return RunFolder(of(job, TrainingStarted)[0].folder, NAME).loss_log.rows()


PICTURE = Txt2ImgParams(prompt="a wave", width=64, height=64, steps=3, seed=3, sampler="Euler", preview_every=0)


def test_pictures_cut_in_and_nothing_changes(app, photos):
    """L6: the picture is the one drawn without training, the losses are those without pictures."""
    alone = app.generate(PICTURE)
    ended(alone)
    quiet = app.training.begin(small(photos, steps=6))
    ended(quiet)
    make_embedding(app.paths)
    busy = app.training.begin(small(photos, steps=6))
    until(busy, lambda: bool(of(busy, TrainingStarted)))
    pictures = [app.generate(PICTURE) for _ in range(2)]
    for job in (busy, *pictures):
        ended(job)
    assert pictures[1].ended < busy.ended
    drawn = {open_image(of(job, ImageDone)[0].path).tobytes() for job in (alone, *pictures)}
    assert len(drawn) == 1
    assert losses(busy) == losses(quiet)


@pytest.mark.parametrize("part", ["UNet2DConditionModel.forward", "AutoencoderKL.decode"])
def test_no_memory_for_a_picture_ends_that_job_only(app, monkeypatch, part):
    """D3: the model is as before, and the next picture is the one drawn without the accident."""
    before = app.generate(PICTURE)
    ended(before)

    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate 20 GiB")

    with monkeypatch.context() as patch:
        patch.setattr(f"diffusers.{part}", fails)
        failed = app.generate(PICTURE)
        ended(failed)
    assert failed.state is JobState.FAILED
    assert of(failed, Failed)[0].text.startswith("Out of memory: choose a smaller size")
    assert not of(failed, ImageDone)
    after = app.generate(PICTURE)
    ended(after)
    pixels = {open_image(of(job, ImageDone)[0].path).tobytes() for job in (before, after)}
    assert len(pixels) == 1


def test_two_clicks_are_one_run(app, photos):
    first = app.training.begin(small(photos))
    with pytest.raises(JobBusy, match="under way"):
        app.training.begin(small(photos))
    assert not app.training.unfinished()
    ended(first)
    assert first.state is JobState.FINISHED


def test_an_embedding_that_cannot_be_trained_is_refused_at_the_click(app, photos):
    before = app.jobs.jobs()
    for field, values in {"embedding": {"embedding": "nobody"}, "steps": {"embedding": "far", "steps": 3}}.items():
        make_embedding(app.paths, "far", step=3)
        with pytest.raises(ParameterError) as raised:
            app.training.begin(small(photos, **values))
        assert raised.value.field == field
    assert app.jobs.jobs() == before


def test_the_console_tells_what_is_there_in_the_words_of_2022(tmp_path):
    paths = WithReference(data=tmp_path / "data")
    for number, name in enumerate(("realbenny-t1", "realbenny-t2")):
        os.utime(make_embedding(paths, name), (number, number))
    said: list[str] = []
    app = App(paths, None, Flags(use_cpu=True), said.append)
    ended(app.start())
    assert said == [
        "Loaded a total of 2 textual inversion embeddings.\nEmbeddings: realbenny-t2, realbenny-t1",
    ]
    ended(app.generate(PICTURE))
    assert len(said) == 1
    os.utime(make_embedding(paths, "new-one"), (9, 9))
    ended(app.generate(PICTURE))
    assert said[1].splitlines()[1] == "Embeddings: new-one, realbenny-t2, realbenny-t1"
    assert app.stop(PATIENCE)


def test_another_checkpoint_waits_until_the_run_is_over(app, photos):
    training = app.training.begin(small(photos))
    switch = app.models.select("tiny-sd15.safetensors")
    ended(switch)
    assert training.is_over
    assert training.ended <= switch.started
    assert len(losses(training)) == 4


def test_wrong_fields_are_refused_at_the_click(app, photos):
    before = app.jobs.jobs()
    with pytest.raises(ParameterError) as raised:
        app.training.begin(small(photos, learning_rate="fast"))
    assert raised.value.field == "learning_rate"
    assert app.jobs.jobs() == before


def test_created_trained_and_used(app, photos):
    created = app.training.create("mybenny-x2", "face", 2)
    assert of(created, EmbeddingSaved) or ended(created)
    assert of(created, EmbeddingSaved)[0].path.exists()
    ended(app.training.begin(small(photos, embedding="mybenny-x2")))
    assert app.embeddings.database is not None
    assert app.embeddings.database.for_width(72)["mybenny-x2"].step == 4


def test_the_servers_end_keeps_the_run(photos, tmp_path):
    """K4: what stop() leaves can be resumed, and says that it was stopped."""
    app = start(tmp_path / "data")
    training = app.training.begin(small(photos, steps=1000, save_state_every=1000, save_embedding_every=0))
    until(training, lambda: bool(of(training, Trained)))
    assert app.stop(PATIENCE)
    end = of(training, TrainingEnded)[0]
    assert end.kind is Ending.STOPPED
    again = App(app.paths, None, app.flags)
    (run,) = again.training.unfinished()
    assert run.step == end.step == len(losses(training))
    ended(again.start())
    rest = again.training.resume(run.folder.path)
    until(rest, lambda: bool(of(rest, Trained)))
    assert of(rest, TrainingStarted)[0].first_step == run.step
    assert again.stop(PATIENCE)


def test_pause_and_resume(app, photos):
    training = app.training.begin(small(photos, steps=6))
    until(training, lambda: bool(of(training, Trained)))
    training.pause()
    ended(app.generate(PICTURE))
    training.resume()
    ended(training)
    assert of(training, TrainingEnded)[0].kind is Ending.FINISHED
    assert len(losses(training)) == 6


def test_what_is_being_trained_is_not_put_into_use_meanwhile(app, photos):
    """The run's end would write over it. Other names, and the end of the run, are free."""
    before = app.training.begin(small(photos, steps=2, save_embedding_every=1))
    ended(before)
    folder = of(before, TrainingStarted)[0].folder
    ended(app.training.use_snapshot(folder, 1, NAME, overwrite=True))
    make_embedding(app.paths)
    training = app.training.begin(small(photos, steps=10**6))
    until(training, lambda: bool(of(training, Trained)))
    jobs = app.jobs.jobs()
    for name in (NAME, NAME.upper()):
        with pytest.raises(JobBusy, match=f"^“{name}” is being trained: stop that run first, or choose another name"):
            app.training.use_snapshot(folder, 2, name, overwrite=True)
    for change in (app.training.undo_use, app.training.keep_best):
        with pytest.raises(JobBusy, match=f"^“{NAME}” is being trained: stop that run first, or wait"):
            change(folder)
    assert app.jobs.jobs() == jobs
    other = app.training.use_snapshot(folder, 2, "another-t1")
    ended(other)
    assert of(other, EmbeddingSaved)
    training.interrupt()
    ended(training)
    undone = app.training.undo_use(folder)
    ended(undone)
    assert "another-t1 was taken out of use" in of(undone, EmbeddingSaved)[0].text


def test_photos_lie_anywhere_unless_others_can_ask(tmp_path, photos):
    login = (("me", "secret"),)
    app = App(WithReference(data=tmp_path / "data"), None, Flags(use_cpu=True, listen=True, logins=login))
    with pytest.raises(ParameterError, match="only below") as raised:
        app.training.begin(small(photos))
    assert raised.value.field == "data_root"
    assert not app.jobs.jobs()


def test_photos_are_looked_at_and_prepared(app, photos, tmp_path):
    looked = app.photos.survey(PreprocessParams(source=str(photos), width=64, height=64))
    assert isinstance(ended(looked)[-1], Surveyed)
    prepared = app.photos.preprocess(
        PreprocessParams(source=str(photos), destination=str(tmp_path / "out"), width=64, height=64)
    )
    end = ended(prepared)[-1]
    assert isinstance(end, PreprocessingEnded)
    assert end.pictures == len(list((tmp_path / "out").glob("*.png"))) == 4


def test_a_setting_gives_the_format_of_what_is_created_and_used(app, photos):
    app.change_settings(embedding_format="pt")
    try:
        made = app.training.create("mine-t1", "face")
        ended(made)
        assert of(made, EmbeddingSaved)[0].path == app.paths.embeddings / "mine-t1.pt"
        run = app.training.begin(small(photos, embedding="mine-t1", steps=2, save_embedding_every=1))
        ended(run)
        assert of(run, TrainingEnded)[0].path == app.paths.embeddings / "mine-t1.pt"
        used = app.training.use_snapshot(of(run, TrainingStarted)[0].folder, 2, "best-t1")
        ended(used)
        path = of(used, EmbeddingSaved)[0].path
        assert path == app.paths.embeddings / "best-t1.pt"
    finally:
        app.change_settings(embedding_format="safetensors")
    content = torch.load(path, weights_only=True)
    assert (content["name"], content["step"], content["string_to_token"]) == ("best-t1", 2, {"*": 265})
