"""A run with other models, for the second pass of a hires fix and as refiner, beside the same passes done by hand."""

import dataclasses
import gc
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from modules import images
from modules.errors import ParameterError
from modules.events import ImageDone, Noticed, Request, Sampled, Status
from modules.generation import hires, passes
from modules.generation.model_use import Use
from modules.generation.outputs import OutputFolder
from modules.generation.partners import Partners, check, refines, wanted
from modules.generation.stages import HiresSize
from modules.generation.txt2img import txt2img_with
from modules.generation.upscalers import Upscaler
from modules.infotext import parse_infotext
from modules.model.checkpoint import Checkpoint
from modules.model.conditioning import Conditioner, PromptRules
from modules.model.model import StableDenoiser
from modules.params import Txt2ImgParams
from modules.samplers import names
from modules.samplers.guidance import Guided
from modules.samplers.options import SamplerOptions
from modules.samplers.sample import Start, sample
from modules.samplers.sigmas import sampler_sigmas
from tests import tiny
from tests.generation.conftest import REFERENCE

SMALL = {"prompt": "a (cat:1.2)", "negative_prompt": "bad", "width": 64, "height": 64, "steps": 4, "seed": 5}
SMALL |= {"sampler": "Euler", "schedule": "Uniform", "preview_every": 0}
HIRES = {**SMALL, "enable_hr": True, "hr_checkpoint": "other", "denoising_strength": 0.6, "hr_second_pass_steps": 3}
RULES = PromptRules()


@pytest.fixture(scope="module")
def other(tmp_path_factory, conditioner) -> Conditioner:
    """Another model: other weights, another width of its text encoder, the same folder of embeddings."""
    from modules.flags import Flags
    from modules.model.device import DevicePolicy
    from modules.model.loader import load_model

    path = tiny.checkpoint(tmp_path_factory.mktemp("other") / "other.safetensors", seed=7)
    checkpoint = Checkpoint(path, path.name, "0d" * 32)
    model = load_model(checkpoint, DevicePolicy.chosen(Flags(no_half=True, use_cpu=True)))
    return Conditioner(model, conditioner.embeddings)


class Two:
    """Two models that are both there; notes which is asked for."""

    def __init__(self, own: Conditioner, other: Conditioner):
        self.own, self.other = own, other
        self.asked: list[str] = []

    def use(self, checkpoint: Checkpoint | None) -> Use:
        found = self.other if checkpoint == self.other.model.checkpoint else self.own
        self.asked.append(found.model.checkpoint.model_name)
        request = yield Status(f"loading {found.model.checkpoint.name}")
        return self.own if request is Request.INTERRUPT else found


def drawn(own: Conditioner, other: Conditioner, folder: Path, ask=lambda event: None, **values):
    """(events, names of the models in the order in which they were asked for)."""
    params, models = Txt2ImgParams(**values), Two(own, other)
    partners = Partners.of(params, own.model.checkpoint, lambda name: other.model.checkpoint)
    work = txt2img_with(models, params, OutputFolder(folder, folder), partners=partners)
    events, request = [], None
    while True:
        try:
            events.append(work.send(request))
        except StopIteration:
            return events, models.asked
        request = ask(events[-1])


def done(events) -> list[ImageDone]:
    return [event for event in events if isinstance(event, ImageDone)]


def pixels(event: ImageDone) -> np.ndarray:
    return np.asarray(images.open_image(event.path)).astype(int)


def decoded(conditioner: Conditioner, latents: Tensor) -> np.ndarray:
    return np.asarray(images.to_pil(conditioner.model.decode(latents)[0])).astype(int)


def one_pass(conditioner: Conditioner, params: Txt2ImgParams, start: Start | None = None) -> Tensor:
    """Latents of a pass that one model draws alone."""
    steps = params.hr_second_pass_steps if start else params.steps
    size = start.latents.shape[2:] if start else (params.height // 8, params.width // 8)
    noise = passes.image_noise(params, tuple(size), [params.seed], [0], conditioner.model.device)  # type: ignore[arg-type]
    cond = conditioner.cond(params.prompt, steps, RULES)
    uncond = conditioner.uncond(params.negative_prompt, steps, RULES)
    guided = Guided(conditioner.model.denoiser, [cond], [uncond], params.cfg_scale)
    return list(sample(params.sampler, params.schedule, steps, guided, noise, SamplerOptions(), start))[-1].x


# --- hires checkpoint -------------------------------------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize("upscaler", ["Latent", "Lanczos"])
def test_the_second_pass_is_drawn_by_the_other_model(conditioner, other, tmp_path, upscaler):
    """Its networks, its text encoder and its VAE; what the first one drew is decoded by its own VAE."""
    events, asked = drawn(conditioner, other, tmp_path, **HIRES, hr_upscaler=upscaler)
    params = Txt2ImgParams(**HIRES, hr_upscaler=upscaler)
    first, size = one_pass(conditioner, params), HiresSize.of(params)
    if upscaler == "Latent":
        enlarged = hires.enlarge_latents(first, Upscaler(upscaler), size)
    else:
        picture = images.to_pil(conditioner.model.decode(first)[0])
        enlarged = hires.enlarge_pictures([picture], Upscaler(upscaler), size, other.model)
    second = one_pass(other, params, Start(enlarged, 0.6, all_steps=True))
    (picture,) = done(events)
    assert (pixels(picture) == decoded(other, second)).all()
    assert (pixels(picture) != decoded(conditioner, second)).any(), "the VAEs differ"
    assert asked == ["tiny-sd15", "other"]
    written = parse_infotext(picture.infotext)
    assert (written["Model"], written["Hires checkpoint"]) == ("tiny-sd15", "other [0d0d0d0d0d]")
    assert "Refiner" not in written


def test_each_batch_begins_with_the_runs_own_model(conditioner, other, tmp_path):
    events, asked = drawn(conditioner, other, tmp_path, **HIRES, batch_count=2)
    assert asked == ["tiny-sd15", "other", "tiny-sd15", "other"]
    (alone,) = done(drawn(conditioner, other, tmp_path, **{**HIRES, "seed": 6})[0])
    assert (pixels(done(events)[1]) == pixels(alone)).all()


def test_the_first_pass_that_is_kept_names_no_partner(conditioner, other, tmp_path):
    params = Txt2ImgParams(**HIRES, refiner_checkpoint="other")
    partners = Partners.of(params, conditioner.model.checkpoint, lambda name: other.model.checkpoint)
    keeping = OutputFolder(tmp_path, tmp_path, save_before_hires=True)
    list(txt2img_with(Two(conditioner, other), params, keeping, partners=partners))
    (kept,) = tmp_path.rglob("*-before-highres-fix.png")
    text = images.read_infotext(kept)
    assert "Hires" not in text
    assert "Refiner" not in text


def test_an_interrupt_while_the_other_model_is_loaded_keeps_the_first_pass(conditioner, other, tmp_path):
    events, _ = drawn(
        conditioner,
        other,
        tmp_path,
        lambda event: Request.INTERRUPT if event == Status("loading other.safetensors") else None,
        **HIRES,
        batch_count=2,
    )
    (picture,) = done(events)
    assert parse_infotext(picture.infotext)["Interrupted"] == "before the hires pass"
    plain = one_pass(conditioner, Txt2ImgParams(**SMALL))
    assert (pixels(picture) == decoded(conditioner, plain)).all()


def test_embeddings_count_for_the_model_that_has_their_width(conditioner, other, tmp_path):
    name = next(path.stem for path in sorted((REFERENCE / "embeddings" / "width72").glob("*.pt")))
    events, _ = drawn(conditioner, other, tmp_path, **{**HIRES, "prompt": f"a {name}"})
    (picture,) = done(events)
    assert parse_infotext(picture.infotext)["TI hashes"].startswith(f"{name}: ")
    notices = [event.text for event in events if isinstance(event, Noticed)]
    assert len(notices) == 1, "told once, of the model with another width"
    assert name in notices[0]
    assert "72" in notices[0]


# --- refiner ----------------------------------------------------------------------------------------------------------


def by_hand(own: Conditioner, other: Conditioner, params: Txt2ImgParams, own_calls: int) -> Tensor:
    """Euler's rule and guidance's, with the other model from a call on."""
    sigmas = sampler_sigmas(names.find_sampler("Euler"), params.schedule, params.steps, own.model.denoiser.sigmas)
    noise = passes.image_noise(params, (8, 8), [params.seed], [0], own.model.device)
    x = noise.first() * sigmas[0]
    for call in range(params.steps):
        by = own if call < own_calls else other
        ((schedule, _),) = by.cond(params.prompt, params.steps, RULES)
        ((_, cond),), ((_, uncond),) = schedule, by.uncond(params.negative_prompt, params.steps, RULES)
        sigma = sigmas[call][None]
        with_prompt, without = (by.model.denoiser(x, sigma, encoding[None]) for encoding in (cond, uncond))
        denoised = without + params.cfg_scale * (with_prompt - without)
        x = x + (x - denoised) / sigmas[call] * (sigmas[call + 1] - sigmas[call])
    return x


@torch.no_grad()
@pytest.mark.parametrize(
    ("values", "own_calls"),
    [
        # Uniform in 4 steps: timesteps 999, 666, 333, 0 lie 0, 0.333, 0.666 and 0.999 of the way down
        ({"refiner_switch_at": 0.3}, 1),
        ({"refiner_switch_at": 0.5}, 2),
        ({"refiner_switch_at": 0.99}, 3),
        ({"refiner_switch_at": 0.0}, 0),
        ({"refiner_switch_at": 0.5, "refiner_by_steps": True}, 2),
        ({"refiner_switch_at": 0.25, "refiner_by_steps": True}, 1),
        # Karras in 4 steps: the noise falls sooner than the steps go by
        ({"refiner_switch_at": 0.3, "schedule": "Karras"}, 1),
        ({"refiner_switch_at": 0.7, "schedule": "Karras", "refiner_by_steps": True}, 3),
    ],
    ids=str,
)
def test_the_refiner_takes_over_where_it_is_told_to(conditioner, other, tmp_path, values, own_calls):
    wanted = {**SMALL, **values, "refiner_checkpoint": "other"}
    events, asked = drawn(conditioner, other, tmp_path, **wanted)
    expected = decoded(other, by_hand(conditioner, other, Txt2ImgParams(**wanted), own_calls))
    (picture,) = done(events)
    # one grey level: sums of the two ways differ in their last digits
    assert (abs(pixels(picture) - expected) <= 1).all()
    assert asked == ["tiny-sd15", "other"]
    assert [event.step for event in events if isinstance(event, Sampled)] == [1, 2, 3, 4]
    written = parse_infotext(picture.infotext)
    assert (written["Refiner"], written["Refiner switch at"]) == (
        "other [0d0d0d0d0d]",
        f"{values['refiner_switch_at']:g}",
    )
    assert str(written["Refiner switch by sampling steps"]) == str("refiner_by_steps" in values)


@pytest.mark.parametrize(
    ("sampler", "by_own", "in_all"),
    [("Heun", 3, 7), ("DPM++ 2M", 2, 4), ("DDIM", 2, 3), ("UniPC", 2, 4), ("LCM", 2, 4)],
)
def test_it_takes_over_between_two_calls_of_every_kind_of_sampler(
    conditioner, other, tmp_path, sampler, by_own, in_all, monkeypatch
):
    """Heun's second look at a step is at the next noise level, so it may be the refiner's."""
    calls = {"own": 0, "other": 0}
    hooks = [
        by.model.unet.register_forward_hook(lambda *_, name=name: calls.__setitem__(name, calls[name] + 1))
        for name, by in (("own", conditioner), ("other", other))
    ]
    wanted = {
        **SMALL,
        "sampler": sampler,
        "refiner_checkpoint": "other",
        "refiner_switch_at": 0.5,
        "negative_prompt": "",
    }
    drawn(conditioner, other, tmp_path, **wanted)
    for hook in hooks:
        hook.remove()
    assert (calls["own"], sum(calls.values())) == (by_own, in_all)


@pytest.mark.parametrize(
    ("which", "asked"),
    [
        ("first pass", ["tiny-sd15", "other", "tiny-sd15"]),
        ("second pass", ["tiny-sd15", "other"]),
        ("both passes", ["tiny-sd15", "other", "tiny-sd15", "other"]),
    ],
)
def test_a_hires_fix_has_it_in_the_passes_that_are_chosen(conditioner, other, tmp_path, which, asked):
    own = {**HIRES, "hr_checkpoint": "Use same checkpoint", "refiner_checkpoint": "other"}
    events, found = drawn(conditioner, other, tmp_path, **own, hr_refiner_pass=which)
    assert found == asked
    written = parse_infotext(done(events)[0].infotext)
    assert written.get("Hires refiner") == (None if which == "second pass" else which)


@pytest.mark.parametrize(
    "values",
    [
        {"refiner_switch_at": 1.0},
        {"refiner_checkpoint": "None"},
        {"refiner_checkpoint": ""},
        {"refiner_checkpoint": "tiny-sd15"},
    ],
    ids=str,
)
def test_a_refiner_that_never_comes_is_not_written(conditioner, other, tmp_path, values):
    params = Txt2ImgParams(**{**SMALL, "refiner_checkpoint": "other", **values})
    found = {"other": other.model.checkpoint, "tiny-sd15": conditioner.model.checkpoint}
    partners = Partners.of(params, conditioner.model.checkpoint, found.__getitem__)
    assert partners == Partners()
    models = Two(conditioner, other)
    events = list(txt2img_with(models, params, OutputFolder(tmp_path, tmp_path), partners=partners))
    assert models.asked == ["tiny-sd15"]
    assert "Refiner" not in done(events)[0].infotext


def test_nothing_of_a_run_holds_on_to_the_model_before(conditioner, other, tmp_path):
    """Or two would have to fit into memory at once."""

    class Owner:
        """Gives a model that nobody else has, and looks whether it is gone when another is asked for."""

        def __init__(self) -> None:
            self.given: weakref.ref[StableDenoiser] | None = None
            self.alive: list[bool] = []

        def use(self, checkpoint: Checkpoint | None) -> Use:
            if self.given:
                gc.collect()  # as the App does before it loads
                self.alive.append(self.given() is not None)
            yield Status("loading")
            source = other if checkpoint else conditioner
            model = dataclasses.replace(source.model, checkpoint=checkpoint or source.model.checkpoint)
            self.given = weakref.ref(model.denoiser)
            return source.with_model(model)

    owner = Owner()
    values = {**HIRES, "refiner_checkpoint": "third", "refiner_switch_at": 0.5, "hr_refiner_pass": "both passes"}
    params = Txt2ImgParams(**values, batch_count=2)
    third = Checkpoint(Path("third.safetensors"), "third.safetensors")
    partners = Partners(other.model.checkpoint, third)
    list(txt2img_with(owner, params, OutputFolder(tmp_path, tmp_path), partners=partners))
    assert owner.alive == [False] * 7  # refiner, hires, refiner; own, refiner, hires, refiner


# --- names ------------------------------------------------------------------------------------------------------------


def test_only_what_a_run_uses_is_looked_for():
    assert wanted(Txt2ImgParams(hr_checkpoint="x")) == {}
    assert wanted(Txt2ImgParams(hr_checkpoint="x", enable_hr=True)) == {"hr_checkpoint": "x"}
    assert wanted(Txt2ImgParams(refiner_checkpoint="y")) == {"refiner_checkpoint": "y"}
    assert wanted(Txt2ImgParams(refiner_checkpoint="y", refiner_switch_at=1.0)) == {}
    assert not refines(Txt2ImgParams(), second=True)
    assert refines(Txt2ImgParams(), second=False)


@pytest.mark.parametrize("field", ["hr_checkpoint", "refiner_checkpoint"])
def test_a_checkpoint_that_is_not_there_names_its_field(field):
    def find(name: str) -> Checkpoint:
        raise ParameterError("checkpoint", f"There is no checkpoint “{name}”.")

    asked: dict[str, Any] = {field: "gone", "enable_hr": True}
    with pytest.raises(ParameterError, match="gone") as caught:
        check(Txt2ImgParams(**asked), find)
    assert caught.value.field == field
