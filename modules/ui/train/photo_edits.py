"""What the light table sends, as edits of an album; and what it is told about one."""

from collections.abc import Callable, Mapping
from typing import Any

from modules.errors import ParameterError
from modules.filewords import LONGEST_CAPTION
from modules.preprocess.album import Album
from modules.preprocess.albums import Kept
from modules.preprocess.crop import Crop
from modules.preprocess.photos import Photo, without_comparison

Edit = Callable[[Album], Album]


def read_edit(sent: Any) -> Edit:
    """The edit that a request asks for: one of `crop`, `left_out` and `caption` of a photo, or of all captions
    `replace`, `add`, `remove`, `take` and `undo`.

    Raises:
        ParameterError: it asks for nothing that is known, or with values that cannot be used. Whether there is such a
            photo shows when the edit is made.
    """
    match sent:
        case {"photo": str(name), "crop": None}:
            return lambda album: album.with_crop(_named(album, name), None)
        case {"photo": str(name), "crop": [x, y, zoom]}:
            crop = Crop(*(_number(value) for value in (x, y, zoom)))
            return lambda album: album.with_crop(_named(album, name), crop)
        case {"photo": str(name), "left_out": bool(left_out)}:
            return lambda album: album.with_left_out(_named(album, name), left_out)
        case {"photo": str(name), "caption": str(text)}:
            caption = _text(text)
            return lambda album: _captioned(album, _named(album, name), caption)
        case {"replace": str(search), "by": str(replacement)}:
            searched, put = _text(search), _text(replacement)
            return lambda album: album.with_captions(album.caption_table.replaced(searched, put))
        case {"add": str(word), "at_end": bool(at_end)}:
            added = _text(word)
            return lambda album: album.with_captions(album.caption_table.with_word(added, at_end=at_end))
        case {"remove": str(word)}:
            removed = _text(word)
            return lambda album: album.with_captions(album.caption_table.without_word(removed))
        case {"take": "names" | "texts" | "nothing" as what}:
            return lambda album: album.with_captions_from(what)
        case {"undo": True}:
            return lambda album: album.with_captions(album.captions.undone())
        case _:
            raise ParameterError("edit", "This is nothing that can be done to a photo or its caption.")


def told(kept: Kept, key: str) -> dict[str, Any]:
    """All that the light table shows, ready for JSON."""
    album = kept.album
    compared = {photo.path: photo for photo in album.compared_photos()}
    return {
        "key": key,
        "revision": kept.revision,
        "target": album.params.size,
        "can_undo": album.captions.before is not None,
        "photos": [_photo(album, compared.get(photo.path) or without_comparison(photo)) for photo in album.photos],
    }


def _photo(album: Album, photo: Photo) -> Mapping[str, Any]:
    crop = album.crop(photo)
    return {
        "name": _printable(photo.path.name),
        "stamp": photo.stamp,
        "size": photo.size,
        "verdict": photo.verdict,
        "remarks": [_printable(remark.text) for remark in photo.remarks],
        "framing": photo.framing,
        "crop": (crop.x, crop.y, crop.zoom),
        "moved": photo.path.name in album.crops,
        "left_out": album.is_left_out(photo),
        "usable": bool(photo.backdrop),
        "caption": _printable(album.caption(photo)),
    }


def _captioned(album: Album, name: str, caption: str) -> Album:
    return album.with_captions(album.caption_table.written(album.find(name).path, caption))


def _named(album: Album, told: str) -> str:
    """The file name of a photo by what the page was told of it."""
    return next((photo.path.name for photo in album.photos if _printable(photo.path.name) == told), told)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ParameterError("crop", "The place of a crop is made of three numbers.")
    return float(value)


def _text(text: str) -> str:
    if len(text) > LONGEST_CAPTION:
        raise ParameterError("caption", f"A caption has at most {LONGEST_CAPTION} letters.")
    return _printable(text).replace("\0", "")


def _printable(text: str) -> str:
    """Without halves of letters, which neither JSON nor a file could hold; names of files may have them."""
    return text.encode("utf-8", "replace").decode("utf-8")
