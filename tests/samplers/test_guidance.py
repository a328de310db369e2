"""Guidance: which encodings serve which call, what is sent to the model, and how its answers are mixed.

The stand-in model answers with the mean of the encoding it was given, so that a mix can be read off the result.
"""

import pytest
import torch
from torch import Tensor

from modules.errors import NumericalError
from modules.samplers.guidance import GuidanceOptions, Guided, Scheduled
from modules.samplers.sigmas import NoiseTable
from tests.samplers.gaussian import encoding


class Echo:
    """Answers with the mean of each encoding; remembers the shapes of what it was sent."""

    def __init__(self) -> None:
        self.sigmas = NoiseTable.scaled_linear()
        self.sent: list[tuple[int, ...]] = []  # batch, tokens
        self.conds: list[Tensor] = []

    def __call__(self, x: Tensor, sigma: Tensor, cond: Tensor) -> Tensor:
        assert len(x) == len(sigma) == len(cond)
        self.sent.append(tuple(cond.shape[:2]))
        self.conds.append(cond)
        return torch.zeros_like(x) + cond.mean((1, 2))[:, None, None, None]

    eps = __call__


def prompt(mean: float, tokens: int = 77) -> Scheduled:
    return [(1000, encoding(mean, tokens))]


def values(answer: Tensor) -> list[float]:
    assert (answer == answer[:, :1, :1, :1]).all()
    return [round(value, 4) for value in answer[:, 0, 0, 0].tolist()]  # float32


def ask(guided: Guided, sigma: float = 1.0) -> list[float]:
    return values(guided(torch.zeros(len(guided.conds), 4, 2, 2), sigma))


def test_the_formula() -> None:
    model = Echo()
    assert ask(Guided(model, [[(prompt(2), 1.0)]], [prompt(1)], 7)) == [1 + 7 * (2 - 1)]
    assert model.sent == [(2, 77)]


def test_and_parts_add_up_without_being_normalised() -> None:
    model = Echo()
    parts = [(prompt(2), 1.2), (prompt(5), -0.4), (prompt(3), 0.5)]
    assert ask(Guided(model, [parts], [prompt(1)], 7)) == [round(1 + 7 * (1.2 * 1 - 0.4 * 4 + 0.5 * 2), 4)]
    assert model.sent == [(4, 77)]


def test_each_image_has_its_own_prompts() -> None:
    model = Echo()
    conds = [[(prompt(2), 1.0)], [(prompt(3), 1.0), (prompt(4), 0.5)]]
    assert ask(Guided(model, conds, [prompt(0), prompt(1)], 2)) == [4, 1 + 2 * (2 + 0.5 * 3)]
    assert model.sent == [(5, 77)]


def test_without_guidance_the_negative_prompt_is_not_computed() -> None:
    model = Echo()
    assert ask(Guided(model, [[(prompt(2), 1.0)]], [prompt(1)], 1)) == [2]
    assert ask(Guided(model, [[(prompt(2), 0.25), (prompt(4), 0.75)]], [prompt(1)], 1)) == [3.5]
    assert model.sent == [(1, 77), (2, 77)]


def test_weights_that_leave_a_share_to_the_negative_prompt_need_it_at_cfg_1_too() -> None:
    model = Echo()
    assert ask(Guided(model, [[(prompt(2), 1.0), (prompt(4), 1.0)]], [prompt(1)], 1)) == [1 + 1 + 3]
    assert model.sent == [(3, 77)]


def test_prompts_of_one_side_are_lengthened_by_their_last_vector() -> None:
    model = Echo()
    long = torch.cat([encoding(0.0), encoding(6.0)])
    guided = Guided(model, [[(prompt(2), 1.0), ([(9, long)], 1.0)]], [prompt(0, 154)], 1)
    assert ask(guided) == [2 + 3]
    assert model.conds[0][0].equal(encoding(2.0, 154))


@pytest.mark.parametrize(("options", "sent"), [({}, [(1, 154), (1, 77)]), ({"one_call": False}, [(1, 154), (1, 77)])])
def test_different_lengths_go_as_separate_calls(options: dict, sent: list[tuple[int, int]]) -> None:
    model = Echo()
    assert ask(Guided(model, [[(prompt(2, 154), 1.0)]], [prompt(1)], 7, GuidanceOptions(**options))) == [8]
    assert model.sent == sent


def test_equal_lengths_can_be_kept_apart() -> None:
    model = Echo()
    assert ask(Guided(model, [[(prompt(2), 1.0)]], [prompt(1)], 7, GuidanceOptions(one_call=False))) == [8]
    assert model.sent == [(1, 77), (1, 77)]


@pytest.mark.parametrize("shorter", ["prompt", "negative"])
def test_padding_with_the_empty_prompt(shorter: str) -> None:
    model = Echo()
    lengths = (77, 231) if shorter == "prompt" else (231, 77)
    options = GuidanceOptions(padding=encoding(9.0))
    ask(Guided(model, [[(prompt(2, lengths[0]), 1.0)]], [prompt(1, lengths[1])], 7, options))
    assert model.sent == [(2, 231)]
    padded = model.conds[0][0 if shorter == "prompt" else 1]
    assert padded[77:].equal(encoding(9.0, 154))


@pytest.mark.parametrize(("negative", "expected"), [(77, 1.0), (231, 1.0)])
def test_padding_of_old_versions_fits_the_negative_prompt_to_the_prompt(negative: int, expected: float) -> None:
    model = Echo()
    options = GuidanceOptions(padding=encoding(9.0), pad_v0=True)
    ask(Guided(model, [[(prompt(2, 154), 1.0)]], [prompt(expected, negative)], 7, options))
    assert model.sent == [(2, 154)]
    assert model.conds[0][1].equal(encoding(expected, 154))


def test_an_encoding_for_n_steps_serves_n_plus_1_calls() -> None:
    schedule = [(2, encoding(1.0)), (4, encoding(2.0)), (5, encoding(3.0))]
    guided = Guided(Echo(), [[(schedule, 1.0)]], [prompt(0)], 1)
    guided.begin(5)
    assert [ask(guided)[0] for _ in range(8)] == [1, 1, 1, 2, 2, 3, 1, 1]  # past the end: the first


def test_a_new_run_counts_from_0_again() -> None:
    guided = Guided(Echo(), [[([(0, encoding(1.0)), (9, encoding(2.0))], 1.0)]], [prompt(0)], 1)
    answers = []
    for _ in range(2):
        guided.begin(2)
        answers += [ask(guided)[0], ask(guided)[0]]
    assert answers == [1, 2, 1, 2]


def test_below_a_noise_level_every_other_call_goes_without_the_negative_prompt() -> None:
    guided = Guided(Echo(), [[(prompt(2), 1.0)]], [prompt(1)], 7, GuidanceOptions(s_min_uncond=3))
    assert [ask(guided, sigma)[0] for sigma in (4, 4, 2, 2, 2, 2)] == [8, 8, 8, 2, 8, 2]
    guided = Guided(
        Echo(), [[(prompt(2), 1.0)]], [prompt(1)], 7, GuidanceOptions(s_min_uncond=3, s_min_uncond_all=True)
    )
    assert [ask(guided, sigma)[0] for sigma in (4, 4, 2, 2)] == [8, 8, 2, 2]


def test_without_the_negative_prompt_and_parts_are_mixed_from_the_first() -> None:
    options = GuidanceOptions(s_min_uncond=3, s_min_uncond_all=True)
    guided = Guided(Echo(), [[(prompt(2), 1.0), (prompt(4), 0.5)]], [prompt(1)], 7, options)
    assert ask(guided) == [2 + 0.5 * (4 - 2)]


def test_the_negative_prompt_may_be_skipped_early() -> None:
    model = Echo()
    guided = Guided(model, [[(prompt(2), 1.0)]], [prompt(1)], 7, GuidanceOptions(skip_early=0.5))
    guided.begin(4)
    assert [ask(guided)[0] for _ in range(4)] == [2, 2, 2, 8]
    assert [batch for batch, _ in model.sent] == [1, 1, 1, 2]


def test_both_answers_are_given_whatever_the_scale() -> None:
    guided = Guided(Echo(), [[(prompt(2), 1.0)]], [prompt(1)], 5)
    answer, uncond = guided.eps_and_uncond(torch.zeros(1, 4, 2, 2), 500.0, cfg_divisor=5)
    assert (values(answer), values(uncond)) == ([2], [1])


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_an_answer_that_is_no_number_ends_the_run(bad: float) -> None:
    with pytest.raises(NumericalError, match="--no-half"):
        ask(Guided(Echo(), [[(prompt(bad), 1.0)]], [prompt(1)], 7))
