"""Parameters of a training run: ranges, digest, advice."""

import dataclasses

import pytest

from modules.errors import ParameterError
from modules.training.learning_rate import parse_rates
from modules.training_params import PLAIN_ALGORITHM, PRESETS, TrainParams, advise, control, default, from_mapping


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("batch_size", 0),
        ("gradient_step", 1.5),
        ("width", 100),
        ("preview_width", 32),
        ("tag_drop_out", 1.5),
        ("steps", "many"),
        ("clip_grad_mode", "sometimes"),
        ("latent_sampling_method", ""),
        ("held_out", -1),
        ("varsize", 1),
        ("save_state_every", 0),
    ],
)
def test_wrong_values_name_their_field(field, value):
    with pytest.raises(ParameterError) as raised:
        TrainParams(**{field: value})
    assert raised.value.field == field
    assert control(field).label.split()[0].lower() in str(raised.value).lower()


def test_every_field_has_a_control_and_a_default_that_it_allows():
    for field in dataclasses.fields(TrainParams):
        assert control(field.name).label
        assert default(field.name) == getattr(TrainParams(), field.name)


def test_stored_values_come_back_and_others_are_left_alone():
    params = TrainParams(embedding="me", steps=77)
    assert from_mapping({**dataclasses.asdict(params), "unknown": 1}) == params


def test_runs_from_before_the_algorithm_had_fields_go_on_as_they_were():
    old = {name: value for name, value in dataclasses.asdict(TrainParams()).items() if name not in PLAIN_ALGORITHM}
    plain = advise(20, "as in A1111").values
    assert all(getattr(from_mapping(old), name) == plain[name] for name in PLAIN_ALGORITHM)


def test_the_digest_tells_settings_apart():
    assert TrainParams().digest == TrainParams().digest
    assert TrainParams(seed=1).digest != TrainParams(seed=2).digest


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("count", [1, 7, 8, 20, 500])
def test_advice_is_allowed_and_says_why(preset, count):
    advice = advise(count, preset, (256, 320))
    params = TrainParams(**advice.values)
    assert advice.values.keys() == advice.reasons.keys()
    assert all(reason.endswith(".") for reason in advice.reasons.values())
    schedule = parse_rates(params.learning_rate, params.steps)
    assert schedule.is_usable
    assert schedule.end == params.steps
    if preset == "as in A1111":
        assert (params.steps, params.learning_rate, params.save_embedding_every) == (100_000, "0.005", 500)
    else:
        assert (params.width, params.height) == (256, 320)
        assert 100 <= params.steps <= 400
        assert params.batch_size * params.gradient_step == 8
        assert params.held_out == (2 if count >= 8 else 0)


def test_small_models_take_several_pictures_at_once_and_large_ones_one():
    small, large = advise(20, native_size=(128, 128)).values, advise(20).values
    assert (small["batch_size"], small["gradient_step"]) == (8, 1)
    assert (large["batch_size"], large["gradient_step"]) == (1, 8)


def test_more_photos_more_steps():
    assert advise(7).values["steps"] < advise(20).values["steps"] < advise(30).values["steps"]


def test_the_defaults_are_those_of_twenty_photos_of_a_face():
    assert TrainParams(**advise(20).values) == TrainParams()


def test_unknown_presets_are_refused():
    with pytest.raises(ParameterError, match="There is no preset"):
        advise(20, "cat")
