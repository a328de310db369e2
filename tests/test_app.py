import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modules import images
from modules.app import App, ModelStatus
from modules.errors import JobBusy, ParameterError
from modules.events import Failed, ImageDone, Status
from modules.flags import Flags
from modules.infotext import parse_infotext
from modules.jobs import JobState
from modules.paths import Paths
from modules.settings import Settings
from modules.settings_file import load_settings
from tests.hosted import (
    ON_CPU,
    PATIENCE,
    Isolated,
    ended,
    installation,
    loaded,
    params,
    picture,
    until_sampled,
    wait_for_hashes,
)


@pytest.fixture
def paths(tmp_path, two_models) -> Paths:
    return installation(tmp_path / "data", two_models)


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
def lasting(tmp_path_factory, two_models) -> Iterator[App]:
    """One App for many tests, which leave it as they found it: its model is loaded once."""
    app = App(installation(tmp_path_factory.mktemp("lasting") / "data", two_models), None, ON_CPU)
    app.start()
    yield loaded(app)
    assert app.stop(PATIENCE)


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
    wait_for_hashes()
    title = app.model_state.checkpoint
    assert title.startswith("one.safetensors [")
    assert title in [checkpoint.title for checkpoint in app.models.checkpoints()]
    read = parse_infotext(picture(app.generate(params())).infotext)
    assert f"{read['Model']}.safetensors [{read['Model hash']}]" == title
    second = start()
    assert title in [checkpoint.title for checkpoint in second.models.checkpoints()]


def test_what_is_not_as_the_settings_say_stands_on_the_console_too(paths):
    paths.settings_file.write_text('{"sd_model_checkpoint": "gone.ckpt", "sd_vae": "gone.pt", "n_rows": 99}')
    said: list[str] = []
    app = App(paths, None, ON_CPU, say=said.append)
    app.start()
    assert loaded(app).stop(PATIENCE)
    assert [line for line in said if not line.startswith("Loaded ")] == app.notices
    assert [re.findall(r"99|gone\.\w+", line) for line in app.notices] == [["99"], ["gone.pt"], ["gone.ckpt"]]


def test_that_there_is_no_model_stands_on_the_console_too(tmp_path):
    said: list[str] = []
    app = App(Isolated(tmp_path), None, ON_CPU, say=said.append)
    ended(app.start())
    assert app.stop(PATIENCE)
    assert said[0].startswith("There is no model: put a .safetensors file into")


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


def test_a_data_folder_that_cannot_be_written_still_serves(tmp_path, two_models, start):
    (tmp_path / "file").write_text("where a folder should be")
    app = start(paths=Isolated(tmp_path / "file", extra_checkpoints=(two_models,)))
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


def test_without_a_model_everything_says_why_and_a_new_file_helps(tmp_path, two_models, start):
    app = start(paths=Isolated(tmp_path / "empty"))
    ended(app.jobs.jobs()[0])
    assert app.model_state.status is ModelStatus.FAILED
    assert "put a .safetensors file into" in app.model_state.sentence
    failed = ended(app.generate(params()))[-1]
    assert isinstance(failed, Failed)
    assert failed.text == app.model_state.sentence
    folder = app.paths.checkpoint_folders[0]
    shutil.copytree(two_models, folder)
    ended(app.models.select("one.safetensors"))
    assert picture(app.generate(params())).path.exists()
