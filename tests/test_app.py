import gc
import shutil
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from modules import images
from modules.app import App, ModelStatus
from modules.errors import JobBusy, OutOfMemory, ParameterError
from modules.events import Event, Failed, ImageDone, Sampled, Status
from modules.flags import Flags
from modules.infotext import parse_infotext
from modules.jobs import Job, JobState
from modules.params import Txt2ImgParams
from modules.paths import Paths
from modules.settings import Settings, load_settings
from tests import foreign, tiny

ON_CPU = Flags(use_cpu=True)
PATIENCE = 120.0  # seconds until a hang is called one: ten times what loading took on a busy machine


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints")
    for seed, name in enumerate(("one", "two")):
        tiny.checkpoint(folder / f"{name}.safetensors", seed=seed)
    return folder


@dataclass(frozen=True)
class Isolated(Paths):
    """An installation that does not see the shipped model."""

    @property
    def checkpoint_folders(self) -> tuple[Path, ...]:
        return (self.data / "models" / "Stable-diffusion", *self.extra_checkpoints)


@pytest.fixture
def paths(tmp_path, checkpoints) -> Paths:
    data = tmp_path / "data"
    (data / "models").mkdir(parents=True)
    shutil.copytree(checkpoints, data / "models" / "Stable-diffusion")
    return Isolated(data)


@pytest.fixture
def start(paths) -> Iterator[Callable[..., App]]:
    started = []

    def start(settings: Settings | None = None, flags: Flags = ON_CPU, paths: Paths = paths) -> App:
        app = App(paths, settings, flags)
        started.append(app)
        app.start()
        return app

    yield start
    for app in started:
        assert app.stop(PATIENCE)


@pytest.fixture
def app(start) -> App:
    """An App of the test's own, its model loaded."""
    return loaded(start())


@pytest.fixture(scope="module")
def lasting(tmp_path_factory, checkpoints) -> Iterator[App]:
    """One App for many tests, which leave it as they found it: its model is loaded once."""
    data = tmp_path_factory.mktemp("lasting")
    (data / "models").mkdir()
    shutil.copytree(checkpoints, data / "models" / "Stable-diffusion")
    app = App(Isolated(data), None, ON_CPU)
    app.start()
    yield loaded(app)
    assert app.stop(PATIENCE)


def loaded(app: App) -> App:
    ended(app.jobs.jobs()[0])
    assert app.model_state.status is ModelStatus.READY, app.model_state.sentence
    return app


def params(prompt: str = "a cat", **values: object) -> Txt2ImgParams:
    return Txt2ImgParams(
        **{"prompt": prompt, "width": 64, "height": 64, "steps": 2, "seed": 1, "sampler": "Euler", **values}
    )


def ended(job: Job) -> list[Event]:
    """All events of the job, once it is over."""
    number = 0
    while not job.is_over:
        assert job.wait(number, PATIENCE), "nothing happened"
        number = job.events_since(number)[1]
    return job.events_since()[0]


def until_sampled(job: Job) -> None:
    """Wait until the job is in the midst of sampling."""
    number = 0
    while not any(isinstance(event, Sampled) for event in job.events_since()[0]):
        assert job.wait(number, PATIENCE), "nothing happened"
        number = job.events_since(number)[1]


def picture(job: Job) -> ImageDone:
    (done,) = [event for event in ended(job) if isinstance(event, ImageDone)]
    return done


def hashed(app: App) -> str:
    """The title of the model in use once its hash is known."""
    for thread in [thread for thread in threading.enumerate() if thread.name == "hashing"]:
        thread.join(PATIENCE)
    return app.model_state.checkpoint


# --- start and stop ---------------------------------------------------------------------------------------------------


def test_until_the_worker_needs_it_nothing_loads_torch(paths):
    code = f"""
import sys
from pathlib import Path
from modules.app import App
from modules.flags import Flags
from modules.paths import Paths
app = App(Paths(Path({str(paths.data)!r})), None, Flags())
titles = [checkpoint.title for checkpoint in app.models.checkpoints()]
assert "one.safetensors" in titles, titles
assert app.embeddings.index() and app.embeddings.database is None and app.tokenizer.encode("a")
assert not {{"torch", "gradio", "diffusers", "transformers"}} & sys.modules.keys()
assert not list(Path({str(paths.data)!r}).glob("*.*")), "making an App writes nothing"
"""
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1], check=True, timeout=PATIENCE)


def test_the_first_work_loads_the_first_model_and_says_so(start):
    app = start()
    assert app.model_state.status is ModelStatus.LOADING
    job = app.jobs.jobs()[0]
    assert "loading one.safetensors" in [event.text for event in ended(job) if isinstance(event, Status)]
    assert job.state is JobState.FINISHED
    state = app.model_state
    assert (state.status, state.sentence, state.native_size) == (ModelStatus.READY, "", (512, 512))
    assert state.device.startswith("cpu · fp32 · ")
    assert state.checkpoint.startswith("one.safetensors")
    assert app.embeddings.database is not None


def test_hashes_come_from_a_thread_of_their_own_and_are_remembered(app, start):
    title = hashed(app)
    assert title.startswith("one.safetensors [")
    assert title in [checkpoint.title for checkpoint in app.models.checkpoints()]
    read = parse_infotext(picture(app.generate(params())).infotext)
    assert f"{read['Model']}.safetensors [{read['Model hash']}]" == title
    second = start()
    assert title in [checkpoint.title for checkpoint in second.models.checkpoints()]


def test_what_is_asked_before_the_model_is_there_waits_for_it(start):
    app = start()
    assert picture(app.generate(params())).path.exists()


def test_stopping_keeps_what_a_run_has(app):
    job = app.generate(params(steps=150))
    until_sampled(job)
    assert app.stop(PATIENCE)
    assert job.state is JobState.INTERRUPTED
    assert picture(job).incomplete
    with pytest.raises(JobBusy):
        app.generate(params())


def test_litter_of_killed_writers_is_swept(paths, start):
    litter = paths.txt2img_images / "2026-01-01" / ".00001-5.png.abc.partial"
    litter.parent.mkdir(parents=True)
    litter.touch()
    ended(start().jobs.jobs()[0])
    assert not litter.exists()


def test_a_data_folder_that_cannot_be_written_still_serves(tmp_path, checkpoints, start):
    (tmp_path / "file").write_text("where a folder should be")
    app = start(paths=Isolated(tmp_path / "file", extra_checkpoints=(checkpoints,)))
    ended(app.jobs.jobs()[0])
    assert app.model_state.status is ModelStatus.READY
    assert "no log" in app.notices[0]
    failed = ended(app.generate(params()))[-1]
    assert isinstance(failed, Failed)
    assert not failed.log_id


# --- pictures ---------------------------------------------------------------------------------------------------------


def test_a_picture_is_saved_for_its_owner(lasting):
    job = lasting.generate(params(seed=5), owner="me")
    done = picture(job)
    assert (job.owner, job.title) == ("me", "1 × 64×64")
    assert done.path.is_relative_to(lasting.paths.txt2img_images)
    assert images.read_infotext(done.path) == done.infotext


def test_the_settings_decide_about_the_overview(lasting):
    run = params(batch_size=2)
    assert type(ended(lasting.generate(run))[-1]).__name__ == "GridDone"
    lasting.change_settings(save_grid=False)
    without = ended(lasting.generate(run))[-1]
    lasting.change_settings(save_grid=True)
    assert isinstance(without, ImageDone)


def test_wrong_parameters_are_refused_before_they_queue(lasting):
    before = lasting.jobs.jobs()
    with pytest.raises(ParameterError):
        lasting.generate(params(sampler="Guess"))
    assert lasting.jobs.jobs() == before


def test_eight_callers_get_what_they_asked_for(lasting):
    """Seed and prompt of every picture are its asker's, or the asker was told that the queue is full."""
    answers: list[tuple[str, int, ImageDone | None]] = []

    def call(caller: int) -> None:
        for number in range(4):
            prompt, seed = f"cat {caller} {number}", 100 * caller + number
            try:
                job = lasting.generate(params(prompt, seed=seed, steps=1), owner=str(caller))
            except JobBusy:
                answers.append((prompt, seed, None))
            else:
                answers.append((prompt, seed, picture(job)))

    callers = [threading.Thread(target=call, args=(caller,)) for caller in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(PATIENCE)
        assert not caller.is_alive()
    assert len(answers) == 32
    drawn = [(prompt, seed, done) for prompt, seed, done in answers if done]
    assert len(drawn) >= 16
    for prompt, seed, done in drawn:
        read = parse_infotext(images.read_infotext(done.path))
        assert (read["Prompt"], read["Seed"]) == (prompt, str(seed))


def test_a_queue_of_sixteen_refuses_the_others_and_works_later(lasting):
    job = lasting.generate(params(steps=150))
    until_sampled(job)
    refused = []
    for _ in range(40):
        try:
            lasting.generate(params(steps=1))
        except JobBusy as error:
            refused.append(str(error))
    assert len(refused) == 40 - 16
    assert all("queue is full" in sentence for sentence in refused)
    job.interrupt()
    for waiting in lasting.jobs.jobs():
        ended(waiting)
    assert picture(lasting.generate(params(steps=1))).path.exists()


@pytest.mark.parametrize("part", ["unet", "decoder"])
@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("CUDA out of memory. Tried to allocate 20 GiB")])
def test_running_out_of_memory_ends_one_job_and_not_the_next(lasting, part, error):
    model = lasting.models.conditioner.model  # pyright: ignore[reportOptionalMemberAccess] -- where the fault is put in
    hook = (model.unet if part == "unet" else model.vae.decoder).register_forward_pre_hook(raiser(error))
    failed = ended(lasting.generate(params()))[-1]
    hook.remove()
    assert isinstance(failed, Failed)
    assert failed.text.startswith("Out of memory: choose a smaller size")
    assert picture(lasting.generate(params())).path.exists()


def test_a_mistake_of_ours_is_told_without_its_inside(lasting):
    model = lasting.models.conditioner.model  # pyright: ignore[reportOptionalMemberAccess] -- where the fault is put in
    hook = model.unet.register_forward_pre_hook(raiser(ValueError(f"inside at {lasting.paths.data}/secret")))
    failed = ended(lasting.generate(params()))[-1]
    hook.remove()
    assert isinstance(failed, Failed)
    for inside in ("secret", str(lasting.paths.data), "Traceback", "ValueError"):
        assert inside not in failed.text
    log = lasting.paths.log_file.read_text(encoding="utf-8")
    assert failed.log_id in failed.text
    assert failed.log_id in log
    assert "Traceback" in log
    assert "ValueError: inside" in log


def raiser(error: Exception) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise error

    return fail


# --- checkpoints ------------------------------------------------------------------------------------------------------


def test_another_checkpoint_is_loaded_used_and_remembered(app, paths, start):
    before = picture(app.generate(params()))
    events = ended(app.models.select("two.safetensors"))
    assert not [event for event in events if isinstance(event, Failed)]
    assert app.model_state.checkpoint.startswith("two.safetensors")
    after = picture(app.generate(params()))
    assert parse_infotext(after.infotext)["Model"] == "two"
    assert images.open_image(before.path).tobytes() != images.open_image(after.path).tobytes()
    assert load_settings(paths.settings_file)[0].checkpoint.startswith("two.safetensors")
    second = start()
    ended(second.jobs.jobs()[0])
    assert second.model_state.checkpoint.startswith("two.safetensors")


def test_the_old_model_goes_before_the_new_one_comes(app, monkeypatch):
    from modules.model import loader

    hashed(app)
    old = weakref.ref(app.models.conditioner.model.unet)  # pyright: ignore[reportOptionalMemberAccess]
    alive = []
    load = loader.load_model

    def look(*arguments: object) -> object:
        gc.collect()
        alive.append(old() is not None)
        return load(*arguments)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(loader, "load_model", look)
    ended(app.models.select("two.safetensors"))
    assert alive == [False]


FOREIGN = {
    "LoRA": foreign.lora,
    "SDXL": foreign.sdxl,
    "VAE": foreign.vae_only,
    "text": lambda path: path.write_text("not a model"),
    "nothing": lambda path: path.write_bytes(b""),
    "truncated": lambda path: foreign.truncated(path, path.with_name("two.safetensors"), 0.6),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_file_that_cannot_be_used_leaves_the_model_in_use(lasting, kind):
    hashed(lasting)
    before, model = lasting.model_state, lasting.models.conditioner.model  # pyright: ignore[reportOptionalMemberAccess]
    file = lasting.paths.checkpoint_folders[0] / "foreign.safetensors"
    FOREIGN[kind](file)
    failed = ended(lasting.models.select("foreign.safetensors"))[-1]
    file.unlink()
    assert isinstance(failed, Failed)
    assert not failed.log_id
    assert "foreign.safetensors" in failed.text
    state = lasting.model_state
    assert (state.status, state.checkpoint, state.sentence) == (ModelStatus.READY, before.checkpoint, failed.text)
    assert lasting.models.conditioner.model is model  # pyright: ignore[reportOptionalMemberAccess]
    assert lasting.settings.checkpoint == ""
    assert parse_infotext(picture(lasting.generate(params())).infotext)["Model"] == "one"


def test_a_model_that_fails_while_loading_brings_the_old_one_back(app, monkeypatch):
    from modules.model import loader

    load = loader.load_model
    loads = []

    def fail_for_two(checkpoint: object, policy: object) -> object:
        loads.append(checkpoint.name)  # pyright: ignore[reportAttributeAccessIssue]
        if len(loads) == 1:
            raise OutOfMemory("“two.safetensors” does not fit into memory.")
        return load(checkpoint, policy)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(loader, "load_model", fail_for_two)
    ended(app.models.select("two.safetensors"))
    assert loads == ["two.safetensors", "one.safetensors"]
    assert app.model_state.status is ModelStatus.READY
    assert app.model_state.checkpoint.startswith("one.safetensors")
    assert "does not fit" in app.model_state.sentence
    assert parse_infotext(picture(app.generate(params())).infotext)["Model"] == "one"


def test_unknown_checkpoints_are_refused(lasting):
    with pytest.raises(ParameterError, match="no checkpoint"):
        lasting.models.select("nowhere")


def test_a_file_that_nobody_asked_for_and_is_no_model_is_passed_over(paths, start):
    foreign.lora(paths.checkpoint_folders[0] / "a lora.safetensors")  # the first by name
    app = start()
    ended(app.jobs.jobs()[0])
    assert app.model_state.checkpoint.startswith("one.safetensors")
    assert ["a lora" in notice for notice in app.notices] == [True]


def test_when_no_file_is_a_model_each_is_named(tmp_path, start):
    empty = Isolated(tmp_path / "foreign")
    folder = empty.checkpoint_folders[0]
    folder.mkdir(parents=True)
    foreign.lora(folder / "a lora.safetensors")
    foreign.vae_only(folder / "a vae.safetensors")
    app = start(paths=empty)
    ended(app.jobs.jobs()[0])
    assert app.model_state.status is ModelStatus.FAILED
    assert "a lora" in app.model_state.sentence
    assert "a vae" in app.model_state.sentence


def test_without_a_model_everything_says_why_and_a_new_file_helps(tmp_path, checkpoints, start):
    app = start(paths=Isolated(tmp_path / "empty"))
    ended(app.jobs.jobs()[0])
    assert app.model_state.status is ModelStatus.FAILED
    assert "put a .safetensors file into" in app.model_state.sentence
    failed = ended(app.generate(params()))[-1]
    assert isinstance(failed, Failed)
    assert failed.text == app.model_state.sentence
    folder = app.paths.checkpoint_folders[0]
    shutil.copytree(checkpoints, folder)
    ended(app.models.select("one.safetensors"))
    assert picture(app.generate(params())).path.exists()
