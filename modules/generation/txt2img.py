"""txt2img: one run, from parameters to saved pictures, as a generator of events.

An interrupted run keeps what it has: the last guess of each picture of the batch is decoded, saved, and marked as
incomplete in event, file name and infotext. A skipped batch is given up without a picture. Live previews come from
the latents by a linear map; the decoder runs once per picture.

A run may change its model: for the second pass of a hires fix, and for the end of a pass (refiner). Prompts are then
encoded by the model that draws, and pictures decoded by the VAE of the one that drew last.
"""

import dataclasses
import functools
import time
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from modules import images
from modules.errors import ImageError
from modules.events import Event, GridDone, ImageDone, Noticed, Request, Sampled, Status, Work
from modules.generation import hires, passes
from modules.generation.description import Hires, Prompts, describe
from modules.generation.model_use import Models, OneModel, Use, without_events
from modules.generation.naming import Turn
from modules.generation.outputs import OutputFolder, Saved
from modules.generation.partners import NOBODY, Partners, refines
from modules.generation.preview import preview_png
from modules.generation.seeds import Seeds
from modules.generation.stages import HiresSize, Pass
from modules.generation.telling import Teller
from modules.generation.tiling import circular
from modules.generation.upscalers import Upscaler, choose_upscaler
from modules.model.checkpoint import Checkpoint
from modules.model.conditioning import Conditioner, PromptRules
from modules.model.model import SDModel
from modules.model.vae import VaeFile
from modules.params import Txt2ImgParams
from modules.samplers.guidance import Composed, Denoiser, GuidanceOptions, Guided, Scheduled
from modules.samplers.sample import Start, sample
from modules.samplers.solvers import Step


def txt2img(
    conditioner: Conditioner,
    params: Txt2ImgParams,
    outputs: OutputFolder,
    upscaler: Upscaler | None = None,
    picture: Image.Image | None = None,
) -> Work:
    """As `txt2img_with`, with one model.

    Args:
        conditioner: the model and the embeddings to draw with. It remembers encodings, so one for many runs is quicker.
    """
    return txt2img_with(OneModel(conditioner), params, outputs, upscaler, picture)


@torch.no_grad()  # as a decorator: a `with` held across a `yield` would leak into whoever pulls the events
def txt2img_with(
    models: Models,
    params: Txt2ImgParams,
    outputs: OutputFolder,
    upscaler: Upscaler | None = None,
    picture: Image.Image | None = None,
    partners: Partners = NOBODY,
) -> Work:
    """Draw `batch_count` batches of `batch_size` pictures.

    Args:
        models: the run's own model, and its partners; the last one in use stays.
        params: everything that decides the pixels; styles are in the prompts already.
        outputs: where pictures and the overview of a run with several are saved.
        upscaler: what `params.hr_upscaler` names; None looks among those that need no file.
        picture: stands for the first pass of a hires fix, which is then left out; its sides are multiples of 8.
        partners: what `params.hr_checkpoint` and `params.refiner_checkpoint` name.

    Yields:
        `Status`, `Noticed`, one `Sampled` per sampler step, one `ImageDone` per picture, `GridDone` at the end.
        A `Request` sent at a `Sampled` is answered within this step.

    Raises:
        ParameterError: a sampler, schedule or upscaler that does not exist, or a size that a hires fix cannot have.
        FileFormatError, OutOfMemory: a partner cannot be loaded.
        NumericalError: the model answered with NaN or infinity.
        StorageError: a picture could not be written; those before it are safe.
    """
    yield from _Run(models, params, outputs, upscaler, picture, partners).work()


@dataclass(frozen=True)
class _Drawn:
    """Latents [B, 4, h, w] of a batch; `left_at` is where it was interrupted, empty if it is finished."""

    latents: Tensor
    left_at: str = ""


class _Run:
    """One run: what stays the same from batch to batch, and what it was asked meanwhile."""

    def __init__(
        self,
        models: Models,
        params: Txt2ImgParams,
        outputs: OutputFolder,
        upscaler: Upscaler | None,
        picture: Image.Image | None,
        partners: Partners,
    ):
        self.models = models
        self.params = params
        self.outputs = outputs
        self.picture = picture
        self.partners = partners
        self.first = Pass.first(params)
        self.hires: Hires | None = None
        if params.enable_hr:
            self.hires = Hires(Pass.second(params), HiresSize.of(params))
            self.upscaler = upscaler or choose_upscaler(params.hr_upscaler, ())
        self.seeds = Seeds.of(params)
        self.prompts = Prompts.of(params)
        self.rules = PromptRules(
            emphasis=params.emphasis,
            clip_skip=params.clip_skip,
            comma_backtrack=params.comma_backtrack,
            pad_conds=params.pad_conds,
            old_timelines=params.old_timelines,
            breaks=params.breaks,
            old_emphasis=params.old_emphasis,
            a1111_exact=params.a1111_exact,
        )
        self.teller = Teller(self.prompts, self.first, self.hires, self.rules)
        self.started = time.time()
        self.paths: list[Path] = []
        self.interrupted = False
        self.skipping = False
        self.has_problem = False
        self._drawing: Conditioner | None = None  # with the model in use, which goes before the next one comes
        self._own: tuple[Checkpoint, VaeFile | None] | None = None

    @property
    def stopping(self) -> bool:
        """Whether this batch is not to go on."""
        return self.interrupted or self.skipping

    @property
    def drawing(self) -> Conditioner:
        """With the model that draws now."""
        assert self._drawing, "a model is in use"
        return self._drawing

    @property
    def model(self) -> SDModel:
        """The one that draws now."""
        return self.drawing.model

    def work(self) -> Work:
        self._drawing = yield from self._heard(self.models.use(None))
        self._own = self.model.checkpoint, self.model.vae_file
        yield from self._read_prompts()
        size = self.params.batch_size
        for batch in range(self.params.batch_count):
            self.skipping = False
            if self.interrupted or not (yield from self._use(None)):
                break
            seeds = [self.seeds.at(batch * size + position) for position in range(size)]
            drawn = yield from self._draw(batch, seeds)
            if self.skipping and not self.interrupted:
                yield from self._tell(Noticed(f"Batch {batch + 1} of {self.params.batch_count} was skipped."))
            elif drawn is not None:
                yield from self._save(batch, seeds, drawn)
        if len(self.paths) > 1 and self.outputs.save_grid:
            yield from self._save_overview()

    def _tell(self, event: Event) -> Work:
        """Yield an event and note what was asked with it."""
        self._note((yield event))

    def _note(self, request: Request | None) -> None:
        self.interrupted |= request is Request.INTERRUPT
        self.skipping |= request is Request.SKIP

    def _heard(self, use: Use) -> Use:
        """Pass on what the loading of a model tells, and note what was asked with it."""
        request = None
        while True:
            try:
                event = use.send(request)
            except StopIteration as end:
                return end.value
            request = yield event
            self._note(request)

    def _use(self, checkpoint: Checkpoint | None) -> Generator[Event, Request | None, bool]:
        """Let a model draw; None is the run's own. False: it was interrupted, and the one before goes on."""
        assert self._own, "the run's own model comes first"
        path = (checkpoint or self._own[0]).path
        if self.model.checkpoint.path != path:
            self._drawing = None
            self._drawing = yield from self._heard(self.models.use(checkpoint))
        return self.model.checkpoint.path == path

    def _read_prompts(self) -> Work:
        """Encode the prompts of the passes that the run's own model draws."""
        yield from self._tell(Status("reading the prompt"))
        self.drawing.embeddings.refresh()
        self.teller.tell(self.drawing, second=False)
        if self.hires and not self.partners.hires:
            self.teller.tell(self.drawing, second=True)
        yield from self._tell_notices()

    def _tell_notices(self) -> Work:
        for notice in self.teller.new_notices():
            yield from self._tell(Noticed(notice))

    def _draw(self, batch: int, seeds: list[tuple[int, int]]) -> Generator[Event, Request | None, _Drawn | None]:
        """All passes of one batch. Returns None if it was stopped before there was anything."""
        if self.picture is None:
            step = yield from self._sample(batch, seeds, self.first)
            if step is None:
                return None
            if self.stopping and step.index + 1 < step.count:
                return _Drawn(step.denoised, f"step {step.index + 1} of {step.count}")
            latents = step.x
        else:
            with self._edges():
                latents = hires.encode_picture(self.picture, self.model).expand(len(seeds), -1, -1, -1)
        if self.hires is None:
            return _Drawn(latents)
        if self.outputs.save_before_hires and self.picture is None:
            for position, pair in enumerate(seeds):
                infotext = self._infotext(pair, first_only=True)
                turn = self._turn(batch * len(seeds) + position)
                yield from self._noted(self.outputs.save_before(self._decoded(latents[position]), infotext, turn))
        yield from self._tell(Status("enlarging"))
        if self.stopping:
            return _Drawn(latents, "before the hires pass")
        pictures = [] if self.upscaler.latent else self._pictures(latents)  # by the model that drew them
        strength = self.params.denoising_strength
        if strength and (not (yield from self._use(self.partners.hires)) or self.stopping):
            return _Drawn(latents, "before the hires pass")
        latents = self._enlarged(latents, pictures, self.hires)
        if not strength:
            return _Drawn(latents)
        start = Start(latents, strength, all_steps=True, extra_noise=self.params.extra_noise)
        step = yield from self._sample(batch, seeds, self.hires.stage, start)
        if step is None:
            return _Drawn(latents, "before the hires pass")
        if self.stopping and step.index + 1 < step.count:
            return _Drawn(step.denoised, f"hires step {step.index + 1} of {step.count}")
        return _Drawn(step.x)

    def _pictures(self, latents: Tensor) -> list[Image.Image]:
        return [self.picture] if self.picture else [self._decoded(image) for image in latents]

    def _enlarged(self, latents: Tensor, pictures: list[Image.Image], second: Hires) -> Tensor:
        if self.upscaler.latent:
            return hires.enlarge_latents(latents, self.upscaler, second.size)
        with self._edges():
            enlarged = hires.enlarge_pictures(pictures, self.upscaler, second.size, self.model)
        return enlarged.expand(len(latents), -1, -1, -1)

    def _sample(
        self, batch: int, seeds: list[tuple[int, int]], stage: Pass, start: Start | None = None
    ) -> Generator[Event, Request | None, Step | None]:
        """Sample one pass of one batch. Returns the last step that was done, None if there was none."""
        params = self.params
        if start:
            height, width = start.latents.shape[2:]
        else:
            width, height = (side // 8 for side in (self.hires.size.first if self.hires else self._size))
        noise = passes.image_noise(
            params, (height, width), [seed for seed, _ in seeds], [subseed for _, subseed in seeds], self.model.device
        )
        second = start is not None
        denoiser, conds, unconds, options = self._guidance(second, len(seeds))
        guided = Guided(denoiser, conds, unconds, params.cfg_scale, options)
        del denoiser  # it has to go when another model comes
        yield from self._tell_notices()
        if refines(params, second) and self._refiner:
            guided.before_call = functools.partial(self._refine, guided, second)
        numbers = passes.sampler_options(params, stage.sampler)
        stages = 2 if self.hires and self.picture is None else 1
        step = None
        for step in sample(stage.sampler.name, stage.schedule, stage.steps, guided, noise, numbers, start):
            done = step.index + 1
            wanted = params.preview_every and done % params.preview_every == 0
            preview = preview_png(step.denoised, self.model.latent_rgb) if wanted else None
            number = stages if start else 1
            yield from self._tell(
                Sampled(done, step.count, batch + 1, params.batch_count, preview, stage=number, stages=stages)
            )
            yield from self._tell_notices()
            if self.stopping:
                break
        guided.let_go()
        return step

    @property
    def _refiner(self) -> Checkpoint | None:
        """The one that can take over from the model in use."""
        refiner = self.partners.refiner
        return refiner if refiner and refiner.path != self.model.checkpoint.path else None

    def _refine(self, guided: Guided, second: bool, timestep: int) -> None:
        """Before a call of the model: let the refiner take over if it is due, for all calls of this pass to come."""
        known = len(guided.denoiser.sigmas.alphas_cumprod)
        behind = (known - 1 - timestep) / known
        if self.params.refiner_by_steps:
            behind = guided.calls / guided.total_steps
        if behind < self.params.refiner_switch_at:
            return
        images, refiner = len(guided.conds), self._refiner
        guided.let_go()
        self._drawing = None
        self._drawing = without_events(self.models.use(refiner))  # nothing can be told in the midst of a step
        guided.go_on_with(*self._guidance(second, images))

    def _guidance(self, second: bool, images: int) -> tuple[Denoiser, list[Composed], list[Scheduled], GuidanceOptions]:
        """The model in use as samplers call it, and what tells it the prompts of a pass."""
        told = self.teller.tell(self.drawing, second)
        options = passes.guidance_options(self.params, self.drawing.padding(self.rules))
        return passes.denoiser(self.model, self.params, second), [told.cond] * images, [told.uncond] * images, options

    @property
    def _size(self) -> tuple[int, int]:
        return self.params.width, self.params.height

    def _decoded(self, latents: Tensor) -> Image.Image:
        """One picture of latents [4, h, w]."""
        with self._edges():
            return images.to_pil(self.model.decode(latents[None])[0])

    def _edges(self) -> AbstractContextManager[None]:
        """In it, the VAE treats the edges of pictures as this run wants it: a tile has none."""
        return circular(self.model.vae) if self.params.tiling else nullcontext()

    def _save(self, batch: int, seeds: Sequence[tuple[int, int]], drawn: _Drawn) -> Work:
        """Decode and save one picture at a time, so that memory is that of one."""
        incomplete = bool(drawn.left_at)
        total = self.params.batch_count * len(seeds)
        for position, (seed, subseed) in enumerate(seeds):
            index = batch * len(seeds) + position
            yield from self._tell(Status(f"decoding picture {index + 1} of {total}"))
            image = self._decoded(drawn.latents[position])
            infotext = self._infotext((seed, subseed), drawn.left_at)
            saved = self.outputs.save_picture(image, infotext, self._turn(index), incomplete)
            self.paths.append(saved.path)
            yield from self._tell(ImageDone(saved.path, infotext, index, seed, incomplete, subseed))
            yield from self._noted(saved)

    def _turn(self, index: int) -> Turn:
        count = self.params.batch_count * self.params.batch_size
        seeds = self.seeds.at(0)[0], self.seeds.at(count - 1)[0]
        return Turn(index, count, self.params.batch_size, seeds, self.started)

    def _save_overview(self) -> Work:
        yield from self._tell(Status("laying out the overview"))
        infotext = self._infotext(self.seeds.at(0))
        try:
            saved = self.outputs.save_overview(self.paths, self.params.batch_size, infotext)
        except ImageError as error:  # somebody moved a picture away: the run itself is fine
            yield from self._tell(Noticed(f"There is no overview of this run: {error}"))
        else:
            yield from self._tell(GridDone(saved.path, infotext))
            yield from self._noted(saved)

    def _noted(self, saved: Saved) -> Work:
        """Tell, once a run, what could not be written beside a file."""
        if saved.problem and not self.has_problem:
            self.has_problem = True
            yield from self._tell(Noticed(saved.problem))

    def _infotext(self, seeds: tuple[int, int], incomplete: str = "", first_only: bool = False) -> str:
        params, partners = self.params, self.partners
        if first_only and self.hires:
            width, height = self.hires.size.first
            partners = Partners(refiner=partners.refiner if refines(params, second=False) else None)
            params = dataclasses.replace(params, width=width, height=height, enable_hr=False)
        assert self._own, "the run's own model comes first"
        checkpoint, vae = self._own
        return describe(
            params,
            self.prompts,
            seeds,
            checkpoint=checkpoint,
            vae=vae,
            first=self.first,
            embeddings=self.teller.used,
            hires=None if first_only else self.hires,
            incomplete=incomplete,
            partners=partners,
            user=self.outputs.user,
        )
