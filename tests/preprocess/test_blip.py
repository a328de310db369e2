"""BLIP's loading and use on a tiny model of random weights; what the real one says is not tested here."""

import json
import os
import pickle
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models
from transformers import BlipConfig, BlipForConditionalGeneration

from modules.errors import CheckpointError, FileFormatError, ModelMissing
from modules.preprocess.blip import MAX_TOKENS, MIN_TOKENS, find_blip, load_blip

SPECIAL = ("[PAD]", "[CLS]", "[SEP]", "[DEC]")
WORDS = tuple(f"word{number}" for number in range(60))


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "BLIP"
    text = {
        "vocab_size": len(SPECIAL) + len(WORDS),
        "hidden_size": 16,
        "encoder_hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "max_position_embeddings": 64,
        "bos_token_id": 3,
        "eos_token_id": 2,
        "sep_token_id": 2,
        "pad_token_id": 0,
    }
    vision = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 8,
    }
    torch.manual_seed(0)
    model = BlipForConditionalGeneration(BlipConfig(text_config=text, vision_config=vision, image_text_hidden_size=16))
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if "crossattention" in name or "vision" in name:
                weights.normal_(0, 1)  # as initialised, all pictures would look the same to it
    model.save_pretrained(folder)
    vocabulary = {word: number for number, word in enumerate((*SPECIAL, *WORDS))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[PAD]"))
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture
def no_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))


def copied(shipped: Path, folder: Path) -> Path:
    folder.mkdir(parents=True)
    for path in shipped.iterdir():
        os.link(path, folder / path.name)
    return folder


def as_pickle(folder: Path) -> Path:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return folder


def test_a_picture_is_described_the_same_way_each_time(shipped, tmp_path):
    pictures = [Image.effect_mandelbrot((40, 30), (x, -1, x + 2, 1), 20).convert("RGB") for x in (-2, -1, 0)]
    blip = load_blip(find_blip(shipped.parent))
    sentences = [blip.describe(picture) for picture in pictures]
    assert sentences == [blip.describe(picture) for picture in pictures]
    assert len(set(sentences)) > 1
    for sentence in sentences:
        assert set(sentence.split()) <= set(WORDS)
        assert MIN_TOKENS - 2 <= len(sentence.split()) < MAX_TOKENS  # begin and end are tokens too
    pickled = load_blip(as_pickle(copied(shipped, tmp_path / "BLIP")))
    assert [pickled.describe(picture) for picture in pictures] == sentences


def test_without_its_files_it_says_what_to_put_where(tmp_path, no_cache):
    with pytest.raises(ModelMissing, match=r"blip-image-captioning-base.*BLIP, or turn"):
        find_blip(tmp_path)


def test_the_cache_of_hugging_face_is_looked_into(shipped, tmp_path, no_cache):
    repository = tmp_path / "cache" / "models--Salesforce--blip-image-captioning-base"
    snapshot = copied(shipped, repository / "snapshots" / "0123abc")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0123abc")
    assert find_blip(tmp_path) == snapshot


@pytest.mark.parametrize("missing", ["tokenizer.json", "model.safetensors"])
def test_an_incomplete_folder_is_told(shipped, tmp_path, missing):
    folder = copied(shipped, tmp_path / "BLIP")
    (folder / missing).unlink()
    with pytest.raises(CheckpointError, match="incomplete"):
        load_blip(folder)


def test_another_model_is_refused(shipped, tmp_path):
    folder = copied(shipped, tmp_path / "BLIP")
    (folder / "model.safetensors").unlink()
    save_file({"something": torch.zeros(3)}, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match="not BLIP"):
        load_blip(folder)


def test_a_broken_configuration_is_told(shipped, tmp_path):
    folder = copied(shipped, tmp_path / "BLIP")
    (folder / "config.json").unlink()
    (folder / "config.json").write_text(json.dumps({"model_type": "blip"})[:-3])
    with pytest.raises(CheckpointError, match="do not fit together"):
        load_blip(folder)


class _Canary:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_weights_that_would_run_code_are_refused(shipped, tmp_path):
    folder = as_pickle(copied(shipped, tmp_path / "BLIP"))
    canary = tmp_path / "canary"
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"something": _Canary(canary)}))
    with pytest.raises(FileFormatError, match=r"BLIP in .* cannot be read"):
        load_blip(folder)
    assert not canary.exists()
