"""BLIP fetched from the Hugging Face hub, when somebody asks for it and never otherwise.

What was fetched before an interruption stays beside the place and is gone on with. A file gets its name only when it
is whole and its digest is the one that the hub tells.
"""

import hashlib
import http.client
import json
import os
import shutil
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from modules.errors import DownloadError, StorageError
from modules.events import Progressed, Request, Work
from modules.files import publish, storage_error
from modules.preprocess.blip import FOLDER_NAME, REPOSITORY, WEIGHTS

HUB = "https://huggingface.co"  # or HF_ENDPOINT, as that library reads it
SIZE = "1 GB"  # in words, for the button; 990 MB of weights
TEXTS = ("config.json", "tokenizer.json")
TIMEOUT = 30.0  # seconds without a byte
SPARE_BYTES = 100_000_000  # that are to stay free on the disk

_BLOCK = 1 << 18
_OFFLINE = (
    "BLIP could not be fetched: {} cannot be reached from here. What was fetched is kept: try again when there is a "
    "network, or copy the files into {} by hand."
)


@dataclass(frozen=True)
class Remote:
    """A file of the repository.

    Attributes:
        size: in bytes.
        digest: SHA-256 of large files; of small ones git's, which is SHA-1 of a head and the content.
    """

    name: str
    size: int
    digest: str

    @property
    def partial(self) -> str:
        """Where it grows: a name that another version of the file does not share."""
        return f".{self.name}.{self.digest[:12]}.partial"


def fetch_blip(models: Path, hub: str | None = None) -> Work:
    """Fetch what is missing of BLIP into the folder of models.

    Args:
        models: folder of models; BLIP gets one of its own in there.
        hub: where to ask; None: the Hugging Face hub, or what HF_ENDPOINT names.

    Yields:
        `Progressed` in bytes.

    Raises:
        DownloadError: no network, or not what was asked for. Everything fetched so far is kept.
        StorageError: disk full, read-only or gone.
    """
    hub = (hub or os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")
    folder = models / FOLDER_NAME
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        raise DownloadError("Fetching is switched off here (HF_HUB_OFFLINE): start the server without it.")
    yield Progressed(0, 1, f"asking {urllib.parse.urlsplit(hub).hostname}")
    try:
        files = _listed(hub)
        wanted = [file for file in files if not (folder / file.name).is_file()]
        _make_room(folder, sum(file.size for file in wanted) - sum(_grown(folder, file) for file in wanted))
        total = sum(file.size for file in files) or 1
        done = total - sum(file.size for file in wanted)
        for file in wanted:
            for grown in _grow(hub, folder, file):
                text = f"{_megabytes(done + grown)} of {_megabytes(total)}"
                if (yield Progressed(done + grown, total, text)) is Request.INTERRUPT:
                    return
            _finish(folder, file)
            done += file.size
    except (urllib.error.HTTPError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        raise DownloadError(f"{hub} did not answer as expected ({error}): try again later.") from error
    except (urllib.error.URLError, TimeoutError, ConnectionError, ssl.SSLError) as error:
        raise DownloadError(_OFFLINE.format(urllib.parse.urlsplit(hub).hostname, folder)) from error


def _listed(hub: str) -> list[Remote]:
    """What the repository has of what is needed."""
    with urllib.request.urlopen(f"{hub}/api/models/{REPOSITORY}/tree/main", timeout=TIMEOUT) as answer:
        content: list[dict[str, Any]] = json.loads(answer.read(1 << 20))
    there = {
        entry["path"]: Remote(entry["path"], int(entry["size"]), str((entry.get("lfs") or entry)["oid"]))
        for entry in content
        if entry.get("type") == "file"
    }
    weights = next((there[name] for name in WEIGHTS if name in there), None)
    texts = [there[name] for name in TEXTS if name in there]
    if weights is None or len(texts) < len(TEXTS):
        raise DownloadError(f"{REPOSITORY} does not hold what is needed any more: nothing was fetched.")
    return [*texts, weights]


def _grown(folder: Path, file: Remote) -> int:
    partial = folder / file.partial
    return min(partial.stat().st_size, file.size) if partial.is_file() else 0


def _make_room(folder: Path, needed: int) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise storage_error(folder, error) from error
    if free < needed + SPARE_BYTES:
        raise StorageError(f"BLIP needs {_megabytes(needed)} and only {_megabytes(free)} are free on {folder}.")


def _grow(hub: str, folder: Path, file: Remote) -> Iterator[int]:
    """Fetch what is missing of one file; gives how many bytes there are now."""
    partial = folder / file.partial
    begin = _grown(folder, file)
    if begin == file.size and begin:
        return
    url = f"{hub}/{REPOSITORY}/resolve/main/{urllib.parse.quote(file.name)}"
    request = urllib.request.Request(url, headers={"Range": f"bytes={begin}-"} if begin else {})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        goes_on = answer.status == http.HTTPStatus.PARTIAL_CONTENT
        try:
            with partial.open("ab" if goes_on else "wb") as target:
                yield from _copy(answer, target, begin if goes_on else 0, file)
        except (TimeoutError, ConnectionError, ssl.SSLError):
            raise  # of the network; what has come is kept
        except http.client.IncompleteRead as error:
            raise ConnectionError("the connection ended early") from error
        except OSError as error:
            raise storage_error(folder / file.name, error) from error
    if _grown(folder, file) < file.size:
        raise ConnectionError("the connection ended early")


def _copy(answer: Any, target: BinaryIO, size: int, file: Remote) -> Iterator[int]:
    while block := answer.read(_BLOCK):
        size += len(block)
        if size > file.size:
            raise DownloadError(f"“{file.name}” is longer than the hub says: nothing of it is used.")
        target.write(block)
        yield size


def _finish(folder: Path, file: Remote) -> None:
    partial = folder / file.partial
    digest = hashlib.sha256() if len(file.digest) == hashlib.sha256().digest_size * 2 else hashlib.sha1()
    if digest.name == "sha1":
        digest.update(f"blob {file.size}\0".encode())  # as git counts it
    with partial.open("rb") as content:
        while block := content.read(_BLOCK):
            digest.update(block)
    if digest.hexdigest() != file.digest:
        partial.unlink()
        raise DownloadError(f"“{file.name}” came damaged and was thrown away: fetch it again.")
    publish(partial, folder / file.name)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.0f} MB" if size >= 1e6 else f"{size / 1e6:.1f} MB"
