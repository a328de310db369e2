import pytest
import torch
from torch import nn

from modules.generation.tiling import circular


def test_convolutions_wrap_around_and_are_put_back():
    layer = nn.Conv2d(1, 1, 3, padding=1, bias=False)
    nn.init.ones_(layer.weight)
    corner = torch.zeros(1, 1, 4, 4)
    corner[0, 0, 0, 0] = 1.0
    before = layer(corner)
    with circular(nn.Sequential(layer)):
        assert layer(corner)[0, 0, 3, 3] == 1  # the opposite corner is a neighbour
    assert (layer(corner) == before).all()
    assert before[0, 0, 3, 3] == 0


def test_they_are_put_back_when_something_fails():
    layer = nn.Conv2d(1, 1, 3, padding=1)
    with pytest.raises(RuntimeError), circular(layer):
        raise RuntimeError
    assert layer.padding_mode == "zeros"


def test_a_tiled_picture_moves_with_its_noise(run, model, monkeypatch):
    """Rolling the starting noise by whole attention blocks rolls the picture: there is no edge any more."""
    from modules.samplers.noise import ImageNoise

    first = ImageNoise.first
    latents = {}
    for tiling in (True, False):
        for shift in (0, 8):
            decoded = []
            monkeypatch.setattr(ImageNoise, "first", lambda self, shift=shift: first(self).roll(shift, dims=3))
            monkeypatch.setattr(
                type(model), "decode", lambda self, z, keep=decoded: keep.append(z) or torch.zeros(1, 3, 8, 8)
            )
            run(prompt="a cat", seed=5, width=128, tiling=tiling, steps=2)
            latents[tiling, shift] = decoded[0]
    rolled, plain = latents[True, 8], latents[True, 0].roll(8, dims=3)
    assert (rolled - plain).abs().max() < 1e-3 * plain.std()
    rolled, plain = latents[False, 8], latents[False, 0].roll(8, dims=3)
    assert (rolled - plain).abs().max() > 1e-2 * plain.std()


def test_between_the_passes_of_a_hires_fix_a_tile_has_no_edges_either(run, model, monkeypatch):
    """Tiles are encoded as they are decoded; a picture that is none is not."""
    encode, modes = type(model).encode, []

    def note(self, pictures):
        modes.append({layer.padding_mode for layer in self.vae.modules() if isinstance(layer, nn.Conv2d)})
        return encode(self, pictures)

    monkeypatch.setattr(type(model), "encode", note)
    for tiling in (True, False):
        run(prompt="a cat", steps=1, enable_hr=True, hr_scale=1.5, hr_upscaler="Lanczos", tiling=tiling)
    assert modes == [{"circular"}, {"zeros"}]
