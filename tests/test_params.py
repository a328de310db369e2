import dataclasses
import math
import re
from typing import Any

import pytest

from modules import params
from modules.errors import ParameterError
from modules.params import Control, Txt2ImgParams

FIELDS = dataclasses.fields(Txt2ImgParams)
NUMBERS = [field.name for field in FIELDS if type(field.default) in (int, float)]
TEXTS = [field.name for field in FIELDS if type(field.default) is str]
WHOLE = [field.name for field in FIELDS if type(field.default) is int]
LISTS = [field.name for field in FIELDS if type(field.default) is tuple]
SWITCHES = [field.name for field in FIELDS if type(field.default) is bool]
CHOICES = [name for name in TEXTS if params.control(name).choices]


def taken(name: str, value: Any) -> Any:
    """What a form with this value makes of it."""
    return getattr(Txt2ImgParams(**{name: value}), name)


def refused(name: str, value: object) -> str:
    """The sentence that a form with this value gets."""
    with pytest.raises(ParameterError) as error:
        taken(name, value)
    assert error.value.field == name
    sentence = str(error.value)
    assert sentence.startswith(params.control(name).label.split(",")[0]) or name in sentence.lower()
    assert sentence.endswith(".")
    assert len(sentence) < 300
    return sentence


def bounds(name: str) -> tuple[float, float]:
    found = params.control(name).taken
    assert found
    return found


def test_defaults_are_valid():
    made = Txt2ImgParams()
    assert [getattr(made, field.name) for field in FIELDS] == [params.default(field.name) for field in FIELDS]


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_each_field_is_a_control_with_its_own_label(field):
    control = params.control(field.name)
    assert isinstance(control, Control)
    assert [other.name for other in FIELDS if params.control(other.name).label == control.label] == [field.name]


@pytest.mark.parametrize("name", NUMBERS)
def test_ends_of_the_range_are_inside(name):
    for end in bounds(name):
        assert taken(name, end) == end


@pytest.mark.parametrize("name", NUMBERS)
def test_values_beyond_the_range_are_refused(name):
    low, high = bounds(name)
    for value in (low - 1, high + 1):
        assert re.search("outside|too (large|small)", refused(name, value))


@pytest.mark.parametrize("value", [None, "20", "", [20], {"value": 20}, True, 2 + 0j])
@pytest.mark.parametrize("name", NUMBERS)
def test_what_is_no_number_is_refused(name, value):
    assert "number" in refused(name, value)


@pytest.mark.parametrize("value", [1e309, -1e309, math.nan])
def test_infinity_and_nan_are_refused(value):
    for name in NUMBERS:
        assert ("whole number" in refused(name, value)) == (name in WHOLE)


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("value", [None, 1, 1.5, True, ["a"], {"a": 1}, b"a"])
def test_what_is_no_text_is_refused(name, value):
    assert "text" in refused(name, value)


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize("value", [None, 1, 0, "true", "", []])
def test_what_is_no_switch_is_refused(name, value):
    assert "yes or no" in refused(name, value)


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("value", [None, "name", ["name"], (1,), ("a", None)])
def test_what_is_no_list_of_names_is_refused(name, value):
    assert taken(name, ("a", "b")) == ("a", "b")
    assert "list of names" in refused(name, value)


def test_the_smallest_sigma_lies_below_the_largest():
    assert Txt2ImgParams(sigma_min=0.5, sigma_max=0.6).sigma_min == 0.5
    assert Txt2ImgParams(sigma_min=0.5).sigma_min == 0.5  # with the largest of the model
    for largest in (0.5, 0.4):
        with pytest.raises(ParameterError, match="must lie below") as error:
            Txt2ImgParams(sigma_min=0.5, sigma_max=largest)
        assert error.value.field == "sigma_min"


@pytest.mark.parametrize("name", CHOICES)
def test_choices_are_closed(name):
    for choice in params.control(name).choices:
        assert taken(name, choice) == choice
    for value in ("", "<script>", params.control(name).choices[0].upper() + "x"):
        assert "choose one of" in refused(name, value)


@pytest.mark.parametrize("name", NUMBERS)
def test_sliders_offer_no_more_than_is_taken(name):
    control, (low, high) = params.control(name), bounds(name)
    assert control.minimum is not None
    assert control.maximum is not None
    assert low <= control.minimum < control.maximum <= high


@pytest.mark.parametrize(
    ("name", "value"),
    [("cfg_scale", 0.5), ("cfg_scale", -2), ("cfg_scale", 45.5), ("batch_size", 32), ("width", 500), ("height", 2305),
     ("steps", 200), ("batch_count", 150), ("hr_scale", 0.5), ("hr_scale", 6.0), ("hr_resize_x", 3001)],
)  # fmt: skip
def test_programs_may_ask_for_more_than_sliders_offer(name, value):
    """As they may of A1111."""
    assert taken(name, value) == value


def test_a_batch_is_no_larger_than_the_largest_that_the_page_offers():
    largest: dict[str, Any] = {"width": 2048, "height": 2048}
    assert Txt2ImgParams(batch_size=8, **largest).batch_size == 8
    assert Txt2ImgParams(batch_size=128).batch_size == 128
    with pytest.raises(ParameterError, match="at most 8 at a time") as error:
        Txt2ImgParams(batch_size=9, **largest)
    assert error.value.field == "batch_size"
    with pytest.raises(ParameterError, match="choose a smaller width") as error:
        Txt2ImgParams(width=8192, height=8192)
    assert error.value.field == "width"


@pytest.mark.parametrize("prompt", ["", "\x00", "\ud800", "((((", "<b>", "😀" * 10_000, "a" * 100_000])
def test_every_text_is_a_prompt(prompt):
    assert Txt2ImgParams(prompt=prompt, negative_prompt=prompt).prompt == prompt


def test_a_long_value_is_cut_in_the_sentence():
    refused("emphasis", "x" * 100_000)
    refused("steps", "x" * 100_000)


def test_nothing_changes_once_it_is_made():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Txt2ImgParams().steps = 3  # pyright: ignore[reportAttributeAccessIssue] (that is what is tested)


@pytest.mark.parametrize(
    ("seed", "sentence"),
    [
        (10**20, "Seed 100000000000000000000 is too large: use at most 18 digits, or -1 for any."),
        (-(10**40), "Seed -1000000000000000000… is too small: use at most 18 digits, or -1 for any."),
    ],
)
def test_a_seed_without_room_is_told_in_digits(seed, sentence):
    with pytest.raises(ParameterError) as caught:
        Txt2ImgParams("a cat", seed=seed)
    assert str(caught.value) == sentence
