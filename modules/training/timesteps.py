"""Which timesteps are learned at. How much noise a picture holds decides its loss more than anything else does."""

import math
import random
from statistics import NormalDist

import torch
from torch import Tensor

GOLDEN = 0.6180339887498949  # its multiples fill 0 … 1 more evenly than any other number's
MOST_WEIGHT = 5.0  # “gamma” of min-SNR weighting, the paper's choice


def draw_timesteps(sampling: str, count: int, place: int, seed: int, generator: torch.Generator, total: int) -> Tensor:
    """Timesteps of one batch.

    Args:
        sampling: "random": each one by itself, as in A1111; "even": those that follow one another are spread over the
            whole range, so that the steps differ less by luck; "middle": spread likewise, but denser in the middle,
            where shapes and colours are decided (logit-normal); "noisy": denser the more noise there is.
        count: size of the batch.
        place: how many were drawn before in this run.
        seed: of the run; where an even sequence begins.
        generator: draws the random ones.
        total: how many timesteps there are.

    Returns:
        int64 [count], 0 … total - 1.

    Source of "middle": Esser et al. 2024, arXiv:2403.03206, section 3.1, with mean 0 and deviation 1.
    """
    if sampling == "random":
        return torch.randint(total, (count,), generator=generator)
    begin = random.Random(seed).random()
    shares = [_bent((begin + number * GOLDEN) % 1.0, sampling) for number in range(place, place + count)]
    return torch.tensor([min(int(share * total), total - 1) for share in shares])


def min_snr_weights(timesteps: Tensor, alphas: Tensor, predicts_v: bool) -> Tensor:
    """How much each sample's loss counts, so that those with little noise do not outvote the others.

    Args:
        timesteps: int64 [B].
        alphas: [timesteps], the share of the picture that is left at each.
        predicts_v: whether the model guesses v instead of the noise.

    Returns:
        float32 [B, 1, 1, 1], at most 1.

    Source: Hang et al. 2023, arXiv:2303.09556, equation 7 and what it becomes for noise and v.
    """
    share = alphas.cpu()[timesteps].float()
    snr = (share / (1 - share)).clamp(min=1e-8)
    weights = snr.clamp(max=MOST_WEIGHT) / (snr + 1 if predicts_v else snr)
    return weights[:, None, None, None]


def _bent(share: float, sampling: str) -> float:
    """An even share of 0 … 1 as the distribution has it."""
    if sampling == "middle":
        return 1 / (1 + math.exp(-NormalDist().inv_cdf(min(max(share, 1e-6), 1 - 1e-6))))
    return math.sqrt(share) if sampling == "noisy" else share
