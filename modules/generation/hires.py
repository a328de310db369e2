"""Hires fix: the enlarging between its two passes. The second pass itself is `txt2img`'s."""

import torch
from PIL import Image
from torch import Tensor

from modules import images
from modules.generation.stages import HiresSize
from modules.generation.upscalers import LATENT_MODES, Upscaler
from modules.model.model import SDModel


def enlarge_latents(latents: Tensor, upscaler: Upscaler, size: HiresSize) -> Tensor:
    """Latents [B, 4, h, w] enlarged without a look at pixels.

    On the CPU, which has every mode and gives every machine the same; latents are small.
    """
    mode, antialias = LATENT_MODES[upscaler.name]
    width, height = size.cover
    enlarged = torch.nn.functional.interpolate(latents.cpu(), (height // 8, width // 8), mode=mode, antialias=antialias)
    return _cropped(enlarged, size).to(latents.device)


def enlarge_pictures(pictures: list[Image.Image], upscaler: Upscaler, size: HiresSize, model: SDModel) -> Tensor:
    """Latents [B, 4, h, w] of pictures enlarged by a pixel upscaler; one picture at a time, to spare memory.

    The encoder's mean is taken, not a random draw around it: the same picture gives the same latents.

    Raises:
        UpscalerError: the file of an upscaling model cannot be used.
    """
    latents = [_encoded(enlarge_picture(picture, upscaler, size.cover, model.device), model) for picture in pictures]
    return _cropped(torch.cat(latents), size)


def enlarge_picture(
    picture: Image.Image, upscaler: Upscaler, size: tuple[int, int], device: torch.device | str = "cpu"
) -> Image.Image:
    """The picture in another size; what an upscaler leaves short of it is made up by Lanczos.

    Raises:
        UpscalerError: the file of an upscaling model cannot be used.
    """
    scale = max(size[0] / picture.width, size[1] / picture.height)
    if upscaler.path and scale > 1:
        from modules.generation.upscaling_model import run_upscaling_model

        picture = run_upscaling_model(upscaler.path, picture, scale, device)
    elif upscaler.name == "Nearest" and scale > 1:
        picture = picture.resize((int(picture.width * scale), int(picture.height * scale)), Image.Resampling.NEAREST)
    return picture if picture.size == size else picture.resize(size, Image.Resampling.LANCZOS)


def _encoded(picture: Image.Image, model: SDModel) -> Tensor:
    means = model.encode(images.to_tensor(picture)[None])[:, :4]
    return means * model.architecture.scaling_factor


def encode_picture(picture: Image.Image, model: SDModel) -> Tensor:
    """Latents [1, 4, h, w] of a picture."""
    return _encoded(picture, model)


def _cropped(latents: Tensor, size: HiresSize) -> Tensor:
    across, down = size.crop
    height, width = latents.shape[2:]
    return latents[:, :, down // 2 : height - (down + 1) // 2, across // 2 : width - (across + 1) // 2]
