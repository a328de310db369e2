import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.infotext import VERSION, quote
from modules.model.checkpoint import Checkpoint
from modules.params import Txt2ImgParams, default
from modules.prompts.matching import EmbeddingIndex
from modules.prompts.tokenizer import clip_tokenizer
from modules.remake.here import Here
from modules.remake.remake import Remake, remake

REFERENCE = Path(__file__).parent.parent / "data" / "reference"
LINE = "Steps: 12, Sampler: Euler a, Schedule type: Automatic, CFG scale: 4.5, Seed: 7, Size: 640x448, RNG: CPU"
TODAY = "Version: v1.10.1"
OURS = "Version: v1.10.1-studio-0.1.0"
COSY = Checkpoint(Path("/m/cosy.safetensors"), "cosy.safetensors", "c0" * 32)
OTHER = Checkpoint(Path("/m/other.safetensors"), "other.safetensors", "0d" * 32)
UNHASHED = Checkpoint(Path("/m/new.safetensors"), "new.safetensors")


def here(**changes: object) -> Here:
    embeddings = {"benny-t1": 1, "t1": 1}
    given = {
        "checkpoint": COSY,
        "checkpoints": [COSY, OTHER],
        "tokenizer": clip_tokenizer(),
        "index": EmbeddingIndex(embeddings, clip_tokenizer()),
        "embeddings": {"benny-t1": "aaaaaaaaaaaa", "t1": "bbbbbbbbbbbb"},
        "upscalers": ("Latent", "Lanczos"),
    }
    return Here(**{**given, **changes})  # type: ignore[arg-type]


def read(line: str, prompt: str = "a cat", **changes: object) -> Remake:
    return remake(f"{prompt}\n{LINE}, {line}", here(**changes))


def told(found: Remake) -> dict[str, str]:
    return {difference.subject: difference.text for difference in found.differences}


def ways(found: Remake) -> list:
    return [way for difference in found.differences for way in difference.ways]


def test_a_picture_of_this_machine_differs_in_nothing():
    found = read(f"Model hash: c0c0c0c0c0, Model: cosy, TI hashes: benny-t1: aaaaaaaaaaaa, {OURS}")
    assert (found.differences, found.has_parameters) == ((), True)
    assert found.values["a1111_exact"] is False


def test_a_text_without_parameters_is_a_prompt_and_leaves_the_rest_alone():
    found = remake("a cat\nin the sun", here())
    assert (found.values, found.differences) == ({"prompt": "a cat\nin the sun"}, ())


def test_a_model_that_is_here_can_be_chosen():
    found = read(f"Model hash: 0d0d0d0d0d, Model: renamed, {TODAY}")
    assert [way.checkpoint for way in ways(found)] == [OTHER.title]
    assert "“renamed” [0d0d0d0d0d]" in told(found)["Model"]


def test_a_model_that_is_not_here_is_looked_for():
    found = read(f"Model hash: 1111111111, Model: new, {TODAY}", checkpoints=[COSY, UNHASHED])
    assert [(way.checkpoint, way.hash_checkpoints) for way in ways(found)] == [(UNHASHED.title, False), ("", True)]
    found = read(f"Model hash: 1111111111, Model: new, {TODAY}")
    assert ways(found) == []
    assert "models/Stable-diffusion" in told(found)["Model"]


def test_the_8_digits_of_2022_choose_nothing_by_themselves(tmp_path):
    content = bytes(0x100000) + bytes(range(256)) * 256
    for name in ("one", "two"):
        (tmp_path / f"{name}.ckpt").write_bytes(content + name.encode())
    one, two = (Checkpoint(tmp_path / f"{name}.ckpt", f"{name}.ckpt") for name in ("one", "two"))
    text = f"a\nSteps: 20, Sampler: LMS, CFG scale: 7, Seed: 1, Size: 512x512, Model hash: {one.old_hash}"
    found = remake(text, here(checkpoints=[COSY, one, two]))
    assert [way.checkpoint for way in ways(found) if way.checkpoint] == ["one.ckpt", "two.ckpt"]
    assert "share these 8 digits" in told(found)["Model"]
    found = remake(text, here(checkpoint=one, checkpoints=[one, two]))
    assert [way.checkpoint for way in ways(found) if way.checkpoint] == ["two.ckpt"]


@pytest.mark.parametrize(
    ("hashes", "sentence", "fields"),
    [
        ("missing: 111111111111", "is not here", None),
        ("benny-t1: 111111111111", "other vectors", None),
        ("renny: aaaaaaaaaaaa", "is called “benny-t1” here", {"prompt": "a benny-t1", "negative_prompt": ""}),
    ],
)
def test_embeddings_that_are_missing_changed_or_renamed(hashes, sentence, fields):
    found = read(f'TI hashes: "{hashes}", {TODAY}', prompt="a renny")
    assert sentence in told(found)["Embedding"]
    assert [way.fields for way in ways(found)] == ([fields] if fields else [])


def test_the_list_of_embeddings_that_2022_showed_under_a_picture():
    text = f"a\n{LINE}\n\nUsed embeddings: benny-t1 [ab12], gone [cd34]"
    found = remake(text, here())
    assert [d.text for d in found.differences if d.subject == "Embedding"] == [
        "“gone” [] is not here, or does not fit the model in use: its name counts as plain words. "
        "Put its file into embeddings/."
    ]
    assert found.values["steps"] == 12


@pytest.mark.parametrize(
    ("line", "subject", "words"),
    [
        ("Denoising strength: 0.75, Mask blur: 4", "Made from a picture", "img2img"),
        ("Init image hash: abcdef", "Made from a picture", "img2img"),
        ('Lora hashes: "x: 1"', "LoRA", "cannot be used here yet"),
        ("Refiner: gone [1111111111], Refiner switch at: 0.8", "Model", "drew the last steps, and is not here"),
        ("Face restoration: CodeFormer", "Cannot be remade yet", "CodeFormer"),
        ("VAE hash: 1234567890, VAE: soft.pt", "VAE", "is not here"),
        ("Denoising strength: 0.5, Hires upscale: 2, Hires upscaler: 4x_Foo", "Upscaler", "4x_Foo"),
        ('ControlNet 0: "Module: canny, Weight: 1"', "Not known here", "ControlNet"),
    ],
)
def test_what_cannot_be_remade_is_said(line, subject, words):
    assert words in told(read(f"{line}, {TODAY}"))[subject]


def test_tags_in_the_prompt_are_named():
    found = told(read(TODAY, prompt="a <lora:soft:0.7> b <hypernet:old:1>"))
    assert "soft" in found["LoRA"]
    assert "old" in found["Hypernetwork"]


@pytest.mark.parametrize(
    ("vaes", "taken", "told"),
    [
        ({"soft.pt": "1234567890ab"}, "soft.pt", ""),
        ({"soft.pt": ""}, "soft.pt", ""),  # its hash is not known yet
        ({"mine.pt": "1234567890ab", "soft.pt": "ff"}, "mine.pt", ""),  # the same contents under another name
        ({"soft.pt": "ffffffffff"}, "soft.pt", "Another VAE"),
        ({}, "Automatic", "is not here"),
    ],
)
def test_the_vae_is_found_by_contents_then_by_name(vaes, taken, told):
    found = read(f"VAE hash: 1234567890, VAE: soft.pt, {TODAY}", vaes=vaes)
    assert found.values["vae"] == taken
    assert [told in difference.text for difference in found.differences] == ([True] if told else [])


def test_a_picture_of_ours_that_names_no_vae_used_the_one_inside():
    assert read(OURS).values["vae"] == "Automatic"
    assert read(OURS, automatic_vae="cosy.vae.pt").values["vae"] == "None"
    assert read(TODAY, automatic_vae="cosy.vae.pt").values["vae"] == "Automatic"


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        (f"a [b:c:5]\n{LINE}, {TODAY}", set()),
        (f"a [b:c:5]\n{LINE}, Version: v1.7.0", {"downcast_alphas"}),
        (f"a [b:c:5]\n{LINE}, Version: v1.5.1", {"downcast_alphas", "old_timelines"}),
        (f"a\nNegative prompt: [b:c:5]\n{LINE}, Version: v1.5.1", {"downcast_alphas", "old_timelines"}),
        ("a\nSteps: 9, Sampler: DPM2, Seed: 1, Model hash: 7460a6fa", {"downcast_alphas", "keep_penultimate"}),
        ("a #1 cat\nSteps: 9, Sampler: LMS, Seed: 1, Model hash: 7460a6fa", {"downcast_alphas", "comments"}),
        ("a #1 cat\nSteps: 9, Sampler: LMS, Seed: 1, Model hash: 1234567890", {"downcast_alphas"}),
        ("a BREAK b\nSteps: 9, Sampler: LMS, Seed: 1, Model hash: 7460a6fa", {"downcast_alphas", "breaks"}),
        ("a BREAK b\nSteps: 9, Sampler: LMS, Seed: 1, Model hash: 1234567890", {"downcast_alphas"}),
        ("a\nSteps: 9, Sampler: DPM2, Seed: 1, Model hash: 1234567890", {"downcast_alphas"}),
        (f"a [b:c:5]\n{LINE}", set()),  # it names a schedule, as since 1.9: the version was switched off
        ("a [b:c:5]\nSteps: 1, Sampler: LMS, Seed: 1, Model hash: 1234567890", {"downcast_alphas", "old_timelines"}),
        ("a\nSteps: 1, Sampler: PLMS, Seed: 1", {"downcast_alphas", "pad_conds_v0", "all_timesteps"}),
        (
            "a\nSteps: 9, Sampler: DDIM, Seed: 1, Size: 64x64, Version: v1.5.1",
            {"downcast_alphas", "pad_conds_v0", "all_timesteps"},
        ),
        (
            "a\nSteps: 1, Sampler: LMS Karras, Seed: 1, Model hash: 7460a6fa",
            {"downcast_alphas", "sigma_min", "sigma_max"},
        ),
        (
            "a [b:c:5]\nSteps: 9, Sampler: Heun, Seed: 1, Model hash: 7460a6fa",
            {"downcast_alphas", "old_timelines", "old_edit_steps"},
        ),
        (
            "a [b:c:5]\nSteps: 9, Sampler: DPM2 a Karras, Seed: 1, Model hash: 7460a6fa",
            {"downcast_alphas", "old_timelines", "old_edit_steps", "sigma_min", "sigma_max", "keep_penultimate"},
        ),
        (  # of 2023: calls were counted by then
            "a [b:c:5]\nSteps: 9, Sampler: Heun, Seed: 1, Model hash: 1234567890",
            {"downcast_alphas", "old_timelines"},
        ),
        ("a\nSteps: 9, Sampler: Heun, Seed: 1, Model hash: 7460a6fa", {"downcast_alphas"}),
        (f"a\n{LINE}, Refiner: other [0d0d0d0d0d], Refiner switch at: 0.8, {TODAY}", set()),
        (
            f"a\n{LINE}, Refiner: other [0d0d0d0d0d], Refiner switch at: 0.8, Version: v1.8.0",
            {"refiner_by_steps"},
        ),
    ],
)
def test_each_time_has_its_rules(text, rules):
    found = remake(text, here())
    switches = ("downcast_alphas", "old_timelines", "old_edit_steps", "pad_conds_v0", "all_timesteps")
    switches += ("refiner_by_steps", "sigma_min", "sigma_max", "keep_penultimate", "comments", "breaks")
    assert {name for name in switches if found.values.get(name, default(name)) != default(name)} == rules
    back = [way.fields for way in ways(found) if way.label == "Use today’s rules"]
    assert [set(fields) for fields in back] == ([rules] if rules else [])


@pytest.mark.parametrize(
    ("first", "second", "version", "schedule"),
    [
        ("DPM++ 2M Karras", "Euler a", "v1.6.0", "Automatic"),  # names told schedules then
        ("LMS Karras", "Euler", "v1.8.0", "Automatic"),
        ("Euler a", "DPM++ 2M SDE Karras", "v1.6.0", "Karras"),
        ("DPM++ 2M, Schedule type: Karras", "Euler a", "v1.10.1", "Automatic"),  # “Automatic” is each sampler's own
        ("DPM++ 2M, Schedule type: Karras", "DPM++ 2M SDE", "v1.10.1", "Karras"),  # another one would be told
        ("Euler a, Schedule type: Automatic", "DPM++ 2M", "v1.10.1", "Automatic"),
        ("DPM++ 2M, Schedule type: Exponential", "Euler a", "v1.10.1", "Exponential"),
        ("DPM++ 2M, Schedule type: Karras", "Euler a, Hires schedule type: Karras", "v1.10.1", "Karras"),
        ("DPM++ 2M, Schedule type: Karras", "Euler a", f"v1.10.1-studio-{VERSION}", "Karras"),  # told if it was another
    ],
)
def test_a_second_pass_with_another_sampler_has_the_schedule_that_it_had(first, second, version, schedule):
    line = f"Steps: 20, Sampler: {first}, Size: 512x512, Denoising strength: 0.7, Hires upscale: 2"
    found = remake(f"a cat\n{line}, Hires sampler: {second}, Version: {version}", here()).values
    assert found["hr_schedule"] == schedule


@pytest.mark.parametrize(
    ("text", "ddim", "ancestral"),
    [
        ("a\nSteps: 9, Sampler: DDIM, Seed: 1, Model hash: 7460a6fa, Eta: 0.5", 0.5, 1.0),
        ("a\nSteps: 9, Sampler: Euler a, Seed: 1, Model hash: 7460a6fa, Eta: 0.5", 0.0, 0.5),
        ("a\nSteps: 9, Sampler: DDIM, Seed: 1, Model hash: 1234567890, Eta DDIM: 0.5", 0.5, 1.0),
    ],
)
def test_in_2022_one_key_told_every_eta(text, ddim, ancestral):
    values = remake(text, here()).values
    assert (values["eta_ddim"], values["eta_ancestral"]) == (ddim, ancestral)


@pytest.mark.parametrize(
    "text",
    [
        f"[cat:(a BREAK b):30]\nSteps: 20, Sampler: Heun, Seed: 1, {TODAY}",  # 40 calls
        f"[cat:(a BREAK b):1.5]\n{LINE}, Denoising strength: 0.5, Hires upscale: 2, Hires upscaler: Latent, {TODAY}",
        f"[cat:(a BREAK b):1.0]\n{LINE}, Version: v1.5.2",  # a share of the steps then, the last one now
    ],
)
def test_exact_rules_are_switched_on_for_what_comes_late(text):
    assert remake(text, here()).values.get("a1111_exact")


HIRES = "Denoising strength: 0.5, Hires upscale: 2, Hires upscaler: Latent"


@pytest.mark.parametrize(
    ("line", "field", "value", "words", "fields"),
    [
        (f"{HIRES}, Hires checkpoint: other [0d0d0d0d0d]", "hr_checkpoint", OTHER.title, "", []),
        (f"{HIRES}, Hires checkpoint: renamed [0d0d0d0d0d]", "hr_checkpoint", OTHER.title, "", []),
        ("Refiner: other [0d0d0d0d0d]", "refiner_checkpoint", OTHER.title, "", []),
        ("Refiner: other", "refiner_checkpoint", OTHER.title, "", []),
        ("Refiner: other [1111111111]", "refiner_checkpoint", OTHER.title, "is another one", [{}]),
        ("Refiner: new [1111111111]", "refiner_checkpoint", UNHASHED.title, "has not been looked into", ["look", {}]),
        ("Refiner: gone [1111111111]", "refiner_checkpoint", "gone [1111111111]", "is not here", ["look", {}]),
        (f"{HIRES}, Hires checkpoint: gone", "hr_checkpoint", "gone", "is not here", [{}]),
        ("Hires checkpoint: gone", "hr_checkpoint", None, "", []),  # there was no second pass
    ],
)
def test_other_models_of_a_picture_are_found_or_told(line, field, value, words, fields):
    found = read(f"{line}, {OURS}", checkpoints=[COSY, OTHER, UNHASHED])
    assert found.values.get(field) == value
    assert words in told(found).get("Model", "")
    assert bool(words) == ("Model" in told(found))
    without = {"hr_checkpoint": "Use same checkpoint", "refiner_checkpoint": "None"}
    expected = [{} if way == "look" else {field: without[field]} for way in fields]
    assert [way.fields for way in ways(found)] == expected
    assert [way.hash_checkpoints for way in ways(found)] == [way == "look" for way in fields]


def test_a_refiner_without_a_place_drew_everything():
    """So A1111 writes what its interface was asked for without `refiner_switch_at`."""
    assert read(f"Refiner: other [0d0d0d0d0d], {TODAY}").values["refiner_switch_at"] == 0
    assert read(f"Refiner: other [0d0d0d0d0d], Refiner switch at: 0.7, {TODAY}").values["refiner_switch_at"] == 0.7
    assert "refiner_switch_at" not in read(TODAY).values


def test_the_own_vaes_of_two_models_are_those_that_automatic_takes():
    """Their names differ, and the picture says only the first one's."""
    vaes = {"cosy.vae.pt": "1234567890", "soft.pt": "1234567899"}
    said = f"VAE hash: 1234567890, VAE: cosy.vae.pt, Refiner: other [0d0d0d0d0d], {OURS}"
    assert read(said, vaes=vaes, automatic_vae="cosy.vae.pt").values["vae"] == "Automatic"
    assert read(said, vaes=vaes, automatic_vae="soft.pt").values["vae"] == "cosy.vae.pt"


@pytest.mark.parametrize(
    ("version", "words"),
    [("v1.11.0", "rules of v1.10.1"), ("f2.0.1v1.10.1-previous-1", "Another program"), ("ComfyUI", "Another program")],
)
def test_other_programs_and_newer_releases(version, words):
    assert words in told(read(f"Version: {version}"))["Version"]


@pytest.mark.parametrize(
    ("prompt", "exact"),
    [
        ("a cat", False),
        ("a (cat:1.2), [b|c] d", False),
        ("aspect 16:9", True),
        ("(a BREAK b:1.3)", True),
        ("a t10 b", True),  # t1 is an embedding here
    ],
)
def test_a_foreign_prompt_that_reads_differently_is_read_as_it_was(prompt, exact):
    assert read(TODAY, prompt=prompt).values["a1111_exact"] is exact
    assert read(OURS, prompt=prompt).values["a1111_exact"] is False
    assert read(f"Prompt rules: A1111, {OURS}", prompt=prompt).values["a1111_exact"] is True


def test_random_numbers_of_a_graphics_card():
    text = f"a\n{LINE}, {TODAY}".replace(", RNG: CPU", "")
    found = remake(text, here())
    assert found.values["randn_source"] == "NV"
    assert [way.fields for way in ways(found)] == [{"randn_source": "CPU"}]
    assert remake(text.replace(TODAY, OURS), here()).values["randn_source"] == "GPU"


def test_styles_are_taken_out_of_the_prompt():
    styles = {"film": ("film grain, 35mm", "blurry"), "frame": ("photo of {prompt}, framed", ""), "other": ("oil", "")}
    prompt = "photo of a cat, framed, film grain, 35mm\nNegative prompt: ugly, blurry"
    found = read(TODAY, prompt=prompt, styles=styles)
    assert (found.values["prompt"], found.values["negative_prompt"]) == ("a cat", "ugly")
    assert set(found.values["styles"]) == {"film", "frame"}


@pytest.mark.parametrize(
    ("hr_prompt", "hr_negative", "taken", "left"),
    [
        ("a dog, oil", "", ("oil",), ("a dog", "")),
        ("a dog", "", (), ("a dog", "")),  # it would be added to both prompts
        ("oil", "", (), ("oil", "")),  # empty would mean: as in the first pass
        ("a dog, oil", "photo", (), ("a dog, oil", "photo")),
        ("", "dull, blurry", ("oil",), ("", "dull")),
    ],
)
def test_styles_are_taken_out_of_the_hires_prompts_with_it(hr_prompt, hr_negative, taken, left):
    """Or they would come twice when the picture is drawn again."""
    hires = f"Denoising strength: 0.5, Hires upscale: 2, Hires upscaler: Latent, {TODAY}"
    hires += "".join(
        f", {key}: {quote(text)}"
        for key, text in (("Hires prompt", hr_prompt), ("Hires negative prompt", hr_negative))
        if text
    )
    styles = {"oil": ("oil", "blurry")}
    values = read(hires, prompt="a cat, oil\nNegative prompt: blurry", styles=styles).values
    assert values.get("styles", ()) == taken
    assert (values["hr_prompt"], values["hr_negative_prompt"]) == left


def test_a_hires_prompt_that_reads_differently_is_read_as_it_was():
    hires = 'Denoising strength: 0.5, Hires upscale: 2, Hires upscaler: Latent, Hires prompt: "aspect 16:9"'
    assert read(f"{hires}, {TODAY}").values["a1111_exact"] is True


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_text_is_read(prompt, line):
    for text in (prompt, f"{prompt}\n{line}", f"{prompt}\n{LINE}, {line}", f"{prompt}\n{LINE}, {TODAY}"):
        Txt2ImgParams(**remake(text, here()).values)


def test_every_recorded_text_gives_parameters_that_can_be_drawn():
    for family, key in (("infotext_parse", "text"), ("infotext_create", "infotext")):
        for record in json.loads((REFERENCE / f"{family}.json").read_text("utf-8"))["records"]:
            Txt2ImgParams(**remake(record[key], here()).values)
