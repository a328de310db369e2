"""`./webui.sh create` and `./webui.sh prepare`."""

from PIL import Image

from modules.cli.create import MOST_VECTORS
from modules.embeddings.embedding import MOST_VECTORS as MOST
from tests.cli.runs import NAME, events, run, server, told, trained
from tests.training.tiny_run import make_photos


def test_create_writes_the_file_and_says_where(tmp_path, capsys):
    assert run(["create", NAME, "--init-text", "face", "--vectors-per-token", "3", *server(tmp_path)]) == 0
    lines, sentences = told(capsys)
    assert events(lines, "embedding_saved")[0]["path"] in sentences
    embedding = trained(tmp_path)
    assert (len(embedding.vectors), embedding.init_text) == (3, "face")


def test_create_replaces_only_when_told(tmp_path, capsys):
    assert run(["create", NAME, *server(tmp_path)]) == 0
    assert run(["create", NAME, *server(tmp_path)]) == 2
    assert "already exists" in capsys.readouterr().err
    assert run(["create", NAME, "--overwrite", "--vectors-per-token", "2", *server(tmp_path)]) == 0
    assert len(trained(tmp_path).vectors) == 2
    assert (tmp_path / "embeddings" / f"{NAME}.safetensors.bak").exists()


def test_create_refuses_without_loading_a_model(tmp_path, capsys):
    assert run(["create"]) == 2
    assert run(["create", NAME, "--vectors-per-token", "76"]) == 2
    assert run(["create", "..", *server(tmp_path)]) == 2
    assert capsys.readouterr().out == ""
    assert MOST_VECTORS == MOST, "it is written down there once more because that module brings torch"


def test_prepare_writes_what_training_reads_and_needs_no_model(tmp_path, capsys):
    photos = make_photos(tmp_path / "photos", 3, size=(120, 90))
    for path in sorted(photos.iterdir()):
        path.with_suffix(".txt").write_text("a wave at the beach")
    wanted = ["--width", "64", "--height", "64", "--caption-action", "copy"]
    assert run(["prepare", str(photos), str(tmp_path / "out"), *wanted, "--data-dir", str(tmp_path)]) == 0
    lines, sentences = told(capsys)
    assert len(events(lines, "prepared")) == 3
    pictures = sorted((tmp_path / "out").glob("*.png"))
    assert [Image.open(path).size for path in pictures] == [(64, 64)] * 3
    assert [path.with_suffix(".txt").read_text() for path in pictures] == ["a wave at the beach"] * 3
    assert events(lines, "preprocessing_ended")[0]["sentence"] in sentences


def test_a_survey_writes_nothing(tmp_path, capsys):
    photos = make_photos(tmp_path / "photos", 2)
    assert run(["prepare", str(photos), "--survey", "--data-dir", str(tmp_path)]) == 0
    lines, sentences = told(capsys)
    paths = sorted(photos.iterdir())
    assert [line["photo"]["path"] for line in events(lines, "judged")] == [str(path) for path in paths]
    assert events(lines, "surveyed")[0]["report"]
    assert f"“{paths[0].name}”: Small: " in sentences
    assert "2 photos: 2 " in sentences


def test_prepare_needs_two_folders(tmp_path, capsys):
    assert run(["prepare", str(tmp_path)]) == 2
    assert "PHOTOS PREPARED" in capsys.readouterr().err


def test_a_folder_without_photos_is_told(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert run(["prepare", str(tmp_path / "empty"), str(tmp_path / "out"), "--data-dir", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
