"""Names of single files and of diffusers modules: the same tensors either way."""

from typing import Any

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors import safe_open
from torch import Tensor

from modules.model.ldm_keys import Parts, from_ldm, modern_names, to_ldm
from tests import foreign, tiny
from tests.prompts.prompt_vectors import REFERENCE

CROSS, PLAIN = "CrossAttnDownBlock2D", "DownBlock2D"
UNETS: dict[str, dict[str, Any]] = {
    "2 layers": {"layers_per_block": 2},
    "1 layer": {"layers_per_block": 1},
    "3 layers": {"layers_per_block": 3},
    "2 levels": {"block_out_channels": [32, 64], "down_block_types": [CROSS, PLAIN]},
    "attention everywhere": {"down_block_types": [CROSS] * 4},
    "attention in the middle levels": {"down_block_types": [PLAIN, CROSS, CROSS, PLAIN]},
    "linear projections": {"use_linear_projection": True},
}


def unet(numbers: dict[str, Any]) -> dict[str, Tensor]:
    """Names and shapes of a diffusers UNet; each tensor holds its own number, so that mix-ups show."""
    numbers = {"block_out_channels": [32, 64, 96, 128], "down_block_types": [CROSS] * 3 + [PLAIN], **numbers}
    numbers["up_block_types"] = [kind.replace("Down", "Up") for kind in reversed(numbers["down_block_types"])]
    with torch.device("meta"):
        module = UNet2DConditionModel(cross_attention_dim=24, **numbers)
    return numbered(module)


def numbered(module: torch.nn.Module) -> dict[str, Tensor]:
    state = module.state_dict()
    return {name: torch.full(tensor.shape, float(i)) for i, (name, tensor) in enumerate(state.items())}


@pytest.mark.parametrize("kind", UNETS)
def test_unet_round_trip(kind: str) -> None:
    tensors = unet(UNETS[kind])
    single = to_ldm(Parts(unet=tensors))
    assert all(name.startswith("model.diffusion_model.") for name in single)
    assert foreign.tensors_equal(from_ldm(single).unet, tensors)


@pytest.mark.parametrize(("levels", "layers"), [(4, 2), (4, 1), (3, 2)])
def test_vae_round_trip(levels: int, layers: int) -> None:
    numbers: dict[str, Any] = {
        "block_out_channels": [32] * levels,
        "layers_per_block": layers,
        "latent_channels": 4,
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
    }
    with torch.device("meta"):
        module = AutoencoderKL(**numbers)
    tensors = numbered(module)
    single = to_ldm(Parts(vae=tensors))
    assert single["first_stage_model.decoder.mid.attn_1.q.weight"].shape == (32, 32, 1, 1)
    assert foreign.tensors_equal(from_ldm(single).vae, tensors)


@pytest.mark.parametrize("open_clip", [False, True])
def test_text_encoder_round_trip(open_clip: bool) -> None:
    tensors = tiny.random_parts("sd2").text_encoder
    single = to_ldm(Parts(text_encoder=tensors), open_clip=open_clip)
    assert foreign.tensors_equal(from_ldm(single).text_encoder, tensors)
    joined = "cond_stage_model.model.transformer.resblocks.1.attn.in_proj_weight"
    assert (joined in single) == open_clip


def test_names_are_those_of_published_files() -> None:
    """Every weight of the reference checkpoint is found, and written under the name it had."""
    with safe_open(REFERENCE / "models" / "tiny-sd15.safetensors", framework="pt") as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 -- no dict
    meta = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    written = {name: tuple(tensor.shape) for name, tensor in to_ldm(from_ldm(meta)).items()}
    weights = ("model.", "first_stage_model.", "cond_stage_model.")
    assert written == {
        name: shape for name, shape in shapes.items() if name.startswith(weights) and "position_ids" not in name
    }


def test_values_are_views() -> None:
    single = tiny.ldm_tensors(tiny.random_parts("sd2"), "sd2")
    places = {tensor.untyped_storage().data_ptr() for tensor in single.values()}
    parts = from_ldm(single)
    for tensors in (parts.unet, parts.vae, parts.text_encoder):
        assert {tensor.untyped_storage().data_ptr() for tensor in tensors.values()} <= places


def test_text_encoders_without_the_model_level_load() -> None:
    single = to_ldm(Parts(text_encoder=tiny.random_parts("sd1").text_encoder))
    old = {name.replace(".transformer.text_model.", ".transformer."): tensor for name, tensor in single.items()}
    assert foreign.tensors_equal(from_ldm(old).text_encoder, from_ldm(single).text_encoder)


def test_old_diffusers_names_are_understood() -> None:
    parts = tiny.random_parts("sd1")
    renamed = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    vae = dict(parts.vae)
    for new, old in renamed.items():
        vae = {name.replace(f"attentions.0.{new}.", f"attentions.0.{old}."): tensor for name, tensor in vae.items()}
    text = {f"text_model.{name}": tensor for name, tensor in parts.text_encoder.items()}
    assert vae.keys() != parts.vae.keys()
    modern = modern_names(Parts(parts.unet, vae, text))
    assert foreign.tensors_equal(modern.vae, parts.vae)
    assert foreign.tensors_equal(modern.text_encoder, parts.text_encoder)


def test_lumber_is_left_out() -> None:
    lumber = {
        "model_ema.decay": torch.ones(1),
        "model_ema.diffusion_modelinput_blocks00weight": torch.ones(1),
        "alphas_cumprod": torch.ones(1000),
        "first_stage_model.loss.logvar": torch.ones(1),
        "cond_stage_model.transformer.text_model.embeddings.position_ids": torch.arange(77),
        "cond_stage_model.model.logit_scale": torch.ones(1),
    }
    assert from_ldm(lumber) == Parts()


@pytest.mark.parametrize("number", ["99999999999", "9" * 5000])
def test_forged_numbers_ask_for_no_work(number: str) -> None:
    tensors = {f"first_stage_model.encoder.down.{number}.block.0.conv1.weight": torch.ones(1)}
    assert from_ldm(tensors) == Parts()
