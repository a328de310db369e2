"""One picture by the demo model at its native size, 20 steps, as the page asks for it: previews, decoding, saving."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from modules.embeddings.database import EmbeddingDatabase
from modules.flags import Flags
from modules.generation.outputs import OutputFolder
from modules.generation.txt2img import txt2img
from modules.model.checkpoint import find_checkpoints
from modules.model.conditioning import Conditioner
from modules.model.device import DevicePolicy
from modules.model.loader import load_model
from modules.params import Txt2ImgParams
from modules.paths import PROGRAM
from tests.bench import Result, seconds

PROMPT = "portrait of a (smiling:1.3) woman with [red hair | blue hair], glasses"


def run() -> Iterator[Result]:
    demo = next(c for c in find_checkpoints([PROGRAM / "models" / "Stable-diffusion"]) if "demo" in c.name)
    model = load_model(demo, DevicePolicy.chosen(Flags()))
    conditioner = Conditioner(model, EmbeddingDatabase([]))
    width, height = model.native_size
    params = Txt2ImgParams(
        prompt=PROMPT, schedule="Karras", steps=20, width=width, height=height, cfg_scale=5.0, seed=1
    )
    with tempfile.TemporaryDirectory() as folder:
        outputs = OutputFolder(Path(folder), Path(folder))
        time = seconds(lambda: list(txt2img(conditioner, params, outputs)))
    yield Result(f"20 steps at {width}×{height}, {model.device_line}", time, "s", 3.0)
