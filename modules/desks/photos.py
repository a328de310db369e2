"""The desk at which photos are made ready: albums opened, looked at, decided about, written. One per App.

What is decided here is seen by every tab and outlives the server. Long work goes through the App's queue; only what
waits for the network has a queue of its own, so that no picture waits for it.
"""

import dataclasses
import importlib.util
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from modules.errors import DatasetError, FileFormatError, JobBusy, ModelMissing, ParameterError
from modules.events import Event, Progressed, Work
from modules.files import folder_of
from modules.filewords import side_caption
from modules.jobs import Job, JobQueue
from modules.paths import Paths
from modules.preprocess import uploads
from modules.preprocess.album import Album, Written, judging
from modules.preprocess.albums import Albums, Kept
from modules.preprocess.blip import find_blip
from modules.preprocess.blip_download import fetch_blip
from modules.preprocess.captions import CaptionTable
from modules.preprocess.crop import Size
from modules.preprocess.describing import Described, describe
from modules.preprocess.folder import list_folder
from modules.preprocess.photos import Photo
from modules.preprocess.run import Choice, Judged, Prepared, PreprocessingEnded, Surveyed, preprocess, survey
from modules.preprocess_params import PreprocessParams

SAVE_EVERY = 10  # photos looked at


class PhotoDesk:
    """All that a front end does with photos before they are trained on. Any thread may ask.

    Args:
        jobs: the App's queue.
        roots: where all folders have to lie, if there are any.

    Attributes:
        albums: what is known and decided, by folder.
        downloads: the queue of what waits for the network.
    """

    def __init__(self, paths: Paths, jobs: JobQueue, roots: tuple[Path, ...] = ()):
        self.albums = Albums(paths.albums)
        self.downloads = JobQueue(max_waiting=1)
        self._paths = paths
        self._models = paths.data / "models"
        self._jobs = jobs
        self._roots = roots
        self._lock = threading.Lock()
        self._work: dict[Path, list[Job]] = {}  # by source, oldest first
        self._download: Job | None = None

    def stop(self, timeout: float) -> bool:
        """End what waits for the network; what has come is kept."""
        return self.downloads.stop(timeout)

    # --- albums -----------------------------------------------------------------------------------------------------

    def open(
        self, folder: str, owner: str = "", size: Size = (512, 512), chosen: Mapping[str, Any] | None = None
    ) -> Kept:
        """The album of a folder, which is looked at if it has changed since.

        Args:
            folder: as a user names it.
            size: of the pictures to write, if nobody has chosen one for this folder.
            chosen: what is decided with the opening, by field name of `PreprocessParams`.

        Raises:
            ParameterError: no such path, or outside of where this server may look, or a choice that cannot be used.
            DatasetError: no photos in it.
            JobBusy: the queue is full.
        """
        source = self.require_photos(folder)
        params = dataclasses.replace(self.albums.open(source, size).album.params, **(chosen or {}))
        self.look(params, owner)
        return self.albums.open(source)

    def require_photos(self, folder: str) -> Path:
        """The folder that a user names, if it can be opened.

        Raises:
            ParameterError, DatasetError: as for `open`.
        """
        source = folder_of(folder, "source", self._roots)
        list_folder(source)
        return source

    def allowed(self, source: str) -> Path | None:
        """A folder that was opened before, as far as it is still there and this server may look at it."""
        try:
            folder = folder_of(source, "source", self._roots)
        except ParameterError:
            return None
        return folder if folder.is_dir() else None

    def go_on(self, source: Path, owner: str = "") -> None:
        """Come back to an album: its small copies may be gone, and then they are made again.

        Raises:
            JobBusy: the queue is full.
        """
        copies, album = self.albums.copies(source), self.albums.open(source).album
        is_whole = all(copies.has(photo.stamp) for photo in album.photos if photo.stamp)
        if not is_whole and all(job.is_over for job in self.work_on(source)):
            self.look(album.params, owner)

    def newest(self) -> Path | None:
        """The folder that was worked on last, as far as this server may look at it."""
        source = self.albums.newest()
        return self.allowed(str(source)) if source else None

    def find(self, key: str) -> Path:
        """The folder of an album by the album's name.

        Raises:
            FileFormatError: there is no such album.
            ParameterError: this server may not look there.
        """
        return folder_of(str(self.albums.source(key)), "source", self._roots)

    def work_on(self, source: Path) -> list[Job]:
        """The jobs about a folder since the start of the server, oldest first."""
        with self._lock:
            return list(self._work.get(source, []))

    # --- work -------------------------------------------------------------------------------------------------------

    def look(self, params: PreprocessParams, owner: str = "") -> Job:
        """Queue a look at each photo that is new, changed, or to be judged by something else. An older look ends.

        Raises:
            ParameterError: a folder outside of where this server may look.
            JobBusy: the queue is full.
        """
        source = folder_of(params.source, "source", self._roots)
        for job in self.work_on(source):
            if job.title == LOOKING:
                job.interrupt()
        kept = self.albums.change(source, lambda album: album.with_params(params))
        return self._submit(source, LOOKING, self._look(source, kept.album), owner)

    def set_params(self, params: PreprocessParams, owner: str = "") -> None:
        """Choose other tools; photos are looked at again if that changes what is said of them.

        Raises:
            ParameterError: a folder outside of where this server may look.
            JobBusy: the queue is full.
        """
        source = folder_of(params.source, "source", self._roots)
        before = self.albums.open(source).album.params
        if judging(before, False) != judging(params, False):
            self.look(params, owner)
        elif before != params:
            self.albums.change(source, lambda album: album.with_params(params))

    def write(self, source: Path, owner: str = "") -> Job:
        """Queue the writing of an album, as it is decided when its turn comes: behind a look that is under way.

        Raises:
            ParameterError: a folder outside of where this server may write.
            ModelMissing: BLIP is asked for and not there.
            JobBusy: the album is being written, or the queue is full.
        """
        album = self.albums.open(source).album
        for field in ("source", "destination"):
            folder_of(getattr(album.params, field), field, self._roots)
        if album.params.blip:
            find_blip(self._models)
        self._refuse_second(source, WRITING)
        return self._submit(source, WRITING, self._write(source), owner)

    def describe(self, source: Path, owner: str = "") -> Job:
        """Queue captions by BLIP for all photos in use; at the end they are one edit of the table.

        Raises:
            ModelMissing: BLIP is not there.
            JobBusy: it is under way, or the queue is full.
        """
        find_blip(self._models)
        self._refuse_second(source, DESCRIBING)
        return self._submit(source, DESCRIBING, self._describe(source), owner)

    def has_blip(self) -> bool:
        """Whether BLIP's files are on this machine."""
        try:
            find_blip(self._models)
        except ModelMissing:
            return False
        return True

    def fetch_blip(self, owner: str = "") -> Job:
        """Fetch BLIP from the hub, beside all other work. Asked again while it is under way, it is the same job."""
        with self._lock:
            if self._download is None or self._download.is_over:
                self._download = self.downloads.submit("Fetching BLIP", fetch_blip(self._models), owner)
            return self._download

    @property
    def download(self) -> Job | None:
        """The newest fetch of BLIP."""
        return self._download

    def survey(self, params: PreprocessParams, owner: str = "") -> Job:
        """Queue a look at each photo of a folder, which no album remembers, see `preprocess.run.survey`."""
        return self._jobs.submit(LOOKING, survey(params, self._models, self._roots), owner)

    def preprocess(self, params: PreprocessParams, choices: Mapping[str, Choice] | None = None, owner: str = "") -> Job:
        """Queue the preparing of photos without an album, see `preprocess.run.preprocess`."""
        return self._jobs.submit(WRITING, preprocess(params, self._models, choices, self._roots), owner)

    # --- photos that are sent ---------------------------------------------------------------------------------------

    def new_folder(self, wish: str = "") -> str:
        """A name for a folder of photos that are going to be sent."""
        return uploads.new_folder(self._paths.photos, wish)

    def sent_folder(self, name: str) -> Path:
        """Where photos lie that were sent under that name.

        Raises:
            ParameterError: no folder could be called so.
        """
        return uploads.folder_below(self._paths.photos, name)

    def receive(self, folder: str, name: str, file: IO[bytes]) -> Path:
        """Keep a photo that was sent, see `uploads.receive`."""
        return uploads.receive(self.sent_folder(folder), name, file)

    # --- the worker's part ------------------------------------------------------------------------------------------

    def _submit(self, source: Path, title: str, work: Work, owner: str) -> Job:
        job = self._jobs.submit(title, work, owner)
        with self._lock:
            kept = [old for old in self._work.get(source, []) if not old.is_over or old.title != title]
            self._work[source] = [*kept, job]
        return job

    def _refuse_second(self, source: Path, title: str) -> None:
        if any(job.title == title and not job.is_over for job in self.work_on(source)):
            raise JobBusy("This is under way already: wait until it has ended, or interrupt it.")

    def _look(self, source: Path, album: Album) -> Work:
        judged_by = judging(album.params, importlib.util.find_spec("cv2") is not None)
        copies = self.albums.copies(source)
        known = {photo.path.name: photo for photo in album.photos} if album.judged_by == judged_by else {}
        found: list[Photo] = []
        total = 0

        def hear(event: Event) -> None:
            nonlocal total
            match event:
                case Progressed():
                    total = event.total
                case Judged(photo):
                    found.append(photo)
                    save = len(found) % SAVE_EVERY == 0
                    self.albums.change(source, lambda album: album.with_photo(photo), save=save)
                case Surveyed() if len(found) == total:
                    self.albums.change(source, lambda album: album.with_photos(tuple(found), judged_by))
                    copies.forget(photo.stamp for photo in found)
                    self.albums.tidy()
                case Surveyed():
                    self.albums.change(source, lambda album: dataclasses.replace(album, judged_by=""))

        yield from _heard(survey(album.params, self._models, self._roots, copies, known), hear)

    def _write(self, source: Path) -> Work:
        album = self.albums.open(source).album
        pictures: dict[str, tuple[str, ...]] = {}
        before = album.written
        earlier = before.pictures.values() if before and before.folder == album.destination else ()

        def hear(event: Event) -> None:
            match event:
                case Prepared():
                    pictures[event.source.name] = tuple(path.name for path in event.pictures)
                case PreprocessingEnded():
                    self._note_written(source, album, pictures, event)

        work = preprocess(
            album.params, self._models, album.choices(), self._roots, earlier=[n for names in earlier for n in names]
        )
        yield from _heard(work, hear)

    def _note_written(
        self, source: Path, album: Album, pictures: dict[str, tuple[str, ...]], end: PreprocessingEnded
    ) -> None:
        """Put what BLIP said while writing into the table, and note what stands in the destination now."""
        choices = album.choices()
        said = {
            source / name: _caption_of(album.destination / names[0])
            for name, names in pictures.items()
            if names and choices[name].caption is None
        }
        kept = before.pictures if end.interrupted and (before := album.written) else {}

        def note(now: Album, decided: str) -> Album:
            if said:
                now = now.with_captions(CaptionTable({**now.caption_table.captions, **said}, now.caption_table))
            written = Written(album.destination, {**kept, **pictures}, end.sentence, end.skipped, decided)
            return dataclasses.replace(now, written=written)

        decided = "" if end.interrupted else note(album, "").decided
        self.albums.change(source, lambda now: note(now, decided))

    def _describe(self, source: Path) -> Work:
        album = self.albums.open(source).album
        texts: dict[str, str] = {}

        def hear(event: Event) -> None:
            if isinstance(event, Described):
                texts[event.photo.name] = event.text

        crops = {photo.path: album.crop(photo) for photo in album.used}
        if not crops:
            raise DatasetError("All photos are left out: there is nothing to describe.")
        try:
            yield from _heard(describe(crops, album.params.size, self._models), hear)
        finally:
            if texts:
                self.albums.change(source, lambda album: album.described(texts))


LOOKING, WRITING, DESCRIBING = "Looking at photos", "Preparing photos", "Describing photos"


def _heard(work: Work, hear: Callable[[Event], None]) -> Work:
    """The same work, each event of which is heard before anybody else sees it."""
    request = None
    try:
        while True:
            try:
                event = work.send(request)
            except StopIteration:
                return
            hear(event)
            request = yield event
    finally:
        work.close()


def _caption_of(picture: Path) -> str:
    try:
        return side_caption(picture) or ""
    except FileFormatError:  # somebody else wrote it a moment ago
        return ""
