"""The demo model's three networks, their sizes, and where their working weights lie.

Sizes follow Stable Diffusion 1: four resolution levels with cross-attention on three, a CLIP text encoder, an
autoencoder that shrinks by eight to four channels. Only the widths are small.
"""

import os
from pathlib import Path
from typing import Any, cast

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from modules.files import write_atomically
from modules.model.device import computes_bf16
from modules.model.ldm_keys import from_ldm

WORK = Path(__file__).resolve().parent / "work"
TEXT_HEADS = 4
UNET_HEADS = 4
UNET_NORM_GROUPS = 16
VAE_NORM_GROUPS = 8
CONTEXT_WIDTH = 160
CLIP_VOCABULARY = 49_408
POSITIONS = 77
LATENT_SIZE = 16
VAE_SIZES: dict[str, Any] = {
    "block_out_channels": (16, 32, 64, 128),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 1,
    "latent_channels": 4,
    "norm_num_groups": VAE_NORM_GROUPS,
    "sample_size": 8 * LATENT_SIZE,
    "scaling_factor": 1.0,
}
UNET_SIZES: dict[str, Any] = {
    "sample_size": LATENT_SIZE,
    "block_out_channels": (64, 96, 128, 160),
    "layers_per_block": 1,
    "attention_head_dim": UNET_HEADS,  # diffusers' old name for the number of heads
    "cross_attention_dim": CONTEXT_WIDTH,
    "norm_num_groups": UNET_NORM_GROUPS,
}
VAE_BATCH = 8  # larger batches fall out of a processor's cache and run at half the speed


def make_vae() -> AutoencoderKL:
    """[B, 3, 128, 128] in -1..1 to latents [B, 4, 16, 16] and back; latents are normalised, so no scaling factor."""
    return AutoencoderKL(**VAE_SIZES)


def make_unet() -> UNet2DConditionModel:
    """Predicts eps from latents [B, 4, 16, 16], timesteps [B] and a context [B, 77, 160]."""
    unet = UNet2DConditionModel(**UNET_SIZES)
    for parameter in unet.conv_out.parameters():
        nn.init.zeros_(parameter)
    return unet


def make_text_encoder(words: int = CLIP_VOCABULARY) -> CLIPTextModel:
    """Token ids [B, 77] to a context [B, 77, 160].

    Args:
        words: rows of the token table; training keeps only the rows that captions use (see `words`).

    Two choices make the small encoder usable from the start: each position carries its own word (large token
    embeddings, small residual updates), and the output's mean is not near zero, because prompt weighting divides by it.
    """
    encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=words,
            hidden_size=CONTEXT_WIDTH,
            intermediate_size=4 * CONTEXT_WIDTH,
            projection_dim=CONTEXT_WIDTH,
            num_hidden_layers=3,
            num_attention_heads=TEXT_HEADS,
            max_position_embeddings=POSITIONS,
            hidden_act="quick_gelu",
            bos_token_id=words - 2,  # begin and end are the last rows of either table
            eos_token_id=words - 1,
            pad_token_id=words - 1,
        )
    )
    with torch.no_grad():
        nn.init.normal_(encoder.get_parameter("embeddings.token_embedding.weight"), std=0.5)
        for name, parameter in encoder.named_parameters():
            if name.endswith(("out_proj.weight", "fc2.weight")):
                parameter.mul_(0.3)
            elif name.endswith("final_layer_norm.bias"):
                parameter.fill_(-0.12)
    return encoder


def vae_weights(start: Path) -> dict[str, Tensor]:
    """Weights of an autoencoder, from a diffusers folder, a state of `train_vae` or a packed checkpoint."""
    if start.suffix == ".safetensors":
        return {name: tensor.float() for name, tensor in from_ldm(load_file(start)).vae.items()}
    if start.is_dir():
        return AutoencoderKL.from_pretrained(start, subfolder="vae", local_files_only=True).float().state_dict()
    return load_state(start)["vae"]


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write a training state so that a kill at any moment leaves the old one or the new one."""
    write_atomically(path, lambda file: torch.save(state, file))


def load_state(path: Path) -> dict[str, Any]:
    """Read what `save_state` wrote, to main memory."""
    return torch.load(path, map_location="cpu", weights_only=True)


def be_polite() -> None:
    """Give way to everything else on the machine: lowest priority, one thread."""
    os.nice(19)
    torch.set_num_threads(1)


def autocast(device: str) -> torch.autocast:
    """Compute in bfloat16 where the device does it itself: a processor that only imitates it is fifteen times slower
    (AMD EPYC with AVX2: 33 seconds for 32 samples of the UNet, 2 in float32)."""
    return torch.autocast(device, torch.bfloat16, enabled=device != "cpu" or computes_bf16())


def encode(vae: AutoencoderKL, pictures: Tensor) -> DiagonalGaussianDistribution:
    """Distribution of latents for pictures [B, 3, h, w] in -1..1."""
    return vae.encode(pictures, return_dict=False)[0]


def decode(vae: AutoencoderKL, latents: Tensor) -> Tensor:
    """Pictures [B, 3, h, w], about -1..1, for latents [B, 4, h/8, w/8]."""
    return vae.decode(cast(torch.FloatTensor, latents), return_dict=False)[0]


@torch.no_grad()
def encode_pictures(vae: AutoencoderKL, pictures: Tensor, device: str = "cpu") -> Tensor:
    """Mean latents [n, 4, h/8, w/8] of uint8 pictures [n, h, w, 3], on the CPU."""
    batches = [pictures_to_tensor(batch).to(device) for batch in pictures.split(VAE_BATCH)]
    return torch.cat([encode(vae, batch).mean.cpu() for batch in batches])


@torch.no_grad()
def decode_pictures(vae: AutoencoderKL, latents: Tensor, device: str = "cpu") -> Tensor:
    """uint8 pictures [n, h, w, 3] of latents [n, 4, h/8, w/8], on the CPU."""
    drawn = torch.cat([decode(vae, batch.float().to(device)).cpu() for batch in latents.split(VAE_BATCH)])
    return ((drawn.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1)


def pictures_to_tensor(pictures: Tensor) -> Tensor:
    """uint8 [B, h, w, 3] to float [B, 3, h, w] in -1..1."""
    return pictures.permute(0, 3, 1, 2).float().div(127.5).sub(1)
