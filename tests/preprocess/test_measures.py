import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from modules.preprocess import measures
from modules.preprocess.photos import SAME_COLOURS, SAME_HASH, SOFT
from tests.preprocess.drawn import detailed, figure


def blurred(picture: Image.Image, radius: float) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(radius))


def natural(seed: int) -> Image.Image:
    """Noise with the spectrum of photographs: amplitude falls with frequency."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(512)[:, None], np.fft.rfftfreq(512)[None])
    frequency[0, 0] = 1
    levels = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((512, 512))) / frequency, s=(512, 512))
    scaled = (levels - levels.mean()) / levels.std() * 50 + 128
    return Image.fromarray(scaled.clip(0, 255).astype(np.uint8)).convert("RGB")


@pytest.mark.parametrize("seed", range(3))
def test_blur_lowers_sharpness(seed):
    values = [measures.sharpness(blurred(natural(seed), radius)) for radius in (0, 1, 2, 4)]
    assert all(value is not None for value in values)
    found = [value or 0.0 for value in values]
    assert found == sorted(found, reverse=True)
    assert found[0] > SOFT > found[3]


def test_a_photo_that_is_sharp_in_one_place_is_sharp():
    photo = blurred(natural(0), 6)
    photo.paste(natural(1).crop((0, 0, 192, 192)), (160, 160))
    assert (measures.sharpness(photo) or 0) > SOFT


def test_blur_in_one_direction_counts():
    levels = np.asarray(natural(0), np.float32)
    shaken = np.mean([np.roll(levels, shift, axis=1) for shift in range(15)], axis=0).astype(np.uint8)
    sharp, soft = (measures.sharpness(Image.fromarray(picture.astype(np.uint8))) for picture in (levels, shaken))
    assert sharp is not None
    assert soft is not None
    assert soft < 0.75 * sharp


@pytest.mark.parametrize("size", [(512, 512), (1, 1), (20, 500)])
def test_what_shows_nothing_has_no_sharpness(size):
    assert measures.sharpness(Image.new("RGB", size, "grey")) is None


def test_exposure_gives_dark_middle_and_bright_levels():
    levels = np.repeat(np.arange(200, dtype=np.uint8)[:, None], 50, axis=1)
    assert measures.exposure(Image.fromarray(levels).convert("RGB")) == pytest.approx((10, 100, 189), abs=1)


@pytest.mark.parametrize(
    "change",
    [
        lambda picture: picture.resize((200, 150)),
        lambda picture: ImageEnhance.Brightness(picture).enhance(1.1),
        lambda picture: blurred(picture, 1),
        lambda picture: picture.crop((4, 4, 508, 508)),
    ],
    ids=["size", "brightness", "blur", "edge"],
)
@pytest.mark.parametrize("seed", range(3))
def test_the_hash_of_a_changed_copy_stays_near(seed, change):
    photo = natural(seed)
    copy = change(photo)
    bits = measures.perceptual_hash(photo) ^ measures.perceptual_hash(copy)
    assert bits.bit_count() <= SAME_HASH
    assert measures.difference(measures.colours(photo), measures.colours(copy)) < SAME_COLOURS


def test_hashes_of_different_photos_are_far_apart():
    hashes = [measures.perceptual_hash(natural(seed)) for seed in range(12)]
    apart = [(a ^ b).bit_count() for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(apart) > SAME_HASH


def test_backdrops_tell_the_wall_and_not_the_person():
    same = [measures.backdrop(figure(head)) for head in (0.12, 0.3)]
    other = measures.backdrop(figure(0.12, background="#d0a040"))
    assert measures.difference(*same) < 14 < measures.difference(same[0], other)


@pytest.mark.parametrize("head", [0.1, 0.2, 0.4])
def test_the_width_of_a_head_before_a_plain_wall(head):
    found = measures.head_width(figure(head))
    assert found is not None
    assert found == pytest.approx(0.76 * head, rel=0.35)  # measured in 64ths of the picture, near the top of the head


@pytest.mark.parametrize("picture", [Image.new("RGB", (300, 300)), Image.new("RGB", (3, 900)), detailed((256, 256))])
def test_where_nobody_stands_out_there_is_no_guess(picture):
    assert measures.head_width(picture) is None


@pytest.mark.parametrize(
    ("size", "expected"), [((4000, 3000), (512, 384)), ((300, 200), (300, 200)), ((20_000, 1), (512, 1))]
)
def test_small_copies(size, expected):
    assert measures.small_copy(Image.new("RGB", size)).size == expected
