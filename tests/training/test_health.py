"""What the first steps of a run are said to have done."""

import pytest
import torch

from modules.training.health import check_health


@pytest.mark.parametrize(
    ("begun_with", "moved_by", "told", "problem"),
    [
        (2.0, 0.5, "by 25.0% of their length", "Training works."),
        (1.0, 24.251, "by 24 times their length", "Training works."),
        (1.0, 2425.1, "by 2,425 times their length", "lower the learning rate"),
        (0.0, 3.0, "away from zero", "Training works."),
    ],
)
def test_how_far_the_vectors_have_moved_is_told_in_words(
    begun_with: float, moved_by: float, told: str, problem: str
) -> None:
    before = torch.tensor([[begun_with, 0.0]])
    checked = check_health(20, [1.0] * 20, before, before + torch.tensor([[moved_by, 0.0]]))
    assert f"After 20 steps the vectors have moved {told}." in checked.text
    assert problem in checked.text
