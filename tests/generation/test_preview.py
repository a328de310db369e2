import io

import torch
from PIL import Image

from modules.generation.preview import preview_png

FIRST_IS_RED = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0.0]])


def shown(denoised: torch.Tensor, latent_rgb: torch.Tensor) -> Image.Image:
    return Image.open(io.BytesIO(preview_png(denoised, latent_rgb)))


def test_channels_go_to_colours_and_a_bias_comes_on_top():
    latents = torch.zeros(1, 4, 2, 3)
    latents[0, 0, 1, 2] = 1.0
    picture = shown(latents, FIRST_IS_RED)
    assert (picture.format, picture.size) == ("PNG", (3, 2))
    assert picture.getpixel((2, 1)) == (255, 0, 0)
    assert picture.getpixel((0, 0)) == (0, 0, 0)
    bright = FIRST_IS_RED.clone()
    bright[4] = 1.0
    assert shown(torch.zeros(1, 4, 2, 3), bright).getpixel((0, 0)) == (255, 255, 255)


def test_values_beyond_the_range_are_cut_off():
    assert shown(torch.full((1, 4, 1, 1), 9.0), FIRST_IS_RED).getpixel((0, 0)) == (255, 255, 255)
    assert shown(torch.full((1, 4, 1, 1), -9.0), FIRST_IS_RED).getpixel((0, 0)) == (0, 0, 0)


def test_a_batch_lies_side_by_side():
    latents = torch.zeros(4, 4, 2, 3, dtype=torch.float16)
    latents[3, 2] = 1.0
    picture = shown(latents, FIRST_IS_RED)
    assert picture.size == (6, 4)
    assert picture.getpixel((5, 3)) == (0, 0, 255)
