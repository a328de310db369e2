"""What one run is made from, and the ranges that page, API and command line share.

Each field carries its label, range and help text; a front end makes its control from the field. Checking happens
once, when the object is made.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

from modules.errors import ParameterError

EMPHASIS_CHOICES = ("Original", "No norm", "Ignore", "None")
NOISE_SOURCES = ("CPU", "GPU", "NV")
SAME_SAMPLER, SAME_SCHEDULE = "Use same sampler", "Use same scheduler"  # in the second pass of a hires fix
SAME_CHECKPOINT, NO_REFINER = "Use same checkpoint", "None"
FIRST_PASS, SECOND_PASS, BOTH_PASSES = "first pass", "second pass", "both passes"  # of a hires fix, for the refiner
HIRES_FIELDS = (  # that say how a second pass is done
    "hr_upscaler", "hr_second_pass_steps", "denoising_strength", "hr_scale", "hr_resize_x", "hr_resize_y",
    "hr_checkpoint", "hr_sampler", "hr_schedule", "hr_prompt", "hr_negative_prompt", "extra_noise",
    "token_merging_ratio_hr",
)  # fmt: skip
MOST_STEPS = 1000  # of one pass: the noise levels that a model knows
LONGEST_SIDE = 8192  # pixels
MOST_PIXELS = 8 * 2048 * 2048  # of one batch of a first pass: the largest that the page offers
RANDOM = -1  # a seed that is drawn when the run begins; other numbers below 0 are seeds, as in A1111
_LARGEST_SEED, _SMALLEST_SEED = 2**63 - 1, -(2**63)


@dataclass(frozen=True)
class Control:
    """How a field is shown and checked.

    Attributes:
        minimum, maximum, step: the range that people choose from, and its grid.
        lowest, highest: the range that is taken, if it is wider: programs and old pictures ask for more than sliders
            offer.
    """

    label: str
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    choices: tuple[str, ...] = ()
    info: str = ""
    lowest: float | None = None
    highest: float | None = None

    @property
    def taken(self) -> tuple[float, float] | None:
        """The smallest and the largest number that is taken; None: it is no number with a range."""
        if self.minimum is None or self.maximum is None:
            return None
        return (
            self.minimum if self.lowest is None else self.lowest,
            self.maximum if self.highest is None else self.highest,
        )

    @property
    def range(self) -> str:
        """The numbers that are taken, as people read them: “1 … 1000000”; empty if there is no range, or for seeds."""
        if self.taken is None or self.taken[1] >= _LARGEST_SEED:
            return ""
        return " … ".join(f"{end:.15g}" for end in self.taken)

    def offers(self, value: float) -> bool:
        """Whether people can choose this number: in their range, and a whole number on the grid."""
        if self.minimum is None or self.maximum is None:
            return False
        on_grid = not self.step or isinstance(value, float) or value % self.step == 0
        return on_grid and self.minimum <= value <= self.maximum


def parameter(default: Any, label: str, **control: Any) -> Any:
    """A dataclass field with its control: `steps: int = parameter(20, "Sampling steps", minimum=1, maximum=150)`."""
    return dataclasses.field(default=default, metadata={"control": Control(label, **control)})


@dataclass(frozen=True)
class Txt2ImgParams:
    """Everything that decides the pixels of a txt2img run, besides model and embeddings.

    Raises:
        ParameterError: a value outside its range, naming the field.

    Source of names, labels and ranges: A1111 v1.10 (its API calls batch_count `n_iter`, schedule `scheduler`).
    """

    prompt: str = parameter("", "Prompt")
    negative_prompt: str = parameter("", "Negative prompt")
    styles: tuple[str, ...] = parameter((), "Styles", info="Prompts kept under a name, added to the prompt.")
    sampler: str = parameter("DPM++ 2M", "Sampling method")
    schedule: str = parameter("Automatic", "Schedule type")
    steps: int = parameter(20, "Sampling steps", minimum=1, maximum=150, step=1, highest=MOST_STEPS)
    # a picture has sides of whole latents, as in A1111: 500 draws 496
    width: int = parameter(512, "Width", minimum=64, maximum=2048, step=8, lowest=8, highest=LONGEST_SIDE)
    height: int = parameter(512, "Height", minimum=64, maximum=2048, step=8, lowest=8, highest=LONGEST_SIDE)
    batch_count: int = parameter(1, "Batch count", minimum=1, maximum=100, step=1, highest=800)
    batch_size: int = parameter(1, "Batch size", minimum=1, maximum=8, step=1, highest=128)
    cfg_scale: float = parameter(7.0, "CFG Scale", minimum=1.0, maximum=30.0, step=0.5, lowest=-1000.0, highest=1000.0)
    seed: int = parameter(RANDOM, "Seed", minimum=RANDOM, maximum=_LARGEST_SEED, lowest=_SMALLEST_SEED)

    # --- variation: a seed leaning towards another, or drawn at another size ------------------------------------------
    subseed: int = parameter(RANDOM, "Variation seed", minimum=RANDOM, maximum=_LARGEST_SEED, lowest=_SMALLEST_SEED)
    subseed_strength: float = parameter(
        0.0, "Variation strength", minimum=0.0, maximum=1.0, step=0.01, lowest=-1000.0, highest=1000.0
    )
    seed_resize_from_w: int = parameter(0, "Resize seed from width", minimum=0, maximum=2048, step=8)
    seed_resize_from_h: int = parameter(0, "Resize seed from height", minimum=0, maximum=2048, step=8)

    # --- hires fix: a second pass over the enlarged picture -----------------------------------------------------------
    enable_hr: bool = parameter(False, "Hires. fix")
    hr_upscaler: str = parameter("Latent", "Upscaler")
    hr_second_pass_steps: int = parameter(
        0, "Hires steps", minimum=0, maximum=150, step=1, highest=MOST_STEPS, info="0 = as many as the first pass."
    )
    denoising_strength: float = parameter(
        0.7,
        "Denoising strength",
        minimum=0.0,
        maximum=1.0,
        step=0.01,
        highest=1000.0,  # draws as 1, as in A1111
        info="How much the second pass may change.",
    )
    hr_scale: float = parameter(2.0, "Upscale by", minimum=1.0, maximum=4.0, step=0.05, lowest=0.05, highest=32.0)
    hr_resize_x: int = parameter(
        0,
        "Resize width to",
        minimum=0,
        maximum=2048,
        step=8,
        highest=LONGEST_SIDE,
        info="0 = as “Upscale by” or the height says.",
    )
    hr_resize_y: int = parameter(
        0,
        "Resize height to",
        minimum=0,
        maximum=2048,
        step=8,
        highest=LONGEST_SIDE,
        info="0 = as “Upscale by” or the width says.",
    )
    hr_checkpoint: str = parameter(SAME_CHECKPOINT, "Hires checkpoint")
    hr_sampler: str = parameter(SAME_SAMPLER, "Hires sampling method")
    hr_schedule: str = parameter(SAME_SCHEDULE, "Hires schedule type")
    hr_prompt: str = parameter("", "Hires prompt", info="Empty = the prompt.")
    hr_negative_prompt: str = parameter("", "Hires negative prompt", info="Empty = the negative prompt.")
    extra_noise: float = parameter(0.0, "Extra noise", minimum=0.0, maximum=1.0, step=0.01)
    old_hires_size: bool = parameter(
        False,
        "Width and height are the final size",
        info="As in 2022: the first pass is smaller, of the size below.",
    )
    firstphase_width: int = parameter(0, "Firstpass width", minimum=0, maximum=1024, step=64, info="0 = automatic.")
    firstphase_height: int = parameter(0, "Firstpass height", minimum=0, maximum=1024, step=64, info="0 = automatic.")

    # --- refiner: another model for the end of a run ------------------------------------------------------------------
    refiner_checkpoint: str = parameter(NO_REFINER, "Refiner checkpoint", info="Takes over where little noise is left.")
    refiner_switch_at: float = parameter(
        0.8,
        "Refiner switch at",
        minimum=0.0,
        maximum=1.0,
        step=0.01,
        info="0.8: for the last fifth of the noise levels that the model knows. 1: never.",
    )
    hr_refiner_pass: str = parameter(
        SECOND_PASS, "Refiner with a hires fix", choices=(FIRST_PASS, SECOND_PASS, BOTH_PASSES)
    )
    refiner_by_steps: bool = parameter(
        False, "Switch to the refiner by steps", info="0.8: for the last fifth of the steps, as before 1.9."
    )

    # --- what samplers take besides steps -----------------------------------------------------------------------------
    eta_ancestral: float = parameter(
        1.0,
        "Eta",
        minimum=0.0,
        maximum=1.0,
        step=0.01,
        highest=10.0,  # samplers take no more noise than there is, however much is asked for
        info="Fresh noise per step of ancestral and SDE samplers.",
    )
    eta_ddim: float = parameter(
        0.0, "Eta for DDIM", minimum=0.0, maximum=1.0, step=0.01, info="Fresh noise per step of DDIM."
    )
    s_churn: float = parameter(0.0, "Sigma churn", minimum=0.0, maximum=100.0, step=0.01)
    s_tmin: float = parameter(0.0, "Sigma tmin", minimum=0.0, maximum=10.0, step=0.01)
    s_tmax: float = parameter(0.0, "Sigma tmax", minimum=0.0, maximum=999.0, step=0.01, info="0 = no limit.")
    s_noise: float = parameter(1.0, "Sigma noise", minimum=0.0, maximum=1.1, step=0.001)
    sigma_min: float = parameter(0.0, "Sigma min", minimum=0.0, maximum=1000.0, info="0 = the model’s own.")
    sigma_max: float = parameter(0.0, "Sigma max", minimum=0.0, maximum=10000.0, info="0 = the model’s own.")
    rho: float = parameter(0.0, "Schedule rho", minimum=0.0, maximum=100.0, info="0 = the schedule’s own.")
    discard_penultimate: bool = parameter(False, "Always discard next-to-last sigma")
    keep_penultimate: bool = parameter(
        False, "Never discard it, as in 2022", info="DPM2 and DPM2 a leave that sigma out since 2023."
    )
    sgm_noise_multiplier: bool = parameter(False, "SGM noise multiplier")
    zero_terminal_snr: bool = parameter(False, "Zero terminal SNR")
    downcast_alphas: bool = parameter(
        False, "Downcast alphas_cumprod", info="Noise levels rounded as in releases before 1.8."
    )
    all_timesteps: bool = parameter(
        False, "DDIM and PLMS as before 1.6", info="They take every step; later releases leave out the last."
    )
    beta_alpha: float = parameter(0.6, "Beta schedule alpha", minimum=0.01, maximum=10.0, step=0.01)
    beta_beta: float = parameter(0.6, "Beta schedule beta", minimum=0.01, maximum=10.0, step=0.01)
    unipc_variant: str = parameter("bh1", "UniPC variant", choices=("bh1", "bh2", "vary_coeff"))
    unipc_skip_type: str = parameter(
        "time_uniform", "UniPC skip type", choices=("time_uniform", "time_quadratic", "logSNR")
    )
    unipc_order: int = parameter(3, "UniPC order", minimum=1, maximum=50, step=1)
    unipc_lower_order_final: bool = parameter(True, "UniPC lower order final")
    randn_source: str = parameter(
        "CPU",
        "Random number generator source",
        choices=NOISE_SOURCES,
        info="CPU: the same everywhere. NV: as NVIDIA cards draw. GPU: this machine’s own.",
    )
    ensd: int = parameter(
        0,
        "Eta noise seed delta",
        minimum=0,
        lowest=_SMALLEST_SEED,
        maximum=2**32,
        info="Added to the seed after the first noise.",
    )

    # --- guidance and model -------------------------------------------------------------------------------------------
    s_min_uncond: float = parameter(
        0.0,
        "Negative guidance minimum sigma",
        minimum=0.0,
        maximum=15.0,
        step=0.01,
        info="Below this noise level every other step leaves the negative prompt out, which is faster.",
    )
    s_min_uncond_all: bool = parameter(False, "Negative guidance minimum sigma for all steps")
    skip_early_cond: float = parameter(
        0.0, "Ignore negative prompt during early sampling", minimum=0.0, maximum=1.0, step=0.01
    )
    vae: str = parameter(
        "Automatic", "SD VAE", info="Automatic = the one beside the checkpoint; None = the one inside it."
    )
    tiling: bool = parameter(False, "Tiling", info="A picture whose edges fit each other.")
    clip_skip: int = parameter(1, "Clip skip", minimum=1, maximum=12, step=1)

    token_merging_ratio: float = parameter(
        0.0,
        "Token merging ratio",
        minimum=0.0,
        maximum=0.9,
        step=0.1,
        info="Parts of the picture that are alike are attended to as one: faster, a little less exact. 0 = off.",
    )
    token_merging_ratio_hr: float = parameter(
        0.0, "Token merging ratio for the hires pass", minimum=0.0, maximum=0.9, step=0.1, info="0 = as in the first."
    )

    # --- how prompts are read -----------------------------------------------------------------------------------------
    emphasis: str = parameter("Original", "Emphasis mode", choices=EMPHASIS_CHOICES)
    comma_backtrack: int = parameter(20, "Prompt word wrap length limit", minimum=0, maximum=74, step=1)
    pad_conds: bool = parameter(False, "Pad prompt/negative prompt")
    pad_conds_v0: bool = parameter(False, "Pad prompt/negative prompt as DDIM and PLMS did before 1.6")
    a1111_exact: bool = parameter(False, "Prompt rules: A1111 exact")
    comments: bool = parameter(
        True, "Comments in prompts", info="What stands behind a # is left out, to the end of its line."
    )
    breaks: bool = parameter(True, "BREAK in prompts", info="BREAK begins a new chunk of 75 tokens; else it is a word.")
    old_emphasis: bool = parameter(
        False,
        "Old emphasis implementation",
        info="As before September 2022: brackets weigh, numbers are text, and only 75 tokens are read.",
    )
    old_timelines: bool = parameter(False, "Old prompt editing timelines")
    old_edit_steps: bool = parameter(
        False,
        "Old prompt editing steps",
        info="As in 2022: with samplers that call the model twice a step, prompts change at half the step.",
    )
    preview_every: int = parameter(1, "Live preview every N steps, 0 = off", minimum=0, maximum=150, step=1)

    def __post_init__(self) -> None:
        check_all(self)
        if self.batch_size * self.width * self.height > MOST_PIXELS:
            most = MOST_PIXELS // (self.width * self.height)
            advice = f"draw at most {most} at a time" if most else "choose a smaller width or height"
            raise ParameterError(
                "batch_size" if most else "width",
                f"Batch size {self.batch_size} of {self.width}×{self.height} is more than memory is meant for: "
                f"{advice}.",
            )
        if self.sigma_min and self.sigma_max and self.sigma_min >= self.sigma_max:
            raise ParameterError(
                "sigma_min", f"Sigma min {self.sigma_min:g} must lie below sigma max {self.sigma_max:g}: change one."
            )


def control(name: str) -> Control:
    """The control of the field `name` of `Txt2ImgParams`."""
    return Txt2ImgParams.__dataclass_fields__[name].metadata["control"]


def default(name: str) -> Any:
    """The default of the field `name` of `Txt2ImgParams`."""
    return Txt2ImgParams.__dataclass_fields__[name].default


def one_eta(eta: float, timesteps: bool) -> dict[str, float]:
    """The fields that A1111's one eta stands for. A hires fix may have a sampler of the other kind, so both are set;
    DDIM has no answer to more than 1: where it has no part in the picture, it is not asked.

    Args:
        timesteps: whether the sampler is of DDIM's kind.
    """
    return {"eta_ancestral": eta, "eta_ddim": eta if timesteps else min(eta, 1.0)}


def check_all(params: Any) -> None:
    """Check every field of a dataclass made of `parameter`s.

    Raises:
        ParameterError: naming the first field that cannot be used.
    """
    for field in dataclasses.fields(params):
        check(field.name, getattr(params, field.name), type(field.default), field.metadata["control"])


def check(name: str, value: Any, kind: type, control: Control) -> None:
    """Refuse a value of another kind (int is a float too, bool is no number), out of range or not among the choices.

    Raises:
        ParameterError: naming `name`, the value and what is allowed.
    """
    accepted, in_words = _ACCEPTED[kind]
    fits = isinstance(value, accepted) and not (isinstance(value, bool) and kind is not bool)
    if not fits or (kind is tuple and not _are_texts(value)):
        raise ParameterError(name, f"{control.label} must be {in_words}, not {value!r:.60}.")
    if control.choices and value not in control.choices:
        choices = ", ".join(control.choices)
        raise ParameterError(name, f"{control.label} {value!r:.60} is unknown: choose one of {choices}.")
    if control.taken and not control.taken[0] <= value <= control.taken[1]:
        raise ParameterError(name, f"{control.label} {_outside(value, control)}")


def _outside(value: float, control: Control) -> str:
    if control.range:
        return f"{value} lies outside {control.range}."
    digits = str(value)
    shown = digits if len(digits) <= 24 else f"{digits[:20]}…"
    return f"{shown} is too {'large' if value > 0 else 'small'}: use at most 18 digits, or -1 for any."


def _are_texts(values: Any) -> bool:
    return all(isinstance(value, str) for value in values)


_ACCEPTED: dict[type, tuple[tuple[type, ...], str]] = {
    str: ((str,), "text"),
    bool: ((bool,), "yes or no"),
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
    tuple: ((tuple,), "a list of names"),
}
