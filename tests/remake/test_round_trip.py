"""Infotext → fields → infotext: every field that is written comes back."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from modules.errors import ParameterError
from modules.generation.description import Hires, Prompts, describe
from modules.generation.stages import HiresSize, Pass
from modules.infotext import parse_infotext
from modules.model.checkpoint import Checkpoint
from modules.params import Txt2ImgParams, control
from modules.params import default as params_default
from modules.prompts.matching import EmbeddingIndex
from modules.prompts.tokenizer import clip_tokenizer
from modules.remake.here import Here
from modules.remake.remake import remake
from modules.samplers import names

CHECKPOINT = Checkpoint(Path("cosy.safetensors"), "cosy.safetensors", "c0" * 32)
HERE = Here(CHECKPOINT, [CHECKPOINT], clip_tokenizer(), EmbeddingIndex({}, clip_tokenizer()))
NOT_WRITTEN = ("batch_count", "batch_size", "preview_every", "styles", "vae")  # of one run, or tested by themselves
# a line of a prompt that looks like parameters is read as what it looks like, see `modules.infotext`
PROMPT = st.from_regex(r"(?:[a-zé(\[<\"\\|)\]>#,.0-9 -]{0,30}[a-z](?:\n[a-z, ]{0,20}[a-z])?)?", fullmatch=True)
CHOICES = {
    "sampler": names.sampler_names(),
    "schedule": names.schedule_names(),
    "hr_sampler": ["Use same sampler", *names.sampler_names()],
    "hr_schedule": ["Use same scheduler", *names.schedule_names()],
    "hr_upscaler": ["Latent", "Latent (nearest)", "Lanczos", "4x, the “best”: v2"],
}


def values_of(field: dataclasses.Field[Any]) -> st.SearchStrategy[Any]:
    shown, kind = control(field.name), type(field.default)
    if field.name in CHOICES:
        return st.sampled_from(CHOICES[field.name])
    if shown.choices:
        return st.sampled_from(shown.choices)
    if kind is str:
        return PROMPT.map(str.strip)
    if kind is bool:
        return st.booleans()
    assert shown.minimum is not None
    assert shown.maximum is not None
    if kind is float:
        default: float = params_default(field.name)
        return st.sampled_from([default, shown.minimum, shown.maximum, default / 3 + shown.minimum])
    smallest = 0 if field.name in ("seed", "subseed") else int(shown.minimum)  # -1 is drawn before it is written
    step = int(shown.step or 1)
    return st.integers(smallest // step, int(shown.maximum) // step).map(lambda number: max(number * step, smallest))


FIELDS = {f.name: values_of(f) for f in dataclasses.fields(Txt2ImgParams) if f.name not in NOT_WRITTEN}


def written(params: Txt2ImgParams) -> str:
    """What a picture drawn with these parameters says."""
    first, hires = Pass.first(params), None
    if params.enable_hr:
        hires = Hires(Pass.second(params), HiresSize.of(params))
    prompts = Prompts(
        params.prompt,
        params.negative_prompt,
        params.hr_prompt or params.prompt,
        params.hr_negative_prompt or params.negative_prompt,
    )
    return describe(params, prompts, (params.seed, params.subseed), CHECKPOINT, first, [], hires)


@settings(max_examples=300)
@given(st.fixed_dictionaries({}, optional=FIELDS))
@example({"enable_hr": True, "old_hires_size": True, "width": 1024, "height": 768})
@example({"enable_hr": True, "hr_resize_x": 768})
@example({"enable_hr": True, "sampler": "LMS", "hr_sampler": "DPM++ 2M", "hr_schedule": "Karras"})
@example({"enable_hr": True, "sampler": "DPM++ 2M", "hr_sampler": "LMS", "hr_schedule": "Use same scheduler"})
@example({"enable_hr": True, "sampler": "DPM++ 2M", "schedule": "Karras", "hr_schedule": "Automatic"})
@example({"enable_hr": True, "firstphase_width": 64, "width": 1032, "height": 64})  # no run may have it
@example({"seed": 0, "subseed": 2**63 - 1, "subseed_strength": 0.01})
def test_what_is_written_comes_back(values: dict[str, Any]) -> None:
    try:
        params = Txt2ImgParams(**values)
        text = written(params)
    except ParameterError:  # fields that no run may combine
        assume(False)
        raise
    said = parse_infotext(text)
    assume((said["Prompt"], said["Negative prompt"]) == (params.prompt, params.negative_prompt))
    found = remake(text, HERE)
    assert written(Txt2ImgParams(**found.values)) == text
    assert found.differences == ()


def test_a_text_of_today_gives_the_fields_that_wrote_it() -> None:
    """Not only the same text: the values themselves, where every one of them is off its default."""
    params = Txt2ImgParams(
        prompt="a [b|c]",
        negative_prompt="(bad)",
        sampler="Euler",
        schedule="Beta",
        steps=11,
        width=640,
        height=384,
        cfg_scale=5.5,
        seed=9,
        subseed=8,
        subseed_strength=0.3,
        seed_resize_from_w=512,
        seed_resize_from_h=256,
        enable_hr=True,
        hr_upscaler="Lanczos",
        hr_second_pass_steps=4,
        denoising_strength=0.45,
        hr_scale=1.5,
        hr_sampler="LMS",
        hr_schedule="Karras",
        hr_prompt="a, sharper",
        hr_negative_prompt="blurry: yes",
        extra_noise=0.1,
        s_churn=1.0,
        s_noise=1.01,
        sigma_min=0.1,
        beta_alpha=0.5,
        discard_penultimate=True,
        zero_terminal_snr=True,
        downcast_alphas=True,
        randn_source="NV",
        s_min_uncond=1.5,
        s_min_uncond_all=True,
        skip_early_cond=0.2,
        tiling=True,
        clip_skip=2,
        emphasis="No norm",
        comma_backtrack=10,
        pad_conds=True,
        old_timelines=True,
        a1111_exact=True,
    )
    assert Txt2ImgParams(**remake(written(params), HERE).values) == params


@pytest.mark.parametrize("version", ["v1.10.1", "v1.6.0"])
def test_a_text_of_a1111_comes_back_but_for_who_made_it(version: str) -> None:
    params = Txt2ImgParams(prompt="a cat", sampler="Euler a", seed=1, randn_source="NV")
    text = written(params)
    ours = text.rpartition("Version: ")
    found = remake(f"{ours[0]}Version: {version}", HERE)
    again = written(dataclasses.replace(Txt2ImgParams(**found.values), downcast_alphas=False))
    assert again == text
