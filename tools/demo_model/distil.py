"""Teach a packed model to blend what a prompt alternates, by its own answers: `python -m tools.demo_model.distil`.

A model hears of `[man|lion]` only “man” in one step and “lion” in the next, as it does in prompts for one of them.
What tells the two apart is the picture so far. So pictures are drawn here step by step, and in each step the UNet is
taught what the model that it began from (the teacher) answers to better words: while two subjects alternate, to “half
man half lion” and “man” together; and where a prompt for a person names no mood, to the same one with a mood, since in
the first steps those draw people and nothing else (`docs/demo_model.md`). This is on-policy distillation: the UNet is
taught on the noisy pictures that its own answers lead to.

Beside them stand true pictures with noise, where it has to answer as the teacher does: to captions, to none, and to
subjects with vectors as textual inversion finds them. They keep what embeddings do as it was. The text encoder stays as
it is.

The state is written every few minutes, so a killed run goes on, with new pictures. What comes out is a packed file.
Two runs with other seeds and the mean of both (`pack --mean-with`) stand for one run of twice the batch.
"""

import argparse
import math
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from modules.files import write_atomically
from modules.model.ldm_keys import Parts, from_ldm, to_ldm
from modules.prompts.tokenizer import BEGIN, END, clip_tokenizer
from tools.demo_model import networks as sizes
from tools.demo_model.blends import PERSON, Drawing, alternated, plain
from tools.demo_model.encode import load_latents
from tools.demo_model.pack import CHECKPOINT
from tools.demo_model.sample import Painter
from tools.demo_model.train_unet import alphas_cumprod
from tools.demo_model.world import SYNONYMS, Portrait, caption, vocabulary

KARRAS_RHO = 7.0
DRAWN_STEPS = (16, 20, 20, 20, 28)
GUIDANCE = (4.0, 7.0)  # drawn from, the recommended scale among them
LEAST_SIGMA = 0.4  # steps below change no subject any more
MOODY_STEPS = 0.6  # in this share of the steps a person without a mood is taught as one with it
FOLLOWS_TEACHER = 0.25  # of the pictures go on with the teacher's answer, so that blends are seen from the first day
MOST_GRADIENT = 0.1  # the usual norm; the first steps of a picture are up to twice that
KEPT_SHARE = 2.0  # how much the true pictures count beside the drawn ones
WARM_UP = 40  # steps
SAVE_EVERY = 25  # steps
STEPS_OF_A_SEED = 1_000_000
PLAIN_SHARE = 0.55  # of the drawn pictures; the others alternate
PLACEHOLDERS = 256  # rows of the token table that no caption uses, for those vectors


class Texts:
    """Captions as contexts, by the teacher's text encoder; PERSON stands for vectors anew each time."""

    def __init__(self, painter: Painter):
        self._encoder = painter.text_encoder
        self._table = cast(Tensor, self._encoder.get_input_embeddings().weight)
        used = {token for text in vocabulary() for token in clip_tokenizer().encode(text)} - {BEGIN, END}
        self._words = self._table[sorted(used)].clone()
        self._centre = self._words.mean(0)
        self._free = [token for token in range(20_000, 40_000) if token not in used][:PLACEHOLDERS]
        self._next = 0

    def vectors(self, rng: random.Random, generator: torch.Generator) -> list[int]:
        """One to three tokens with new vectors: a word for a person, moved towards some words and anywhere."""
        ids = []
        for word in [rng.choice(("woman", "man")), "person", "person"][: rng.choice((1, 2, 2, 2, 3))]:
            vector = self._table[clip_tokenizer().encode(word)[0]].clone()
            for row in rng.sample(range(len(self._words)), rng.randint(0, 4)):
                vector += rng.uniform(-0.2, 0.8) * (self._words[row] - self._centre)
            anywhere = torch.randn(len(vector), generator=generator)
            vector += anywhere * (rng.uniform(0, 5) / len(vector) ** 0.5)
            token = self._free[self._next % PLACEHOLDERS]
            self._next += 1
            self._table.data[token] = vector
            ids.append(token)
        return ids

    @torch.no_grad()
    def contexts(self, captions: Sequence[str], persons: Sequence[list[int]]) -> Tensor:
        """float32 [B, 77, 160]; `persons` are the tokens that stand for PERSON in each caption."""
        rows = []
        for text, person in zip(captions, persons, strict=True):
            before, *after = text.split(PERSON)
            ids = clip_tokenizer().encode(before)
            for part in after:
                ids = [*ids, *person, *clip_tokenizer().encode(part)]
            row = [BEGIN, *ids[: sizes.POSITIONS - 2]]
            rows.append(row + [END] * (sizes.POSITIONS - len(row)))
        return self._encoder(input_ids=torch.tensor(rows)).last_hidden_state


class Noise:
    """Levels of noise: sigmas of schedules, and timesteps between the thousand."""

    def __init__(self) -> None:
        kept = alphas_cumprod()
        self.sigmas = ((1 - kept) / kept).sqrt()
        self._logs = self.sigmas.log()

    def karras(self, steps: int) -> Tensor:
        """Sigmas [steps], falling (Karras et al. 2022, equation 5)."""
        low, high = (float(self.sigmas[place]) ** (1 / KARRAS_RHO) for place in (0, -1))
        return (high + torch.linspace(0, 1, steps) * (low - high)) ** KARRAS_RHO

    def timesteps(self, sigmas: Tensor) -> Tensor:
        """Timesteps, between whole ones too, of sigmas [B]."""
        logs = sigmas.log()
        above = torch.searchsorted(self._logs, logs).clamp(1, len(self._logs) - 1)
        low, high = self._logs[above - 1], self._logs[above]
        return (above - 1 + (logs - low) / (high - low)).clamp(0, len(self._logs) - 1)


def answers(unet: UNet2DConditionModel, latents: Tensor, sigmas: Tensor, noise: Noise, contexts: Tensor) -> Tensor:
    """eps [B, 4, h, w] for latents with noise of sigmas [B]."""
    scaled = latents / (1 + sigmas.square()).sqrt()[:, None, None, None]
    return unet(scaled, noise.timesteps(sigmas), contexts).sample


class Batch:
    """Some pictures that are drawn together, one step at a time (DPM++ 2M, Lu et al. 2022b)."""

    def __init__(self, drawings: list[Drawing], texts: Texts, noise: Noise, rng: random.Random, seed: int):
        self.drawings = drawings
        generator = torch.Generator().manual_seed(seed)
        self.sigmas = noise.karras(rng.choice(DRAWN_STEPS))
        self.scale = rng.uniform(*GUIDANCE)
        self.importance = torch.tensor([drawing.importance for drawing in drawings])
        self.moody = round(MOODY_STEPS * len(self.sigmas))
        self.latents = torch.randn(len(drawings), 4, sizes.LATENT_SIZE, sizes.LATENT_SIZE, generator=generator)
        self.latents *= self.sigmas[0]
        self.by_teacher = torch.rand(len(drawings), generator=generator) < FOLLOWS_TEACHER
        persons = [texts.vectors(rng, generator) for _ in drawings]
        every = [
            (place, text)
            for place, drawing in enumerate(drawings)
            for text in {*drawing.heard, *(text for text, _ in (*(drawing.early or ()), *(drawing.late or ())))}
        ]
        encoded = texts.contexts([text for _, text in every], [persons[place] for place, _ in every])
        self._contexts = dict(zip(every, encoded, strict=True))
        self.step = 0
        self._last: tuple[Tensor, float] | None = None

    @property
    def is_done(self) -> bool:
        return bool(self.sigmas[self.step + 1] < LEAST_SIGMA)

    def heard(self) -> Tensor:
        texts = [drawing.heard[self.step % len(drawing.heard)] for drawing in self.drawings]
        return torch.stack([self._contexts[place, text] for place, text in enumerate(texts)])

    def told(self) -> tuple[list[int], Tensor, Tensor]:
        """What the teacher is told now: whose picture each line is for, contexts [n, 77, 160], weights [n]."""
        lines = [
            (place, text, weight)
            for place, drawing in enumerate(self.drawings)
            for text, weight in drawing.told(self.step, self.moody)
        ]
        contexts = torch.stack([self._contexts[place, text] for place, text, _ in lines])
        return [place for place, _, _ in lines], contexts, torch.tensor([weight for _, _, weight in lines])

    def advance(self, untold: Tensor, taught: Tensor, learned: Tensor) -> None:
        """Go on one step with the teacher's answers or with what the UNet gave."""
        told = torch.where(self.by_teacher[:, None, None, None], taught, learned)
        here, there = float(self.sigmas[self.step]), float(self.sigmas[self.step + 1])
        denoised = self.latents - here * (untold + self.scale * (told - untold))
        step, direction = math.log(here / there), denoised
        if self._last is not None:
            old, last = self._last
            direction = denoised + step / (2 * last) * (denoised - old)
        self.latents = there / here * self.latents - math.expm1(-step) * direction
        self._last = (denoised, step)
        self.step += 1


def kept_lessons(
    latents: Tensor,
    portraits: list[Portrait],
    count: int,
    texts: Texts,
    noise: Noise,
    rng: random.Random,
    seed: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """True pictures with noise, that have to be answered as before: latents [n, 4, h, w], sigmas [n], contexts."""
    generator = torch.Generator().manual_seed(seed)
    places = [rng.randrange(len(portraits)) for _ in range(count)]
    captions = [_kept_caption(portraits[place], rng) for place in places]
    timesteps = (torch.arange(count) + torch.rand(count, generator=generator)) * (len(noise.sigmas) / count)
    sigmas = noise.sigmas[timesteps.long().clamp(max=len(noise.sigmas) - 1)]
    clean = latents[places].float()
    noisy = clean + sigmas[:, None, None, None] * torch.randn(clean.shape, generator=generator)
    return noisy, sigmas, texts.contexts(captions, [texts.vectors(rng, generator) for _ in captions])


def _kept_caption(portrait: Portrait, rng: random.Random) -> str:
    """What is heard of a true picture: often a person of made-up vectors, most of them without a mood."""
    if rng.random() < 0.1:
        return ""
    subject = None
    if portrait.is_person and rng.random() < 0.6:
        portrait = replace(portrait, hair="none", hair_colour="none", skin="none", beard="none")
        portrait, subject = replace(portrait, mood="none" if rng.random() < 0.7 else portrait.mood), PERSON
    elif portrait.is_person and rng.random() < 0.5:
        portrait = replace(portrait, mood="none")
        subject = rng.choice(SYNONYMS["person" if rng.random() < 0.2 else portrait.subject])
    return caption(portrait, rng, subject=subject)


def weighted_error(eps: Tensor, wanted: Tensor, sigmas: Tensor, importance: Tensor | float = 1.0) -> Tensor:
    """Squared error of eps [B, 4, h, w], more weight where an error moves the picture more: sqrt(1 + sigma²), between
    that of eps (1) and that of v (1 + sigma²)."""
    return ((eps - wanted).square().mean(dim=(1, 2, 3)) * (1 + sigmas.square()).sqrt() * importance).mean()


def rate(step: int, steps: int, peak: float) -> float:
    """Warm-up, then a cosine to zero."""
    return peak * min(1.0, (step + 1) / WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * step / steps))


class Training:
    """The UNet that learns, and what it is taught with.

    Args:
        teacher: packed file.
        seed: draws the pictures.
        drawings, kept: pictures that are drawn at a time, and true ones in a step.
        start: packed file that the UNet begins from; None: the teacher.
    """

    def __init__(
        self,
        teacher: Path,
        seed: int,
        drawings: int,
        kept: int,
        start: Path | None = None,
    ):
        self._painter, self._noise = Painter(teacher), Noise()
        self.texts = Texts(self._painter)
        self._empty = self.texts.contexts([""], [[]])
        self._seed, self._drawings, self._kept = seed, drawings, kept
        self._batch: Batch | None = None
        self.unet = sizes.make_unet()
        self.unet.load_state_dict(Painter(start).unet.state_dict() if start else self._painter.unet.state_dict())
        self.average = torch.optim.swa_utils.AveragedModel(self.unet, avg_fn=_average)
        self.optimizer = torch.optim.AdamW(self.unet.parameters(), weight_decay=0.0)
        self.step = 0

    def state(self) -> dict[str, Any]:
        parts = {"unet": self.unet, "average": self.average, "optimizer": self.optimizer}
        return {name: part.state_dict() for name, part in parts.items()} | {"step": self.step}

    def restore(self, state: dict[str, Any]) -> None:
        self.unet.load_state_dict(state["unet"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]

    def learn(self, latents: Tensor, portraits: list[Portrait], rate: float) -> tuple[float, float]:
        """One step; returns the errors at drawn and at true pictures.

        Args:
            latents, portraits: the true pictures, [n, 4, h, w], and who is on them.
            rate: learning rate.
        """
        seed = self._seed * STEPS_OF_A_SEED + self.step
        rng = random.Random(f"distil:{seed}")
        batch = self._drawn(rng, seed)
        lessons = kept_lessons(latents, portraits, self._kept, self.texts, self._noise, rng, seed)
        untold, taught, as_before = self._ask_teacher(batch, lessons)
        sigma = batch.sigmas[batch.step].expand(self._drawings)
        noisy, levels, contexts = lessons
        eps = answers(
            self.unet,
            torch.cat([batch.latents, noisy]),
            torch.cat([sigma, levels]),
            self._noise,
            torch.cat([batch.heard(), contexts]),
        )
        drawn, kept = eps.split([self._drawings, self._kept])
        errors = weighted_error(drawn, taught, sigma, batch.importance), weighted_error(kept, as_before, levels)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        (errors[0] + KEPT_SHARE * errors[1]).backward()
        torch.nn.utils.clip_grad_norm_(self.unet.parameters(), MOST_GRADIENT)
        self.optimizer.step()
        self.average.update_parameters(self.unet)
        batch.advance(untold, taught, drawn.detach())
        self.step += 1
        return errors[0].item(), errors[1].item()

    def _drawn(self, rng: random.Random, seed: int) -> Batch:
        """The pictures that are being drawn, or new ones when those are done."""
        if self._batch is None or self._batch.is_done:
            makers = [plain if rng.random() < PLAIN_SHARE else alternated for _ in range(self._drawings)]
            self._batch = Batch([make(rng) for make in makers], self.texts, self._noise, rng, seed)
        return self._batch

    @torch.no_grad()
    def _ask_teacher(self, batch: Batch, lessons: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor]:
        """What the teacher answers at the drawn pictures, untold and told, and at the true ones."""
        noisy, levels, contexts = lessons
        whose, told, weights = batch.told()
        sigma = batch.sigmas[batch.step]
        replies = answers(
            self._painter.unet,
            torch.cat([batch.latents, batch.latents[whose], noisy]),
            torch.cat([sigma.expand(self._drawings + len(whose)), levels]),
            self._noise,
            torch.cat([self._empty.expand(self._drawings, -1, -1), told, contexts]),
        )
        untold, parts, as_before = replies.split([self._drawings, len(whose), self._kept])
        taught = torch.zeros_like(untold)
        return untold, taught.index_add_(0, torch.tensor(whose), parts * weights[:, None, None, None]), as_before


def _average(averaged: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
    """Exponential moving average over the last hundred steps."""
    return torch.lerp(current, averaged, min(0.99, (1 + int(count)) / (10 + int(count))))


def write_packed(teacher: Path, unet: Mapping[str, Tensor], path: Path) -> None:
    """Write the teacher's file once more, with another UNet."""
    with safe_open(teacher, "pt") as file:
        metadata = file.metadata()
    tensors = load_file(teacher)
    parts = from_ldm(tensors)
    tensors |= {n: t.half().contiguous() for n, t in to_ldm(Parts(dict(unet), parts.vae, parts.text_encoder)).items()}
    write_atomically(path, save(tensors, metadata))


def main() -> None:
    parser = argparse.ArgumentParser(description="Teach a packed model to blend what a prompt alternates.")
    parser.add_argument("--teacher", type=Path, default=CHECKPOINT, help="packed file whose answers are taught")
    parser.add_argument("--start-from", type=Path, help="packed file that the UNet begins from; default: the teacher")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--drawings", type=int, default=8, help="pictures drawn at a time")
    parser.add_argument("--kept", type=int, default=8, help="true pictures a step")
    parser.add_argument("--rate", type=float, default=1e-4)
    parser.add_argument("--seed", type=int, default=0, help="another one draws other pictures")
    args = parser.parse_args()
    sizes.be_polite()
    state_path = sizes.WORK / f"distilled-{args.seed}.pt"
    training = Training(args.teacher, args.seed, args.drawings, args.kept, args.start_from)
    if state_path.exists():
        training.restore(sizes.load_state(state_path))
    latents, portraits = load_latents("train")
    clock, sums = time.monotonic(), [0.0, 0.0]
    while training.step < args.steps:
        errors = training.learn(latents, portraits, rate(training.step, args.steps, args.rate))
        sums = [total + error / SAVE_EVERY for total, error in zip(sums, errors, strict=True)]
        if training.step % SAVE_EVERY == 0 or training.step == args.steps:
            sizes.save_state(state_path, training.state())
            seconds = (time.monotonic() - clock) / SAVE_EVERY
            print(
                f"step {training.step} of {args.steps}, {seconds:.1f} s each, drawn {sums[0]:.5f}, kept {sums[1]:.5f}",
                flush=True,
            )
            clock, sums = time.monotonic(), [0.0, 0.0]
    packed = state_path.with_suffix(".safetensors")
    write_packed(args.teacher, training.average.module.state_dict(), packed)
    print(packed)


if __name__ == "__main__":
    main()
