"""What a half-finished picture looks like, at a thousandth of the decoder's cost."""

import torch
from torch import Tensor

from modules import images


def preview_png(denoised: Tensor, latent_rgb: Tensor) -> bytes:
    """Guessed pictures of a batch, side by side, at latent resolution.

    Args:
        denoised: [B, 4, h, w], the model's guess of the clean latents.
        latent_rgb: float32 [5, 3] on the CPU: four channels and a bias, to RGB in 0 … 1.

    Returns:
        a PNG, each picture w × h pixels.
    """
    channels = denoised.detach().to("cpu", torch.float32).movedim(1, -1)
    rgb = channels @ latent_rgb[:4] + latent_rgb[4]
    pictures = [images.to_pil(picture) for picture in (rgb * 2 - 1).movedim(-1, 1)]
    rows = images.grid_rows(len(pictures), -1, len(pictures))
    return images.to_png(images.grid(pictures, len(pictures), rows))
