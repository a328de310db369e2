"""Where timesteps fall, and what each one counts."""

import pytest
import torch

from modules.training.timesteps import draw_timesteps, min_snr_weights


def drawn(sampling: str, count: int, place: int = 0, seed: int = 1) -> list[int]:
    return draw_timesteps(sampling, count, place, seed, torch.Generator().manual_seed(seed), 1000).tolist()


@pytest.mark.parametrize("sampling", ["random", "even", "middle", "noisy"])
def test_all_are_timesteps(sampling):
    assert all(0 <= timestep < 1000 for timestep in drawn(sampling, 3000))


def test_random_ones_are_torchs_own_as_in_a1111():
    expected = torch.randint(1000, (7,), generator=torch.Generator().manual_seed(1)).tolist()
    assert drawn("random", 7) == expected


def test_even_ones_fill_every_tenth_of_the_range():
    for start in (0, 16, 400):
        tenths = [timestep // 100 for timestep in drawn("even", 20, start)]
        # twenty multiples of the golden ratio leave no gap wider than .09
        assert {*tenths} == {*range(10)}


def test_even_ones_go_on_where_they_were():
    assert drawn("even", 8) + drawn("even", 8, place=8) == drawn("even", 16)
    assert drawn("even", 8) != drawn("even", 8, seed=2)


def test_dense_where_the_name_says():
    def share(sampling: str, low: int, high: int) -> float:
        return sum(low <= timestep < high for timestep in drawn(sampling, 2000)) / 2000

    assert share("even", 250, 750) == pytest.approx(0.5, abs=0.01)
    assert share("middle", 250, 750) == pytest.approx(0.728, abs=0.01)  # logit-normal: P(|N| < ln 3)
    assert share("noisy", 500, 1000) == pytest.approx(0.75, abs=0.01)  # a density that rises like a wedge


def test_min_snr_by_hand():
    alphas = torch.tensor([0.9, 0.5])  # signal to noise: 9 and 1
    timesteps = torch.tensor([0, 1])
    assert min_snr_weights(timesteps, alphas, predicts_v=False).flatten().tolist() == pytest.approx([5 / 9, 1.0])
    assert min_snr_weights(timesteps, alphas, predicts_v=True).flatten().tolist() == pytest.approx([5 / 10, 1 / 2])
    assert min_snr_weights(timesteps, alphas, predicts_v=False).shape == (2, 1, 1, 1)
