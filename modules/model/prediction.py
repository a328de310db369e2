"""Whether a model predicts the noise (epsilon) or the velocity (v): SD 2 comes in both, with the same tensors.

Asked in this order: the file's metadata; a `.yaml` beside the file, as the published v-models came with; for SD 1
noise is then taken for granted; an SD 2 model is asked itself. No list of known hashes is kept: it would miss every
fine-tune, and the model's own answer is plain.
"""

import re
from pathlib import Path

import torch
from torch import nn

from modules.model.families import EPSILON, V_PREDICTION

LARGEST_YAML = 1 << 20  # bytes; published ones have two kilobytes


def side_file_prediction(checkpoint: Path) -> str | None:
    """What `<stem>.yaml` beside a checkpoint says, or None without such a file.

    Only the line `parameterization: "v"` (or "eps") is looked for: no YAML library is needed for it. Configuration
    files of models that predict noise usually leave the line out.
    """
    path = checkpoint.with_suffix(".yaml")
    if checkpoint.is_dir() or not path.is_file() or path.stat().st_size > LARGEST_YAML:
        return None
    text = path.read_text(encoding="utf-8", errors="replace")
    found = re.search(r"^\s*parameterization\s*:\s*[\"']?(v|eps)[\"']?\s*(#.*)?$", text, re.MULTILINE)
    if found:
        return V_PREDICTION if found[1] == "v" else EPSILON
    return EPSILON if "LatentDiffusion" in text else None


@torch.no_grad()
def measured_prediction(unet: nn.Module, cond: torch.Tensor) -> str:
    """Ask the UNet itself, in one pass over pure noise at the noisiest timestep.

    There the input is noise but for a fifteenth. A model that predicts the noise gives its input back; one that
    predicts v = √ᾱ·noise − √(1−ᾱ)·picture gives what it dreams of, with next to none (√ᾱ = 0.07) of the input. So
    the share of the input in the answer is near 1 or near 0.

    Args:
        unet: called as diffusers' UNets are.
        cond: [1, T, D], any prompt; its device and dtype are the UNet's.
    """
    noise = torch.randn(1, 4, 32, 32, generator=torch.Generator().manual_seed(0))
    timestep = torch.tensor([999.0], device=cond.device)
    answer = unet(noise.to(cond), timestep, encoder_hidden_states=cond).sample.float().cpu()
    share = (answer * noise).sum() / (noise * noise).sum()
    return EPSILON if share > 0.5 else V_PREDICTION
