"""The passes of a run and their sizes, read from the form. No torch: a form is judged before it waits in line."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from modules.errors import ParameterError
from modules.generation.upscalers import Upscaler, choose_upscaler
from modules.infotext import automatic_first_pass
from modules.params import LONGEST_SIDE, MOST_STEPS, SAME_SAMPLER, SAME_SCHEDULE, Txt2ImgParams, control
from modules.samplers import names
from modules.samplers.names import Sampler

LARGEST_FIRST = int(control("width").maximum or 0)  # pixels of a side, where it follows from the final size
SMALLEST, LARGEST = 8, LONGEST_SIDE
_MOST_PIXELS = 8 * LARGEST**2  # of one batch of a second pass


@dataclass(frozen=True)
class HiresSize:
    """(width, height) in pixels of what a hires fix goes through.

    Attributes:
        first: of the first pass.
        cover: what it is enlarged to, of the same shape.
        target: what is left of that after its edges are cut off.
    """

    first: tuple[int, int]
    cover: tuple[int, int]
    target: tuple[int, int]

    @classmethod
    def of(cls, params: Txt2ImgParams) -> "HiresSize":
        """The sizes that a form asks for, in its new or its old way.

        Raises:
            ParameterError: a pass that is too small or too large.
        """
        first, wanted = (params.width, params.height), (params.hr_resize_x, params.hr_resize_y)
        if is_old_form(params):
            wanted = first
            given = (params.firstphase_width, params.firstphase_height)
            first = given if all(given) else automatic_first_pass(*first)
            if max(first) > LARGEST_FIRST:
                raise ParameterError(
                    "firstphase_width",
                    f"The first pass would be {first[0]}×{first[1]}, with a side over {LARGEST_FIRST}: give it a width "
                    "and a height, or choose a final size of a more usual shape.",
                )
        size = cls._new_form(first, wanted, params.hr_scale)
        for side in (*size.cover, *size.target):
            if not SMALLEST <= side <= LARGEST:
                raise ParameterError(
                    "hr_scale",
                    f"The second pass would be {size.cover[0]}×{size.cover[1]}: its sides must lie within {SMALLEST} … "
                    f"{LARGEST}. Change “Upscale by” or the size to resize to.",
                )
        if params.batch_size * size.cover[0] * size.cover[1] > _MOST_PIXELS:
            most = _MOST_PIXELS // (size.cover[0] * size.cover[1])
            raise ParameterError(
                "batch_size",
                f"Batch size {params.batch_size} of {size.cover[0]}×{size.cover[1]}, the size of the second pass, is "
                f"more than memory is meant for: draw at most {most} at a time.",
            )
        return size

    @classmethod
    def _new_form(cls, first: tuple[int, int], wanted: tuple[int, int], scale: float) -> "HiresSize":
        (width, height), (x, y) = first, wanted
        if not (x or y):
            cover = int(width * scale), int(height * scale)
        elif not y or (x and width * y < height * x):
            cover = x, x * height // width
        else:
            cover = y * width // height, y
        return cls(first, cover, wanted if x and y else cover)

    @property
    def crop(self) -> tuple[int, int]:
        """How many latents (across, down) are cut off in all."""
        return (self.cover[0] - self.target[0]) // 8, (self.cover[1] - self.target[1]) // 8


def is_old_form(params: Txt2ImgParams) -> bool:
    """Whether width and height mean the final size, as in 2022."""
    return params.old_hires_size or bool(params.firstphase_width or params.firstphase_height)


@dataclass(frozen=True)
class Pass:
    """A sampler with its schedule and steps.

    Attributes:
        sampler, schedule, steps: of this pass.
        name: what progress calls it; empty for the only or first one.
        old_edits: prompts see steps, as in 2022, even if the model is called twice in each.
    """

    sampler: Sampler
    schedule: str
    steps: int
    name: str = ""
    old_edits: bool = False

    @classmethod
    def first(cls, params: Txt2ImgParams) -> "Pass":
        """The pass from noise.

        Raises:
            ParameterError: no such sampler or schedule.
        """
        return cls(*names.find(params.sampler, params.schedule), params.steps, old_edits=params.old_edit_steps)

    @classmethod
    def second(cls, params: Txt2ImgParams) -> "Pass":
        """The pass over the enlarged picture.

        Raises:
            ParameterError: no such sampler or schedule.
        """
        sampler = params.sampler if params.hr_sampler == SAME_SAMPLER else params.hr_sampler
        schedule = params.schedule if params.hr_schedule == SAME_SCHEDULE else params.hr_schedule
        steps = params.hr_second_pass_steps or params.steps
        return cls(*names.find(sampler, schedule), steps, "hires", params.old_edit_steps)

    @property
    def calls(self) -> int:
        """The steps that prompt schedules are laid out for."""
        return self.sampler.prompt_steps(self.steps, self.old_edits)


def check(params: Txt2ImgParams, models: Sequence[Path]) -> Upscaler | None:
    """The upscaler that a run will need, if it needs one.

    Args:
        models: folders below which upscaling models lie.

    Raises:
        ParameterError: a sampler, schedule or upscaler that does not exist, or a size or a strength that a hires fix
            cannot have.
    """
    Pass.first(params)
    if not params.enable_hr:
        return None
    second = Pass.second(params)
    if second.sampler.timesteps and params.denoising_strength:
        laid_out = int(second.steps / min(params.denoising_strength, 0.999))
        if laid_out > MOST_STEPS:
            raise ParameterError(
                "denoising_strength",
                f"At a denoising strength of {params.denoising_strength:g}, {second.steps} steps are the end of "
                f"{laid_out}, and {second.sampler.name} has no more than {MOST_STEPS}: raise it, or take fewer hires "
                "steps.",
            )
    HiresSize.of(params)
    return choose_upscaler(params.hr_upscaler, models)
