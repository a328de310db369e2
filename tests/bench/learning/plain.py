"""The algorithm to beat: textual inversion as diffusers' example does it, written after its published description.

AdamW (0.9, 0.999, weight decay 0.01) on the rows of the new token, all other rows as they were; a constant rate; a
random template line, photo, noise and timestep for each sample; nothing keeps the rows' length. Templates, captions,
batch and photos are those of the method it stands beside. The example may mirror photos; here nothing is mirrored.

Source: Gal et al. 2022, arXiv:2208.01618; description and defaults of diffusers' textual_inversion example.
"""

import random
from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from modules.embeddings.database import EmbeddingDatabase
from modules.model.conditioning import Conditioner, PromptRules
from modules.model.model import SDModel
from modules.training.dataset import Example
from modules.training.prompts import PromptMaker

WEIGHT_DECAY = 0.01


def train_plainly(
    model: SDModel,
    examples: Sequence[Example],
    prompts: PromptMaker,
    rows: Tensor,
    rate: float,
    steps: int,
    batch: int,
    seed: int,
    kept: Collection[int] = (),
) -> dict[int, Tensor]:
    """Train rows of the token table.

    Args:
        rows: [n, width], copies of the rows of the initial words.
        kept: steps whose rows are wanted.

    Returns:
        rows after each of `kept`, and after the last step.
    """
    generator, source = torch.Generator().manual_seed(seed), random.Random(seed)
    conditioner, rules = Conditioner(model, EmbeddingDatabase([])), PromptRules()
    trained = torch.nn.Parameter(rows.clone())
    optimiser = torch.optim.AdamW([trained], lr=rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=WEIGHT_DECAY)
    alphas, queue, found = model.alphas_cumprod, [], {}
    for step in range(1, steps + 1):
        if len(queue) < batch:  # a new epoch; what is left of the old one is dropped
            queue = source.sample(range(len(examples)), len(examples))
        some = [examples[queue.pop()] for _ in range(batch)]
        latents = torch.stack([example.latents(generator) for example in some])
        noise = torch.randn(latents.shape, generator=generator)
        timesteps = torch.randint(len(alphas), (batch,), generator=generator)
        texts = [prompts.draw(example.photo.caption, source) for example in some]
        cond = conditioner.encode(texts, rules, {prompts.name: trained})
        share = alphas[timesteps][:, None, None, None]
        prediction = model.denoiser.predict(share.sqrt() * latents + (1 - share).sqrt() * noise, timesteps, cond)
        optimiser.zero_grad()
        torch.nn.functional.mse_loss(prediction, noise).backward()
        optimiser.step()
        if step in kept or step == steps:
            found[step] = trained.detach().clone()
    return found
