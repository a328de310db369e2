"""What is written here loads here, in diffusers, and by the rules of A1111."""

import io
import pickletools
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from diffusers.loaders.textual_inversion import TextualInversionLoaderMixin
from safetensors import safe_open
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from modules.embeddings.embedding import Embedding
from modules.embeddings.export import in_format
from modules.embeddings.writing import save_embedding, save_pt, save_safetensors
from modules.errors import StorageError
from tests.embeddings.reference import random_embedding, read

# what A1111's restricted unpickler allows, and what its archive check allows
PICKLE_NAMES = re.compile(r"collections OrderedDict|torch\._utils _rebuild_tensor_v2|torch (Float|Half)Storage")
ARCHIVE_NAMES = re.compile(r"[^/]+/(data\.pkl|version|data/\d+)")


@pytest.mark.parametrize("save", [save_safetensors, save_pt], ids=["safetensors", "pt"])
class TestBoth:
    def test_read_back(self, tmp_path: Path, save: Any):
        written = random_embedding("real-benny t1", count=75, width=768)
        save(written, tmp_path / "real-benny t1")
        embedding = read(tmp_path / "real-benny t1")
        assert torch.equal(embedding.vectors, written.vectors)
        assert embedding.name == written.name
        assert (embedding.step, embedding.checkpoint_hash, embedding.checkpoint_name) == (1200, "0123456789", "tiny")

    def test_unknown_origin_stays_unknown(self, tmp_path: Path, save: Any):
        save(Embedding("x", torch.zeros(1, 768)), tmp_path / "x")
        embedding = read(tmp_path / "x")
        assert (embedding.checkpoint_hash, embedding.checkpoint_name, embedding.init_text) == (None, None, None)

    def test_sdxl(self, tmp_path: Path, save: Any):
        written = random_embedding(width=2048)
        save(written, tmp_path / "x")
        assert torch.equal(read(tmp_path / "x").vectors, written.vectors)

    def test_a_failed_write_keeps_the_old_file(self, tmp_path: Path, save: Any, monkeypatch: pytest.MonkeyPatch):
        save(random_embedding(seed=1), tmp_path / "x")
        before = (tmp_path / "x").read_bytes()

        def full(*_: Any) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.fsync", full)
        with pytest.raises(StorageError, match="Disk full"):
            save(random_embedding(seed=2), tmp_path / "x")
        assert (tmp_path / "x").read_bytes() == before
        assert [path.name for path in tmp_path.iterdir()] == ["x"]


class TestSafetensors:
    def test_one_tensor_and_its_origin(self, tmp_path: Path):
        save_safetensors(random_embedding(), tmp_path / "x.safetensors")
        with safe_open(tmp_path / "x.safetensors", "pt") as file:
            assert list(file.keys()) == ["emb_params"]
            metadata = file.metadata()
        assert metadata.pop("vectors_sha256") == random_embedding().vectors_digest
        assert metadata == {
            "format": "pt",
            "name": "zwx",
            "step": "1200",
            "sd_checkpoint": "0123456789",
            "sd_checkpoint_name": "tiny",
            "init_text": "happy person",
            "settings_digest": "abcdef",
        }

    def test_all_of_it_is_read_back(self, tmp_path: Path):
        save_safetensors(random_embedding(), tmp_path / "x.safetensors")
        embedding = read(tmp_path / "x.safetensors")
        assert (embedding.init_text, embedding.settings_digest) == ("happy person", "abcdef")

    def test_sdxl_has_two_tensors(self, tmp_path: Path):
        save_safetensors(random_embedding(count=3, width=2048), tmp_path / "x.safetensors")
        tensors = safetensors.torch.load_file(tmp_path / "x.safetensors")
        assert {name: tuple(t.shape) for name, t in tensors.items()} == {"clip_l": (3, 768), "clip_g": (3, 1280)}


class TestA1111Rules:
    def test_the_archive_holds_nothing_else(self, tmp_path: Path):
        save_pt(random_embedding(), tmp_path / "x.pt")
        with zipfile.ZipFile(tmp_path / "x.pt") as archive:
            assert archive.testzip() is None
            assert all(ARCHIVE_NAMES.fullmatch(name) for name in archive.namelist())
            program = archive.read("archive/data.pkl")
        assert list(_names_asked_for(program))
        assert all(PICKLE_NAMES.fullmatch(name) for name in _names_asked_for(program))

    def test_the_dictionary(self, tmp_path: Path):
        save_pt(random_embedding(), tmp_path / "x.pt")
        content = torch.load(io.BytesIO((tmp_path / "x.pt").read_bytes()), weights_only=True)
        vectors = content["string_to_param"].pop("*")
        assert torch.equal(vectors, random_embedding().vectors)
        assert (vectors.dtype, vectors.requires_grad, vectors.device.type) == (torch.float32, False, "cpu")
        assert content == {
            "string_to_token": {"*": 265},
            "string_to_param": {},
            "name": "zwx",
            "step": 1200,
            "sd_checkpoint": "0123456789",
            "sd_checkpoint_name": "tiny",
        }


class Pipeline(TextualInversionLoaderMixin):
    """As much of a diffusers pipeline as its loader of embeddings touches."""

    def __init__(self, tokenizer: CLIPTokenizer, text_encoder: CLIPTextModel):
        self.tokenizer, self.text_encoder = tokenizer, text_encoder
        self.components = {"tokenizer": tokenizer, "text_encoder": text_encoder}
        self.hf_device_map = None


@pytest.mark.parametrize("exported", [False, True], ids=["saved", "exported"])
@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_diffusers_loads_it(tmp_path: Path, suffix: str, exported: bool):
    path = tmp_path / f"zwx.{suffix}"
    if exported:
        path.write_bytes(in_format(random_embedding(), suffix))
    else:
        save_embedding(random_embedding(), path)
    vocabulary = {"<|startoftext|>": 0, "<|endoftext|>": 1, "a": 2, "a</w>": 3}
    config = CLIPTextConfig(
        vocab_size=4, hidden_size=72, num_hidden_layers=1, num_attention_heads=12, intermediate_size=72
    )
    pipeline = Pipeline(CLIPTokenizer(vocab=vocabulary, merges=[]), CLIPTextModel(config))
    pipeline.load_textual_inversion(str(path), token="zwx")
    table = pipeline.text_encoder.embeddings.token_embedding.weight
    assert torch.equal(table[-2:].detach(), random_embedding().vectors)
    assert pipeline.tokenizer.convert_tokens_to_ids(["zwx", "zwx_1"]) == [4, 5]


def _names_asked_for(program: bytes) -> Iterator[str]:
    for operation, argument, _ in pickletools.genops(program):
        assert operation.name != "STACK_GLOBAL"  # newer than the protocol that A1111's files have
        if operation.name == "GLOBAL":
            yield str(argument)
