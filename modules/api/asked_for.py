"""What a txt2img request means, by our names.

A value of the request wins over its `override_settings`, these over its `infotext`, that over what the file of the
model that will draw recommends, that over the settings, these over A1111's defaults. What it says nothing about stays
within the server's limits.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from modules import images
from modules import params as fields
from modules.api import always_on, errors, options, pictures, requests, scripts, table
from modules.api.requests import Txt2ImgRequest, ours
from modules.app import App
from modules.errors import ParameterError
from modules.model.checkpoint import Checkpoint
from modules.params import RANDOM, Txt2ImgParams, control
from modules.samplers import names
from modules.script_params import ScriptParams
from modules.settings import Settings

FIRST_PASS = "firstpass_image"


@dataclass
class Wish:
    """A request that can be done.

    Attributes:
        asked: what it says, by A1111's names.
        params: what that means, with the model that is to draw it.
        params_with: what it means with the checkpoint of a title.
        drawn_by: the checkpoint that is to draw it, if the request names none.
        settings: those in force for it.
        checkpoint: title of the one to draw with; empty: the one in use.
        checkpoint_stays: it stays in use afterwards.
        script: that makes many runs of it, if any.
        picture: stands for the first pass of its hires fix.
    """

    asked: Mapping[str, Any]
    params: Txt2ImgParams
    settings: Settings
    params_with: Callable[[str], Txt2ImgParams] = field(repr=False)
    drawn_by: Checkpoint | None = None
    checkpoint: str = ""
    checkpoint_stays: bool = False
    script: ScriptParams | None = None
    picture: Image.Image | None = None

    @property
    def name(self) -> str | None:
        """What the job is to be called."""
        return self.asked.get("force_task_id")

    @property
    def save_pictures(self) -> bool:
        return bool(self.asked.get("save_images")) and not self.asked.get("do_not_save_samples")

    @property
    def save_grids(self) -> bool:
        """Overviews, and sheets of scripts."""
        return bool(self.asked.get("save_images")) and self.settings.save_grid

    @property
    def send_pictures(self) -> bool:
        return self.asked.get("send_images", True)

    def suited(self, checkpoint: Checkpoint) -> Txt2ImgParams | None:
        """What it means with the model that draws after all; None: with the one that was to draw it. What loads another
        model may fail, or be taken back, after a request was read that counts on it.

        Raises:
            ParameterError: something that cannot be done.
        """
        if self.checkpoint or (self.drawn_by and self.drawn_by.path == checkpoint.path):
            return None
        self.params = self.params_with(checkpoint.title)
        return self.params


def read(app: App, asked: Mapping[str, Any]) -> Wish:
    """What a request means now.

    Raises:
        ParameterError, HTTPException: something that cannot be done, as a sentence.
    """
    _refuse_absent(asked)
    asked = {**asked, **requests.checked(always_on.said(asked.get("alwayson_scripts") or {}))}
    overrides = options.sort_out(_overrides(asked), app.settings)
    checkpoint = overrides.settings.pop("checkpoint", "")
    if not isinstance(checkpoint, str):
        raise ParameterError(options.CHECKPOINT, f"{options.CHECKPOINT} must be the title of a checkpoint.")
    settings = options.changed(app.settings, overrides.settings)
    if asked.get("do_not_save_grid"):
        settings = settings.changed(save_grid=False)
    said = _said(asked)
    defaults = {**table.TXT2IMG_DEFAULTS, **options.form_defaults(app)}
    infotext = asked.get("infotext") or ""
    asked_values = {
        **(app.library.remake(infotext).values if infotext.strip() else {}),
        **{name: getattr(settings, name) for name in settings.form_defaults() if name in overrides.settings},
        **overrides.form,
        **said,
    }

    def params_with(checkpoint: str) -> Txt2ImgParams:
        recommended = _recommended(app, checkpoint, said)
        values = {**_within_limits({**defaults, **recommended}, settings), **asked_values}
        try:
            sampler, _ = names.find(values["sampler"], values.get("schedule", fields.default("schedule")))
            eta = fields.one_eta(asked[table.ETA], sampler.timesteps) if table.ETA in asked else {}
            return Txt2ImgParams(**{**values, **eta})
        except ParameterError as error:
            raise table.in_their_words(table.TXT2IMG, error, asked) from error

    params = params_with(checkpoint)
    drawn_by = None if checkpoint else app.models.next_to_draw()
    stays = asked.get("override_settings_restore_afterwards", True) is False
    script = scripts.read(asked.get("script_name"), asked.get("script_args"))
    picture = _first_pass(asked, script) if params.enable_hr else None
    return Wish(asked, params, settings, params_with, drawn_by, checkpoint, stays, script, picture)


def unused(asked: Mapping[str, Any], now: Settings) -> list[str]:
    """The fields and settings of a request that mean nothing here: A1111's for other work, those of nobody, and
    limits of this server that differ from those of `now`."""
    said = [name for name, value in asked.items() if value not in table.ABSENT.get(name, ())]  # these ask for nothing
    fields = requests.unknown(Txt2ImgRequest, said)
    if asked.get(FIRST_PASS) and not (asked.get("enable_hr") or asked.get("infotext")):
        fields.append(FIRST_PASS)
    overrides = options.sort_out(_overrides(asked), now)
    return [*fields, *overrides.withheld, *overrides.others]


def _overrides(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Its settings; `null` says nothing, as everywhere in a request."""
    overrides: Mapping[str, Any] = asked.get("override_settings") or {}
    return {key: value for key, value in overrides.items() if value is not None}


def _said(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The request's own values by our names, and those that have no single name here."""
    said = ours(Txt2ImgParams, table.TXT2IMG, asked)
    said = {name: value for name, value in said.items() if value != "" or name not in table.NAMES}
    said = {name: value for name, value in said.items() if value != 0 or name not in table.ZERO_IS_NOTHING}
    if "sampler" not in said and asked.get("sampler_index"):
        said["sampler"] = asked["sampler_index"]
    for name in ("seed_resize_from_w", "seed_resize_from_h"):
        if name in said:
            said[name] = max(0, said[name])  # A1111's -1 is our 0
    if not isinstance(said.get("comments", False), bool):
        del said["comments"]  # A1111's own notes on a run, which its description shows as a field to send
    if asked.get("seed_enable_extras") is False:
        said |= {"subseed": RANDOM, "subseed_strength": 0.0, "seed_resize_from_w": 0, "seed_resize_from_h": 0}
    if said.get("firstphase_width") or said.get("firstphase_height"):
        said["old_hires_size"] = True
    return said


def _first_pass(asked: Mapping[str, Any], script: ScriptParams | None) -> Image.Image | None:
    """The picture that a hires fix is to begin with, of sides that latents can have."""
    if not asked.get(FIRST_PASS):
        return None
    if script:
        raise errors.refuse(422, f"{FIRST_PASS} and a script do not go together: leave one of them out.")
    with pictures.as_file(pictures.decode(asked[FIRST_PASS])) as path:
        found = images.open_image(path)
    for name, side in (("width", found.width), ("height", found.height)):
        least, most = control(name).taken or (side, side)
        if not least <= side <= most:
            raise errors.refuse(
                422,
                f"{FIRST_PASS} is {found.width}×{found.height}: its sides must lie within {least:g} … {most:g}.",
            )
    whole = found.width // 8 * 8, found.height // 8 * 8
    return found if whole == found.size else found.resize(whole, Image.Resampling.LANCZOS)


def _recommended(app: App, checkpoint: str, said: Collection[str]) -> dict[str, Any]:
    """What suits the model that will draw: nothing more than its size, for models that recommend nothing. A schedule is
    recommended for its sampler; who asks for another sampler gets that one's own.

    Args:
        checkpoint: that the request names; empty: none.
        said: names of our fields that it sets.
    """
    try:
        advice = app.models.advice(checkpoint)
    except ParameterError as error:
        raise table.in_their_words(table.TXT2IMG, error) from error
    if advice is None:
        return {}
    return {name: value for name, value in advice.values.items() if name != "schedule" or "sampler" not in said}


def _within_limits(defaults: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """Defaults that nobody asked for are never refused."""
    most = {"steps": settings.most_steps, "width": settings.longest_side, "height": settings.longest_side}
    return {**defaults, **{name: min(defaults.get(name, fields.default(name)), most[name]) for name in most}}


def _refuse_absent(asked: Mapping[str, Any]) -> None:
    for name, nothing in table.ABSENT.items():
        if asked.get(name) not in nothing:
            raise errors.refuse(422, f"{name} is not there yet: leave it out.")
