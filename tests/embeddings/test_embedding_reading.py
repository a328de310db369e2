"""Files read as embeddings: every good one loads, every bad one is refused with a sentence."""

import random
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from modules.embeddings import reading
from modules.embeddings.card import save_card
from modules.embeddings.reading import read_embedding
from modules.embeddings.writing import save_pt, save_safetensors
from modules.errors import EmbeddingError
from tests import foreign
from tests.embeddings.reference import FILES, FOLDER, random_embedding, read

TOO_MANY = "width72/vec80.pt"  # the recording program loads it and then fails on every prompt that names it
GOOD = [f for f in FILES if f.get("vectors") and f["file"] != TOO_MANY]
FAMILY_ONLY = {"bad/sdxl.safetensors": 2048, "bad/sd2-1024.pt": 1024}  # good, but for other models
PICTURES = ["bad/just-a-picture.png", "bad/realbenny-t1.preview.png"]
BAD = [f for f in FILES if f["file"].startswith("bad/") and f["file"] not in [*FAMILY_ONLY, *PICTURES]]


@pytest.mark.parametrize("record", GOOD, ids=lambda record: record["file"])
def test_recorded_files_load(record: dict):
    embedding = read(FOLDER / record["file"])
    assert embedding.name == record["name"]
    assert tuple(embedding.vectors.shape) == (record["vectors"], record["width"])
    assert embedding.sha256 == record["sha256"]
    if "checksum" in record:
        assert embedding.checksum == record["checksum"]
    if "step" in record:
        assert embedding.step == record["step"]
    if "first_values" in record:  # written with six decimals
        assert embedding.vectors[0, :4].tolist() == pytest.approx(record["first_values"], abs=1e-6)


@pytest.mark.parametrize("file", FAMILY_ONLY)
def test_other_families_load(file: str):
    assert read(FOLDER / file).width == FAMILY_ONLY[file]


@pytest.mark.parametrize("file", PICTURES)
def test_ordinary_pictures_are_no_error(file: str):
    assert read_embedding(FOLDER / file) is None


@pytest.mark.parametrize("record", BAD, ids=lambda record: record["file"])
def test_recorded_bad_files_are_refused(record: dict):
    path = FOLDER / record["file"]
    with pytest.raises(EmbeddingError, match=f"“{path.name}”"):
        read_embedding(path)


def test_more_vectors_than_a_chunk_are_refused():
    with pytest.raises(EmbeddingError, match=r"80 vectors.* 1 to 75"):
        read_embedding(FOLDER / TOO_MANY)


@pytest.mark.parametrize("key", ["<cat-toy>", "emb_params", "weird name"])
@pytest.mark.parametrize("shape", [(768,), (3, 768)])
def test_concepts_of_every_maker(tmp_path: Path, key: str, shape: tuple[int, ...]):
    vectors = torch.randn(shape)
    torch.save({key: vectors}, tmp_path / "a.bin")
    save_file({key: vectors}, tmp_path / "a.safetensors")
    for name in ("a.bin", "a.safetensors"):
        assert torch.equal(read(tmp_path / name).vectors, vectors.reshape(-1, 768))


def in_a_module(vectors: torch.Tensor, of_2022: bool = False) -> dict[str, object]:
    """A parameter that wants gradients, kept in a module, beside a table of tokens."""
    module = torch.nn.ParameterDict({"*": torch.nn.Parameter(vectors)})
    if of_2022:  # PyTorch up to 1.11 did not write down the order of the names
        del module._keys
    return {"string_to_token": {"*": torch.tensor(265)}, "string_to_param": module}


@pytest.mark.parametrize("of_2022", [False, True])
@pytest.mark.parametrize("is_zip", [False, True])
def test_the_first_programs_files(tmp_path: Path, of_2022: bool, is_zip: bool):
    vectors = torch.randn(2, 768)
    torch.save(in_a_module(vectors, of_2022), tmp_path / "old.pt", _use_new_zipfile_serialization=is_zip)
    assert torch.equal(read(tmp_path / "old.pt").vectors, vectors)


@pytest.mark.parametrize("is_zip", [False, True])
@pytest.mark.parametrize(
    ("vectors", "sentence"),
    [
        (torch.full((1, 768), torch.nan), "no numbers"),
        (torch.zeros(76, 768), "1 to 75"),
        (torch.zeros(1, 1, 768), "of shape"),
    ],
)
def test_what_a_module_holds_is_judged_as_well(tmp_path: Path, vectors: torch.Tensor, sentence: str, is_zip: bool):
    torch.save(in_a_module(vectors), tmp_path / "old.pt", _use_new_zipfile_serialization=is_zip)
    with pytest.raises(EmbeddingError, match=sentence):
        read_embedding(tmp_path / "old.pt")


def test_other_modules_are_refused(tmp_path: Path):
    """Two of them, one in the other; the second time PyTorch refers to the class it has told of."""
    within = torch.nn.ModuleDict({"a": torch.nn.ParameterDict(), "b": torch.nn.ParameterDict()})
    torch.save({"string_to_param": within}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(EmbeddingError, match=r"is unsafe: it wants .* “torch\.nn\..*\.ModuleDict”"):
        read_embedding(tmp_path / "old.pt")


def test_two_modules_of_one_class(tmp_path: Path):
    vectors = torch.randn(1, 768)
    content = {"other": torch.nn.ParameterDict({"*": vectors}), **in_a_module(vectors)}
    torch.save(content, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert torch.equal(read(tmp_path / "old.pt").vectors, vectors)


def test_the_container_that_pytorch_wrote_until_2020(tmp_path: Path):
    vectors = torch.nn.Parameter(torch.randn(2, 768))
    content = {"string_to_token": {"*": 265}, "string_to_param": {"*": vectors}, "name": "x", "step": 7}
    torch.save(content, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert torch.equal(read(tmp_path / "old.pt").vectors, vectors.detach())
    assert read(tmp_path / "old.pt").step == 7


def test_sdxl_pairs(tmp_path: Path):
    parts = {"clip_g": torch.randn(2, 1280), "clip_l": torch.randn(2, 768)}
    save_file(parts, tmp_path / "xl.safetensors")
    torch.save(parts, tmp_path / "xl.pt")
    for name in ("xl.safetensors", "xl.pt"):
        assert torch.equal(read(tmp_path / name).vectors, torch.cat([parts["clip_l"], parts["clip_g"]], dim=1))
    for left, right in (((2, 768), (3, 1280)), ((2, 1280), (2, 768))):
        torch.save({"clip_g": torch.randn(*right), "clip_l": torch.randn(*left)}, tmp_path / "uneven.pt")
        with pytest.raises(EmbeddingError, match="do not belong together"):
            read_embedding(tmp_path / "uneven.pt")


@pytest.mark.parametrize("name", ["zwx.pt", "zwx.bin", "zwx.safetensors", "zwx.png", "zwx"])
def test_content_decides_not_the_name(tmp_path: Path, name: str):
    embedding = random_embedding()
    for save in (save_safetensors, save_pt):
        save(embedding, tmp_path / name)
        assert torch.equal(read(tmp_path / name).vectors, embedding.vectors)
    save_card(embedding, Image.new("RGB", (64, 64), "teal"), tmp_path / name)
    assert torch.equal(read(tmp_path / name).vectors, embedding.vectors)


@pytest.mark.parametrize("kind", ["JPEG", "GIF", "BMP", "TIFF"])
def test_another_kind_of_picture_under_a_cards_name_carries_nothing(tmp_path: Path, kind: str):
    path = tmp_path / "photo.PNG"
    Image.new("RGB", (64, 64), "teal").save(path, kind)
    assert read_embedding(path) is None
    with pytest.raises(EmbeddingError):
        read_embedding(path.rename(tmp_path / "photo.pt"))


def test_strange_words_about_the_origin_are_left_out(tmp_path: Path):
    vectors = torch.zeros(1, 72)
    save_file(
        {"x": vectors}, tmp_path / "a.safetensors", {"step": "many", "sd_checkpoint": "\n" * 9, "init_text": "x" * 999}
    )
    embedding = read(tmp_path / "a.safetensors")
    assert (embedding.step, embedding.checkpoint_hash, embedding.init_text) == (None, None, None)
    torch.save({"string_to_param": {"*": vectors}, "step": -3, "sd_checkpoint_name": ["x"]}, tmp_path / "a.pt")
    embedding = read(tmp_path / "a.pt")
    assert (embedding.step, embedding.checkpoint_name) == (None, None)


def test_a_picture_cannot_name_its_embedding_as_no_file_could_be_called(tmp_path: Path):
    for number, name in enumerate(("../../evil-t1", "/etc/evil", ".hidden", "con", "a\\b")):
        embedding = random_embedding(name)
        save_card(embedding, Image.new("RGB", (64, 64), "teal"), tmp_path / f"card{number}.png")
        assert read(tmp_path / f"card{number}.png").name == f"card{number}"


# Hostile and broken files (F1–F3 of the test plan)


@pytest.mark.parametrize("form", foreign.HOSTILE)
@pytest.mark.parametrize("name", ["x.pt", "x.ckpt", "x.bin", "x.pth", "x.safetensors", "x.SAFETENSORS", "x.png", "x"])
def test_code_does_not_run(tmp_path: Path, form: str, name: str):
    foreign.HOSTILE[form](foreign.Canary(tmp_path / "canary"), tmp_path / name)
    with pytest.raises(EmbeddingError, match=f"“{name}” is (unsafe|damaged, or pickled in a way)"):
        read_embedding(tmp_path / name)
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("share", [0, 0.01, 0.25, 0.5, 0.99])
@pytest.mark.parametrize("kind", ["pt", "safetensors", "png"])
def test_cut_off(tmp_path: Path, kind: str, share: float):
    whole = _written(tmp_path, kind)
    with pytest.raises(EmbeddingError, match="“part"):
        read_embedding(foreign.truncated(tmp_path / f"part.{kind}", whole, share))


@pytest.mark.parametrize("kind", ["pt", "safetensors", "png"])
def test_flipped_bits_never_change_the_vectors(tmp_path: Path, kind: str):
    """What we write carries checksums: a flip is refused, or it hit nothing that acts."""
    path = _written(tmp_path, kind)
    whole, vectors = path.read_bytes(), read(path).vectors
    chance, refused = random.Random(0), 0
    for _ in range(200):
        flipped = foreign.flipped(tmp_path / f"flipped.{kind}", whole, chance.randrange(len(whole) * 8))
        try:
            embedding = read_embedding(flipped)
        except EmbeddingError:
            refused += 1
        else:
            assert embedding is None or torch.equal(embedding.vectors, vectors)
    assert refused > 50  # most of each file is vectors


@pytest.mark.parametrize(
    "kind", ["view of 4 TB", "sparse tensor of 4 TB", "header nested 100,000 deep", "shape larger than its data"]
)
def test_excessive_files_are_refused(tmp_path: Path, kind: str):
    """`test_tensorfile` shows that they, and many more, cost neither memory nor time."""
    foreign.EXCESSIVE[kind](tmp_path / "x.pt")
    with pytest.raises(EmbeddingError, match=r"“x\.pt”"):
        read_embedding(tmp_path / "x.pt")


def test_large_files_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    save_safetensors(random_embedding(), tmp_path / "a.safetensors")
    monkeypatch.setattr(reading, "LARGEST_FILE", 100)
    with pytest.raises(EmbeddingError, match="larger than any embedding"):
        read_embedding(tmp_path / "a.safetensors")


def _written(folder: Path, kind: str) -> Path:
    path = folder / f"whole.{kind}"
    embedding = random_embedding(count=4)
    if kind == "png":
        save_card(embedding, Image.new("RGB", (128, 128), "teal"), path)
    else:
        {"pt": save_pt, "safetensors": save_safetensors}[kind](embedding, path)
    return path
