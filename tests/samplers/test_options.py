from typing import Any

import pytest

from modules.errors import ParameterError
from modules.samplers.names import find_sampler
from modules.samplers.options import SamplerOptions


@pytest.mark.parametrize(
    ("sampler", "schedule", "options", "written"),
    [
        ("Euler", "Automatic", {}, {}),
        ("DPM++ 2M", "Automatic", {}, {"Schedule type": "Karras"}),
        ("Euler", "Uniform", {"s_churn": 3.0}, {"Schedule type": "Uniform", "Sigma churn": 3.0}),
        ("Euler a", "Automatic", {"eta": 0.5, "s_churn": 3.0}, {"Eta": 0.5}),
        ("Euler a", "Automatic", {"eta": 1.0}, {}),
        ("Euler", "Automatic", {"eta": 0.5}, {}),
        ("DDIM", "Karras", {"eta": 0.5, "rho": 5.0}, {"Eta DDIM": 0.5}),
        ("Euler", "Karras", {"rho": 5.0}, {"Schedule type": "Karras", "Schedule rho": 5.0}),
        ("Euler", "Karras", {"rho": 7.0}, {"Schedule type": "Karras"}),
        ("Euler", "Exponential", {"rho": 5.0}, {"Schedule type": "Exponential"}),
        ("Euler", "Polyexponential", {"rho": 2.0}, {"Schedule type": "Polyexponential", "Schedule rho": 2.0}),
        ("Euler", "Automatic", {"rho": 5.0, "sigma_min": 0.1, "sigma_max": 10.0}, {}),
        ("DPM++ 2M", "Automatic", {"sigma_min": 0.1}, {"Schedule type": "Karras", "Schedule min sigma": 0.1}),
        ("Euler", "Automatic", {"discard_penultimate": True}, {"Discard penultimate sigma": True}),
        ("DPM2", "Uniform", {"discard_penultimate": True}, {"Schedule type": "Uniform"}),
        ("UniPC", "Automatic", {"unipc_order": 2}, {"UniPC order": 2}),
    ],
)
def test_what_differs_from_the_defaults_is_written(
    sampler: str, schedule: str, options: dict[str, Any], written: dict[str, Any]
) -> None:
    assert SamplerOptions(**options).infotext(find_sampler(sampler), schedule) == written


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("eta", -0.1),
        ("eta", float("nan")),
        ("s_churn", -1.0),
        ("sigma_max", float("inf")),
        ("beta_alpha", 0.0),
        ("unipc_variant", "vary"),
        ("unipc_skip_type", "uniform"),
        ("unipc_order", 0),
    ],
)
def test_impossible_values_are_refused(field: str, value: Any) -> None:
    with pytest.raises(ParameterError) as caught:
        SamplerOptions(**{field: value})
    assert caught.value.field == field
