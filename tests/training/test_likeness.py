"""Likeness, on the tiny model: where it must be nothing, all, and in between."""

import pytest
import torch

from modules.embeddings.creation import initial_vectors
from modules.events import Request
from modules.model.conditioning import Conditioner, PromptRules
from modules.paths import Paths
from modules.training import likeness as likeness_module
from modules.training.likeness import Liked, Likeness
from tests.training.tiny_run import NAME, database

SIZE = (64, 64)
WORD = "cat"
DRAWINGS, STEPS = 4, 2


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same arithmetic with fewer drawings."""
    monkeypatch.setattr(likeness_module, "DRAWINGS", DRAWINGS)
    monkeypatch.setattr(likeness_module, "STEPS", STEPS)


def result(work):
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


@pytest.fixture(scope="module")
def conditioner(model, tmp_path_factory):
    return Conditioner(model, database(Paths(data=tmp_path_factory.mktemp("data"))))


@pytest.fixture(scope="module")
def vectors(model):
    """Those of another word."""
    table = model.text_encoder.get_input_embeddings().weight
    return initial_vectors("dog", 1, table, model.tokenizer)


def likeness(conditioner, photos):
    return Likeness(conditioner, NAME, WORD, SIZE, PromptRules(), photos)


def drawings(conditioner, vectors):
    """What the vectors draw, as latents, to be photos of."""
    return list(result(likeness(conditioner, [])._drawn(NAME, vectors, "")))


def test_its_own_drawings_are_the_whole_way_and_the_words_are_none(model, conditioner, vectors):
    measure = likeness(conditioner, drawings(conditioner, vectors))
    told = result(measure.measure(vectors))
    assert told.value == pytest.approx(1, abs=1e-4)  # float32 sums over some hundred features
    assert len(told.each) == DRAWINGS
    word = initial_vectors(WORD, 1, model.text_encoder.get_input_embeddings().weight, model.tokenizer)
    assert result(measure.measure(word)).value == pytest.approx(0, abs=1e-4)


def test_half_of_the_way_is_somewhere_in_between(model, conditioner, vectors):
    table = model.text_encoder.get_input_embeddings().weight
    word = initial_vectors(WORD, 1, table, model.tokenizer)
    measure = likeness(conditioner, drawings(conditioner, vectors))
    assert 0 < result(measure.measure(word.lerp(vectors, 0.5))).value < 1


def test_photos_of_the_word_itself_leave_nothing_to_learn(model, conditioner):
    word = initial_vectors(WORD, 1, model.text_encoder.get_input_embeddings().weight, model.tokenizer)
    measure = likeness(conditioner, drawings(conditioner, word))
    assert result(measure.measure(word)) == Liked(1.0, (1.0,) * DRAWINGS)


@pytest.mark.parametrize("size", [SIZE, (512, 512)])
def test_large_drawings_are_made_one_by_one(conditioner, size):
    measure = Likeness(conditioner, NAME, WORD, size, PromptRules(), [])
    assert measure._at_once == {64: DRAWINGS, 512: 1}[size[0]]


@pytest.mark.parametrize("after", [1, 2 + STEPS, 3 + STEPS])
def test_interrupted_within_a_step_and_gone_on_with(conditioner, vectors, after):
    """Two photos are looked at, then the word is drawn, then the embedding."""
    measure = likeness(conditioner, drawings(conditioner, vectors)[:2])
    work = measure.measure(vectors)
    for _ in range(after + 1):
        next(work)
    with pytest.raises(StopIteration) as end:
        work.send(Request.INTERRUPT)
    assert end.value.value is None
    fresh = likeness(conditioner, drawings(conditioner, vectors)[:2])
    assert result(measure.measure(vectors)) == result(fresh.measure(vectors))


def test_listening_leaves_no_trace(model, conditioner, vectors):
    result(likeness(conditioner, drawings(conditioner, vectors)).measure(vectors))
    assert not any(block._forward_hooks for block in model.unet.modules())
    assert torch.is_grad_enabled()
