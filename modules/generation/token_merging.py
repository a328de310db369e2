"""Token merging: self-attention over fewer tokens, those that are alike taken as one. Faster, and a little less exact.

Source: Bolya and Hoffman 2023, arXiv:2303.17604. As A1111 uses it: in self-attention only, only where there is a token
for each place of the latents, and always into the token at the top left of each 2×2, so that no chance takes part.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from diffusers.models.attention import BasicTransformerBlock
from torch import Tensor, nn

_STRIDE = 2  # one token of so many in each direction stays in any case


@dataclass(frozen=True)
class Merged:
    """Which tokens are taken as one.

    Attributes:
        slots: int64 [B, N], the place of each token among those that are left.
        count: how many are left.
    """

    slots: Tensor
    count: int

    @classmethod
    def of(cls, tokens: Tensor, size: tuple[int, int], ratio: float) -> "Merged":
        """Take those into one that point most nearly into one direction.

        Args:
            tokens: [B, N, C], row by row.
            size: (height, width) in tokens, N in all.
            ratio: share of the tokens to take away; never more than three of four.
        """
        batch, total, _ = tokens.shape
        staying = torch.zeros(size, dtype=torch.bool, device=tokens.device)
        height, width = (side // _STRIDE * _STRIDE for side in size)
        staying[:height:_STRIDE, :width:_STRIDE] = True
        others, staying = (~staying).flatten().nonzero()[:, 0], staying.flatten().nonzero()[:, 0]
        away = min(int(total * ratio), len(others))
        directions = tokens / tokens.norm(dim=-1, keepdim=True)
        likeness, nearest = (directions[:, others] @ directions[:, staying].transpose(1, 2)).max(dim=-1)
        order = likeness.argsort(dim=-1, descending=True)
        taken, left = order[:, :away], order[:, away:]
        places = torch.arange(total - away, device=tokens.device).expand(batch, -1)
        own = nearest.clone()
        own.scatter_(1, taken, nearest.gather(1, taken))
        own.scatter_(1, left, places[:, len(staying) :])
        slots = torch.empty(batch, total, dtype=torch.int64, device=tokens.device)
        slots[:, staying] = places[:, : len(staying)]
        slots[:, others] = own
        return cls(slots, total - away)

    def merge(self, tokens: Tensor) -> Tensor:
        """The means of tokens [B, N, C] that are taken as one, [B, count, C]."""
        left = tokens.new_zeros(len(tokens), self.count, tokens.shape[2])
        return left.scatter_reduce(1, self._index(tokens), tokens, "mean", include_self=False)

    def unmerge(self, left: Tensor) -> Tensor:
        """[B, N, C]: every token gets what its own one, of [B, count, C], has."""
        return left.gather(1, self._index(left))

    def _index(self, tokens: Tensor) -> Tensor:
        return self.slots[..., None].expand(-1, -1, tokens.shape[2])


@contextmanager
def merging(network: nn.Module, size: tuple[int, int], ratio: float) -> Iterator[None]:
    """Let the self-attention of a UNet see fewer tokens.

    Args:
        network: diffusers' UNet.
        size: (height, width) of the latents that it gets; attention at smaller sizes stays whole.
        ratio: share of the tokens to take away.
    """
    with ExitStack() as hooks:
        for block in network.modules():
            if isinstance(block, BasicTransformerBlock):
                _hook(block, size, ratio, hooks)
        yield


def _hook(block: BasicTransformerBlock, size: tuple[int, int], ratio: float, hooks: ExitStack) -> None:
    merged: list[Merged] = []  # of the call under way

    def decide(_: nn.Module, args: tuple[Tensor, ...]) -> None:
        tokens = args[0]
        merged.clear()
        if tokens.shape[1] == size[0] * size[1]:
            merged.append(Merged.of(tokens, size, ratio))

    def merge(_: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (merged[0].merge(args[0]), *args[1:]) if merged else args

    def unmerge(_: nn.Module, __: tuple[Tensor, ...], answer: Tensor) -> Tensor:
        return merged[0].unmerge(answer) if merged else answer

    for handle in (
        block.register_forward_pre_hook(decide),
        block.attn1.register_forward_pre_hook(merge),
        block.attn1.register_forward_hook(unmerge),
    ):
        hooks.callback(handle.remove)
