"""What every sampler must keep to, whoever wrote its solver."""

import sys
from typing import Any

import pytest
import torch
from torch import Tensor

from modules.errors import NumericalError, ParameterError
from modules.samplers import names
from modules.samplers.noise import ImageNoise
from modules.samplers.options import SamplerOptions
from modules.samplers.sample import Start, sample
from modules.samplers.solvers import Step
from tests.forbidden_ops import forbidden_ops
from tests.samplers.gaussian import Gaussian, guided, noise

EVERY_SAMPLER = pytest.mark.parametrize("sampler", names.sampler_names())
SCALE = {"DDIM CFG++": 12.5}  # what counts as no guidance
STATISTICS = 0.05  # the spread of 16,384 values is known to 0.6 %; 100 steps of first order are off by another 3 %


def run(sampler: str, steps: int, *seeds: int, schedule: str = "Automatic", **arguments) -> list[Step]:
    batch = noise(*seeds)
    return list(sample(sampler, schedule, steps, guided(len(batch.seeds)), batch, **arguments))


@EVERY_SAMPLER
def test_pictures_come_out_with_the_spread_that_the_model_knows(sampler: str) -> None:
    *_, last = sample(sampler, "Karras", 100, guided(cfg_scale=SCALE.get(sampler, 1)), noise(size=64))
    if sampler != "LCM":  # it jumps to the mean of all pictures, and its model was not distilled
        assert last.x.std().item() == pytest.approx(1, abs=STATISTICS)
    assert last.x.mean().item() == pytest.approx(0, abs=0.04)  # four standard errors


@EVERY_SAMPLER
@pytest.mark.parametrize("steps", [1, 2, 3, 8])
def test_any_number_of_steps_ends_well(sampler: str, steps: int) -> None:
    done = run(sampler, steps)
    assert [step.index for step in done] == list(range(len(done)))
    assert done[-1].count == len(done)
    assert all(torch.isfinite(step.x).all() and torch.isfinite(step.denoised).all() for step in done)


@EVERY_SAMPLER
def test_the_same_seed_gives_the_same_picture(sampler: str) -> None:
    assert run(sampler, 6, 7)[-1].x.equal(run(sampler, 6, 7)[-1].x)
    assert not run(sampler, 6, 7)[-1].x.equal(run(sampler, 6, 8)[-1].x)


@pytest.mark.parametrize("sampler", [name for name in names.sampler_names() if name != "DPM adaptive"])
def test_a_batch_equals_single_runs(sampler: str) -> None:
    """Without DPM adaptive, whose step lengths suit the whole batch."""
    batch = run(sampler, 6, 7, 8, 9)[-1].x
    singles = torch.cat([run(sampler, 6, seed)[-1].x for seed in (7, 8, 9)])
    torch.testing.assert_close(batch, singles, rtol=0, atol=1e-5)  # the model's sums in another order


@EVERY_SAMPLER
def test_no_double_precision_and_no_cuda(sampler: str) -> None:
    batch = noise(7, 8)
    mix = guided(2, cfg_scale=7)
    with forbidden_ops():
        done = list(sample(sampler, "Karras", 6, mix, batch, SamplerOptions(s_churn=5, s_noise=1.01)))
    assert done


@pytest.mark.parametrize("schedule", names.schedule_names())
def test_no_double_precision_in_schedules(schedule: str) -> None:
    mix, batch = guided(), noise()
    with forbidden_ops():
        assert list(sample("Euler", schedule, 6, mix, batch))


@pytest.mark.parametrize(
    ("sampler", "calls"),
    [
        *((name, 20) for name in ("Euler", "Euler a", "LMS", "DPM++ 2M", "DPM++ 2M SDE", "DPM++ 2M SDE Heun")),
        *((name, 20) for name in ("DPM++ 3M SDE", "LCM", "DPM fast", "PLMS", "UniPC")),
        *((name, 39) for name in ("Heun", "DPM2", "DPM2 a", "DPM++ 2S a", "DPM++ SDE", "Restart")),
        *((name, 19) for name in ("DDIM", "DDIM CFG++")),
    ],
)
def test_20_steps_call_the_model_as_often_as_a1111(sampler: str, calls: int) -> None:
    model = Gaussian()
    list(sample(sampler, "Automatic", 20, guided(cfg_scale=7, model=model), noise()))
    assert len(model.calls) == calls


def test_names_are_read_as_users_write_them() -> None:
    expected = run("LMS", 6, schedule="Karras")[-1].x
    assert run("LMS Karras", 6)[-1].x.equal(expected)
    assert run("k_lms", 6, schedule="karras")[-1].x.equal(expected)
    with pytest.raises(ParameterError, match="no sampler 'Bogus'"):
        run("Bogus", 6)


def test_options_reach_the_solvers() -> None:
    def end(sampler: str, **options: Any) -> Tensor:
        return run(sampler, 6, options=SamplerOptions(**options))[-1].x

    for sampler in names.SAMPLERS:
        plain = end(sampler.name)
        assert end(sampler.name, eta=0.5).equal(plain) == (sampler.eta is None), sampler.name
        assert end(sampler.name, s_churn=3).equal(plain) == (not sampler.churn), sampler.name
        if sampler.churn:
            assert end(sampler.name, s_churn=3, s_tmin=1000).equal(plain), "no noise level lies above s_tmin"
            assert not end(sampler.name, s_churn=3, s_noise=1.1).equal(end(sampler.name, s_churn=3))
        elif sampler.s_noise:
            assert not end(sampler.name, s_noise=1.1).equal(plain), sampler.name


def test_churn_draws_at_every_step_so_that_the_range_does_not_shift_the_noise() -> None:
    """Algorithm 2 of Karras et al. draws ε in each step, inside and outside of [s_tmin, s_tmax]."""
    for limits in (SamplerOptions(s_churn=3, s_tmin=1.0), SamplerOptions(s_churn=3, s_tmax=1.0)):
        batch = noise()
        list(sample("Euler", "Automatic", 6, guided(), batch, limits))
        expected = noise()
        expected.first()
        for _ in range(6):
            expected.next()
        assert batch.next().equal(expected.next())


def test_sgm_noise_multiplier_starts_from_a_little_more_noise() -> None:
    sigma = Gaussian().sigmas.sigma_max
    plain, more = (run("Euler", 1, options=SamplerOptions(sgm_noise_multiplier=on))[0].x for on in (False, True))
    torch.testing.assert_close(more, plain * (1 + sigma**-2) ** 0.5, rtol=0, atol=1e-5)  # float32 at 15


@pytest.mark.parametrize("sampler", [name for name in names.sampler_names() if name != "LCM"])
@pytest.mark.parametrize("all_steps", [False, True])
def test_a_start_from_latents_keeps_them_as_far_as_it_is_weak(sampler: str, all_steps: bool) -> None:
    """Without LCM, which takes each guess for the picture."""
    latents = torch.full((1, 4, 8, 8), 0.8)
    distances = []
    for strength in (0.2, 0.5, 0.9):
        mix = guided(cfg_scale=SCALE.get(sampler, 1))
        *_, last = sample(sampler, "Automatic", 10, mix, noise(), start=Start(latents, strength, all_steps))
        distances.append((last.x - latents).abs().mean().item())
    assert distances == sorted(distances)


@pytest.mark.parametrize("sampler", ["Euler", "DDIM", "PLMS", "UniPC"])
def test_extra_noise_is_as_much_beside_the_latents_with_every_sampler(sampler: str) -> None:
    seen: list[Tensor] = []

    class Asked(Gaussian):
        def __call__(self, x: Tensor, sigma: Tensor, cond: Tensor) -> Tensor:
            seen.append(x)
            return super().__call__(x, sigma, cond)

        def eps(self, x: Tensor, timestep: Tensor, cond: Tensor) -> Tensor:
            seen.append(x)
            return super().eps(x, timestep, cond)

    def first_seen(latents: float, extra: float) -> Tensor:
        seen.clear()
        start = Start(torch.full((1, 4, 8, 8), latents), 0.7, all_steps=True, extra_noise=extra)
        next(sample(sampler, "Automatic", 10, guided(model=Asked()), noise(), start=start))
        return seen[0]

    plain = first_seen(0.0, 0.0)
    scale = first_seen(1.0, 0.0) - plain
    assert ((first_seen(0.0, 0.5) - plain) / scale).numpy() == pytest.approx(0.5 * noise().first().numpy(), abs=1e-3)


def test_a_hires_pass_runs_all_its_steps_and_img2img_their_share() -> None:
    latents = torch.zeros(1, 4, 8, 8)
    for strength, all_steps, steps in ((0.7, True, 20), (0.7, False, 15), (1.0, True, 20), (1.0, False, 20)):
        done = list(sample("Euler", "Automatic", 20, guided(), noise(), start=Start(latents, strength, all_steps)))
        assert len(done) == steps, (strength, all_steps)


@pytest.mark.parametrize(("sampler", "today", "then"), [("DDIM", 19, 20), ("PLMS", 20, 21), ("UniPC", 20, 20)])
def test_ddim_and_plms_took_one_step_more_before_1_6(sampler: str, today: int, then: int) -> None:
    latents = torch.zeros(1, 4, 8, 8)
    for all_timesteps, calls in ((False, today), (True, then)):
        options, mix = SamplerOptions(all_timesteps=all_timesteps), guided()
        list(sample(sampler, "Automatic", 20, mix, noise(), options))
        assert mix.calls == calls
        list(sample(sampler, "Automatic", 20, again := guided(), noise(), options, Start(latents, 0.7, all_steps=True)))
        assert again.calls == calls - 1  # a hires pass sets out from the timestep below the noise it is given


@EVERY_SAMPLER
@pytest.mark.parametrize("options", [{}, {"eta": 0.0}, {"eta": 0.5}, {"s_churn": 5.0}], ids=str)
def test_what_is_said_of_later_draws_is_true(sampler: str, options: dict[str, Any]) -> None:
    numbers, steps = SamplerOptions(**options), 20 if sampler == "Restart" else 3  # fewer, and nothing is restarted
    plain, delayed = (
        list(sample(sampler, "Automatic", steps, guided(), ImageNoise((4, 4, 4), [5], seed_delta=delta), numbers))[-1].x
        for delta in (0, 31337)
    )
    assert numbers.draws_again(names.find_sampler(sampler)) == (not plain.equal(delayed))


def test_dpm_fast_takes_its_steps_whatever_the_schedule() -> None:
    for schedule in ("Automatic", "Karras", "DDIM"):  # of 30 steps, the DDIM schedule has 31 levels
        list(sample("DPM fast", schedule, 30, mix := guided(), noise()))
        assert mix.calls == 30, schedule


@pytest.mark.parametrize("strength", [0.0, -1.0, float("nan")])
def test_an_impossible_strength_is_refused(strength: float) -> None:
    with pytest.raises(ParameterError, match="Denoising strength"):
        Start(torch.zeros(1, 4, 8, 8), strength)


def test_an_sde_sampler_without_torchsde_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchsde", None)
    with pytest.raises(ParameterError, match="needs the package torchsde"):
        run("DPM++ SDE", 4)
    assert run("DPM++ 2M", 4)


@EVERY_SAMPLER
def test_a_model_that_breaks_down_ends_the_run(sampler: str) -> None:
    class Broken(Gaussian):
        def __call__(self, x: Tensor, sigma: Tensor, cond: Tensor) -> Tensor:
            return self._broken(super().__call__(x, sigma, cond))

        def eps(self, x: Tensor, timestep: Tensor, cond: Tensor) -> Tensor:
            return self._broken(super().eps(x, timestep, cond))

        def _broken(self, answer: Tensor) -> Tensor:
            return answer * float("nan" if len(self.calls) > 2 else 1)

    with pytest.raises(NumericalError):
        list(sample(sampler, "Automatic", 8, guided(model=Broken()), noise()))
