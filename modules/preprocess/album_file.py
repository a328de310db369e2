"""An album as a file, so that no decision is lost when the server ends."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from modules.errors import FileFormatError, WebuiError
from modules.files import write_atomically
from modules.preprocess.album import Album, Written
from modules.preprocess.captions import CaptionTable
from modules.preprocess.crop import Crop
from modules.preprocess.photos import Framing, Photo, Remark, Verdict
from modules.preprocess_params import PreprocessParams

VERSION = 1


def save_album(album: Album, path: Path) -> None:
    """Write an album down. Undoing does not outlive the server.

    Raises:
        StorageError: disk full, read-only or gone.
    """
    content = {
        "version": VERSION,
        "params": dataclasses.asdict(album.params),
        "photos": [_photo_to_json(photo) for photo in album.photos],
        "crops": {name: dataclasses.astuple(crop) for name, crop in album.crops.items()},
        "left_out": dict(album.left_out),
        "captions": {path.name: caption for path, caption in album.captions.captions.items()},
        "written": _written_to_json(album.written),
        "judged_by": album.judged_by,
    }
    write_atomically(path, json.dumps(content, ensure_ascii=True, indent=1))


def load_album(path: Path) -> Album:
    """Read an album.

    Raises:
        FileFormatError: it is not there, damaged, or of another version.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
        if content["version"] != VERSION:
            raise FileFormatError(f"“{path.name}” was written by another version of this program.")
        params = PreprocessParams(**content["params"])
        source = Path(params.source)
        return Album(
            params,
            tuple(_photo_from_json(source, photo) for photo in content["photos"]),
            {name: Crop(*crop) for name, crop in content["crops"].items()},
            {name: bool(left_out) for name, left_out in content["left_out"].items()},
            CaptionTable({source / name: str(caption) for name, caption in content["captions"].items()}),
            _written_from_json(content["written"]),
            str(content["judged_by"]),
        )
    except FileFormatError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, WebuiError) as error:
        raise FileFormatError(f"“{path.name}” cannot be read: what was decided about these photos is lost.") from error


def _photo_to_json(photo: Photo) -> dict[str, Any]:
    bits, colours = photo.likeness
    return {
        "name": photo.path.name,
        "number": photo.number,
        "size": photo.size,
        "remarks": [(remark.verdict, remark.text) for remark in photo.remarks],
        "crop": dataclasses.astuple(photo.crop),
        "sharpness": photo.sharpness,
        "faces": photo.faces,
        "framing": photo.framing,
        "caption": photo.caption,
        "name_words": photo.name_words,
        "stamp": photo.stamp,
        "likeness": (bits, colours.hex()),
        "backdrop": photo.backdrop.hex(),
        "duplicate_of": photo.duplicate_of.name if photo.duplicate_of else None,
    }


def _photo_from_json(source: Path, content: dict[str, Any]) -> Photo:
    width, height = content["size"]
    bits, colours = content["likeness"]
    twin = content["duplicate_of"]
    return Photo(
        path=source / content["name"],
        number=int(content["number"]),
        size=(int(width), int(height)),
        remarks=tuple(Remark(Verdict(verdict), str(text)) for verdict, text in content["remarks"]),
        crop=Crop(*content["crop"]),
        sharpness=content["sharpness"],
        faces=content["faces"],
        framing=Framing(content["framing"]),
        caption=content["caption"],
        name_words=content["name_words"],
        stamp=content["stamp"],
        likeness=(int(bits), bytes.fromhex(colours)),
        backdrop=bytes.fromhex(content["backdrop"]),
        duplicate_of=source / twin if twin else None,
    )


def _written_to_json(written: Written | None) -> dict[str, Any] | None:
    return {**dataclasses.asdict(written), "folder": str(written.folder)} if written else None


def _written_from_json(content: dict[str, Any] | None) -> Written | None:
    if not content:
        return None
    return Written(
        Path(content["folder"]),
        {name: tuple(pictures) for name, pictures in content["pictures"].items()},
        content["sentence"],
        tuple(content["skipped"]),
        content["decided"],
    )
