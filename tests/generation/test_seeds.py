"""Which seed each picture of a run has, and what decides the noise besides it."""

import numpy as np
import pytest

from modules import images
from modules.generation.seeds import Seeds
from modules.infotext import parse_infotext
from modules.params import Txt2ImgParams
from modules.samplers.philox import PhiloxGenerator


def pixels(done) -> np.ndarray:
    return np.asarray(images.open_image(done.path)).astype(int)


def test_without_strength_each_picture_has_its_own_seed():
    seeds = Seeds.of(Txt2ImgParams(seed=7, subseed=100))
    assert [seeds.at(index) for index in range(3)] == [(7, 100), (8, 101), (9, 102)]


def test_with_strength_all_share_the_seed_and_lean_to_different_ones():
    seeds = Seeds.of(Txt2ImgParams(seed=7, subseed=100, subseed_strength=0.01))
    assert [seeds.at(index) for index in range(3)] == [(7, 100), (7, 101), (7, 102)]


def test_random_seeds_have_32_bits_and_differ():
    made = [Seeds.of(Txt2ImgParams()) for _ in range(8)]
    assert all(0 <= number < 2**32 for seeds in made for number in (seeds.seed, seeds.subseed))
    assert len({seeds.seed for seeds in made}) > 1
    assert any(seeds.seed != seeds.subseed for seeds in made)


def test_a_variation_is_told_and_draws_the_same_picture_again(run):
    pulled = run(prompt="a cat", seed=5, subseed_strength=0.4, batch_size=2)
    first, second = pulled.pictures
    assert (first.seed, second.seed, second.subseed) == (5, 5, first.subseed + 1)
    written = parse_infotext(second.infotext)
    assert (written["Variation seed"], written["Variation seed strength"]) == (str(second.subseed), "0.4")
    (again,) = run(prompt="a cat", seed=5, subseed=int(written["Variation seed"]), subseed_strength=0.4).pictures
    assert (abs(pixels(again) - pixels(second)) <= 1).all()  # a batch sums in another order
    assert (pixels(first) != pixels(second)).any()


def test_full_strength_is_the_other_seed(run):
    (leaning,) = run(prompt="a cat", seed=5, subseed=9, subseed_strength=1.0).pictures
    (other,) = run(prompt="a cat", seed=9).pictures
    assert (abs(pixels(leaning) - pixels(other)) <= 1).all()  # the arc's sines round


def test_a_seed_of_another_size_is_told_and_changes_the_picture(run):
    values = {"prompt": "a cat", "width": 128, "seed": 5}
    (resized,) = run(**values, seed_resize_from_w=64, seed_resize_from_h=64).pictures
    (plain,) = run(**values).pictures
    assert (pixels(resized) != pixels(plain)).any()
    assert "Seed resize from: 64x64" in resized.infotext
    assert "Seed resize" not in plain.infotext
    (half,) = run(**values, seed_resize_from_w=64).pictures  # both sides are needed, as in A1111
    assert (pixels(half) == pixels(plain)).all()
    assert half.infotext == plain.infotext


def test_numbers_as_an_nvidia_card_draws_them(run, monkeypatch):
    drawn = []
    randn = PhiloxGenerator.randn
    monkeypatch.setattr(PhiloxGenerator, "randn", lambda self, shape: drawn.append(shape) or randn(self, shape))
    (done,) = run(prompt="a cat", seed=5, sampler="Euler a", randn_source="NV").pictures
    assert len(drawn) == 3  # the start and two of three steps: the last adds none
    assert parse_infotext(done.infotext)["RNG"] == "NV"
    (plain,) = run(prompt="a cat", seed=5, sampler="Euler a").pictures
    assert (pixels(done) != pixels(plain)).any()


def test_the_devices_own_numbers_leave_no_key_as_in_a1111(run):
    (done,) = run(prompt="a cat", seed=5, randn_source="GPU").pictures
    assert "RNG" not in done.infotext
    (plain,) = run(prompt="a cat", seed=5).pictures
    assert (pixels(done) == pixels(plain)).all()  # here the device is the CPU


@pytest.mark.parametrize(("sampler", "told"), [("Euler a", True), ("LCM", False)])
def test_a1111_writes_ensd_for_some_of_the_samplers_that_heed_it(run, sampler, told):
    (done,) = run(prompt="a cat", sampler=sampler, steps=2, ensd=5, a1111_exact=True).pictures
    assert ("ENSD: 5" in done.infotext) == told


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"sampler": "Euler a", "ensd": 31337}, "ENSD: 31337"),
        ({"sampler": "Euler a", "ensd": -5}, "ENSD: -5"),
        ({"sampler": "LCM", "ensd": 5}, "ENSD: 5"),
        ({"sampler": "Euler a", "eta_ancestral": 0.5}, "Eta: 0.5"),
        ({"sampler": "DDIM", "eta_ddim": 0.5}, "Eta DDIM: 0.5"),
        ({"sampler": "Euler", "s_churn": 3.0}, "Sigma churn: 3.0"),
        ({"sampler": "Euler", "schedule": "Karras", "sigma_min": 0.1}, "Schedule min sigma: 0.1"),
        ({"sampler": "Euler", "schedule": "Karras", "sigma_max": 10.0}, "Schedule max sigma: 10.0"),
        ({"sampler": "Euler", "schedule": "Karras", "rho": 3.0}, "Schedule rho: 3.0"),
        ({"sampler": "Euler", "discard_penultimate": True}, "Discard penultimate sigma: True"),
        ({"sampler": "DPM2", "keep_penultimate": True}, "Keep penultimate sigma: True"),
        ({"sampler": "Euler", "sgm_noise_multiplier": True}, "SGM noise multiplier: True"),
        ({"sampler": "Euler", "schedule": "Beta", "beta_alpha": 0.9}, "Beta schedule alpha: 0.9"),
        ({"sampler": "DDIM", "all_timesteps": True}, "All timesteps: True"),
        ({"sampler": "PLMS", "all_timesteps": True}, "All timesteps: True"),
        ({"sampler": "UniPC", "unipc_order": 2}, "UniPC order: 2"),
        ({"zero_terminal_snr": True}, "Noise Schedule: Zero Terminal SNR"),
        ({"downcast_alphas": True}, "Downcast alphas_cumprod: True"),
        ({"s_min_uncond": 14.0}, "NGMS: 14"),
        ({"skip_early_cond": 0.5}, "Skip Early CFG: 0.5"),
        ({"tiling": True}, "Tiling: True"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_number_changes_the_picture_and_is_written_into_it(run, values, key):
    still = {name: value for name, value in values.items() if name in ("sampler", "schedule")}
    (changed,) = run(prompt="a cat", steps=6, seed=5, **values).pictures
    (plain,) = run(prompt="a cat", steps=6, seed=5, **still).pictures
    assert (pixels(changed) != pixels(plain)).any()
    assert key in changed.infotext
    assert key.split(":")[0] + ":" not in plain.infotext or key.startswith("Beta")
