"""What is good and bad about each photo of a folder, before anything is written."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from PIL import Image

from modules.errors import FileFormatError, ImageError
from modules.filewords import side_caption, words_of_name
from modules.images import open_image
from modules.preprocess import measures
from modules.preprocess.copies import Copies, stamp
from modules.preprocess.crop import Crop, Size, cut
from modules.preprocess.faces import FaceFinder
from modules.preprocess.focal import Weights, find_focus

SMALLEST_SIDE = 32  # pixels; below, and for lines such as 20000×1, there is nothing to learn from
ENLARGED, ENLARGED_TOO_FAR = 1.05, 4.0
SOFT = 0.45  # photos that are sharp at 512 pixels measure 0.6 … 0.9; blurred by two pixels, 0.2 … 0.55
DARK, BRIGHT = 80, 190  # the level that 95 % stay below; that 95 % lie above
LOW_CONTRAST, NO_CONTRAST = 40, 8  # grey levels between those two
SAME_HASH, SAME_COLOURS = 6, 20.0  # of 64 bits, grey levels
CLOSE_UP_FROM, HALF_FROM = 0.25, 0.11  # height of a face, or width of a head, as a share of the picture's height

_CAMERA_WORDS = (
    "img image images dsc dscn dscf dcim pxl mvimg photo pic picture screenshot whatsapp signal wa cimg gopr "
    "copy edited"
)


class Verdict(StrEnum):
    """How a photo may be used; the worst of its remarks counts."""

    GOOD = "good"
    LOOK = "look"
    UNUSABLE = "unusable"


class Framing(StrEnum):
    """How much of a person the picture shows."""

    CLOSE_UP = "close-up"
    HALF = "half figure"
    FULL = "full figure"
    UNCLEAR = "unclear"


@dataclass(frozen=True)
class Remark:
    """One sentence about a photo, and how much it matters."""

    verdict: Verdict
    text: str


@dataclass(frozen=True)
class Photo:
    """One file of the folder, judged as the picture that its proposed crop would become.

    Attributes:
        number: its place among all entries of the folder, which the written pictures carry in their names.
        size: upright, in pixels; 0×0 if it cannot be opened.
        crop: the proposal: what matters most in the middle.
        sharpness: 0 … 1; None if there is no detail to tell by.
        faces: how many were found in the crop; None if nobody could look.
        framing: from the largest face, else guessed from what stands out against the background.
        caption: the text beside it; None if there is none.
        name_words: what its name says, empty for the names that cameras give.
        stamp: see `copies`; tells whether the file has changed since. Empty if it cannot be opened.
        likeness: what near duplicates share: a perceptual hash and the colours of 8×8 fields.
        backdrop: the colours along the upper edge and the sides.
        duplicate_of: the earlier photo that is nearly the same.
    """

    path: Path
    number: int
    size: Size = (0, 0)
    remarks: tuple[Remark, ...] = ()
    crop: Crop = Crop()  # noqa: RUF009  # frozen, so one for all
    sharpness: float | None = None
    faces: int | None = None
    framing: Framing = Framing.UNCLEAR
    caption: str | None = None
    name_words: str = ""
    stamp: str = ""
    likeness: tuple[int, bytes] = (0, b"")
    backdrop: bytes = b""
    duplicate_of: Path | None = None

    @property
    def verdict(self) -> Verdict:
        return max((remark.verdict for remark in self.remarks), key=list(Verdict).index, default=Verdict.GOOD)

    @property
    def can_be_opened(self) -> bool:
        """Whether there is a picture to look at, though it may be a dot or a line."""
        return self.size != (0, 0)


def judge(
    path: Path,
    number: int,
    target: Size,
    weights: Weights,
    faces: FaceFinder | None,
    copies: Copies | None = None,
) -> Photo:
    """Open one photo, propose its crop and measure it. Never raises for the photo's sake: that is a remark.

    Args:
        target: size of the pictures to write.
        weights: what the proposed crop goes by.
        faces: None if there is no way to find faces.
        copies: where to keep small copies for looking; None: nowhere.

    Raises:
        StorageError: there is no room for the copies.
    """
    photo = Photo(path, number, name_words=_telling_words(path))
    try:
        photo = replace(photo, caption=side_caption(path))
    except FileFormatError as error:
        photo = _with_remark(photo, Verdict.LOOK, str(error))
    try:
        seen = stamp(path)
        image = open_image(path)
    except ImageError as error:
        return _with_remark(photo, Verdict.UNUSABLE, str(error))
    if copies:
        copies.keep(seen, image)
    photo = replace(photo, size=image.size, stamp=seen)
    try:
        require_substance(path, image)
    except ImageError as error:
        return _with_remark(photo, Verdict.UNUSABLE, str(error))
    crop = find_focus(image, target, weights, faces).crop
    picture = measures.small_copy(cut(image, crop, _without_enlarging(image.size, crop, target)))
    found = faces.faces(picture) if faces else None
    head = max((face.height for face in found), default=0) / picture.height if found else measures.head_width(picture)
    photo = replace(
        photo,
        crop=crop,
        sharpness=measures.sharpness(picture),
        faces=None if found is None else len(found),
        framing=_framing(head),
        likeness=(measures.perceptual_hash(image), measures.colours(image)),
        backdrop=measures.backdrop(picture),
    )
    for remark in _remarks(photo, picture, target):
        photo = _with_remark(photo, remark.verdict, remark.text)
    return photo


def require_substance(path: Path, image: Image.Image) -> None:
    """Refuse a picture that is a dot or a line.

    Raises:
        ImageError: a side below 32 pixels.
    """
    if min(image.size) < SMALLEST_SIDE:
        size = f"{image.width}×{image.height}"
        raise ImageError(f"“{path.name}” is only {size} pixels: both sides need at least {SMALLEST_SIDE}.")


def compared(photo: Photo, earlier: Iterable[Photo]) -> Photo:
    """The photo with a remark if it is nearly the same as one of the earlier ones."""
    if not photo.backdrop:
        return photo
    for other in earlier:
        if other.backdrop and _alike(photo.likeness, other.likeness):
            duplicate = replace(photo, duplicate_of=other.path)
            return _with_remark(duplicate, Verdict.LOOK, _same_as(other.path))
    return photo


def without_comparison(photo: Photo) -> Photo:
    """The photo as it was before `compared`: its twin may be left out, or gone."""
    if photo.duplicate_of is None:
        return photo
    said = _same_as(photo.duplicate_of)
    return replace(photo, duplicate_of=None, remarks=tuple(r for r in photo.remarks if r.text != said))


def _same_as(path: Path) -> str:
    return f"Nearly the same as “{path.name}”."


def _alike(first: tuple[int, bytes], second: tuple[int, bytes]) -> bool:
    bits = (first[0] ^ second[0]).bit_count()
    return bits <= SAME_HASH and measures.difference(first[1], second[1]) < SAME_COLOURS


def _with_remark(photo: Photo, verdict: Verdict, text: str) -> Photo:
    return replace(photo, remarks=(*photo.remarks, Remark(verdict, text)))


def _remarks(photo: Photo, picture: Image.Image, target: Size) -> Sequence[Remark]:
    found = []
    left, _, right, _ = photo.crop.box(photo.size, target)
    enlarged = target[0] / (right - left)
    if enlarged > ENLARGED:
        verdict = Verdict.UNUSABLE if enlarged > ENLARGED_TOO_FAR else Verdict.LOOK
        size = f"{photo.size[0]}×{photo.size[1]}"
        found.append(Remark(verdict, f"Small: {size} has to be enlarged {enlarged:.1f} times."))
    dark, _, bright = measures.exposure(picture)
    if bright - dark < NO_CONTRAST:
        found.append(Remark(Verdict.UNUSABLE, "Empty: it shows one shade only."))
    elif bright < DARK:
        found.append(Remark(Verdict.LOOK, "Dark: hardly anything is brighter than a third of white."))
    elif dark > BRIGHT:
        found.append(Remark(Verdict.LOOK, "Washed out: hardly anything is darker than light grey."))
    elif bright - dark < LOW_CONTRAST:
        found.append(Remark(Verdict.LOOK, "Dull: there is little between its darkest and its brightest parts."))
    if photo.sharpness is not None and photo.sharpness < SOFT:
        found.append(Remark(Verdict.LOOK, "Soft: blurred or out of focus."))
    if photo.faces and photo.faces > 1:
        found.append(Remark(Verdict.LOOK, f"{photo.faces} faces: move the crop so that one is left."))
    return found


def _framing(head: float | None) -> Framing:
    if not head:
        return Framing.UNCLEAR
    if head >= CLOSE_UP_FROM:
        return Framing.CLOSE_UP
    return Framing.HALF if head >= HALF_FROM else Framing.FULL


def _without_enlarging(photo: Size, crop: Crop, target: Size) -> Size:
    """The target size, or the crop's own if that is smaller: enlarging would look like blur."""
    left, _, right, _ = crop.box(photo, target)
    shrink = min(1.0, (right - left) / target[0])
    return max(1, round(target[0] * shrink)), max(1, round(target[1] * shrink))


def _telling_words(path: Path) -> str:
    words = words_of_name(path)
    letters = re.findall(r"[^\W\d_]+", words.lower())
    return words if any(word not in _CAMERA_WORDS.split() for word in letters) else ""
