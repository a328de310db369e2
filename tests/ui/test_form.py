"""The form as data: what it becomes, what a browser remembers, what follows the model."""

import pytest

from modules import params
from modules.errors import ParameterError
from modules.params import Txt2ImgParams
from modules.samplers import names
from modules.settings import Settings
from modules.ui import form

DEFAULTS = Settings().form_defaults()


def test_every_field_is_one_of_the_parameters() -> None:
    assert set(form.FIELDS) <= set(Txt2ImgParams.__dataclass_fields__)
    assert set(form.FROM_MODEL) <= set(form.FIELDS)
    assert set(DEFAULTS) <= set(Txt2ImgParams.__dataclass_fields__)


def test_untouched_form_makes_the_default_parameters() -> None:
    assert form.to_params(form.shown_values({}, {}), DEFAULTS) == Txt2ImgParams()


def test_sliders_send_floats_and_settings_fill_the_rest() -> None:
    values = form.shown_values({}, {}) | {"steps": 12.0, "cfg_scale": 5, "seed": " 9007199254740993 "}
    made = form.to_params(values, Settings(clip_skip=2).form_defaults())
    assert (made.steps, made.cfg_scale, made.seed, made.clip_skip) == (12, 5, 2**53 + 1, 2)


@pytest.mark.parametrize("text", ["", "  ", None, "-1"])
def test_an_empty_seed_is_a_random_one(text: str | None) -> None:
    assert form.to_params(form.shown_values({}, {}) | {"seed": text}, DEFAULTS).seed == -1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", "abc"),
        ("seed", "1.5"),
        ("seed", str(2**63)),
        ("seed", "9" * 5000),
        ("steps", 12.5),
        ("steps", 0),
        ("steps", None),
        ("steps", float("nan")),
        ("width", 2**63),
        ("width", 129.0),
        ("cfg_scale", "7"),
        ("cfg_scale", float("inf")),
        ("prompt", None),
        ("prompt", ["a"]),
        ("batch_size", True),
    ],
)
def test_a_value_that_cannot_be_used_names_its_field(name: str, value: object) -> None:
    with pytest.raises(ParameterError) as caught:
        form.to_params(form.shown_values({}, {}) | {name: value}, DEFAULTS)
    assert caught.value.field == name


def test_untouched_fields_follow_the_model_and_touched_ones_stay() -> None:
    shown = form.shown_values({"width": 320}, {"width": 128, "height": 128, "cfg_scale": 5.0})
    assert (shown["width"], shown["height"], shown["cfg_scale"]) == (320, 128, 5.0)
    assert shown["steps"] == params.default("steps")


def test_a_model_recommends_nothing_but_what_it_may() -> None:
    assert form.shown_values({}, {"prompt": "advertisement", "seed": 7, "x": 1}) == form.shown_values({}, {})


@pytest.mark.parametrize(
    "remembered",
    [
        None,
        [],
        "text",
        {"width": "wide"},
        {"width": 131},
        {"steps": 1e309},
        {"sampler": "No such sampler"},
        {"schedule": ["Karras"]},
        {"unknown": 1},
        {"clip_skip": 3},
        {"seed": "x"},
        {1: 2},
    ],
)
def test_what_a_browser_kept_and_cannot_be_used_is_passed_over(remembered: object) -> None:
    assert form.shown_values(remembered, {}) == form.shown_values({}, {})


def test_what_a_browser_kept_is_shown_again() -> None:
    kept = {"prompt": "a (cat:1.2)", "sampler": "Euler a", "seed": "42", "steps": 7, "batch_count": 3}
    shown = form.shown_values(kept, {"steps": 20})
    assert {name: shown[name] for name in kept} == kept


def test_choices_are_the_samplers_and_schedules_there_are() -> None:
    assert {"sampler": names.sampler_names(), "schedule": names.schedule_names()} == form.CHOICES


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("steps", 12.0, 12),
        ("steps", None, 20),
        ("steps", 5000, 20),
        ("sampler", "Euler", "Euler"),
        ("sampler", ["Euler"], "DPM++ 2M"),
        ("prompt", "a", "a"),
        ("prompt", None, ""),
    ],
)
def test_a_value_that_is_being_typed(name: str, value: object, expected: object) -> None:
    assert form.or_default(name, value) == expected
