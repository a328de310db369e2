"""The albums of this installation: one for each folder of photos that was looked at. They live in files, and what a
front end changes is seen by all of them."""

import hashlib
import logging
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from modules.errors import FileFormatError
from modules.preprocess.album import Album
from modules.preprocess.album_file import load_album, save_album
from modules.preprocess.copies import Copies
from modules.preprocess.crop import Size
from modules.preprocess_params import PreprocessParams

FILE = "album.json"
COPIES = "copies"
COPIES_KEPT = 20  # albums; about 200 kB for each photo
DESTINATION = "preprocess"  # inside the source, as the article has it
FRESH = PreprocessParams(focal_crop=True)  # the tools of a folder that nobody has opened before

_KEY = re.compile(r"[A-Za-z0-9-]{1,60}")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kept:
    """An album, and how often it has changed since the server was started."""

    album: Album
    revision: int = 0


class Albums:
    """All albums. Any thread may ask.

    Args:
        root: the folder in which each album has a folder, with its decisions and small copies of its photos.
    """

    def __init__(self, root: Path):
        self.root = root
        self._lock = threading.RLock()
        self._kept: dict[str, Kept] = {}  # by key; those that were opened since the start

    def key(self, source: Path) -> str:
        """The name of an album's folder."""
        digest = hashlib.sha256(str(source).encode("utf-8", "surrogateescape")).hexdigest()[:12]
        return f"{re.sub(r'[^A-Za-z0-9]+', '-', source.name)[:40].strip('-') or 'photos'}-{digest}"

    def find(self, source: Path) -> Kept | None:
        """The album of a folder as it was left; None if there is none yet.

        Args:
            source: resolved, so that each folder has one album only.
        """
        key = self.key(source)
        with self._lock:
            if key not in self._kept and (album := self._load(self.root / key / FILE, source)):
                self._kept[key] = Kept(album)
            return self._kept.get(key)

    def open(self, source: Path, size: Size = (512, 512)) -> Kept:
        """The album of a folder: as it was left, or a new one, in which the focal point is looked for.

        Args:
            source: resolved, as for `find`.
            size: of the pictures to write, in a new one.
        """
        with self._lock:
            if kept := self.find(source):
                return kept
            width, height = size
            fresh = replace(
                FRESH, source=str(source), destination=str(source / DESTINATION), width=width, height=height
            )
            return self._kept.setdefault(self.key(source), Kept(Album(fresh)))

    def source(self, key: str) -> Path:
        """The folder that the album of that name is about.

        Raises:
            FileFormatError: there is no such album.
        """
        if not _KEY.fullmatch(key):
            raise FileFormatError("There is no such album.")
        with self._lock:
            kept = self._kept.get(key)
        album = kept.album if kept else load_album(self.root / key / FILE)
        return album.source

    def change(self, source: Path, edit: Callable[[Album], Album], *, save: bool = True) -> Kept:
        """Decide something, and write it down.

        Args:
            save: False for one of many changes, the last of which is written down.

        Raises:
            StorageError: it holds until the server ends, and could not be written.
        """
        key = self.key(source)
        with self._lock:
            before = self.open(source)
            album = edit(before.album)
            if album is not before.album:
                self._kept[key] = Kept(album, before.revision + 1)
            if save:
                save_album(album, self.root / key / FILE)
            return self._kept[key]

    def newest(self) -> Path | None:
        """The folder that was worked on last, if it is still there."""
        found = [(path.stat().st_mtime_ns, path) for path in self.root.glob(f"*/{FILE}")]
        for _, path in sorted(found, reverse=True):
            try:
                source = Path(load_album(path).params.source)
            except FileFormatError:
                continue
            if source.is_dir():
                return source
        return None

    def copies(self, source: Path) -> Copies:
        """The small copies of a folder's photos."""
        return self.copies_of(self.key(source))

    def copies_of(self, key: str) -> Copies:
        """The same, by the name of the album's folder.

        Raises:
            FileFormatError: no album is called so.
        """
        if not _KEY.fullmatch(key):
            raise FileFormatError("There is no such album.")
        return Copies(self.root / key / COPIES)

    def tidy(self, albums: int = COPIES_KEPT) -> None:
        """Forget the small copies of all but the albums that were worked on last; a look makes them again."""
        found = [(path.stat().st_mtime_ns, path.parent) for path in self.root.glob(f"*/{FILE}")]
        for _, folder in sorted(found, reverse=True)[albums:]:
            Copies(folder / COPIES).forget(())

    def _load(self, path: Path, source: Path) -> Album | None:
        if not path.exists():
            return None
        try:
            album = load_album(path)
        except FileFormatError as error:
            _log.warning("%s It is kept as %s.", error, path.with_suffix(".damaged"))
            path.replace(path.with_suffix(".damaged"))
            return None
        return replace(album, params=replace(album.params, source=str(source)))
