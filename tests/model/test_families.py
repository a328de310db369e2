"""Architectures: read off shapes, completed from metadata, refused with a sentence."""

import re
from pathlib import Path

import pytest

from modules.errors import CheckpointError
from modules.model import families
from modules.model.families import Architecture, Family, read_architecture
from modules.model.weights import open_weights
from tests import tiny
from tests.prompts.prompt_vectors import REFERENCE


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("checkpoints")


@pytest.fixture(scope="module")
def sd1(folder: Path) -> Path:
    return tiny.checkpoint(folder / "sd1.safetensors", "sd1")


def read(path: Path, **metadata: str) -> Architecture:
    weights = open_weights(path)
    return read_architecture(path.name, weights.meta, {**weights.metadata, **metadata}, weights.open_clip)


def test_sd1_numbers_stand_in_for_what_shapes_cannot_tell(sd1: Path) -> None:
    found = read(sd1)
    assert found.family is Family.SD1
    assert found.unet["attention_head_dim"] == [8, 8, 8, 8]
    assert found.unet["norm_num_groups"] == found.vae["norm_num_groups"] == 32
    assert found.text_encoder["num_attention_heads"] == 12
    assert found.text_encoder["hidden_act"] == "quick_gelu"
    assert found.scaling_factor == 0.18215
    assert found.prediction_type is None
    assert found.native_size is None
    assert found.recommended == {}
    assert found.latent_rgb == families.SD_LATENT_RGB


@pytest.mark.parametrize("kind", ["sd1", "sd2"])
@pytest.mark.parametrize("form", ["x.safetensors", "x.ckpt", "x"])
def test_shapes_tell_the_rest_in_every_layout(tmp_path: Path, kind: str, form: str) -> None:
    found, numbers = read(tiny.checkpoint(tmp_path / form, kind)), tiny.KINDS[kind]
    assert found.unet["block_out_channels"] == numbers.unet["block_out_channels"]
    assert found.unet["layers_per_block"] == numbers.unet.get("layers_per_block", 2)
    assert found.unet["cross_attention_dim"] == found.width == numbers.text_encoder["hidden_size"]
    assert found.unet["use_linear_projection"] == (kind == "sd2")
    assert found.unet["down_block_types"] == ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"]
    assert found.unet["up_block_types"] == ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3
    assert found.vae["block_out_channels"] == numbers.vae["block_out_channels"]
    assert found.vae["layers_per_block"] == numbers.vae["layers_per_block"]
    assert found.text_encoder["num_hidden_layers"] == numbers.text_encoder["num_hidden_layers"]
    assert found.text_encoder["intermediate_size"] == numbers.text_encoder["intermediate_size"]


def test_sd2_has_heads_of_64_channels_and_its_own_activation(folder: Path) -> None:
    found = read(tiny.checkpoint(folder / "sd2.safetensors", "sd2"))
    assert found.family is Family.SD2
    assert found.unet["attention_head_dim"] == [1, 1, 2, 2]
    assert found.text_encoder["num_attention_heads"] == 1
    assert found.text_encoder["hidden_act"] == "gelu"


def test_the_reference_checkpoint() -> None:
    found = read(REFERENCE / "models" / "tiny-sd15.safetensors")
    assert found.family is Family.SD1
    assert found.width == 72
    assert found.unet_parameters == 3_291_812
    assert found.unet["attention_head_dim"] == [8] * 4


def test_metadata_are_read(sd1: Path) -> None:
    rows = "[[1,0,0],[0,1,0],[0,0,1],[0,0,0],[0.5,0.25,0.125]]"
    found = read(
        sd1,
        **{
            "architecture.unet.heads": "4, 4, 8,8",
            "architecture.unet.norm_groups": "16",
            "architecture.text_encoder.heads": "4",
            "architecture.text_encoder.activation": "gelu",
            "architecture.vae.norm_groups": "8",
            "architecture.vae.scaling_factor": "1.0",
            "architecture.prediction_type": "v_prediction",
            "architecture.native_size": "128x192",
            "preview.latent_rgb": rows,
            "recommended.cfg_scale": "5",
            "recommended.steps": "20",
            "recommended.sampler": "DPM++ 2M",
            "recommended.schedule": "Karras",
        },
    )
    assert found.unet["attention_head_dim"] == [4, 4, 8, 8]
    assert found.unet["norm_num_groups"] == 16
    assert found.text_encoder["num_attention_heads"] == 4
    assert found.text_encoder["hidden_act"] == "gelu"
    assert found.vae["norm_num_groups"] == 8
    assert found.scaling_factor == 1.0
    assert found.prediction_type == "v_prediction"
    assert found.native_size == (128, 192)
    assert found.latent_rgb[4] == (0.5, 0.25, 0.125)
    assert found.recommended == {"cfg_scale": 5.0, "steps": 20, "sampler": "DPM++ 2M", "schedule": "Karras"}


def test_modelspec_names_the_prediction_type_too(sd1: Path) -> None:
    assert read(sd1, **{"modelspec.prediction_type": "v"}).prediction_type == "v_prediction"
    assert read(sd1, **{"modelspec.prediction_type": "epsilon"}).prediction_type == "epsilon"


BAD_METADATA = {
    "architecture.unet.heads": ["", "0", "eight", "8,8", "-8", "8;8", "1e9", "7"],
    "architecture.unet.norm_groups": ["0", "33", "x"],
    "architecture.text_encoder.heads": ["5", "0.5"],
    "architecture.text_encoder.activation": ["relu", ""],
    "architecture.vae.norm_groups": ["7"],
    "architecture.vae.scaling_factor": ["0", "nan", "inf", "-1", "one"],
    "architecture.prediction_type": ["sample", ""],
    "architecture.native_size": ["128", "x", "0x0", "100x100", "99999x8", "-64x64"],
    "preview.latent_rgb": ["", "[]", "[[1,2,3]]", "[[NaN,0,0],[0,0,0],[0,0,0],[0,0,0],[0,0,0]]", "[" * 100_000],
    "recommended.cfg_scale": ["x", "1000", "nan"],
    "recommended.steps": ["20.5", "0"],
    "recommended.sampler": ["Dreamy"],
    "recommended.schedule": ["Slow"],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in BAD_METADATA.items() for value in values])
def test_unusable_metadata_are_named(sd1: Path, key: str, value: str) -> None:
    with pytest.raises(CheckpointError, match=r"“sd1\.safetensors”"):
        read(sd1, **{key: value})


def test_the_documented_keys_are_the_ones_that_are_read() -> None:
    """The module's docstring is the documentation that tools and people go by."""
    source = Path(families.__file__).read_text(encoding="utf-8")
    documentation, code = source.split('"""', 2)[1:]
    read_keys = set(re.findall(r'"((?:architecture|preview|modelspec)\.[\w.]+)"', code))
    assert read_keys == set(re.findall(r"(?:architecture|preview|modelspec)\.[\w.]+\w", documentation))
    assert all(f".{name}" in documentation for name in families._RECOMMENDED)
