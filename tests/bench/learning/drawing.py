"""Pictures from vectors, many at a time: what `txt2img` draws, prompt by prompt, without files."""

from collections.abc import Sequence

import torch
from torch import Tensor

from modules.embeddings.database import EmbeddingDatabase
from modules.model.conditioning import Conditioner, PromptRules
from modules.model.model import SDModel
from modules.samplers.guidance import Guided
from modules.samplers.noise import ImageNoise
from modules.samplers.sample import sample

NAME = "zqx-t1"  # means nothing to the model
BATCH = 32
SAMPLER, SCHEDULE, CFG_SCALE = "DPM++ 2M", "Karras", 5.0


@torch.no_grad()
def draw(model: SDModel, vectors: Tensor | None, prompts: Sequence[str], seeds: Sequence[int], steps: int) -> Tensor:
    """Draw a picture for each prompt and seed.

    Args:
        vectors: [n, width] for `NAME`; None if no prompt names it.

    Returns:
        uint8 [pictures, H, W, 3].
    """
    width, height = model.native_size
    conditioner, rules = Conditioner(model, EmbeddingDatabase([])), PromptRules()
    given = {} if vectors is None else {NAME: vectors.to(model.device)}
    empty = conditioner.encode([""], rules, {})[0]
    drawn = []
    for first in range(0, len(prompts), BATCH):
        texts, some = prompts[first : first + BATCH], seeds[first : first + BATCH]
        encodings = conditioner.encode(texts, rules, given)
        conds = [[([(steps, encoding)], 1.0)] for encoding in encodings]
        unconds = [[(steps, empty)]] * len(texts)
        guided = Guided(model.denoiser, conds, unconds, CFG_SCALE)
        noise = ImageNoise((4, height // 8, width // 8), some, device=model.device)
        *_, last = sample(SAMPLER, SCHEDULE, steps, guided, noise)
        pixels = model.decode(last.x).clamp(-1, 1)
        drawn.append(((pixels + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu())
    return torch.cat(drawn)
