"""A folder of photos in, a folder to train on out; and, before that, a look at each of them.

Both are generators of events and stop before the next photo when asked to. The photos themselves are only read.
"""

import os
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image, ImageOps

from modules.errors import DatasetError, FileFormatError, ImageError, ParameterError
from modules.events import Event, Noticed, Progressed, Request, Status, Work
from modules.files import folder_of, storage_error, write_atomically
from modules.filewords import caption_file, side_caption
from modules.images import open_image, save_png
from modules.preprocess.blip import find_blip, load_blip
from modules.preprocess.captions import combine
from modules.preprocess.copies import Copies, stamp
from modules.preprocess.crop import Crop, auto_size, cut, split
from modules.preprocess.faces import FaceFinder, load_face_finder
from modules.preprocess.focal import Weights, find_focus
from modules.preprocess.folder import Listing, list_folder
from modules.preprocess.photos import Photo, compared, judge, require_substance, without_comparison
from modules.preprocess.report import SetReport, report_on
from modules.preprocess_params import PreprocessParams

FLIP_WARNING = "Flipped copies are on. For a face leave them off: its mirror image is another person."
WITHOUT_FACES = (
    "Faces are not looked for, so edges and detail alone decide what the focal point is; "
    "with the package opencv-python-headless installed, faces are found."
)
DEBUG_FOLDER = "debug"
EARLIER_FOLDER = "earlier"
LONGEST_STEM = 200  # bytes; with number and suffix a name stays below the 255 that file systems take

Describe = Callable[[Image.Image], str]


@dataclass(frozen=True)
class Judged(Event):
    """One photo of the folder was looked at."""

    photo: Photo

    @property
    def sentence(self) -> str:
        """What is to be said of it; empty if it is good."""
        name = self.photo.path.name
        told = (remark.text if name in remark.text else f"“{name}”: {remark.text}" for remark in self.photo.remarks)
        return "\n".join(told)


@dataclass(frozen=True)
class Surveyed(Event):
    """The last event of `survey`: the set as a whole."""

    report: SetReport

    @property
    def sentence(self) -> str:
        """The report in words, a line for each of its sentences."""
        return "\n".join(self.report.sentences)


@dataclass(frozen=True)
class Prepared(Event):
    """One photo became these pictures."""

    source: Path
    pictures: tuple[Path, ...]


@dataclass(frozen=True)
class PreprocessingEnded(Event):
    """The last event of `preprocess`.

    Attributes:
        pictures: how many were written.
        skipped: a sentence for each photo that was not.
        interrupted: the user stopped it; what was written before stays.
        sentence: what happened.
    """

    pictures: int
    skipped: tuple[str, ...]
    interrupted: bool
    sentence: str


@dataclass(frozen=True)
class Choice:
    """What the user decided about one photo; None leaves it to the program.

    Attributes:
        crop: in place of the proposed or centred one. Splitting, automatic and original sizes go on as they are.
        caption: in place of everything else; for all pictures of this photo. An empty one leaves an empty file: without
            a file, the picture's name would be its caption.
        left_out: the photo is not used.
    """

    crop: Crop | None = None
    caption: str | None = None
    left_out: bool = False


def survey(
    params: PreprocessParams,
    models: Path,
    roots: Sequence[Path] = (),
    copies: Copies | None = None,
    known: Mapping[str, Photo] | None = None,
) -> Work:
    """Look at each photo of the source folder and propose its crop; nothing is written into that folder.

    Args:
        models: folder that a face detector may lie in.
        roots: where the folder has to lie, if there are any.
        copies: where to keep small copies for looking; None: nowhere.
        known: photos judged before with the same size and weights, by file name: those that have not changed since
            are not opened again.

    Yields:
        `Noticed` for what is no photo, `Progressed` and `Judged` for each photo, `Surveyed` at the end, also of an
        interrupted survey.

    Raises:
        ParameterError: a folder that cannot be used.
        DatasetError: no photos in it.
    """
    listing = list_folder(folder_of(params.source, "source", roots))
    stopped = False
    for notice in _strangers(listing, params.destination):
        stopped |= (yield notice) is Request.INTERRUPT
    faces = load_face_finder(models)
    photos: list[Photo] = []
    for done, (number, path) in enumerate(listing.photos):
        if (yield Progressed(done, len(listing.photos), path.name)) is Request.INTERRUPT or stopped:
            break
        photo = _if_unchanged((known or {}).get(path.name), path, copies) or judge(
            path, number, params.size, _weights(params), faces, copies
        )
        photo = compared(replace(photo, number=number), photos)
        photos.append(photo)
        if (yield Judged(photo)) is Request.INTERRUPT:
            break
    yield Surveyed(report_on(photos))


def _if_unchanged(photo: Photo | None, path: Path, copies: Copies | None) -> Photo | None:
    """The photo as it was judged before, not yet compared with others; None if it has to be opened."""
    if photo is None or not photo.stamp or (copies and not copies.has(photo.stamp)):
        return None
    try:
        return without_comparison(photo) if stamp(path) == photo.stamp else None
    except ImageError:  # gone: the one who judges says so
        return None


def preprocess(
    params: PreprocessParams,
    models: Path,
    choices: Mapping[str, Choice] | None = None,
    roots: Sequence[Path] = (),
    device: str = "cpu",
    earlier: Collection[str] = (),
) -> Work:
    """Write `<number>-<part>-<name>.png` and their captions.

    Args:
        params: folders, size and tools.
        models: folder that BLIP and a face detector may lie in.
        choices: the user's decisions, by file name.
        roots: where both folders have to lie, if there are any.
        device: where BLIP runs.
        earlier: names of pictures that an earlier run wrote into the destination: those that this one does not write
            again are moved into a folder `earlier` in there, so that nobody trains on them.

    Yields:
        `Progressed` before each photo, `Prepared` or `Noticed` after it, `PreprocessingEnded` last. The same photos
        and parameters give the same bytes again.

    Raises:
        ParameterError: a folder that cannot be used.
        DatasetError: no photos, or none that can be opened.
        ModelMissing: BLIP is asked for and not there.
        StorageError: disk full, read-only or gone; pictures written before are whole.

    Source: A1111 v1.6, spec of its "Preprocess images"; unlike there, entries are sorted by name, what is skipped is
    named, and pictures that explain a crop go to a folder of their own.
    """
    yield from _Run(params, models, choices or {}, roots, device, earlier).work()


class _Run:
    def __init__(
        self,
        params: PreprocessParams,
        models: Path,
        choices: Mapping[str, Choice],
        roots: Sequence[Path],
        device: str,
        earlier: Collection[str],
    ):
        self.params = params
        self.models = models
        self.choices = choices
        self.device = device
        self.earlier = earlier
        self.source = folder_of(params.source, "source", roots)
        self.destination = folder_of(params.destination, "destination", roots)
        self.faces: FaceFinder | None = None
        self.describe: Describe | None = None
        self.pictures: list[Path] = []
        self.skipped: list[str] = []
        self.kept_captions = 0
        self.asked_to_stop = False
        self.interrupted = False

    def work(self) -> Work:
        listing = self._list()
        yield from self._prepare(listing)
        total = len(listing.entries)
        for number, path in listing.photos:
            yield from self._tell(Progressed(number, total, f"Preprocessing [Image {number + 1}/{total}]"))
            if self.asked_to_stop:
                self.interrupted = True
                break
            choice = self.choices.get(path.name, Choice())
            if choice.left_out:
                continue
            try:
                written = yield from self._write_photo(number, path, choice)
            except ImageError as error:
                self.skipped.append(str(error))
                yield from self._tell(Noticed(str(error)))
            else:
                yield from self._tell(Prepared(path, tuple(written)))
        if not self.pictures and not self.interrupted:
            reasons = " ".join(self.skipped[:3]) or "All photos are left out."
            raise DatasetError(f"Nothing was written: no photo in “{self.source}” can be used. {reasons}")
        yield from self._tell_of_older_files()
        yield PreprocessingEnded(len(self.pictures), tuple(self.skipped), self.interrupted, self._sentence())

    def _tell(self, event: Event) -> Work:
        """Yield an event and note what was asked with it."""
        self.asked_to_stop |= (yield event) is Request.INTERRUPT

    def _list(self) -> Listing:
        """The source, once the destination is there: inside the source it is an entry on every run, not only later."""
        list_folder(self.source)
        try:
            self.destination.mkdir(parents=True, exist_ok=True)
            same = os.path.samefile(self.source, self.destination)
        except FileExistsError as error:
            raise ParameterError("destination", f"“{self.destination}” is a file: name a folder.") from error
        except OSError as error:
            raise storage_error(self.destination, error) from error
        if same:
            raise ParameterError("destination", "Source and destination are the same folder: name another destination.")
        return list_folder(self.source)

    def _prepare(self, listing: Listing) -> Work:
        for notice in _strangers(listing, str(self.destination)):
            yield from self._tell(notice)
        if self.params.flip:
            yield from self._tell(Noticed(FLIP_WARNING))
        proposes = self.params.focal_debug or any(
            self.choices.get(path.name, Choice()).crop is None for _, path in listing.photos
        )
        if self.params.focal_crop and self.params.face_weight and proposes:
            self.faces = load_face_finder(self.models)
            if self.faces is None:
                yield from self._tell(Noticed(WITHOUT_FACES))
        if self.params.blip:
            yield from self._tell(Status("loading BLIP"))
            self.describe = load_blip(find_blip(self.models), self.device).describe

    def _write_photo(self, number: int, path: Path, choice: Choice) -> Generator[Event, Request | None, list[Path]]:
        image = open_image(path)
        require_substance(path, image)
        existing = ""
        try:
            existing = side_caption(path) or ""
        except FileFormatError as error:
            yield from self._tell(Noticed(str(error)))
        pictures = self._pictures(number, path, image, choice)
        if not pictures:
            raise ImageError(
                f"“{path.name}” is {image.width}×{image.height}: no automatic size is near enough to that."
            )
        written: list[Path] = []
        for make in pictures:
            picture = make()
            caption = choice.caption.strip() if choice.caption is not None else self._caption(picture, existing)
            for version in (picture, ImageOps.mirror(picture)) if self.params.flip else (picture,):
                target = self.destination / f"{number:05}-{len(written)}-{_stem(path)}.png"
                save_png(version, target)
                if caption or choice.caption is not None:
                    write_atomically(caption_file(target), caption)
                elif caption_file(target).exists():  # written, perhaps by hand, after an earlier run
                    self.kept_captions += 1
                written.append(target)
                self.pictures.append(target)
        return written

    def _pictures(self, number: int, path: Path, image: Image.Image, choice: Choice) -> list[Callable[[], Image.Image]]:
        """What each tool that is on makes of a photo, one picture at a time; the plain crop if none has a say."""
        params, size = self.params, self.params.size
        crops = split(image.size, size, params.split_threshold, params.overlap_ratio) if params.split else []
        pictures: list[Callable[[], Image.Image]] = [lambda crop=crop: cut(image, crop, size) for crop in crops]
        has_own_tool = bool(crops) or params.auto_sized_crop or params.keep_original_size
        if params.focal_crop and image.width != image.height:
            crop = choice.crop
            if crop is None or params.focal_debug:
                proposed = self._focal_crop(number, path, image)
                crop = crop or proposed
            pictures.append(lambda: cut(image, crop, size))
        elif not has_own_tool:
            pictures.append(lambda: cut(image, choice.crop or Crop(), size))
        if params.auto_sized_crop and (own_size := auto_size(image.size, params)):
            pictures.append(lambda: cut(image, Crop(), own_size))
        if params.keep_original_size:
            pictures.append(lambda: image)
        return pictures

    def _focal_crop(self, number: int, path: Path, image: Image.Image) -> Crop:
        focus = find_focus(image, self.params.size, _weights(self.params), self.faces)
        if self.params.focal_debug:
            folder = self.destination / DEBUG_FOLDER
            save_png(focus.drawn(self.params.size), folder / f"{number:05}-{_stem(path)}.png")
        return focus.crop

    def _caption(self, picture: Image.Image, existing: str) -> str:
        generated = self.describe(picture) if self.describe else ""
        return combine(existing, generated, self.params.caption_action)

    def _tell_of_older_files(self) -> Work:
        if self.kept_captions:
            yield Noticed(
                f"{_count(self.kept_captions, 'caption')} of an earlier run kept: nothing new to write there."
            )
        ours = {path.name for path in self.pictures}
        if not self.interrupted:
            moved = [name for name in self.earlier if name not in ours and self._put_away(name)]
            if moved:
                yield Noticed(f"{_count(len(moved), 'picture')} of an earlier run moved into “{EARLIER_FOLDER}”.")
        older = [path.name for path in self.destination.glob("*.png") if path.name not in ours]
        if older and not self.interrupted:
            yield Noticed(
                f"In the destination there is “{min(older)}”, which this run did not write"
                f"{f', and {len(older) - 1} more' if older[1:] else ''}: delete what is not to be trained on."
            )

    def _put_away(self, name: str) -> bool:
        """Move a picture and its caption out of the way; False if it is not there any more."""
        picture, folder = self.destination / name, self.destination / EARLIER_FOLDER
        try:
            if not picture.is_file():
                return False
            folder.mkdir(exist_ok=True)
            for path in (picture, caption_file(picture)):
                if path.is_file():
                    os.replace(path, folder / path.name)
        except OSError as error:
            raise storage_error(picture, error) from error
        return True

    def _sentence(self) -> str:
        end = "interrupted" if self.interrupted else "finished"
        skipped = f", {_count(len(self.skipped), 'photo')} skipped" if self.skipped else ""
        return f"Preprocessing {end}. {_count(len(self.pictures), 'picture')} written{skipped}."


def _strangers(listing: Listing, destination: str) -> Iterator[Noticed]:
    """What lies in the source and is no photo, but for the destination."""
    own = os.path.realpath(os.path.expanduser(destination))  # unlike `resolve`, not stopped by links in a circle
    return (Noticed(sentence) for path, sentence in listing.strangers if os.path.realpath(path) != own)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _weights(params: PreprocessParams) -> Weights:
    return Weights(params.face_weight, params.entropy_weight, params.edges_weight)


def _stem(path: Path) -> str:
    """The photo's name for its pictures: valid text, and short enough to have something put before and behind it."""
    stem = path.stem.encode("utf-8", "replace")[:LONGEST_STEM].decode("utf-8", "ignore")
    return stem.replace("?", "_")
