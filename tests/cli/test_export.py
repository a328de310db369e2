"""`./webui.sh export`: what is written, what reads it, and what is never written over. No model is loaded."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from modules.desks.export import FORMATS
from modules.embeddings.reading import read_embedding
from modules.embeddings.writing import save_embedding
from modules.images import open_image, save_png
from modules.training.run_folder import RunFolder
from tests.cli.runs import NAME, run, told
from tests.embeddings.reference import FOLDER, random_embedding, read


def export(data: Path, *words: str) -> int:
    return run(["export", *words, "--data-dir", str(data)])


def colour(card: Path) -> str:
    """Of the picture in the middle of a card; empty for grey."""
    pixels = np.asarray(open_image(card))
    red, green, blue = (int(value) for value in pixels[pixels.shape[0] // 2, pixels.shape[1] // 2])
    return "red" if red > green + blue else "green" if green > red + blue else ""


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with one embedding, which is not the folder that commands are given in."""
    save_embedding(random_embedding(NAME), tmp_path / "data" / "embeddings" / f"{NAME}.safetensors")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "data"


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_written_reads_back(data, capsys, name):
    assert export(data, NAME, "--format", name) == 0
    path = Path(f"{NAME}.{name}").absolute()
    lines, sentences = told(capsys)
    assert lines == [{"event": "exported", "path": str(path), "name": NAME, "vectors": 2, "step": 1200}]
    assert str(path) in sentences
    embedding = read(path)
    assert torch.equal(embedding.vectors, random_embedding().vectors)
    assert (embedding.name, embedding.step, embedding.checkpoint_hash) == (NAME, 1200, "0123456789")


def test_the_file_s_name_tells_the_format_and_a_folder_takes_the_embedding_s_name(data):
    assert export(data, NAME, "-o", "some/where.pt") == 0
    assert Path("some/where.pt").read_bytes()[:2] == b"PK"
    assert export(data, NAME, "-o", "some", "--format", "png") == 0
    assert read(Path("some") / f"{NAME}.png").name == NAME


def test_nothing_is_written_over_unless_told(data, capsys):
    Path("mine.pt").write_text("dear to me")
    assert export(data, NAME, "-o", "mine.pt") == 2
    assert "--overwrite" in capsys.readouterr().err
    assert Path("mine.pt").read_text() == "dear to me"
    assert export(data, NAME, "-o", "mine.pt", "--overwrite") == 0
    assert read(Path("mine.pt")).step == 1200


def test_a_card_shows_the_picture_beside_the_file_or_the_sample_of_the_run(data, tmp_path):
    assert export(data, NAME, "-o", "plain.png") == 0
    folder = RunFolder(data / "textual_inversion" / "2026-01-02" / NAME, NAME)
    folder.describe({"ending": "finished", "step": 1200, "steps": 1200, "checkpoint": "tiny", "started": 1.0})
    save_png(Image.new("RGB", (128, 128), (200, 40, 40)), folder.sample(1200))
    assert export(data, NAME, "-o", "sample.png") == 0
    save_png(Image.new("RGB", (4000, 3000), (40, 200, 40)), data / "embeddings" / f"{NAME}.preview.png")
    assert export(data, NAME, "-o", "beside.png") == 0
    assert [colour(Path(f"{name}.png")) for name in ("plain", "sample", "beside")] == ["", "red", "green"]


def test_a_snapshot_is_exported_by_its_file(data, capsys):
    folder = RunFolder(data / "textual_inversion" / "2026-01-02" / NAME, NAME)
    save_embedding(random_embedding(f"{NAME}-300", seed=3), folder.snapshot(300))
    folder.describe({"ending": "", "step": 300, "steps": 600, "checkpoint": "tiny", "started": 1.0})
    save_png(Image.new("RGB", (128, 128), (200, 40, 40)), folder.sample(300))
    assert export(data, str(folder.snapshot(300)), "-o", "snapshot.png") == 0
    assert colour(Path("snapshot.png")) == "red"
    assert torch.equal(read(Path("snapshot.png")).vectors, random_embedding(seed=3).vectors)


def test_a_card_is_given_as_it_is(data):
    """Or its margins would become part of the picture."""
    assert export(data, NAME, "-o", "card.png") == 0
    shutil.copy("card.png", data / "embeddings" / "card.png")
    (data / "embeddings" / f"{NAME}.safetensors").unlink()
    assert export(data, NAME, "-o", "again.png") == 0
    assert Path("again.png").read_bytes() == Path("card.png").read_bytes()
    assert export(data, NAME, "-o", "vectors.pt") == 0
    assert torch.equal(read(Path("vectors.pt")).vectors, random_embedding().vectors)


def test_an_embedding_for_any_model_and_any_letter_case(data):
    save_embedding(random_embedding("other", width=1024), data / "embeddings" / "sub" / "other.pt")
    assert export(data, "OTHER", "-o", "x.safetensors") == 0
    assert read(Path("x.safetensors")).width == 1024


def test_of_two_with_one_name_the_newest_is_taken_and_told(data, capsys):
    newer = data / "embeddings" / "sub" / f"{NAME}.pt"
    save_embedding(random_embedding(NAME, seed=9), newer)
    assert export(data, NAME, "-o", "x.pt") == 0
    assert "the newest is taken" in capsys.readouterr().err
    assert torch.equal(read(Path("x.pt")).vectors, random_embedding(seed=9).vectors)


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        ([], 2, "NAME"),
        ([NAME], 2, "--format"),
        ([NAME, "--format", "bin"], 2, "bin"),
        ([NAME, "--format", "pt", "-o", "x.safetensors"], 2, ".pt"),
        ([NAME, "-o", "x.bin"], 2, "--format"),
        (["nobody", "--format", "pt"], 2, NAME),
        (["nobody", "--format", "pt", "--stepps", "3"], 2, "--stepps"),
        (["broken", "--format", "pt"], 1, "broken.pt"),
        (["plain.png", "--format", "pt"], 1, "carries no embedding"),
        ([NAME, "-o", "plain.png/x.pt"], 1, "x.pt"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_writes_nothing(data, capsys, words, code, named):
    (data / "embeddings" / "broken.pt").write_bytes(b"PK no archive")
    save_png(Image.new("RGB", (8, 8)), Path("plain.png"))
    assert export(data, *words) == code
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert named in printed.err
    assert [path.name for path in Path().iterdir()] == ["plain.png"]


def test_what_a1111_wrote_is_exported_too(data):
    """Of the recorded files, one of each kind that it could be converted to."""
    for path in sorted((FOLDER / "width72").glob("*")):
        if (embedding := _usable(path)) and path.suffix in (".pt", ".png", ".safetensors"):
            assert export(data, str(path), "-o", "x.png", "--overwrite") == 0
            assert torch.equal(read(Path("x.png")).vectors, embedding.vectors)


def _usable(path: Path):
    return read_embedding(path) if path.is_file() and "vec80" not in path.name else None
