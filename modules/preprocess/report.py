"""What is good and bad about a set of photos as a whole."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from modules.preprocess.photos import Framing, Photo, Verdict

SUGGESTED = {Framing.CLOSE_UP: 12, Framing.HALF: 5, Framing.FULL: 3}
"""Of twenty photos. Source: the article that this program follows."""

SAME_BACKDROP = 14.0  # grey levels, on average over the fields
NAMED = 4  # photos, in one sentence
ENOUGH = 5  # captions, to see what all of them share
MANY = 0.4  # the share of photos with one background from which on the embedding learns it as well


@dataclass(frozen=True)
class SetReport:
    """Counts over a set of photos, and what to say about them.

    Attributes:
        photos: how many files were looked at.
        verdicts, framings: how many of each; framings without the unusable ones.
        framing_guessed: nobody could look for faces.
        duplicates: how many are nearly the same as an earlier one.
        same_background: the largest group of photos before one background; empty if it is no large share.
        without_caption: have no text beside them.
        without_words: have neither a text nor a name that says anything.
        in_every_caption: words that all captions share, in the order of the first; a person's kind is not told.
    """

    photos: int
    verdicts: Counter[Verdict]
    framings: Counter[Framing]
    framing_guessed: bool
    duplicates: int
    same_background: tuple[Path, ...]
    without_caption: int
    without_words: int
    in_every_caption: tuple[str, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """The report in words."""
        lines = [self._counts(), self._framing()]
        if self.framing_guessed:
            lines.append(
                "Faces are not looked for, so the framing is guessed from edges and detail; "
                "with the package opencv-python-headless installed, faces are found."
            )
        if self.duplicates:
            lines.append(f"{_photos(self.duplicates)} nearly the same as another one: keep one of each.")
        if self.same_background:
            count = len(self.same_background)
            lines.append(
                f"{_photos(count)} before nearly the same background ({_names(self.same_background)}): the embedding "
                "would learn it too. Take other ones, or crop closer."
            )
        if self.without_caption:
            words = f", and the names of {self.without_words} say nothing" if self.without_words else ""
            lines.append(f"{_photos(self.without_caption)} without a caption{words}.")
        if self.in_every_caption:
            named = ", ".join(f"“{word}”" for word in self.in_every_caption[:NAMED])
            lines.append(
                f"Every caption says {named}: what captions name is learned by those words and not by the embedding. "
                "Leave out what belongs to the person, hair or glasses, and take photos that differ in the rest."
            )
        return tuple(lines)

    def _counts(self) -> str:
        parts = [f"{self.verdicts[verdict]} {words}" for verdict, words in _IN_WORDS.items() if self.verdicts[verdict]]
        return f"{self.photos} photo{'s' * (self.photos != 1)}: {', '.join(parts)}."

    def _framing(self) -> str:
        found = [f"{self.framings[framing]} {framing}{'s' * (self.framings[framing] != 1)}" for framing in SUGGESTED]
        unclear = f", {self.framings[Framing.UNCLEAR]} unclear" if self.framings[Framing.UNCLEAR] else ""
        suggested = "/".join(str(count) for count in SUGGESTED.values())
        return f"{', '.join(found)}{unclear}: the article suggests {suggested} of twenty."


_WORD = re.compile(r"[^\W\d_]{3,}")
_UNTOLD = frozenset(  # in every caption, these do no harm
    "and the with for from his her their its wearing photo picture image portrait drawing painting illustration art "
    "person man woman boy girl guy lady human face people someone style".split()
)
_IN_WORDS = {Verdict.GOOD: "good", Verdict.LOOK: "to look at", Verdict.UNUSABLE: "unusable"}


def report_on(photos: Sequence[Photo]) -> SetReport:
    """Count and compare. Photos that a user leaves out are simply not among `photos`."""
    usable = [photo for photo in photos if photo.verdict is not Verdict.UNUSABLE]
    return SetReport(
        photos=len(photos),
        verdicts=Counter(photo.verdict for photo in photos),
        framings=Counter(photo.framing for photo in usable),
        framing_guessed=any(photo.faces is None for photo in usable),
        duplicates=sum(photo.duplicate_of is not None for photo in photos),
        same_background=_largest_group(usable),
        without_caption=sum(not photo.caption for photo in usable),
        without_words=sum(not photo.caption and not photo.name_words for photo in usable),
        in_every_caption=_shared_words([photo.caption for photo in usable if photo.caption]),
    )


def _shared_words(captions: Sequence[str]) -> tuple[str, ...]:
    if len(captions) < ENOUGH:
        return ()
    words = [[word for word in _WORD.findall(caption.lower()) if word not in _UNTOLD] for caption in captions]
    shared = set(words[0]).intersection(*words[1:])
    return tuple(dict.fromkeys(word for word in words[0] if word in shared))


def _largest_group(photos: Sequence[Photo]) -> tuple[Path, ...]:
    """The photos around the one whose background most others share, if those are many."""
    if not photos:
        return ()
    fields = np.array([np.frombuffer(photo.backdrop, np.uint8) for photo in photos], np.int16)
    near = [np.abs(fields - one).mean(axis=1) < SAME_BACKDROP for one in fields]  # a row at a time: sets may be large
    largest = max(near, key=lambda row: int(row.sum()))
    found = tuple(photo.path for photo, is_near in zip(photos, largest, strict=True) if is_near)
    return found if len(found) >= max(3, MANY * len(photos)) else ()


def _names(paths: Sequence[Path]) -> str:
    shown = ", ".join(path.name for path in paths[:NAMED])
    return f"{shown} and {len(paths) - NAMED} more" if len(paths) > NAMED else shown


def _photos(count: int) -> str:
    return "1 photo is" if count == 1 else f"{count} photos are"
