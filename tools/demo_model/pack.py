"""Put the trained networks into one checkpoint file: `python -m tools.demo_model.pack`.

The file has the layout and tensor names of Stable Diffusion 1 files, in float16. What shapes cannot tell stands in its
metadata under the keys that `modules.model` documents. Every token that no caption used gets the same row.
"""

import argparse
import json
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors.torch import load_file, save
from torch import Tensor
from transformers import CLIPTextModel

from modules.files import write_atomically
from modules.model.ldm_keys import Parts, from_ldm, to_ldm
from tools.demo_model import networks as sizes
from tools.demo_model import render, train_vae
from tools.demo_model.train_unet import FINISHED_STATE, Networks, alphas_cumprod
from tools.demo_model.words import Words

CHECKPOINT = Path(__file__).resolve().parents[2] / "models" / "Stable-diffusion" / "demo-portraits.safetensors"
TOKEN_TABLE = "embeddings.token_embedding.weight"
METADATA = {
    "format": "pt",
    "modelspec.sai_model_spec": "1.0.0",
    "modelspec.architecture": "stable-diffusion-v1",
    "modelspec.title": "Demo portraits",
    "modelspec.author": "The studio for personal embeddings",
    "modelspec.license": "MIT for the weights; the drawings it learned from: CC BY 4.0, MIT, Apache-2.0 (CREDITS.md)",
    "modelspec.description": "A very small latent-diffusion model of drawn portraits of people and animals, so that "
    "the program makes pictures before any download. Trained from drawings made by program; see docs/demo_model.md.",
    "modelspec.resolution": f"{render.PICTURE_SIZE}x{render.PICTURE_SIZE}",
    "modelspec.prediction_type": "epsilon",
    "architecture.unet.heads": str(sizes.UNET_HEADS),
    "architecture.unet.norm_groups": str(sizes.UNET_NORM_GROUPS),
    "architecture.text_encoder.heads": str(sizes.TEXT_HEADS),
    "architecture.text_encoder.activation": "quick_gelu",
    "architecture.vae.norm_groups": str(sizes.VAE_NORM_GROUPS),
    "architecture.vae.scaling_factor": "1.0",
    "architecture.prediction_type": "epsilon",
    "architecture.native_size": f"{render.PICTURE_SIZE}x{render.PICTURE_SIZE}",
    "recommended.cfg_scale": "5",
    "recommended.steps": "20",
    "recommended.sampler": "DPM++ 2M",
    "recommended.schedule": "Karras",
}


def trained_parts(state: Path, vae: Path) -> Parts:
    """Weights of the three networks, with the full token table.

    Args:
        state: state of `train_unet` (its averaged weights are taken), a packed file, or a diffusers folder.
        vae: state of `train_vae`, a packed file, or a diffusers folder.
    """
    if state.suffix == ".safetensors":
        parts = from_ldm(load_file(state))
        return Parts(parts.unet, sizes.vae_weights(vae), parts.text_encoder)
    if state.is_dir():
        unet = UNet2DConditionModel.from_pretrained(state, subfolder="unet", local_files_only=True)
        encoder = CLIPTextModel.from_pretrained(state, subfolder="text_encoder", local_files_only=True)
        return Parts(unet.state_dict(), sizes.vae_weights(vae), encoder.state_dict())
    networks, words = averaged_networks(state)
    text = networks.text_encoder.state_dict()
    text[TOKEN_TABLE] = words.spread(text[TOKEN_TABLE], sizes.CLIP_VOCABULARY)
    return Parts(networks.unet.state_dict(), sizes.vae_weights(vae), text)


def mean_of(one: Parts, other: Parts, share: float = 0.5) -> Parts:
    """The mean of two trainings that set out from the same weights, or of one and what it set out from, by tensors: as
    good as the better one in most things, and smoother (“Model soups”, Wortsman et al. 2022).

    Args:
        share: how much of it is `one`.
    """
    parts = (dict(one.unet), dict(one.vae), dict(one.text_encoder))
    others = (other.unet, other.vae, other.text_encoder)
    return Parts(
        *(
            {name: _mean(t, more[name], share) for name, t in part.items()}
            for part, more in zip(parts, others, strict=True)
        )
    )


def _mean(one: Tensor, other: Tensor, share: float) -> Tensor:
    return torch.lerp(other.float(), one.float(), share) if one.is_floating_point() else one


def averaged_networks(path: Path) -> tuple[Networks, Words]:
    """UNet and text encoder with the moving average of their weights, from a state of `train_unet`."""
    state, prefix = sizes.load_state(path), "module."
    words = Words(state["token_ids"])
    networks = Networks(len(words))
    weights = {name.removeprefix(prefix): t for name, t in state["average"].items() if name.startswith(prefix)}
    networks.load_state_dict(weights)
    return networks, words


def latent_rgb(vae: AutoencoderKL, pictures: Tensor) -> list[list[float]]:
    """The linear map from latents to colours in 0..1 that previews use, fitted by least squares.

    Args:
        vae: the autoencoder.
        pictures: uint8 [n, 128, 128, 3].

    Returns:
        Five rows of red, green, blue: one for each latent channel, then the constant.
    """
    inputs = sizes.encode_pictures(vae, pictures).permute(0, 2, 3, 1).reshape(-1, 4)
    inputs = torch.cat([inputs, torch.ones(len(inputs), 1)], dim=1)
    colours = F.avg_pool2d(sizes.pictures_to_tensor(pictures) / 2 + 0.5, 8).permute(0, 2, 3, 1).reshape(-1, 3)
    return [[round(value, 5) for value in row] for row in torch.linalg.lstsq(inputs, colours).solution.tolist()]


def pack(parts: Parts, pictures: Tensor, path: Path) -> None:
    """Write the checkpoint file; `pictures` (uint8 [n, 128, 128, 3]) are for the preview's colours."""
    vae = sizes.make_vae()
    vae.load_state_dict(parts.vae)
    metadata = METADATA | {"preview.latent_rgb": json.dumps(latent_rgb(vae, pictures))}
    tensors = {name: tensor.half().contiguous() for name, tensor in to_ldm(parts).items()}
    kept = alphas_cumprod()
    tensors |= {"alphas_cumprod": kept, "betas": 1 - kept / torch.cat([torch.ones(1), kept[:-1]])}
    write_atomically(path, save(tensors, metadata))
    print(f"{path}: {len(tensors)} tensors, {path.stat().st_size / 1e6:.1f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description="Put the trained networks into one checkpoint file.")
    parser.add_argument("--state", type=Path, default=FINISHED_STATE, help="of train_unet, a packed file, or a folder")
    parser.add_argument("--mean-with", type=Path, help="another one, begun from the same weights: pack their mean")
    parser.add_argument("--share", type=float, default=0.5, help="how much of the mean is --state")
    parser.add_argument("--vae", type=Path, default=train_vae.finished(), help="of train_vae, or a diffusers folder")
    parser.add_argument("--output", type=Path, default=CHECKPOINT)
    args = parser.parse_args()
    torch.set_num_threads(1)
    pictures = torch.from_numpy(render.load("validation", 512)[0])
    parts = trained_parts(args.state, args.vae)
    if args.mean_with:
        parts = mean_of(parts, trained_parts(args.mean_with, args.vae), args.share)
    pack(parts, pictures, args.output)


if __name__ == "__main__":
    main()
