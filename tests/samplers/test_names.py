import subprocess
import sys

import pytest

from modules.errors import ParameterError
from modules.samplers import names
from tests.prompts.prompt_vectors import records

RECORDS = records("schedules")


@pytest.mark.parametrize("record", [r for r in RECORDS if r["kind"] == "sampler-config"], ids=lambda r: r["sampler"])
def test_flags_and_aliases_as_recorded(record: dict) -> None:
    sampler = names.find_sampler(record["sampler"])
    options = record["options"]
    assert list(sampler.aliases) == record["aliases"]
    assert sampler.total_steps(20) == record["total_steps_for_20"]
    schedule = names.find_schedule(options["scheduler"]).label if "scheduler" in options else None
    assert sampler.schedule == schedule
    assert sampler.second_order == options.get("second_order", False)
    assert sampler.brownian == options.get("brownian_noise", False)
    assert sampler.discard_penultimate == options.get("discard_next_to_last_sigma", False)
    assert sampler.uses_ensd == options.get("uses_ensd", False)


@pytest.mark.parametrize("record", [r for r in RECORDS if r["kind"] == "name-resolution"], ids=lambda r: r["id"])
def test_pasted_names_resolve_as_recorded(record: dict) -> None:
    pasted = record["sampler"], record["scheduler"]
    assert list(names.read_pasted(*pasted)) == record["resolved"]
    assert list(names.read_pasted(*pasted, keep_automatic=True)) == record["resolved_keep_automatic"]


def test_all_samplers_in_their_order() -> None:
    assert names.sampler_names() == [
        *("DPM++ 2M", "DPM++ SDE", "DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 2S a", "DPM++ 3M SDE"),
        *("Euler a", "Euler", "LMS", "Heun", "DPM2", "DPM2 a", "DPM fast", "DPM adaptive", "Restart"),
        *("DDIM", "DDIM CFG++", "PLMS", "UniPC", "LCM"),
    ]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (("Euler a", "Karras"), ("Euler a", "Karras")),
        (("k_euler_ancestral", "karras"), ("Euler a", "Karras")),
        (("K_DPMPP_2M", "Automatic"), ("DPM++ 2M", "Automatic")),
        (("LMS Karras", "Automatic"), ("LMS", "Karras")),
        (("DPM++ 2M SDE SGMUniform", "Karras"), ("DPM++ 2M SDE", "SGM Uniform")),
    ],
)
def test_a_request_may_use_aliases_and_old_combined_names(asked: tuple[str, str], found: tuple[str, str]) -> None:
    sampler, schedule = names.find(*asked)
    assert (sampler.name, schedule) == found


@pytest.mark.parametrize(("asked", "field"), [(("Bogus", "Karras"), "sampler"), (("Euler", "Bogus"), "schedule")])
def test_an_unknown_name_is_refused_with_the_choices(asked: tuple[str, str], field: str) -> None:
    with pytest.raises(ParameterError, match="choose one of") as caught:
        names.find(*asked)
    assert caught.value.field == field


def test_names_and_options_do_not_load_torch() -> None:
    code = "import sys, modules.samplers.names, modules.samplers.options; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
