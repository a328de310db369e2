"""Files that are no checkpoint: other kinds of model, damaged files, and pickles that would run code.

Hostile ones carry a canary: unpickled without restriction they create a file, so a test can prove both that the
sample is live and that our reader did not bite.
"""

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

FEW = {"one": torch.arange(12.0).reshape(3, 4), "two": torch.full((5,), 0.5, dtype=torch.float16)}


def shaped(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> Path:
    """A safetensors file of zeros with these names and shapes."""
    save_file({name: torch.zeros(shape, dtype=torch.float16) for name, shape in shapes.items()}, path)
    return path


def lora(path: Path) -> Path:
    name = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    return shaped(path, {f"{name}.lora_down.weight": (4, 320), f"{name}.lora_up.weight": (320, 4), f"{name}.alpha": ()})


def sdxl(path: Path) -> Path:
    """Names and shapes of an SDXL file, as far as they are unlike SD 1's."""
    unet = "model.diffusion_model."
    return shaped(
        path,
        {
            f"{unet}label_emb.0.0.weight": (8, 8),
            f"{unet}input_blocks.0.0.weight": (320, 4, 3, 3),
            f"{unet}input_blocks.4.1.transformer_blocks.1.attn2.to_k.weight": (640, 2048),
            "conditioner.embedders.0.transformer.text_model.embeddings.token_embedding.weight": (49408, 8),
            "first_stage_model.decoder.conv_in.weight": (512, 4, 3, 3),
        },
    )


def vae_only(path: Path) -> Path:
    return shaped(path, {"encoder.down.0.block.0.conv1.weight": (8, 8, 3, 3), "decoder.conv_in.weight": (8, 4, 3, 3)})


def truncated(path: Path, whole: Path, share: float) -> Path:
    """The first part of another file."""
    content = whole.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


# Pickles that run code


class Canary:
    """Unpickling it creates a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> Any:
        return open, (str(self.path), "w")


def _inside_parameters(canary: Canary) -> Any:
    parameters = torch.nn.ParameterDict()
    parameters.__dict__["canary"] = canary
    return {"string_to_param": parameters}


def _zip_form(content: Any, path: Path) -> None:
    torch.save(content, path)


def _legacy_form(content: Any, path: Path) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=False)


def _wrong_checksum(content: Any, path: Path) -> None:
    torch.save(content, path)
    written = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        entry = next(entry for entry in archive.infolist() if entry.filename.endswith("data.pkl"))
    # both places that hold it: the directory, and behind the data
    path.write_bytes(written.replace(struct.pack("<I", entry.CRC), struct.pack("<I", entry.CRC ^ 1)))


def _nested_zip(content: Any, path: Path) -> None:
    inner = io.BytesIO()
    torch.save(content, inner)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"file": b"nothing here"}, protocol=2))
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/data/0", inner.getvalue())


HOSTILE: dict[str, Callable[[Canary, Path], None]] = {
    "zip": lambda canary, path: _zip_form({"x": canary}, path),
    "zip, wrong checksum": lambda canary, path: _wrong_checksum({"x": canary}, path),
    "zip, in a ParameterDict": lambda canary, path: _zip_form(_inside_parameters(canary), path),
    "zip, beside weights": lambda canary, path: _zip_form({"state_dict": dict(FEW), "x": [canary]}, path),
    "legacy": lambda canary, path: _legacy_form({"x": canary}, path),
    "legacy, in a ParameterDict": lambda canary, path: _legacy_form(_inside_parameters(canary), path),
    "bare, protocol 0": lambda canary, path: _bare(canary, path, 0),
    "bare, protocol 2": lambda canary, path: _bare(canary, path, 2),
    "bare, protocol 4": lambda canary, path: _bare(canary, path, 4),
}
"""Ways to pack a canary, each of which fires when torch loads the file without restriction."""


def _bare(canary: Canary, path: Path, protocol: int) -> None:
    path.write_bytes(pickle.dumps(canary, protocol=protocol))


def nested_zip(path: Path, canary: Path) -> Path:
    """A harmless pickle with a whole hostile archive among its tensors' data."""
    _nested_zip({"x": Canary(canary)}, path)
    return path


# Files that declare more than they hold


def _bomb(path: Path) -> None:
    """1 GiB of zeros in 1 MB: a deflated archive."""
    _archive(path, pickle.dumps({}, protocol=2), bytes(1 << 30), zipfile.ZIP_DEFLATED)


def _archive(path: Path, program: bytes, data: bytes, compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", compression, compresslevel=1) as archive:
        archive.writestr("archive/data.pkl", program)
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/data/0", data)


def _huge_view(path: Path) -> None:
    torch.save({"vector": torch.zeros(1).expand(1 << 40)}, path)


def _huge_view_legacy(path: Path) -> None:
    torch.save({"vector": torch.zeros(1).expand(1 << 40)}, path, _use_new_zipfile_serialization=False)


def _huge_sparse(path: Path) -> None:
    torch.save(
        {"vector": torch.sparse_coo_tensor(torch.tensor([[0]]), torch.ones(1), (1 << 40,), check_invariants=True)}, path
    )


def _huge_storage(path: Path) -> None:
    """A legacy file whose storage claims 2⁴⁰ numbers, of which none follow."""
    torch.save({"vector": torch.zeros(77)}, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"KM", b"\x8a\x06\x00\x00\x00\x00\x00\x01", 1))  # 77 as a longer number


def _deep_list(path: Path) -> None:
    torch.save({}, path)
    depth = 60_000
    program = b"\x80\x02}X\x01\x00\x00\x00a" + b"]" * depth + b"a" * (depth - 1) + b"s."
    _archive(path, program, b"")


def _many_tensors(path: Path) -> None:
    one = torch.zeros(1)
    torch.save({str(number): one[:] for number in range(22_000)}, path)


def _long_program(path: Path) -> None:
    """A pickle of 40 MB that makes millions of numbers."""
    _archive(path, b"\x80\x02](" + b"K\x01" * 20_000_000 + b"e.", b"")


def _many_entries(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}, protocol=2))
        for number in range(60_000):
            archive.writestr(zipfile.ZipInfo(f"archive/data/{number:0100}"), b"")


def _header(path: Path, header: Any, data: bytes = b"", length: int | None = None) -> None:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", length or len(text)) + text + data)


def _entry(dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"one": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


EXCESSIVE: dict[str, Callable[[Path], None]] = {
    "zip bomb": _bomb,
    "view of 4 TB": _huge_view,
    "view of 4 TB, legacy": _huge_view_legacy,
    "sparse tensor of 4 TB": _huge_sparse,
    "storage of 4 TB": _huge_storage,
    "22,000 tensors": _many_tensors,
    "40 MB of pickle": _long_program,
    "60,000 archive entries": _many_entries,
    "header longer than the file": lambda path: _header(path, b"{}", length=1 << 30),
    "header of 17 MB": lambda path: _header(path, b"{" + b" " * (17 << 20) + b"}"),
    "header nested 100,000 deep": lambda path: _header(path, b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "header is no JSON": lambda path: _header(path, b"{" + b"\xff" * 64),
    "header is a list of names": lambda path: _header(path, b'{"one": ["two"]}'),
    "number with 5,000 digits": lambda path: _header(path, b'{"a": ' + b"9" * 5000 + b"}"),
    "unknown number format": lambda path: _header(path, _entry(dtype="F13"), bytes(8)),
    "negative size": lambda path: _header(path, _entry(shape=(-2,)), bytes(8)),
    "size that is no number": lambda path: _header(path, _entry(shape=("2",)), bytes(8)),
    "size that overflows": lambda path: _header(path, _entry(shape=(0, 1 << 62, 1 << 62), offsets=(0, 0))),
    "shape larger than its data": lambda path: _header(path, _entry(shape=(1 << 40,)), bytes(8)),
    "data outside the file": lambda path: _header(path, _entry(shape=(4,), offsets=(0, 16)), bytes(8)),
    "overlapping data": lambda path: _header(path, {**_entry(), "two": _entry()["one"]}, bytes(8)),
    "metadata that is no text": lambda path: _header(path, {"__metadata__": {"a": 1}, **_entry()}, bytes(8)),
}
"""Files that would cost memory or time out of proportion, or whose declarations contradict themselves."""


def deep_list(path: Path) -> Path:
    """A well-formed pickle of lists 60,000 deep, without any tensor: to be read, not to be refused."""
    _deep_list(path)
    return path


def flipped(path: Path, whole: bytes, bit: int) -> Path:
    """A copy with one bit turned over."""
    content = bytearray(whole)
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    return path


def tensors_equal(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> bool:
    """Whether names, dtypes, shapes and values are the same."""
    return left.keys() == right.keys() and all(
        left[name].dtype == right[name].dtype and torch.equal(left[name], right[name]) for name in left
    )
