"""What there is to choose from, in lists."""

from collections.abc import Iterable

from fastapi import APIRouter

from modules.api.answers import (
    ModelItem,
    NameItem,
    PathItem,
    SamplerItem,
    SchedulerItem,
    StyleItem,
    UpscalerItem,
    VaeItem,
)
from modules.api.host import Host
from modules.generation.upscalers import LATENT_MODES, find_upscalers
from modules.samplers.names import DEFAULT_RHO, SAMPLERS, SCHEDULES, Sampler

_NEED_MODEL = {"Uniform", "SGM Uniform", "Simple", "Normal", "DDIM", "Beta"}  # read off the model's own noise levels


def add_routes(router: APIRouter, host: Host) -> None:
    app = host.app

    @router.get("/sdapi/v1/samplers")
    def samplers() -> list[SamplerItem]:
        """Samplers in A1111's order."""
        return [
            SamplerItem(name=sampler.name, aliases=list(sampler.aliases), options=_options(sampler))
            for sampler in SAMPLERS
        ]

    @router.get("/sdapi/v1/schedulers")
    def schedulers() -> list[SchedulerItem]:
        """Spacings of noise levels; a request may name one by `name` or `label`."""
        return [
            SchedulerItem(
                name=schedule.name,
                label=schedule.label,
                aliases=list(schedule.aliases) or None,
                default_rho=DEFAULT_RHO.get(schedule.label, -1.0),
                need_inner_model=schedule.label in _NEED_MODEL,
            )
            for schedule in SCHEDULES
        ]

    @router.get("/sdapi/v1/latent-upscale-modes")
    def latent_upscale_modes() -> list[NameItem]:
        """Ways to enlarge latents, for hr_upscaler."""
        return [NameItem(name=name) for name in LATENT_MODES]

    @router.get("/sdapi/v1/upscalers")
    def upscalers() -> list[UpscalerItem]:
        """Ways to enlarge pictures, for hr_upscaler; models of the user's own among them."""
        return [
            UpscalerItem(
                name=found.name,
                model_name=found.name if found.path else None,
                model_path=str(found.path) if found.path else None,
                scale=4.0,
            )
            for found in find_upscalers(app.paths.model_folders)
            if not found.latent
        ]

    @router.get("/sdapi/v1/sd-models")
    def sd_models() -> list[ModelItem]:
        """Checkpoints, looked up afresh. A hash is null until it was computed, in the background."""
        return [
            ModelItem(
                title=found.title,
                model_name=found.model_name,
                hash=found.short_hash or None,
                sha256=found.sha256 or None,
                filename=str(found.path),
            )
            for found in app.models.checkpoints()
        ]

    @router.get("/sdapi/v1/sd-vae")
    def sd_vae() -> list[VaeItem]:
        """VAE files for the setting `sd_vae`, looked up afresh; besides them, Automatic and None."""
        return [VaeItem(model_name=vae.name, filename=str(vae.path)) for vae in app.drawing.vae_files()]

    @router.get("/sdapi/v1/prompt-styles")
    def prompt_styles() -> list[StyleItem]:
        """Names for `styles`, from styles.csv."""
        return [
            StyleItem(name=style.name, prompt=style.prompt, negative_prompt=style.negative_prompt)
            for style in app.drawing.styles.styles()
        ]

    @router.get("/sdapi/v1/hypernetworks")
    def hypernetworks() -> list[PathItem]:
        """None yet."""
        return []

    @router.get("/sdapi/v1/face-restorers")
    def face_restorers() -> list[NameItem]:
        """None yet."""
        return []

    @router.get("/sdapi/v1/realesrgan-models")
    def realesrgan_models() -> list[NameItem]:
        """None of their own: upscaling models stand among `upscalers`."""
        return []

    @router.get("/sdapi/v1/loras")
    def loras() -> list[PathItem]:
        """None yet."""
        return []

    @router.get("/sdapi/v1/extensions")
    def extensions() -> list[NameItem]:
        """None: there are no extensions here."""
        return []

    @router.post("/sdapi/v1/refresh-checkpoints")
    def refresh_checkpoints() -> None:
        """Look for checkpoints again; `sd-models` does so by itself."""
        app.models.checkpoints()

    @router.post("/sdapi/v1/refresh-vae")
    def refresh_vae() -> None:
        """Look for VAE files again; `sd-vae` does so by itself."""

    @router.post("/sdapi/v1/refresh-loras")
    def refresh_loras() -> None:
        """There are none."""


def _options(sampler: Sampler) -> dict[str, str]:
    """What A1111 tells of a sampler, as text."""
    found: Iterable[tuple[str, str]] = [
        *([("scheduler", sampler.schedule.lower())] if sampler.schedule else []),
        *([("second_order", "True")] if sampler.second_order else []),
        *([("discard_next_to_last_sigma", "True")] if sampler.discard_penultimate else []),
        *([("uses_ensd", "True")] if sampler.uses_ensd else []),
        *([("brownian_noise", "True")] if sampler.brownian else []),
    ]
    return dict(found)
