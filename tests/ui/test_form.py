"""The form as data: what it becomes, what a browser remembers, what follows the model."""

import pytest

from modules import params
from modules.errors import ParameterError
from modules.params import Txt2ImgParams
from modules.samplers import names
from modules.settings import Settings
from modules.ui import form
from modules.ui.sections import SECTIONS

DEFAULTS = Settings().form_defaults()


def test_every_field_is_one_of_the_parameters() -> None:
    assert set(form.FIELDS) <= set(Txt2ImgParams.__dataclass_fields__)
    assert set(form.FROM_MODEL) <= set(form.FIELDS)
    assert set(DEFAULTS) <= set(Txt2ImgParams.__dataclass_fields__)


def test_untouched_form_makes_the_default_parameters() -> None:
    assert form.to_params(form.shown_values({}, {}), DEFAULTS) == Txt2ImgParams()


def test_sliders_send_floats_and_settings_fill_the_rest() -> None:
    settings = Settings(clip_skip=2, comma_backtrack=5).form_defaults()
    values = form.shown_values({}, {}, settings)
    assert values["clip_skip"] == 2
    assert form.shown_values({"clip_skip": 3}, {}, settings)["clip_skip"] == 3
    made = form.to_params(values | {"steps": 12.0, "cfg_scale": 5, "seed": " 9007199254740993 "}, settings)
    assert (made.steps, made.cfg_scale, made.seed) == (12, 5, 2**53 + 1)
    assert (made.clip_skip, made.comma_backtrack) == (2, 5)


def test_lists_and_emptied_boxes_become_what_they_mean() -> None:
    values = form.shown_values({"styles": ["Oil"]}, {}) | {"sigma_min": None, "subseed": "", "rho": 3}
    made = form.to_params(values, DEFAULTS)
    assert (made.styles, made.sigma_min, made.subseed, made.rho) == (("Oil",), 0.0, -1, 3)
    assert form.to_params(values | {"styles": None}, DEFAULTS).styles == ()


def test_every_field_can_be_set_somewhere() -> None:
    """On the page or in the settings."""
    assert set(Txt2ImgParams.__dataclass_fields__) <= set(form.FIELDS) | set(DEFAULTS)


@pytest.mark.parametrize(
    ("name", "values", "title"),
    [
        ("hr", {}, "Hires. fix: off"),
        ("hr", {"enable_hr": True, "width": 128, "height": 128}, "Hires. fix: from 128x128 to 256x256"),
        ("hr", {"enable_hr": True, "hr_resize_x": 4}, "Hires. fix: this size cannot be drawn"),
        ("hr", {"enable_hr": True, "old_hires_size": True, "width": 1024}, "Hires. fix: from 768x384 to 1024x512"),
        ("refiner", {}, "Refiner: off"),
        ("refiner", {"refiner_checkpoint": "two.ckpt", "refiner_switch_at": 1}, "Refiner: off"),
        ("refiner", {"refiner_checkpoint": "two.ckpt [0123456789]"}, "Refiner: two.ckpt at 0.8"),
        (
            "refiner",
            {"refiner_checkpoint": "two.ckpt", "enable_hr": True},
            "Refiner: two.ckpt at 0.8 of the second pass",
        ),
        (
            "refiner",
            {"refiner_checkpoint": "two.ckpt", "enable_hr": True, "hr_refiner_pass": "both passes"},
            "Refiner: two.ckpt at 0.8 of both passes",
        ),
        ("subseed_row", {"subseed_strength": 0.2, "subseed": "7"}, "Variation: 0.2 of seed 7"),
        ("subseed_row", {"subseed_strength": 0.2}, "Variation: 0.2 of a random seed"),
        ("subseed_row", {"subseed": -7, "subseed_strength": 0.2}, "Variation: 0.2 of seed -7"),
        (
            "subseed_row",
            {"seed_resize_from_w": 64, "seed_resize_from_h": 72.0},
            "Variation: seed resized from 64x72",
        ),
        ("model", {"clip_skip": 2, "tiling": True}, "VAE, clip skip and tiling: Clip skip 2, Tiling"),
        ("sampling_options", {}, "Sampler parameters: as usual"),
        (
            "sampling_options",
            {"ensd": 31337, "s_churn": 0.5, "unipc_lower_order_final": False, "rho": 7},
            "Sampler parameters: Eta noise seed delta 31337, Sigma churn 0.5, Schedule rho 7 and 1 more",
        ),
    ],
)
def test_titles_say_what_is_set_inside(name: str, values: dict, title: str) -> None:
    section = next(section for section in SECTIONS if section.name == name)
    shown = form.shown_values({}, {}) | values
    assert section.title(form.usable({field: shown[field] for field in section.watched})) == title


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
        ("width", 4.0),
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
        {"width": 7},
        {"steps": 1e309},
        {"sampler": "No such sampler"},
        {"schedule": ["Karras"]},
        {"unknown": 1},
        {"clip_skip": 13},
        {"emphasis": "None"},
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
    assert form.CHOICES["sampler"] == names.sampler_names() == form.CHOICES["hr_sampler"][1:]
    assert form.CHOICES["schedule"] == names.schedule_names() == form.CHOICES["hr_schedule"][1:]


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
