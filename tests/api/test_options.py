import json
from collections.abc import Callable

import pytest

from modules.settings import Settings
from modules.settings_file import load_settings
from tests.api.serving import SMALL, Served, sentence


@pytest.fixture
def fresh(served: Served):
    """The server whose settings are put back afterwards."""
    before = served.app.settings
    yield served
    served.app._settings.now = before
    served.app.change_settings()


def test_all_settings_by_their_keys(served: Served) -> None:
    told = served.get("options").json()
    keys = {field.metadata["key"] for field in Settings.__dataclass_fields__.values() if "key" in field.metadata}
    assert keys <= set(told)
    assert told["CLIP_stop_at_last_layers"] == 1
    assert told["sd_model_checkpoint"] == served.app.model_state.checkpoint
    assert len(told["sd_checkpoint_hash"]) == 64
    assert told["samples_format"] == "png"


def test_changes_are_written_down_and_hold(fresh: Served) -> None:
    theirs = {"show_progress_every_n_steps": -1, "grid_format": "jpeg"}  # only after a batch; jpg
    answer = fresh.post("options", {"CLIP_stop_at_last_layers": 2, "n_rows": 3.0, **theirs})
    assert (answer.status_code, answer.json()) == (200, None)
    assert (fresh.app.settings.clip_skip, fresh.app.settings.grid_rows) == (2, 3)
    assert (fresh.app.settings.preview_every, fresh.app.settings.grid_format) == (0, "jpg")
    stored, _ = load_settings(fresh.app.paths.settings_file)
    assert (stored.clip_skip, stored.grid_rows) == (2, 3)
    drawn = json.loads(fresh.post("txt2img", SMALL).json()["info"])
    assert drawn["clip_skip"] == 2


def test_keys_that_mean_nothing_here_are_kept_and_said(fresh: Served) -> None:
    theirs = {"face_restoration_unload": True, "samples_save": False}
    answer = fresh.post("options", {**theirs, "CLIP_stop_at_last_layers": 2})
    assert answer.headers["x-without-effect"] == "samples_save, face_restoration_unload"
    assert fresh.get("options").json()["face_restoration_unload"] is True
    assert json.loads(fresh.app.paths.settings_file.read_text("utf-8"))["face_restoration_unload"] is True


def test_what_was_read_can_be_sent_back(fresh: Served) -> None:
    told = fresh.get("options").json()
    answer = fresh.post("options", {**told, "n_rows": 1})
    assert answer.status_code == 200, answer.text
    assert "x-without-effect" not in answer.headers
    assert fresh.get("options").json() == {**told, "n_rows": 1}


def test_what_was_brought_along_and_cannot_be_chosen_here_can_be_sent_back(fresh: Served) -> None:
    theirs = {"sd_noise_schedule": "Of another year", "long": "x" * 30_000, "half": "\ud800", "\ud800": 1}
    fresh.app.change_settings(vae="vae-ft-mse-840000-ema-pruned.safetensors", other=theirs)
    told = fresh.get("options").json()
    assert (told["half"], told["sd_vae"]) == ("\ud800", "vae-ft-mse-840000-ema-pruned.safetensors")
    answer = fresh.client.post("/sdapi/v1/options", content=json.dumps({**told, "n_rows": 1}))
    assert answer.status_code == 200, answer.text
    assert fresh.app.settings.grid_rows == 1


def test_limits_of_this_server_are_left_alone_and_named(fresh: Served) -> None:
    before = fresh.app.settings
    answer = fresh.post("options", {"n_rows": 1, "studio_most_steps": 150, "studio_longest_side": before.longest_side})
    assert (answer.status_code, answer.headers["x-without-effect"]) == (200, "studio_most_steps")
    assert fresh.app.settings == before.changed(grid_rows=1)


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"CLIP_stop_at_last_layers": "2"}, 422, "CLIP_stop_at_last_layers: Clip skip must be a whole number"),
        ({"CLIP_stop_at_last_layers": 2.5}, 422, "whole number"),
        ({"CLIP_stop_at_last_layers": 13}, 422, "1 … 12"),
        ({"CLIP_stop_at_last_layers": True}, 422, "whole number"),
        ({"CLIP_stop_at_last_layers": None}, 422, "whole number"),
        ({"emphasis": "Shout"}, 422, "choose one of"),
        ({"grid_save": "yes"}, 422, "yes or no"),
        ({"samples_format": "gif"}, 422, "samples_format: Format of pictures 'gif' is unknown"),
        ({"jpeg_quality": 0}, 422, "jpeg_quality"),
        ({"n_rows": [1]}, 422, "n_rows"),
        ({"sd_model_checkpoint": "no such model"}, 422, "no such model"),
        ({"sd_model_checkpoint": {"a": 1}}, 422, "title of a checkpoint"),
        ({"sd_vae": "no such vae"}, 422, "sd_vae: There is no VAE"),
        ({"foo": "\ud800"}, 422, "half a character"),
        ({"\udfff": 1}, 422, "half a character"),
        ({"samples_filename_pattern": "[seed]\ud800"}, 422, "'samples_filename_pattern' holds half a character"),
        ({"foo": "x" * 20_001}, 422, "too long"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_set_is_a_sentence_and_changes_nothing(
    fresh: Served, change: dict, status: int, words: str
) -> None:
    before = fresh.get("options").json()
    body = json.dumps({"n_rows": 2, **change} if "n_rows" not in change else change)
    answer = fresh.client.post("/sdapi/v1/options", content=body)
    assert answer.status_code == status
    assert words in sentence(answer)
    assert fresh.get("options").json() == before


def test_a_vae_of_settings_brought_along_that_is_not_here_stops_nothing(fresh: Served) -> None:
    fresh.app.change_settings(vae="vae-ft-mse-840000-ema-pruned.safetensors")
    assert fresh.post("txt2img", SMALL).status_code == 200


def test_another_checkpoint_is_in_use_when_the_answer_comes(fresh: Served) -> None:
    titles = [model["title"] for model in fresh.get("sd-models").json()]
    assert [title[:3] for title in titles] == ["one", "two"]
    assert fresh.post("options", {"sd_model_checkpoint": titles[1]}).status_code == 200
    assert json.loads(fresh.post("txt2img", SMALL).json()["info"])["sd_model_name"] == "two"
    assert load_settings(fresh.app.paths.settings_file)[0].checkpoint.startswith("two")
    assert fresh.post("options", {"sd_model_checkpoint": "one"}).status_code == 200


def test_a_file_that_is_no_checkpoint_leaves_the_model_in_use(served: Served) -> None:
    broken = served.app.paths.checkpoint_folders[0] / "broken.safetensors"
    broken.write_bytes(b"no tensors")
    answer = served.post("options", {"sd_model_checkpoint": "broken"})
    broken.unlink()
    assert answer.status_code == 422
    assert "broken" in sentence(answer)
    assert served.post("txt2img", SMALL).status_code == 200


def test_limits_of_this_server(begin: Callable[..., Served]) -> None:
    served = begin(settings=Settings(most_steps=3, longest_side=128, most_pictures=2))
    for body, words in (
        ({"steps": 4}, "more than this server takes: 3"),
        ({"steps": 4, "override_settings": {"studio_most_steps": 9}}, "more than this server takes: 3"),
        ({"width": 136}, "128"),
        ({"n_iter": 3}, "2"),
        ({"batch_size": 2, "n_iter": 2}, "2"),
        ({"enable_hr": True, "hr_scale": 2.5}, "128"),
        ({"enable_hr": True, "hr_second_pass_steps": 4}, "3"),
    ):
        answer = served.post("txt2img", {**SMALL, **body})
        assert answer.status_code == 422, body
        assert words in sentence(answer)
    answer = served.post("txt2img", {"prompt": "a cat", "sampler_name": "Euler"})
    told = json.loads(answer.json()["info"])
    assert (told["steps"], told["width"], told["height"]) == (3, 128, 128), "what nobody asked for is never refused"
