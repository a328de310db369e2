"""Pictures as requests carry them: base64, with or without `data:image/png;base64,` before it."""

import base64
import binascii
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modules.api import errors
from modules.errors import ImageError

_PREFIX = re.compile(r"data:[\w.+/-]*;base64,", re.IGNORECASE)


def decode(text: str) -> bytes:
    """The file behind base64.

    Raises:
        HTTPException: 422, it is an address or no base64.
    """
    if re.match(r"\w+://", text):
        raise errors.refuse(422, "Pictures are not fetched from addresses: send the file itself, as base64.")
    found = _PREFIX.match(text)
    try:
        return base64.b64decode("".join(text[found.end() if found else 0 :].split()), validate=True)
    except (binascii.Error, ValueError) as error:  # ValueError: letters that are not ASCII
        raise errors.refuse(422, "The picture is no base64: send the bytes of a PNG, JPEG or WebP file.") from error


@contextmanager
def as_file(content: bytes) -> Iterator[Path]:
    """The bytes as a file that lives as long as the block."""
    with tempfile.TemporaryDirectory(prefix="studio-") as folder:
        path = Path(folder) / "picture"
        path.write_bytes(content)
        yield path


def encode(path: Path) -> str:
    """A picture's file as base64, its parameters still inside.

    Raises:
        ImageError: it has gone meanwhile.
    """
    try:
        return encode_bytes(path.read_bytes())
    except OSError as error:
        raise ImageError(f"“{path.name}” is not there any more.") from error


def encode_bytes(content: bytes) -> str:
    """Bytes as base64."""
    return base64.b64encode(content).decode("ascii")
