"""Captions of a whole set: how texts are put together, and a table to edit them in, with a way back."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from modules.files import write_atomically
from modules.filewords import caption_file


def combine(existing: str, generated: str, action: str) -> str:
    """What to write beside a picture, stripped.

    Args:
        existing: the text beside the photo.
        generated: what a model says about the picture.
        action: "ignore" the existing text, "copy" it alone, "prepend" or "append" it.
    """
    match action:
        case "copy":
            caption = existing
        case "prepend":
            caption = f"{existing} {generated}"
        case "append":
            caption = f"{generated} {existing}"
        case _:
            caption = generated
    return caption.strip()


@dataclass(frozen=True)
class CaptionTable:
    """Captions by picture. An edit makes a new table, which knows the way back to the one before.

    Attributes:
        captions: in the order of the pictures.
        before: the table that `undo` returns to; None for a fresh one.
    """

    captions: Mapping[Path, str]
    before: "CaptionTable | None" = None

    def written(self, picture: Path, caption: str) -> "CaptionTable":
        """With another caption for one picture.

        Raises:
            KeyError: the table has no such picture.
        """
        return self._edited({**self.captions, picture: caption.strip()} if self.captions[picture] != caption else {})

    def replaced(self, search: str, replacement: str, *, match_case: bool = False) -> "CaptionTable":
        """With every occurrence of a text exchanged, in all captions."""
        if not search:
            return self
        pattern = re.compile(re.escape(search), 0 if match_case else re.IGNORECASE)
        return self._mapped(lambda caption: pattern.sub(lambda _: replacement, caption))

    def with_word(self, word: str, *, at_end: bool = True) -> "CaptionTable":
        """With a word or phrase in every caption that has not got it yet, set off by a comma."""
        word = word.strip(" ,")
        if not word:
            return self
        pattern = _as_word(word)

        def add(caption: str) -> str:
            if pattern.search(caption):
                return caption
            return ", ".join(part for part in ((caption, word) if at_end else (word, caption)) if part)

        return self._mapped(add)

    def without_word(self, word: str) -> "CaptionTable":
        """With a word or phrase taken out of every caption; commas that would stand alone go with it."""
        word = word.strip(" ,")
        if not word:
            return self
        pattern = _as_word(word)
        return self._mapped(lambda caption: _tidy(pattern.sub("", caption)) if pattern.search(caption) else caption)

    def undone(self) -> "CaptionTable":
        """The table before the last edit; the same one if there was none."""
        return self.before or self

    def changed_from(self, other: "CaptionTable") -> tuple[Path, ...]:
        """The pictures whose caption differs, or which only this table has."""
        return tuple(path for path, caption in self.captions.items() if other.captions.get(path) != caption)

    def save(self, since: "CaptionTable") -> tuple[Path, ...]:
        """Write the side files of the pictures that changed since that table; returns them.

        A caption that was emptied leaves an empty file: without one, the picture's name would be its caption.

        Raises:
            StorageError: disk full, read-only or gone; those written before are whole.
        """
        changed = self.changed_from(since)
        for picture in changed:
            write_atomically(caption_file(picture), self.captions[picture])
        return changed

    def _mapped(self, edit: Callable[[str], str]) -> "CaptionTable":
        return self._edited({path: edit(caption).strip() for path, caption in self.captions.items()})

    def _edited(self, captions: Mapping[Path, str]) -> "CaptionTable":
        """An edit that changes nothing is none: undo would seem to do nothing."""
        return self if not captions or captions == self.captions else replace(self, captions=captions, before=self)


def _as_word(word: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(word)}(?!\w)", re.IGNORECASE)


def _tidy(caption: str) -> str:
    parts = (" ".join(part.split()) for part in caption.split(","))
    return ", ".join(part for part in parts if part)
