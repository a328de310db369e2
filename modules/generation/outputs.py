"""Where the files of a run go and how they are called."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from modules import images


@dataclass(frozen=True)
class OutputFolder:
    """Folders of pictures and overviews.

    Attributes:
        pictures, grids: made when the first file is written.
        save_grid: whether runs of several pictures get an overview.
        grid_rows, grid_without_gaps: its shape, see `images.grid_rows`.
        by_day, grids_by_day: whether each day has its own folder below them.
        save_before_hires: whether the first pass of a hires fix is saved as well.
    """

    pictures: Path
    grids: Path
    save_grid: bool = True
    grid_rows: int = -1
    grid_without_gaps: bool = False
    by_day: bool = True
    grids_by_day: bool = True
    save_before_hires: bool = False

    def save_picture(self, image: Image.Image, seed: int, infotext: str, incomplete: bool = False) -> Path:
        """Save as `<number>-<seed>.png`; what was interrupted says so in its name.

        Raises:
            StorageError: disk full, read-only or gone.
        """
        suffix = "-incomplete" if incomplete else ""
        return images.save_numbered(image, _now(self.pictures, self.by_day), f"{{:05}}-{seed}{suffix}.png", infotext)

    def save_before(self, image: Image.Image, seed: int, infotext: str) -> Path:
        """Save what the first pass of a hires fix drew as `<number>-<seed>-before-highres-fix.png`.

        Raises:
            StorageError: disk full, read-only or gone.
        """
        return images.save_numbered(
            image, _now(self.pictures, self.by_day), f"{{:05}}-{seed}-before-highres-fix.png", infotext
        )

    def save_overview(self, paths: Sequence[Path], batch_size: int, infotext: str) -> Path:
        """Save the pictures of a run, side by side, as `grid-<number>.png`.

        Raises:
            ImageError: a picture has gone meanwhile.
            StorageError: disk full, read-only or gone.
        """
        rows = images.grid_rows(len(paths), self.grid_rows, batch_size, self.grid_without_gaps)
        sheet = images.grid((images.open_image(path) for path in paths), len(paths), rows)
        return images.save_numbered(sheet, _now(self.grids, self.grids_by_day), "grid-{:04}.png", infotext)

    def save_sheet(self, image: Image.Image, name: str, infotext: str) -> Path:
        """Save the sheet of a script as `<name>-<number>.png`.

        Raises:
            StorageError: disk full, read-only or gone.
        """
        return images.save_numbered(image, _now(self.grids, self.grids_by_day), f"{name}-{{:04}}.png", infotext)


def _now(folder: Path, by_day: bool) -> Path:
    return folder / time.strftime("%Y-%m-%d") if by_day else folder
