"""The desk at which pictures are drawn: styles, VAEs and upscalers kept at hand, and forms turned into runs. One per
App; which model draws, and when, is the App's."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from modules.errors import WebuiError
from modules.events import Status, Work
from modules.generation import stages
from modules.generation.upscalers import choose_upscaler, find_upscalers
from modules.model.checkpoint import Checkpoint
from modules.model.hashes import HashCache
from modules.model.vae import AUTOMATIC, BUILT_IN, VaeFile, choose_vae, find_vaes
from modules.params import Txt2ImgParams
from modules.paths import Paths
from modules.settings import Settings
from modules.styles import StyleFile

if TYPE_CHECKING:  # these bring torch
    from PIL import Image

    from modules.generation.outputs import OutputFolder
    from modules.model.conditioning import Conditioner
    from modules.model.model import SDModel

_log = logging.getLogger(__name__)


class DrawingDesk:
    """What a run needs besides the model. Any thread may ask; only the worker thread draws.

    Args:
        settings: gives the settings of now.
        hashes: of files, for what infotexts say.

    Attributes:
        styles: the user's prompts under names.
    """

    def __init__(self, paths: Paths, settings: Callable[[], Settings], hashes: HashCache):
        self.styles = StyleFile(paths.styles_file)
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
        return find_vaes([folder / "VAE" for folder in self._paths.model_folders], self._paths.checkpoint_folders)

    def stock(self, checkpoint: Checkpoint | None) -> tuple[dict[str, str], str, list[str], dict[str, tuple[str, str]]]:
        """What a picture can be remade with: known hashes of VAEs by name, the VAE that “Automatic” takes for this
        checkpoint, upscalers, and the prompts of styles by name."""
        vaes = self.vae_files()
        automatic = choose_vae(AUTOMATIC, vaes, checkpoint)
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
            ParameterError: a style, sampler, schedule, upscaler or VAE that does not exist, a size that a hires fix
                cannot have, or more than this server takes.
        """
        params = self.styles.applied(params)
        stages.check(params, self._paths.model_folders)
        size = stages.HiresSize.of(params).cover if params.enable_hr else (params.width, params.height)
        (settings or self._settings()).check_limits(params, size)
        choose_vae(params.vae, self.vae_files(), None)
        return params

    # --- the worker's part ------------------------------------------------------------------------------------------

    def outputs(self, folder: Path | None = None, settings: Settings | None = None) -> "OutputFolder":
        """Where a run saves its pictures: in the day's folders, or all in one `folder`."""
        from modules.generation.outputs import OutputFolder

        settings = settings or self._settings()
        return OutputFolder(
            folder or self._paths.txt2img_images,
            folder or self._paths.txt2img_grids,
            settings.save_grid,
            settings.grid_rows,
            settings.grid_without_gaps,
            by_day=folder is None,
            save_before_hires=settings.save_before_hires,
        )

    def draw(
        self,
        conditioner: "Conditioner",
        params: Txt2ImgParams,
        outputs: "OutputFolder",
        picture: "Image.Image | None" = None,
    ) -> Work:
        """A txt2img run with the VAE and the upscaler that `params`, once checked, names.

        Args:
            picture: see `txt2img`.
        """
        from modules.generation.txt2img import txt2img

        upscaler = choose_upscaler(params.hr_upscaler, self._paths.model_folders) if params.enable_hr else None
        vae = choose_vae(params.vae, self.vae_files(), conditioner.model.checkpoint)
        if vae is None:
            self._with_vae = None
        else:
            yield Status(f"loading {vae.name}")
            conditioner = conditioner.with_model(self._model_with(vae, conditioner.model))
        yield from txt2img(conditioner, params, outputs, upscaler, picture)

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
