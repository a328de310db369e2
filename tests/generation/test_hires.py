"""Hires fix: its sizes, its two passes, what is written, and how it ends early."""

import numpy as np
import pytest
import torch
from PIL import Image

from modules import images
from modules.errors import ParameterError
from modules.events import ImageDone, Request, Sampled, Status
from modules.generation import hires, stages
from modules.generation.hires import enlarge_picture
from modules.generation.outputs import OutputFolder
from modules.generation.stages import HiresSize
from modules.generation.txt2img import txt2img
from modules.generation.upscalers import LATENT_MODES, PIXEL_MODES, Upscaler, choose_upscaler, find_upscalers
from modules.infotext import parse_infotext
from modules.params import Txt2ImgParams
from modules.samplers.noise import ImageNoise
from modules.samplers.sample import Start

HIRES = {"enable_hr": True, "prompt": "a cat", "steps": 3, "seed": 5, "denoising_strength": 0.7}


def pixels(done: ImageDone) -> np.ndarray:
    return np.asarray(images.open_image(done.path)).astype(int)


def size_of(**values) -> HiresSize:
    return HiresSize.of(Txt2ImgParams(**{"width": 512, "height": 512, **values}))


# --- sizes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "first", "cover", "target"),
    [
        ({}, (512, 512), (1024, 1024), (1024, 1024)),
        ({"hr_scale": 1.55, "width": 520}, (520, 512), (806, 793), (806, 793)),
        ({"hr_resize_x": 768, "height": 384}, (512, 384), (768, 576), (768, 576)),
        ({"hr_resize_y": 1000, "width": 768}, (768, 512), (1500, 1000), (1500, 1000)),
        ({"hr_resize_x": 1024, "hr_resize_y": 768}, (512, 512), (1024, 1024), (1024, 768)),
        ({"hr_resize_x": 768, "hr_resize_y": 1024}, (512, 512), (1024, 1024), (768, 1024)),
        ({"old_hires_size": True, "width": 1024, "height": 1024}, (512, 512), (1024, 1024), (1024, 1024)),
        ({"old_hires_size": True, "width": 768, "height": 512}, (640, 448), (768, 537), (768, 512)),
        (
            {"firstphase_width": 512, "firstphase_height": 512, "width": 1024, "height": 768},
            (512, 512),
            (1024, 1024),
            (1024, 768),
        ),
    ],
)
def test_sizes_of_the_new_and_the_old_form(values, first, cover, target):
    size = size_of(**values)
    assert (size.first, size.cover, size.target) == (first, cover, target)


@pytest.mark.parametrize("sampler", ["DDIM", "UniPC", "PLMS"])
def test_a_second_pass_at_the_end_of_too_many_steps_is_refused_before_it_waits(sampler):
    wanted = {"enable_hr": True, "hr_sampler": sampler, "hr_second_pass_steps": 30, "hr_scale": 1.0}
    with pytest.raises(ParameterError, match="are the end of 1500") as caught:
        stages.check(Txt2ImgParams(**wanted, denoising_strength=0.02), ())
    assert caught.value.field == "denoising_strength"
    for sound in ({"denoising_strength": 0.0}, {"denoising_strength": 0.03}, {"hr_sampler": "Euler"}):
        assert stages.check(Txt2ImgParams(**{**wanted, "denoising_strength": 0.02, **sound}), ())


def test_a_second_pass_of_a_batch_has_its_limit():
    assert size_of(batch_size=8, width=2048, height=2048, hr_scale=4.0).cover == (8192, 8192)
    with pytest.raises(ParameterError, match="at most 8 at a time") as caught:
        size_of(batch_size=9, width=512, height=512, hr_scale=16.0)
    assert caught.value.field == "batch_size"


@pytest.mark.parametrize("values", [{"hr_resize_x": 4}, {"hr_resize_x": 2048, "width": 64, "height": 2048}])
def test_sizes_without_sense_are_refused(values):
    with pytest.raises(ParameterError, match="second pass would be"):
        size_of(**values)


# --- enlarging --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LATENT_MODES)
def test_latents_are_enlarged_and_cut_to_the_target(name):
    size = size_of(hr_resize_x=1024, hr_resize_y=768)
    latents = torch.arange(64.0).expand(1, 4, 64, 64)
    enlarged = hires.enlarge_latents(latents, Upscaler(name), size)
    assert enlarged.shape == (1, 4, 96, 128)
    assert (enlarged[0, 0, 0].diff() >= -1e-4).all()  # a ramp stays a ramp, but for rounding


def test_the_middle_is_kept():
    size = size_of(hr_resize_x=1024, hr_resize_y=768)
    rows = torch.arange(64.0)[None, None, :, None].expand(1, 4, 64, 64)
    enlarged = hires.enlarge_latents(rows, Upscaler("Latent (nearest)"), size)
    assert (enlarged[0, 0, 0, 0], enlarged[0, 0, -1, 0]) == (8, 55)


@pytest.mark.parametrize("name", PIXEL_MODES)
def test_pictures_are_enlarged_to_the_pixel(name):
    picture = Image.effect_noise((64, 48), 60).convert("RGB")
    assert enlarge_picture(picture, Upscaler(name), (131, 98)).size == (131, 98)


def test_nearest_repeats_pixels_and_lanczos_does_not():
    picture = Image.effect_noise((8, 8), 60).convert("RGB")
    nearest = np.asarray(enlarge_picture(picture, Upscaler("Nearest"), (16, 16)))
    assert (nearest[::2, ::2] == nearest[1::2, 1::2]).all()
    lanczos = np.asarray(enlarge_picture(picture, Upscaler("Lanczos"), (16, 16)))
    assert (lanczos[::2, ::2] != lanczos[1::2, 1::2]).any()


def test_a_model_file_without_its_package_is_explained(tmp_path, monkeypatch):
    (tmp_path / "ESRGAN").mkdir()
    (tmp_path / "ESRGAN" / "4x-Sharp.pth").write_bytes(b"weights")
    monkeypatch.setattr("modules.generation.upscalers.models_can_run", lambda: False)
    with pytest.raises(ParameterError, match="spandrel") as caught:
        choose_upscaler("4x-Sharp", [tmp_path])
    assert caught.value.field == "hr_upscaler"
    assert "4x-Sharp" not in [upscaler.name for upscaler in find_upscalers([tmp_path])]
    monkeypatch.setattr("modules.generation.upscalers.models_can_run", lambda: True)
    assert choose_upscaler("4x-Sharp", [tmp_path]).path == tmp_path / "ESRGAN" / "4x-Sharp.pth"


# --- the two passes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("upscaler", ["Latent", "Latent (bicubic antialiased)", "None", "Lanczos", "Nearest"])
def test_a_second_pass_draws_a_larger_picture(run, upscaler):
    pulled = run(**HIRES, hr_upscaler=upscaler, hr_second_pass_steps=2, batch_size=2)
    assert [(e.stage, e.stages, e.step, e.steps) for e in pulled.of(Sampled)] == [
        *((1, 2, step, 3) for step in (1, 2, 3)),
        *((2, 2, step, 2) for step in (1, 2)),
    ]
    assert pulled.of(Sampled)[2].progress == 0.5
    assert pulled.unet_calls == 3 + 2
    assert pulled.decoder_calls == (2 if upscaler in LATENT_MODES else 4)
    for done in pulled.pictures:
        assert images.open_image(done.path).size == (128, 128)
        written = parse_infotext(done.infotext)
        expected = {
            "Size-1": "64",
            "Denoising strength": "0.7",
            "Hires upscale": "2",
            "Hires steps": "2",
            "Hires upscaler": upscaler,
        }
        assert {key: written[key] for key in expected} == expected


def test_the_second_pass_sets_out_from_the_enlarged_latents_with_fresh_noise_of_the_same_seed(run, monkeypatch):
    starts, noises = [], []
    made = Start.__init__

    def note(self, *args, **kwargs):
        made(self, *args, **kwargs)
        starts.append(self)

    first = ImageNoise.first
    monkeypatch.setattr(Start, "__init__", note)
    monkeypatch.setattr(ImageNoise, "first", lambda self: noises.append((self.shape, self.seeds)) or first(self))
    run(**HIRES, width=64, height=128, hr_scale=1.5, extra_noise=0.1)
    (start,) = starts
    assert start.latents.shape == (1, 4, 24, 12)
    assert start.all_steps
    assert (start.denoising_strength, start.extra_noise) == (0.7, 0.1)
    assert Start(start.latents, 0.7, all_steps=True).plan(20) == (28, 20)  # the example of the specification
    assert noises == [((4, 16, 8), [5]), ((4, 24, 12), [5])]


def test_a_strength_of_zero_only_enlarges(run):
    pulled = run(**HIRES | {"denoising_strength": 0.0}, hr_upscaler="Latent (nearest)")
    assert pulled.unet_calls == 3
    assert images.open_image(pulled.pictures[0].path).size == (128, 128)


def test_the_second_pass_may_have_its_own_sampler_schedule_and_prompts(run):
    own = {"hr_sampler": "Euler a", "hr_schedule": "Karras", "hr_prompt": "a dog", "hr_negative_prompt": "bad, ugly"}
    (done,) = run(**HIRES, negative_prompt="bad", **own).pictures
    written = parse_infotext(done.infotext)
    expected = {
        "Hires sampler": "Euler a",
        "Hires schedule type": "Karras",
        "Hires prompt": "a dog",
        "Hires negative prompt": "bad, ugly",
    }
    assert {key: written[key] for key in expected} == expected
    (plain,) = run(**HIRES, negative_prompt="bad").pictures
    assert "Hires prompt" not in plain.infotext
    assert "Hires sampler" not in plain.infotext
    assert (pixels(done) != pixels(plain)).any()
    (same,) = run(**HIRES, negative_prompt="bad", hr_prompt="a cat", hr_negative_prompt="bad").pictures
    assert same.infotext == plain.infotext


@pytest.mark.parametrize(
    ("prompt", "same_as"), [("[cat:dog:1.0]", "dog"), ("[cat:dog:2.0]", "cat"), ("[dog::1.0]", "")]
)
def test_a_prompt_may_change_between_the_passes(run, prompt, same_as):
    """A share of 1.0 … 2.0 counts in the second pass: what the first one drew is the same, and then it changes."""
    first = {"[cat:dog:1.0]": "cat", "[cat:dog:2.0]": "cat", "[dog::1.0]": "dog"}[prompt]
    (scheduled,) = run(**HIRES | {"prompt": prompt}).pictures
    (told,) = run(**HIRES | {"prompt": first}, hr_prompt=same_as or " ").pictures
    assert (abs(pixels(scheduled) - pixels(told)) <= 1).all()


def test_the_old_form_is_written_in_the_new_one_and_draws_the_same(run):
    old = {"width": 192, "height": 128, "firstphase_width": 128, "firstphase_height": 64, "hr_upscaler": "Lanczos"}
    (done,) = run(**HIRES, **old).pictures
    written = parse_infotext(done.infotext)
    keys = ("Size-1", "Size-2", "Hires resize-1", "Hires resize-2")
    assert [written[key] for key in keys] == ["128", "64", "192", "128"]
    new = {"width": 128, "height": 64, "hr_resize_x": 192, "hr_resize_y": 128, "hr_upscaler": "Lanczos"}
    (again,) = run(**HIRES, **new).pictures
    assert (pixels(again) == pixels(done)).all()
    assert again.infotext == done.infotext


def test_the_first_pass_is_saved_on_request(run, outputs):
    both = OutputFolder(outputs.pictures, outputs.grids, save_before_hires=True)
    pulled = run(**HIRES, outputs=both)
    (kept,) = outputs.pictures.rglob("*-before-highres-fix.png")
    (plain,) = run(**HIRES | {"enable_hr": False}).pictures
    assert (np.asarray(images.open_image(kept)) == pixels(plain)).all()
    assert images.read_infotext(kept) == plain.infotext
    assert len(pulled.pictures) == 1


def test_unknown_upscalers_are_refused(run):
    with pytest.raises(ParameterError) as caught:
        run(**HIRES, hr_upscaler="Magic")
    assert caught.value.field == "hr_upscaler"


@pytest.mark.parametrize("upscaler", ["Latent", "Lanczos"])
def test_a_picture_may_stand_for_the_first_pass(run, conditioner, outputs, upscaler):
    (first,) = run(**HIRES | {"enable_hr": False}).pictures
    params = Txt2ImgParams(**{**HIRES, "width": 64, "height": 64, "sampler": "Euler", "hr_upscaler": upscaler})
    events = list(txt2img(conditioner, params, outputs, picture=images.open_image(first.path)))
    assert [(e.stage, e.stages, e.step) for e in events if isinstance(e, Sampled)] == [(1, 1, n) for n in (1, 2, 3)]
    (second,) = [event for event in events if isinstance(event, ImageDone)]
    assert images.open_image(second.path).size == (128, 128)
    (whole,) = run(**HIRES, hr_upscaler=upscaler).pictures
    assert second.infotext == whole.infotext
    if upscaler == "Lanczos":  # a latent one goes through the VAE once more, whose random weights return no picture
        assert abs(pixels(second) - pixels(whole)).mean() < 1  # of 255: both decode, enlarge and encode


# --- interrupts -------------------------------------------------------------------------------------------------------


def at(stage: int, step: int, request: Request):
    return lambda event: request if isinstance(event, Sampled) and (event.stage, event.step) == (stage, step) else None


@pytest.mark.parametrize(
    ("ask", "left_at", "side"),
    [
        (at(1, 2, Request.INTERRUPT), "step 2 of 3", 64),
        (at(1, 3, Request.INTERRUPT), "before the hires pass", 64),
        (at(2, 1, Request.INTERRUPT), "hires step 1 of 3", 128),
        (at(2, 3, Request.INTERRUPT), None, 128),
        (lambda event: Request.INTERRUPT if event == Status("enlarging") else None, "before the hires pass", 64),
    ],
)
def test_an_interrupted_run_keeps_what_it_has(run, ask, left_at, side):
    (done,) = run(**HIRES, ask=ask).pictures
    assert done.incomplete == bool(left_at)
    assert parse_infotext(done.infotext).get("Interrupted") == left_at
    assert images.open_image(done.path).size == (side, side)


def test_a_skipped_batch_gives_no_picture(run):
    pulled = run(
        **HIRES, batch_count=2, ask=lambda e: Request.SKIP if isinstance(e, Sampled) and e.batch == 1 else None
    )
    assert [done.index for done in pulled.pictures] == [1]
