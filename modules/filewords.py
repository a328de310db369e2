"""The words that belong to a picture: its side file `<stem>.txt`, else what its name says; and which are no photos."""

import re
from pathlib import Path

from modules.errors import FileFormatError

LONGEST_CAPTION = 100_000  # bytes; a prompt of that length has no use, and a hostile file could be any size

_OVERVIEW = re.compile(r"(grid|xyz_grid|prompt_matrix)-\d{4,}(-.*)?")  # as this program and A1111 call them
_COUNTER = re.compile(r"^[\d-]+\s*")


def caption_file(picture: Path) -> Path:
    """Where the caption of a picture lies."""
    return picture.with_suffix(".txt")


def overview(picture: Path) -> str:
    """Why a picture is no photo to learn from: by its name it shows several pictures. Empty for others."""
    if not _OVERVIEW.fullmatch(picture.stem):
        return ""
    return f"“{picture.name}” is an overview of several pictures: it is left out; a photo needs another name."


def side_caption(picture: Path) -> str | None:
    """The text beside a picture, stripped; None if there is none.

    Raises:
        FileFormatError: the file is no UTF-8 text, or far too long for a caption.
    """
    path = caption_file(picture)
    try:
        with path.open("rb") as file:
            content = file.read(LONGEST_CAPTION + 1)
    except (FileNotFoundError, IsADirectoryError):
        return None
    except OSError as error:
        raise FileFormatError(f"“{path.name}” cannot be read: {error.strerror or error}.") from error
    if len(content) > LONGEST_CAPTION:
        raise FileFormatError(f"“{path.name}” is no caption: it is longer than {LONGEST_CAPTION // 1000} kB.")
    try:
        return content.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise FileFormatError(f"“{path.name}” is not UTF-8 text: save it as UTF-8.") from error


def words_of_name(picture: Path, word_regex: str = "", join_string: str = " ") -> str:
    """What the name of a picture says: the stem without the counter in front.

    Args:
        word_regex: take all that it finds in there instead, joined by `join_string`. Empty: take the whole.
    """
    words = _COUNTER.sub("", picture.stem)
    if word_regex:
        words = join_string.join(match.group() for match in re.finditer(word_regex, words))
    return words


def filewords(picture: Path, word_regex: str = "", join_string: str = " ") -> str:
    """The caption that a template's `[filewords]` stands for: the side file if there is one, else the name.

    Raises:
        FileFormatError: the side file is no UTF-8 text, or far too long for a caption.

    Source: A1111 v1.10, which applies the regular expression to names only; unlike there, side files are stripped.
    """
    caption = side_caption(picture)
    return words_of_name(picture, word_regex, join_string) if caption is None else caption
