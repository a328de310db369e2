import math

import pytest

from modules.errors import ParameterError
from modules.preprocess_params import PreprocessParams


def test_defaults_are_those_of_a1111():
    params = PreprocessParams()
    assert params.size == (512, 512)
    assert (params.caption_action, params.split_threshold, params.overlap_ratio) == ("ignore", 0.5, 0.2)
    assert (params.face_weight, params.entropy_weight, params.edges_weight) == (0.9, 0.15, 0.5)
    assert (params.dimension_lower, params.dimension_upper) == (384, 768)
    assert (params.area_lower, params.area_upper, params.error_threshold) == (4096, 409600, 0.1)
    assert params.objective == "Maximize area"
    assert not any((params.flip, params.split, params.focal_crop, params.auto_sized_crop, params.keep_original_size))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("width", 63),
        ("width", 500),
        ("height", 2056),
        ("height", "512"),
        ("overlap_ratio", 1.0),
        ("split_threshold", math.nan),
        ("caption_action", "delete"),
        ("objective", "Best"),
        ("face_weight", -0.1),
        ("flip", 1),
        ("dimension_lower", 776),
        ("dimension_upper", 385),
        ("area_lower", 500_000),
        ("source", None),
    ],
)
def test_what_cannot_be_used_names_its_field(field, value):
    with pytest.raises(ParameterError) as refused:
        PreprocessParams(**{field: value})
    assert refused.value.field == field
