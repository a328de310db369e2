"""What is told of a txt2img job that is over: pictures as base64, and `info`, a JSON text with A1111's keys."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modules import images
from modules.api import pictures
from modules.api.asked_for import Wish
from modules.events import Event, GridDone, ImageDone
from modules.image_formats import ImageFormat
from modules.infotext import VERSION_VALUE, parse_infotext
from modules.jobs import Job
from modules.params import RANDOM, Txt2ImgParams
from modules.settings import Settings

# Keys of the infotext that `info` tells in other words, or that say nothing.
_TOLD_ELSEWHERE = frozenset(
    "Steps|Sampler|CFG scale|Seed|Size|Model hash|Model|VAE hash|VAE|Variation seed|Variation seed strength|"
    "Seed resize from|Denoising strength|Clip skip|Tiling|Version".split("|")
)


@dataclass(frozen=True)
class _Sheet:
    """An overview: its file as base64, and its infotext."""

    encoded: str
    infotext: str


def answer(wish: Wish, job: Job, events: Sequence[Event]) -> dict[str, Any]:
    """The answer to a txt2img request: overviews first, the whole one before its parts.

    Raises:
        ImageError: a picture has gone.
    """
    done = sorted((event for event in events if isinstance(event, ImageDone)), key=_place)
    sheets = _sheets(wish, done, events)
    info = _info(wish, job, done)
    shown = done if wish.script is None or wish.script.include_sub_images else []
    info |= {
        "index_of_first_image": len(sheets),
        "infotexts": [*(sheet.infotext for sheet in sheets), *(event.infotext for event in shown)],
    }
    encoded: list[str] = []
    if wish.send_pictures:
        encoded = [*(sheet.encoded for sheet in sheets), *(pictures.encode(event.path) for event in shown)]
    return {"images": encoded, "parameters": dict(wish.asked), "info": json.dumps(info)}


def _place(event: ImageDone) -> int:
    return event.index if event.place < 0 else event.place


def _sheets(wish: Wish, done: Sequence[ImageDone], events: Sequence[Event]) -> list[_Sheet]:
    saved = [_saved(wish, one) for one in events if isinstance(one, GridDone)]
    if wish.script:
        return saved[::-1][:1] + saved[:-1]  # the whole is drawn last
    if not wish.settings.show_grid or wish.asked.get("do_not_save_grid") or len(done) < 2:
        return []
    return saved[:1] or [_overview(wish, done)]


def _overview(wish: Wish, done: Sequence[ImageDone]) -> _Sheet:
    """One that was not to be saved."""
    settings = wish.settings
    rows = images.grid_rows(len(done), settings.grid_rows, wish.params.batch_size, settings.grid_without_gaps)
    sheet = images.grid((images.open_image(event.path) for event in done), len(done), rows)
    content = images.to_bytes(sheet, done[0].infotext, _form(settings))
    return _Sheet(pictures.encode_bytes(content), done[0].infotext)


def _saved(wish: Wish, sheet: GridDone) -> _Sheet:
    """One that has a file, in the format of pictures: A1111 sends all that it sends in that one."""
    form = _form(wish.settings)
    if sheet.path.suffix == f".{form.suffix}":
        return _Sheet(pictures.encode(sheet.path), sheet.infotext)
    content = images.to_bytes(images.open_image(sheet.path), sheet.infotext, form)
    return _Sheet(pictures.encode_bytes(content), sheet.infotext)


def _form(settings: Settings) -> ImageFormat:
    return ImageFormat(settings.picture_format, settings.quality, settings.webp_lossless)


def _info(wish: Wish, job: Job, done: Sequence[ImageDone]) -> dict[str, Any]:
    """All keys in A1111's order; `answer` fills in what depends on what is sent."""
    params = wish.params
    said = [parse_infotext(event.infotext) for event in done]
    first: Mapping[str, Any] = said[0] if said else {}
    seeds = [event.seed for event in done]
    subseeds = [int(one.get("Variation seed", _subseed(params, index))) for index, one in enumerate(said)]
    return {
        "prompt": first.get("Prompt", params.prompt),
        "all_prompts": [one["Prompt"] for one in said],
        "negative_prompt": first.get("Negative prompt", params.negative_prompt),
        "all_negative_prompts": [one["Negative prompt"] for one in said],
        "seed": seeds[0] if seeds else params.seed,
        "all_seeds": seeds,
        "subseed": subseeds[0] if subseeds else params.subseed,
        "all_subseeds": subseeds,
        "subseed_strength": params.subseed_strength,
        "width": params.width,
        "height": params.height,
        "sampler_name": first.get("Sampler", params.sampler),
        "cfg_scale": params.cfg_scale,
        "steps": params.steps,
        "batch_size": params.batch_size,
        "restore_faces": False,
        "face_restoration_model": None,
        "sd_model_name": first.get("Model"),
        "sd_model_hash": first.get("Model hash"),
        "sd_vae_name": first.get("VAE"),
        "sd_vae_hash": first.get("VAE hash"),
        "seed_resize_from_w": params.seed_resize_from_w,
        "seed_resize_from_h": params.seed_resize_from_h,
        "denoising_strength": params.denoising_strength if params.enable_hr else None,
        "extra_generation_params": _extra(done[0].infotext) if done else {},
        "index_of_first_image": 0,
        "infotexts": [],
        "styles": list(params.styles),
        "job_timestamp": time.strftime("%Y%m%d%H%M%S", time.localtime(job.started)),
        "clip_skip": params.clip_skip,
        "is_using_inpainting_conditioning": False,
        "version": VERSION_VALUE,
    }


def _subseed(params: Txt2ImgParams, index: int) -> int:
    """Without variation there is none; A1111 draws one nevertheless, so a number has to stand there."""
    return 0 if params.subseed == RANDOM else params.subseed + index


def _extra(infotext: str) -> dict[str, Any]:
    """What else is written into the pictures, as far as it stands in the text itself."""
    filled = parse_infotext("x\nSteps: 1, Sampler: x, Seed: 1")  # what is taken for granted where nothing is said
    pairs = parse_infotext(infotext)
    return {
        key: value
        for key, value in pairs.items()
        if key not in _TOLD_ELSEWHERE
        and key.removesuffix("-1").removesuffix("-2") not in _TOLD_ELSEWHERE
        and key not in ("Prompt", "Negative prompt")
        and filled.get(key) != value
    }
