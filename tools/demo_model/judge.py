"""The judge: tells the attributes of a picture, and whether it is a picture at all.

    python -m tools.demo_model.judge train     writes tests/data/judge/judge.safetensors
    python -m tools.demo_model.judge score     real pictures, reconstructions and a checkpoint's pictures

It is trained on clean, blurred and noisy pictures and on what the autoencoder makes of them, so that softness alone
does not count as a pencil sketch; fog (undrawn noise, two pictures at once, heavy blur) is what it must reject.
"""

import argparse
import json
import random
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from modules.files import write_atomically
from tools.demo_model import render, train_vae, world
from tools.demo_model.encode import load_latents
from tools.demo_model.networks import (
    be_polite,
    decode_pictures,
    encode_pictures,
    make_vae,
    pictures_to_tensor,
    vae_weights,
)
from tools.demo_model.pack import CHECKPOINT
from tools.demo_model.sample import Painter, sheet
from tools.demo_model.world import Portrait, plain_caption

JUDGE = Path(__file__).resolve().parents[2] / "tests" / "data" / "judge" / "judge.safetensors"
CLASSES: dict[str, tuple[str, ...]] = {
    "style": world.STYLES,
    "subject": ("person", *world.ANIMALS),
    "hair": (*world.HAIRS, "none"),
    "hair_colour": (*world.HAIR_COLOURS, "none"),
    "skin": (*world.SKINS, "none"),
    "beard": world.BEARDS,
    "eyewear": world.EYEWEAR,
    "mood": (*world.MOODS, "none"),
    "garment_colour": world.COLOURS,
    "background": (*world.COLOURS, *world.SCENES),
    "framing": world.FRAMINGS,
    "filter": world.FILTERS,
}
COLOURED = ("hair_colour", "skin", "garment_colour", "background")  # cannot be told once a filter took the colours
IN_THE_MEAN = tuple(name for name in CLASSES if name != "filter")  # nearly nine in ten pictures have no filter
UNKNOWN = -100  # the label that cross entropy leaves out
SCORED = 128  # validation portraits that scores are taken on
EXAMPLES = 16  # real pictures stored beside the judge


class Judge(nn.Module):
    """uint8 [B, 128, 128, 3] to one row of class scores for each attribute, and a score of being a picture."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_block(3, 32, stride=2),
            *_block(32, 64, stride=2),
            *_block(64, 96, stride=2),
            *_block(96, 96),
            *_block(96, 96, stride=2),
            nn.Flatten(),  # faces keep their place, so where a feature lies tells what it is
            nn.Linear(96 * 8 * 8, 192),
            nn.ReLU(),
            nn.Dropout(0.2),
        )
        self.heads = nn.ModuleDict({name: nn.Linear(192, len(classes)) for name, classes in CLASSES.items()})
        self.is_picture = nn.Linear(192, 1)

    def forward(self, pictures: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        features = self.layers(pictures_to_tensor(pictures))
        return {name: head(features) for name, head in self.heads.items()}, self.is_picture(features)[:, 0]

    @torch.no_grad()
    def describe(self, pictures: Tensor) -> tuple[dict[str, list[str]], Tensor]:
        """The likeliest class of each attribute for uint8 [B, 128, 128, 3], and the chance of being a picture [B]."""
        parts = [self(batch) for batch in pictures.split(64)]
        words = {
            name: [classes[place] for scores, _ in parts for place in scores[name].argmax(1).tolist()]
            for name, classes in CLASSES.items()
        }
        return words, torch.cat([chance.sigmoid() for _, chance in parts])


def _block(width_in: int, width_out: int, stride: int = 1) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(width_in, width_out, 3, stride, padding=1, bias=False)
    return convolution, nn.BatchNorm2d(width_out), nn.ReLU()


def load_judge(path: Path = JUDGE) -> Judge:
    """The trained judge.

    Raises:
        ValueError: the file was made for other attributes or classes.
    """
    with safe_open(path, "pt") as file:
        if json.loads(file.metadata()["classes"]) != {name: list(classes) for name, classes in CLASSES.items()}:
            raise ValueError(f"{path} judges other attributes: train it again.")
    judge = Judge().eval().requires_grad_(False)
    judge.load_state_dict(load_file(path))
    return judge


def label(portrait: Portrait, name: str) -> str | None:
    """The class of an attribute, or None where a filter hides it or the frame cuts it off."""
    if portrait.filter != "none" and name in COLOURED and getattr(portrait, name) not in world.SCENES:
        return None
    if name == "garment_colour" and portrait.is_person and portrait.framing == "close-up":
        return None  # at most a few pixels of it are left: on real pictures the judge was right in one of three
    value = getattr(portrait, name)
    return "person" if name == "subject" and portrait.is_person else value


def accuracy(judge: Judge, pictures: Tensor, portraits: list[Portrait]) -> dict[str, float]:
    """Share of pictures whose attribute is told as asked for, by attribute; "mean" of them; "fog" = share rejected."""
    words, chance = judge.describe(pictures)
    shares = {}
    for name, told in words.items():
        pairs = [(label(portrait, name), word) for portrait, word in zip(portraits, told, strict=True)]
        asked = [wanted == word for wanted, word in pairs if wanted is not None]
        shares[name] = sum(asked) / len(asked)
    shares["mean"] = sum(shares[name] for name in IN_THE_MEAN) / len(IN_THE_MEAN)
    shares["fog"] = (chance < 0.5).float().mean().item()
    return shares


def _labels(portraits: list[Portrait]) -> dict[str, Tensor]:
    return {
        name: torch.tensor([UNKNOWN if (word := label(p, name)) is None else classes.index(word) for p in portraits])
        for name, classes in CLASSES.items()
    }


def _disturbed(pictures: Tensor, kind: float, generator: torch.Generator) -> Tensor:
    """Half of the time nothing, else a light blur, light noise, or a change of brightness."""
    if kind < 0.5:
        return pictures
    values = pictures.permute(0, 3, 1, 2).float()
    if kind < 0.7:
        values = F.avg_pool2d(F.pad(values, (1, 1, 1, 1), mode="replicate"), 3, 1)
    elif kind < 0.85:
        values = values + 10 * torch.randn(values.shape, generator=generator)
    else:
        values = values * (0.9 + 0.2 * torch.rand(len(values), 1, 1, 1, generator=generator))
    return values.clamp(0, 255).round().byte().permute(0, 2, 3, 1)


def _fog(pictures: Tensor, undrawn: Tensor, rng: random.Random, generator: torch.Generator) -> Tensor:
    """What a judge must not take for a picture: heavy blur, two pictures at once, noise, undrawn latents."""
    values = pictures.permute(0, 3, 1, 2).float()
    kind = rng.randrange(4)
    if kind == 0:
        values = F.interpolate(F.avg_pool2d(values, 16), scale_factor=16, mode="bilinear")
    elif kind == 1:
        values = (values + values.roll(1, 0)) / 2
    elif kind == 2:
        values = values + 90 * torch.randn(values.shape, generator=generator)
    else:
        chosen = torch.randint(len(undrawn), (len(values),), generator=generator)
        return undrawn[chosen]
    return values.clamp(0, 255).round().byte().permute(0, 2, 3, 1)


def train(pictures_seen: int, data: int, reconstructions: int) -> None:
    """Train the judge on the training series and write it as float16."""
    torch.manual_seed(0)
    batch_size, generator, rng = 64, torch.Generator().manual_seed(0), random.Random(0)
    pictures, portraits = render.load("train", data)
    clean, labels = torch.from_numpy(pictures), _labels(portraits)
    vae = make_vae()
    vae.load_state_dict(vae_weights(train_vae.finished()))
    latents, _ = load_latents("train", reconstructions)
    level = 0.15 * torch.rand(len(latents), 1, 1, 1, generator=generator)
    redrawn = decode_pictures(vae, latents + level * torch.randn(latents.shape, generator=generator))
    undrawn = decode_pictures(vae, 0.5 * latents[:512] + torch.randn(latents[:512].shape, generator=generator))

    judge, steps = Judge(), pictures_seen // batch_size
    optimizer = torch.optim.AdamW(judge.parameters(), lr=1e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=2e-3, total_steps=steps, pct_start=0.1)
    for step in range(steps):
        use_redrawn = step % 2 == 1
        source = redrawn if use_redrawn else clean
        chosen = torch.randint(len(source), (batch_size,), generator=generator)
        shown = _disturbed(source[chosen], rng.random(), generator)
        fog = _fog(shown[: batch_size // 4], undrawn, rng, generator)
        scores, real = judge(torch.cat([shown, fog]))
        target = torch.cat([torch.ones(batch_size), torch.zeros(len(fog))])
        loss = F.binary_cross_entropy_with_logits(real, target)
        for name, rows in scores.items():
            loss = loss + F.cross_entropy(rows[:batch_size], labels[name][chosen], ignore_index=UNKNOWN)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 100 == 99:
            print(f"step {step + 1} of {steps}, loss {loss.item():.3f}", flush=True)
    tensors = {name: t.half() if t.is_floating_point() else t for name, t in judge.state_dict().items()}
    metadata = {"classes": json.dumps(CLASSES), "license": "MIT"}
    write_atomically(JUDGE, save(tensors, metadata))
    print(f"{JUDGE}: {JUDGE.stat().st_size / 1e6:.1f} MB")
    store_examples()


def store_examples() -> None:
    """A few validation pictures beside the judge, and what they show, for its test."""
    pictures, portraits = render.load("validation", EXAMPLES)
    sheet(torch.from_numpy(pictures)).save(JUDGE.with_name("pictures.png"), optimize=True)
    rows = [world.as_row(portrait) for portrait in portraits]
    write_atomically(JUDGE.with_name("pictures.json"), json.dumps(rows, indent=0))


def load_examples() -> tuple[Tensor, list[Portrait]]:
    """What `store_examples` stored: uint8 [16, 128, 128, 3] and portraits."""
    with Image.open(JUDGE.with_name("pictures.png")) as image:
        pixels = torch.from_numpy(np.array(image.convert("RGB")))
    size = world.PICTURE_SIZE
    rows = [row.split(size, dim=1) for row in pixels.split(size, dim=0)]
    portraits = [Portrait(*row) for row in json.loads(JUDGE.with_name("pictures.json").read_text())]
    return torch.stack([picture for row in rows for picture in row]), portraits


def score(checkpoint: Path) -> dict[str, dict[str, float]]:
    """Accuracies on validation portraits (never trained on): real, reconstructed and drawn by a checkpoint.

    Drawn pictures: plain captions, seed 1000 + number, 20 steps DPM++ 2M Karras, CFG 5.
    """
    judge, painter = load_judge(), Painter(checkpoint)
    pictures, portraits = render.load("validation", SCORED)
    real = torch.from_numpy(pictures)
    reconstructed = decode_pictures(painter.vae, encode_pictures(painter.vae, real))
    captions = [plain_caption(portrait) for portrait in portraits]
    drawn = painter.pictures(captions, [1000 + number for number in range(len(captions))])
    return {
        "real": accuracy(judge, real, portraits),
        "reconstructed": accuracy(judge, reconstructed, portraits),
        "drawn": accuracy(judge, drawn, portraits),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the judge, or score with it.")
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train")
    training.add_argument("--pictures", type=int, default=60_000, help="pictures to show in all")
    training.add_argument("--data", type=int, default=16_000, help="different pictures kept in memory")
    training.add_argument("--reconstructions", type=int, default=3_000)
    scoring = commands.add_parser("score")
    scoring.add_argument("--checkpoint", type=Path, default=CHECKPOINT)
    args = parser.parse_args()
    be_polite()
    if args.command == "train":
        train(args.pictures, args.data, args.reconstructions)
        return
    rows = score(args.checkpoint)
    for name in (*CLASSES, "mean", "fog"):
        print(f"{name:16}" + "".join(f"{kind} {row[name]:.3f}   " for kind, row in rows.items()))


if __name__ == "__main__":
    main()
