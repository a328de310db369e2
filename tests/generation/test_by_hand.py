"""Pictures beside the same ones computed another way: with diffusers' schedulers, or by the formulas, in a few lines.

For what no recording of A1111 holds: velocity (v-prediction), zero terminal SNR, and steps without the negative prompt.
Text encoder, UNet and VAE are the program's; noise levels, prediction, guidance and solver are not.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler, rescale_zero_terminal_snr
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from torch import Tensor

from modules import images
from modules.events import ImageDone
from modules.generation.outputs import OutputFolder
from modules.generation.txt2img import txt2img
from modules.model.conditioning import Conditioner, PromptRules
from modules.params import Txt2ImgParams

STEPS = 10  # whole timesteps under Uniform: 999, 888, … 0
FORM = Txt2ImgParams(
    prompt="a (cat:1.2)",
    negative_prompt="bad",
    width=64,
    height=64,
    steps=STEPS,
    seed=5,
    sampler="Euler",
    cfg_scale=5.0,
)
BETAS = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}
# grey levels between two ways of summing; a step without the negative prompt in the wrong place moves it by over 20
NEAR = 1

Unet = Callable[[Tensor, float, bool], Tensor]
"""(latents of variance 1, timestep, told by the prompt or by the negative prompt) → what the network answers."""


@pytest.fixture(scope="module")
def conditioner(reference) -> Conditioner:
    return reference  # its answers have a size, as those of trained ones, at which a difference in grey levels shows


@pytest.fixture(scope="module")
def velocity(conditioner) -> Conditioner:
    """The same networks, their answers taken for velocities."""
    return conditioner.with_model(dataclasses.replace(conditioner.model, prediction_type="v_prediction"))


def drawn(conditioner: Conditioner, folder, **values) -> np.ndarray:
    """The picture's pixels, as the program draws it."""
    params = dataclasses.replace(FORM, **values)
    events = list(txt2img(conditioner, params, OutputFolder(folder, folder)))
    (done,) = [event for event in events if isinstance(event, ImageDone)]
    return np.asarray(images.open_image(done.path)).astype(int)


def network(conditioner: Conditioner) -> Unet:
    rules = PromptRules()
    ((schedule, _),) = conditioner.cond(FORM.prompt, STEPS, rules)
    encodings = {True: schedule[0][1], False: conditioner.uncond(FORM.negative_prompt, STEPS, rules)[0][1]}

    def answer(latents: Tensor, timestep: float, told: bool) -> Tensor:
        unet = conditioner.model.unet
        return unet(latents.float(), torch.tensor([timestep]), encoder_hidden_states=encodings[told][None]).sample

    return answer


def guided(unet: Unet, latents: Tensor, timestep: float) -> Tensor:
    prompt, negative = unet(latents, timestep, True), unet(latents, timestep, False)
    return negative + FORM.cfg_scale * (prompt - negative)


def first_noise() -> Tensor:
    return torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(FORM.seed))


def decoded(conditioner: Conditioner, latents: Tensor) -> np.ndarray:
    return np.asarray(images.to_pil(conditioner.model.decode(latents.float())[0])).astype(int)


def by_euler(unet: Unet, betas: Tensor, velocity: bool, alone: Callable[[int, float], bool]) -> Tensor:
    """Latents after Euler's steps, in double precision between the calls of the network.

    Args:
        alone: (call, sigma) → whether that step is told by the prompt alone.
    """
    kept = torch.cumprod(1 - betas, 0)
    kept[-1] = kept[-1] if kept[-1] > 0 else 4.8973451890853435e-08  # A1111's value: a finite sigma
    timesteps = [999 - 111 * step for step in range(STEPS)]
    sigmas = [math.sqrt((1 - kept[t].item()) / kept[t].item()) for t in timesteps] + [0.0]
    x = first_noise().double() * sigmas[0]
    for call, timestep in enumerate(timesteps):
        sigma, latents = sigmas[call], x / math.sqrt(1 + sigmas[call] ** 2)
        answer = unet(latents, timestep, True) if alone(call, sigma) else guided(unet, latents, timestep)
        # v = √ᾱ·ε − √(1−ᾱ)·x₀, and latents = √ᾱ·x₀ + √(1−ᾱ)·ε
        share, noise = math.sqrt(kept[timestep].item()), math.sqrt(1 - kept[timestep].item())
        clean = share * latents - noise * answer if velocity else x - sigma * answer
        x = x + (x - clean) / sigma * (sigmas[call + 1] - sigma)
    return x


def never(call: int, sigma: float) -> bool:
    return False


@torch.no_grad()
def test_the_loop_by_hand_is_right_where_recordings_are(conditioner, tmp_path):
    """Plain Euler, which is compared with A1111's latents elsewhere."""
    expected = decoded(conditioner, by_euler(network(conditioner), BETAS, False, never))
    assert (abs(drawn(conditioner, tmp_path) - expected) <= NEAR).all()


# --- velocity ---------------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_velocity_with_diffusers_euler(velocity, conditioner, tmp_path):
    scheduler = EulerDiscreteScheduler(**SCHEDULE, prediction_type="v_prediction", timestep_spacing="linspace")
    scheduler.set_timesteps(STEPS)
    unet, x = network(velocity), first_noise() * scheduler.sigmas[0]
    for timestep in scheduler.timesteps:
        answer = guided(unet, scheduler.scale_model_input(x, timestep), timestep.item())
        x = scheduler.step(answer, timestep, x).prev_sample  # pyright: ignore[reportAttributeAccessIssue]
    picture = drawn(velocity, tmp_path)
    assert (abs(picture - decoded(velocity, x)) <= NEAR).all()
    assert abs(picture - drawn(conditioner, tmp_path)).max() > 20, "another prediction is another picture"


@torch.no_grad()
@pytest.mark.parametrize("zero_snr", [False, True])
def test_velocity_with_diffusers_ddim(velocity, tmp_path, zero_snr):
    """One step fewer than asked, as A1111 does it."""
    scheduler = DDIMScheduler(
        **SCHEDULE,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=zero_snr,
        timestep_spacing="leading",
        steps_offset=1,
        clip_sample=False,
        set_alpha_to_one=False,
    )
    scheduler.set_timesteps(STEPS)
    unet, x = network(velocity), first_noise()
    for timestep in scheduler.timesteps[:-1]:
        x = scheduler.step(guided(unet, x, timestep.item()), int(timestep), x).prev_sample  # pyright: ignore[reportAttributeAccessIssue]
    picture = drawn(velocity, tmp_path, sampler="DDIM", zero_terminal_snr=zero_snr)
    assert (abs(picture - decoded(velocity, x)) <= NEAR).all()


# --- zero terminal SNR ------------------------------------------------------------------------------------------------


def test_the_table_is_the_one_of_diffusers(conditioner):
    theirs = torch.cumprod(1 - rescale_zero_terminal_snr(BETAS), 0)
    ours = conditioner.model.denoiser.sigmas.zero_terminal_snr().alphas_cumprod
    # float32; near the end 1 − ᾱ of the model's own table cancels all but four digits
    torch.testing.assert_close(ours[:-1].double(), theirs[:-1], rtol=1e-3, atol=1e-7)
    assert theirs[-1] == 0
    assert ours[-1].item() == pytest.approx(4.8973451890853435e-08)


@torch.no_grad()
def test_zero_terminal_snr_from_its_last_noise_level(velocity, tmp_path):
    expected = decoded(velocity, by_euler(network(velocity), rescale_zero_terminal_snr(BETAS), True, never))
    picture = drawn(velocity, tmp_path, zero_terminal_snr=True)
    assert (abs(picture - expected) <= NEAR).all()
    assert abs(picture - drawn(velocity, tmp_path)).max() > 20


# --- steps without the negative prompt --------------------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize(
    ("values", "alone", "calls"),
    [
        ({"s_min_uncond": 3.0}, lambda call, sigma: call % 2 == 1 and sigma < 3, 4),
        ({"s_min_uncond": 0.7}, lambda call, sigma: call % 2 == 1 and sigma < 0.7, 2),
        ({"s_min_uncond": 3.0, "s_min_uncond_all": True}, lambda call, sigma: sigma < 3, 7),
        ({"skip_early_cond": 0.25}, lambda call, sigma: call / STEPS <= 0.25, 3),
        ({"skip_early_cond": 1.0}, lambda call, sigma: True, 10),
        (
            {"skip_early_cond": 0.1, "s_min_uncond": 0.7},
            lambda call, sigma: call <= 1 or (call % 2 == 1 and sigma < 0.7),
            4,
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, dict | int) else "where",
)
def test_steps_that_leave_the_negative_prompt_out(conditioner, tmp_path, values, alone, calls):
    left_out: list[int] = []

    def noted(call: int, sigma: float) -> bool:
        left_out.extend([call] if alone(call, sigma) else [])
        return alone(call, sigma)

    expected = decoded(conditioner, by_euler(network(conditioner), BETAS, False, noted))
    assert len(left_out) == calls
    picture = drawn(conditioner, tmp_path, **values)
    assert (abs(picture - expected) <= NEAR).all()
    assert abs(picture - drawn(conditioner, tmp_path)).max() > NEAR
