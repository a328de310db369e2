"""Stable-Diffusion-shaped checkpoints with random weights, written in seconds: they load and run, and draw noise.

`checkpoint(path, kind)` writes what the suffix of `path` says: `.safetensors` and `.ckpt` in LDM layout, no suffix a
diffusers folder. Kinds: "sd1" (CLIP), "sd1-72" (as wide as the reference model), "sd2"
(OpenCLIP, linear projections), these with one layer a block, which is quicker than the two of published models; and
"sd1-full" (the 1.07 billion parameters of SD 1.5, 2.1 GB in half precision). No metadata is needed to read them.
What is broken, foreign or hostile is written by `tests/foreign.py`.
"""

import json
import sys
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from safetensors.torch import save_file
from torch import Tensor

from modules.model.ldm_keys import Parts, to_ldm

VOCABULARY = 49408
MIXING = 1 << 22  # random numbers drawn once; larger tensors repeat them


@dataclass(frozen=True)
class Kind:
    """The numbers of one kind of model, as diffusers and transformers name them."""

    unet: dict[str, Any]
    vae: dict[str, Any]
    text_encoder: dict[str, Any]
    open_clip: bool = False
    scheduler: dict[str, Any] = field(default_factory=lambda: {"prediction_type": "epsilon"})


def _sd1(width: int) -> Kind:
    unet = {"block_out_channels": [32, 64, 64, 64], "layers_per_block": 1, "attention_head_dim": 8}
    text = {"hidden_size": width, "num_hidden_layers": 2, "num_attention_heads": 12, "intermediate_size": 192}
    vae = {"block_out_channels": [32, 32, 64, 64], "layers_per_block": 1}
    return Kind({**unet, "cross_attention_dim": width}, vae, text)


KINDS = {
    "sd1": _sd1(width=48),
    "sd1-72": _sd1(width=72),
    "sd2": Kind(
        unet={
            "block_out_channels": [64, 64, 128, 128],
            "layers_per_block": 1,
            "cross_attention_dim": 64,
            "attention_head_dim": [1, 1, 2, 2],
            "use_linear_projection": True,
        },
        vae={"block_out_channels": [32, 32, 64, 64], "layers_per_block": 1},
        text_encoder={
            "hidden_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 1,
            "intermediate_size": 256,
            "hidden_act": "gelu",
        },
        open_clip=True,
    ),
    "sd1-full": Kind(
        unet={"block_out_channels": [320, 640, 1280, 1280], "cross_attention_dim": 768, "attention_head_dim": 8},
        vae={"block_out_channels": [128, 256, 512, 512], "layers_per_block": 2},
        text_encoder={
            "hidden_size": 768,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "intermediate_size": 3072,
        },
    ),
}


def checkpoint(
    path: Path,
    kind: str = "sd1",
    *,
    seed: int = 0,
    dtype: torch.dtype = torch.float16,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write a checkpoint of random weights and return its path.

    Args:
        path: `name.safetensors`, `name.ckpt`, or `name` for a diffusers folder.
        kind: one of `KINDS`.
        seed: other seeds give other weights of the same shapes.
        metadata: strings for the safetensors header.
    """
    parts = random_parts(kind, seed=seed, dtype=dtype)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        save_file(ldm_tensors(parts, kind), path, dict(metadata or {}))
    elif path.suffix == ".ckpt":
        write_ckpt(path, ldm_tensors(parts, kind))
    else:
        write_folder(path, parts, kind)
    return path


def random_parts(kind: str, *, seed: int = 0, dtype: torch.dtype = torch.float16) -> Parts:
    """State dicts of the three networks; every layer keeps the spread of its input, so that nothing overflows."""
    numbers = KINDS[kind]
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(MIXING, generator=generator).to(dtype).repeat(2)
    return Parts(*({name: _weights(name, t, noise) for name, t in m.state_dict().items()} for m in skeletons(numbers)))


def skeletons(numbers: Kind) -> tuple[torch.nn.Module, torch.nn.Module, torch.nn.Module]:
    """UNet, VAE and text encoder without memory for their weights."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    with torch.device("meta"):
        return (
            UNet2DConditionModel(**numbers.unet),
            AutoencoderKL(**_vae_config(numbers)),
            CLIPTextModel(CLIPTextConfig(vocab_size=VOCABULARY, **numbers.text_encoder)),
        )


def ldm_tensors(parts: Parts, kind: str) -> dict[str, Tensor]:
    """The tensors of a single file, with some of the lumber that published files carry."""
    lumber = {
        "alphas_cumprod": torch.linspace(1, 0, 1000),
        "model_ema.decay": torch.tensor(0.9999),
        "model_ema.num_updates": torch.tensor(1, dtype=torch.int32),
        "model_ema.diffusion_modeltime_embed0weight": torch.zeros(2, 2),
    }
    text = parts.text_encoder
    if KINDS[kind].open_clip:  # SD 2's files have one block more than is ever run
        layers = KINDS[kind].text_encoder["num_hidden_layers"]
        last = {name: t for name, t in text.items() if name.startswith("encoder.layers.0.")}
        text = {**text, **{name.replace(".0.", f".{layers}.", 1): torch.full_like(t, 9) for name, t in last.items()}}
    tensors = to_ldm(Parts(parts.unet, parts.vae, text), KINDS[kind].open_clip)
    return {**lumber, **{name: tensor.contiguous() for name, tensor in tensors.items()}}


def write_ckpt(path: Path, tensors: Mapping[str, Tensor], *, legacy: bool = False) -> None:
    """Write as training programs did: weights below `state_dict`, beside counters and a callback's class."""
    with _lightning_class() as callback:
        content = {
            "epoch": 3,
            "global_step": 1000,
            "pytorch-lightning_version": "1.4.2",
            "state_dict": dict(tensors),
            "callbacks": {callback: {"best_model_score": torch.tensor(0.1), "monitor": None}},
        }
        torch.save(content, path, _use_new_zipfile_serialization=not legacy)


def write_folder(path: Path, parts: Parts, kind: str) -> None:
    """Write a diffusers folder: a config and a safetensors file for each network."""
    numbers = KINDS[kind]
    text_config = {"vocab_size": VOCABULARY, **numbers.text_encoder}
    networks = (
        ("unet", "diffusion_pytorch_model", parts.unet, numbers.unet),
        ("vae", "diffusion_pytorch_model", parts.vae, _vae_config(numbers)),
        ("text_encoder", "model", parts.text_encoder, text_config),
    )
    for name, file, tensors, config in networks:
        (path / name).mkdir(parents=True)
        save_file(tensors, path / name / f"{file}.safetensors", {"format": "pt"})
        (path / name / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (path / "scheduler").mkdir()
    (path / "scheduler" / "scheduler_config.json").write_text(json.dumps(numbers.scheduler), encoding="utf-8")
    (path / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}), encoding="utf-8")


def _weights(name: str, skeleton: Tensor, noise: Tensor) -> Tensor:
    if "norm" in name or name.endswith("bias"):
        return torch.full(skeleton.shape, float("norm" in name and name.endswith("weight")), dtype=noise.dtype)
    count = skeleton.numel()
    start = sum(name.encode()) * 7919 % MIXING
    drawn = noise[start : start + MIXING].repeat(-(-count // MIXING)) if count > MIXING else noise[start:]
    spread = skeleton[0].numel() ** -0.5  # of a sum over the inputs of one output: 1 where the inputs have 1
    return (drawn[:count] * spread).reshape(skeleton.shape)


def _vae_config(numbers: Kind) -> dict[str, Any]:
    levels = len(numbers.vae["block_out_channels"])
    blocks = {"down_block_types": ["DownEncoderBlock2D"] * levels, "up_block_types": ["UpDecoderBlock2D"] * levels}
    return {"latent_channels": 4, **blocks, **numbers.vae}


@contextmanager
def _lightning_class() -> Iterator[type]:
    """A class that pickles under the name that SD 1.x checkpoints hold, without the library that has it."""
    path = ["pytorch_lightning", "callbacks", "model_checkpoint"]
    modules = {".".join(path[: depth + 1]): types.ModuleType(path[depth]) for depth in range(len(path))}
    name = list(modules)[-1]
    callback = type("ModelCheckpoint", (), {"__module__": name})
    modules[name].__dict__["ModelCheckpoint"] = callback
    with mock.patch.dict(sys.modules, modules):
        yield callback
