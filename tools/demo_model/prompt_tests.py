"""Does a demo model follow weights and alternation, and do plain words bring people and not hybrids?
`python -m tools.demo_model.prompt_tests`.

Pictures are drawn by the program's own txt2img, since it is its prompt language that is asked for; the judge reads
them.
"""

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from modules.embeddings.database import EmbeddingDatabase
from modules.events import ImageDone
from modules.generation.outputs import OutputFolder
from modules.generation.txt2img import txt2img
from modules.images import open_image
from modules.model.checkpoint import Checkpoint
from modules.model.conditioning import Conditioner
from modules.model.device import DevicePolicy
from modules.model.loader import load_model
from modules.params import Txt2ImgParams
from tools.demo_model.judge import CLASSES, Judge, load_judge
from tools.demo_model.networks import be_polite
from tools.demo_model.pack import CHECKPOINT
from tools.demo_model.sample import sheet as joined

SEEDS = 8
FIRST_SEED = 100
WEIGHTS = (0.0, 0.25, 0.5, 1.0, 1.5)
WEIGHTED = {  # prompt with one weighted word, attribute and class that the judge reads
    "sunglasses, flat": (
        "portrait of a woman, long red hair, (sunglasses:{}), blue background, flat style",
        "eyewear",
        "sunglasses",
    ),
    "sunglasses, cartoon": (
        "portrait of a man, short black hair, (sunglasses:{}), green background, cartoon style",
        "eyewear",
        "sunglasses",
    ),
    "sunglasses, ink": (
        "portrait of a woman, short brown hair, (sunglasses:{}), pink background, ink style",
        "eyewear",
        "sunglasses",
    ),
    "full beard, flat": (
        "portrait of a man, short brown hair, (full beard:{}), white background, flat style",
        "beard",
        "full beard",
    ),
}
ALTERNATED = (
    ("woman", "panda"),
    ("panda", "woman"),
    ("man", "lion"),
    ("lion", "man"),
    ("man", "robot"),
    ("fox", "rabbit"),
    ("woman", "cat"),
)
SHOWN = (("woman", "panda"), ("man", "lion"), ("man", "robot"))
ALTERNATION = "portrait of a {}, green shirt, yellow background, cartoon style"
PLAIN = (  # of prompts for a man or a woman, in which no animal may come
    ALTERNATION,
    "portrait of a {}, green shirt, yellow background, flat style",
    "portrait of a {}",
    "a {}, cartoon style",
    "portrait of a smiling {}, green shirt, yellow background, cartoon style",
)
PLAIN_SEEDS = (100, 200)  # the first of each batch


@dataclass
class Studio:
    """Draws with the program and reads with the judge."""

    conditioner: Conditioner
    judge: Judge
    folder: Path

    def pictures(self, prompt: str, first_seed: int = FIRST_SEED) -> Tensor:
        """uint8 [SEEDS, 128, 128, 3], from consecutive seeds."""
        params = Txt2ImgParams(
            prompt, sampler="DPM++ 2M", schedule="Karras", cfg_scale=5, seed=first_seed, batch_size=SEEDS, width=128,
            height=128,
        )  # fmt: skip
        outputs = OutputFolder(self.folder, self.folder, save_grid=False)
        done = [event.path for event in txt2img(self.conditioner, params, outputs) if isinstance(event, ImageDone)]
        return torch.from_numpy(np.stack([np.array(open_image(path).convert("RGB")) for path in done]))

    @torch.no_grad()
    def chance(self, pictures: Tensor, attribute: str, word: str) -> Tensor:
        """What the judge believes, [n]."""
        return self.judge(pictures)[0][attribute].softmax(1)[:, CLASSES[attribute].index(word)]

    def subject(self, pictures: Tensor, word: str) -> Tensor:
        return self.chance(pictures, "subject", "person" if word in ("man", "woman") else word)


def distance(one: Tensor, other: Tensor) -> Tensor:
    """Mean difference of pixels, 0 … 1, [n]."""
    return (one.float() - other.float()).abs().mean(dim=(1, 2, 3)) / 255


def weights(studio: Studio) -> None:
    print(f"chance of the word by the judge, mean of {SEEDS} seeds, at weights {WEIGHTS}")
    for name, (prompt, attribute, word) in WEIGHTED.items():
        row = [studio.chance(studio.pictures(prompt.format(w)), attribute, word).mean().item() for w in WEIGHTS]
        print(f"{name:22}" + "".join(f"{value:8.2f}" for value in row) + f"   1.5 - 0.5: {row[-1] - row[2]:+.2f}")


def alternation(studio: Studio) -> None:
    print("alternation [A|B]: pixel distances, share of seeds that lie between, chance of A and B in the mixture")
    for one, other in ALTERNATED:
        a, b, mixed = (studio.pictures(ALTERNATION.format(word)) for word in (one, other, f"[{one}|{other}]"))
        apart, to_a, to_b = distance(a, b), distance(mixed, a), distance(mixed, b)
        between = ((to_a < apart) & (to_b < apart)).float().mean().item()
        parents = [studio.subject(a, one).mean().item(), studio.subject(b, other).mean().item()]
        in_mixture = [studio.subject(mixed, word).mean().item() for word in (one, other)]
        print(
            f"{one + '/' + other:14} A-B {apart.mean():.3f}  M-A {to_a.mean():.3f}  M-B {to_b.mean():.3f}"
            f"  between {between:.2f}  parents {parents[0]:.2f} {parents[1]:.2f}"
            f"  in mixture {in_mixture[0]:.2f} {in_mixture[1]:.2f}"
        )


def purity(studio: Studio) -> None:
    count = SEEDS * len(PLAIN_SEEDS)
    print(f"chance of a person by the judge, mean of {count} seeds, and pictures that it takes for an animal")
    for prompt in PLAIN:
        for word in ("man", "woman"):
            drawn = torch.cat([studio.pictures(prompt.format(word), first) for first in PLAIN_SEEDS])
            seen = studio.subject(drawn, word)
            print(f"{prompt.format(word):70} {seen.mean():.2f}   {int((seen < 0.5).sum())} of {count}")


def sheet(studio: Studio) -> Tensor:
    """Fifty pictures in five rows of ten, uint8 [50, 128, 128, 3]: two women whose sunglasses weigh 0 … 1.5; a pair in
    each of three rows, as the first word alone (2), as [A|B] (4) and as “half A half B” (4); at last blends with
    “person” in both spellings (4 + 4) and words that the model does not know (2)."""
    weighted = [studio.pictures(WEIGHTED["sunglasses, flat"][0].format(weight)) for weight in WEIGHTS]
    rows = [torch.stack([pictures[woman] for woman in (0, 1) for pictures in weighted])]
    for one, other in SHOWN:
        for words, count in ((one, 2), (f"[{one}|{other}]", 4), (f"half {one} half {other}", 4)):
            rows.append(studio.pictures(ALTERNATION.format(words))[:count])
    rows.append(studio.pictures(ALTERNATION.format("half panda person"))[:4])
    rows.append(studio.pictures("half [woman | panda] person")[:4])
    rows.append(studio.pictures("a photo of a happy cyberpunk qwerty woman")[:2])
    return torch.cat(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="Weights, alternation and plain words of a demo model.")
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT)
    parser.add_argument("--sheet", type=Path, help="draw some of it into this PNG file instead")
    args = parser.parse_args()
    be_polite()
    with tempfile.TemporaryDirectory() as folder:
        model = load_model(Checkpoint(args.checkpoint, args.checkpoint.name), DevicePolicy(torch.device("cpu")))
        studio = Studio(Conditioner(model, EmbeddingDatabase([])), load_judge(), Path(folder))
        if args.sheet:
            joined(sheet(studio), columns=10).quantize(256).save(args.sheet, optimize=True)
            return
        weights(studio)
        alternation(studio)
        purity(studio)


if __name__ == "__main__":
    main()
