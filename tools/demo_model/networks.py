"""The demo model's three networks, their sizes, and where their working weights lie.

Sizes follow Stable Diffusion 1: four resolution levels with cross-attention on three, a CLIP text encoder, an
autoencoder that shrinks by eight to four channels. Only the widths are small.
"""

import os
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from modules.files import write_atomically

WORK = Path(__file__).resolve().parent / "work"
TEXT_HEADS = 4
UNET_HEADS = 4
UNET_NORM_GROUPS = 16
VAE_NORM_GROUPS = 8
CONTEXT_WIDTH = 160
CLIP_VOCABULARY = 49_408
POSITIONS = 77
LATENT_SIZE = 16


def make_vae() -> AutoencoderKL:
    """[B, 3, 128, 128] in -1..1 to latents [B, 4, 16, 16] and back; latents are normalised, so no scaling factor."""
    return AutoencoderKL(
        block_out_channels=(16, 32, 64, 128),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=VAE_NORM_GROUPS,
        sample_size=128,
        scaling_factor=1.0,
    )


def make_unet() -> UNet2DConditionModel:
    """Predicts eps from latents [B, 4, 16, 16], timesteps [B] and a context [B, 77, 160]."""
    unet = UNet2DConditionModel(
        sample_size=LATENT_SIZE,
        block_out_channels=(64, 96, 128, 160),
        layers_per_block=1,
        attention_head_dim=UNET_HEADS,  # diffusers' old name for the number of heads
        cross_attention_dim=CONTEXT_WIDTH,
        norm_num_groups=UNET_NORM_GROUPS,
    )
    nn.init.zeros_(unet.conv_out.weight)
    nn.init.zeros_(unet.conv_out.bias)
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
            bos_token_id=CLIP_VOCABULARY - 2,
            eos_token_id=CLIP_VOCABULARY - 1,
            pad_token_id=CLIP_VOCABULARY - 1,
        )
    )
    with torch.no_grad():
        encoder.get_input_embeddings().weight.normal_(std=0.5)
        for name, parameter in encoder.named_parameters():
            if name.endswith(("out_proj.weight", "fc2.weight")):
                parameter.mul_(0.3)
            elif name.endswith("final_layer_norm.bias"):
                parameter.fill_(-0.12)
    return encoder


def vae_weights(start: Path) -> dict[str, Tensor]:
    """Weights of an autoencoder, from a diffusers folder or from a state of `train_vae`."""
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


def pictures_to_tensor(pictures: Tensor) -> Tensor:
    """uint8 [B, h, w, 3] to float [B, 3, h, w] in -1..1."""
    return pictures.permute(0, 3, 1, 2).float().div(127.5).sub(1)
