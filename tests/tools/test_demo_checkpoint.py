"""The shipped demo model is an ordinary checkpoint: the ordinary loader reads it, and it computes what was trained."""

from pathlib import Path

import pytest
import torch

from modules.model.checkpoint import Checkpoint
from modules.model.device import DevicePolicy
from modules.model.ldm_keys import Parts
from modules.model.loader import load_model
from modules.model.model import SDModel
from modules.prompts.tokenizer import BEGIN, END, clip_tokenizer
from tools.demo_model import pack
from tools.demo_model.networks import decode
from tools.demo_model.sample import Painter
from tools.demo_model.words import Words

LARGEST = 45_000_000  # bytes in the repository
ROUNDING = 1e-4  # float32 sums in another order (memory layout, linear algebra library)


@pytest.fixture(scope="module")
def model() -> SDModel:
    path = pack.CHECKPOINT
    return load_model(Checkpoint(path, path.name), DevicePolicy(torch.device("cpu")))


@pytest.fixture(scope="module")
def painter() -> Painter:
    return Painter(pack.CHECKPOINT)


def test_the_file_is_small_enough_for_the_repository():
    assert pack.CHECKPOINT.stat().st_size <= LARGEST


def test_the_loader_reads_what_shapes_cannot_tell(model: SDModel):
    assert model.native_size == (128, 128)
    assert model.width == 160
    assert model.prediction_type == "epsilon"
    assert model.recommended["steps"] == 20
    assert model.recommended["cfg_scale"] == 5


def test_the_loaded_networks_equal_the_training_ones(model: SDModel, painter: Painter):
    caption = "portrait of a smiling woman, red hair, glasses, blue background"
    ids = [BEGIN, *clip_tokenizer().encode(caption)]
    tokens = torch.tensor([ids + [END] * (77 - len(ids))])
    latents = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    timestep = torch.tensor([500])
    with torch.no_grad():
        expected_context = painter.context([caption])
        context = model.text_encoder(input_ids=tokens).last_hidden_state
        expected_eps = painter.unet(latents, timestep, expected_context).sample
        eps = model.denoiser.eps(latents, timestep, context)
        expected_picture = decode(painter.vae, latents)

    torch.testing.assert_close(context, expected_context, rtol=ROUNDING, atol=ROUNDING)
    torch.testing.assert_close(eps, expected_eps, rtol=ROUNDING, atol=ROUNDING)
    torch.testing.assert_close(model.decode(latents), expected_picture, rtol=ROUNDING, atol=ROUNDING)


def test_tokens_that_no_caption_uses_share_one_row(model: SDModel):
    table = model.text_encoder.get_parameter("embeddings.token_embedding.weight")
    used = set(Words().token_ids)
    unused = torch.tensor([token for token in range(len(table)) if token not in used])

    assert table[unused].unique(dim=0).shape[0] == 1
    assert table[sorted(used)].unique(dim=0).shape[0] > 100


def test_packing_keeps_every_weight(painter: Painter, tmp_path: Path):
    parts = pack.Parts(painter.unet.state_dict(), painter.vae.state_dict(), painter.text_encoder.state_dict())
    pictures = torch.randint(0, 256, (8, 128, 128, 3), generator=torch.Generator().manual_seed(0)).byte()
    pack.pack(parts, pictures, tmp_path / "packed.safetensors")
    again = Painter(tmp_path / "packed.safetensors")

    for name, weight in painter.state_dict().items():
        assert again.state_dict()[name].equal(weight), name


def test_previews_show_nearly_the_colours_of_the_decoded_picture(model: SDModel, painter: Painter):
    latents = painter.latents(["portrait of a panda, red shirt, blue background, flat style"], [3])
    preview = torch.einsum("bchw,cr->brhw", latents, model.latent_rgb[:4]) + model.latent_rgb[4][:, None, None]
    picture = torch.nn.functional.avg_pool2d(model.decode(latents) / 2 + 0.5, 8)

    assert (preview - picture).abs().mean() < 0.08  # measured 0.04: a linear map of four channels cannot be exact


def test_the_mean_of_two_trainings_lies_half_way():
    one = Parts(
        {"a": torch.tensor([1.0]), "n": torch.tensor(3)}, {"b": torch.tensor([2.0])}, {"c": torch.tensor([0.0])}
    )
    other = Parts(
        {"a": torch.tensor([2.0]), "n": torch.tensor(3)}, {"b": torch.tensor([2.0])}, {"c": torch.tensor([1.0])}
    )
    mean = pack.mean_of(one, other)
    assert (mean.unet["a"], mean.unet["n"], mean.vae["b"], mean.text_encoder["c"]) == (1.5, 3, 2.0, 0.5)
    nearer = pack.mean_of(one, other, share=0.75)
    assert (nearer.unet["a"], nearer.unet["n"], nearer.vae["b"], nearer.text_encoder["c"]) == (1.25, 3, 2.0, 0.25)


def test_a_packed_file_can_be_one_of_the_two(painter: Painter):
    parts = pack.trained_parts(pack.CHECKPOINT, pack.CHECKPOINT)
    assert parts.unet.keys() == painter.unet.state_dict().keys()
    assert parts.vae.keys() == painter.vae.state_dict().keys()
    assert pack.TOKEN_TABLE in parts.text_encoder
