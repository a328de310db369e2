"""Where things lie. Nothing is created here: writers make their own folders."""

from dataclasses import dataclass, field
from pathlib import Path

PROGRAM = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Paths:
    """All folders of one installation, below the data folder unless a flag says otherwise.

    Args:
        data: base of models, embeddings, outputs and settings (`--data-dir`); default: the program's folder.
        extra_checkpoints: further folders searched for checkpoints (`--ckpt-dir`).
        embeddings_override: folder of embeddings (`--embeddings-dir`).
        extra_vaes: a further folder searched for VAEs (`--vae-dir`).
        only_vae: the VAE that every picture is drawn with (`--vae-path`).
        templates_override: folder of the user's templates (`--textual-inversion-templates-dir`).
        styles_overrides: files of styles, wildcards in their names (`--styles-file`).
        settings_override: file of settings (`--ui-settings-file`).
    """

    data: Path = PROGRAM
    extra_checkpoints: tuple[Path, ...] = ()
    embeddings_override: Path | None = field(default=None)
    extra_vaes: Path | None = None
    only_vae: Path | None = None
    templates_override: Path | None = None
    styles_overrides: tuple[Path, ...] = ()
    settings_override: Path | None = None

    @property
    def checkpoint_folders(self) -> tuple[Path, ...]:
        """Folders searched for checkpoints, the user's own first; the shipped demo model lies in the program's."""
        own = self.data / "models" / "Stable-diffusion"
        shipped = PROGRAM / "models" / "Stable-diffusion"
        return tuple(dict.fromkeys((own, *self.extra_checkpoints, shipped)))

    @property
    def model_folders(self) -> tuple[Path, ...]:
        """Folders of models of other kinds: upscalers, VAEs."""
        return tuple(dict.fromkeys((self.data / "models", PROGRAM / "models")))

    @property
    def vae_folders(self) -> tuple[Path, ...]:
        """Folders of VAEs."""
        own = [folder / "VAE" for folder in self.model_folders]
        return tuple([*own, self.extra_vaes] if self.extra_vaes else own)

    @property
    def embeddings(self) -> Path:
        return self.embeddings_override or self.data / "embeddings"

    @property
    def textual_inversion(self) -> Path:
        return self.data / "textual_inversion"

    @property
    def template_folders(self) -> tuple[Path, ...]:
        """Folders of the user's own templates for training; the second is where A1111 keeps them."""
        if self.templates_override:
            return (self.templates_override,)
        return self.textual_inversion / "templates", self.data / "textual_inversion_templates"

    @property
    def photos(self) -> Path:
        """Photos that came through the page, in a folder for each set."""
        return self.textual_inversion / "photos"

    @property
    def albums(self) -> Path:
        """What was decided about photos, wherever those lie."""
        return self.textual_inversion / "albums"

    @property
    def outputs(self) -> Path:
        return self.data / "outputs"

    @property
    def txt2img_images(self) -> Path:
        return self.outputs / "txt2img-images"

    @property
    def txt2img_grids(self) -> Path:
        return self.outputs / "txt2img-grids"

    @property
    def saved_copies(self) -> Path:
        """Copies of pictures that somebody chose to keep, as A1111 calls it."""
        return self.data / "log" / "images"

    @property
    def styles_files(self) -> tuple[Path, ...]:
        """Files of styles; a name with wildcards stands for all that fit."""
        return self.styles_overrides or (self.data / "styles.csv",)

    @property
    def settings_file(self) -> Path:
        return self.settings_override or self.data / "config.json"

    @property
    def hash_cache(self) -> Path:
        return self.data / "cache.json"

    @property
    def cache(self) -> Path:
        """What can be made again at any time: the index of the history, thumbnails."""
        return self.data / "cache"

    @property
    def passing_sheets(self) -> Path:
        """Sheets of scripts that are shown and not kept: emptied at every start."""
        return self.cache / "sheets"

    @property
    def stars(self) -> Path:
        """The stars of the history."""
        return self.data / "stars.json"

    @property
    def last_parameters(self) -> Path:
        """The infotext of the run made last, as A1111 keeps it."""
        return self.data / "params.txt"

    @property
    def log_file(self) -> Path:
        return self.data / "webui.log"
