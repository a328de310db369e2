"""The three networks without values: built on the meta device in a moment, to be checked against a file and filled."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from modules.errors import CheckpointError
from modules.model.families import Architecture
from modules.model.ldm_keys import Parts
from modules.model.upsampling import double_first


@dataclass(frozen=True)
class Networks:
    """UNet, VAE and text encoder as modules."""

    unet: UNet2DConditionModel
    vae: AutoencoderKL
    text_encoder: CLIPTextModel


def build_skeleton(architecture: Architecture) -> Networks:
    """Networks of these numbers on the meta device: shapes and code, no memory."""
    with torch.device("meta"):
        networks = Networks(
            UNet2DConditionModel(**architecture.unet),
            AutoencoderKL(**architecture.vae),
            CLIPTextModel(CLIPTextConfig(**architecture.text_encoder)),
        )
    double_first(networks.unet)
    for network in (networks.unet, networks.vae, networks.text_encoder):
        network.requires_grad_(False).eval()
    return networks


def build_vae(name: str, architecture: Architecture, tensors: Mapping[str, Tensor]) -> AutoencoderKL:
    """A VAE of these numbers on the meta device, for tensors that fit it.

    Raises:
        CheckpointError: a tensor is missing or has another shape.
    """
    with torch.device("meta"):
        vae = AutoencoderKL(**architecture.vae)
    _check(name, "VAE", vae, tensors)
    vae.requires_grad_(False).eval()
    return vae


def check_whole(name: str, networks: Networks, parts: Parts) -> None:
    """Compare names and shapes of a file's tensors with what the networks need.

    Args:
        name: of the file, for messages.
        parts: the file's tensors; meta tensors will do. Tensors that no network needs are no fault.

    Raises:
        CheckpointError: a tensor is missing or has another shape.
    """
    for network, module, tensors in (
        ("UNet", networks.unet, parts.unet),
        ("VAE", networks.vae, parts.vae),
        ("text encoder", networks.text_encoder, parts.text_encoder),
    ):
        _check(name, network, module, tensors)


def fill(
    module: nn.Module,
    tensors: Mapping[str, Tensor],
    device: torch.device,
    dtype: torch.dtype,
    channels_last: bool = False,
) -> None:
    """Put values into a skeleton, each converted once; what fits already is used as it lies in the mapped file."""
    values = {}
    for name in module.state_dict():
        innermost = channels_last and tensors[name].dim() == 4
        layout = torch.channels_last if innermost else torch.preserve_format
        values[name] = tensors[name].to(device, dtype, memory_format=layout)
    module.load_state_dict(values, assign=True)


def _check(name: str, network: str, module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    needed = {key: tuple(tensor.shape) for key, tensor in module.state_dict().items()}
    lost = [key for key in needed if key not in tensors]
    if lost:
        raise CheckpointError(
            f"“{name}” lacks {len(lost)} of {len(needed)} tensors of its {network}, the first being “{lost[0]}”: it is "
            "damaged or of another kind. Copy it again, or choose another checkpoint."
        )
    for key, shape in needed.items():
        if tuple(tensors[key].shape) != shape:
            raise CheckpointError(
                f"“{name}” has a {network} of another kind: “{key}” is {_size(tensors[key].shape)}, needed is "
                f"{_size(shape)}. Choose a checkpoint of Stable Diffusion 1 or 2."
            )


def _size(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "a single number"
