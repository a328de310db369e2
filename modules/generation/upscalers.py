"""What can enlarge a picture between the two passes of a hires fix, by name. No torch, so that the page can list it."""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from modules.errors import ParameterError

LATENT_MODES = {  # name to (mode, antialias) of torch's interpolation, A1111's names and order
    "Latent": ("bilinear", False),
    "Latent (antialiased)": ("bilinear", True),
    "Latent (bicubic)": ("bicubic", False),
    "Latent (bicubic antialiased)": ("bicubic", True),
    "Latent (nearest)": ("nearest", False),
    "Latent (nearest-exact)": ("nearest-exact", False),
}
PIXEL_MODES = ("None", "Lanczos", "Nearest")
MODEL_FOLDERS = ("ESRGAN", "RealESRGAN", "SwinIR", "DAT", "HAT", "upscalers")  # below models/, as A1111 has them
_SUFFIXES = (".pth", ".pt", ".safetensors")


@dataclass(frozen=True)
class Upscaler:
    """One way to enlarge.

    Attributes:
        name: shown, and written into pictures.
        path: the model's file; None for arithmetic.
    """

    name: str
    path: Path | None = None

    @property
    def latent(self) -> bool:
        """Works on latents: quick, and needs a denoising strength of 0.5 and more."""
        return self.name in LATENT_MODES


def find_upscalers(models: Sequence[Path]) -> list[Upscaler]:
    """All that can be used now: model files count only where the optional package that runs them is installed."""
    found = [Upscaler(name) for name in (*LATENT_MODES, *PIXEL_MODES)]
    if models_can_run():
        found += [Upscaler(path.stem, path) for path in _model_files(models)]
    return found


def models_can_run() -> bool:
    """Whether the optional package for upscaling models is installed."""
    return importlib.util.find_spec("spandrel") is not None


def choose_upscaler(name: str, models: Sequence[Path]) -> Upscaler:
    """The upscaler called `name`.

    Raises:
        ParameterError: there is none, or its file is there and nothing that could run it.
    """
    found = next((upscaler for upscaler in find_upscalers(models) if upscaler.name == name), None)
    if found:
        return found
    if any(path.stem == name for path in _model_files(models)):
        raise ParameterError(
            "hr_upscaler",
            f"“{name}” is a model, and what runs such models is not installed: install the package “spandrel”, or "
            "choose Latent or Lanczos.",
        )
    names = ", ".join(upscaler.name for upscaler in find_upscalers(models))
    raise ParameterError("hr_upscaler", f"There is no upscaler {name!r:.60}: choose one of {names}.")


def _model_files(models: Sequence[Path]) -> list[Path]:
    folders = [folder / name for folder in models for name in MODEL_FOLDERS]
    files = {path.stem: path for folder in folders if folder.is_dir() for path in sorted(folder.iterdir())}
    return [path for path in files.values() if path.suffix.lower() in _SUFFIXES]
