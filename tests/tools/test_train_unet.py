import pytest
import torch

from tools.demo_model.networks import LATENT_SIZE, POSITIONS, vae_weights
from tools.demo_model.pack import CHECKPOINT
from tools.demo_model.sample import Painter
from tools.demo_model.train_unet import TIMESTEPS, Networks, Steps, alphas_cumprod, initial_networks, min_snr_loss
from tools.demo_model.words import Words
from tools.demo_model.world import imagine

WORDS = 20


def test_plain_attention_predicts_what_fused_attention_does() -> None:
    torch.manual_seed(0)
    networks = Networks(WORDS)
    torch.nn.init.normal_(networks.unet.conv_out.weight, std=0.1)  # a fresh one answers zero, whatever comes before it
    noisy = torch.randn(2, 4, LATENT_SIZE, LATENT_SIZE)
    timesteps, rows = torch.tensor([10, 800]), torch.randint(WORDS, (1, POSITIONS))
    with torch.no_grad():
        fused = networks(noisy, timesteps, rows)
        networks.use_plain_attention()
        plain = networks(noisy, timesteps, rows)
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
        torch.randint(WORDS, (2, POSITIONS)),
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
    steps = Steps(torch.zeros(1, 4, LATENT_SIZE, LATENT_SIZE), [imagine(0, 0)], Words(), 16, range(1))
    timesteps = steps[0][2]
    assert timesteps.max() == TIMESTEPS - 1


def test_training_goes_on_from_the_shipped_file() -> None:
    networks, words = initial_networks(CHECKPOINT)
    shipped = Painter(CHECKPOINT)
    caption = "portrait of a woman, red hair"
    with torch.no_grad():
        context = networks.text_encoder(input_ids=words.encode([caption])).last_hidden_state
        assert torch.allclose(context, shipped.context([caption]), atol=1e-5)  # float32 sums in another order
    assert all(weight.equal(shipped.unet.state_dict()[name]) for name, weight in networks.unet.state_dict().items())
    assert vae_weights(CHECKPOINT).keys() == shipped.vae.state_dict().keys()
