"""txt2img: one run, from parameters to saved pictures, as a generator of events.

An interrupted run keeps what it has: the last guess of each picture of the batch is decoded, saved, and marked as
incomplete in event, file name and infotext. A skipped batch is given up without a picture. Live previews come from
the latents by a linear map; the decoder runs once per picture.
"""

import dataclasses
from collections.abc import Generator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from modules import images
from modules.embeddings.embedding import Embedding
from modules.errors import ImageError
from modules.events import Event, GridDone, ImageDone, Noticed, Request, Sampled, Status, Work
from modules.generation import hires, passes
from modules.generation.description import Hires, Prompts, describe
from modules.generation.outputs import OutputFolder
from modules.generation.preview import preview_png
from modules.generation.seeds import Seeds
from modules.generation.stages import HiresSize, Pass
from modules.generation.tiling import circular
from modules.generation.upscalers import Upscaler, choose_upscaler
from modules.model.conditioning import Conditioner, PromptRules
from modules.params import Txt2ImgParams
from modules.prompts.notes import shortened, tag_note
from modules.prompts.tags import cut_comments, cut_tags
from modules.prompts.tokenizer import replace_surrogates
from modules.samplers.guidance import Composed, Guided, Scheduled
from modules.samplers.sample import Start, sample
from modules.samplers.solvers import Step


@torch.no_grad()  # as a decorator: a `with` held across a `yield` would leak into whoever pulls the events
def txt2img(
    conditioner: Conditioner,
    params: Txt2ImgParams,
    outputs: OutputFolder,
    upscaler: Upscaler | None = None,
    picture: Image.Image | None = None,
) -> Work:
    """Draw `batch_count` batches of `batch_size` pictures.

    Args:
        conditioner: the model and the embeddings to draw with. It remembers encodings, so one for many runs is quicker.
        params: everything that decides the pixels; styles are in the prompts already.
        outputs: where pictures and the overview of a run with several are saved.
        upscaler: what `params.hr_upscaler` names; None looks among those that need no file.
        picture: stands for the first pass of a hires fix, which is then left out; of the size of the first pass.

    Yields:
        `Status`, `Noticed`, one `Sampled` per sampler step, one `ImageDone` per picture, `GridDone` at the end.
        A `Request` sent at a `Sampled` is answered within this step.

    Raises:
        ParameterError: a sampler, schedule or upscaler that does not exist, or a size that a hires fix cannot have.
        NumericalError: the model answered with NaN or infinity.
        StorageError: a picture could not be written; those before it are safe.
    """
    yield from _Run(conditioner, params, outputs, upscaler, picture).work()


@dataclass(frozen=True)
class _Drawn:
    """Latents [B, 4, h, w] of a batch; `left_at` is where it was interrupted, empty if it is finished."""

    latents: Tensor
    left_at: str = ""


@dataclass(frozen=True)
class _Told:
    """Encoded prompt and negative prompt of one pass."""

    cond: Composed
    uncond: Scheduled


class _Run:
    """One run: what stays the same from batch to batch, and what it was asked meanwhile."""

    def __init__(
        self,
        conditioner: Conditioner,
        params: Txt2ImgParams,
        outputs: OutputFolder,
        upscaler: Upscaler | None,
        picture: Image.Image | None,
    ):
        self.conditioner = conditioner
        self.model = conditioner.model
        self.params = params
        self.outputs = outputs
        self.picture = picture
        self.first = Pass.first(params)
        self.hires: Hires | None = None
        if params.enable_hr:
            self.hires = Hires(Pass.second(params), HiresSize.of(params))
            self.upscaler = upscaler or choose_upscaler(params.hr_upscaler, ())
        self.seeds = Seeds.of(params)
        self.prompts = _prompts(params)
        self.rules = PromptRules(
            emphasis=params.emphasis,
            clip_skip=params.clip_skip,
            comma_backtrack=params.comma_backtrack,
            pad_conds=params.pad_conds,
            old_timelines=params.old_timelines,
            a1111_exact=params.a1111_exact,
        )
        self.denoiser = passes.denoiser(self.model, params)
        self.used: list[Embedding] = []
        self.paths: list[Path] = []
        self.interrupted = False
        self.skipping = False

    @property
    def stopping(self) -> bool:
        """Whether this batch is not to go on."""
        return self.interrupted or self.skipping

    def work(self) -> Work:
        told = yield from self._read_prompts()
        size = self.params.batch_size
        for batch in range(self.params.batch_count):
            if self.interrupted:
                break
            self.skipping = False
            seeds = [self.seeds.at(batch * size + position) for position in range(size)]
            drawn = yield from self._draw(batch, seeds, told)
            if self.skipping and not self.interrupted:
                yield from self._tell(Noticed(f"Batch {batch + 1} of {self.params.batch_count} was skipped."))
            elif drawn is not None:
                yield from self._save(batch, seeds, drawn)
        if len(self.paths) > 1 and self.outputs.save_grid:
            yield from self._save_overview()

    def _tell(self, event: Event) -> Work:
        """Yield an event and note what was asked with it."""
        request = yield event
        self.interrupted |= request is Request.INTERRUPT
        self.skipping |= request is Request.SKIP

    def _read_prompts(self) -> Generator[Event, Request | None, list[_Told]]:
        """Encode the prompts of each pass."""
        yield from self._tell(Status("reading the prompt"))
        database, width = self.conditioner.embeddings, self.model.width
        database.refresh()
        prompts, second = self.prompts, self.hires
        texts = [prompts.prompt, prompts.negative_prompt]
        texts += [prompts.hr_prompt, prompts.hr_negative_prompt] if second else []
        cut = [cut_tags(text) if position % 2 == 0 else (text, ()) for position, text in enumerate(texts)]
        notices = list(shortened([tag_note(tag) for _, tags in cut for tag in tags]))
        for text, _ in cut:
            notices += database.notices(text, width, self.model.tokenizer)
        for notice in dict.fromkeys(notices):
            yield from self._tell(Noticed(notice))
        steps = self.first.calls
        self.used = [
            embedding for text, _ in cut for embedding in self.conditioner.embeddings_in(text, steps, self.rules)
        ]
        told = []
        for position in range(0, len(cut), 2):
            (prompt, _), (negative, _) = cut[position : position + 2]
            hires_steps = second.stage.calls if second and position else None
            cond = self.conditioner.cond(prompt, steps, self.rules, hires_steps)
            told.append(_Told(cond, self.conditioner.uncond(negative, steps, self.rules, hires_steps)))
        return told

    def _draw(
        self, batch: int, seeds: list[tuple[int, int]], told: list[_Told]
    ) -> Generator[Event, Request | None, _Drawn | None]:
        """All passes of one batch. Returns None if it was stopped before there was anything."""
        if self.picture is None:
            step = yield from self._sample(batch, seeds, self.first, told[0])
            if step is None:
                return None
            if self.stopping and step.index + 1 < step.count:
                return _Drawn(step.denoised, f"step {step.index + 1} of {step.count}")
            latents = step.x
        else:
            latents = hires.encode_picture(self.picture, self.model).expand(len(seeds), -1, -1, -1)
        if self.hires is None:
            return _Drawn(latents)
        if self.outputs.save_before_hires and self.picture is None:
            for position, pair in enumerate(seeds):
                infotext = self._infotext(pair, first_only=True)
                self.outputs.save_before(self._decoded(latents[position]), pair[0], infotext)
        yield from self._tell(Status("enlarging"))
        if self.stopping:
            return _Drawn(latents, "before the hires pass")
        latents = self._enlarged(latents, self.hires)
        if not self.params.denoising_strength:
            return _Drawn(latents)
        start = Start(latents, self.params.denoising_strength, all_steps=True, extra_noise=self.params.extra_noise)
        step = yield from self._sample(batch, seeds, self.hires.stage, told[1], start)
        if step is None:
            return _Drawn(latents, "before the hires pass")
        if self.stopping and step.index + 1 < step.count:
            return _Drawn(step.denoised, f"hires step {step.index + 1} of {step.count}")
        return _Drawn(step.x)

    def _enlarged(self, latents: Tensor, second: Hires) -> Tensor:
        if self.upscaler.latent:
            return hires.enlarge_latents(latents, self.upscaler, second.size)
        pictures = [self.picture] if self.picture else [self._decoded(image) for image in latents]
        enlarged = hires.enlarge_pictures(pictures, self.upscaler, second.size, self.model)
        return enlarged.expand(len(latents), -1, -1, -1)

    def _sample(
        self, batch: int, seeds: list[tuple[int, int]], stage: Pass, told: _Told, start: Start | None = None
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
        options = passes.guidance_options(params, self.conditioner.padding(self.rules))
        conds, unconds = [told.cond] * len(seeds), [told.uncond] * len(seeds)
        guided = Guided(self.denoiser, conds, unconds, params.cfg_scale, options)
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
            if self.stopping:
                break
        return step

    @property
    def _size(self) -> tuple[int, int]:
        return self.params.width, self.params.height

    def _decoded(self, latents: Tensor) -> Image.Image:
        """One picture of latents [4, h, w]."""
        with circular(self.model.vae) if self.params.tiling else nullcontext():
            return images.to_pil(self.model.decode(latents[None])[0])

    def _save(self, batch: int, seeds: Sequence[tuple[int, int]], drawn: _Drawn) -> Work:
        """Decode and save one picture at a time, so that memory is that of one."""
        incomplete = bool(drawn.left_at)
        total = self.params.batch_count * len(seeds)
        for position, (seed, subseed) in enumerate(seeds):
            index = batch * len(seeds) + position
            yield from self._tell(Status(f"decoding picture {index + 1} of {total}"))
            image = self._decoded(drawn.latents[position])
            infotext = self._infotext((seed, subseed), drawn.left_at)
            path = self.outputs.save_picture(image, seed, infotext, incomplete)
            self.paths.append(path)
            yield from self._tell(ImageDone(path, infotext, index, seed, incomplete, subseed))

    def _save_overview(self) -> Work:
        yield from self._tell(Status("laying out the overview"))
        infotext = self._infotext(self.seeds.at(0))
        try:
            path = self.outputs.save_overview(self.paths, self.params.batch_size, infotext)
        except ImageError as error:  # somebody moved a picture away: the run itself is fine
            yield from self._tell(Noticed(f"There is no overview of this run: {error}"))
        else:
            yield from self._tell(GridDone(path, infotext))

    def _infotext(self, seeds: tuple[int, int], incomplete: str = "", first_only: bool = False) -> str:
        params = self.params
        if first_only and self.hires:
            width, height = self.hires.size.first
            params = dataclasses.replace(params, width=width, height=height)
        return describe(
            params,
            self.prompts,
            seeds,
            checkpoint=self.model.checkpoint,
            vae=self.model.vae_file,
            first=self.first,
            embeddings=self.used,
            hires=None if first_only else self.hires,
            incomplete=incomplete,
        )


def _prompts(params: Txt2ImgParams) -> Prompts:
    prompt, negative, hr_prompt, hr_negative = (
        cut_comments(replace_surrogates(text))
        for text in (params.prompt, params.negative_prompt, params.hr_prompt, params.hr_negative_prompt)
    )
    return Prompts(prompt, negative, hr_prompt or prompt, hr_negative or negative)
