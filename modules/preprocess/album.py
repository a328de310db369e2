"""What is known and what was decided about one folder of photos: crops moved, captions written, photos left out.

An album never changes: each decision makes a new one. `albums` keeps them in files.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from modules.errors import ParameterError
from modules.preprocess.captions import CaptionTable, combine
from modules.preprocess.crop import Crop
from modules.preprocess.photos import Photo, Verdict, compared, without_comparison
from modules.preprocess.report import SetReport, report_on
from modules.preprocess.run import Choice
from modules.preprocess_params import PreprocessParams

MOST_UNDOS = 50
JUDGED_BY = ("width", "height", "face_weight", "entropy_weight", "edges_weight")


def judging(params: PreprocessParams, finds_faces: bool) -> str:
    """What verdicts and proposed crops depend on, besides the photos."""
    return repr([finds_faces, *(getattr(params, name) for name in JUDGED_BY)])


@dataclass(frozen=True)
class Written:
    """What the last run wrote into a folder.

    Attributes:
        folder: the destination.
        pictures: names of the pictures, by the name of their photo.
        sentence: how it ended.
        skipped: a sentence for each photo that became no picture.
        decided: what it was made from, see `Album.decided`.
    """

    folder: Path
    pictures: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sentence: str = ""
    skipped: tuple[str, ...] = ()
    decided: str = ""

    @property
    def count(self) -> int:
        """How many pictures there are."""
        return sum(len(names) for names in self.pictures.values())


@dataclass(frozen=True)
class Album:
    """One folder of photos.

    Attributes:
        params: source, destination, size and tools.
        photos: as they were judged, in the order of the folder.
        crops: moved by hand, by file name.
        left_out: decided by hand, by file name; what cannot be used is left out without that.
        captions: as edited; pictures that are not in it have the text beside the photo, else what its name says.
        written: what stands ready to train on; None before the first run.
        judged_by: what the photos were judged by, see `judging`; empty before the first look, or after half a one.
    """

    params: PreprocessParams
    photos: tuple[Photo, ...] = ()
    crops: Mapping[str, Crop] = field(default_factory=dict)
    left_out: Mapping[str, bool] = field(default_factory=dict)
    captions: CaptionTable = field(default_factory=lambda: CaptionTable({}))
    written: Written | None = None
    judged_by: str = ""

    # --- what is known ----------------------------------------------------------------------------------------------

    @property
    def source(self) -> Path:
        return Path(self.params.source)

    @property
    def destination(self) -> Path:
        return Path(self.params.destination)

    @property
    def report(self) -> SetReport:
        """The set as it would be written: without what was left out by hand, with the captions of the table."""
        return report_on(self.compared_photos())

    def compared_photos(self) -> list[Photo]:
        """The photos that were not left out by hand, as they are beside one another."""
        found: list[Photo] = []
        for photo in self.photos:
            if self.left_out.get(photo.path.name):
                continue
            photo = replace(photo, caption=self.caption(photo) or None)
            if photo.duplicate_of and self.left_out.get(photo.duplicate_of.name):
                photo = compared(without_comparison(photo), found)
            found.append(photo)
        return found

    def find(self, name: str) -> Photo:
        """The photo of that file name.

        Raises:
            ParameterError: there is none.
        """
        found = next((photo for photo in self.photos if photo.path.name == name), None)
        if found is None:
            raise ParameterError("photo", f"There is no photo “{name}” here any more: look at the folder again.")
        return found

    def crop(self, photo: Photo) -> Crop:
        """The part that would be written: the one moved by hand, else what the program proposes."""
        proposed = photo.crop if self.params.focal_crop else Crop()
        return self.crops.get(photo.path.name, proposed)

    def is_left_out(self, photo: Photo) -> bool:
        """Whether nothing would be written of a photo."""
        return not photo.backdrop or self.left_out.get(photo.path.name, photo.verdict is Verdict.UNUSABLE)

    def caption(self, photo: Photo) -> str:
        """The text that would be written beside the pictures of a photo, unless BLIP is still to be asked."""
        return self.captions.captions.get(photo.path, self._first_caption(photo))

    @property
    def used(self) -> list[Photo]:
        """The photos that pictures would be made of."""
        return [photo for photo in self.photos if not self.is_left_out(photo)]

    def choices(self) -> dict[str, Choice]:
        """What to tell `preprocess`, so that it writes what is shown."""
        return {
            photo.path.name: Choice(self.crop(photo), self._decided_caption(photo), self.is_left_out(photo))
            for photo in self.photos
        }

    @property
    def decided(self) -> str:
        """Everything that decides what is written, to be compared with what was."""
        return repr((self.params, sorted(self.choices().items()), [photo.stamp for photo in self.photos]))

    @property
    def is_written(self) -> bool:
        """Whether the destination holds what would be written now."""
        return self.written is not None and self.written.decided == self.decided

    # --- decisions --------------------------------------------------------------------------------------------------

    def with_params(self, params: PreprocessParams) -> "Album":
        """With other tools; crops moved by hand stay where they are."""
        return replace(self, params=params)

    def with_photos(self, photos: tuple[Photo, ...], judged_by: str) -> "Album":
        """With what a whole survey found; decisions about photos that are gone are kept, they may come back."""
        return replace(self, photos=photos, judged_by=judged_by)

    def with_photo(self, photo: Photo) -> "Album":
        """With one photo judged, or judged again."""
        others = [other for other in self.photos if other.path != photo.path]
        return replace(self, photos=tuple(sorted([*others, photo], key=lambda photo: photo.path.name)))

    def with_crop(self, name: str, crop: Crop | None) -> "Album":
        """With the crop of one photo moved; None goes back to the proposal.

        Raises:
            ParameterError: there is no such photo.
        """
        self.find(name)
        crops = {other: kept for other, kept in self.crops.items() if other != name}
        return replace(self, crops=crops | ({name: crop} if crop else {}))

    def with_left_out(self, name: str, left_out: bool) -> "Album":
        """With one photo left out, or in again.

        Raises:
            ParameterError: there is no such photo, or it cannot be used.
        """
        photo = self.find(name)
        if not left_out and not photo.backdrop:
            raise ParameterError("photo", photo.remarks[-1].text)
        return replace(self, left_out={**self.left_out, name: left_out})

    def with_captions(self, edited: CaptionTable) -> "Album":
        """With an edit of `caption_table`."""
        return replace(self, captions=_shortened(edited, MOST_UNDOS))

    @property
    def caption_table(self) -> CaptionTable:
        """All captions, to be edited; those of photos that are gone stay in it."""
        shown = {photo.path: self.caption(photo) for photo in self.photos}
        return replace(self.captions, captions={**self.captions.captions, **shown})

    def described(self, texts: Mapping[str, str]) -> "Album":
        """With what a model said of photos, joined with their captions as the caption action says: one edit.

        Args:
            texts: by file name; those of photos that have gone meanwhile are passed over.
        """
        table = dict(self.caption_table.captions)
        for photo in self.photos:
            if photo.path.name in texts:
                text = texts[photo.path.name]
                table[photo.path] = combine(table[photo.path], text, self.params.caption_action)
        return self.with_captions(CaptionTable(table, self.caption_table))

    def with_captions_from(self, what: str) -> "Album":
        """With all captions taken anew: from "names" of files, "texts" beside them, or "nothing"."""
        sources: dict[str, Callable[[Photo], str]] = {
            "names": lambda photo: photo.name_words,
            "texts": lambda photo: photo.caption or "",
            "nothing": lambda photo: "",
        }
        taken = {photo.path: sources[what](photo) for photo in self.photos}
        table = self.caption_table
        return self.with_captions(CaptionTable({**table.captions, **taken}, table))

    def _first_caption(self, photo: Photo) -> str:
        return photo.name_words if photo.caption is None else photo.caption

    def _decided_caption(self, photo: Photo) -> str | None:
        """None where BLIP is to be asked when the pictures are written: nobody has decided anything about it yet."""
        caption = self.caption(photo)
        return None if self.params.blip and caption == self._first_caption(photo) else caption


def _shortened(table: CaptionTable, undos: int) -> CaptionTable:
    """The table with at most so many ways back."""
    if table.before is None:
        return table
    return replace(table, before=_shortened(table.before, undos - 1) if undos else None)
