"""The normal draws of an NVIDIA card, computed on the CPU: pictures made there can be drawn again anywhere.

Philox 4×32-10 with PyTorch's use of it: one counter per element, the draw's number in the first counter word, the
first of the four results of each block. It holds for latents that a card fills with one element per thread (about
220,000 elements on a large card, a picture of 1,800 × 1,800).

Source: Salmon et al. 2011, “Parallel random numbers: as easy as 1, 2, 3”, and the Box–Muller transform as the CUDA
documentation of cuRAND describes it.
"""

import math

import numpy as np
import torch
from torch import Tensor

_WORD = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)  # golden ratio, √3 − 1
_UNIT = 2.0**-32  # of a word, in which it lies between 0 and 1
_TURN = float(np.float32(2 * math.pi * _UNIT))  # rounded as A1111 has it


class PhiloxGenerator:
    """Draws normal numbers like `torch.Generator("cuda")` seeded with `seed` (0 … 2⁶⁴ − 1)."""

    def __init__(self, seed: int):
        self._seed = seed
        self._draws = 0

    def randn(self, shape: tuple[int, ...]) -> Tensor:
        """The next draw: float32 of `shape` on the CPU."""
        index = torch.arange(math.prod(shape), dtype=torch.int64)
        zero = torch.zeros_like(index)
        u, v, _, _ = _philox((zero + self._draws, zero, index, zero), self._seed)
        self._draws += 1
        # In float64, rounded once at the end: in float32, rounding alone moves one draw in thousands by 4e-6. By numpy,
        # since torch's doubles have no place beside latents that may lie on a device without them.
        radius = np.sqrt(-2 * np.log(u.numpy() * _UNIT + _UNIT / 2))
        return torch.from_numpy((radius * np.sin(v.numpy() * _TURN + _TURN / 2)).astype(np.float32)).reshape(shape)


def _philox(counter: tuple[Tensor, Tensor, Tensor, Tensor], seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Ten rounds over four words each; int64 tensors hold 32-bit words."""
    c0, c1, c2, c3 = counter
    low_key, high_key = seed & _WORD, seed >> 32 & _WORD
    for _ in range(10):
        high0, low0 = _multiply(c0, _MULTIPLIERS[0])
        high1, low1 = _multiply(c2, _MULTIPLIERS[1])
        c0, c1, c2, c3 = high1 ^ c1 ^ low_key, low1, high0 ^ c3 ^ high_key, low0
        low_key, high_key = (low_key + _KEY_STEPS[0]) & _WORD, (high_key + _KEY_STEPS[1]) & _WORD
    return c0, c1, c2, c3


def _multiply(words: Tensor, factor: int) -> tuple[Tensor, Tensor]:
    """High and low word of a 32 × 32 bit product; it may wrap around in int64, which keeps its 64 bits."""
    product = words * factor
    return product >> 32 & _WORD, product & _WORD
