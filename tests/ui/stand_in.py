"""An App that draws without a model: the real queue, events and files, and pictures of one colour.

For tests of the page alone: they need no torch, and each step of a run waits until the test lets it go on.
"""

import io
import threading
import time
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from modules.app import App
from modules.desks.checkpoints import CheckpointShelf
from modules.desks.drawing import DAYS_FOLDERS, Place
from modules.errors import OutOfMemory
from modules.events import Event, GridDone, ImageDone, Noticed, Request, Sampled, Status
from modules.flags import Flags
from modules.jobs import Work
from modules.model.checkpoint import Checkpoint
from modules.model.hashes import HashCache
from modules.model_state import ModelState, ModelStatus
from modules.params import Txt2ImgParams
from modules.paths import Paths
from modules.settings import Settings

DEMO = "demo-portraits.safetensors [0123456789]"
OTHER = "other.safetensors [abcdef0123]"
GUARD = 600.0  # seconds: pages take their time to open on a busy machine


class _Shelf(CheckpointShelf):
    """Two checkpoints whose files are not there."""

    def all(self) -> list[Checkpoint]:
        named = [(title.split()[0], title.split("[")[1][:10]) for title in (DEMO, OTHER)]
        return [Checkpoint(Path(name), name, digits.ljust(64, "0")) for name, digits in named]


class StandIn(App):
    """An App of that kind.

    Args:
        data: its data folder.
        pace: seconds for a step; None: each step waits for `steps.release()`.
        failing: runs end with a sentence instead of a picture.
        loading: the model is there when this is set; None: at once.

    Attributes:
        users: who logged in for each run.
    """

    def __init__(
        self,
        data: Path,
        pace: float | None = 0.0,
        failing: bool = False,
        loading: threading.Event | None = None,
        flags: Flags | None = None,
    ):
        self.users: list[str] = []
        paths, flags = Paths(data), flags or Flags()
        shelf = _Shelf(paths, flags, HashCache(paths.hash_cache))
        super().__init__(paths, Settings(), flags, shelf=shelf)
        self.pace = pace
        self.failing = failing
        self.loading = loading
        self.steps = threading.Semaphore(0)

    def _first_work(self) -> Work:
        yield Status("loading")
        if self.loading:
            assert self.loading.wait(GUARD), "the test lets it go on"
        self.models.state = ModelState(
            ModelStatus.READY, "", DEMO, "cpu · fp32 · 1 thread", (128, 128), {"cfg_scale": 5.0, "steps": 12}
        )

    def _txt2img(
        self,
        params: Txt2ImgParams,
        place: Place = DAYS_FOLDERS,
        settings: object = None,
        picture: object = None,
        suited: object = None,
    ) -> Work:
        self.users.append(place.user)
        yield Status("reading the prompt")
        if self.failing:
            raise OutOfMemory(f"There is too little memory for {params.width}×{params.height}: choose a smaller size.")
        index = 0
        for batch in range(params.batch_count):
            request: Request | None = None
            for step in range(1, params.steps + 1):
                self.wait_for_a_step()
                preview = _png(Image.effect_noise((16, 16), 90 - 80 * step / params.steps).convert("RGB"), "")
                request = yield Sampled(step, params.steps, batch + 1, params.batch_count, preview)
                if request:
                    break
            for _ in range(params.batch_size):
                seed = params.seed + index if params.seed >= 0 else 1000 + index
                yield self._save(params, index, seed, request is not None, place.pictures)
                index += 1
            if request is Request.INTERRUPT:
                return
        if index > 1:
            path = self.paths.txt2img_grids / "grid-0000.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_png(Image.new("RGB", (256, 256), (60, 60, 80)), "grid"))
            yield GridDone(path, "grid")
        if "[" in params.prompt:
            yield Noticed(f"A note about {params.prompt}")

    def calm_down(self) -> None:
        """End all jobs and be as at the start, but for what was saved."""
        self.pace, self.failing = 0.0, False
        left = [job for job in self.jobs.jobs() if not job.is_over]
        for job in left:
            job.interrupt()
        while not all(job.is_over for job in left):
            self.steps.release()  # for a step that waits already
            time.sleep(0.01)
        self.steps = threading.Semaphore(0)

    def wait_for_a_step(self) -> None:
        """Return when the next step may be done."""
        if self.pace is None:
            assert self.steps.acquire(timeout=GUARD), "nobody let it go on"
        else:
            time.sleep(self.pace)

    def _save(self, params: Txt2ImgParams, index: int, seed: int, incomplete: bool, folder: Path | None) -> Event:
        path = (folder or self.paths.txt2img_images / "2026-01-02") / f"{index:05}-{seed}-{len(self.jobs.jobs())}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        size = f"{params.width}x{params.height}"
        text = f"{params.prompt}\nSteps: {params.steps}, CFG scale: {params.cfg_scale}, Seed: {seed}, Size: {size}"
        image = Image.linear_gradient("L").resize((params.width, params.height)).convert("RGB")
        path.write_bytes(_png(image, text))
        return ImageDone(path, text, index, seed, incomplete)


def _png(image: Image.Image, infotext: str) -> bytes:
    info = PngInfo()
    if infotext:
        info.add_text("parameters", infotext)
    file = io.BytesIO()
    image.save(file, "PNG", pnginfo=info)
    return file.getvalue()
