import warnings

import numpy as np
import pytest
import torch

from modules.samplers.brownian import BrownianNoise
from modules.samplers.noise import ImageNoise, slerp
from modules.samplers.philox import PhiloxGenerator, _philox
from tests.prompts.prompt_vectors import REFERENCE, records

SAME_NUMBERS = 1e-6  # what the recording allows for sine, arc and logarithm; draws of torch's generator agree exactly


@pytest.mark.parametrize("record", records("noise"), ids=lambda r: r["id"])
def test_draws_as_recorded(record: dict) -> None:
    noise = ImageNoise(
        tuple(record["shape"]),
        record["seeds"],
        record["subseeds"] or (),
        record["subseed_strength"],
        tuple(record["seed_resize_from_h_w_px"]),
        source=record["settings"].get("randn_source", "CPU"),
    )
    draws = torch.stack([noise.first(), *(noise.next() for _ in range(record["draws"] - 1))])
    with np.load(REFERENCE / "noise.npz") as recorded:
        np.testing.assert_allclose(draws, recorded[record["id"]], rtol=0, atol=SAME_NUMBERS)


@pytest.mark.parametrize("record", records("brownian"), ids=lambda r: r["id"])
def test_brownian_path_as_recorded(record: dict) -> None:
    with np.load(REFERENCE / "brownian.npz") as recorded:
        draws, sigmas = recorded[record["id"]], recorded[f"{record['id']}_sigmas"].tolist()
    noise = BrownianNoise(ImageNoise(draws.shape[2:], record["seeds"]), sigmas)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torchsde warns when asked for a place outside its path
        for k, draw in enumerate(draws):
            np.testing.assert_allclose(
                noise(sigmas[k], sigmas[k + 1]), draw, rtol=0, atol=1e-5
            )  # as the recording says


def test_brownian_noise_is_the_same_whatever_was_asked_before() -> None:
    first, second = (BrownianNoise(ImageNoise((4, 8, 8), [1]), [10.0, 1.0, 0.0]) for _ in range(2))
    second(10.0, 3.0)
    torch.testing.assert_close(first(5.0, 2.0), second(5.0, 2.0), rtol=0, atol=1e-5)  # sums in another order


def test_brownian_noise_of_an_nvidia_card_differs_and_repeats() -> None:
    cpu, card, again = (
        BrownianNoise(ImageNoise((4, 32, 32), [1], source=source), [10.0, 1.0, 0.0])(10.0, 1.0)
        for source in ("CPU", "NV", "NV")
    )
    assert card.equal(again)
    assert not torch.isclose(cpu, card).any()
    assert card.std().item() == pytest.approx(1, abs=0.06)  # 4096 draws: four standard errors


def test_philox_draws_what_cuda_draws() -> None:
    first = PhiloxGenerator(0).randn((3, 4)).flatten()[:3]
    np.testing.assert_allclose(first, [-0.92466259, -0.42534415, -2.6438457], rtol=0, atol=SAME_NUMBERS)


def test_philox_is_rounded_once() -> None:
    """Against the same words in numpy's float64, as A1111 computes: float32 on the way is off by up to 4e-6."""
    for seed in range(20):
        shape = (4, 32, 32)
        zero, index = torch.zeros(4096, dtype=torch.int64), torch.arange(4096)
        u, v = (words.numpy().astype(np.float64) for words in _philox((zero, zero, index, zero), seed)[:2])
        unit, turn = 2.0**-32, float(np.float32(2.0**-32 * 2 * np.pi))
        exact = np.sqrt(-2 * np.log(u * unit + unit / 2)) * np.sin(v * turn + turn / 2)
        drawn = PhiloxGenerator(seed).randn(shape).flatten()
        np.testing.assert_allclose(drawn, exact.astype(np.float32), rtol=2e-7, atol=0)  # the last bit of float32


def test_philox_uses_all_bits_of_its_seed() -> None:
    assert not PhiloxGenerator(1).randn((4,)).equal(PhiloxGenerator(1 + 2**32).randn((4,)))


def test_a_batch_equals_single_runs() -> None:
    batch = ImageNoise((4, 8, 8), [5, 6], [7, 8], 0.3, (32, 32))
    singles = [ImageNoise((4, 8, 8), [seed], [subseed], 0.3, (32, 32)) for seed, subseed in ((5, 7), (6, 8))]
    for draw in (ImageNoise.first, ImageNoise.next, ImageNoise.next):
        assert draw(batch).equal(torch.cat([draw(single) for single in singles]))


def test_seed_delta_changes_only_what_comes_after_the_start() -> None:
    plain, shifted = ImageNoise((4, 8, 8), [5]), ImageNoise((4, 8, 8), [5], seed_delta=31337)
    assert plain.first().equal(shifted.first())
    assert shifted.next().equal(ImageNoise((4, 8, 8), [5 + 31337]).first())


def test_a_larger_picture_keeps_the_middle_and_a_smaller_one_is_its_middle() -> None:
    small = ImageNoise((4, 8, 8), [5]).first()
    larger = ImageNoise((4, 12, 16), [5], seed_resize_from=(64, 64)).first()
    assert larger[:, :, 2:10, 4:12].equal(small)
    smaller = ImageNoise((4, 6, 4), [5], seed_resize_from=(64, 64)).first()
    assert smaller.equal(small[:, :, 1:7, 2:6])


@pytest.mark.parametrize("pixels", [(88, 40), (40, 104), (72, 72)])
def test_odd_differences_of_size_fit(pixels: tuple[int, int]) -> None:
    assert ImageNoise((4, 8, 8), [5], seed_resize_from=pixels).first().shape == (1, 4, 8, 8)


def test_slerp_ends_and_keeps_the_variance() -> None:
    low, high = torch.randn(2, 4, 64, 64, generator=torch.Generator().manual_seed(0)).unbind()
    torch.testing.assert_close(slerp(0.0, low, high), low, rtol=0, atol=1e-5)  # sin ω / sin ω
    torch.testing.assert_close(slerp(1.0, low, high), high, rtol=0, atol=1e-5)
    assert slerp(0.5, low, high).std().item() == pytest.approx(1, abs=0.04)  # a mean would have 0.71


@pytest.mark.parametrize("height", [8, 15])
def test_noise_that_is_one_latent_high_has_no_arc_and_is_mixed(height: int) -> None:
    noise = ImageNoise((4, 8, 8), [1], [2], 0.25, (height, 64)).first()
    assert noise.isfinite().all()
    own, other = (ImageNoise((4, 1, 8), [seed]).first() for seed in (1, 2))
    assert noise[:, :, 3:4].equal(own * 0.75 + other * 0.25)  # the mean of its cosines is below .9995
