"""The line that keeps the object in sight: which embedding, which photos, which model."""

from functools import lru_cache
from pathlib import Path

from markupsafe import Markup

from modules.app import App
from modules.errors import ParameterError
from modules.files import folder_of
from modules.training.photos import photo_files
from modules.ui.train.choice import Choice

_FAMILIES = {768: "SD1", 1024: "SD2"}


def header(app: App, choice: Choice) -> Markup:
    """“realbenny-t2 · 2 vectors · SD1 · 24 photos”, or what to do first."""
    parts: list[str] = []
    embedding = app.embeddings.find(choice.embedding) if choice.embedding else None
    if embedding:
        count = embedding.vectors_per_token
        parts = [f"{count} vector{'s' * (count != 1)}", _FAMILIES.get(embedding.width, f"width {embedding.width}")]
        if embedding.step:
            parts.append(f"{embedding.step} steps")
    photos = count_photos(choice.photos)
    if photos:
        parts.append(f"{photos} photo{'s' * (photos != 1)}")
    if not choice.embedding:
        return Markup('<p class="quiet">{}</p>').format(" · ".join(["no embedding chosen yet", *parts]))
    listed = Markup("").join([Markup(" · {}").format(part) for part in parts])
    return Markup('<p class="quiet"><b class="{}">{}</b>{}</p>').format(
        "" if embedding else "gone", choice.embedding, listed
    )


def count_photos(folder: str) -> int:
    """How many photos the folder holds; 0 if there is no such folder."""
    try:
        path = folder_of(folder, "data_root")
        return _count(path, path.stat().st_mtime_ns)
    except (ParameterError, OSError):
        return 0


@lru_cache(maxsize=16)
def _count(path: Path, modified_ns: int) -> int:
    """Of one state of a folder, so that a page which asks once a second does not list it again and again."""
    return len(photo_files(path))
