"""Infotext → fields → infotext: every field that is written comes back."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from modules.embeddings.embedding import Embedding
from modules.errors import ParameterError
from modules.generation.description import Hires, Prompts, describe
from modules.generation.partners import Partners
from modules.generation.stages import HiresSize, Pass
from modules.infotext import parse_infotext
from modules.model.checkpoint import Checkpoint
from modules.model.vae import VaeFile
from modules.params import Txt2ImgParams, control
from modules.params import default as params_default
from modules.prompts.matching import EmbeddingIndex
from modules.prompts.tokenizer import clip_tokenizer
from modules.remake.here import Here
from modules.remake.remake import remake
from modules.samplers import names

CHECKPOINT = Checkpoint(Path("cosy.safetensors"), "cosy.safetensors", "c0" * 32)
OTHER = Checkpoint(Path("other.safetensors"), "anime/other.safetensors", "0d" * 32)
SOFT = VaeFile(Path("soft.pt"), "12" * 32)
HERE = Here(
    CHECKPOINT,
    [CHECKPOINT, OTHER],
    clip_tokenizer(),
    EmbeddingIndex({}, clip_tokenizer()),
    vaes={SOFT.name: SOFT.sha256[:10]},
)
NOT_WRITTEN = ("batch_count", "batch_size", "preview_every", "styles")  # of one run; styles are in the prompts
IN_ANOTHER_FORM = ("old_hires_size", "firstphase_width", "firstphase_height")  # the sizes of 2022, as those of today
_LINE = r"(?:Negative prompt: ?)?[a-zé(\[<\"\\|)\]>#,.0-9 :-]{0,30}"
PROMPT = st.from_regex(rf"{_LINE}(?:\n{_LINE})?", fullmatch=True)
CHOICES = {
    "sampler": names.sampler_names(),
    "schedule": names.schedule_names(),
    "hr_sampler": ["Use same sampler", *names.sampler_names()],
    "hr_schedule": ["Use same scheduler", *names.schedule_names()],
    "hr_checkpoint": ["Use same checkpoint", OTHER.title],
    "refiner_checkpoint": ["None", OTHER.title],
    "vae": ["Automatic", SOFT.name],
    "hr_upscaler": ["Latent", "Latent (nearest)", "Lanczos", "4x, the “best”: v2"],
}


def values_of(field: dataclasses.Field[Any]) -> st.SearchStrategy[Any]:
    shown, kind = control(field.name), type(field.default)
    if field.name in CHOICES:
        return st.sampled_from(CHOICES[field.name])
    if shown.choices:
        return st.sampled_from(shown.choices)
    if kind is str:
        return PROMPT
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
    partners = Partners.of(params, CHECKPOINT, {checkpoint.title: checkpoint for checkpoint in (OTHER,)}.__getitem__)
    vae = SOFT if params.vae == SOFT.name else None
    seeds = params.seed, params.subseed
    return describe(params, prompts, seeds, CHECKPOINT, first, [], hires, vae=vae, partners=partners)


@settings(max_examples=300)
@given(st.fixed_dictionaries({}, optional=FIELDS))
@example({"enable_hr": True, "old_hires_size": True, "width": 1024, "height": 768})
@example({"enable_hr": True, "hr_resize_x": 768})
@example({"enable_hr": True, "sampler": "LMS", "hr_sampler": "DPM++ 2M", "hr_schedule": "Karras"})
@example({"enable_hr": True, "sampler": "DPM++ 2M", "hr_sampler": "LMS", "hr_schedule": "Use same scheduler"})
@example({"enable_hr": True, "sampler": "DPM++ 2M", "schedule": "Karras", "hr_schedule": "Automatic"})
@example({"enable_hr": True, "firstphase_width": 64, "width": 1032, "height": 64})  # no run may have it
@example({"prompt": "a cat\nNegative prompt: b", "enable_hr": True, "hr_prompt": ' "c" ', "hr_negative_prompt": "8x8"})
@example({"seed": 0, "subseed": 2**63 - 1, "subseed_strength": 0.01})
def test_what_is_written_comes_back(values: dict[str, Any]) -> None:
    try:
        params = Txt2ImgParams(**values)
        text = written(params)
    except ParameterError:  # fields that no run may combine
        assume(False)
        raise
    said = parse_infotext(text)
    assert (said["Prompt"], said["Negative prompt"]) == (params.prompt, params.negative_prompt)
    found = remake(text, HERE)
    assert written(Txt2ImgParams(**found.values)) == text
    assert found.differences == ()


HIRES: dict[str, Any] = {"enable_hr": True}
REFINED: dict[str, Any] = {"refiner_checkpoint": OTHER.title}
OFF_DEFAULT: dict[str, tuple[Any, dict[str, Any]]] = {
    # a value that is no default, and what has to be set besides for it to act
    "prompt": ("a [b|c]", {}),
    "negative_prompt": ("(bad)", {}),
    "sampler": ("Euler", {}),
    "schedule": ("Exponential", {"sampler": "Euler"}),
    "steps": (11, {}),
    "width": (640, {}),
    "height": (384, {}),
    "cfg_scale": (5.5, {}),
    "seed": (9, {}),
    "subseed": (8, {"subseed_strength": 0.3}),
    "subseed_strength": (0.3, {"subseed": 8}),
    "seed_resize_from_w": (512, {"seed_resize_from_h": 256}),
    "seed_resize_from_h": (256, {"seed_resize_from_w": 512}),
    "enable_hr": (True, {}),
    "hr_upscaler": ("Lanczos", HIRES),
    "hr_second_pass_steps": (4, HIRES),
    "denoising_strength": (0.45, HIRES),
    "hr_scale": (1.5, HIRES),
    "hr_resize_x": (768, HIRES),
    "hr_resize_y": (1024, HIRES),
    "hr_checkpoint": (OTHER.title, HIRES),
    "hr_sampler": ("LMS", HIRES | {"hr_schedule": "Exponential"}),
    "hr_schedule": ("Exponential", HIRES),
    "hr_prompt": ("a, sharper", HIRES),
    "hr_negative_prompt": ("blurry: yes", HIRES),
    "extra_noise": (0.1, HIRES),
    "refiner_checkpoint": (OTHER.title, {}),
    "refiner_switch_at": (0.55, REFINED),
    "hr_refiner_pass": ("both passes", HIRES | REFINED),
    "refiner_by_steps": (True, REFINED),
    "eta_ancestral": (0.5, {"sampler": "Euler a"}),
    "eta_ddim": (0.5, {"sampler": "DDIM"}),
    "s_churn": (1.5, {"sampler": "Euler"}),
    "s_tmin": (0.2, {"sampler": "Heun"}),
    "s_tmax": (9.0, {"sampler": "DPM2"}),
    "s_noise": (1.01, {"sampler": "DPM++ SDE"}),
    "sigma_min": (0.1, {"sampler": "DPM++ 2M"}),
    "sigma_max": (10.0, {"schedule": "Exponential"}),
    "rho": (5.0, {"schedule": "Polyexponential"}),
    "discard_penultimate": (True, {}),
    "sgm_noise_multiplier": (True, {}),
    "zero_terminal_snr": (True, {}),
    "downcast_alphas": (True, {}),
    "breaks": (False, {"prompt": "a BREAK cat"}),
    "old_emphasis": (True, {}),
    "comments": (False, {"prompt": "a #1 cat"}),
    "keep_penultimate": (True, {"sampler": "DPM2"}),
    "all_timesteps": (True, {"sampler": "PLMS"}),
    "beta_alpha": (0.5, {"schedule": "Beta"}),
    "beta_beta": (0.7, {"schedule": "Beta"}),
    "unipc_variant": ("bh2", {"sampler": "UniPC"}),
    "unipc_skip_type": ("logSNR", {"sampler": "UniPC"}),
    "unipc_order": (2, {"sampler": "UniPC"}),
    "unipc_lower_order_final": (False, {"sampler": "UniPC"}),
    "randn_source": ("NV", {}),
    "ensd": (31337, {"sampler": "Euler a"}),
    "s_min_uncond": (1.5, {}),
    "s_min_uncond_all": (True, {"s_min_uncond": 1.5}),
    "skip_early_cond": (0.2, {}),
    "token_merging_ratio": (0.5, {}),
    "token_merging_ratio_hr": (0.3, HIRES),
    "vae": (SOFT.name, {}),
    "tiling": (True, {}),
    "clip_skip": (2, {}),
    "emphasis": ("No norm", {"prompt": "(a)"}),
    "comma_backtrack": (10, {}),
    "pad_conds": (True, {}),
    "pad_conds_v0": (True, {}),
    "a1111_exact": (True, {}),
    "old_timelines": (True, {}),
    "old_edit_steps": (True, {"sampler": "Heun"}),
}


def test_an_embedding_with_a_comma_in_its_name_is_found_again() -> None:
    embedding = Embedding("half, of: it", torch.zeros(1, 768), sha256="ab" * 32)
    params = Txt2ImgParams(seed=1, prompt="half, of: it")
    text = describe(params, Prompts.of(params), (1, 2), CHECKPOINT, Pass.first(params), [embedding])
    assert 'TI hashes: "half of it: abababababab"' in text  # as A1111 writes it
    here = dataclasses.replace(HERE, embeddings={embedding.name: "ab" * 6})
    assert remake(text, here).differences == ()


def test_no_field_is_forgotten() -> None:
    """A new field has to say whether pictures carry it."""
    fields = [field.name for field in dataclasses.fields(Txt2ImgParams)]
    assert sorted([*OFF_DEFAULT, *NOT_WRITTEN, *IN_ANOTHER_FORM]) == sorted(fields)


@pytest.mark.parametrize("field", OFF_DEFAULT)
def test_every_field_is_written_and_comes_back_as_it_was(field: str) -> None:
    """Not only the same text: the value itself, and all the others."""
    value, besides = OFF_DEFAULT[field]
    assert value != params_default(field)
    usual = {"seed": 1, **besides}
    plain, params = written(Txt2ImgParams(**usual)), Txt2ImgParams(**{**usual, field: value})
    assert written(params) != plain, "it is written"
    assert Txt2ImgParams(**remake(written(params), HERE).values) == params


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"hr_sampler": "DDIM", "eta_ddim": 0.5}, "Eta DDIM: 0.5"),
        ({"hr_sampler": "Euler a", "eta_ancestral": 0.5}, "Eta: 0.5"),
        ({"hr_sampler": "Euler a", "ensd": 31337}, "ENSD: 31337"),
        ({"hr_schedule": "Karras", "rho": 5.0}, "Schedule rho: 5.0"),
        ({"hr_schedule": "Beta", "beta_alpha": 0.5}, "Beta schedule alpha: 0.5"),
        ({"hr_sampler": "UniPC", "unipc_order": 2}, "UniPC order: 2"),
    ],
)
def test_what_only_the_second_pass_takes_is_written_too(values: dict[str, Any], key: str) -> None:
    params = Txt2ImgParams(**HIRES, sampler="LMS", seed=1, **values)
    assert f", {key}," in written(params)
    again = Txt2ImgParams(**remake(written(params), HERE).values)
    assert {field: getattr(again, field) for field in values} == values
    assert written(again) == written(params)


@pytest.mark.parametrize("field", IN_ANOTHER_FORM)
def test_sizes_of_2022_come_back_as_those_of_today(field: str) -> None:
    old: dict[str, Any] = (
        {"firstphase_width": 448, "firstphase_height": 320} if field != "old_hires_size" else {field: True}
    )
    params = Txt2ImgParams(**HIRES, **old, seed=1, width=768, height=512)
    again = Txt2ImgParams(**remake(written(params), HERE).values)
    first, today = HiresSize.of(params), HiresSize.of(again)
    assert getattr(again, field) == params_default(field)
    assert (today.first, today.target) == (first.first, first.target)
    assert written(again) == written(params)


@pytest.mark.parametrize("version", ["v1.10.1", "v1.6.0"])
def test_a_text_of_a1111_comes_back_but_for_who_made_it(version: str) -> None:
    params = Txt2ImgParams(prompt="a cat", sampler="Euler a", seed=1, randn_source="NV")
    text = written(params)
    ours = text.rpartition("Version: ")
    found = remake(f"{ours[0]}Version: {version}", HERE)
    again = written(dataclasses.replace(Txt2ImgParams(**found.values), downcast_alphas=False))
    assert again == text
