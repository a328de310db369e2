"""The desk at which pictures are drawn: styles, VAEs and upscalers kept at hand, and forms turned into runs. One per
App; which model is in use, and when a run may begin, is the App's."""

import logging
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from modules.errors import ParameterError, WebuiError
from modules.events import Event, Noticed, Request, Status, Work
from modules.generation import partners, stages
from modules.generation.model_use import Use
from modules.generation.partners import Partners
from modules.generation.upscalers import choose_upscaler, find_upscalers
from modules.image_formats import ImageFormat
from modules.model.checkpoint import Checkpoint
from modules.model.hashes import HashCache
from modules.model.vae import AUTOMATIC, BUILT_IN, VaeFile, choose_vae, find_vaes
from modules.params import Txt2ImgParams
from modules.paths import Paths
from modules.settings import Settings
from modules.styles import Style, StyleFiles

if TYPE_CHECKING:  # these bring torch
    from PIL import Image

    from modules.embeddings.embedding import Embedding
    from modules.generation.outputs import OutputFolder
    from modules.model.conditioning import Conditioner
    from modules.model.model import SDModel

_log = logging.getLogger(__name__)


class Models(Protocol):
    """Where the desk gets models from; see `ModelDesk`, which is one."""

    def in_use(self) -> "Conditioner": ...
    def find(self, title: str, /) -> Checkpoint: ...
    def lend(self, checkpoint: Checkpoint, /) -> Work: ...
    def with_hash(self) -> Generator[Event, Request | None, bool]: ...
    def back_after(self, work: Work, /, lent: bool = False) -> Work: ...


@dataclass(frozen=True)
class Place:
    """Where the files of a run go; None is the folder in `outputs/` that the settings say, as a rule the day's.

    Attributes:
        pictures, grids: folders of single pictures, and of overviews and sheets.
        passing: whoever asks takes them away once they were seen.
        styles: of the form, which the names of files may tell.
        user: who logged in for it, which they may tell too.
    """

    pictures: Path | None = None
    grids: Path | None = None
    passing: bool = False
    styles: tuple[Style, ...] = ()
    user: str = ""


DAYS_FOLDERS = Place()


class DrawingDesk:
    """What a run needs besides the model. Any thread may ask; only the worker thread draws.

    Args:
        settings: gives the settings of now.
        hashes: of files, for what infotexts say.
        models: where models come from.

    Attributes:
        styles: the user's prompts under names.
    """

    def __init__(self, paths: Paths, settings: Callable[[], Settings], hashes: HashCache, models: Models):
        self.models = models
        self.styles = StyleFiles(paths.styles_files)
        self._paths = paths
        self._settings = settings
        self._hashes = hashes
        self._with_vae: tuple[SDModel, VaeFile, SDModel] | None = None  # of model and file: the model with it

    # --- what there is to choose from -------------------------------------------------------------------------------

    def upscalers(self) -> list[str]:
        """Names for `hr_upscaler`."""
        return [upscaler.name for upscaler in find_upscalers(self._paths.model_folders)]

    def vaes(self) -> list[str]:
        """Names for `vae`, looked up afresh."""
        return [AUTOMATIC, BUILT_IN, *(vae.name for vae in self.vae_files())]

    def vae_files(self) -> list[VaeFile]:
        """Every VAE in a file of its own, looked up afresh."""
        found = find_vaes(self._paths.vae_folders, self._paths.checkpoint_folders)
        only = self._only_vae
        return [only, *(vae for vae in found if vae.name != only.name)] if only else found

    @property
    def _only_vae(self) -> VaeFile | None:
        """The one that the command line prescribes."""
        return VaeFile(self._paths.only_vae) if self._paths.only_vae else None

    def form_defaults(self) -> dict[str, Any]:
        """The form's defaults that are settings, by field. A VAE that has gone is left out: “Automatic” holds then."""
        defaults = self._settings().form_defaults()
        if self.missing_vae():
            del defaults["vae"]
        return defaults

    def missing_vae(self) -> str:
        """The VAE of the settings if it is not here any more; empty: it is."""
        name = self._settings().vae
        try:
            choose_vae(name, self.vae_files(), None)
        except ParameterError:
            return name
        return ""

    def stock(self, checkpoint: Checkpoint | None) -> tuple[dict[str, str], str, list[str], dict[str, tuple[str, str]]]:
        """What a picture can be remade with: known hashes of VAEs by name, the VAE that “Automatic” takes for this
        checkpoint, upscalers, and the prompts of styles by name."""
        vaes = self.vae_files()
        automatic = self._only_vae or choose_vae(AUTOMATIC, vaes, checkpoint)
        hashes = {vae.name: self._hashes.known([vae.path]) or "" for vae in vaes}
        try:
            styles = {style.name: (style.prompt, style.negative_prompt) for style in self.styles.styles()}
        except WebuiError as error:  # whoever opens the list of styles is told
            _log.warning("Styles are left out of the comparison: %s", error)
            styles = {}
        return hashes, automatic.name if automatic else "", self.upscalers(), styles

    def checked(self, params: Txt2ImgParams, settings: Settings | None = None) -> Txt2ImgParams:
        """The parameters with their styles written into the prompts.

        Args:
            settings: for this run alone; None: those of now.

        Raises:
            ParameterError: a style, sampler, schedule, upscaler, VAE or checkpoint that does not exist, a size that a
                hires fix cannot have, or more than this server takes.
        """
        params = self.styles.applied(params)
        stages.check(params, self._paths.model_folders)
        size = stages.HiresSize.of(params).cover if params.enable_hr else (params.width, params.height)
        (settings or self._settings()).check_limits(params, size)
        choose_vae(params.vae, self.vae_files(), None)
        partners.check(params, self.models.find)
        return params

    # --- the worker's part ------------------------------------------------------------------------------------------

    def outputs(self, place: Place = DAYS_FOLDERS, settings: Settings | None = None) -> "OutputFolder":
        """Where a run saves its pictures.

        Args:
            settings: for this run alone; None: those of now.
        """
        from modules.generation.beside import NOTHING, Beside
        from modules.generation.naming import BY_SEED_AND_DAY, Naming
        from modules.generation.outputs import OutputFolder

        settings = settings or self._settings()
        naming = Naming(
            settings.picture_names or ("[seed]" if settings.save_to_folders else "[seed]-[prompt_spaces]"),
            settings.folder_names or "[prompt_words]",
            settings.number_pictures,
            settings.long_grid_names,
            place.styles,
            place.user,
        )
        beside = Beside(
            settings.save_text,
            settings.jpg_copies,
            settings.jpg_copy_above * 1024 * 1024,
            settings.jpg_copy_side,
            settings.quality,
        )
        if place.pictures:  # whoever names a folder knows what it will find there
            naming = replace(naming, name=BY_SEED_AND_DAY.name, numbered=True)
        return OutputFolder(
            place.pictures or self._paths.txt2img_images,
            place.grids or self._paths.txt2img_grids,
            settings.save_grid,
            settings.grid_rows,
            settings.grid_without_gaps,
            sorted=place.pictures is None and settings.save_to_folders,
            grids_sorted=place.grids is None and settings.grids_to_folders,
            save_before_hires=settings.save_before_hires,
            naming=naming,
            picture_form=ImageFormat(settings.picture_format, settings.quality, settings.webp_lossless),
            grid_form=ImageFormat(settings.grid_format, settings.quality, settings.webp_lossless),
            beside=NOTHING if place.passing and place.pictures else beside,
            grids_beside=NOTHING if place.passing and place.grids else beside,
            user=place.user if settings.sign_pictures else "",
        )

    def script_outputs(self, place: Place = DAYS_FOLDERS, settings: Settings | None = None) -> "OutputFolder":
        """As `outputs`, for a script: a sheet that is not to be kept has to lie somewhere as long as it is shown."""
        if not (settings or self._settings()).save_grid and not place.passing:
            from modules.generation.beside import NOTHING

            place = replace(place, grids=self._paths.passing_sheets)
            return replace(self.outputs(place, settings), grids_beside=NOTHING)
        return self.outputs(place, settings)

    def draw(
        self,
        params: Txt2ImgParams,
        outputs: "OutputFolder",
        picture: "Image.Image | None" = None,
        embedding: "Embedding | None" = None,
        settings: Settings | None = None,
    ) -> Work:
        """A txt2img run with the models, the VAE and the upscaler that `params`, once checked, names.

        Whatever happens, the model in use is the same afterwards.

        Args:
            picture: see `txt2img`.
            embedding: takes the place of the user's of the same name.
            settings: for this run alone; None: those of now.

        Raises:
            ModelMissing: no model is in use.
        """
        from modules.generation.txt2img import txt2img_with

        upscaler = choose_upscaler(params.hr_upscaler, self._paths.model_folders) if params.enable_hr else None
        lent = _Lent(self, params.vae, (settings or self._settings()).vae_overrides, embedding)
        taking_part = Partners.of(params, lent.own, self.models.find)
        run = txt2img_with(lent, params, outputs, upscaler, picture, taking_part)
        yield from self.models.back_after(run, lent=True)

    def dressed(self, conditioner: "Conditioner", vae: str, overrides: bool, embedding: "Embedding | None") -> Use:
        """The model with the VAE that is asked for, and the embedding.

        Args:
            overrides: see `choose_vae`.
        """
        file = self._only_vae
        if file and vae not in (AUTOMATIC, file.name, file.path.stem):
            yield Noticed(f"The VAE is {file.name}, as --vae-path says, and not the one that is chosen ({vae}).")
        if file is None:
            vaes, checkpoint = self.vae_files(), conditioner.model.checkpoint
            file = choose_vae(vae, vaes, checkpoint, overrides)
            if not overrides and vae != AUTOMATIC and file != choose_vae(vae, vaes, checkpoint):
                taken = file.name if file else "the one inside it"
                yield Noticed(
                    f"{checkpoint.name} has a VAE of its own, {taken}, which is taken instead of {vae}: the settings "
                    "say that the chosen VAE does not hold for every checkpoint."
                )
        if file is None:
            self._with_vae = None
        else:
            yield Status(f"loading {file.name}")
            conditioner = conditioner.with_model(self._model_with(file, conditioner.model))
        if embedding:
            conditioner = conditioner.with_embeddings(conditioner.embeddings.with_embedding(embedding))
        return conditioner

    def _model_with(self, vae: VaeFile, model: "SDModel") -> "SDModel":
        """The model with this VAE, which stays loaded until another one is asked for."""
        from modules.model.vae import with_vae

        if self._with_vae and self._with_vae[0] is model and self._with_vae[1].path == vae.path:
            return self._with_vae[2]
        self._with_vae = None  # before the next one needs the room
        try:
            vae = replace(vae, sha256=self._hashes.ensure([vae.path]))
        except OSError as error:  # loading it says what is wrong, or finds nothing wrong
            _log.warning("The hash of %s is not known: %s", vae.name, error)
        self._with_vae = (model, vae, with_vae(model, vae))
        return self._with_vae[2]

    def forget(self) -> None:
        """Let go of what belongs to the model in use, before another one is loaded."""
        self._with_vae = None


class _Lent:
    """The models of one run, each with the VAE and the embedding that the run asks for. See `model_use.Models`.

    Attributes:
        own: the checkpoint in use when the run began.

    Raises:
        ModelMissing: there is none.
    """

    def __init__(self, desk: DrawingDesk, vae: str, overrides: bool, embedding: "Embedding | None"):
        self.own = desk.models.in_use().model.checkpoint
        self._desk = desk
        self._vae = vae
        self._overrides = overrides
        self._embedding = embedding

    def use(self, checkpoint: Checkpoint | None) -> Use:
        """See `model_use.Models.use`."""
        yield from self._desk.models.lend(checkpoint or self.own)
        yield from self._desk.models.with_hash()  # which its pictures name
        return (yield from self._desk.dressed(self._desk.models.in_use(), self._vae, self._overrides, self._embedding))
