"""Files of tensors, read without trusting them: .safetensors, and PyTorch's pickles (.ckpt, .pt, .bin, .pth).

The format is decided by content, never by name. What a file declares (sizes, views, classes) is checked before any
tensor is read; reading maps the file into memory where the format allows it. Pickles go through torch's restricted
unpickler with the classes named here, and no others: nothing in a file can make the program run code. Checksums are
not looked at (torch ignores them): a flipped bit inside a tensor shows in the file's SHA-256 only.
"""

import io
import json
import math
import re
import struct
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from modules.errors import FileFormatError
from modules.pickled_modules import CLASS_OF_MODULE, LARGEST_FILE, class_of_module, with_plain_classes

SAFETENSORS, PICKLE = "safetensors", "pickle"
_ZIP = b"PK\x03\x04"
_TEXT_PICKLE = re.compile(rb"c[\w.]+\n[\w.]+\n")  # protocol 0, asking for a class at once: unsafe, and told so

LARGEST_HEADER = 16 << 20  # bytes of safetensors header; SD 1.5 with EMA weights needs 0.3 MB
LARGEST_PICKLE = 4 << 20  # bytes of pickle beside the data; SD 1.5 with EMA weights needs 0.4 MB
MOST_TENSORS = 20_000  # SD 1.5 with EMA weights has 1,800
MOST_OBJECTS = 200_000  # containers of a pickle

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


class _Unused:
    """Stands for what weights do not need (a trainer's callbacks, NumPy scalars): takes anything, does nothing."""

    def __init__(self, *_: Any):
        pass

    def __setstate__(self, _: Any) -> None:
        pass


_UNUSED_CLASSES = (
    "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
    "pytorch_lightning.callbacks.early_stopping.EarlyStopping",
    "pytorch_lightning.utilities.enums.LightningEnum",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",
    "numpy.ndarray",
    "numpy.dtype",
)
_ALLOWED_CLASSES: list[Any] = [
    torch.nn.ParameterDict,  # embeddings of 2022
    (class_of_module, CLASS_OF_MODULE),
    *((_Unused, name) for name in _UNUSED_CLASSES),
]


@dataclass(frozen=True)
class TensorFile:
    """A file whose declarations have been checked; its tensors are read on demand.

    Attributes:
        path: the file.
        format: "safetensors" or "pickle".
        metadata: the strings of a safetensors header; empty for a pickle.
        meta: every named tensor without its values (device "meta"). Of a pickle: the tensors of `state_dict`, if it
            has one, else of its top level.
    """

    path: Path
    format: str
    metadata: Mapping[str, str]
    meta: Mapping[str, Tensor]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(tensor.shape) for name, tensor in self.meta.items()}

    @property
    def dtypes(self) -> dict[str, torch.dtype]:
        return {name: tensor.dtype for name, tensor in self.meta.items()}

    def load(self, name: str) -> Tensor:
        """One tensor, on the CPU, in its stored dtype."""
        if self.format == SAFETENSORS:
            with _safetensors(self.path) as file:
                return file.get_tensor(name)
        return self.tensors()[name]

    def tensors(self) -> dict[str, Tensor]:
        """All tensors, on the CPU, in their stored dtypes; views of the mapped file where the format allows it."""
        if self.format == SAFETENSORS:
            with _safetensors(self.path) as file:
                return {name: file.get_tensor(name) for name in self.meta}
        return _named_tensors(_unpickle(self.path))


def open_tensors(path: Path) -> TensorFile:
    """Judge a file of tensors by its content, without reading any tensor.

    Raises:
        FileFormatError: it is damaged, unsafe or no such file; the sentence says which.
    """
    if file_format(path) == SAFETENSORS:
        return _open_safetensors(path)
    meta = _named_tensors(_judged_pickle(path))
    return TensorFile(path, PICKLE, {}, {name: tensor.to("meta") for name, tensor in meta.items()})


def load_pickle(path: Path) -> Any:
    """The object in a PyTorch pickle: plain containers, tensors, `ParameterDict`s, and inert stand-ins.

    Raises:
        FileFormatError: it is damaged, asks for classes that are not allowed, or declares more than it holds.
    """
    _judged_pickle(path)
    return _unpickle(path)


def file_format(path: Path) -> str:
    """ "safetensors" or "pickle", by the first bytes.

    Raises:
        FileFormatError: empty, unreadable, or neither.
    """
    try:
        with path.open("rb") as file:
            start = file.read(256)
    except OSError as error:
        raise FileFormatError(f"“{path.name}” cannot be read: {error.strerror or error}.") from error
    if not start:
        raise FileFormatError(f"“{path.name}” is empty: copy it again.")
    if start[5:9] == b"\0\0\0{":  # the high bytes of a sensible length, then JSON
        return SAFETENSORS
    if start.startswith((_ZIP, b"\x80")) or _TEXT_PICKLE.match(start):
        return PICKLE
    raise FileFormatError(
        f"“{path.name}” is neither a safetensors nor a PyTorch file: it may be damaged, copy it again."
    )


# Safetensors: eight bytes of length, a JSON header, the data


def _open_safetensors(path: Path) -> TensorFile:
    with path.open("rb") as file:
        size = path.stat().st_size
        (length,) = struct.unpack("<Q", file.read(8))
        if length > size - 8:
            raise FileFormatError(f"“{path.name}” is cut off inside its header: copy it again.")
        if length > LARGEST_HEADER:
            raise FileFormatError(f"“{path.name}” has a header of {length:,} bytes, which no model needs: not loaded.")
        text = file.read(length)
    try:
        header = json.loads(text)
        metadata = header.pop("__metadata__", {})
        declared = {name: _declared(entry) for name, entry in header.items()}
        if not all(isinstance(value, str) for value in metadata.values()):
            raise ValueError("metadata that is no text")
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:  # RecursionError among the last
        raise FileFormatError(f"“{path.name}” has a damaged header: copy it again.") from error
    if len(declared) > MOST_TENSORS:
        raise FileFormatError(f"“{path.name}” holds {len(declared):,} tensors, which no model needs: not loaded.")
    end = max((end for _, end in declared.values()), default=0)
    if end > size - 8 - length:
        raise FileFormatError(
            f"“{path.name}” is cut off: {size:,} of {8 + length + end:,} bytes are there. Copy it again."
        )
    with _safetensors(path):  # the library's own checks: overlaps, gaps, bytes behind the end
        pass
    return TensorFile(path, SAFETENSORS, metadata, {name: meta for name, (meta, _) in declared.items()})


def _declared(entry: Mapping[str, Any]) -> tuple[Tensor, int]:
    """A tensor without values from its header entry, and where its data end."""
    dtype, shape = _DTYPES[entry["dtype"]], tuple(entry["shape"])
    begin, end = entry["data_offsets"]
    if not all(type(number) is int and number >= 0 for number in (*shape, begin, end)):
        raise ValueError("sizes that are no sizes")
    if end - begin != math.prod(shape) * dtype.itemsize:
        raise ValueError("sizes that do not fit the shape")
    return torch.empty(shape, dtype=dtype, device="meta"), end


def _safetensors(path: Path) -> Any:
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise FileFormatError(f"“{path.name}” is a damaged safetensors file: copy it again.") from error


# Pickles: a zip of one pickle and one entry for each tensor, or (until 2020) everything in a row


def _judged_pickle(path: Path) -> Any:
    """The object with tensors on the meta device: nothing but the pickle itself is read."""
    _judge_zip(path)
    with _opened(path) as file, torch.serialization.skip_data():
        content = _restricted_load(path, _Bounded(file, path), map_location="meta")
    size = path.stat().st_size
    tensors = list(_tensors_in(content, path))
    if len(tensors) > MOST_TENSORS:
        raise FileFormatError(f"“{path.name}” holds {len(tensors):,} tensors, which no model needs: not loaded.")
    for tensor in tensors:
        plain = tensor.layout == torch.strided and not tensor.is_quantized and not tensor.is_nested
        if not plain or max(tensor.untyped_storage().nbytes(), tensor.numel() * tensor.element_size()) > size:
            raise FileFormatError(f"“{path.name}” declares tensors larger than itself: not loaded.")
    return content


def _unpickle(path: Path) -> Any:
    """The object itself, mapped where torch can map it. Only for files that were judged."""
    misnamed = path.name.endswith(".safetensors")  # torch would believe the name of a path
    if zipfile.is_zipfile(path) and not misnamed:
        return _restricted_load(path, str(path), mmap=True)
    with _opened(path) as file:
        return _restricted_load(path, file)


def _opened(path: Path) -> BinaryIO:
    """The file; one of the form before zip archives without the marks that the restricted unpickler does not know."""
    with path.open("rb") as file:
        is_old = path.stat().st_size <= LARGEST_FILE and file.read(4) != _ZIP
        file.seek(0)
        plain = with_plain_classes(file.read()) if is_old else None
    return path.open("rb") if plain is None else io.BytesIO(plain)


def _restricted_load(path: Path, source: Any, **options: Any) -> Any:
    options.setdefault("map_location", "cpu")
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_ALLOWED_CLASSES):
            warnings.simplefilter("ignore")  # about old protocols; such files load or are refused below
            return torch.load(source, weights_only=True, **options)
    except FileFormatError:
        raise
    except Exception as error:  # a hostile pickle can make the unpickler fail in any way
        raise FileFormatError(_refusal(path, error)) from error


def _refusal(path: Path, error: Exception) -> str:
    found = re.search(r"GLOBAL ([\w.]+)", str(error))
    if found:
        return (
            f"“{path.name}” is unsafe: it wants to run “{found[1]}”, which no model needs. It was not loaded; "
            "get a .safetensors version of it."
        )
    return (
        f"“{path.name}” is damaged, or pickled in a way that cannot be read safely. It was not loaded; copy it again, "
        "or get a .safetensors version of it."
    )


def _judge_zip(path: Path) -> None:
    """Refuse archives that would grow when read: torch stores its entries as they are."""
    with path.open("rb") as file:
        if file.read(4) != _ZIP:
            return
    try:
        with path.open("rb") as file, zipfile.ZipFile(_Bounded(file, path)) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise FileFormatError(f"“{path.name}” is cut off or damaged: copy it again.") from error
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise FileFormatError(f"“{path.name}” is a compressed archive, which PyTorch never writes: not loaded.")
    if sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise FileFormatError(f"“{path.name}” declares more than it holds: not loaded.")


def _tensors_in(content: Any, path: Path) -> Iterator[Tensor]:
    """Every tensor in nested containers, each container once; no recursion, so depth does not matter."""
    waiting, seen = [content], set()
    while waiting:
        item = waiting.pop()
        if isinstance(item, Tensor):
            yield item
        if id(item) in seen or isinstance(item, (Tensor, str, bytes, int, float, type(None))):
            continue
        seen.add(id(item))
        if len(seen) > MOST_OBJECTS:
            raise FileFormatError(f"“{path.name}” holds more objects than any model needs: not loaded.")
        waiting.extend(_inside(item))


def _inside(item: Any) -> Iterable[Any]:
    if isinstance(item, Mapping):
        return [*item.values(), *vars(item).values()] if hasattr(item, "__dict__") else item.values()
    if isinstance(item, (list, tuple, set)):
        return item
    return vars(item).values() if hasattr(item, "__dict__") else ()


def _named_tensors(content: Any) -> dict[str, Tensor]:
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping):
        return {}
    return {name: t.detach() for name, t in content.items() if isinstance(name, str) and isinstance(t, Tensor)}


class _Bounded:
    """A file that refuses to give more bytes than a pickle without its data has: judging must stay cheap."""

    def __init__(self, file: BinaryIO, path: Path):
        self._file = file
        self._path = path
        self._left = LARGEST_PICKLE
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        return self._counted(self._file.read(self._left + 1 if size is None or size < 0 else size))

    def readline(self) -> bytes:
        return self._counted(self._file.readline(self._left + 1))

    def readinto(self, buffer: Any) -> int:
        content = self.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def seekable(self) -> bool:
        return True

    def _counted(self, content: bytes) -> bytes:
        self._left -= len(content)
        if self._left < 0:
            raise FileFormatError(f"“{self._path.name}” declares more objects than any model needs: not loaded.")
        return content
