"""Where the files of a run go and how they are called."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from modules import image_saving, images
from modules.generation.beside import NOTHING, Beside
from modules.generation.naming import BY_SEED_AND_DAY, Naming, Turn
from modules.image_formats import PNG, ImageFormat


class Saved(NamedTuple):
    """A file that is written. `problem`: a sentence if what goes beside it could not be, else empty."""

    path: Path
    problem: str = ""


@dataclass(frozen=True)
class OutputFolder:
    """Folders of pictures and overviews.

    Attributes:
        pictures, grids: made when the first file is written.
        save_grid: whether runs of several pictures get an overview.
        grid_rows, grid_without_gaps: its shape, see `images.grid_rows`.
        sorted, grids_sorted: whether they are sorted into folders below these, as `naming` says: a day's, for one.
        save_before_hires: whether the first pass of a hires fix is saved as well.
        naming: of files and folders.
        picture_form, grid_form: how they are written.
        beside, grids_beside: what goes along with each picture, with each overview.
        user: written into pictures as the one who drew them; empty: nobody is.
    """

    pictures: Path
    grids: Path
    save_grid: bool = True
    grid_rows: int = -1
    grid_without_gaps: bool = False
    sorted: bool = True
    grids_sorted: bool = True
    save_before_hires: bool = False
    naming: Naming = BY_SEED_AND_DAY
    picture_form: ImageFormat = PNG
    grid_form: ImageFormat = PNG
    beside: Beside = NOTHING
    grids_beside: Beside = NOTHING
    user: str = ""

    def save_picture(self, image: Image.Image, infotext: str, turn: Turn, incomplete: bool = False) -> Saved:
        """Save under the name that `naming` gives it, `<number>-<seed>.png` if nobody chose another one; what was
        interrupted says so in its name.

        Raises:
            StorageError: disk full, read-only or gone.
        """
        return self._save(image, infotext, turn, "-incomplete" if incomplete else "")

    def save_before(self, image: Image.Image, infotext: str, turn: Turn) -> Saved:
        """Save what the first pass of a hires fix drew, as `…-before-highres-fix.png`.

        Raises:
            StorageError: disk full, read-only or gone.
        """
        return self._save(image, infotext, turn, "-before-highres-fix")

    def save_overview(self, paths: Sequence[Path], batch_size: int, infotext: str) -> Saved:
        """Save the pictures of a run, side by side, as `grid-<number>.png`.

        Raises:
            ImageError: a picture has gone meanwhile.
            StorageError: disk full, read-only or gone.
        """
        rows = images.grid_rows(len(paths), self.grid_rows, batch_size, self.grid_without_gaps)
        sheet = images.grid((images.open_image(path) for path in paths), len(paths), rows)
        return self.save_sheet(sheet, "grid", infotext)

    def save_sheet(self, image: Image.Image, name: str, infotext: str) -> Saved:
        """Save an overview, or the sheet of a script, as `<name>-<number>.png`.

        Raises:
            StorageError: disk full, read-only or gone.
        """
        folder = self.grids
        if self.grids_sorted:
            folder = self.naming.folder(folder, infotext, image, Turn())
        more = self.naming.grid(infotext, image)
        behind, taken = f"-{more}" if more else "", self.grids_beside.suffixes
        path = image_saving.save_numbered(
            image, folder, f"{name}-", behind, infotext, digits=4, form=self.grid_form, beside=taken
        )
        return Saved(path, self.grids_beside.write(path, image, infotext))

    def _save(self, image: Image.Image, infotext: str, turn: Turn, suffix: str) -> Saved:
        folder = self.pictures
        if self.sorted:
            folder = self.naming.folder(folder, infotext, image, turn)
        name = self.naming.picture(infotext, image, turn)
        form, taken = self.picture_form, self.beside.suffixes
        if name and not self.naming.numbered:
            path = image_saving.save_unnumbered(image, folder, name + suffix, infotext, form, taken)
        else:
            behind = f"-{name}{suffix}" if name else suffix
            path = image_saving.save_numbered(image, folder, "", behind, infotext, form=form, beside=taken)
        return Saved(path, self.beside.write(path, image, infotext))
