"""What lies in a folder of photos, always in the same order; and which folders may be used."""

from dataclasses import dataclass
from pathlib import Path

from modules.errors import DatasetError, ParameterError
from modules.filewords import caption_file, overview

LEFT_BY_SYSTEMS = ("desktop.ini", "thumbs.db")


@dataclass(frozen=True)
class Listing:
    """The entries of a folder, sorted by name; sub-folders are not looked into.

    Attributes:
        entries: everything, whatever it is: a picture's number is its place in here.
        photos: what may be a picture, with that number. Whether it is one shows when it is opened.
        strangers: each entry that is neither a picture, nor a picture's caption, nor hidden, with a sentence about it.
    """

    entries: tuple[Path, ...]
    photos: tuple[tuple[int, Path], ...]
    strangers: tuple[tuple[Path, str], ...]


def list_folder(folder: Path) -> Listing:
    """Sort what lies in a folder into photos and other things.

    Raises:
        ParameterError: no such folder.
        DatasetError: not to be read, or nothing in it that could be a photo.
    """
    try:
        entries = tuple(sorted(folder.iterdir(), key=lambda path: path.name))
        photos, strangers = [], []
        for number, path in enumerate(entries):
            if path.name.startswith(".") or path.name.lower() in LEFT_BY_SYSTEMS:
                continue
            if path.is_dir():
                strangers.append((path, f"“{path.name}” is a folder: what lies in it is not looked at."))
            elif not path.is_file():
                strangers.append((path, f"“{path.name}” is no file: it is left out."))
            elif sentence := overview(path):
                strangers.append((path, sentence))
            elif path.suffix.lower() != ".txt":
                photos.append((number, path))
        captions = {caption_file(path).name for _, path in photos}
        for path in entries:
            if path.suffix.lower() == ".txt" and path.is_file() and path.name not in captions:
                strangers.append((path, f"“{path.name}” belongs to no picture: it is left out."))
    except FileNotFoundError as error:
        raise ParameterError("source", f"The folder “{folder}” does not exist: check the path.") from error
    except NotADirectoryError as error:
        raise ParameterError("source", f"“{folder}” is a file: name the folder that holds the photos.") from error
    except OSError as error:
        raise DatasetError(f"The folder “{folder}” cannot be read: {error.strerror or error}.") from error
    if not photos:
        raise DatasetError(f"There is no photo in “{folder}”: put some in, or choose another folder.")
    return Listing(entries, tuple(photos), tuple(strangers))
