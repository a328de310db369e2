"""`settings-<date and time>.json`: the parameters of a run under the keys that A1111 has for them, and our own.

Files of A1111 are read as well. What they do not tell is as in A1111. Knows no torch.
"""

import dataclasses
import json
import re
import time
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

from modules.errors import FileFormatError
from modules.files import write_atomically
from modules.training.run_folder import RunFolder
from modules.training_params import TrainParams, advise

if TYPE_CHECKING:  # these bring torch
    from modules.model.checkpoint import Checkpoint
    from modules.training.state import TrainingState

LARGEST = 1 << 20  # bytes
A1111_KEYS = {
    "embedding": "embedding_name",
    "learning_rate": "learn_rate",
    "width": "training_width",
    "height": "training_height",
    "template": "template_file",
    "preview_sampler": "preview_sampler_name",
}
_TEMPLATES = re.compile(r".*(?:^|/)(?:textual_inversion_)?templates/")  # the folder that templates' names begin in
_RUN_OF_A_DAY = re.compile(r"[/\\]\d{4}-\d\d-\d\d[/\\][^/\\]+[/\\]?$")  # A1111 stores the folder of the run itself


def write_settings(folder: RunFolder, state: "TrainingState", checkpoint: "Checkpoint") -> None:
    """Write the parameters of a run that begins.

    Raises:
        StorageError: they cannot be written.
    """
    params = dataclasses.asdict(state.params)
    values = {
        "datetime": time.strftime("%Y-%m-%d %H:%M:%S"),
        "model_name": checkpoint.model_name,
        "model_hash": checkpoint.short_hash,
        # every picture of the folder that can be used, as in A1111, which sets none aside
        "num_of_dataset_images": len(state.photos) + len(state.held_out),
        "num_vectors_per_token": len(state.optimiser.vectors),
        "initial_step": state.first_step,
        **{A1111_KEYS.get(name, name): value for name, value in params.items()},
    }
    name = f"settings-{time.strftime('%Y-%m-%d-%H-%M-%S')}.json"
    write_atomically(folder.path / name, json.dumps(values, indent=4))


def read_settings(path: Path) -> dict[str, Any]:
    """The values for `TrainParams` that a file holds, ours or A1111's, by field name; its other keys are left alone.

    Raises:
        FileFormatError: no such file.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise FileFormatError(f"“{path.name}” is larger than 1 MB: it is no settings file.")
        stored = json.loads(path.read_bytes())
    except OSError as error:
        raise FileFormatError(f"“{path.name}” cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"“{path.name}” is no settings file: it holds no JSON.") from error
    if not isinstance(stored, dict) or not {"steps", "batch_size", *A1111_KEYS.values()} & {*stored}:
        raise FileFormatError(f"“{path.name}” is no settings file of a training run.")
    fields = {field.name: field for field in dataclasses.fields(TrainParams)}
    ours = "timestep_sampling" in stored  # those without “equal_pull” are older than it
    values: dict[str, Any] = {"equal_pull": False} if ours else dict(advise(1, "as in A1111").values)
    for name, field in fields.items():
        for key in (name, A1111_KEYS.get(name, name)):
            if stored.get(key) is not None:
                values[name] = _as(type(field.default), stored[key])
    if isinstance(values.get("template"), str):  # what is no text is refused by the field itself
        values["template"] = _template_name(values["template"])
    if isinstance(values.setdefault("log_directory", ""), str):
        values["log_directory"] = _log_directory(values["log_directory"])
    return values


def _as(kind: type, value: Any) -> Any:
    """A1111 writes some numbers as text, and some texts as numbers."""
    if kind is str and isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"{value:g}"
    if kind in (int, float) and isinstance(value, str):
        try:
            return kind(value)
        except ValueError:
            return value  # refused by the field itself, with its name
    return value


def _template_name(stored: str) -> str:
    """A name below the folder of templates: A1111 stores the whole path, of a machine that may be another."""
    text = stored.replace("\\", "/")
    below = _TEMPLATES.sub("", text)
    is_elsewhere = PurePosixPath(below).is_absolute() or PureWindowsPath(below).drive or ".." in below.split("/")
    return PurePosixPath(below).name if is_elsewhere else below


def _log_directory(stored: str) -> str:
    """A folder below the data folder: one that leads elsewhere belongs to another machine."""
    text = _RUN_OF_A_DAY.sub("", stored)
    if not text or PurePosixPath(text).is_absolute() or PureWindowsPath(text).is_absolute() or ".." in text:
        return "textual_inversion"
    return text
