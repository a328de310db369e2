"""Latents of photos, and batches of them."""

import random
from collections import Counter
from itertools import chain
from pathlib import Path

import pytest
import torch
from PIL import Image

from modules.training.dataset import BatchOrder, Example, encode, set_aside, stack
from modules.training.photos import describe_photo, photo_files
from tests.training.tiny_run import make_photos, small


def encoded(model, folder, **values):
    photos = [describe_photo(path) for path in photo_files(folder)]
    work = encode(model, photos, small(folder, **values))
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


def test_three_ways_to_sample(model, photos):
    by_way = {way: encoded(model, photos, latent_sampling_method=way)[0] for way in ("once", "deterministic", "random")}
    fixed = by_way["deterministic"]
    for position, path in enumerate(photo_files(photos)):
        pixels = torch.frombuffer(bytearray(Image.open(path).tobytes()), dtype=torch.uint8).view(64, 64, 3)
        moments = model.encode(pixels.permute(2, 0, 1)[None].float() / 127.5 - 1)[0]
        assert torch.equal(fixed[position].mean, moments[:4] * 0.18215)
        assert torch.equal(by_way["random"][position].mean, fixed[position].mean)
        # the deviation is the one the VAE tells
        torch.testing.assert_close(by_way["random"][position].deviation, (moments[4:] / 2).exp() * 0.18215)
    generator = torch.Generator().manual_seed(0)
    once, always_new = by_way["once"][0], by_way["random"][0]
    assert torch.equal(once.latents(generator), once.latents(generator))
    assert not torch.equal(always_new.latents(generator), always_new.latents(generator))
    assert not torch.equal(once.mean, fixed[0].mean)
    many = torch.stack([always_new.latents(generator) for _ in range(400)])
    # the mean of 400 draws lies within 5 standard errors, all 256 numbers of it
    assert ((many.mean(0) - always_new.mean).abs() <= 5 * always_new.deviation / 20).all()


def test_once_is_the_same_again_and_another_by_another_seed(model, photos):
    first, again, other = (
        encoded(model, photos, seed=seed, latent_sampling_method="once")[0][0].mean for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_shape_is_kept_and_grouped(model, tmp_path):
    folder = make_photos(tmp_path / "wide", 2, (128, 64))
    make_photos(tmp_path / "high", 1, (64, 128))
    (tmp_path / "high" / "00000-0-wave 0.png").rename(folder / "high.png")
    examples, _ = encoded(model, folder, varsize=True, width=128, height=64)
    assert [tuple(example.mean.shape) for example in examples] == [(4, 8, 16), (4, 8, 16), (4, 16, 8)]


def test_photos_that_cannot_be_used_are_named(model, photos):
    (photos / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    examples, refused = encoded(model, photos)
    assert len(examples) == 4
    assert list(refused) == ["broken.png"]


@pytest.mark.parametrize("alpha", ["left half", "even"])
def test_opacity_weighs_the_loss(model, tmp_path, alpha):
    picture = Image.open(next(iter(make_photos(tmp_path / "p", 1).iterdir()))).convert("RGBA")
    mask = Image.new("L", (64, 64), 128)
    if alpha == "left half":
        mask.paste(255, (0, 0, 32, 64))
    picture.putalpha(mask)
    picture.save(tmp_path / "p" / "00000-0-wave 0.png")
    (example,), _ = encoded(model, tmp_path / "p", use_weight=True)
    if alpha == "even":
        assert example.weight is None  # A1111 divides zero by zero here
        return
    assert example.weight is not None
    assert example.weight.shape == (1, 8, 8)
    assert torch.equal(example.weight[0, 0], torch.tensor([2.0] * 4 + [0.0] * 4))
    other = Example(example.photo, example.mean)
    assert stack([other], torch.Generator())[1] is None
    weights = stack([example, other], torch.Generator())[1]
    assert weights is not None
    assert weights.mean() == 1
    assert weights.shape == (2, 1, 8, 8)


def test_few_photos_are_all_learned_from():
    names = [f"{n}.png" for n in range(20)]
    params = small(Path("x"), held_out=2)
    assert set_aside(names[:7], params) == []
    aside = set_aside(names, params)
    assert len(set(aside)) == 2
    assert set(aside) <= set(names)
    assert aside == set_aside(names, params)
    assert len(set_aside(names[:8], small(Path("x"), held_out=20))) == 2
    assert set_aside(names, small(Path("x"), held_out=0)) == []


def epoch(order: BatchOrder, source: random.Random) -> list[list[int]]:
    return [batch for _ in range(order.epoch_steps) for batch in order.draw(source)]


def test_every_photo_once_an_epoch_in_another_order():
    order, source = BatchOrder(["s"] * 6, 2), random.Random(0)
    epochs = [epoch(order, source) for _ in range(3)]
    for batches in epochs:
        assert sorted(chain(*batches)) == list(range(6))
    assert len({str(batches) for batches in epochs}) == 3


def test_batches_take_one_size_only_and_an_epoch_is_as_long_as_in_a1111():
    sizes = ["wide"] * 5 + ["high"] * 4
    order, source = BatchOrder(sizes, 2), random.Random(0)
    assert order.epoch_steps == 4
    seen = Counter()
    for _ in range(50):
        batches = epoch(order, source)
        assert len(batches) == 4
        assert all(len({sizes[index] for index in batch}) == 1 for batch in batches)
        seen.update(chain(*batches))
    assert set(seen) == set(range(9))


def test_sizes_that_fill_no_batch_are_drawn_by_their_share():
    order, source = BatchOrder(["a", "b", "b", "b"], 4), random.Random(0)
    drawn = Counter("a" if 0 in epoch(order, source)[0] else "b" for _ in range(400))
    assert 60 < drawn["a"] < 140  # a quarter; the standard deviation is 9


@pytest.mark.parametrize(
    ("count", "batch", "accumulation", "expected"),
    [(4, 1, 1, (1, 1, 4)), (4, 9, 9, (4, 1, 1)), (7, 2, 2, (2, 2, 1)), (9, 2, 2, (2, 2, 2)), (1, 1, 5, (1, 1, 1))],
)
def test_limits_of_a_small_set(count, batch, accumulation, expected):
    order = BatchOrder(["s"] * count, batch, accumulation)
    assert (order.batch_size, order.accumulation, order.epoch_steps) == expected
    assert len(order.draw(random.Random(0))) == expected[1]


def test_the_order_goes_on_from_what_was_saved():
    source = random.Random(5)
    order = BatchOrder(["s"] * 6, 1)
    for _ in range(4):
        order.draw(source)
    saved, queue = source.getstate(), [list(batch) for batch in order.queue]
    following = [order.draw(source) for _ in range(10)]
    again = random.Random()
    again.setstate(saved)
    resumed = BatchOrder(["s"] * 6, 1, queue=queue)
    assert [resumed.draw(again) for _ in range(10)] == following
