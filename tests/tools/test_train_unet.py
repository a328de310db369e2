import random
from dataclasses import replace

import pytest
import torch

from modules.embeddings.database import EmbeddingDatabase
from modules.model.checkpoint import Checkpoint
from modules.model.conditioning import Conditioner, PromptRules
from modules.model.device import DevicePolicy
from modules.model.loader import load_model
from tools.demo_model import render
from tools.demo_model.hybrids import imagine_hybrid
from tools.demo_model.networks import LATENT_SIZE, POSITIONS, vae_weights
from tools.demo_model.pack import CHECKPOINT
from tools.demo_model.sample import Painter
from tools.demo_model.train_unet import (
    EMPTY_CAPTIONS,
    HYBRIDS,
    TIMESTEPS,
    WEIGHTED_CAPTIONS,
    Lessons,
    Networks,
    Steps,
    alphas_cumprod,
    initial_networks,
    min_snr_loss,
    without_one_sided,
)
from tools.demo_model.words import Words
from tools.demo_model.world import imagine, is_held_out

WORDS = 20


def test_plain_attention_predicts_what_fused_attention_does() -> None:
    torch.manual_seed(0)
    networks = Networks(WORDS)
    torch.nn.init.normal_(networks.unet.conv_out.weight, std=0.1)  # a fresh one answers zero, whatever comes before it
    noisy = torch.randn(2, 4, LATENT_SIZE, LATENT_SIZE)
    timesteps, rows = torch.tensor([10, 800]), torch.randint(WORDS, (2, POSITIONS))
    weights = torch.ones(2, POSITIONS)
    with torch.no_grad():
        fused = networks(noisy, timesteps, rows, weights)
        networks.use_plain_attention()
        plain = networks(noisy, timesteps, rows, weights)
    assert fused.std() > 0.01
    assert (fused - plain).abs().max() < 1e-4 * fused.std()  # float32, summed in another order


def test_a_few_steps_lower_the_loss() -> None:
    torch.manual_seed(0)
    networks = Networks(WORDS)
    networks.use_plain_attention()
    batch = (
        torch.randn(4, 4, LATENT_SIZE, LATENT_SIZE),
        torch.randn(4, 4, LATENT_SIZE, LATENT_SIZE),
        torch.tensor([50, 300, 600, 900]),
        torch.randint(WORDS, (4, POSITIONS)),
        torch.ones(4, POSITIONS),
    )
    optimizer = torch.optim.AdamW(networks.parameters(), lr=1e-3)
    losses = []
    for _ in range(4):
        loss = min_snr_loss(networks, batch, alphas_cumprod())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


def test_timesteps_stay_in_range_when_a_random_number_is_rounded_up(monkeypatch: pytest.MonkeyPatch) -> None:
    nearly_one = torch.nextafter(torch.tensor(1.0), torch.tensor(0.0))
    monkeypatch.setattr(torch, "rand", lambda count, generator: nearly_one.expand(count))
    latents = torch.zeros(1, 4, LATENT_SIZE, LATENT_SIZE)
    lessons = Lessons(latents, [imagine(0, 0)], latents, [imagine_hybrid(0, 0)])
    steps = Steps(lessons, Words(), 16, range(1))
    timesteps = steps[0][2]
    assert timesteps.max() == TIMESTEPS - 1


def test_training_goes_on_from_the_shipped_file() -> None:
    networks, words = initial_networks(CHECKPOINT)
    shipped = Painter(CHECKPOINT)
    caption = "portrait of a woman, red hair"
    with torch.no_grad():
        context = networks.text_encoder(input_ids=words.encode([caption])[0]).last_hidden_state
        assert torch.allclose(context, shipped.context([caption]), atol=1e-5)  # float32 sums in another order
    assert all(weight.equal(shipped.unet.state_dict()[name]) for name, weight in networks.unet.state_dict().items())
    assert vae_weights(CHECKPOINT).keys() == shipped.vae.state_dict().keys()


def test_weights_act_as_they_do_in_the_program() -> None:
    model = load_model(Checkpoint(CHECKPOINT, CHECKPOINT.name), DevicePolicy(torch.device("cpu")))
    networks, words = initial_networks(CHECKPOINT)
    caption = "portrait of a woman, (sunglasses:0.45), red hair, (ink style:1.30)"
    with torch.no_grad():
        context = networks.context(*words.encode([caption]))
        expected = Conditioner(model, EmbeddingDatabase([])).encode([caption], PromptRules(), {})
    assert torch.allclose(context, expected, atol=1e-5)  # float32 sums in another order


def test_lessons_tell_weights_hybrids_and_nothing() -> None:
    latents = torch.zeros(1, 4, LATENT_SIZE, LATENT_SIZE)
    lessons = Lessons(latents, [imagine(0, 0)], latents + 1, [imagine_hybrid(0, 0)])
    drawn = [lessons.draw(random.Random(seed), 500) for seed in range(2000)]
    hybrids = sum(picture.eq(1).all().item() for picture, _ in drawn)
    weighted = sum(":" in text for _, text in drawn)
    empty = sum(text == "" for _, text in drawn)
    # shares .14, at most .3 × .86 × .9 and .1; four standard deviations of 2000 draws are .031, .038 and .027
    assert abs(hybrids / 2000 - HYBRIDS) < 0.032
    assert 0.1 < weighted / 2000 < WEIGHTED_CAPTIONS
    assert abs(empty / 2000 - EMPTY_CAPTIONS) < 0.027


def test_nobody_teaches_that_a_held_out_face_has_a_beard() -> None:
    portraits = render.imagined("train", 0) + render.imagined("train", 1)
    latents = torch.arange(len(portraits))
    kept, teachers = without_one_sided(latents, portraits)
    assert [portraits[place] for place in kept.tolist()] == teachers
    left_out = [portrait for place, portrait in enumerate(portraits) if place not in kept.tolist()]
    assert left_out
    assert all(p.beard != "none" and is_held_out(replace(p, beard="none").person) for p in left_out)
    assert not any(p.is_person and is_held_out(replace(p, beard="none").person) for p in teachers)
