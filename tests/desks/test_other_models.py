"""Other models in a run of the App: one loaded at a time, the first one back afterwards, whatever happens."""

import gc
import threading
import weakref
from typing import Any

import pytest

from modules.app import App
from modules.errors import OutOfMemory, ParameterError
from modules.events import Event, Failed, ImageDone, Status, Work
from modules.flags import Flags
from modules.infotext import parse_infotext
from modules.jobs import Job, JobState
from modules.model_state import ModelStatus
from modules.params import Txt2ImgParams
from modules.script_params import XYZ, ScriptParams
from modules.settings import Settings
from tests import tiny

SMALL: dict[str, Any] = {"prompt": "a cat", "width": 64, "height": 64, "steps": 2, "sampler": "Euler", "seed": 3}
HIRES: dict[str, Any] = {**SMALL, "enable_hr": True, "hr_checkpoint": "two"}
REFINED: dict[str, Any] = {**SMALL, "refiner_checkpoint": "two.safetensors", "refiner_switch_at": 0.5}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for seed, name in ((1, "one"), (2, "two")):
        tiny.checkpoint(folder / f"{name}.safetensors", "sd1", seed=seed)
    return folder


@pytest.fixture
def app(tmp_path, models):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "Stable-diffusion").symlink_to(models)
    flags = Flags(data_dir=tmp_path, use_cpu=True, no_half=True)
    app = App(flags.paths(), Settings(checkpoint="one.safetensors"), flags)
    ended(app.start())
    yield app
    app.stop()


def ended(job: Job) -> list[Event]:
    number = 0
    while not job.is_over:
        job.wait(number, timeout=1.0)
        number = job.events_since(number)[1]
    return job.events_since()[0]


def drawn(job: Job) -> dict[str, Any]:
    """What the picture of a job says."""
    events = ended(job)
    assert job.state is JobState.FINISHED, [event.text for event in events if isinstance(event, Failed)]
    return parse_infotext(next(event for event in events if isinstance(event, ImageDone)).infotext)


def in_use(app: App) -> str:
    conditioner = app.models.conditioner
    assert conditioner
    assert app.model_state.status is ModelStatus.READY
    assert app.model_state.checkpoint.startswith(conditioner.model.checkpoint.name)
    return conditioner.model.checkpoint.model_name


@pytest.mark.parametrize(
    ("values", "key"), [(HIRES, "Hires checkpoint"), (REFINED, "Refiner")], ids=["hires", "refiner"]
)
def test_one_model_is_loaded_at_a_time_and_the_first_one_is_back(app, monkeypatch, values, key):
    from modules.model import loader

    load, loads, alive = loader.load_model, [], []
    known = [weakref.ref(app.models.conditioner.model)]  # pyright: ignore[reportOptionalMemberAccess]
    states = []

    def counted(checkpoint, policy):
        gc.collect()
        alive.append(sum(model() is not None for model in known))
        states.append(app.model_state.checkpoint)
        model = load(checkpoint, policy)
        known.append(weakref.ref(model))
        loads.append(checkpoint.model_name)
        return model

    monkeypatch.setattr(loader, "load_model", counted)
    said = drawn(app.generate(Txt2ImgParams(**values, batch_count=2)))
    assert said["Model"] == "one"
    assert str(said[key]).partition(" ")[0] == "two"
    assert loads == ["two", "one", "two", "one"]
    assert alive == [0, 0, 0, 0]
    assert [state.partition(" ")[0] for state in states] == ["one.safetensors"] * 4, "the page is told of the first"
    assert in_use(app) == "one"


def test_the_vae_beside_each_checkpoint_is_its_own(app, models, monkeypatch):
    from safetensors.torch import save_file

    import modules.model.vae

    with_vae, taken = modules.model.vae.with_vae, []

    def noted(model, file):
        taken.append((model.checkpoint.model_name, file.name))
        return with_vae(model, file)

    monkeypatch.setattr(modules.model.vae, "with_vae", noted)
    vae = models / "two.vae.safetensors"
    save_file(tiny.random_parts("sd1", seed=9).vae, vae)
    try:
        said = drawn(app.generate(Txt2ImgParams(**HIRES)))
    finally:
        vae.unlink()
    assert taken == [("two", "two.vae.safetensors")]
    assert "VAE" not in said, "that of the first model is the one inside it"


def steps(end: threading.Event) -> Work:
    """Stands for training: until the end it gives way after each of its events."""
    while not end.wait(0.01):
        yield Status("a step")


def test_whoever_chose_another_model_waits_for_it_while_training_holds_the_first(app):
    """The page names it above the pictures; those of other browsers cut in."""
    go = threading.Event()
    training = app.jobs.submit("Training x", steps(go), gives_way=True, kind="train")
    app.models.select("two", "ann")
    assert [app.waiting_checkpoint(owner) for owner in ("ann", "bob", "")] == ["two.safetensors", "", ""]
    mine, theirs = (app.generate(Txt2ImgParams(**SMALL), owner) for owner in ("ann", "bob"))
    assert drawn(theirs)["Model"] == "one"
    assert not training.is_over
    go.set()
    assert drawn(mine)["Model"] == "two"
    assert not app.waiting_checkpoint("ann")


def test_pictures_that_wait_for_a_model_cut_in_once_its_loading_is_cancelled(app):
    go = threading.Event()
    training = app.jobs.submit("Training x", steps(go), gives_way=True, kind="train")
    loading = app.models.select("two", "ann")
    mine, theirs = (app.generate(Txt2ImgParams(**SMALL), owner) for owner in ("ann", "bob"))
    ended(theirs)
    assert mine.state is JobState.WAITING
    app.jobs.cancel(loading.id)
    assert drawn(mine)["Model"] == "one"
    assert not training.is_over
    go.set()
    ended(training)


@pytest.mark.parametrize("values", [HIRES, REFINED], ids=["hires", "refiner"])
def test_a_partner_that_cannot_be_loaded_leaves_the_first_model_in_use(app, monkeypatch, values):
    from modules.model import loader

    load = loader.load_model

    def fail_for_two(checkpoint, policy):
        if checkpoint.model_name == "two":
            raise OutOfMemory("“two.safetensors” does not fit into memory.")
        return load(checkpoint, policy)

    monkeypatch.setattr(loader, "load_model", fail_for_two)
    failed = ended(app.generate(Txt2ImgParams(**values)))[-1]
    assert isinstance(failed, Failed)
    assert "does not fit" in failed.text
    monkeypatch.undo()
    assert in_use(app) == "one"
    assert drawn(app.generate(Txt2ImgParams(**SMALL)))["Model"] == "one"


def test_a_run_that_fails_with_the_partner_in_use_gives_the_first_model_back(app, monkeypatch):
    from modules.generation.outputs import OutputFolder

    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(OutputFolder, "save_picture", fail)
    assert isinstance(ended(app.generate(Txt2ImgParams(**HIRES)))[-1], Failed)
    monkeypatch.undo()
    assert in_use(app) == "one"


def test_names_are_checked_before_a_run_waits(app):
    for field in ("hr_checkpoint", "refiner_checkpoint"):
        with pytest.raises(ParameterError, match="three") as caught:
            app.generate(Txt2ImgParams(**{**HIRES, field: "three"}))
        assert caught.value.field == field
    assert drawn(app.generate(Txt2ImgParams(**{**HIRES, "enable_hr": False, "hr_checkpoint": "three"})))["Seed"] == "3"


def test_a_run_with_another_model_does_not_cut_in_on_training(app):
    plain, with_partner = app.generate(Txt2ImgParams(**SMALL)), app.generate(Txt2ImgParams(**REFINED))
    assert (plain.cuts_in, with_partner.cuts_in) == (True, False)
    ended(with_partner)


def test_a_plot_over_refiners(app):
    script = ScriptParams(script=XYZ, x_type="Refiner checkpoint", x_values="None, two", y_type="Refiner switch at")
    script = ScriptParams(**{**script.__dict__, "y_values": "0.2, 0.9"})
    job = app.run_script(Txt2ImgParams(**SMALL), script)
    events = ended(job)
    assert job.state is JobState.FINISHED
    said = [parse_infotext(event.infotext) for event in events if isinstance(event, ImageDone)]
    assert not job.cuts_in
    assert sorted(one.get("Refiner switch at", "") for one in said) == ["", "", "0.2", "0.9"]
    assert [one["Model"] for one in said] == ["one"] * 4
    assert in_use(app) == "one"


def test_a_picture_made_before_is_enlarged_by_another_model(app):
    (picture,) = [e for e in ended(app.generate(Txt2ImgParams(**SMALL))) if isinstance(e, ImageDone)]
    said = drawn(app.enlarge(picture.path, Txt2ImgParams(**HIRES)))
    assert str(said["Hires checkpoint"]).partition(" ")[0] == "two"
    assert in_use(app) == "one"
