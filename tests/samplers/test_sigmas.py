import numpy as np
import pytest
import torch

from modules.errors import ParameterError
from modules.samplers import names
from modules.samplers.options import SamplerOptions
from modules.samplers.sigmas import NoiseTable, sampler_sigmas, sampler_timesteps
from modules.samplers.solvers.lcm import ConsistencyTable
from tests.prompts.prompt_vectors import REFERENCE, records

RECORDS = records("schedules")
ROUNDING = 1e-5  # relative; what the recording allows. Measured here: 0
SHIPPED = [schedule for schedule in names.schedule_names() if schedule != "Automatic"]
EULER = names.find_sampler("Euler")


@pytest.fixture(scope="module")
def recorded() -> dict[str, np.ndarray]:
    with np.load(REFERENCE / "schedules.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def table() -> NoiseTable:
    return NoiseTable.scaled_linear()


def test_the_models_table_as_recorded(table: NoiseTable, recorded: dict[str, np.ndarray]) -> None:
    np.testing.assert_allclose(table.alphas_cumprod, recorded["model_alphas_cumprod"], rtol=ROUNDING)
    np.testing.assert_allclose(table.sigmas, recorded["model_sigmas"], rtol=ROUNDING)
    np.testing.assert_allclose(table.log_sigmas, recorded["model_log_sigmas"], rtol=ROUNDING)


def test_timesteps_and_sigmas_of_each_other_as_recorded(table: NoiseTable, recorded: dict[str, np.ndarray]) -> None:
    timesteps = table.sigma_to_t(torch.from_numpy(recorded["sigma_query"]))
    np.testing.assert_allclose(timesteps, recorded["sigma_to_t"], rtol=ROUNDING)
    sigmas = table.t_to_sigma(torch.from_numpy(recorded["t_query"]))
    np.testing.assert_allclose(sigmas, recorded["t_to_sigma"], rtol=ROUNDING)


@pytest.mark.parametrize("record", [r for r in RECORDS if r["kind"] == "sigmas"], ids=lambda r: r["id"])
def test_schedules_as_recorded(record: dict, table: NoiseTable, recorded: dict[str, np.ndarray]) -> None:
    sampler, schedule = names.find(record["sampler"], record["scheduler"])
    levels = ConsistencyTable(table) if sampler.name == "LCM" else table
    sigmas = sampler_sigmas(sampler, schedule, record["steps"], levels)
    assert len(sigmas) == record["n"]
    np.testing.assert_allclose(sigmas, recorded[record["id"]], rtol=ROUNDING)
    assert SamplerOptions().infotext(sampler, schedule).get("Schedule type") == record["schedule_type_infotext"]


@pytest.mark.parametrize("record", [r for r in RECORDS if r["kind"] == "timesteps"], ids=lambda r: r["id"])
def test_timesteps_as_recorded(record: dict, recorded: dict[str, np.ndarray]) -> None:
    assert sampler_timesteps(record["steps"]) == recorded[record["id"]].tolist()


@pytest.mark.parametrize("schedule", SHIPPED)
@pytest.mark.parametrize("steps", [1, 2, 7, 38, 150])
def test_every_schedule_falls(schedule: str, steps: int, table: NoiseTable) -> None:
    sigmas = sampler_sigmas(EULER, schedule, steps, table)
    assert sigmas.dtype == torch.float32
    assert (sigmas.diff() < 0).all()
    assert len(sigmas) == steps + 1 or schedule == "DDIM"
    assert sigmas[-1] == 0 or schedule == "KL Optimal"


@pytest.mark.parametrize("schedule", ["Karras", "Exponential", "Polyexponential", "Beta"])
def test_the_ends_of_the_range_can_be_set(schedule: str, table: NoiseTable) -> None:
    sigmas = sampler_sigmas(EULER, schedule, 5, table, SamplerOptions(sigma_min=0.1, sigma_max=10))
    assert sigmas[[0, -2]].tolist() == pytest.approx([10, 0.1], rel=1e-6)  # rounding of float32


def test_rho_crowds_levels_at_the_low_end(table: NoiseTable) -> None:
    middles = [sampler_sigmas(EULER, "Karras", 3, table, SamplerOptions(rho=rho))[1].item() for rho in (1, 3, 7)]
    assert middles == sorted(middles, reverse=True)
    assert middles[0] == pytest.approx((table.sigma_min + table.sigma_max) / 2, rel=1e-6)  # rho 1: even steps


def test_discarding_the_penultimate_level(table: NoiseTable) -> None:
    whole = sampler_sigmas(EULER, "Karras", 6, table)
    assert sampler_sigmas(EULER, "Karras", 5, table, SamplerOptions(discard_penultimate=True)).equal(
        torch.cat([whole[:-2], whole[-1:]])
    )


@pytest.mark.parametrize(("low", "high"), [(20, 0), (0, 0.01), (3, 3)])
def test_an_empty_range_is_refused(low: float, high: float, table: NoiseTable) -> None:
    with pytest.raises(ParameterError, match="must lie below"):
        sampler_sigmas(EULER, "Karras", 5, table, SamplerOptions(sigma_min=low, sigma_max=high))


@pytest.mark.parametrize(("steps", "count", "last"), [(1, 1, 1), (20, 20, 951), (30, 31, 991), (9, 10, 901)])
def test_timesteps_of_2022_have_a_zero_to_end_at_and_none_beyond_the_model(steps: int, count: int, last: int) -> None:
    found = sampler_timesteps(steps, of_2022=True)
    assert found[:2] == [0, 1]
    assert (len(found) - 1, found[-1]) == (count, last)


@pytest.mark.parametrize("steps", range(1, 151))
def test_timesteps_of_2022_never_lie_beyond_the_model(steps: int) -> None:
    assert sampler_timesteps(steps, of_2022=True)[-1] <= 999


def test_step_numbers_are_checked(table: NoiseTable) -> None:
    with pytest.raises(ParameterError, match="at least 1"):
        sampler_sigmas(EULER, "Karras", 0, table)
    with pytest.raises(ParameterError, match="outside 1 … 1000"):
        sampler_timesteps(1001)


def test_zero_terminal_snr_ends_in_noise_and_keeps_its_beginning(table: NoiseTable) -> None:
    stretched = table.zero_terminal_snr()
    assert stretched.sigma_max > 1000
    assert stretched.sigma_min == pytest.approx(table.sigma_min, rel=1e-4)  # rounding of 1 − ᾱ in float32
    assert (stretched.sigmas.diff() > 0).all()


def test_half_precision_rounds_the_table(table: NoiseTable) -> None:
    rounded = table.half_precision()
    assert rounded.alphas_cumprod.equal(table.alphas_cumprod.half().float())
    assert not rounded.alphas_cumprod.equal(table.alphas_cumprod)
