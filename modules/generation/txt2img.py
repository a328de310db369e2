"""txt2img: one run, from parameters to saved pictures, as a generator of events.

An interrupted run keeps what it has: the last guess of each picture of the batch is decoded, saved, and marked as
incomplete in event, file name and infotext. A skipped batch is given up without a picture. Live previews come from
the latents by a linear map; the decoder runs once per picture.
"""

import secrets
from collections.abc import Generator
from pathlib import Path

import torch

from modules import images
from modules.embeddings.embedding import Embedding
from modules.errors import ImageError
from modules.events import Event, GridDone, ImageDone, Noticed, Request, Sampled, Status, Work
from modules.generation.description import describe
from modules.generation.outputs import OutputFolder
from modules.generation.preview import preview_png
from modules.model.conditioning import Conditioner, PromptRules
from modules.params import Txt2ImgParams
from modules.prompts.notes import shortened, tag_note
from modules.prompts.tags import cut_comments, cut_tags
from modules.prompts.tokenizer import replace_surrogates
from modules.samplers import names
from modules.samplers.guidance import Composed, GuidanceOptions, Guided, Scheduled
from modules.samplers.noise import ImageNoise, NoiseSource
from modules.samplers.sample import sample
from modules.samplers.solvers import Step

NOISE_SOURCE: NoiseSource = "CPU"  # the same on every machine


@torch.no_grad()  # as a decorator: a `with` held across a `yield` would leak into whoever pulls the events
def txt2img(conditioner: Conditioner, params: Txt2ImgParams, outputs: OutputFolder) -> Work:
    """Draw `batch_count` batches of `batch_size` pictures.

    Args:
        conditioner: the model and the embeddings to draw with. It remembers encodings, so one for many runs is quicker.
        params: everything that decides the pixels.
        outputs: where pictures and the overview of a run with several are saved.

    Yields:
        `Status`, `Noticed`, one `Sampled` per sampler step, one `ImageDone` per picture, `GridDone` at the end.
        A `Request` sent at a `Sampled` is answered within this step.

    Raises:
        ParameterError: a sampler or schedule that does not exist.
        NumericalError: the model answered with NaN or infinity.
        StorageError: a picture could not be written; those before it are safe.
    """
    yield from _Run(conditioner, params, outputs).work()


class _Run:
    """One run: what stays the same from batch to batch, and what it was asked meanwhile."""

    def __init__(self, conditioner: Conditioner, params: Txt2ImgParams, outputs: OutputFolder):
        self.conditioner = conditioner
        self.model = conditioner.model
        self.params = params
        self.outputs = outputs
        self.sampler, self.schedule = names.find(params.sampler, params.schedule)
        self.first_seed = params.seed if params.seed >= 0 else secrets.randbelow(2**32)
        self.prompt = cut_comments(replace_surrogates(params.prompt))
        self.negative_prompt = cut_comments(replace_surrogates(params.negative_prompt))
        self.rules = PromptRules(
            emphasis=params.emphasis,
            clip_skip=params.clip_skip,
            comma_backtrack=params.comma_backtrack,
            pad_conds=params.pad_conds,
            old_timelines=params.old_timelines,
            a1111_exact=params.a1111_exact,
        )
        self.used: list[Embedding] = []
        self.paths: list[Path] = []
        self.interrupted = False
        self.skipping = False

    def work(self) -> Work:
        cond, uncond = yield from self._read_prompts()
        size = self.params.batch_size
        for batch in range(self.params.batch_count):
            if self.interrupted:
                break
            self.skipping = False
            seeds = [self.first_seed + batch * size + position for position in range(size)]
            step = yield from self._sample(batch, seeds, cond, uncond)
            if self.skipping and not self.interrupted:
                yield from self._tell(Noticed(f"Batch {batch + 1} of {self.params.batch_count} was skipped."))
            elif step is not None:
                yield from self._save(batch, seeds, step)
        if len(self.paths) > 1 and self.outputs.save_grid:
            yield from self._save_overview()

    def _tell(self, event: Event) -> Work:
        """Yield an event and note what was asked with it."""
        request = yield event
        self.interrupted |= request is Request.INTERRUPT
        self.skipping |= request is Request.SKIP

    def _read_prompts(self) -> Generator[Event, Request | None, tuple[Composed, Scheduled]]:
        yield from self._tell(Status("reading the prompt"))
        database, width = self.conditioner.embeddings, self.model.width
        database.refresh()
        prompt, tags = cut_tags(self.prompt)
        notices = list(shortened([tag_note(tag) for tag in tags]))
        for text in (prompt, self.negative_prompt):
            notices += database.notices(text, width, self.model.tokenizer)
        for notice in dict.fromkeys(notices):
            yield from self._tell(Noticed(notice))
        steps = self.sampler.total_steps(self.params.steps)
        self.used = [
            embedding
            for text in (prompt, self.negative_prompt)
            for embedding in self.conditioner.embeddings_in(text, steps, self.rules)
        ]
        cond = self.conditioner.cond(prompt, steps, self.rules)
        return cond, self.conditioner.uncond(self.negative_prompt, steps, self.rules)

    def _sample(
        self, batch: int, seeds: list[int], cond: Composed, uncond: Scheduled
    ) -> Generator[Event, Request | None, Step | None]:
        """Sample one batch. Returns the last step that was done, None if there was none."""
        params = self.params
        shape = (4, params.height // 8, params.width // 8)
        noise = ImageNoise(shape, seeds, source=NOISE_SOURCE, device=self.model.device)
        options = GuidanceOptions(padding=self.conditioner.padding(self.rules))
        conds, unconds = [cond] * len(seeds), [uncond] * len(seeds)
        guided = Guided(self.model.denoiser, conds, unconds, params.cfg_scale, options)
        step = None
        for step in sample(self.sampler.name, self.schedule, params.steps, guided, noise):
            done = step.index + 1
            wanted = params.preview_every and done % params.preview_every == 0
            preview = preview_png(step.denoised, self.model.latent_rgb) if wanted else None
            yield from self._tell(Sampled(done, step.count, batch + 1, params.batch_count, preview))
            if self.interrupted or self.skipping:
                break
        return step

    def _save(self, batch: int, seeds: list[int], step: Step) -> Work:
        """Decode and save one picture at a time, so that memory is that of one."""
        incomplete = step.index + 1 < step.count
        latents = step.denoised if incomplete else step.x
        total = self.params.batch_count * len(seeds)
        for position, seed in enumerate(seeds):
            index = batch * len(seeds) + position
            yield from self._tell(Status(f"decoding picture {index + 1} of {total}"))
            image = images.to_pil(self.model.decode(latents[position : position + 1])[0])
            infotext = self._infotext(seed, f"step {step.index + 1} of {step.count}" if incomplete else "")
            path = self.outputs.save_picture(image, seed, infotext, incomplete)
            self.paths.append(path)
            yield from self._tell(ImageDone(path, infotext, index, seed, incomplete))

    def _save_overview(self) -> Work:
        yield from self._tell(Status("laying out the overview"))
        infotext = self._infotext(self.first_seed)
        try:
            path = self.outputs.save_overview(self.paths, self.params.batch_size, infotext)
        except ImageError as error:  # somebody moved a picture away: the run itself is fine
            yield from self._tell(Noticed(f"There is no overview of this run: {error}"))
        else:
            yield from self._tell(GridDone(path, infotext))

    def _infotext(self, seed: int, incomplete: str = "") -> str:
        return describe(
            self.params,
            (self.prompt, self.negative_prompt),
            seed,
            checkpoint=self.model.checkpoint,
            sampler=self.sampler,
            schedule=self.schedule,
            embeddings=self.used,
            noise_source=NOISE_SOURCE,
            incomplete=incomplete,
        )
