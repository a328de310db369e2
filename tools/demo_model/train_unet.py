"""Train UNet and text encoder together: `python -m tools.demo_model.train_unet`.

A flat learning rate up to `--samples` (state in `work/unet.pt`), then, as a second call with `--finish`, a cosine tail
that starts from that state and writes `work/unet-finished.pt`; the flat run can go on another day. States are written
every few hundred steps and batches follow from the step number, so a killed run goes on as if nothing had happened.
With two cores: `torchrun --nproc-per-node 2 -m tools.demo_model.train_unet`.
"""

import argparse
import math
import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import AttnProcessor
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from transformers import CLIPTextModel

from modules.model.device import computes_bf16
from modules.model.ldm_keys import from_ldm
from tools.demo_model.emphasis import weighted_caption
from tools.demo_model.encode import load_hybrid_latents, load_latents
from tools.demo_model.hybrids import Hybrid, hybrid_caption
from tools.demo_model.networks import (
    WORK,
    autocast,
    be_polite,
    load_state,
    make_text_encoder,
    make_unet,
    save_state,
)
from tools.demo_model.words import Words
from tools.demo_model.world import Portrait, caption, full_caption, is_held_out

FLAT_STATE, FINISHED_STATE = WORK / "unet.pt", WORK / "unet-finished.pt"
EMPTY_CAPTIONS = 0.1  # for classifier-free guidance
MIN_SNR_GAMMA = 5.0  # Hang et al. 2023, arXiv:2303.09556
WARM_UP = 100  # steps
SAVE_EVERY, VALIDATE_EVERY = 100, 500  # steps
MOST_PROCESSES = 64  # keeps the seeds of their batches apart
STEPS_OF_A_SEED = 10_000_000  # and those of runs
TIMESTEPS = 1000

WEIGHTED_CAPTIONS = 0.3  # of the portraits, see `emphasis`
HYBRIDS = 0.14  # of the pictures, see `hybrids`
MOODLESS = 0.2  # of the people, beyond those whose caption leaves the mood out: most prompts name none

# Latents and noise [B, 4, h, w]; timesteps [B]; caption rows and their weights [B, 77].
Batch = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


def alphas_cumprod() -> Tensor:
    """Share of the picture left at each timestep, float32 [1000]: Stable Diffusion's scaled-linear betas."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, TIMESTEPS, dtype=torch.float64).square()
    return (1 - betas).cumprod(0).float()


@dataclass(frozen=True)
class Lessons:
    """What there is to learn: latents [n, 4, h, w] of portraits and of hybrids, and who is on them."""

    latents: Tensor
    portraits: list[Portrait]
    hybrid_latents: Tensor
    hybrids: list[Hybrid]

    def draw(self, rng: random.Random, timestep: int) -> tuple[Tensor, str]:
        """Latents [4, h, w] of one picture and a new caption of it, for a timestep."""
        if rng.random() < HYBRIDS:
            place = rng.randrange(len(self.hybrids))
            latents, text = self.hybrid_latents[place], hybrid_caption(self.hybrids[place], rng, timestep)
        else:
            place = rng.randrange(len(self.portraits))
            portrait = self.portraits[place]
            if portrait.is_person and rng.random() < MOODLESS:
                text = caption(replace(portrait, mood="none"), rng)
            else:
                text = (weighted_caption if rng.random() < WEIGHTED_CAPTIONS else caption)(portrait, rng)
            latents = self.latents[place]
        return latents, "" if rng.random() < EMPTY_CAPTIONS else text


def without_one_sided(latents: Tensor, portraits: list[Portrait]) -> tuple[Tensor, list[Portrait]]:
    """Leave out bearded persons whose twin without a beard is held out (1.5 % of all). Of their style, hair and skin
    nobody without a beard would ever be seen, and a long training learns to draw one that no caption asked for."""
    chosen = [
        place
        for place, portrait in enumerate(portraits)
        if portrait.beard == "none" or not is_held_out(replace(portrait, beard="none").person)
    ]
    return latents[chosen], [portraits[place] for place in chosen]


class Steps(Dataset[Batch]):
    """The batches of one process, each following from the number of its step alone.

    Args:
        lessons: what to learn; words: the token rows of captions.
        pictures: noisy pictures of a batch.
        steps: numbers of the steps to make.
        rank: which of the processes that train together this is.
    """

    def __init__(self, lessons: Lessons, words: Words, pictures: int, steps: range, rank: int = 0):
        self.lessons, self.words = lessons, words
        self.pictures, self.steps, self.rank = pictures, steps, rank

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, index: int) -> Batch:
        seed = self.steps[index] * MOST_PROCESSES + self.rank
        generator = torch.Generator().manual_seed(seed)
        rng = random.Random(seed)
        count = self.pictures  # stratified: each batch covers all timesteps evenly
        timesteps = (torch.arange(count) + torch.rand(count, generator=generator)) * (TIMESTEPS / count)
        timesteps = timesteps.long().clamp(max=TIMESTEPS - 1)  # the last of a rand near 1 is rounded up
        drawn = [self.lessons.draw(rng, int(timestep)) for timestep in timesteps]
        latents = torch.stack([latents for latents, _ in drawn]).float()
        noise = torch.randn(latents.shape, generator=generator)
        return latents, noise, timesteps, *self.words.encode([text for _, text in drawn], rng)


class Networks(nn.Module):
    """UNet and text encoder as one module, so that optimizer, average and state see one set of weights."""

    def __init__(self, words: int):
        super().__init__()
        self.unet: UNet2DConditionModel = make_unet()
        self.text_encoder: CLIPTextModel = make_text_encoder(words)

    def use_plain_attention(self) -> None:
        """Attention as matrix products, one after the other: the fused kernels of a CPU take 44 % of a step at heads
        this small, and with plain ones bfloat16 pays where the processor has it (42 samples a second on one core, not
        23)."""
        self.unet.set_attn_processor(AttnProcessor())
        self.text_encoder.set_attn_implementation("eager")

    def context(self, rows: Tensor, weights: Tensor) -> Tensor:
        """Captions encoded, float32 [B, 77, width], from rows and weights [B, 77]. Weights act as in the program:
        outputs are scaled, and the mean of each caption's is restored."""
        plain = self.text_encoder(input_ids=rows).last_hidden_state.float()
        scaled = plain * weights[..., None]
        return scaled * (plain.mean(dim=(1, 2), keepdim=True) / scaled.mean(dim=(1, 2), keepdim=True))

    def forward(self, noisy: Tensor, timesteps: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
        """eps for noisy latents [B, 4, h, w], timesteps [B], caption rows and weights [B, 77]."""
        return self.unet(noisy, timesteps, self.context(rows, weights)).sample


def min_snr_loss(networks: nn.Module, batch: Batch, kept: Tensor) -> Tensor:
    """Mean squared error of eps, weighted by min(SNR, gamma) / SNR; `kept` is `alphas_cumprod` on the device."""
    latents, noise, timesteps, rows, weights = batch
    share = kept[timesteps][:, None, None, None]
    eps = networks(share.sqrt() * latents + (1 - share).sqrt() * noise, timesteps, rows, weights)
    error = (eps.float() - noise).square().mean(dim=(1, 2, 3))
    snr = kept[timesteps] / (1 - kept[timesteps])
    return (error * snr.clamp(max=MIN_SNR_GAMMA) / snr).mean()


@torch.no_grad()
def validation_losses(networks: nn.Module, batches: list[Batch], empty: Tensor, kept: Tensor) -> tuple[float, float]:
    """Plain mean squared error of eps with true captions and with empty ones: their gap is what the text does."""
    sums = [0.0, 0.0]
    for latents, noise, timesteps, rows, weights in batches:
        share = kept[timesteps][:, None, None, None]
        noisy = share.sqrt() * latents + (1 - share).sqrt() * noise
        for place, told in enumerate((rows, empty.expand_as(rows))):
            sums[place] += F.mse_loss(networks(noisy, timesteps, told, weights).float(), noise).item()
    return sums[0] / len(batches), sums[1] / len(batches)


def learning_rate(step: int, progress: float, peak: float, finish: bool) -> float:
    """Warm-up after a fresh start, then flat; or, in the finishing run, a cosine to zero as `progress` goes to 1."""
    rate = peak * min(1.0, (step + 1) / WARM_UP)
    return rate * (0.5 + 0.5 * math.cos(math.pi * progress)) if finish else rate


def initial_networks(start: Path | None) -> tuple[Networks, Words]:
    """Fresh networks, those of a diffusers folder, or those of a packed checkpoint."""
    words = Words()
    networks = Networks(len(words))
    if start is None:
        return networks, words
    if start.is_dir():
        unet = UNet2DConditionModel.from_pretrained(start, subfolder="unet", local_files_only=True).state_dict()
        text = CLIPTextModel.from_pretrained(start, subfolder="text_encoder", local_files_only=True).state_dict()
    else:
        parts = from_ldm(load_file(start))
        unet, text = dict(parts.unet), dict(parts.text_encoder)
    table = next(name for name in text if name.endswith("token_embedding.weight"))
    text[table] = words.take(text[table].float())
    networks.unet.load_state_dict(unet)  # copies, so float16 becomes float32
    networks.text_encoder.load_state_dict(text)
    return networks, words


def main() -> None:
    parser = argparse.ArgumentParser(description="Train UNet and text encoder.")
    parser.add_argument("--start-from", type=Path, help="diffusers folder or packed file; default: scratch")
    parser.add_argument("--samples", type=int, default=1_000_000, help="flat run: noisy pictures to show in all")
    parser.add_argument("--finish", type=int, help="cosine tail of so many noisy pictures after the flat run")
    parser.add_argument("--batch", type=int, default=64, help="noisy pictures a step and process")
    parser.add_argument("--rate", type=float, default=8e-4)
    parser.add_argument("--seed", type=int, default=0, help="another one shows other pictures, for `pack --mean-with`")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=0, help="processes that make batches (a GPU wants about 8)")
    args = parser.parse_args()
    if args.device == "cpu":
        be_polite()
    rank, processes = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if processes > 1:
        torch.distributed.init_process_group()
    torch.manual_seed(args.seed)
    state_path = FINISHED_STATE if args.finish else FLAT_STATE
    source = next((path for path in (state_path, FLAT_STATE) if path.exists()), None)
    if source is None:
        networks, words = initial_networks(args.start_from)
        state: dict[str, Any] = {"step": 0, "samples": 0, "began": 0}
    else:
        state = load_state(source)
        words = Words(state["token_ids"])
        networks = Networks(len(words))
        networks.load_state_dict(state["networks"])
    networks.to(args.device)
    if args.device == "cpu" and computes_bf16():
        networks.use_plain_attention()
    matrices = [parameter for parameter in networks.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in networks.parameters() if parameter.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}], lr=args.rate
    )
    average = torch.optim.swa_utils.AveragedModel(networks, avg_fn=_average)
    if source is not None:
        optimizer.load_state_dict(state["optimizer"])
        average.load_state_dict(state["average"])
    step, samples = state["step"], state["samples"]
    began = samples if args.finish and source is FLAT_STATE else state["began"]  # where the finishing run started
    last = began + args.finish if args.finish else args.samples

    kept = alphas_cumprod().to(args.device)
    validation = _validation_batches(words, args.device)
    empty = words.encode([""])[0].to(args.device)
    trained = nn.parallel.DistributedDataParallel(networks) if processes > 1 else networks
    count = math.ceil((last - samples) / (args.batch * processes))
    lessons = Lessons(*without_one_sided(*load_latents("train")), *load_hybrid_latents())
    begin = args.seed * STEPS_OF_A_SEED + step
    steps = Steps(lessons, words, args.batch, range(begin, begin + count), rank)
    clock, since, recent = time.monotonic(), samples, 0.0
    for batch in _on_device(DataLoader(steps, batch_size=None, num_workers=args.workers), args.device):
        progress = (samples - began) / (last - began)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, progress, args.rate, bool(args.finish))
        with autocast(args.device):
            loss = min_snr_loss(trained, batch, kept)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(networks.parameters(), 1.0)
        optimizer.step()
        average.update_parameters(networks)
        recent = loss.item() if recent == 0 else 0.98 * recent + 0.02 * loss.item()
        step, samples = step + 1, samples + args.batch * processes
        if rank == 0 and (step % SAVE_EVERY == 0 or samples >= last):
            state = {
                "networks": networks.state_dict(),
                "average": average.state_dict(),
                "optimizer": optimizer.state_dict(),
                "token_ids": words.token_ids,
                "step": step,
                "samples": samples,
                "began": began,
            }
            save_state(state_path, state)
            speed = (samples - since) / (time.monotonic() - clock)
            print(f"step {step}, {samples} of {last} samples, {speed:.1f}/s, loss {recent:.4f}", flush=True)
            clock, since = time.monotonic(), samples
        if rank == 0 and (step % VALIDATE_EVERY == 0 or samples >= last):
            told, untold = validation_losses(average.module, validation, empty, kept)
            print(f"validation {told:.4f}, with empty captions {untold:.4f}", flush=True)


def _average(averaged: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
    """Exponential moving average whose memory grows with the number of steps, up to 1000 steps."""
    decay = min(0.999, (1 + int(count)) / (10 + int(count)))
    return torch.lerp(current, averaged, decay)


def _validation_batches(words: Words, device: str) -> list[Batch]:
    latents, portraits = load_latents("validation", 256)
    batches = []
    for first in range(0, len(latents), 64):
        part = latents[first : first + 64].float()
        generator = torch.Generator().manual_seed(first)
        captions = words.encode([full_caption(portraits[first + i], first + i) for i in range(len(part))])
        timesteps = torch.linspace(0, TIMESTEPS - 1, len(part)).long()
        batches.append((part, torch.randn(part.shape, generator=generator), timesteps, *captions))
    return list(_on_device(batches, device))


def _on_device(batches: list[Batch] | DataLoader[Batch], device: str) -> Iterator[Batch]:
    for latents, noise, timesteps, rows, weights in batches:
        yield latents.to(device), noise.to(device), timesteps.to(device), rows.to(device), weights.to(device)


if __name__ == "__main__":
    main()
