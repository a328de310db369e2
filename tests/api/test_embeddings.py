"""Embeddings created and trained by a program, on the tiny model."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from modules.embeddings.embedding import Embedding
from modules.embeddings.reading import read_embedding
from modules.embeddings.writing import save_embedding
from modules.errors import ParameterError
from modules.events import Event, Status
from modules.jobs import JobState
from tests.api.serving import Served, over, sentence
from tests.training.tiny_run import make_photos


def test_created_listed_and_used(served: Served) -> None:
    body = {"name": "ben-t1", "num_vectors_per_token": 2, "init_text": "face"}
    answer = served.post("create/embedding", body)
    assert answer.json() == {"info": "create embedding filename: embeddings/ben-t1.safetensors"}
    made = read_embedding(served.app.paths.embeddings / "ben-t1.safetensors")
    assert made
    assert made.vectors_per_token == 2
    told = served.get("embeddings").json()
    assert told["loaded"]["ben-t1"] == {
        "step": 0,
        "sd_checkpoint": None,
        "sd_checkpoint_name": None,
        "shape": 48,
        "vectors": 2,
    }


def test_embeddings_of_other_models_are_skipped(served: Served) -> None:
    save_embedding(Embedding("large", torch.ones(1, 768), step=7), served.app.paths.embeddings / "large.safetensors")
    (served.app.paths.embeddings / "broken.pt").write_bytes(b"x")
    told = served.get("embeddings").json()
    assert told["skipped"]["large"]["shape"] == 768
    assert "large" not in told["loaded"]
    assert "broken" not in {**told["skipped"], **told["loaded"]}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "name: Field required"),
        ({"name": ""}, "empty"),
        ({"name": "../out"}, "name: The name holds '/'"),
        ({"name": "a\x00b"}, "The name holds"),
        ({"name": "CON"}, "device name"),
        ({"name": "x" * 101}, "longer than"),
        ({"name": ".hidden"}, "begin with a dot"),
        ({"name": "many-t1", "num_vectors_per_token": 76}, "num_vectors_per_token: An embedding has 1 to 75 vectors"),
        ({"name": "none-tx", "num_vectors_per_token": 0}, "num_vectors_per_token: An embedding has 1 to 75 vectors"),
        ({"name": ["a"]}, "name"),
    ],
    ids=str,
)
def test_what_cannot_be_created_is_a_sentence(served: Served, body: dict, words: str) -> None:
    before = sorted(served.app.paths.data.rglob("*"))
    answer = served.post("create/embedding", body)
    assert answer.status_code == 422
    assert words in sentence(answer)
    assert sorted(served.app.paths.data.rglob("*")) == before


def test_a_taken_name_is_no_success(served: Served) -> None:
    served.post("create/embedding", {"name": "taken-t1"})
    answer = served.post("create/embedding", {"name": "taken-t1"})
    assert answer.status_code == 422
    assert "already exists" in sentence(answer)
    assert served.post("create/embedding", {"name": "taken-t1", "overwrite_old": True}).status_code == 200


@pytest.fixture
def photos(served: Served, tmp_path: Path) -> Path:
    served.post("create/embedding", {"name": "learned-t1", "overwrite_old": True})
    return make_photos(tmp_path / "photos", 3)


def wish(photos: Path, **values: object) -> dict:
    return {
        "embedding_name": "learned-t1",
        "learn_rate": "1e-6",
        "data_root": str(photos),
        "training_width": 64,
        "training_height": 64,
        "steps": 2,
        "create_image_every": 0,
        "save_embedding_every": 0,
        "template_filename": "subject.txt",
        "held_out": 0,
        **values,
    }


def test_training_answers_when_it_is_done(served: Served, photos: Path) -> None:
    answer = served.post("train/embedding", wish(photos, id_task="task(train)"))
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["info"].startswith("train embedding complete: filename: ")
    assert told["info"].endswith(" error: None")
    told_job = served.get(f"jobs/{told['job']}").json()
    assert (told_job["task_id"], told_job["state"]) == ("task(train)", "finished")
    kinds = [event["event"] for event in told_job["events"]]
    assert {"training_started", "trained", "training_ended"} <= set(kinds)
    started = next(event for event in told_job["events"] if event["event"] == "training_started")
    assert started["folder"].startswith("textual_inversion/"), "told by its place in the data folder"


def test_training_can_answer_at_once_and_be_cancelled(served: Served, photos: Path) -> None:
    answer = served.post("train/embedding", wish(photos, steps=100_000), wait=False)
    assert answer.status_code == 202
    id = answer.json()["job"]
    again = served.post("train/embedding", wish(photos))
    assert again.status_code == 409, "one run at a time; the queue is not full"
    assert "under way" in sentence(again)
    number, trained = 0, False
    while not trained:
        told = served.get(f"jobs/{id}", since=number).json()
        number, trained = told["next"], any(event["event"] == "trained" for event in told["events"])
    assert served.post(f"jobs/{id}/cancel").status_code == 200
    job = served.app.jobs.find(id)
    assert job
    assert over(job).state is JobState.INTERRUPTED


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"embedding_name": ""}, "embedding_name: No embedding"),
        ({"embedding_name": "no such"}, "embedding_name: “no such” cannot be trained"),
        ({"learn_rate": "fast"}, "learn_rate: “fast” is no schedule"),
        ({"steps": 0}, "steps: "),
        ({"learn_rate": -1}, "learn_rate: Every rate must be a number above zero"),
        ({"training_width": 65}, "training_width"),
        ({"data_root": "/no/such/folder"}, "cannot be opened"),
        ({"log_directory": "../out"}, "out of"),
        ({"template_filename": "../../etc/passwd"}, "template_filename: "),
        ({"data_root": ""}, "data_root: "),
        ({"clip_grad_mode": "yes"}, "clip_grad_mode"),
        ({"preview_sampler_name": "Foo"}, "preview_sampler_name: There is no sampler 'Foo'"),
    ],
    ids=str,
)
def test_what_cannot_be_trained_is_a_sentence(served: Served, photos: Path, values: dict, words: str) -> None:
    answer = served.post("train/embedding", wish(photos, **values))
    assert 400 <= answer.status_code < 500
    assert words in sentence(answer)


def test_every_field_of_training_has_a_default(served: Served) -> None:
    answer = served.post("train/embedding", {})
    assert answer.status_code == 422
    assert "No embedding is chosen" in sentence(answer), "and nothing else is missing"


def test_a_failure_of_the_run_names_the_field_as_the_request_has_it(
    served: Served, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Iterator[Event]:
        yield Status("at work")
        raise ParameterError("embedding", "It has gone meanwhile.")

    monkeypatch.setattr(served.app.training, "_train", fail)
    answer = served.post("train/embedding", wish(photos))
    assert answer.status_code == 422
    assert sentence(answer) == "embedding_name: It has gone meanwhile."


def test_fields_that_mean_nothing_are_named(served: Served, photos: Path) -> None:
    answer = served.post(
        "create/embedding", {"name": "plain-t1", "overwrite_old": True, "initial_text": "face", "é": 1}
    )
    assert answer.headers["x-without-effect"] == "initial_text, %C3%A9"
    assert (
        "x-without-effect" not in served.post("create/embedding", {"name": "plain-t1", "overwrite_old": True}).headers
    )
    for steps, wait in ((2, True), (4, False)):
        body = wish(photos, steps=steps, learning_rate=1, preview_sampler_index=None)
        answer = served.post("train/embedding", body, wait=wait)
        assert answer.status_code in (200, 202), answer.text
        assert answer.headers["x-without-effect"] == "learning_rate"
    over(served.app.jobs.jobs()[-1])
