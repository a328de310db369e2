"""VAEs in files of their own: found, chosen for a checkpoint, and loaded in the place of the built-in one.

Nothing here loads torch until a file is loaded.
"""

import dataclasses
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modules.errors import CheckpointError, ParameterError
from modules.model.checkpoint import Checkpoint

if TYPE_CHECKING:
    from modules.model.model import SDModel

AUTOMATIC, BUILT_IN = "Automatic", "None"
SUFFIXES = (".safetensors", ".ckpt", ".pt", ".bin")
_PREFIX = "first_stage_model."
_LARGEST_CARD = 1_000_000  # bytes

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class VaeFile:
    """A file that may hold a VAE. It has not been opened.

    Attributes:
        path: the file.
        sha256: 64 digits, or empty while they are not known.
    """

    path: Path
    sha256: str = ""

    @property
    def name(self) -> str:
        """What lists show and infotexts say: “vae-ft-mse.safetensors”."""
        return self.path.name


def find_vaes(vae_folders: Sequence[Path], checkpoint_folders: Sequence[Path]) -> list[VaeFile]:
    """Every file in the folders of VAEs, and every `….vae.…` in those of checkpoints; the first of equal names."""
    found: dict[str, VaeFile] = {}
    for folders, marked in ((vae_folders, False), (checkpoint_folders, True)):
        for folder in folders:
            for there, below, names in os.walk(folder):
                below[:] = [name for name in below if not name.startswith(".")]
                for name in sorted(names):
                    lower = name.lower()
                    if lower.endswith(SUFFIXES) and not name.startswith(".") and (not marked or _is_marked(lower)):
                        found.setdefault(name, VaeFile(Path(there, name)))
    return sorted(found.values(), key=lambda vae: vae.name.lower())


def choose_vae(
    name: str, vaes: Sequence[VaeFile], checkpoint: Checkpoint | None, overrides: bool = True
) -> VaeFile | None:
    """The file that a choice means; None is the VAE in the checkpoint.

    “Automatic” takes the one that A1111's card of the checkpoint names (`<its name>.json` beside it), else the file
    whose name is the checkpoint's with `.vae` behind it, else one that begins with the checkpoint's name.

    Args:
        overrides: a name comes before what “Automatic” would take; otherwise it is for checkpoints without any.

    Raises:
        ParameterError: there is no such VAE.
    """
    chosen = None
    if name not in (AUTOMATIC, BUILT_IN):
        chosen = next((vae for vae in vaes if name in (vae.name, vae.path.stem)), None)
        if chosen is None:
            known = ", ".join([AUTOMATIC, BUILT_IN, *(vae.name for vae in vaes)])
            raise ParameterError("vae", f"There is no VAE {name!r:.60}: choose one of {known}.")
    if checkpoint is None or (overrides and name != AUTOMATIC):
        return chosen
    return next(iter(_preferred(checkpoint, vaes)), chosen)


def _preferred(checkpoint: Checkpoint, vaes: Sequence[VaeFile]) -> list[VaeFile | None]:
    """The VAE that belongs to a checkpoint, None for its own; empty: none does."""
    in_card = _in_card(checkpoint)
    if in_card == BUILT_IN:
        return [None]
    if carded := [vae for vae in vaes if in_card in (vae.name, vae.path.stem)]:
        return [carded[0]]
    stem = checkpoint.model_name.lower()
    named = [vae for vae in vaes if stem and _goes_on(vae.name.lower(), stem)]
    return [min(named, key=lambda vae: _nearness(vae.name.lower(), stem))] if named else []


def _in_card(checkpoint: Checkpoint) -> str:
    """The VAE that somebody chose for this checkpoint in A1111; “Automatic” if nobody did."""
    path = checkpoint.path.with_suffix(".json")
    try:
        if path.stat().st_size > _LARGEST_CARD:
            return AUTOMATIC
        said = json.loads(path.read_bytes())
    except OSError:  # as a rule there is none
        return AUTOMATIC
    except (ValueError, RecursionError):
        _log.warning("%s is no JSON: it is not asked for a VAE.", path.name)
        return AUTOMATIC
    chosen = said.get("vae") if isinstance(said, dict) else None
    return chosen if isinstance(chosen, str) and chosen else AUTOMATIC


def _goes_on(name: str, stem: str) -> bool:
    """Whether a name begins with the whole stem: “sd15-vae.pt” with “sd15”, and not “sd155.pt”."""
    return name.startswith(stem) and not name[len(stem) : len(stem) + 1].isalnum()


def _nearness(name: str, stem: str) -> tuple[bool, bool, str]:
    return not name.startswith(stem + "."), not _is_marked(name), name


def with_vae(model: "SDModel", file: VaeFile) -> "SDModel":
    """The same model with another VAE, in the precision and on the device of its own.

    Raises:
        FileFormatError: damaged, unsafe, or no VAE of this model's kind.
    """
    from modules.model.ldm_keys import Parts, from_ldm, modern_names
    from modules.model.skeleton import build_vae, fill
    from modules.tensorfile import open_tensors

    tensors = open_tensors(file.path).tensors()
    if any("down_blocks" in name for name in tensors):
        found = modern_names(Parts(vae=tensors)).vae
    else:
        whole = any(name.startswith(_PREFIX) for name in tensors)
        found = from_ldm(tensors if whole else {_PREFIX + name: tensor for name, tensor in tensors.items()}).vae
    if not found:
        raise CheckpointError(f"“{file.name}” holds no VAE: choose another one, or None for the checkpoint’s own.")
    vae = build_vae(file.name, model.architecture, found)
    fill(vae, found, model.device, model.vae.dtype)
    return dataclasses.replace(model, vae=vae, vae_file=file)


def _is_marked(name: str) -> bool:
    return any(name.endswith(f".vae{suffix}") for suffix in SUFFIXES)
