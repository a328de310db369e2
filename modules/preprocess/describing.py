"""Captions by BLIP for photos that have not been written yet: each crop is described as it is shown."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from modules.errors import ImageError
from modules.events import Event, Noticed, Progressed, Request, Status, Work
from modules.images import open_image
from modules.preprocess.blip import find_blip, load_blip
from modules.preprocess.crop import Crop, Size, cut


@dataclass(frozen=True)
class Described(Event):
    """What a model says about one photo."""

    photo: Path
    text: str


def describe(crops: Mapping[Path, Crop], size: Size, models: Path, device: str = "cpu") -> Work:
    """Describe photos one after the other.

    Args:
        crops: the part of each photo that is looked at.
        size: of the pictures to write.
        models: folder that BLIP may lie in.

    Yields:
        `Status`, `Progressed` before each photo, `Described` or `Noticed` after it.

    Raises:
        ModelMissing: BLIP is not there.
        CheckpointError, FileFormatError: its files cannot be used.
    """
    folder = find_blip(models)
    yield Status("loading BLIP")
    say: Callable[[Image.Image], str] = load_blip(folder, device).describe
    for done, (path, crop) in enumerate(crops.items()):
        if (yield Progressed(done, len(crops), path.name)) is Request.INTERRUPT:
            return
        try:
            event: Event = Described(path, say(cut(open_image(path), crop, size)))
        except ImageError as error:
            event = Noticed(str(error))
        if (yield event) is Request.INTERRUPT:
            return
