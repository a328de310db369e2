"""Solvers step by step beside diffusers' schedulers, and by their order of convergence where it has no such solver.

Both sides follow the same model, which is no real one but bends with x and sigma. Tolerances: both sides round to
float32 in every step, in other places; on latents of standard deviation 15 that leaves 3e-6 at most.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import diffusers
import pytest
import torch
from torch import Tensor

from modules.samplers import names
from modules.samplers.brownian import BrownianNoise
from modules.samplers.sigmas import NoiseTable, sampler_sigmas, sampler_timesteps
from modules.samplers.solvers import Step, dpm_solver, euler, lcm, multistep, sde, timestep, unipc
from modules.samplers.solvers.step import Denoise
from tests.samplers.gaussian import noise

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:The `scale_model_input`")  # diffusers'

STEPS = 12
TABLE = NoiseTable.scaled_linear()
ALPHAS = TABLE.alphas_cumprod.tolist()
TRAINING = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
CLOSE = 1e-5  # of the standard deviation; see above


def scheduler_of(name: str, **settings: Any) -> Any:
    """A scheduler of diffusers, on the noise levels of `TABLE`."""
    return getattr(diffusers, name)(**TRAINING, **settings)


def denoise(x: Tensor, sigma: float) -> Tensor:
    return (x + 0.3 * (2 * x).sin() * sigma) / (1 + sigma**2)


def predict(x: Tensor, timestep: float) -> Tensor:
    """The same model, asked for noise in x of variance 1."""
    sigma = TABLE.t_to_sigma(torch.tensor(timestep)).item()
    noisy = x * math.sqrt(1 + sigma**2)
    return (noisy - denoise(noisy, sigma)) / sigma


def start(sigma: float = 1.0) -> Tensor:
    return torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(7)) * sigma


def assert_same_path(ours: Iterable[Step], theirs: Iterable[Tensor]) -> None:
    steps = list(ours)
    for step, x in zip(steps, theirs, strict=True):
        error = ((step.x - x).abs().max() / x.std()).item()
        assert error < CLOSE, f"step {step.index} of {step.count}: {error:.1e}"
    assert [step.index for step in steps] == list(range(len(steps)))
    assert {step.count for step in steps} == {len(steps)}


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def drawing() -> Callable[[], Tensor]:
    source = generator()
    return lambda: torch.randn(1, 4, 8, 8, generator=source)


def over_sigmas(scheduler: Any, sigmas: list[float], **arguments) -> Iterator[Tensor]:
    """diffusers' latents after each step."""
    x = start(sigmas[0])
    for t, sigma in zip(scheduler.timesteps, sigmas[:-1], strict=True):
        x = scheduler.step((x - denoise(x, sigma)) / sigma, t, x, **arguments).prev_sample
        yield x


def test_euler_beside_diffusers() -> None:
    scheduler = scheduler_of("EulerDiscreteScheduler", timestep_spacing="linspace")
    scheduler.set_timesteps(STEPS)
    sigmas = scheduler.sigmas.tolist()
    assert_same_path(euler.euler(denoise, start(sigmas[0]), sigmas, drawing()), over_sigmas(scheduler, sigmas))


def test_euler_with_churn_beside_diffusers() -> None:
    scheduler = scheduler_of("EulerDiscreteScheduler", timestep_spacing="linspace")
    scheduler.set_timesteps(STEPS)
    sigmas = scheduler.sigmas.tolist()
    churn = euler.Churn(s_churn=2.0, s_noise=1.01)
    raised = [sigma * (1 + 2.0 / STEPS) for sigma in sigmas[:-1]]

    def theirs() -> Iterator[Tensor]:
        source, x = generator(), start(sigmas[0])
        for t, sigma, high in zip(scheduler.timesteps, sigmas, raised, strict=False):
            # diffusers adds the noise inside its step, after the model was asked: the model is asked here again
            state = source.get_state()
            fresh = torch.randn(x.shape, generator=source) * 1.01 * math.sqrt(high**2 - sigma**2)
            source.set_state(state)
            eps = (x + fresh - denoise(x + fresh, high)) / high
            x = scheduler.step(eps, t, x, s_churn=2.0, s_noise=1.01, generator=source).prev_sample
            yield x

    assert_same_path(euler.euler(denoise, start(sigmas[0]), sigmas, drawing(), churn), theirs())


def test_euler_a_beside_diffusers() -> None:
    scheduler = scheduler_of("EulerAncestralDiscreteScheduler", timestep_spacing="linspace")
    scheduler.set_timesteps(STEPS)
    sigmas = scheduler.sigmas.tolist()
    theirs = over_sigmas(scheduler, sigmas, generator=generator())
    assert_same_path(euler.euler_ancestral(denoise, start(sigmas[0]), sigmas, drawing()), theirs)


def test_lms_beside_diffusers() -> None:
    scheduler = scheduler_of("LMSDiscreteScheduler", timestep_spacing="linspace")
    scheduler.set_timesteps(STEPS)
    sigmas = scheduler.sigmas.tolist()
    assert_same_path(multistep.lms(denoise, start(sigmas[0]), sigmas), over_sigmas(scheduler, sigmas))


def two_calls(scheduler: Any, sigmas: list[float], middles: list[float], **arguments) -> Iterator[Tensor]:
    """diffusers' latents after each step of two calls, the second at `middles`; the last step has one."""
    x = start(sigmas[0])
    timesteps = iter(scheduler.timesteps)
    for sigma, middle in zip(sigmas, middles, strict=False):
        for level in (sigma, middle) if middle else (sigma,):
            x = scheduler.step((x - denoise(x, level)) / level, next(timesteps), x, **arguments).prev_sample
        yield x


def test_heun_beside_diffusers() -> None:
    scheduler = scheduler_of("HeunDiscreteScheduler", timestep_spacing="linspace")
    scheduler.set_timesteps(STEPS)
    sigmas = [scheduler.sigmas[0].item(), *scheduler.sigmas[1 : 2 * STEPS : 2].tolist()]
    assert_same_path(
        euler.heun(denoise, start(sigmas[0]), sigmas, drawing()), two_calls(scheduler, sigmas[:-1], sigmas[1:])
    )


def test_dpm2_beside_diffusers() -> None:
    scheduler = scheduler_of("KDPM2DiscreteScheduler", timestep_spacing="linspace")
    scheduler.set_timesteps(STEPS)
    sigmas = [scheduler.sigmas[0].item(), *scheduler.sigmas[1 : 2 * STEPS : 2].tolist()]
    middles = [math.sqrt(a * b) for a, b in itertools.pairwise(sigmas)]
    assert_same_path(
        euler.dpm2(denoise, start(sigmas[0]), sigmas, drawing()), two_calls(scheduler, sigmas[:-1], middles)
    )


def test_dpm2_a_beside_diffusers() -> None:
    scheduler = scheduler_of("KDPM2AncestralDiscreteScheduler", timestep_spacing="linspace")
    scheduler.set_timesteps(STEPS)
    sigmas = [scheduler.sigmas[0].item(), *scheduler.sigmas[1 : 2 * STEPS : 2].tolist()]
    downs = [b * math.sqrt(1 - (1 - b**2 / a**2)) for a, b in itertools.pairwise(sigmas)]
    middles = [math.sqrt(sigma * down) for sigma, down in zip(sigmas, downs, strict=False)]
    theirs = two_calls(scheduler, sigmas[:-1], middles, generator=generator())
    assert_same_path(euler.dpm2_ancestral(denoise, start(sigmas[0]), sigmas, drawing()), theirs)


def over_variance_1(scheduler: Any, **arguments) -> Iterator[Tensor]:
    """Latents of a diffusers scheduler that keeps their variance at 1, brought to sigma space."""
    sigmas = scheduler.sigmas.tolist()
    x = start(sigmas[0]) / math.sqrt(1 + sigmas[0] ** 2)
    for i, t in enumerate(scheduler.timesteps):
        noisy = x * math.sqrt(1 + sigmas[i] ** 2)
        extra = {name: give(sigmas[i], sigmas[i + 1]) for name, give in arguments.items()}
        x = scheduler.step((noisy - denoise(noisy, sigmas[i])) / sigmas[i], t, x, **extra).prev_sample
        yield x * math.sqrt(1 + sigmas[i + 1] ** 2)


def dpm_multistep(**settings) -> Any:
    scheduler = scheduler_of(
        "DPMSolverMultistepScheduler", use_karras_sigmas=True, final_sigmas_type="zero", **settings
    )
    scheduler.set_timesteps(STEPS)
    return scheduler


def test_dpmpp_2m_beside_diffusers() -> None:
    scheduler = dpm_multistep(algorithm_type="dpmsolver++", solver_order=2, solver_type="midpoint")
    sigmas = scheduler.sigmas.tolist()
    assert_same_path(multistep.dpmpp_2m(denoise, start(sigmas[0]), sigmas), over_variance_1(scheduler))


@pytest.mark.parametrize("kind", ["midpoint", "heun"])
def test_dpmpp_2m_sde_beside_diffusers(kind) -> None:
    scheduler = dpm_multistep(algorithm_type="sde-dpmsolver++", solver_order=2, solver_type=kind)
    sigmas = scheduler.sigmas.tolist()
    ours, theirs = BrownianNoise(noise(5), sigmas), BrownianNoise(noise(5), sigmas)

    def given(sigma: float, sigma_next: float) -> Tensor:
        return theirs(sigma, sigma_next) if sigma_next else torch.zeros(1, 4, 8, 8)

    steps = sde.dpmpp_2m_sde(denoise, start(sigmas[0]), sigmas, ours, kind=kind)
    assert_same_path(steps, over_variance_1(scheduler, variance_noise=given))


def test_dpmpp_sde_beside_diffusers() -> None:
    scheduler = scheduler_of(
        "DPMSolverSDEScheduler", timestep_spacing="linspace", use_karras_sigmas=True, noise_sampler_seed=5
    )
    scheduler.set_timesteps(STEPS)
    sigmas = [scheduler.sigmas[0].item(), *scheduler.sigmas[1 : 2 * STEPS : 2].tolist()]
    middles = [math.sqrt(a * b) for a, b in itertools.pairwise(sigmas)]
    x = start(sigmas[0])
    steps = list(sde.dpmpp_sde(denoise, x, sigmas, BrownianNoise(noise(5), sigmas)))
    theirs = list(two_calls(scheduler, sigmas[:-1], middles))
    errors = [((step.x - x).abs().max() / x.std()).item() for step, x in zip(steps, theirs, strict=True)]
    assert max(errors) < 1e-3  # measured 1e-6; a processor that rounds a level otherwise is elsewhere on the path


def test_ddim_beside_diffusers() -> None:
    for eta in (0.0, 0.7):
        scheduler = scheduler_of("DDIMScheduler", clip_sample=False, set_alpha_to_one=False, steps_offset=1)
        scheduler.set_timesteps(STEPS)
        timesteps = sampler_timesteps(STEPS)[:STEPS]  # 1000 is not a multiple of 12: diffusers leaves one out

        def theirs(scheduler: Any = scheduler, eta: float = eta) -> Iterator[Tensor]:
            source, x = generator(), start()
            for t in scheduler.timesteps[:-1]:
                x = scheduler.step(predict(x, t.item()), t, x, eta=eta, generator=source).prev_sample
                yield x

        assert timesteps[::-1] == scheduler.timesteps.tolist()
        assert_same_path(timestep.ddim(predict, start(), timesteps, ALPHAS, drawing(), eta), theirs())


@pytest.mark.parametrize("eta", [0.0, 0.7])
def test_ddim_of_2022_is_that_of_diffusers_to_its_last_step(eta: float) -> None:
    scheduler = scheduler_of("DDIMScheduler", clip_sample=False, set_alpha_to_one=False, steps_offset=1)
    scheduler.set_timesteps(STEPS)
    timesteps = sampler_timesteps(STEPS, of_2022=True)[: STEPS + 1]  # diffusers leaves one out, as above

    def theirs() -> Iterator[Tensor]:
        source, x = generator(), start()
        for t in scheduler.timesteps:
            x = scheduler.step(predict(x, t.item()), t, x, eta=eta, generator=source).prev_sample
            yield x

    assert timesteps[:0:-1] == scheduler.timesteps.tolist()
    assert_same_path(timestep.ddim(predict, start(), timesteps, ALPHAS, drawing(), eta), theirs())


def test_ddim_cfgpp_renoises_with_the_negative_prompt_alone() -> None:
    timesteps = sampler_timesteps(5)
    same = timestep.ddim_cfgpp(lambda x, t: (predict(x, t), predict(x, t)), start(), timesteps, ALPHAS, drawing())
    assert_same_path(same, (step.x for step in timestep.ddim(predict, start(), timesteps, ALPHAS, drawing())))
    t, t_next, x = timesteps[-1], timesteps[-2], start()
    guided, uncond = torch.ones_like(x), torch.full_like(x, 0.5)
    step = next(timestep.ddim_cfgpp(lambda x, t: (guided, uncond), x, timesteps, ALPHAS, drawing()))
    clean = (x - guided * math.sqrt(1 - ALPHAS[t])) / math.sqrt(ALPHAS[t])
    expected = clean * math.sqrt(ALPHAS[t_next]) + uncond * math.sqrt(1 - ALPHAS[t_next])
    torch.testing.assert_close(step.x, expected, rtol=0, atol=1e-5)  # float32


def test_plms_beside_diffusers() -> None:
    scheduler = scheduler_of("PNDMScheduler", skip_prk_steps=True, set_alpha_to_one=False, steps_offset=1)
    scheduler.set_timesteps(STEPS)
    timesteps = sampler_timesteps(STEPS)[:STEPS]

    def theirs() -> Iterator[Tensor]:
        x = start()
        for call, t in enumerate(scheduler.timesteps[:-1]):
            x = scheduler.step(predict(x, t.item()), t, x).prev_sample
            if call:  # its first step are two calls
                yield x

    assert_same_path(timestep.plms(predict, start(), timesteps, ALPHAS), theirs())


@pytest.mark.parametrize("variant", ["bh1", "bh2"])
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_unipc_beside_diffusers(variant, order: int) -> None:
    """By what the model is asked: diffusers corrects a step at the beginning of the next one."""
    steps = 9  # so that diffusers, which rounds timesteps, has none to round
    scheduler = scheduler_of(
        "UniPCMultistepScheduler",
        solver_order=order,
        solver_type=variant,
        timestep_spacing="linspace",
        final_sigmas_type="sigma_min",
    )
    scheduler.set_timesteps(steps)
    theirs = [start()]
    for t in scheduler.timesteps:
        theirs.append(scheduler.step(predict(theirs[-1], t.item()), t, theirs[-1]).prev_sample)
    asked: list[Tensor] = []

    def predict_and_note(x: Tensor, timestep: float) -> Tensor:
        asked.append(x)
        return predict(x, timestep)

    *_, last = unipc.unipc(predict_and_note, start(), steps, ALPHAS, variant, order=order)
    for ours, expected in zip([*asked, last.x], theirs, strict=True):
        assert ((ours - expected).abs().max() / expected.std()).item() < CLOSE


@pytest.mark.parametrize(
    ("order", "steps", "lower_at_the_end", "used"),
    [
        (3, 5, True, [1, 2, 3, 2, 1]),
        (3, 5, False, [1, 2, 3, 3, 3]),
        (4, 4, True, [1, 2, 3, 1]),  # the first steps grow up to the order, whatever comes after them
        (5, 6, True, [1, 2, 3, 4, 2, 1]),
        (4, 2, True, [1, 1]),  # fewer steps than the order, at which A1111 fails
    ],
)
def test_unipc_uses_as_many_guesses_as_a1111(monkeypatch, order, steps, lower_at_the_end, used) -> None:
    noted: list[int] = []

    class Noting(unipc._Update):
        def __init__(self, path, guesses, target, variant):
            noted.append(len(guesses))
            super().__init__(path, guesses, target, variant)

    monkeypatch.setattr(unipc, "_Update", Noting)
    list(unipc.unipc(predict, start(), steps, ALPHAS, order=order, lower_order_final=lower_at_the_end))
    assert noted == used


def varying_by_matrices(
    path: unipc._Path, guesses: list[tuple[float, Tensor]], target: float, x: Tensor, new: Tensor | None
) -> Tensor:
    """A prediction, or with the guess at its target a correction: the rows of the inverse matrix against the phis."""
    (moment, newest), *earlier = guesses
    h = path.log_snr(target) - path.log_snr(moment)
    places = [(path.log_snr(other) - path.log_snr(moment)) / h for other, _ in earlier]
    changes = [(guess - newest) / place for place, (_, guess) in zip(places, earlier, strict=True)]
    powers = len(places)
    if new is not None:
        places.append(1.0)
    matrix = [[place**k / math.factorial(k + 1) for k in range(len(places))] for place in places]
    rows = torch.tensor(matrix, dtype=torch.float64).reshape(len(places), len(places)).inverse().tolist()
    phis = [math.expm1(-h)]
    for k in range(1, len(guesses) + 2):
        phis.append(phis[-1] / -h - 1 / math.factorial(k))
    moved = x * (path.noise(target) / path.noise(moment)) - newest * (path.scale(target) * phis[0])
    for k in range(powers):
        for change, weight in zip(changes, rows[k], strict=False):
            moved = moved - change * (path.scale(target) * phis[k + 1] * weight)
    if new is not None:  # the row that was taken last, not the last one
        moved = moved - (new - newest) * (path.scale(target) * phis[powers + 1] * rows[max(powers - 1, 0)][-1])
    return moved


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_unipc_with_varying_coefficients_by_matrices(order: int) -> None:
    steps, path = 9, unipc._Path(ALPHAS)
    moments = unipc._moments(path, 1.0, steps, "time_uniform")
    x = start()
    guesses = [(moments[0], unipc._clean(predict, x, moments[0], path))]
    for i, target in enumerate(moments[1:]):
        used = guesses[: i + 1 if i + 1 < order else min(order, steps - i)]
        predicted = varying_by_matrices(path, used, target, x, None)
        guess = unipc._clean(predict, predicted, target, path)
        x = predicted if i + 1 == steps else varying_by_matrices(path, used, target, x, guess)
        guesses = [(target, guess), *guesses]
    *_, last = unipc.unipc(predict, start(), steps, ALPHAS, "vary_coeff", order=order)
    assert ((last.x - x).abs().max() / x.std()).item() < CLOSE


def test_lcm_beside_diffusers() -> None:
    scheduler = scheduler_of("LCMScheduler")
    scheduler.set_timesteps(4, original_inference_steps=50)
    timesteps = scheduler.timesteps.tolist()
    sigmas = [*TABLE.t_to_sigma(torch.tensor(timesteps, dtype=torch.float32)).tolist(), 0.0]

    class Model:
        sigmas = TABLE

        def eps(self, x: Tensor, timestep: float, level: float) -> Tensor:
            return predict(x, timestep)

    def theirs() -> Iterator[Tensor]:
        source = generator()
        x = start(sigmas[0]) / math.sqrt(1 + sigmas[0] ** 2)
        for i, t in enumerate(scheduler.timesteps):
            x = scheduler.step(predict(x, t.item()), t, x, generator=source).prev_sample
            yield x * math.sqrt(1 + sigmas[i + 1] ** 2)

    model = lcm.consistency(Model(), lcm.ConsistencyTable(TABLE))  # type: ignore[arg-type]
    assert_same_path(lcm.lcm(model, start(sigmas[0]), sigmas, drawing()), theirs())


def gaussian(x: Tensor, sigma: float) -> Tensor:
    """The best guess for pictures of N(0, 1): from σ to σ', x grows by √((1 + σ'²) / (1 + σ²)) exactly."""
    return x / (1 + sigma**2)


def never(*_: float) -> Tensor:
    raise AssertionError("noise drawn without eta")


Solve = Callable[[Denoise, Tensor, list[float]], Iterator[Step]]


@pytest.mark.parametrize(
    ("order", "solve"),
    [
        (1, lambda d, x, s: euler.euler(d, x, s, never)),
        (2, lambda d, x, s: euler.heun(d, x, s, never)),
        (2, lambda d, x, s: euler.dpm2(d, x, s, never)),
        (2, lambda d, x, s: sde.dpmpp_2s_ancestral(d, x, s, lambda: x * 0, eta=0)),
        (2, lambda d, x, s: sde.dpmpp_sde(d, x, s, lambda *_: x * 0, eta=0)),
        (2, lambda d, x, s: multistep.dpmpp_2m(d, x, s)),
        (2, lambda d, x, s: sde.dpmpp_2m_sde(d, x, s, never, eta=0)),
        (2, lambda d, x, s: sde.dpmpp_2m_sde(d, x, s, never, eta=0, kind="heun")),
        (2, lambda d, x, s: sde.dpmpp_3m_sde(d, x, s, never, eta=0)),  # 3, but for its plain first step
        (2, lambda d, x, s: multistep.lms(d, x, s)),  # 4, but for its plain first step
        (2, lambda d, x, s: dpm_solver.dpm_fast(d, x, s[0], s[-1], 3 * len(s) - 2, never, eta=0)),  # 3, but at its end
    ],
    ids=["euler", "heun", "dpm2", "2s a", "sde", "2m", "2m sde", "2m sde heun", "3m sde", "lms", "dpm fast"],
)
def test_halving_the_steps_length_divides_the_error_by_two_to_the_order(order: int, solve: Solve) -> None:
    exact = math.sqrt((1 + 0.05**2) / (1 + 10.0**2))
    errors = []
    for steps in (16, 32):
        levels = [10.0 * (0.05 / 10) ** (i / steps) for i in range(steps + 1)]
        *_, last = solve(gaussian, torch.ones(1, dtype=torch.float64), levels)
        errors.append(abs(last.x.item() / exact - 1))
    assert errors[0] / errors[1] > 0.75 * 2**order  # the order is reached in the limit of short steps


def test_dpm_adaptive_keeps_its_accuracy() -> None:
    x = torch.ones(1, dtype=torch.float64)
    steps = list(dpm_solver.dpm_adaptive(gaussian, x, 10.0, 0.05, never, eta=0))
    assert steps[-1].x.item() / math.sqrt((1 + 0.05**2) / (1 + 10.0**2)) == pytest.approx(1, abs=0.05)
    assert steps[-1].index + 1 == steps[-1].count


@pytest.mark.parametrize(("eta", "calls"), [(0.0, 18), (0.5, 27), (1.0, 33)])
def test_dpm_adaptive_takes_as_many_steps_as_k_diffusion(eta: float, calls: int) -> None:
    """Counted there, from the same latents and with the same noise."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 4, 8, 8, generator=generator) * 10
    generator.manual_seed(1)
    *_, last = dpm_solver.dpm_adaptive(gaussian, x, 10.0, 0.05, lambda: torch.randn(x.shape, generator=generator), eta)
    assert 3 * (last.index + 1) == calls


def test_dpm_adaptive_with_nothing_to_do_gives_back_what_came_in() -> None:
    steps = list(dpm_solver.dpm_adaptive(gaussian, start(), 1.0, 1.0, never))
    assert [step.x.equal(start()) for step in steps] == [True]


@pytest.mark.parametrize("calls", range(1, 13))
def test_dpm_fast_calls_the_model_as_often_as_asked(calls: int) -> None:
    asked: list[float] = []

    def noted(x: Tensor, sigma: float) -> Tensor:
        asked.append(sigma)
        return gaussian(x, sigma)

    steps = list(dpm_solver.dpm_fast(noted, start(), 10.0, 0.05, calls, never, eta=0))
    assert len(asked) == calls
    assert steps[-1].index + 1 == steps[-1].count == len(steps)


@pytest.mark.parametrize(
    ("steps", "first", "stretches"), [(19, 19, []), (20, 11, [9]), (35, 26, [9]), (36, 18, [9, 9]), (40, 20, [10, 10])]
)
def test_restart_goes_back_as_often_as_its_steps_allow(steps: int, first: int, stretches: list[int]) -> None:
    sigmas = sampler_sigmas(names.find_sampler("Restart"), "Karras", steps, TABLE).tolist()
    asked: list[float] = []
    draws: list[int] = []

    def noted(x: Tensor, sigma: float) -> Tensor:
        asked.append(sigma)
        return gaussian(x, sigma)

    def draw() -> Tensor:
        draws.append(len(asked))
        return torch.zeros(1)

    done = list(euler.restart(noted, torch.ones(1), sigmas, draw))
    assert len(done) == steps == first + sum(stretches)
    assert len(draws) == len(stretches)
    assert len(asked) == 2 * steps - 1
    for at, next_at in zip(draws, [*draws[1:], None], strict=False):
        high, low = asked[at], asked[at - 1]
        assert 1.0 < high < 3.5  # the level of the first descent next to 2
        assert 0.05 < low < 0.2  # … and to 0.1
        assert next_at is None or asked[next_at - 1] == pytest.approx(low, rel=1e-6)
