"""The device that the program chooses here (CUDA, MPS or CPU): does it agree with the CPU, how fast, how much memory?

Agreement is asked on a tiny model in fp32, sampler by sampler, as the largest difference of a pixel, of 255.
Speed and memory are those of a full-size Stable Diffusion 1 with random weights, 512×512: how long it takes does not
depend on what the weights know. Without a GPU the full-size part takes many minutes.
"""

import math
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from modules.embeddings.database import EmbeddingDatabase
from modules.errors import is_out_of_memory
from modules.events import ImageDone
from modules.flags import Flags
from modules.generation.outputs import OutputFolder
from modules.generation.txt2img import txt2img
from modules.images import open_image
from modules.model.checkpoint import Checkpoint
from modules.model.conditioning import Conditioner, PromptRules
from modules.model.device import DevicePolicy, Precision
from modules.model.loader import load_model
from modules.model.model import SDModel
from modules.params import Txt2ImgParams
from modules.samplers.names import sampler_names
from modules.samplers.philox import PhiloxGenerator
from modules.training.textual_inversion import Batch, TextualInversion, fresh_state
from tests import tiny
from tests.bench import Result, seconds

HALF, BF16, FULL = torch.float16, torch.bfloat16, torch.float32
PRECISIONS = {
    "fp16": Precision(HALF, HALF, HALF),
    "bf16": Precision(BF16, BF16, FULL),
    "fp32": Precision(),
}
SIZE = 512
BATCHES = (1, 4)
NAME = "bench-t1"


def run() -> Iterator[Result]:
    device = DevicePolicy.chosen(Flags()).device
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        yield from _agreement(folder, device)
        if device.type == "cuda":
            yield from _noise(device)
        path = tiny.checkpoint(folder / "full.safetensors", "sd1-full")
        for words, precision in PRECISIONS.items():
            model = load_model(Checkpoint(path, path.name), DevicePolicy(device, precision, precision))
            yield from _pictures(model, words, folder)
            yield from _training(model, words)
            del model
            _forget(device)


def _agreement(folder: Path, device: torch.device) -> Iterator[Result]:
    path = tiny.checkpoint(folder / "small.safetensors", dtype=FULL)
    models = [load_model(Checkpoint(path, path.name), DevicePolicy(where)) for where in (torch.device("cpu"), device)]
    for sampler in sampler_names():
        params = Txt2ImgParams("a cat", sampler=sampler, steps=6, width=128, height=128, seed=1)
        here, there = (_drawn(model, params, folder) for model in models)
        yield Result(f"{sampler}: farthest from the CPU's picture, of 255", float((here - there).abs().max()), "")


def _noise(device: torch.device) -> Iterator[Result]:
    """The emulated draws of an NVIDIA card against this card's own."""
    for shape in ((4, 64, 64), (4, 128, 128)):
        emulated, generator = PhiloxGenerator(1234567), torch.Generator(device).manual_seed(1234567)
        worst = 0.0
        for _ in range(3):
            drawn = torch.randn(shape, generator=generator, device=device).cpu()
            worst = max(worst, float((emulated.randn(shape) - drawn).abs().max()))
        yield Result(f"emulated noise of {shape}: farthest from this card's", worst, "")


def _pictures(model: SDModel, words: str, folder: Path) -> Iterator[Result]:
    conditioner = Conditioner(model, EmbeddingDatabase([]))
    outputs = OutputFolder(folder / "outputs", folder / "outputs", save_grid=False)
    for batch in BATCHES:
        params = Txt2ImgParams("a cat", steps=20, width=SIZE, height=SIZE, batch_size=batch, seed=1, cfg_scale=7.0)
        _forget(model.device)
        time = seconds(lambda params=params: list(txt2img(conditioner, params, outputs)), runs=3)
        yield Result(f"{words}: 20 steps, {batch} of {SIZE}×{SIZE}, a picture", time / batch, "s")
        yield from _peak(model.device, f"{words}: the same, memory at most")


def _training(model: SDModel, words: str) -> Iterator[Result]:
    generator = torch.Generator().manual_seed(0)
    conditioner = Conditioner(model, EmbeddingDatabase([]))
    vectors = torch.randn(2, model.width, generator=generator) * 0.02
    for batch in BATCHES:
        training = TextualInversion(conditioner, NAME, fresh_state(vectors), PromptRules(), equal_pull=True)
        latents, noise = torch.randn(2, batch, 4, SIZE // 8, SIZE // 8, generator=generator)
        timesteps = torch.linspace(50, 950, batch).long()
        given = Batch(latents, noise, timesteps, [f"a photo of a {NAME}"] * batch)
        _forget(model.device)
        try:
            time = seconds(lambda given=given, training=training: training.step([given], 1e-3))
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            yield Result(f"{words}: a training step, batch {batch}: too large", math.nan, "s")
            continue
        moved = float((training.learned - vectors).norm())
        yield Result(f"{words}: a training step, batch {batch} (vectors moved {moved:.3f})", time, "s")
        yield from _peak(model.device, f"{words}: the same, memory at most")


def _drawn(model: SDModel, params: Txt2ImgParams, folder: Path) -> Tensor:
    """The picture's pixels, float32 [h, w, 3]."""
    outputs = OutputFolder(folder / "outputs", folder / "outputs", save_grid=False)
    events = txt2img(Conditioner(model, EmbeddingDatabase([])), params, outputs)
    path = [event.path for event in events if isinstance(event, ImageDone)][-1]
    return torch.from_numpy(np.array(open_image(path).convert("RGB"))).float()


def _forget(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def _peak(device: torch.device, what: str) -> Iterator[Result]:
    if device.type == "cuda":
        yield Result(what, torch.cuda.max_memory_allocated(device) / 1e9, "GB")
