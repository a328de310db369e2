"""Scripts in the App: the model, the VAE and the snapshot that each run names, and the model before put back."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from modules import images
from modules.app import App
from modules.embeddings.embedding import Embedding
from modules.embeddings.writing import save_embedding
from modules.errors import ParameterError
from modules.events import Failed, GridDone, ImageDone
from modules.infotext import parse_infotext
from modules.jobs import Job, JobState
from modules.params import Txt2ImgParams
from modules.script_params import XYZ, ScriptParams
from modules.training.run_folder import RunFolder
from tests import tiny
from tests.hosted import ON_CPU, PATIENCE, ended, installation, loaded

FORM = Txt2ImgParams(prompt="a benny-t1 cat", width=64, height=64, steps=1, sampler="Euler", seed=3)


@pytest.fixture(scope="module")
def app(tmp_path_factory, two_models):
    app = App(installation(tmp_path_factory.mktemp("scripts") / "data", two_models), None, ON_CPU)
    app.start()
    yield loaded(app)
    assert app.stop(PATIENCE)


def finished(job: Job) -> list:
    """All events of a job that has to end well."""
    events = ended(job)
    assert job.state is JobState.FINISHED, [event.text for event in events if isinstance(event, Failed)]
    return events


def trained(root: Path, name: str, steps: tuple[int, ...], width: int) -> RunFolder:
    folder = RunFolder(root / "2026-01-02" / name, name)
    about = {"name": name, "step": steps[-1], "ending": "finished", "steps": steps[-1], "checkpoint": "", "started": 1}
    folder.describe(about)
    for step in steps:
        vectors = torch.randn(1, width, generator=torch.Generator().manual_seed(step))
        save_embedding(Embedding(f"{name}-{step}", vectors, step), folder.snapshot(step))
    return folder


def of(events: list, kind: type) -> list:
    return [event for event in events if isinstance(event, kind)]


def test_a_plot_over_checkpoints_puts_the_first_one_back(app):
    script = ScriptParams(script=XYZ, x_type="Checkpoint name", x_values="two, one")
    done = of(finished(app.run_script(FORM, script)), ImageDone)
    assert [parse_infotext(picture.infotext)["Model"] for picture in done] == ["two", "one"]
    assert done[0].path.read_bytes() != done[1].path.read_bytes()
    only_two = ScriptParams(script=XYZ, x_type="Checkpoint name", x_values="two")
    assert len(of(finished(app.run_script(FORM, only_two)), GridDone)) == 1
    assert app.model_state.checkpoint.startswith("one.safetensors")
    with pytest.raises(ParameterError):
        app.run_script(FORM, ScriptParams(script=XYZ, x_type="Checkpoint name", x_values="three"))


def test_a_plot_over_the_steps_of_an_embedding_draws_its_snapshots(app):
    width = tiny.KINDS["sd1"].text_encoder["hidden_size"]
    trained(app.paths.textual_inversion, "benny-t1", (10, 20), width)
    assert app.snapshot_steps("a Benny-T1 cat") == [10, 20]
    assert app.snapshot_steps("a benny-t10 cat") == []
    events = finished(app.run_script(FORM, ScriptParams(script=XYZ, x_type="Embedding step")))
    done = of(events, ImageDone)
    pictures = {picture.path.read_bytes() for picture in done}
    assert len(pictures) == 2
    hashes = [parse_infotext(picture.infotext)["TI hashes"] for picture in done]
    assert hashes[0].startswith("benny-t1: ")
    assert hashes[0] != hashes[1]
    sheet = images.open_image(of(events, GridDone)[0].path)
    assert sheet.width == 128
    assert sheet.height > 64  # the labels stand above the pictures
    plain = of(finished(app.generate(FORM)), ImageDone)[0]
    assert "TI hashes" not in plain.infotext  # nothing was put into the folder of embeddings


def test_a_snapshot_in_use_under_another_name_brings_the_steps_of_its_run(app):
    width = tiny.KINDS["sd1"].text_encoder["hidden_size"]
    folder = trained(app.paths.textual_inversion, "anna-t1", (5, 6), width)
    finished(app.training.use_snapshot(folder.path, 5, "mascot-t1"))
    assert app.snapshot_steps("a Mascot-T1 cat") == [5, 6]
    script = ScriptParams(script=XYZ, x_type="Embedding step", x_values="6")
    [picture] = of(finished(app.run_script(replace(FORM, prompt="a mascot-t1 cat"), script)), ImageDone)
    assert parse_infotext(picture.infotext)["TI hashes"].startswith("mascot-t1: ")
    (app.paths.embeddings / "mascot-t1.safetensors").write_bytes(b"another one")
    assert app.snapshot_steps("a mascot-t1 cat") == []
