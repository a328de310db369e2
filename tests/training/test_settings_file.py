"""Settings files: ours come back whole, A1111's are understood."""

import json

import pytest

from modules.errors import FileFormatError
from modules.training.settings_file import read_settings
from modules.training_params import TrainParams
from tests.training.tiny_run import make_embedding, make_photos, pull, small

FROM_A1111 = {  # the keys that its file has, as its spec lists them
    "datetime": "2023-01-15 01:22:02",
    "model_name": "v1-5-pruned",
    "model_hash": "a9263745",
    "num_of_dataset_images": 20,
    "num_vectors_per_token": 2,
    "embedding_name": "realbenny-t2",
    "learn_rate": 0.005,
    "batch_size": 2,
    "gradient_step": 3,
    "data_root": "C:\\photos\\benny",
    "log_directory": "textual_inversion/2023-01-15/realbenny-t2",
    "training_width": 512,
    "training_height": 768,
    "steps": 3000,
    "clip_grad_mode": "disabled",
    "clip_grad_value": "0.1",
    "latent_sampling_method": "deterministic",
    "create_image_every": 100,
    "save_embedding_every": 50,
    "save_image_with_stored_embedding": True,
    "template_file": "C:\\webui\\textual_inversion_templates\\subject_filewords.txt",
    "initial_step": 0,
}


def test_ours_comes_back_whole(tmp_path, model, paths):
    make_embedding(paths)
    params = small(make_photos(tmp_path / "photos", 2), tag_drop_out=0.3, preview_seed=5)
    folder = pull(model, paths, params).folder
    (path,) = folder.path.glob("settings-*.json")
    assert TrainParams(**read_settings(path)) == params


def test_photos_that_are_set_aside_are_of_the_dataset_too(tmp_path, model, paths):
    """A1111 counts every picture of the folder that it can open."""
    make_embedding(paths)
    photos = make_photos(tmp_path / "photos", 8)
    (photos / "broken.png").write_bytes(b"no picture")
    folder = pull(model, paths, small(photos, steps=1, held_out=2)).folder
    (path,) = folder.path.glob("settings-*.json")
    assert json.loads(path.read_text())["num_of_dataset_images"] == 8
    assert len(folder.about()["held_out"]) == 2


def test_a1111s_is_understood(tmp_path):
    path = tmp_path / "settings-2023-01-15-01-22-02.json"
    path.write_text(json.dumps(FROM_A1111))
    params = TrainParams(**read_settings(path))
    told = (params.embedding, params.learning_rate, params.batch_size, params.gradient_step, params.steps)
    assert told == ("realbenny-t2", "0.005", 2, 3, 3000)
    assert (params.width, params.height, params.template) == (512, 768, "subject_filewords.txt")
    assert (params.log_directory, params.latent_sampling_method) == ("textual_inversion", "deterministic")
    assert params.held_out == 0, "what the file does not tell is as in A1111"


@pytest.mark.parametrize(
    ("stored", "name"),
    [
        ("people/face.txt", "people/face.txt"),
        ("C:\\webui\\textual_inversion_templates\\people\\face.txt", "people/face.txt"),
        ("/home/me/webui/textual_inversion_templates/face.txt", "face.txt"),
        ("D:\\lines\\face.txt", "face.txt"),
        ("../lines/face.txt", "face.txt"),
    ],
)
def test_templates_are_named_as_they_are_here(tmp_path, stored, name):
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({**FROM_A1111, "template_file": stored}))
    assert read_settings(path)["template"] == name


@pytest.mark.parametrize(
    "log", ["/workspace/webui/textual_inversion/2023-01-15/ben", "D:\\ti\\2023-01-15\\ben", "../x"]
)
def test_folders_of_another_machine_are_left_there(tmp_path, log):
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({**FROM_A1111, "log_directory": log}))
    assert read_settings(path)["log_directory"] == "textual_inversion"


@pytest.mark.parametrize("text", ["no json", "[1, 2]", '{"name": "a model"}', "[" * 100_000])
def test_other_files_are_refused(tmp_path, text):
    path = tmp_path / "settings.json"
    path.write_text(text)
    with pytest.raises(FileFormatError, match=r"settings\.json"):
        read_settings(path)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(FileFormatError, match="cannot be read"):
        read_settings(tmp_path / "settings.json")


def test_ours_from_before_pictures_pulled_equally(tmp_path, paths):
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({"steps": 9, "timestep_sampling": "even"}))
    assert TrainParams().equal_pull
    assert read_settings(path) == {"steps": 9, "timestep_sampling": "even", "equal_pull": False} | {
        "log_directory": "textual_inversion"
    }
