"""Rates and the steps they hold for, beside the recorded ones and the table of the specification."""

import json
import math
from itertools import pairwise

import pytest

from modules.errors import ParameterError
from modules.training.learning_rate import parse_rates
from tests.prompts.prompt_vectors import records

SPEC = [
    ("0.005:100, 1e-3:1000, 1e-5", 100_000, 0, [(0.005, 100), (0.001, 1000), (1e-5, 100_000)]),
    ("0.005:100, 1e-3:1000, 1e-5", 100_000, 100, [(0.001, 1000), (1e-5, 100_000)]),
    ("0.005:100, 1e-3:1000, 1e-5", 500, 0, [(0.005, 100), (0.001, 500)]),
    ("0.005:100, 1e-3:1000", 100_000, 0, [(0.005, 100), (0.001, 1000)]),
    ("1e-3:-1", 500, 0, [(0.001, 500)]),
]


@pytest.mark.parametrize("record", records("learn_rate"), ids=lambda record: record["id"])
def test_read_as_recorded(record):
    given = record["learn_rate"], record["max_steps"], record["start_step"]
    if "error" in record:
        with pytest.raises(ParameterError) as raised:
            parse_rates(*given)
        assert raised.value.field == "learning_rate"
        return
    schedule = parse_rates(*given)
    # as text, since NaN equals nothing
    assert json.dumps(schedule.intervals) == json.dumps([tuple(pair) for pair in record["pairs"]])
    for step, rate, finished in record["trace"]:
        ours = schedule.rate(step)
        assert ours is None if finished else str(ours) == str(rate)
    changes = [step for step, _, _ in record["trace"]]
    for before, after in pairwise(changes):
        assert schedule.rate(after - 1) == schedule.rate(before)


@pytest.mark.parametrize(("text", "max_steps", "first_step", "expected"), SPEC)
def test_read_as_specified(text, max_steps, first_step, expected):
    schedule = parse_rates(text, max_steps, first_step)
    assert list(schedule.intervals) == expected
    assert schedule.end == expected[-1][1]
    assert schedule.rate(schedule.end) is None
    assert schedule.rate(schedule.end - 1) == expected[-1][0]


@pytest.mark.parametrize(("text", "step"), [("0.005:100", 100), ("abc", 0), ("", 0)])
def test_nothing_left_is_an_error(text, step):
    with pytest.raises(ParameterError):
        parse_rates(text, 1000, step)


@pytest.mark.parametrize("text", ["nan", "inf", "-0.005", "0"])
def test_rates_that_teach_nothing_are_not_usable(text):
    schedule = parse_rates(text, 10)
    assert not schedule.is_usable
    assert math.isnan(float(text)) or schedule.rate(0) == float(text)
