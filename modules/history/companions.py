"""What lies beside a picture under its name and belongs to it: its parameters as text, a JPG copy if it is large.

Such a copy is told by its parameters, which are those of the picture: A1111's folders are understood as well.
"""

from pathlib import Path

from modules import images
from modules.errors import ImageError

COPIES = (".jpg", ".jpeg")
ORIGINALS = (".png", ".webp", ".avif")
TEXT = ".txt"


def original_of(path: Path, infotext: str) -> Path | None:
    """The picture that `path`, which says `infotext`, is a JPG copy of; None if it is a picture of its own."""
    if path.suffix.lower() not in COPIES or not infotext:
        return None
    for suffix in ORIGINALS:
        original = path.with_suffix(suffix)
        try:
            if original.exists() and images.read_infotext(original) == infotext:
                return original
        except (ImageError, MemoryError):  # damaged: then the copy is all there is
            continue
    return None


def companions(path: Path) -> list[Path]:
    """What goes where the picture goes. A text that another picture of this name may need as well stays."""
    if path.suffix.lower() not in ORIGINALS:
        copies = []
    else:
        found = (path.with_suffix(suffix) for suffix in COPIES)
        copies = [copy for copy in found if copy.exists() and original_of(copy, _infotext(copy)) == path]
    text = path.with_suffix(TEXT)
    others = (path.with_suffix(suffix) for suffix in (*ORIGINALS, *COPIES, ".gif"))
    shared = any(other.exists() for other in others if other != path and other not in copies)
    return [*copies, text] if text.is_file() and not shared else copies


def _infotext(path: Path) -> str:
    try:
        return images.read_infotext(path)
    except (ImageError, MemoryError):
        return ""
