import copy
import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.infotext import (
    VERSION,
    VERSION_VALUE,
    Infotext,
    build_infotext,
    parse_infotext,
    quote,
    reads_emphasis,
    storable,
    unquote,
)

REFERENCE = Path(__file__).parent / "data" / "reference"


def records(family: str) -> list[dict]:
    return json.loads((REFERENCE / f"{family}.json").read_text(encoding="utf-8"))["records"]


def values_of(record: dict) -> dict[str, object]:
    """The parameters of a recorded run, by infotext key."""
    params, settings, index = record["params"], record["settings"], record["image_index"]
    varied = params["subseed_strength"] != 0
    values = {
        "Version": record["version"] if settings.get("add_version_to_infotext", True) else None,
        "Init image hash": params.get("init_img_hash"),
        "Model": params["sd_model_name"] if settings.get("add_model_name_to_info", True) else None,
        "Model hash": params["sd_model_hash"] if settings.get("add_model_hash_to_info", True) else None,
        "Size": f"{params['width']}x{params['height']}",
        "Seed": record["seeds"][index],
        "CFG scale": params["cfg_scale"],
        "Schedule type": params["scheduler"],
        "Sampler": params["sampler_name"],
        "Steps": params["steps"],
        "Variation seed": record["subseeds"][index] if varied else None,
        "Variation seed strength": params["subseed_strength"] if varied else None,
        "RNG": settings.get("randn_source"),
    }
    return values | params["extra_generation_params"]


@pytest.mark.parametrize("record", records("infotext_create"), ids=lambda record: record["name"])
def test_text_is_the_recorded_one_whatever_order_the_values_come_in(record):
    index = record["image_index"]
    text = build_infotext(record["prompts"][index], record["negative_prompts"][index], values_of(record))
    assert text == record["infotext"]


@pytest.mark.parametrize("record", records("infotext_create"), ids=lambda record: record["name"])
def test_recorded_texts_are_read_back_as_recorded(record):
    assert parse_infotext(record["infotext"]) == record["parsed_back"]


@pytest.mark.parametrize("record", records("infotext_parse"), ids=lambda record: record["id"])
def test_texts_are_read_as_recorded(record):
    assert parse_infotext(record["text"]) == record["parsed"]


@pytest.mark.parametrize("record", records("infotext_quote"), ids=lambda record: record["id"])
def test_values_are_quoted_as_recorded(record):
    assert quote(record["in"]) == str(record["quoted"])
    assert unquote(str(record["quoted"])) == record["unquoted_back"]


def test_values_go_to_their_place_and_the_others_keep_their_order():
    text = build_infotext("a", "", {"Version": "v1", "Zeta": 1, "Alpha": 2, "RNG": "CPU", "Steps": 3, "Sampler": None})
    assert text == "a\nSteps: 3, RNG: CPU, Zeta: 1, Alpha: 2, Version: v1"


MISREAD = [
    ("a cat\nNegative prompt: of the photo", ""),
    ("a\nNegative prompt: b", "c\nNegative prompt: d"),
    ("", "x\nNegative prompt: y"),
    ("  a cat \n\n in the sun\t", " dog "),
    ("a: b, cc: dd, ee: ff", "Steps: 1, Sampler: x, Seed: 2"),
    ("a\nSteps: 1, Sampler: x, Seed: 2\nNegative prompt: z", "\n\nq"),
]
SOME = {"Steps": 3, "Sampler": "Euler", "Seed": 1, "Hires prompt": None}


@pytest.mark.parametrize("prompts", [*MISREAD, ("a cat", ""), ("a\nb", "c\n\nd")], ids=str)
def test_prompts_that_look_like_parts_of_the_form_come_back(prompts):
    text = build_infotext(prompts[0], prompts[1], SOME)
    again = Infotext.with_aside(str(text), text.aside)
    for read in (text, again, copy.deepcopy(again)):
        said = parse_infotext(read)
        assert (said["Prompt"], said["Negative prompt"]) == prompts
        assert build_infotext(said["Prompt"], said["Negative prompt"], SOME) == text
    plain = parse_infotext(str(text))
    assert bool(text.aside) == ((plain["Prompt"], plain["Negative prompt"]) != prompts), "nothing is said twice"


@pytest.mark.parametrize("prompt", ['"quoted"', " a ", "512x512", "Hires prompt", "a, b: c", "two\nlines"])
def test_prompts_of_the_second_pass_come_back(prompt):
    text = build_infotext("a", "", {**SOME, "Hires prompt": prompt, "Hires negative prompt": "b"})
    read = parse_infotext(Infotext.with_aside(str(text), text.aside))
    assert (read["Hires prompt"], read["Hires negative prompt"]) == (prompt, "b")


def test_what_stands_beside_another_text_or_is_damaged_does_not_count():
    text = build_infotext("a\nNegative prompt: b", "", SOME)
    edited = str(text).replace("a\n", "c\n")
    read = parse_infotext(Infotext.with_aside(edited, text.aside))
    assert (read["Prompt"], read["Negative prompt"]) == ("c", "b")
    said = json.loads(text.aside)
    broken = ["{", "[" * 100_000, "[1]", "null", '{"infotext": 1}', json.dumps({**said, "exact": [1]})]
    broken += [json.dumps({**said, "exact": {"Prompt": 1, "Seed": "7"}})]
    for aside in broken:
        assert parse_infotext(Infotext.with_aside(str(text), aside)) == parse_infotext(str(text))


def test_a_value_equal_to_its_key_is_written_once():
    assert build_infotext("a", "", {"Tiling": "Tiling"}) == "a\nTiling"


@pytest.mark.parametrize(
    ("version", "prompt", "sampler", "switched_on"),
    [
        (VERSION_VALUE, "[a:b:3]", "DDIM", set()),
        ("v1.10.1", "[a:b:3]", "DDIM", set()),
        ("f2.0.1v1.10.1-previous", "[a:b:3]", "DDIM", set()),
        ("v1.7.0", "[a:b:3]", "DDIM", {"Downcast alphas_cumprod"}),
        ("v1.7.0-224-gb8f2a0f3", "a", "Euler", {"Downcast alphas_cumprod"}),
        ("v1.7.0-225-gb8f2a0f3", "a", "Euler", set()),  # where noise levels ceased to be rounded
        ("1.8.0-RC", "a", "Euler", set()),
        ("v1.6.0-RC-14-gb8f2a0f3", "[a]", "Euler", {"Downcast alphas_cumprod", "Old prompt editing timelines"}),
        ("1.5", "[a]", "Euler", {"Downcast alphas_cumprod", "Old prompt editing timelines"}),
        ("v1.5.2 of a friend", "[a]", "DDIM", set()),
        ("f" * 9000 + "1" * 9000, "[a]", "DDIM", set()),
        ("v1.5.2", "a", "Euler", {"Downcast alphas_cumprod"}),
        (
            "v1.5.2",
            "[a:b:3]",
            "PLMS",
            {"Downcast alphas_cumprod", "Old prompt editing timelines", "Pad conds v0"},
        ),
    ],
)
def test_old_versions_switch_their_behaviour_on(version, prompt, sampler, switched_on):
    text = build_infotext(prompt, "", {"Steps": 1, "Sampler": sampler, "Seed": 1, "Version": version})
    compatibility = {"Downcast alphas_cumprod", "Old prompt editing timelines", "Pad conds v0"}
    assert compatibility & parse_infotext(text).keys() == switched_on


@pytest.mark.parametrize(("version", "by_steps"), [("v1.6.0", True), ("v1.7.0-300-gb8f2a0f3", True), ("v1.9.0", False)])
def test_refiners_took_over_by_steps_once(version, by_steps):
    said = parse_infotext(f"a\nSteps: 1, Sampler: x, Refiner: b [0123456789], Version: {version}")
    assert said["Refiner switch by sampling steps"] is by_steps


@pytest.mark.parametrize(
    ("size", "first_pass", "expected"),
    [
        ("1024x1024", "0x0", (512, 512)),
        ("768x512", "0x0", (640, 448)),
        ("1024x768", "512x384", (512, 384)),
    ],
)
def test_the_old_hires_form_is_told_in_new_words(size, first_pass, expected):
    values = parse_infotext(f"a\nSteps: 20, Sampler: Euler, Seed: 1, Size: {size}, First pass size: {first_pass}")
    assert (values["Size-1"], values["Size-2"]) == expected
    assert f"{values['Hires resize-1']}x{values['Hires resize-2']}" == size


@pytest.mark.parametrize(
    ("emphasis", "prompt", "shows"),
    [
        ("No norm", "(a)", True),
        ("No norm", "[a:b:3]", True),
        ("No norm", r"anime \(character\)", True),  # A1111 looks for the sign alone
        ("No norm", "a", False),
        ("No norm", "a BREAK b", False),
        ("None", "a BREAK b", True),  # a word there
        ("None", r"a \b", True),
        ("None", "a BREAKS b", False),
    ],
)
def test_a_mode_of_emphasis_is_written_where_it_may_show(emphasis, prompt, shows):
    assert reads_emphasis(emphasis, "", prompt) is shows


@pytest.mark.parametrize(
    ("prompt", "weighed"),
    [
        ("(a)", True),
        ("[a:b:3]", True),
        ("a", False),
        (r"anime \(character\)", False),
        (r"\\(a)", True),
        ("(a:1.0)", False),
        ("()", False),
        ("([a])", False),
        ("a BREAK b", False),
        ("(a BREAK b)", True),
        ("<lora:name(2):1>", True),
    ],
)
def test_emphasis_is_taken_for_granted_where_a_word_is_weighed(prompt, weighed):
    for text in (prompt, f"a\nNegative prompt: {prompt}"):
        parsed = parse_infotext(f"{text}\nSteps: 1, Sampler: x, Seed: 1")
        assert parsed.get("Emphasis") == ("Original" if weighed else None)


def test_the_tag_of_an_old_hypernetwork_weighs_nothing():
    assert "Emphasis" not in parse_infotext("a\nSteps: 1, Sampler: x, Seed: 1, Hypernet: net(v2)")


def test_a_key_without_a_value_says_nothing():
    values = parse_infotext('a\nSteps: 1, Sampler: x, VAE: , Clip skip:, Foo: "", Seed: 1')
    assert "VAE" not in values
    assert values["Clip skip"] == "1"  # as where the key is missing
    assert (values["Foo"], values["Seed"]) == ("", "1")


def test_weights_in_8_bits_are_not_kept_in_16_for_loras_unless_said():
    assert parse_infotext("a\nSteps: 1, Sampler: x, FP8 weight: Enable")["Cache FP16 weight for LoRA"] is False
    assert "Cache FP16 weight for LoRA" not in parse_infotext("a\nSteps: 1, Sampler: x, Seed: 1")


def test_what_no_file_can_hold_is_replaced():
    text = build_infotext("a\0b\ud800c", "\udfff", {"Steps": 1})
    assert text == "a\ufffdb\ufffdc\nNegative prompt: \ufffd\nSteps: 1"
    assert storable("猫 🐈") == "猫 🐈"


line = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs", "Cc"])).map(str.strip)
ordinary = st.lists(line, max_size=3).map("\n".join).map(str.strip)
keys = st.from_regex(r"[A-Z][a-z]{2,8}( [a-z]{1,8})?", fullmatch=True)


@given(st.text())
def test_no_text_is_refused(text):
    parsed = parse_infotext(text)
    assert isinstance(parsed["Prompt"], str)


@given(ordinary, ordinary, st.dictionaries(keys, line, min_size=3, max_size=6))
def test_what_is_written_is_read_back(prompt, negative_prompt, values):
    if any(text.strip().startswith("Negative prompt:") for text in prompt.split("\n") + negative_prompt.split("\n")):
        return  # the form cannot hold it: see the module's docstring
    values = {f"Key {key}": f"<{value}>" for key, value in values.items()}  # no sizes, no keys with a meaning
    parsed = parse_infotext(build_infotext(prompt, negative_prompt, values))
    assert parsed["Prompt"] == prompt
    assert parsed["Negative prompt"] == negative_prompt
    assert {key: parsed[key] for key in values} == {key: str(value) for key, value in values.items()}


@pytest.mark.parametrize("unit", ["a", "a ", " ", 'ab:"', 'ab: "x, ', "ab: 1, ", "\\", "12x", "First pass size: 0x0, "])
def test_long_hostile_texts_cost_linear_time(unit):
    """A quadratic reader would keep this test busy for hours: that it ends is what is tested."""
    parse_infotext("p\n" + unit * (200_000 // len(unit)))


def test_the_version_is_the_project_s():
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == VERSION
