"""Networks that enlarge pictures (ESRGAN, SwinIR …), run in tiles by the optional package “spandrel”."""

import functools
import math
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from modules import images
from modules.errors import UpscalerError, WebuiError
from modules.tensorfile import SAFETENSORS, file_format, load_pickle, open_tensors

TILE, OVERLAP = 192, 8  # pixels of the small picture; A1111's defaults
_MOST_ROUNDS = 3  # a network of factor 2 comes to 8


@torch.no_grad()
def run_upscaling_model(
    path: Path, picture: Image.Image, scale: float, device: torch.device | str = "cpu"
) -> Image.Image:
    """The picture enlarged by at least `scale`, if the network gets there in three rounds.

    Raises:
        UpscalerError: the file holds no network that can be run.
    """
    network = _load(path, str(device))
    wanted = math.ceil(picture.width * scale)
    pixels = ((images.to_tensor(picture) + 1) / 2)[None].to(device)
    for _ in range(_MOST_ROUNDS):
        pixels = _in_tiles(network, pixels).clamp(0, 1)
        if pixels.shape[3] >= wanted or network.scale <= 1:
            break
    return images.to_pil(pixels[0] * 2 - 1)


@functools.lru_cache(maxsize=1)
def _load(path: Path, device: str) -> Any:
    try:
        from spandrel import ImageModelDescriptor, ModelLoader  # pyright: ignore[reportMissingImports] (optional)

        safe = file_format(path) == SAFETENSORS
        network = ModelLoader(device).load_from_state_dict(open_tensors(path).tensors() if safe else load_pickle(path))
    except WebuiError:
        raise
    except Exception as error:  # of a package that judges foreign files: anything may come out
        raise UpscalerError(
            f"“{path.name}” is no upscaling model that can be run: choose another upscaler, or remove the file."
        ) from error
    if not isinstance(network, ImageModelDescriptor) or network.input_channels != 3:
        raise UpscalerError(f"“{path.name}” does not enlarge pictures in colour: choose another upscaler.")
    return network.eval()


def _in_tiles(network: Any, pixels: Tensor) -> Tensor:
    """[1, 3, H, W] to [1, 3, scale · H, scale · W]; each tile is computed with a margin that is cut off again."""
    scale = network.scale
    height, width = pixels.shape[2:]
    result = pixels.new_empty(1, 3, height * scale, width * scale)
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            bottom, right = min(top + TILE, height), min(left + TILE, width)
            above, before = max(top - OVERLAP, 0), max(left - OVERLAP, 0)
            tile = network(pixels[:, :, above : bottom + OVERLAP, before : right + OVERLAP])
            inner = tile[:, :, (top - above) * scale :, (left - before) * scale :]
            inner = inner[:, :, : (bottom - top) * scale, : (right - left) * scale]
            result[:, :, top * scale : bottom * scale, left * scale : right * scale] = inner
    return result
