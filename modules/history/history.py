"""The history of pictures: looked through in the background, searched, starred, put into the trash and back."""

import contextlib
import logging
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from modules.errors import ParameterError, StorageError
from modules.files import storage_error
from modules.history.companions import ORIGINALS, companions
from modules.history.index import Facets, Index, Page, Query
from modules.history.record import SUFFIXES, TRASH, Record, read_record
from modules.history.stars import Stars
from modules.history.thumbnails import Thumbnails
from modules.infotext import storable

_BATCH = 32  # records written at once
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scan:
    """How far the look through the folder is.

    Attributes:
        done, total: files read, of those that were new or changed.
        running: it goes on.
        error: why it ended early, as a sentence; else empty.
    """

    done: int = 0
    total: int = 0
    running: bool = False
    error: str = ""


class History:
    """All pictures below one folder. Any thread may ask; nothing is read before `start` or the first question.

    Args:
        root: the folder of pictures.
        cache: where the index and thumbnails go; may be deleted at any time.
        stars: the file of stars.

    Attributes:
        scan: the look through the folder that runs, or the last one.
        version: another number after every change.
    """

    def __init__(self, root: Path, cache: Path, stars: Path):
        self.root = root
        self.scan = Scan()
        self.version = 0
        self._index = Index(cache / "history.sqlite3")
        self._thumbnails = Thumbnails(cache / "thumbnails")
        self._stars_path = stars
        self._stars: Stars | None = None
        self._changed = threading.Condition()
        self._wanted = False
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._facets: tuple[int, Facets] | None = None
        self._made_seen = 0

    def start(self) -> None:
        """Look through the folder in the background, now and whenever `refresh` asks for it."""
        with self._changed:
            self._wanted = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="history", daemon=True)
                self._thread.start()

    def refresh(self) -> None:
        """Look through the folder again: files may have come or gone. Returns at once."""
        with self._changed:
            self._wanted = True
            self._changed.notify_all()

    def stop(self) -> None:
        """End the look through the folder and close the index."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            thread = self._thread
        if thread:
            thread.join()
        self._index.close()

    @property
    def notice(self) -> str:
        """A sentence about a damaged file of stars; else empty."""
        return self._stars.notice if self._stars else ""

    # --- asking -----------------------------------------------------------------------------------------------------

    def search(self, query: Query, page: int = 0) -> Page:
        """One page of what a query finds, newest first.

        Raises:
            StorageError: there is no place for the index.
        """
        found = self._index.search(query, page)
        self._look_again_if_fresh()
        return found

    def facets(self) -> Facets:
        """What there is to choose from.

        Raises:
            StorageError: there is no place for the index.
        """
        version = self.version
        if self._facets is None or self._facets[0] != version:
            self._facets = version, self._index.facets()
        return self._facets[1]

    def find(self, name: str) -> Record:
        """The picture called `name`.

        Raises:
            ParameterError: there is none.
        """
        record = self._index.find(name)
        if record is None:
            raise ParameterError("picture", "This picture is not there any more.")
        return record

    def _there(self, name: str) -> Record:
        """As `find`; a file that others moved or deleted meanwhile is none, and the folder is looked through again."""
        record = self.find(name)
        if not self.path(record).exists():
            self.refresh()
            raise ParameterError("picture", "This picture is not there any more.")
        return record

    def path(self, record: Record) -> Path:
        """The file of a picture."""
        return self.root / record.name

    def damaged(self) -> list[Record]:
        """Files that cannot be read."""
        return self._index.damaged()

    def thumbnail(self, name: str) -> bytes:
        """A small copy of a picture, a WebP.

        Raises:
            ParameterError: there is no such picture.
            ImageError: it cannot be opened.
        """
        record = self.find(name)
        return self._thumbnails.get(self.path(record), name, record.modified_ns, record.size)

    # --- changing ---------------------------------------------------------------------------------------------------

    def add(self, path: Path) -> None:
        """A picture was made just now, here or elsewhere; elsewhere is not our business. Failure is logged only: the
        next look through the folder finds it."""
        try:
            if path.is_relative_to(self.root):
                self._put([self._read(path.relative_to(self.root).as_posix())])
        except (OSError, StorageError) as error:
            _log.warning("%s is not in the history yet: %s", path.name, error)

    def star(self, name: str, starred: bool) -> None:
        """Give or take a star.

        Raises:
            ParameterError: there is no such picture.
            StorageError: it is as before.
        """
        self._there(name)
        self._starred().set(name, starred)
        self._index.star(name, starred)
        self._tell()

    def delete(self, name: str) -> str:
        """Put a picture into the trash, with what lies beside it under its name. Returns its name there.

        Raises:
            ParameterError: there is no such picture.
            StorageError: it is where it was.
        """
        record = self._there(name)
        return name if record.in_trash else self._move(name, f"{TRASH}/{name}")

    def put_back(self, name: str) -> str:
        """Take a picture out of the trash. Returns its name, which is another one if its own is taken meanwhile.

        Raises:
            ParameterError: there is no such picture.
            StorageError: it is where it was.
        """
        record = self._there(name)
        return self._move(name, name.removeprefix(f"{TRASH}/")) if record.in_trash else name

    def empty_trash(self) -> int:
        """Delete what lies in the trash for good. Returns how many pictures went.

        Raises:
            StorageError: some of them could not be deleted.
        """
        gone = 0
        while records := self._index.search(Query(in_trash=True), 0).records:
            for record in records:
                path = self.path(record)
                for file in (*companions(path), path):
                    try:
                        file.unlink(missing_ok=True)
                    except OSError as error:
                        raise storage_error(file, error) from error
                self._thumbnails.forget(record.name, record.modified_ns, record.size)
                self._starred().set(record.name, False)
            self._forget([record.name for record in records])
            gone += len(records)
        self.refresh()  # the index may know copies that went along
        return gone

    # --- the part in the background ---------------------------------------------------------------------------------

    def _watch(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._wanted or self._stopping)
                if self._stopping:
                    return
                self._wanted = False
            try:
                self._scan()
            except StorageError as error:
                self.scan = Scan(error=str(error))
            except Exception:
                _log.exception("The look through the pictures has ended early")
                self.scan = Scan(error="The look through the pictures ended early, by a mistake of this program.")

    def _scan(self) -> None:
        """Read what is new or changed, newest first; forget what has gone."""
        self._starred()  # tells at once if its file is damaged
        known = self._index.known()  # first: what is made meanwhile must not look like something that has gone
        self._made_seen = self._index.made
        there = {name: (modified, size) for name, modified, size in _files(self.root)}
        gone = [name for name in known if name not in there]
        if gone:
            self._forget(gone)
        left = {name for name in self._index.copies() if not _has_original(self.root / name)}  # now it is the picture
        fresh = {name for name in there if known.get(name) != there[name] or name in left}
        fresh = sorted(fresh, key=there.__getitem__, reverse=True)
        self.scan = Scan(0, len(fresh), running=bool(fresh))
        for start in range(0, len(fresh), _BATCH):
            batch = fresh[start : start + _BATCH]
            records = []
            for name in batch:
                with contextlib.suppress(FileNotFoundError):  # gone since it was listed
                    records.append(self._read(name))
            self._put(records)
            self.scan = Scan(self.scan.done + len(batch), len(fresh), running=True)
            if self._stopping:
                return
        self.scan = Scan(len(fresh), len(fresh))

    def _read(self, name: str) -> Record:
        """Read one file.

        Raises:
            FileNotFoundError: it has gone meanwhile.
        """
        status = (self.root / name).stat()
        record = read_record(self.root, name, status.st_mtime_ns, status.st_size, name in self._starred())
        if record.damage:
            (self.root / name).stat()
        return record

    def _put(self, records: list[Record]) -> None:
        self._index.put(records)
        self._tell()

    def _forget(self, names: list[str]) -> None:
        self._index.forget(names)
        self._tell()

    def _move(self, old: str, new: str) -> str:
        """Give a picture, and what goes along with it, another name: all of it or nothing."""
        path = self.root / old
        files = [path, *companions(path)]
        new = self._free(new, [file.suffix for file in files])
        moves = [(file, (self.root / new).with_suffix(file.suffix)) for file in files]
        done: list[tuple[Path, Path]] = []
        try:
            (self.root / new).parent.mkdir(parents=True, exist_ok=True)
            for source, target in moves:
                os.replace(source, target)
                done.append((source, target))
        except OSError as error:
            for source, target in reversed(done):
                os.replace(target, source)
            raise storage_error(self.root / new, error) from error
        self._starred().move(old, new)
        pictures = [(source, target) for source, target in moves if target.suffix.lower() in SUFFIXES]
        self._forget([source.relative_to(self.root).as_posix() for source, _ in pictures])
        self._put([self._read(target.relative_to(self.root).as_posix()) for _, target in pictures])
        return new

    def _free(self, name: str, suffixes: Sequence[str]) -> str:
        """The name, or the next one like it that nothing with one of these suffixes is called yet."""
        path = Path(name)
        names = (
            name,
            *(path.with_name(f"{path.stem}-{number}{path.suffix}").as_posix() for number in range(2, 10_000)),
        )
        taken = ((name, [(self.root / name).with_suffix(suffix).exists() for suffix in suffixes]) for name in names)
        return next(name for name, found in taken if not any(found))

    def _starred(self) -> Stars:
        if self._stars is None:
            with self._changed:
                self._stars = self._stars or Stars(self._stars_path)
        return self._stars

    def _look_again_if_fresh(self) -> None:
        """An index that was damaged, or deleted while the server runs, is empty now: fill it."""
        if self._index.made > self._made_seen:
            self._made_seen = self._index.made
            self.refresh()

    def _tell(self) -> None:
        with self._changed:
            self.version += 1


def _has_original(copy: Path) -> bool:
    return any(copy.with_suffix(suffix).exists() for suffix in ORIGINALS)


def _files(root: Path) -> Iterator[tuple[str, int, int]]:
    """Name, time and size of every picture below `root`; links to folders are followed, hidden ones passed over."""
    visited: set[tuple[int, int]] = set()
    for folder, below, names in os.walk(root, followlinks=True):
        with contextlib.suppress(OSError):
            status = os.stat(folder)
            key = (status.st_dev, status.st_ino)
            if key in visited:
                below.clear()
                continue
            visited.add(key)
        below[:] = [name for name in below if not name.startswith(".")]
        for name in names:
            path = Path(folder, name)
            shown = path.relative_to(root).as_posix()
            if name.lower().endswith(SUFFIXES) and not name.startswith(".") and storable(shown) == shown:
                with contextlib.suppress(OSError):  # gone, or a link that leads nowhere
                    status = path.stat()
                    yield shown, status.st_mtime_ns, status.st_size
