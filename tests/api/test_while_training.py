"""What programs may ask for while a training run needs the model, and what answers at once that it cannot be."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from modules.events import Trained
from modules.jobs import JobState
from tests.api.serving import SMALL, Served, over, sentence, until
from tests.training.tiny_run import make_photos


@pytest.fixture
def training(served: Served, tmp_path: Path) -> Iterator[str]:
    """The id of a run that goes on until the test ends."""
    served.post("create/embedding", {"name": "learned-t1", "overwrite_old": True})
    answer = served.post(
        "train/embedding",
        {
            "embedding_name": "learned-t1",
            "learn_rate": 1e-6,
            "data_root": str(make_photos(tmp_path / "photos", 3)),
            "training_width": 64,
            "training_height": 64,
            "steps": 100_000,
            "create_image_every": 0,
            "save_embedding_every": 0,
            "template_filename": "subject.txt",
            "held_out": 0,
        },
        wait=False,
    )
    assert answer.status_code == 202, answer.text
    job = served.app.jobs.find(answer.json()["job"])
    assert job
    until(job, lambda: any(isinstance(event, Trained) for event in job.events_since()[0]))
    yield job.id
    job.interrupt()
    over(job)


def test_what_is_being_trained_is_not_overwritten(served: Served, training: str) -> None:
    file = served.app.paths.embeddings / "learned-t1.safetensors"
    before = file.read_bytes()
    for name in ("learned-t1", "Learned-T1"):
        answer = served.post("create/embedding", {"name": name, "overwrite_old": True})
        assert answer.status_code == 409
        assert "is being trained: stop that run first" in sentence(answer)
    assert file.read_bytes() == before
    assert not [*served.app.paths.embeddings.glob("*.bak*")][1:], "one copy, made before the run"
    assert served.post("create/embedding", {"name": "meanwhile-t1", "overwrite_old": True}).status_code == 200
    job = served.app.jobs.find(training)
    assert job
    assert job.state is JobState.RUNNING


def test_the_model_of_a_run_stays_and_who_wants_another_is_told_at_once(served: Served, training: str) -> None:
    before = served.get("options").json()
    waiting = len(served.app.jobs.jobs())
    for path, body in (
        ("options", {"sd_model_checkpoint": "two", "n_rows": 3}),
        ("unload-checkpoint", None),
    ):
        answer = served.post(path, body)
        assert answer.status_code == 409, path
        assert "“Training learned-t1” needs the model that is in use" in sentence(answer)
    assert served.get("options").json() == before
    assert len(served.app.jobs.jobs()) == waiting, "nothing waits in the queue"
    assert served.post("options", {"sd_model_checkpoint": "one", "n_rows": -1}).status_code == 200
    assert served.post("reload-checkpoint").status_code == 200
    job = served.app.jobs.find(training)
    assert job
    assert job.state is JobState.RUNNING


def test_a_request_that_names_the_model_of_the_run_need_not_wait(served: Served, training: str) -> None:
    for more in (
        {},
        {"script_name": "prompt matrix", "prompt": "a|b"},
        {"override_settings_restore_afterwards": False},
    ):
        answer = served.post("txt2img", {**SMALL, "override_settings": {"sd_model_checkpoint": "one"}, **more})
        assert json.loads(answer.json()["info"])["sd_model_name"] == "one"
    other = {**SMALL, "override_settings": {"sd_model_checkpoint": "two"}}
    waiting = served.app.jobs.find(served.post("txt2img", other, wait=False).json()["job"])
    assert waiting
    assert served.post("txt2img", SMALL).status_code == 200, "which is drawn before the one that needs another model"
    assert waiting.state is JobState.WAITING
    assert waiting.id in served.get("/internal/pending-tasks").json()["tasks"]
    waiting.interrupt()
