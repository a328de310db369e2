"""Self-attention over fewer tokens. Compared with the paper's own code (tomesd 0.1.3) by hand: docs/samplers.md."""

import pytest
import torch
from diffusers.models.attention import BasicTransformerBlock
from torch import Tensor

from modules.generation.token_merging import Merged, merging
from modules.infotext import parse_infotext


def by_hand(tokens: Tensor, size: tuple[int, int], ratio: float) -> Tensor:
    """What unmerging what was merged gives, token by token: [N, C] for [N, C]."""
    height, width = size
    staying = [y * width + x for y in range(0, height - 1, 2) for x in range(0, width - 1, 2)]
    likest = {
        token: max(
            (float(torch.cosine_similarity(tokens[token], tokens[other], dim=0)), -place)
            for place, other in enumerate(staying)
        )
        for token in range(height * width)
        if token not in staying
    }
    away = sorted(likest, key=lambda token: -likest[token][0])[: int(height * width * ratio)]
    groups: dict[int, list[int]] = {token: [token] for token in range(height * width) if token not in away}
    for token in away:
        groups[staying[-likest[token][1]]].append(token)
    answer = torch.empty_like(tokens)
    for group in groups.values():
        answer[group] = tokens[group].mean(0)
    return answer


@pytest.mark.parametrize(("size", "ratio"), [((4, 6), 0.3), ((5, 7), 0.5), ((4, 4), 0.9)])
def test_like_tokens_become_their_mean(size: tuple[int, int], ratio: float) -> None:
    tokens = torch.randn(2, size[0] * size[1], 8, generator=torch.Generator().manual_seed(3))
    merged = Merged.of(tokens, size, ratio)
    most = size[0] * size[1] - (size[0] // 2) * (size[1] // 2)
    assert merged.count == tokens.shape[1] - min(int(tokens.shape[1] * ratio), most)
    left = merged.merge(tokens)
    assert left.shape == (2, merged.count, 8)
    for answer, picture in zip(merged.unmerge(left), tokens, strict=True):
        torch.testing.assert_close(answer, by_hand(picture, size, ratio))


def seen_by(unet, call) -> list[int]:
    """How many tokens each self-attention got in a call."""
    seen: list[int] = []
    handles = [
        block.attn1.to_q.register_forward_hook(lambda _, args, __: seen.append(args[0].shape[1]))
        for block in unet.modules()
        if isinstance(block, BasicTransformerBlock)
    ]
    call()
    for handle in handles:
        handle.remove()
    return seen


def test_only_attention_at_the_full_size_sees_fewer_and_afterwards_all_again(model) -> None:
    x, sigma = torch.randn(1, 4, 8, 12), torch.ones(1)
    cond = torch.randn(1, 77, model.width)

    def call() -> None:
        model.denoiser(x, sigma, cond)

    with torch.no_grad():
        usual = seen_by(model.unet, call)
        with merging(model.unet, (8, 12), 0.5):
            merged = seen_by(model.unet, call)
        assert seen_by(model.unet, call) == usual
    assert 96 in usual
    assert merged == [48 if count == 96 else count for count in usual]


def test_each_pass_has_its_share_and_pictures_say_it(run, model) -> None:
    hires = {"enable_hr": True, "hr_scale": 2.0, "steps": 1, "width": 64, "height": 64}

    def tokens(**values) -> tuple[list[int], dict]:
        """Of the calls at the full size of a pass, and what the picture says."""
        done = []
        seen = seen_by(model.unet, lambda: done.append(run(prompt="a cat", seed=5, **hires, **values)))
        (picture,) = done[0].pictures
        return [seen[0], max(seen)], parse_infotext(picture.infotext)

    usual, said = tokens()
    assert usual == [64, 256]
    assert not [key for key in said if key.startswith("Token")]
    both, said = tokens(token_merging_ratio=0.5)
    assert both == [32, 128]
    assert said["Token merging ratio"] == "0.5"
    own, said = tokens(token_merging_ratio=0.5, token_merging_ratio_hr=0.25)
    assert own == [32, 192]
    assert said["Token merging ratio hr"] == "0.25"
