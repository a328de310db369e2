"""A checkpoint becomes a model: judged by its header, then mapped or converted tensor by tensor into a skeleton."""

from pathlib import Path

import torch
from transformers import CLIPTextModel

from modules.errors import OutOfMemory
from modules.model.checkpoint import Checkpoint
from modules.model.device import DevicePolicy, Precision, speed_up_float32
from modules.model.families import EPSILON, Architecture, Family, read_architecture
from modules.model.ldm_keys import Parts
from modules.model.model import SDModel
from modules.model.prediction import measured_prediction, side_file_prediction
from modules.model.skeleton import Networks, build_skeleton, check_whole, fill
from modules.model.weights import Weights, open_weights
from modules.prompts.tokenizer import BEGIN, END


def load_model(checkpoint: Checkpoint, policy: DevicePolicy) -> SDModel:
    """Load a checkpoint onto the policy's device.

    Everything that headers tell is checked before any weight is read. Weights in the precision that is wanted are used
    as they lie in the mapped file; others are converted once, one tensor at a time.

    Raises:
        FileFormatError: damaged, unsafe, or no Stable Diffusion 1 or 2.
        OutOfMemory: the device is too small for it.
    """
    weights, architecture, networks = _prepared(checkpoint)
    if policy.device.type == "cpu":
        speed_up_float32()
    try:
        _fill(networks, weights.read(), policy.device, policy.precision(architecture.unet_parameters))
        prediction_type = _prediction_type(checkpoint, architecture, networks)
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise OutOfMemory(
            f"“{checkpoint.name}” does not fit into the memory of {policy.device.type}: close other programs, or start "
            "with --use-cpu all."
        ) from error
    return SDModel(
        checkpoint=checkpoint,
        architecture=architecture,
        unet=networks.unet,
        vae=networks.vae,
        text_encoder=networks.text_encoder,
        device=policy.device,
        prediction_type=prediction_type,
        device_line=policy.describe(architecture.unet_parameters),
    )


def judge(path: Path) -> Architecture:
    """Tell from its header alone whether a file or folder is a checkpoint that can be loaded, and which.

    Everything that can be checked before a weight is read is checked, as `load_model` does it.

    Raises:
        FileFormatError: a sentence with what was found and what is needed.
    """
    return _prepared(Checkpoint(path, path.name))[1]


def _prepared(checkpoint: Checkpoint) -> tuple[Weights, Architecture, Networks]:
    weights = open_weights(checkpoint.path)
    architecture = read_architecture(checkpoint.name, weights.meta, weights.metadata, weights.open_clip)
    networks = build_skeleton(architecture)
    check_whole(checkpoint.name, networks, weights.meta)
    return weights, architecture, networks


def _fill(networks: Networks, parts: Parts, device: torch.device, precision: Precision) -> None:
    fill(networks.unet, parts.unet, device, precision.unet, precision.channels_last)
    fill(networks.vae, parts.vae, device, precision.vae, precision.channels_last)
    fill(networks.text_encoder, parts.text_encoder, device, precision.text_encoder)
    # a buffer that files need not hold, so it has no values yet
    positions = torch.arange(networks.text_encoder.config.max_position_embeddings, device=device)
    networks.text_encoder.embeddings.register_buffer("position_ids", positions[None], persistent=False)


def _prediction_type(checkpoint: Checkpoint, architecture: Architecture, networks: Networks) -> str:
    told = architecture.prediction_type or side_file_prediction(checkpoint.path)
    if told or architecture.family is Family.SD1:
        return told or EPSILON
    return measured_prediction(networks.unet, _empty_prompt(networks.text_encoder).to(networks.unet.dtype))


@torch.no_grad()
def _empty_prompt(text_encoder: CLIPTextModel) -> torch.Tensor:
    """[1, 77, D]: the encoding of no words."""
    tokens = torch.tensor([[BEGIN, *[END] * 76]], device=text_encoder.device)
    return text_encoder(input_ids=tokens).last_hidden_state
