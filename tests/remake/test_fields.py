import pytest

from modules import params
from modules.errors import ParameterError
from modules.infotext import parse_infotext
from modules.params import Txt2ImgParams
from modules.remake.fields import KEYS, can_override, override, read_fields, read_overrides

LINE = "Steps: 12, Sampler: Euler a, CFG scale: 4.5, Seed: 7, Size: 640x448"


def fields_of(text: str) -> dict:
    return read_fields(parse_infotext(text)).values


def changed(text: str) -> dict:
    """The fields that a text moves from their defaults, besides those of `LINE`."""
    plain = fields_of(LINE)
    return {name: value for name, value in fields_of(text).items() if value != plain.get(name, params.default(name))}


def test_every_key_leads_to_a_field_and_none_twice():
    assert set(KEYS.values()) <= {*Txt2ImgParams.__dataclass_fields__}
    assert len(set(KEYS.values())) == len(KEYS)


def test_the_plain_fields():
    values = fields_of(f"a cat\nNegative prompt: bad,\nworse\n{LINE}")
    named = ("prompt", "negative_prompt", "steps", "sampler", "schedule", "cfg_scale", "seed", "width", "height")
    assert [values[name] for name in named] == ["a cat", "bad,\nworse", 12, "Euler a", "Automatic", 4.5, 7, 640, 448]
    Txt2ImgParams(**values)


@pytest.mark.parametrize(
    ("said", "fields"),
    [
        ("Variation seed: 9, Variation seed strength: 0.25", {"subseed": 9, "subseed_strength": 0.25}),
        ("Seed resize from: 512x768", {"seed_resize_from_w": 512, "seed_resize_from_h": 768}),
        ("Clip skip: 2, ENSD: 31337, RNG: NV", {"clip_skip": 2, "ensd": 31337, "randn_source": "NV"}),
        ("Tiling: True", {"tiling": True}),
        ("Eta: 0.5", {"eta_ancestral": 0.5}),
        ("Eta DDIM: 0.5", {"eta_ddim": 0.5}),
        ("Sigma churn: 1.5, Sigma tmax: 9", {"s_churn": 1.5, "s_tmax": 9.0}),
        ("Schedule type: Karras, Schedule rho: 5", {"schedule": "Karras", "rho": 5.0}),
        ("Noise Schedule: Zero Terminal SNR", {"zero_terminal_snr": True}),
        ("Prompt rules: A1111", {"a1111_exact": True}),
        ("NGMS: 2.5, NGMS all steps: True", {"s_min_uncond": 2.5, "s_min_uncond_all": True}),
        ("UniPC lower order final: False", {"unipc_lower_order_final": False}),
        ("Denoising strength: 0.75", {}),
        (
            "Denoising strength: 0.5, Hires upscale: 1.5, Hires steps: 4, Hires upscaler: Lanczos",
            {
                "enable_hr": True,
                "denoising_strength": 0.5,
                "hr_scale": 1.5,
                "hr_second_pass_steps": 4,
                "hr_upscaler": "Lanczos",
            },
        ),
        (
            'Denoising strength: 0.7, Hires resize: 1024x768, Hires prompt: "b, c"',
            {"enable_hr": True, "hr_resize_x": 1024, "hr_resize_y": 768, "hr_prompt": "b, c"},
        ),
        (
            "Denoising strength: 0.7, Hires upscale: 2, Hires sampler: LMS Karras",
            {"enable_hr": True, "hr_sampler": "LMS", "hr_schedule": "Karras"},
        ),
        (
            "Denoising strength: 0.7, Hires upscale: 2, Hires schedule type: Exponential",
            {"enable_hr": True, "hr_schedule": "Exponential"},
        ),
    ],
)
def test_keys_become_fields(said, fields):
    found = changed(f"{LINE}, {said}")
    assert found == fields


def test_the_hires_fix_of_2022_keeps_its_sizes_and_its_upscaler():
    values = fields_of("a\nSteps: 20, Sampler: LMS, Size: 1024x1024, Denoising strength: 0.7, First pass size: 0x0")
    assert (values["width"], values["height"], values["hr_resize_x"], values["hr_resize_y"]) == (512, 512, 1024, 1024)
    assert (values["enable_hr"], values["hr_upscaler"]) == (True, "Lanczos")


def test_what_has_no_effect_is_left_alone():
    """A picture without a second pass must not forget the upscaler that somebody chose."""
    assert {"hr_upscaler", "denoising_strength", "subseed", "batch_size"} & {*fields_of(LINE)} == set()


@pytest.mark.parametrize(
    ("said", "field", "value"),
    [("Steps: 200", "steps", 200), ("CFG scale: 0.5", "cfg_scale", 0.5), ("Size: 513x64", "width", 513)],
)
def test_what_only_programs_ask_for_is_taken_as_it_is(said, field, value):
    fields = read_fields(parse_infotext(f"a\n{LINE}, {said}"))
    assert (fields.values[field], fields.misfits) == (value, ())


@pytest.mark.parametrize(
    ("said", "field", "value"),
    [
        ("Steps: 2000", "steps", 1000),
        ("Steps: many", "steps", 20),
        ("CFG scale: 2000.5", "cfg_scale", 1000.0),
        ("CFG scale: nan", "cfg_scale", 7.0),
        ("Size: 4x64", "width", 8),
        ("Sampler: Magic", "sampler", "DPM++ 2M"),
        ("Schedule type: Magic", "schedule", "Automatic"),
        ("Seed: 99999999999999999999", "seed", 2**63 - 1),
        ("Clip skip: 99", "clip_skip", 12),
        ("Emphasis: Loud", "emphasis", "Original"),
    ],
)
def test_what_cannot_be_used_is_replaced_and_named(said, field, value):
    fields = read_fields(parse_infotext(f"a\n{LINE}, {said}"))  # the later of two equal keys counts
    assert fields.values[field] == value
    assert [misfit.field for misfit in fields.misfits] == [field]
    assert said.split(": ")[1].split("x")[0] in fields.misfits[0].text
    Txt2ImgParams(**fields.values)


def test_fields_that_contradict_each_other_are_made_to_fit():
    fields = read_fields(parse_infotext(f"{LINE}, Schedule min sigma: 5, Schedule max sigma: 1"))
    Txt2ImgParams(**fields.values)
    assert [misfit.field for misfit in fields.misfits] == ["sigma_min"]


@pytest.mark.parametrize(("name", "schedule"), [("k_euler_a", "Automatic"), ("DPM++ 2M Karras", "Automatic")])
def test_samplers_by_other_names(name, schedule):
    fields = read_fields(parse_infotext(f"a\nSteps: 1, Sampler: {name}, Seed: 1"))
    assert (fields.values["schedule"], fields.misfits) == (schedule, ())


def test_overrides_come_back_as_fields():
    values = {"clip_skip": 2, "a1111_exact": True, "eta_ddim": 0.5, "randn_source": "NV", "tiling": True}
    assert read_overrides([override(name, value) for name, value in values.items()]) == values
    assert all(map(can_override, values))
    assert not can_override("batch_size")


@pytest.mark.parametrize("line", ["", "Clip skip", "Clip skip: 99", "Clip skip: two", "Batch size: 2", "<b>: 1"])
def test_an_override_that_means_nothing_is_refused(line):
    with pytest.raises(ParameterError) as refusal:
        read_overrides([line])
    assert refusal.value.field == "override_settings"
