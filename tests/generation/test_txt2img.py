import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from modules import images
from modules.errors import NumericalError, ParameterError, StorageError
from modules.events import Event, GridDone, ImageDone, Noticed, Request, Sampled, Status
from modules.generation.outputs import OutputFolder
from modules.generation.txt2img import txt2img
from modules.infotext import parse_infotext
from modules.model.model import SDModel
from modules.params import Txt2ImgParams
from modules.samplers import names
from modules.settings import Settings
from tests.forbidden_ops import forbidden_ops

REFERENCE = Path(__file__).parents[1] / "data" / "reference"


def pixels(done: ImageDone | GridDone) -> np.ndarray:
    return np.asarray(images.open_image(done.path)).astype(int)


def near(a: ImageDone, b: ImageDone) -> bool:
    """Equal but for one level: batches of other sizes sum in another order, and uint8 is cut off, not rounded."""
    return bool((abs(pixels(a) - pixels(b)) <= 1).all())


# --- what a run gives -------------------------------------------------------------------------------------------------


def test_a_run_tells_what_it_does_and_saves_what_it_tells(run, outputs):
    pulled = run(prompt="a (cat:1.2), (benny)", negative_prompt="dog", batch_size=2, batch_count=2, seed=40)
    assert [type(event) for event in pulled.events] == [
        Status,
        *([Sampled] * 3 + [Status, ImageDone] * 2) * 2,
        Status,
        GridDone,
    ]
    assert [(e.step, e.steps, e.batch, e.batches) for e in pulled.of(Sampled)][2:4] == [(3, 3, 1, 2), (1, 3, 2, 2)]
    assert [(event.index, event.seed) for event in pulled.pictures] == [(0, 40), (1, 41), (2, 42), (3, 43)]
    for event in pulled.pictures:
        assert images.read_infotext(event.path) == event.infotext
        assert images.open_image(event.path).size == (64, 64)
        assert event.path.parent.parent == outputs.pictures
    assert [event.path.name for event in pulled.pictures] == [f"{n:05}-{40 + n}.png" for n in range(4)]
    (grid,) = pulled.of(GridDone)
    assert grid.path.name == "grid-0000.png"
    assert grid.path.parent.parent == outputs.grids
    assert grid.infotext == images.read_infotext(grid.path) == pulled.pictures[0].infotext


def test_a_comment_can_be_text(run):
    (cut,) = run(prompt="a cat #1", seed=7).pictures
    (kept,) = run(prompt="a cat #1", seed=7, comments=False).pictures
    (plain,) = run(prompt="a cat ", seed=7).pictures
    assert (pixels(cut) == pixels(plain)).all()
    assert (pixels(kept) != pixels(plain)).any()
    read = parse_infotext(kept.infotext)
    assert (read["Prompt"], read["Prompt comments"]) == ("a cat #1", "False")
    assert "Prompt comments" not in cut.infotext


def test_the_infotext_holds_all_that_is_needed_to_draw_it_again(run):
    values = {"steps": 4, "sampler": "DPM++ 2M", "cfg_scale": 6.5, "width": 72, "height": 80, "clip_skip": 2}
    chosen = {
        "emphasis": "No norm",
        "a1111_exact": True,
        "comma_backtrack": 5,
        "old_timelines": True,
        "pad_conds": True,
    }
    prompt = "half (benny | yoda) person # a comment\nart <lora:x:1>"
    (done,) = run(prompt=prompt, negative_prompt="[ugly]", seed=7, **values, **chosen).pictures
    read = parse_infotext(done.infotext)
    expected = {
        "Prompt": "half (benny | yoda) person \nart <lora:x:1>",  # as it was drawn, the blank before the comment too
        "Negative prompt": "[ugly]",
        "Steps": "4",
        "Sampler": "DPM++ 2M",
        "Schedule type": "Karras",
        "CFG scale": "6.5",
        "Seed": "7",
        "Size-1": "72",
        "Size-2": "80",
        "Model": "tiny-sd15",
        "Model hash": "ababababab",
        "Clip skip": "2",
        "RNG": "CPU",
        "Emphasis": "No norm",
        "Comma backtrack": "5",
        "Pad conds": "True",
        "Old prompt editing timelines": "True",
        "Prompt rules": "A1111",
    }
    assert {key: read[key] for key in expected} == expected
    assert read["TI hashes"].startswith("benny: ")
    assert len(read["TI hashes"]) == len("benny: ") + 12
    again = run(
        prompt=read["Prompt"],
        negative_prompt=read["Negative prompt"],
        seed=int(read["Seed"]),
        **values,
        **chosen,
    )
    assert (pixels(again.pictures[0]) == pixels(done)).all()


def test_defaults_leave_no_trace_in_the_infotext(run):
    (done,) = run(prompt="a", emphasis="Ignore").pictures
    keys = done.infotext.split("\n")[1]
    for key in ("Clip skip", "Emphasis", "Pad conds", "Prompt rules", "TI hashes", "Interrupted", "Comma backtrack"):
        assert key not in keys
    said = "a\nSteps: 3, Sampler: Euler, Schedule type: Automatic, CFG scale: 7, Seed: 1, Size: 64x64, Model hash: ab"
    assert done.infotext.startswith(said)


# --- pixels -----------------------------------------------------------------------------------------------------------

KEYS = {field.metadata["key"]: name for name, field in Settings.__dataclass_fields__.items() if "key" in field.metadata}
KEYS["eta_noise_seed_delta"] = "ensd"
GROUPS = ("prompt", "sampler-batch", "batch-equals-single", "cfg", "seed", "variation", "eta", "sigma-params")


def recorded_runs() -> list[dict]:
    """The recorded runs that the form can express; those of single samplers and schedules are the samplers' tests."""

    def expressible(record: dict) -> bool:
        seeds, subseeds = record["seeds"], record["subseeds"] or [0]
        plain = not (record["hypernet"] or record["img2img"]) and record["opts"].keys() <= KEYS.keys()
        plain &= isinstance(record["prompt"], str) and isinstance(record["negative"], str) and record["cfg"] >= 1
        own_seeds = 0 if record["subseed_strength"] else 1
        plain &= seeds == [seeds[0] + own_seeds * position for position in range(len(seeds))]
        plain &= subseeds == [subseeds[0] + position for position in range(len(subseeds))]
        return plain and record["group"] in GROUPS and not any(record.get(key) for key in ("chaotic", "peer_fails"))

    records = json.loads((REFERENCE / "samples.json").read_text(encoding="utf-8"))["records"]
    return [record for record in records if expressible(record)]


def test_the_recorded_runs_are_of_every_kind():
    assert {record["group"] for record in recorded_runs()} == set(GROUPS) - {"sigma-params"}  # none was recorded


@pytest.mark.parametrize("record", recorded_runs(), ids=lambda record: f"{record['id']}-{record['sampler']}")
def test_latents_are_the_recorded_ones(run_reference, monkeypatch, record):
    """What reaches the decoder, for every recorded run that the form can express."""
    decoded = []

    def keep(model: SDModel, latents: torch.Tensor) -> torch.Tensor:
        decoded.append(latents)
        images, _, height, width = latents.shape
        return torch.zeros(images, 3, 8 * height, 8 * width)

    monkeypatch.setattr(SDModel, "decode", keep)
    height, width = (8 * side for side in record["latent_hw"])
    pulled = run_reference(
        prompt=record["prompt"],
        negative_prompt=record["negative"],
        sampler=record["sampler"],
        schedule=record["scheduler"],
        steps=record["steps"],
        cfg_scale=record["cfg"],
        seed=record["seeds"][0],
        batch_size=len(record["seeds"]),
        width=width,
        height=height,
        a1111_exact=True,
        subseed=(record["subseeds"] or [0])[0],
        subseed_strength=record["subseed_strength"],
        seed_resize_from_h=record["seed_resize_from"][0],
        seed_resize_from_w=record["seed_resize_from"][1],
        **{name: record["eta"] for name in ("eta_ancestral", "eta_ddim") if record["eta"] is not None},
        **{name: record[name] for name in ("s_churn", "s_tmin", "s_tmax", "s_noise")},
        **{KEYS[key]: value for key, value in record["opts"].items()},
    )
    expected = torch.from_numpy(np.load(REFERENCE / "samples.npz")[record["id"]])
    error = (torch.cat(decoded) - expected).abs().max() / expected.std()
    assert error < 1e-3  # the recorder's own batch and single runs differ by 3e-5, an fp64 UNet by 1e-4
    written = parse_infotext(pulled.pictures[0].infotext)
    told = {key: str(value) for key, value in record["infotext_extra"].items()}
    assert {key: written.get(key) for key in told} == told


def test_the_same_seed_gives_the_same_pixels_and_another_one_others(run):
    first, again, other = (run(prompt="a cat", sampler="Euler a", seed=seed).pictures[0] for seed in (5, 5, 6))
    assert (pixels(first) == pixels(again)).all()
    assert (pixels(first) != pixels(other)).any()


@pytest.mark.parametrize("sampler", ["Euler a", "DPM++ 2M", "DDIM", "Heun"])
def test_a_batch_equals_single_runs(run, sampler):
    batch = run(prompt="a cat", sampler=sampler, batch_size=2, batch_count=2, seed=5).pictures
    for done in batch:
        (single,) = run(prompt="a cat", sampler=sampler, seed=done.seed).pictures
        assert near(done, single)


def test_a_random_seed_is_told_and_draws_the_picture_again(run):
    (done,) = run(prompt="a cat", seed=-1).pictures
    assert 0 <= done.seed < 2**32
    (again,) = run(prompt="a cat", seed=done.seed).pictures
    assert (pixels(again) == pixels(done)).all()


@pytest.mark.parametrize(
    ("prompt", "same_as"),
    [
        ("[dog:cat:0]", "cat"),
        ("[cat:dog:9]", "cat"),
        ("cat:1 AND dog:0", "cat"),
        ("cat # and a dog", "cat "),
        ("cat<lora:dog:1>", "cat"),
    ],
)
def test_prompts_that_mean_the_same_draw_the_same(run, prompt, same_as):
    assert near(run(prompt=prompt).pictures[0], run(prompt=same_as).pictures[0])


@pytest.mark.parametrize("prompt", ["(cat:1.5)", "[cat:dog:1]", "[cat|dog]", "cat AND dog", "cat BREAK dog", "benny"])
def test_prompts_that_mean_something_else_draw_something_else(run, prompt):
    assert (pixels(run(prompt=prompt).pictures[0]) != pixels(run(prompt="cat").pictures[0])).any()


@pytest.mark.parametrize("text", ["\ud800", "a\0b", "((((", "[a:b:nan]", "a|b", "\\", "x" * 5000, "<|endoftext|> AND "])
def test_every_text_makes_a_picture(run, text):
    (done,) = run(prompt=text, negative_prompt=text, steps=1).pictures
    assert images.read_infotext(done.path) == done.infotext


def test_nothing_runs_that_other_machines_lack(run):
    with forbidden_ops():
        pulled = run(prompt="a (cat:1.2) AND [b|c]", negative_prompt="dog", sampler="Euler a", batch_size=2)
    assert len(pulled.pictures) == 2


@pytest.mark.parametrize("sampler", names.sampler_names())
def test_every_sampler_runs_on_every_machine(run, sampler):
    """No double precision on the device, nothing of CUDA: also with all that can be asked besides."""
    noise = {"randn_source": "NV", "subseed_strength": 0.3, "ensd": 31337, "tiling": True, "eta_ddim": 0.5}
    second = {"enable_hr": True, "hr_scale": 1.5, "hr_upscaler": "Latent (bicubic antialiased)"}
    goes_on = sampler == "DPM adaptive"  # for a hundred steps in each pass: a few of the first show all that it calls
    ask = at_step(4 if goes_on else 99, Request.INTERRUPT)
    with forbidden_ops():
        (done,) = run(prompt="a cat", sampler=sampler, steps=2, ask=ask, **noise, **second).pictures
    assert images.open_image(done.path).size == ((64, 64) if goes_on else (96, 96))


# --- interrupt and skip -----------------------------------------------------------------------------------------------


def at_step(number: int, request: Request, batch: int = 1):
    def ask(event: Event) -> Request | None:
        return request if isinstance(event, Sampled) and (event.batch, event.step) == (batch, number) else None

    return ask


def test_interrupt_acts_within_the_step_and_keeps_the_last_guess(run):
    pulled = run(prompt="a cat", steps=8, batch_size=2, batch_count=3, ask=at_step(2, Request.INTERRUPT))
    assert (pulled.unet_calls, pulled.decoder_calls) == (2, 2)
    assert [(done.incomplete, done.index) for done in pulled.pictures] == [(True, 0), (True, 1)]
    for done in pulled.pictures:
        assert done.path.stem.endswith("-incomplete")
        assert parse_infotext(done.infotext)["Interrupted"] == "step 2 of 8"


def test_interrupt_at_the_last_step_leaves_a_whole_picture(run):
    pulled = run(prompt="a cat", batch_count=3, ask=at_step(3, Request.INTERRUPT))
    (done,) = pulled.pictures
    (whole,) = run(prompt="a cat").pictures
    assert not done.incomplete
    assert (pixels(done) == pixels(whole)).all()


def test_interrupt_while_decoding_saves_the_rest_of_the_batch_and_stops(run):
    def ask(event: Event) -> Request | None:
        return Request.INTERRUPT if isinstance(event, ImageDone) else None

    pulled = run(prompt="a cat", batch_size=2, batch_count=2, ask=ask)
    assert [done.incomplete for done in pulled.pictures] == [False, False]
    assert pulled.unet_calls == 3


def test_interrupt_before_the_first_step_draws_nothing(run, outputs):
    pulled = run(prompt="a cat", ask=lambda event: Request.INTERRUPT if isinstance(event, Status) else None)
    assert (pulled.unet_calls, pulled.decoder_calls, pulled.pictures) == (0, 0, [])
    assert not outputs.pictures.exists()


def test_skip_gives_the_batch_up_and_goes_on_with_the_next(run):
    pulled = run(prompt="a cat", steps=8, batch_count=2, seed=5, ask=at_step(2, Request.SKIP))
    assert pulled.unet_calls == 2 + 8
    (done,) = pulled.pictures
    assert (done.index, done.seed, done.incomplete) == (1, 6, False)
    assert [notice.text for notice in pulled.of(Noticed)] == ["Batch 1 of 2 was skipped."]
    assert near(done, run(prompt="a cat", steps=8, seed=6).pictures[0])


def test_a_run_that_is_closed_leaves_nothing_behind(conditioner, outputs):
    work = txt2img(conditioner, Txt2ImgParams(prompt="a", width=64, height=64, steps=3), outputs)
    for event in work:
        if isinstance(event, Sampled):
            break
    work.close()
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
    assert not outputs.pictures.exists()


# --- previews and overviews -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("every", "expected"), [(0, []), (1, [1, 2, 3, 4, 5]), (2, [2, 4]), (150, [])])
def test_previews_come_every_n_steps_and_never_from_the_decoder(run, every, expected):
    pulled = run(prompt="a cat", steps=5, preview_every=every)
    assert [event.step for event in pulled.of(Sampled) if event.preview] == expected
    assert pulled.decoder_calls == 1


def test_the_overview_lies_as_the_settings_say(run, outputs):
    wide = OutputFolder(outputs.pictures, outputs.grids, grid_rows=1)
    pulled = run(prompt="a cat", batch_size=3, steps=1, outputs=wide)
    (grid,) = pulled.of(GridDone)
    assert images.open_image(grid.path).size == (3 * 64, 64)
    assert (pixels(grid)[:, 64:128] == pixels(pulled.pictures[1])).all()
    none = OutputFolder(outputs.pictures, outputs.grids, save_grid=False)
    assert not run(prompt="a cat", batch_size=2, steps=1, outputs=none).of(GridDone)
    assert not run(prompt="a cat", steps=1).of(GridDone)


def test_a_picture_that_was_moved_away_costs_only_the_overview(run):
    def move_away(event: Event) -> None:
        if isinstance(event, ImageDone) and event.index == 0:
            event.path.unlink()

    pulled = run(prompt="a cat", batch_count=2, steps=1, ask=move_away)
    assert not pulled.of(GridDone)
    assert "no overview" in pulled.of(Noticed)[0].text


# --- what can go wrong ------------------------------------------------------------------------------------------------


def test_what_has_no_effect_is_told(run):
    pulled = run(prompt="a <lora:style:0.8> cat", negative_prompt="<hypernet:x:1> dog")
    (notice,) = pulled.of(Noticed)
    assert "<lora:style:0.8>" in notice.text


def test_an_embedding_for_another_model_is_told(run, conditioner, tmp_path):
    from modules.embeddings.database import EmbeddingDatabase
    from modules.model.conditioning import Conditioner

    folders = [REFERENCE / "embeddings" / "width768"]
    stranger = Conditioner(conditioner.model, EmbeddingDatabase(folders))
    name = next(path.stem for path in sorted(folders[0].iterdir()) if path.suffix == ".pt")
    params = Txt2ImgParams(prompt=f"a cat by {name}", width=64, height=64, steps=1)
    events = list(txt2img(stranger, params, OutputFolder(tmp_path, tmp_path)))
    (notice,) = [event for event in events if isinstance(event, Noticed)]
    assert name in notice.text
    assert "768" in notice.text


def test_unknown_samplers_are_refused(run):
    with pytest.raises(ParameterError) as caught:
        run(sampler="Guess")
    assert caught.value.field == "sampler"


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_a_model_that_answers_with_nan_is_flagged_and_saves_nothing(run, outputs, model, monkeypatch, poison):
    calls = []

    def poisoned(module: object, args: object, output: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            output.sample[0, 0, 0, 0] = poison  # a single value: a black patch, not a black picture
        return output

    hook = model.unet.register_forward_hook(poisoned)
    try:
        with pytest.raises(NumericalError, match="--no-half"):
            run(prompt="a cat", steps=3)
    finally:
        hook.remove()
    assert len(calls) == 2
    assert not outputs.pictures.exists()


def test_a_decoder_that_answers_with_nan_is_flagged_and_saves_nothing(run, outputs, model):
    def poisoned(module: object, args: object, output: torch.Tensor) -> torch.Tensor:
        return output * float("nan")

    hook = model.vae.decoder.register_forward_hook(poisoned)
    try:
        with pytest.raises(NumericalError):
            run(prompt="a cat", steps=1)
    finally:
        hook.remove()
    assert not outputs.pictures.exists()


def test_a_folder_that_cannot_be_written_ends_the_run_with_a_sentence(run, tmp_path):
    (tmp_path / "file").write_text("in the way")
    blocked = OutputFolder(tmp_path / "file" / "images", tmp_path / "grids")
    with pytest.raises(StorageError):
        run(prompt="a cat", steps=1, outputs=blocked)


def test_a_full_disk_keeps_the_pictures_before_it(run, outputs, monkeypatch):
    saved = []
    save = Image.Image.save

    def save_once(image: Image.Image, *args: Any, **kwargs: Any) -> None:
        if len(saved) == 1:
            raise OSError(28, "No space left on device")
        save(image, *args, **kwargs)

    def note(event: Event) -> None:
        if isinstance(event, ImageDone):
            saved.append(event)

    monkeypatch.setattr(Image.Image, "save", save_once)
    with pytest.raises(StorageError, match="Disk full"):
        run(prompt="a cat", steps=1, batch_size=2, preview_every=0, ask=note)
    assert [path.name for path in outputs.pictures.rglob("*") if path.is_file()] == ["00000-1.png"]
    assert images.read_infotext(saved[0].path) == saved[0].infotext
