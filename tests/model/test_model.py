"""The loaded model beside the recorded one, and what happens when numbers overflow."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from modules.errors import NumericalError
from modules.model.checkpoint import Checkpoint
from modules.model.device import DevicePolicy, Precision
from modules.model.loader import load_model
from modules.model.model import SDModel, StableDenoiser
from modules.samplers.sigmas import NoiseTable
from tests import tiny
from tests.forbidden_ops import forbidden_ops
from tests.prompts.prompt_vectors import REFERENCE, records

CPU = torch.device("cpu")
CLOSE = 1e-4  # times the recorded values' std: what the recording's README asks for; float32 sums reach 1e-5


@pytest.fixture(scope="module")
def model() -> SDModel:
    path = REFERENCE / "models" / "tiny-sd15.safetensors"
    return load_model(Checkpoint(path, path.name), DevicePolicy(CPU))


def arrays(name: str) -> dict[str, Tensor]:
    with np.load(REFERENCE / f"{name}.npz") as file:
        return {key: torch.from_numpy(file[key]) for key in file}


def same(ours: Tensor, recorded: Tensor) -> bool:
    return bool((ours - recorded).abs().max() <= CLOSE * recorded.std())


@pytest.mark.parametrize("record", records("unet_forward"), ids=lambda record: record["id"])
@torch.no_grad()
def test_the_unet_answers_as_recorded(model: SDModel, record: dict) -> None:
    data, name = arrays("unet_forward"), record["id"]
    x, cond = data[f"{name}_x"], data[f"{name}_cond"]
    with forbidden_ops():
        if "timestep" in record:
            ours = model.denoiser.eps(x, torch.full((len(x),), record["timestep"]), cond)
        else:
            ours = model.denoiser(x, torch.full((len(x),), record["sigma"]), cond)
    assert same(ours, data[f"{name}_eps" if "timestep" in record else f"{name}_denoised"])


def test_a_call_does_not_walk_through_the_network(model: SDModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """It did, twice, to find its type: a fifth of the time of a network as small as this one."""
    seen: list[nn.Module] = []
    walk = nn.Module.named_modules

    def noted(self: nn.Module, *args: Any, **more: Any) -> Iterator[tuple[str, nn.Module]]:
        for name, module in walk(self, *args, **more):
            seen.append(module)
            yield name, module

    monkeypatch.setattr(nn.Module, "named_modules", noted)
    with torch.no_grad():
        model.denoiser.predict(torch.zeros(1, 4, 8, 8), torch.zeros(1), torch.zeros(1, 77, 72))
    assert len(seen) < 20  # of about 700: the first ones, until there is a parameter


def test_the_noise_table_is_the_recorded_one(model: SDModel) -> None:
    recorded = arrays("schedules")["model_alphas_cumprod"]
    assert model.alphas_cumprod.dtype == torch.float32
    # relative 1e-5 is the recording's pass mark
    torch.testing.assert_close(model.alphas_cumprod, recorded.float(), rtol=1e-5, atol=0)


@pytest.mark.parametrize("record", records("vae"), ids=lambda record: record["id"])
def test_the_vae_answers_as_recorded(model: SDModel, record: dict) -> None:
    data, name = arrays("vae"), record["id"]
    with forbidden_ops():
        if name.startswith("v"):
            decoded = model.decode(data[f"{name}_latent"])
            assert same(decoded, data[f"{name}_decoded"])
        else:
            image = data[f"{name}_image"].float().permute(2, 0, 1)[None] / 127.5 - 1
            moments = model.encode(image)
            assert same(moments, data[f"{name}_moments"])
            assert same(moments[:, :4] * model.architecture.scaling_factor, data[f"{name}_mean_scaled"])


def test_what_front_ends_ask_for(model: SDModel) -> None:
    assert model.width == 72
    assert model.native_size == (512, 512)
    assert model.recommended == {}
    assert model.latent_rgb.shape == (5, 3)
    assert model.tokenizer.encode("cat") == [2368]
    assert model.denoiser is model.denoiser
    assert model.family == "SD 1"


def test_embeddings_can_be_trained_through_the_denoiser(model: SDModel) -> None:
    cond = torch.zeros(1, 77, 72, requires_grad=True)
    model.denoiser.eps(torch.ones(1, 4, 8, 8), torch.tensor([500.0]), cond).square().mean().backward()
    assert cond.grad is not None
    assert cond.grad.abs().sum() > 0


# Noise and velocity


class Ideal(nn.Module):
    """A UNet that knows the clean latents, and answers in epsilon or in v."""

    def __init__(self, clean: Tensor, predicts_v: bool):
        super().__init__()
        self.clean, self.predicts_v = nn.Parameter(clean), predicts_v
        self.table = NoiseTable.scaled_linear()

    def forward(self, sample: Tensor, timestep: Tensor, encoder_hidden_states: Tensor) -> object:
        sigma = self.table.t_to_sigma(timestep)[:, None, None, None]
        signal, noise = 1 / (sigma**2 + 1).sqrt(), sigma / (sigma**2 + 1).sqrt()
        epsilon = (sample - signal * self.clean) / noise
        return type("Output", (), {"sample": signal * epsilon - noise * self.clean if self.predicts_v else epsilon})


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_an_ideal_model_gives_the_clean_latents(prediction_type: str) -> None:
    draw = torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, 3, 4, 8, 8, generator=draw)
    denoiser = StableDenoiser(Ideal(clean, prediction_type == "v_prediction"), prediction_type)  # pyright: ignore[reportArgumentType] -- stands in for a UNet
    cond = torch.zeros(3, 77, 8)
    sigma = torch.tensor([0.05, 1.7, 14.0])
    scale = sigma[:, None, None, None]
    # float32: the noise is recovered from sums up to 14 times as large
    with torch.no_grad():
        found = denoiser(clean + scale * noise, sigma, cond)
    torch.testing.assert_close(found, clean, rtol=1e-4, atol=1e-4)
    timestep = denoiser.sigmas.sigma_to_t(sigma)
    latents = (clean + scale * noise) / (scale**2 + 1).sqrt()
    torch.testing.assert_close(denoiser.eps(latents, timestep, cond), noise, rtol=1e-3, atol=1e-3)


# Overflow


@pytest.fixture(scope="module")
def half_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.checkpoint(tmp_path_factory.mktemp("half") / "half.safetensors")


@pytest.fixture
def half(half_file: Path) -> SDModel:
    policy = DevicePolicy(CPU, small=Precision(torch.float16, torch.float16))
    return load_model(Checkpoint(half_file, half_file.name), policy)


def overflow_in_half(module: nn.Module) -> list[torch.dtype]:
    """Make a module's answer NaN in float16; returns the list of dtypes that it will have run in."""
    ran: list[torch.dtype] = []

    def spoil(_: nn.Module, __: object, output: Tensor) -> Tensor:
        ran.append(output.dtype)
        return torch.where(torch.arange(output.shape[-1]) == 0, torch.nan, output) if len(ran) == 1 else output

    module.register_forward_hook(spoil)
    return ran


def test_a_vae_that_overflows_goes_on_in_full_precision(half: SDModel) -> None:
    ran = overflow_in_half(half.vae.decoder.conv_out)
    for _ in range(2):
        decoded = half.decode(torch.zeros(1, 4, 2, 2))
        assert decoded.dtype == torch.float32
        assert torch.isfinite(decoded).all()
    assert ran == [torch.float16, torch.float32, torch.float32]


def test_a_unet_that_overflows_goes_on_in_full_precision(half: SDModel) -> None:
    ran = overflow_in_half(half.unet.conv_out)
    x, sigma, cond = torch.zeros(1, 4, 8, 8), torch.ones(1), torch.zeros(1, 77, 48)
    for _ in range(2):
        assert torch.isfinite(half.denoiser(x, sigma, cond)).all()
    assert ran == [torch.float16, torch.float32, torch.float32]


def test_latents_that_are_nan_already_are_no_reason_to_convert(half: SDModel) -> None:
    half.denoiser(torch.full((1, 4, 8, 8), torch.nan), torch.ones(1), torch.zeros(1, 77, 48))
    assert half.unet.dtype == torch.float16


def test_a_vae_that_knows_no_numbers_is_told_as_such(half: SDModel) -> None:
    nn.init.constant_(half.vae.decoder.conv_out.weight, torch.nan)
    with pytest.raises(NumericalError, match=r"The VAE of “half\.safetensors”"):
        half.decode(torch.zeros(1, 4, 2, 2))


def test_sizes_are_those_of_the_latents(half: SDModel) -> None:
    assert half.decode(torch.zeros(1, 4, 2, 4)).shape == (1, 3, 16, 32)
    assert half.encode(torch.zeros(2, 3, 16, 32)).shape == (2, 8, 2, 4)
