"""The three networks of a checkpoint as tensors under diffusers' names, whatever the layout on disk.

A checkpoint is a single file in LDM layout or a diffusers folder. Opening one reads headers and configuration files
only; the values are read, or mapped, by `Weights.read`. Code beside a folder's weights is never looked at.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from modules.errors import CheckpointError, FileFormatError
from modules.model.foreign import foreign_kind, incomplete_kind
from modules.model.ldm_keys import OPEN_CLIP_PREFIX, Parts, from_ldm, modern_names
from modules.tensorfile import open_tensors

LARGEST_CONFIG = 1 << 20  # bytes; a folder's configuration files have a few kilobytes
_NETWORKS = ("unet", "vae", "text_encoder")


@dataclass(frozen=True)
class Weights:
    """A checkpoint that was found whole as far as names tell.

    Attributes:
        meta: the state dicts without values.
        metadata: what shapes cannot tell, under the keys of `families`.
        open_clip: the text encoder stands in OpenCLIP's layout.
        read: the state dicts with their values, on the CPU in their stored dtypes, mapped where that is possible.
    """

    meta: Parts
    metadata: Mapping[str, str]
    open_clip: bool
    read: Callable[[], Parts]


def open_weights(path: Path) -> Weights:
    """Find the three networks in a file or folder by its headers.

    Raises:
        FileFormatError: a file is damaged or unsafe.
        CheckpointError: it is another kind of model, or lacks one of the networks.
    """
    return _open_folder(path) if path.is_dir() else _open_file(path)


def folder_files(folder: Path) -> dict[str, list[Path]]:
    """The weight files of the three networks of a diffusers folder.

    Raises:
        CheckpointError: a network has none.
    """
    return {network: _weight_files(folder, network) for network in _NETWORKS}


def _open_file(path: Path) -> Weights:
    file = open_tensors(path)
    kind = foreign_kind(file.meta)
    if kind:
        raise _refusal(path, kind)
    try:
        meta = from_ldm(file.meta)
    except (RuntimeError, ValueError, IndexError) as error:
        raise CheckpointError(f"“{path.name}” has tensors of impossible shapes: it is damaged.") from error
    lack = incomplete_kind(bool(meta.unet), bool(meta.vae), bool(meta.text_encoder), file.meta)
    if lack:
        raise _refusal(path, lack)
    open_clip = any(name.startswith(OPEN_CLIP_PREFIX) for name in file.meta)
    return Weights(meta, file.metadata, open_clip, lambda: from_ldm(file.tensors()))


def _open_folder(folder: Path) -> Weights:
    files = {network: [open_tensors(path) for path in paths] for network, paths in folder_files(folder).items()}
    kind = foreign_kind(name for shards in files.values() for shard in shards for name in shard.meta)
    if kind or (folder / "text_encoder_2").is_dir():
        raise _refusal(folder, kind or "an SDXL model")
    configs = {name: _config(folder, name) for name in (*_NETWORKS, "scheduler")}
    meta = {network: _merged(shard.meta for shard in shards) for network, shards in files.items()}

    def read() -> Parts:
        values = {network: _merged(shard.tensors() for shard in shards) for network, shards in files.items()}
        return modern_names(Parts(**values))

    return Weights(modern_names(Parts(**meta)), _metadata(configs), False, read)


def _merged(shards: Iterable[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {name: tensor for shard in shards for name, tensor in shard.items()}


def _weight_files(folder: Path, network: str) -> list[Path]:
    """The files that hold a network: shards named by an index, or one file; safetensors before pickles."""
    there = folder / network
    stem = "model" if network == "text_encoder" else "diffusion_pytorch_model"
    index = there / f"{stem}.safetensors.index.json"
    if index.is_file():
        names = set(_json(index).get("weight_map", {}).values())
        if not names or not all(isinstance(name, str) and Path(name).name == name for name in names):
            raise CheckpointError(f"“{folder.name}” has a damaged index {network}/{index.name}: copy it again.")
        return [there / name for name in sorted(names)]
    wanted = [f"{stem}.safetensors", f"{stem}.fp16.safetensors", f"{stem}.bin", f"{stem}.fp16.bin"]
    wanted += ["pytorch_model.bin"] if network == "text_encoder" else []
    for name in wanted:
        if (there / name).is_file():
            return [there / name]
    raise CheckpointError(
        f"“{folder.name}” is a diffusers folder without weights in {network}/: a file {stem}.safetensors belongs there."
    )


def _metadata(configs: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """What a folder's configuration files say, under the keys that a single file's metadata uses."""
    unet, vae, text, scheduler = (configs[name] for name in (*_NETWORKS, "scheduler"))
    heads = unet.get("num_attention_heads") or unet.get("attention_head_dim")
    size = unet.get("sample_size")
    values = {
        "architecture.unet.heads": ",".join(map(str, heads)) if isinstance(heads, list) else heads,
        "architecture.unet.norm_groups": unet.get("norm_num_groups"),
        "architecture.vae.norm_groups": vae.get("norm_num_groups"),
        "architecture.vae.scaling_factor": vae.get("scaling_factor"),
        "architecture.text_encoder.heads": text.get("num_attention_heads"),
        "architecture.text_encoder.activation": text.get("hidden_act"),
        "architecture.prediction_type": scheduler.get("prediction_type", "epsilon"),
        "architecture.native_size": f"{size * 8}x{size * 8}" if isinstance(size, int) else None,
    }
    return {key: str(value) for key, value in values.items() if value is not None}


def _config(folder: Path, name: str) -> dict[str, Any]:
    file = folder / name / ("scheduler_config.json" if name == "scheduler" else "config.json")
    return _json(file) if file.is_file() else {}


def _json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > LARGEST_CONFIG:
            raise ValueError("too long")
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("no object")
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"“{path.parent.name}/{path.name}” cannot be read as JSON: copy it again.") from error
    return content


def _refusal(path: Path, kind: str) -> FileFormatError:
    return CheckpointError(
        f"“{path.name}” is {kind}. Needed is a checkpoint of Stable Diffusion 1 or 2: UNet, VAE and text encoder in "
        "one file, or a diffusers folder."
    )
