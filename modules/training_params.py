"""What one training run is made from, and values that suit a set of photos.

As in `params`, each field carries its label, range and help text, and front ends make their controls from the fields.
Names are A1111's, so that its `settings-*.json` can be read. Nothing here knows what trains.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modules.errors import ParameterError
from modules.params import Control, check_all, parameter

LATENT_SAMPLING = ("once", "deterministic", "random")
TIMESTEP_SAMPLING = ("random", "even", "middle", "noisy")
LOSS_WEIGHTING = ("none", "min-SNR")
RATE_DECAY = ("none", "cosine")
GRADIENT_CLIPPING = ("disabled", "value", "norm")
FORMATS = ("safetensors", "pt")
FEWEST_FOR_HELD_OUT = 8  # with fewer photos, each one is needed for learning
PRESETS = ("face", "object", "style", "as in A1111")
PICTURES_A_STEP = 8  # at one, the demo model learned 14 points less from as many: docs/learning.md
SMALL_PIXELS = 256 * 256  # of a picture of which several fit into any memory
PLAIN_ALGORITHM: Mapping[str, Any] = {  # textual inversion as its paper has it, and A1111
    "relative_rate": False,
    "rate_decay": "none",
    "timestep_sampling": "random",
    "loss_weighting": "none",
    "small_first": 0.0,
    "averaging": 0.0,
    "keep_length": 0.0,
    "equal_pull": False,
}


@dataclass(frozen=True)
class TrainParams:
    """Everything that decides a training run, besides model, embedding and photos.

    The defaults are those of the preset “face” for twenty photos; `advise` gives those for other sets.

    Raises:
        ParameterError: a value outside its range, naming the field.

    Source of names, labels and ranges: A1111 v1.10. Its own: up to `tag_drop_out` and the previews; the rest is ours.
    """

    embedding: str = parameter("", "Embedding")
    learning_rate: str = parameter(
        "0.02",
        "Embedding Learning rate",
        info="A rate, or rate:until_step, …: “0.005:100, 1e-3:1000, 1e-5”.",
    )
    relative_rate: bool = parameter(
        True,
        "Rate in proportion to the model's words",
        info="The same rate then means the same for models whose words are vectors of another length than SD 1's.",
    )
    rate_decay: str = parameter(
        "cosine", "Decay of the rate", choices=RATE_DECAY, info="cosine: falls smoothly from the rate above to nothing."
    )
    timestep_sampling: str = parameter(
        "even", "Choose timesteps", choices=TIMESTEP_SAMPLING, info="even: spread over all noise levels, less by luck."
    )
    loss_weighting: str = parameter(
        "none",
        "Weight of the loss",
        choices=LOSS_WEIGHTING,
        info="min-SNR: timesteps with little noise count less.",
    )
    small_first: float = parameter(
        0.0,
        "Begin with small pictures",
        minimum=0,
        maximum=0.9,
        step=0.05,
        info="Share of the steps that learn from photos of half the size, which takes a quarter of the time.",
    )
    averaging: float = parameter(
        0.9,
        "Average the vectors",
        minimum=0,
        maximum=0.999,
        step=0.001,
        info="Snapshots hold a running mean over about 1 / (1 - value) steps; 0: the vectors as they are.",
    )
    keep_length: float = parameter(
        0.0,
        "Keep the vectors as long as words",
        minimum=0,
        maximum=1,
        step=0.05,
        info="How far each step goes back to the length it began with. Much longer vectors may drown a prompt.",
    )
    equal_pull: bool = parameter(
        True,
        "Every picture pulls equally",
        info="Of the pictures of a step, none has a longer gradient than the others: those with little noise would.",
    )
    clip_grad_mode: str = parameter("disabled", "Gradient Clipping", choices=GRADIENT_CLIPPING)
    clip_grad_value: str = parameter("0.1", "Gradient clip value", info="Same form as the learning rate.")
    batch_size: int = parameter(1, "Batch size", minimum=1, maximum=64, step=1)
    gradient_step: int = parameter(8, "Gradient accumulation steps", minimum=1, maximum=256, step=1)
    data_root: str = parameter("", "Dataset directory")
    log_directory: str = parameter("textual_inversion", "Log directory", info="A folder below the data folder.")
    template: str = parameter("subject_filewords.txt", "Prompt template")
    width: int = parameter(512, "Width", minimum=64, maximum=2048, step=8)
    height: int = parameter(512, "Height", minimum=64, maximum=2048, step=8)
    varsize: bool = parameter(False, "Do not resize images", info="Larger ones are still made smaller, in their shape.")
    steps: int = parameter(200, "Max steps", minimum=1, maximum=1_000_000, step=1)
    create_image_every: int = parameter(
        15,
        "Save an image to log directory every N steps, 0 to disable",
        minimum=0,
        maximum=1_000_000,
        step=1,
    )
    save_embedding_every: int = parameter(
        15,
        "Save a copy of embedding to log directory every N steps, 0 to disable",
        minimum=0,
        maximum=1_000_000,
        step=1,
    )
    use_weight: bool = parameter(False, "Use PNG alpha channel as loss weight")
    save_image_with_stored_embedding: bool = parameter(True, "Save images with embedding in PNG chunks")
    shuffle_tags: bool = parameter(False, "Shuffle tags by ',' when creating prompts.")
    tag_drop_out: float = parameter(0.0, "Drop out tags when creating prompts.", minimum=0, maximum=1, step=0.1)
    latent_sampling_method: str = parameter("random", "Choose latent sampling method", choices=LATENT_SAMPLING)
    preview_prompt: str = parameter("", "Preview prompt", info="Empty: the first line of the template.")
    preview_negative_prompt: str = parameter("", "Preview negative prompt")
    preview_steps: int = parameter(20, "Preview sampling steps", minimum=1, maximum=150, step=1)
    preview_sampler: str = parameter("DPM++ 2M", "Preview sampling method")
    preview_cfg_scale: float = parameter(7.0, "Preview CFG Scale", minimum=1.0, maximum=30.0, step=0.5)
    preview_seed: int = parameter(
        -1, "Preview seed", minimum=-1, maximum=2**63 - 1, step=1, info="-1: one drawn at the start, kept for the run."
    )
    preview_width: int = parameter(
        0, "Preview width", minimum=0, maximum=2048, step=8, info="0: the width of training."
    )
    preview_height: int = parameter(
        0, "Preview height", minimum=0, maximum=2048, step=8, info="0: the height of training."
    )
    held_out: int = parameter(
        2,
        "Photos set aside",
        minimum=0,
        maximum=20,
        step=1,
        info="Never learned from; they tell learning from copying.",
    )
    held_out_every: int = parameter(
        10,
        "Measure the held-out loss every N steps, 0 to disable",
        minimum=0,
        maximum=1_000_000,
        step=1,
    )
    save_state_every: int = parameter(
        10, "Save the state every N steps", minimum=1, maximum=1_000_000, step=1, info="Lost at most, if killed."
    )
    write_csv_every: int = parameter(
        1, "Save an csv containing the loss to log directory every N steps", minimum=0, maximum=100_000, step=1
    )
    seed: int = parameter(
        -1, "Seed of the training", minimum=-1, maximum=2**63 - 1, step=1, info="-1: another one each time."
    )
    clip_skip: int = parameter(1, "Clip skip", minimum=1, maximum=12, step=1)
    gradient_checkpointing: bool = parameter(False, "Save memory, a third slower", info="Gradient checkpointing.")
    file_format: str = parameter("safetensors", "Format of the files", choices=FORMATS)
    filename_word_regex: str = parameter("", "Filename word regex")
    filename_join_string: str = parameter(" ", "Filename join string")

    def __post_init__(self) -> None:
        check_all(self)
        for name in ("width", "height", "preview_width", "preview_height"):
            size = getattr(self, name)
            if size % 8 or 0 < size < 64:
                raise ParameterError(name, f"{control(name).label} {size} is not a multiple of 8 from 64 on.")

    @property
    def digest(self) -> str:
        """sha256 of all values: files made by the same settings carry the same one."""
        return hashlib.sha256(json.dumps(dataclasses.asdict(self), sort_keys=True).encode()).hexdigest()


def from_mapping(values: Mapping[str, Any]) -> TrainParams:
    """The parameters stored in a mapping by field name; other keys are left alone.

    Runs that say nothing about the algorithm are older than its fields, and were plain.

    Raises:
        ParameterError: a value outside its range.
    """
    known = {field.name for field in dataclasses.fields(TrainParams)}
    return TrainParams(**{**PLAIN_ALGORITHM, **{name: value for name, value in values.items() if name in known}})


def control(name: str) -> Control:
    """The control of the field `name` of `TrainParams`."""
    return TrainParams.__dataclass_fields__[name].metadata["control"]


def default(name: str) -> Any:
    """The default of the field `name` of `TrainParams`."""
    return TrainParams.__dataclass_fields__[name].default


@dataclass(frozen=True)
class Advice:
    """Values for some fields of `TrainParams`, and for each the reason, as a sentence."""

    values: Mapping[str, Any]
    reasons: Mapping[str, str]


def advise(photo_count: int, preset: str = "face", native_size: tuple[int, int] = (512, 512)) -> Advice:
    """Values that suit a set of photos.

    Args:
        photo_count: how many can be learned from.
        preset: one of `PRESETS`.
        native_size: (width, height) that the model was made for.

    Raises:
        ParameterError: no such preset.
    """
    if preset not in PRESETS:
        raise ParameterError("preset", f"There is no preset “{preset}”: choose one of {', '.join(PRESETS)}.")
    if preset == "as in A1111":
        return _as_in_a1111()
    width, height = native_size
    steps = min(max(10 * photo_count, 100), 400)
    every = max(5, round(steps / 15 / 5) * 5)
    small = width * height <= SMALL_PIXELS
    at_once = PICTURES_A_STEP if small else 1
    rate = "0.06" if small else "0.02"
    template = {"face": "subject_filewords.txt", "object": "subject.txt", "style": "style_filewords.txt"}[preset]
    held_out = 2 if photo_count >= FEWEST_FOR_HELD_OUT else 0
    chosen: dict[str, tuple[Any, str]] = {
        "steps": (
            steps,
            f"About 10 steps of {PICTURES_A_STEP} pictures for each of {photo_count} photos, from 100 to 400.",
        ),
        "batch_size": (
            at_once,
            "A small model learns from several pictures at once nearly as fast as from one."
            if at_once > 1
            else "One picture at a time needs the least memory.",
        ),
        "gradient_step": (
            PICTURES_A_STEP // at_once,
            f"Each step follows the mean of {PICTURES_A_STEP} pictures: a single one pulls in a direction of its own.",
        ),
        "learning_rate": (
            rate,
            "The best of those measured on the demo model; it falls from there."
            if small
            else "As far as the schedules go that guides for SD 1 name, which begin at 0.05; it falls from there.",
        ),
        "relative_rate": (True, "Models whose words are longer vectors need longer steps, and get them."),
        "rate_decay": ("cosine", "Large steps find the place, smaller ones settle there: late snapshots differ less."),
        "timestep_sampling": ("even", "Every stretch of steps sees all noise levels, so that luck decides less."),
        "averaging": (0.9, "The mean of the last steps lies nearer to the goal than each of them."),
        "keep_length": (0.0, "Held to the length of words, two of eight persons were lost on the way."),
        "equal_pull": (True, "A few pictures with hardly any noise would else decide each step, mostly by chance."),
        "template": (template, _TEMPLATE_REASONS[preset]),
        "width": (width, "The width that this model was made for."),
        "height": (height, "The height that this model was made for."),
        "held_out": (
            held_out,
            "Photos that are never learned from show when learning turns into copying."
            if held_out
            else f"With fewer than {FEWEST_FOR_HELD_OUT} photos each one is needed for learning.",
        ),
        "latent_sampling_method": ("random", "Each use sees the photo a little differently, at no cost."),
        "create_image_every": (every, "About fifteen samples over the run."),
        "save_embedding_every": (every, "A copy for each sample, so that the one you like can be used."),
        "tag_drop_out": (
            0.1 if preset == "style" else 0.0,
            "A style must not lean on single words of the captions."
            if preset == "style"
            else "Captions stay whole: what they name need not be learned by the embedding.",
        ),
        "shuffle_tags": (preset == "style", "The order of the words in a caption should not matter to a style.")
        if preset == "style"
        else (False, "Captions are read as sentences."),
    }
    return _advice(chosen)


def advise_vectors(photo_count: int, preset: str = "face") -> tuple[int, str]:
    """How many vectors per token suit a set of photos, and why.

    Args:
        photo_count: how many there are; 0: not known yet.
        preset: one of `PRESETS`.
    """
    if preset == "as in A1111":
        return 1, "A1111's own value."
    if preset == "style":
        return 4, "A style is many small things at once: lines, colours, light."
    if 0 < photo_count < 10:
        return 1, f"With {photo_count} photos a second vector would learn the photos by heart."
    return 2, "1 or 2 hold a face; more would follow the rest of the prompt less."


_TEMPLATE_REASONS = {
    "face": "Captions take up what changes (glasses, place, light), so that the embedding learns what stays.",
    "object": "A thing is learned from plain descriptions; choose subject_filewords.txt if the photos have captions.",
    "style": "The captions say what is shown, the embedding learns how it is shown.",
}


def _as_in_a1111() -> Advice:
    why = "A1111's own value."
    fields = {
        "steps": 100_000,
        "batch_size": 1,
        "gradient_step": 1,
        "learning_rate": "0.005",
        **PLAIN_ALGORITHM,
        "template": "style_filewords.txt",
        "width": 512,
        "height": 512,
        "create_image_every": 500,
        "save_embedding_every": 500,
        "write_csv_every": 500,
        "latent_sampling_method": "once",
        "tag_drop_out": 0.0,
        "shuffle_tags": False,
    }
    chosen = {name: (value, why) for name, value in fields.items()}
    chosen["held_out"] = (0, "A1111 learns from every photo.")
    return _advice(chosen)


def _advice(chosen: Mapping[str, tuple[Any, str]]) -> Advice:
    return Advice(
        {name: value for name, (value, _) in chosen.items()}, {name: reason for name, (_, reason) in chosen.items()}
    )
