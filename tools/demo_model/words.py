"""The part of the CLIP vocabulary that captions use, as a small table that trains fast.

Row 0 stands for every other token: captions get a few of those at random, so that the model learns that words it
does not know change nothing. On export row 0 fills all rows that no caption uses.
"""

import random

import torch
from torch import Tensor

from modules.prompts.attention import parse_attention
from modules.prompts.tokenizer import BEGIN, END, clip_tokenizer
from tools.demo_model.networks import POSITIONS
from tools.demo_model.world import vocabulary

UNKNOWN = 0


class Words:
    """Token ids that captions use, and captions as rows of the small table.

    Args:
        token_ids: CLIP token ids in the order of the rows after row 0; None = all that `world.vocabulary` needs.
    """

    def __init__(self, token_ids: list[int] | None = None):
        if token_ids is None:
            used = {token for text in vocabulary() for token in clip_tokenizer().encode(text)}
            token_ids = sorted(used | {BEGIN, END})
        self.token_ids = token_ids
        self._rows = {token: row for row, token in enumerate(token_ids, start=1)}

    def __len__(self) -> int:
        return len(self.token_ids) + 1

    def encode(self, captions: list[str], rng: random.Random | None = None) -> tuple[Tensor, Tensor]:
        """Captions in the program's prompt language as rows, framed and padded as Stable Diffusion 1 does.

        Args:
            captions: texts of at most 75 tokens; longer ones are cut.
            rng: if given, one caption in eight gets one to four unknown words somewhere.

        Returns:
            Rows int64 [B, 77] and the weights of their outputs float32 [B, 77].
        """
        rows, weights = [], []
        for text in captions:
            row: list[int] = []
            weight: list[float] = []
            for part, part_weight in parse_attention(text):
                tokens = [self._rows.get(token, UNKNOWN) for token in clip_tokenizer().encode(part)]
                row += tokens
                weight += [part_weight] * len(tokens)
            if rng is not None and row and rng.random() < 1 / 8:
                place, count = rng.randrange(len(row) + 1), rng.randint(1, 4)
                row[place:place] = [UNKNOWN] * count
                weight[place:place] = [1.0] * count
            row = [self._rows[BEGIN], *row[: POSITIONS - 2]]
            weight = [1.0, *weight[: POSITIONS - 2]]
            rows.append(row + [self._rows[END]] * (POSITIONS - len(row)))
            weights.append(weight + [1.0] * (POSITIONS - len(weight)))
        return torch.tensor(rows), torch.tensor(weights)

    def take(self, table: Tensor) -> Tensor:
        """The small table [len(self), width] out of a full one [49408, width]; row 0 is the mean of the used rows."""
        used = table[self.token_ids]
        return torch.cat([used.mean(0, keepdim=True), used])

    def spread(self, small: Tensor, size: int) -> Tensor:
        """The full table [size, width] from the small one, row 0 wherever no caption has a word."""
        full = small[UNKNOWN].expand(size, -1).clone()
        full[self.token_ids] = small[1:]
        return full
