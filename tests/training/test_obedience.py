"""Obedience, on a model whose answers are known, and on the tiny one."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from modules.embeddings.database import EmbeddingDatabase
from modules.events import Request
from modules.model.conditioning import Conditioner, PromptRules
from modules.model.model import SDModel
from modules.samplers.sigmas import NoiseTable
from modules.training.obedience import CHANGES, Obedience
from tests.training.tiny_run import NAME

SIZE = (64, 64)


@pytest.fixture(scope="module")
def model(reference) -> SDModel:
    return reference  # random weights that nobody chose turn a rounding of the vectors into another answer


class Answering:
    """Conditioner and denoiser in one: each change moves the guess by a vector of its own, times `strength`."""

    def __init__(self, strength: float, turned: bool = False):
        self.strength, self.turned = strength, turned
        self.model = SimpleNamespace(denoiser=self, device=torch.device("cpu"))
        self.sigmas = NoiseTable.scaled_linear()
        self.calls = 0

    def encode(self, texts, rules, vectors):
        strength = self.strength if vectors else 1.0
        rows = torch.zeros(len(texts), 1, len(CHANGES))
        for row, text in enumerate(texts):
            for place, change in enumerate(CHANGES):
                if text.endswith(change):
                    rows[row, 0, (place + bool(vectors and self.turned)) % len(CHANGES)] = strength * (place + 1)
        return rows

    def eps(self, x, timestep, conds):
        self.calls += 1
        guess = torch.zeros_like(x)
        guess[:, 0, 0] = conds[:, 0]
        return guess + x * 0.5


def result(work):
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


def obeyed(model: Any, vectors=None, **fewer: Any):
    vectors = torch.ones(2, 72) if vectors is None else vectors
    return result(Obedience(model, NAME, "face", SIZE, PromptRules(), **fewer).measure(vectors))


@pytest.mark.parametrize("strength", [1.0, 0.5, 0.0, -0.25])
def test_it_is_how_far_words_still_move_the_guess(strength):
    told = obeyed(Answering(strength))
    assert told.value == pytest.approx(strength, abs=1e-5)  # float32 sums
    assert told.each == pytest.approx([strength] * 4, abs=1e-5)


def test_words_that_move_the_guess_elsewhere_do_not_count():
    assert obeyed(Answering(1.0, turned=True)).value == pytest.approx(0, abs=1e-5)


def test_a_model_that_knows_no_words_is_obeyed_by_everything():
    model: Any = Answering(0.0)
    model.encode = lambda texts, rules, vectors: torch.zeros(len(texts), 1, len(CHANGES))
    assert obeyed(model).value == 1


def test_the_plain_word_is_asked_once():
    model: Any = Answering(1.0)
    obedience = Obedience(model, NAME, "face", SIZE, PromptRules())
    result(obedience.measure(torch.ones(1, 72)))
    first = model.calls
    result(obedience.measure(torch.ones(1, 72)))
    assert model.calls - first < first / 2


def test_it_can_be_interrupted():
    model: Any = Answering(1.0)
    work = Obedience(model, NAME, "face", SIZE, PromptRules()).measure(torch.ones(1, 72))
    next(work)
    with pytest.raises(StopIteration) as end:
        work.send(Request.INTERRUPT)
    assert end.value.value is None


def test_the_vector_of_the_word_itself_obeys_exactly(model):
    table = model.text_encoder.get_input_embeddings().weight
    word = table[model.tokenizer.encode("face")].detach()
    conditioner = Conditioner(model, EmbeddingDatabase([]))
    fewer = {"noises": 1, "changes": CHANGES[:3]}
    same, strong = obeyed(conditioner, word, **fewer), obeyed(conditioner, word * 1000, **fewer)
    assert same.value == pytest.approx(1, abs=1e-4)  # the name's tokens are other ones, all vectors are the same
    assert strong.value < 0.9
    assert strong == obeyed(conditioner, word * 1000, **fewer)
