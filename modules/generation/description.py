"""What is written into each picture so that it can be drawn again."""

from collections.abc import Sequence
from dataclasses import dataclass

from modules.embeddings.embedding import Embedding
from modules.generation.partners import NOBODY, Partners
from modules.generation.passes import sampler_options
from modules.generation.stages import HiresSize, Pass, is_old_form
from modules.infotext import VERSION_VALUE, build_infotext, listed, reads_emphasis
from modules.model.checkpoint import Checkpoint
from modules.model.vae import VaeFile
from modules.params import SECOND_PASS, Txt2ImgParams
from modules.prompts.tags import cut_comments
from modules.prompts.tokenizer import replace_surrogates


@dataclass(frozen=True)
class Prompts:
    """The texts of a run as they are drawn: styles in, comments out, tags still in."""

    prompt: str
    negative_prompt: str
    hr_prompt: str
    hr_negative_prompt: str

    @classmethod
    def of(cls, params: Txt2ImgParams) -> "Prompts":
        """Those of a form, its styles in them already; a second pass without its own has those of the first."""
        cut = cut_comments if params.comments else str
        prompt, negative, hr_prompt, hr_negative = (
            cut(replace_surrogates(text))
            for text in (params.prompt, params.negative_prompt, params.hr_prompt, params.hr_negative_prompt)
        )
        return cls(prompt, negative, hr_prompt or prompt, hr_negative or negative)


@dataclass(frozen=True)
class Hires:
    """The second pass of a hires fix: how it samples, and its sizes."""

    stage: Pass
    size: HiresSize


def describe(
    params: Txt2ImgParams,
    prompts: Prompts,
    seeds: tuple[int, int],
    checkpoint: Checkpoint,
    first: Pass,
    embeddings: Sequence[Embedding],
    hires: Hires | None = None,
    incomplete: str = "",
    vae: VaeFile | None = None,
    partners: Partners = NOBODY,
    user: str = "",
) -> str:
    """The infotext of one picture.

    Args:
        seeds: seed and variation seed of this picture.
        first: the first pass, names resolved.
        embeddings: all that one of the prompts uses.
        hires: the second pass, if there is one.
        incomplete: “step 7 of 20” for a picture that was interrupted there.
        vae: the file that the VAE came from, if not from the checkpoint.
        partners: the other models that took part.
        user: who drew it; empty: that is nobody's business.
    """
    width, height = hires.size.first if hires else (params.width, params.height)
    hashes = dict.fromkeys(f"{listed(embedding.name)}: {embedding.short_hash}" for embedding in embeddings)
    second_order = first.sampler.second_order or (hires is not None and hires.stage.sampler.second_order)
    texts = [prompts.prompt, prompts.negative_prompt]
    texts += [prompts.hr_prompt, prompts.hr_negative_prompt] if hires else []
    emphasised = params.emphasis != "Original" and reads_emphasis(params.emphasis, *texts)
    values = {
        "Steps": params.steps,
        "Sampler": first.sampler.name,
        "Schedule type": first.schedule,
        "CFG scale": _number(params.cfg_scale),
        "Seed": seeds[0],
        "Size": f"{width}x{height}",
        "Model hash": checkpoint.short_hash or None,
        "Model": checkpoint.model_name,
        "VAE hash": vae.sha256[:10] or None if vae else None,
        "VAE": vae.name if vae else None,
        "Clip skip": params.clip_skip if params.clip_skip > 1 else None,
        "Token merging ratio": _ratio(params.token_merging_ratio),
        "Token merging ratio hr": _ratio(params.token_merging_ratio_hr) if hires else None,
        "RNG": params.randn_source if params.randn_source != "GPU" else None,
        "Tiling": params.tiling or None,
        **_variation(params, seeds[1]),
        **(_hires(params, prompts, first, hires, partners) if hires else {}),
        "TI hashes": ", ".join(hashes) or None,
        "Emphasis": params.emphasis if emphasised else None,
        **_sampling(params, first, hires.stage if hires else None),
        "Pad conds": params.pad_conds or None,
        "Pad conds v0": params.pad_conds_v0 or None,
        "Downcast alphas_cumprod": params.downcast_alphas or None,
        **_refiner(params, partners),
        "Noise Schedule": "Zero Terminal SNR" if params.zero_terminal_snr else None,
        "Old prompt editing timelines": params.old_timelines or None,
        "Old prompt editing steps": (params.old_edit_steps and second_order) or None,
        "Comma backtrack": params.comma_backtrack if params.comma_backtrack != 20 else None,
        "Prompt rules": "A1111" if params.a1111_exact else None,
        "Prompt breaks": False if not params.breaks and any("BREAK" in text for text in texts) else None,
        "Old emphasis": params.old_emphasis or None,
        "Prompt comments": False if not params.comments and any("#" in text for text in texts) else None,
        "Interrupted": incomplete or None,
        "Version": VERSION_VALUE,
        "User": user or None,
    }
    return build_infotext(prompts.prompt, prompts.negative_prompt, values)


def _number(value: float) -> str:
    """The number as short as A1111 writes it, and with as many digits as it takes to draw the same picture again."""
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def _ratio(value: float) -> str | None:
    return _number(value) if value else None


def _variation(params: Txt2ImgParams, subseed: int) -> dict[str, object]:
    resized = params.seed_resize_from_w > 0 and params.seed_resize_from_h > 0
    values: dict[str, object] = {}
    if params.subseed_strength:
        values |= {"Variation seed": subseed, "Variation seed strength": _number(params.subseed_strength)}
    if resized:
        values["Seed resize from"] = f"{params.seed_resize_from_w}x{params.seed_resize_from_h}"
    return values


def _sampling(params: Txt2ImgParams, first: Pass, second: Pass | None) -> dict[str, object]:
    """What the sampler and the schedule of the first pass take, and those of the second, whose own are told apart."""
    values: dict[str, object] = {}
    for stage in filter(None, (second, first)):
        options = sampler_options(params, stage.sampler)
        values |= options.infotext(stage.sampler, stage.schedule)
        if stage is second:
            values.pop("Schedule type", None)
        in_a1111 = stage.sampler.uses_ensd and bool(options.eta_of(stage.sampler))
        if params.ensd and (in_a1111 if params.a1111_exact else options.draws_again(stage.sampler)):
            values["ENSD"] = params.ensd
    if params.s_min_uncond:
        values["NGMS"] = _number(params.s_min_uncond)
        values["NGMS all steps"] = params.s_min_uncond_all or None
    if params.skip_early_cond:
        values["Skip Early CFG"] = _number(params.skip_early_cond)
    return values


def _refiner(params: Txt2ImgParams, partners: Partners) -> dict[str, object]:
    if partners.refiner is None:
        return {}
    return {
        "Refiner": partners.refiner.short_title,
        "Refiner switch at": _number(params.refiner_switch_at),
        "Refiner switch by sampling steps": params.refiner_by_steps or None,
        "Hires refiner": params.hr_refiner_pass if params.enable_hr and params.hr_refiner_pass != SECOND_PASS else None,
    }


def _hires(params: Txt2ImgParams, prompts: Prompts, first: Pass, hires: Hires, partners: Partners) -> dict[str, object]:
    """As A1111 writes it today, for the old form too: a size that it is resized to."""
    resize = hires.size.target if is_old_form(params) else (params.hr_resize_x, params.hr_resize_y)
    enlarged: dict[str, object] = {"Hires upscale": _number(params.hr_scale)}
    if any(resize):
        enlarged = {"Hires resize": f"{resize[0]}x{resize[1]}"}
    own_sampler = hires.stage.sampler.name != first.sampler.name
    return {
        "Denoising strength": _number(params.denoising_strength),
        **enlarged,
        "Hires checkpoint": partners.hires.short_title if partners.hires else None,
        "Hires sampler": hires.stage.sampler.name if own_sampler else None,
        "Hires schedule type": _own_schedule(first, hires.stage),
        "Hires prompt": prompts.hr_prompt if prompts.hr_prompt != prompts.prompt else None,
        "Hires negative prompt": (
            prompts.hr_negative_prompt if prompts.hr_negative_prompt != prompts.negative_prompt else None
        ),
        "Hires steps": params.hr_second_pass_steps or None,
        "Hires upscaler": params.hr_upscaler,
        "Extra noise": _number(params.extra_noise) if params.extra_noise else None,
    }


def _own_schedule(first: Pass, second: Pass) -> str | None:
    """The schedule of the second pass if it is not that of the first: “Automatic” may mean two in one picture."""
    if second.sampler.timesteps:
        return None
    used = second.sampler.schedule_used(second.schedule)
    same = not first.sampler.timesteps and used == first.sampler.schedule_used(first.schedule)
    return None if same else used
