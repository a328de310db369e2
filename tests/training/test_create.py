"""New embeddings: what they start from, what becomes of older ones, which names are refused."""

import errno

import pytest
import torch

from modules.embeddings.embedding import Embedding
from modules.embeddings.reading import read_embedding
from modules.errors import ParameterError, StorageError
from modules.events import EmbeddingSaved
from modules.training.create import create_embedding
from tests.training.tiny_run import HASH, NAME, database


def read(path) -> Embedding:
    embedding = read_embedding(path)
    assert embedding
    return embedding


def create(model, paths, name, *given):
    return list(create_embedding(model, database(paths), paths.embeddings, name, *given))


def test_created_from_words(model, paths):
    event = create(model, paths, "mybenny-x2", "face man", 4)[-1]
    path = paths.embeddings / "mybenny-x2.safetensors"
    assert event == EmbeddingSaved(path, f"Created: {path}")
    made = read(path)
    face, man = model.tokenizer.encode("face man")
    table = model.text_encoder.get_input_embeddings().weight
    assert torch.equal(made.vectors, table[[face, face, man, man]])
    assert (made.step, made.init_text) == (0, "face man")
    assert (made.checkpoint_hash, made.checkpoint_name) == (HASH[:10], "tiny-sd15")


def test_a_read_only_folder_is_told_as_such(model, paths, monkeypatch):
    """It lets nothing be removed either, which must not hide why."""

    def refuses(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("builtins.open", refuses)
    monkeypatch.setattr("pathlib.Path.unlink", refuses)
    with pytest.raises(StorageError, match="read-only"):
        create(model, paths, "mybenny-x2")


def test_usable_at_once(model, paths):
    embeddings = database(paths)
    list(create_embedding(model, embeddings, paths.embeddings, "mybenny-x2"))
    assert "mybenny-x2" in embeddings.vocabulary(model.width, model.tokenizer).embeddings


def test_a_taken_name_needs_overwrite_and_leaves_a_backup(model, paths):
    path = paths.embeddings / f"{NAME}.safetensors"
    before = path.read_bytes()
    with pytest.raises(ParameterError, match="already exists") as raised:
        create(model, paths, NAME.upper())
    assert raised.value.field == "name"
    assert path.read_bytes() == before
    create(model, paths, NAME, "cat", 1, True, "pt")
    assert not path.exists()
    assert path.with_name(path.name + ".bak").read_bytes() == before
    assert read(path.with_suffix(".pt")).vectors_per_token == 1


def test_older_backups_stay_and_a_full_disk_changes_nothing(model, paths, monkeypatch):
    path = paths.embeddings / f"{NAME}.safetensors"
    first = path.read_bytes()
    create(model, paths, NAME, "cat", 1, True)
    second = path.read_bytes()

    def full(embedding, path):
        raise StorageError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr("modules.training.create.save_embedding", full)
        with pytest.raises(StorageError):
            create(model, paths, NAME, "dog", 1, True)
    assert path.read_bytes() == second
    create(model, paths, NAME, "dog", 1, True)
    assert path.with_name(path.name + ".bak").read_bytes() == first
    assert path.with_name(path.name + ".bak2").read_bytes() == second


@pytest.mark.parametrize("name", ["", "a/b", ".hidden", "con"])
def test_names_that_no_file_can_have(model, paths, name):
    with pytest.raises(ParameterError):
        create(model, paths, name)


@pytest.mark.parametrize(
    ("name", "reason"), [("cat", "ordinary word"), ("realbenny - t2", "the same as"), (f"{NAME}0", "begins with")]
)
def test_words_that_are_taken_in_a_prompt(model, paths, name, reason):
    with pytest.raises(ParameterError, match=reason) as raised:
        create(model, paths, name)
    assert raised.value.field == "name"
    assert [path.stem for path in paths.embeddings.iterdir()] == [NAME]
