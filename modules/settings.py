"""What the user chose once: defaults of the form and how files are written.

Each has the key that A1111 calls it by; `settings_file` reads and writes them. A `Settings` never changes: a change
makes a new one. What belongs to one run only is in `params`.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modules import params
from modules.errors import ParameterError
from modules.params import Control, Txt2ImgParams
from modules.training_params import FORMATS

PICTURE_FORMATS = ("png", "jpg", "webp", "avif")
OTHER = "Other"
LIMITS = "Limits of this server"
SAMPLERS = "Sampler parameters"
GUIDANCE = "Negative prompt"
SPEED = "Speed"


def _setting(key: str, default: Any, control: Control, section: str = OTHER) -> Any:
    """A setting: its A1111 key, and the section of the settings tab in which it appears by itself."""
    return dataclasses.field(default=default, metadata={"key": key, "control": control, "section": section})


def _form_default(key: str, name: str, section: str = OTHER) -> Any:
    """A setting that is the form's default of the field `name`: same label, range and help."""
    return _setting(key, params.default(name), params.control(name), section)


@dataclass(frozen=True)
class Settings:
    """All settings that have a meaning, each with its A1111 key in the field's metadata.

    Attributes:
        other: keys of the file that mean nothing here, kept for the program that wrote them.

    Raises:
        ParameterError: a value outside its range, naming the field.
    """

    checkpoint: str = _setting("sd_model_checkpoint", "", Control("Stable Diffusion checkpoint"), "Model")
    preview_every: int = _form_default("show_progress_every_n_steps", "preview_every", "Live preview")
    emphasis: str = _form_default("emphasis", "emphasis", "Prompts")
    clip_skip: int = _form_default("CLIP_stop_at_last_layers", "clip_skip", "Prompts")
    comma_backtrack: int = _form_default("comma_padding_backtrack", "comma_backtrack", "Prompts")
    pad_conds: bool = _form_default("pad_cond_uncond", "pad_conds", "Prompts")
    breaks: bool = _form_default("prompt_breaks", "breaks", "Prompts")
    old_emphasis: bool = _form_default("use_old_emphasis_implementation", "old_emphasis", "Prompts")
    old_timelines: bool = _form_default("use_old_scheduling", "old_timelines", "Prompts")
    old_edit_steps: bool = _form_default("use_old_edit_steps", "old_edit_steps", "Prompts")
    a1111_exact: bool = _form_default("prompt_rules_a1111_exact", "a1111_exact", "Prompts")
    comments: bool = _form_default("enable_prompt_comments", "comments", "Prompts")
    pad_conds_v0: bool = _form_default("pad_cond_uncond_v0", "pad_conds_v0", "Prompts")
    vae: str = _form_default("sd_vae", "vae", "Model")
    vae_overrides: bool = _setting(
        "sd_vae_overrides_per_model_preferences",
        True,
        Control(
            "The chosen VAE holds for every checkpoint",
            info="Off: only for those that have none of their own, in their card or by name.",
        ),
        "Model",
    )
    tiling: bool = _form_default("tiling", "tiling", "Model")
    randn_source: str = _form_default("randn_source", "randn_source", "Random numbers")
    ensd: int = _form_default("eta_noise_seed_delta", "ensd", "Random numbers")
    eta_ancestral: float = _form_default("eta_ancestral", "eta_ancestral", SAMPLERS)
    eta_ddim: float = _form_default("eta_ddim", "eta_ddim", SAMPLERS)
    s_churn: float = _form_default("s_churn", "s_churn", SAMPLERS)
    s_tmin: float = _form_default("s_tmin", "s_tmin", SAMPLERS)
    s_tmax: float = _form_default("s_tmax", "s_tmax", SAMPLERS)
    s_noise: float = _form_default("s_noise", "s_noise", SAMPLERS)
    sigma_min: float = _form_default("sigma_min", "sigma_min", SAMPLERS)
    sigma_max: float = _form_default("sigma_max", "sigma_max", SAMPLERS)
    rho: float = _form_default("rho", "rho", SAMPLERS)
    discard_penultimate: bool = _form_default("always_discard_next_to_last_sigma", "discard_penultimate", SAMPLERS)
    sgm_noise_multiplier: bool = _form_default("sgm_noise_multiplier", "sgm_noise_multiplier", SAMPLERS)
    downcast_alphas: bool = _form_default("use_downcasted_alpha_bar", "downcast_alphas", SAMPLERS)
    all_timesteps: bool = _form_default("ddim_all_timesteps", "all_timesteps", SAMPLERS)
    beta_alpha: float = _form_default("beta_dist_alpha", "beta_alpha", SAMPLERS)
    beta_beta: float = _form_default("beta_dist_beta", "beta_beta", SAMPLERS)
    unipc_variant: str = _form_default("uni_pc_variant", "unipc_variant", SAMPLERS)
    unipc_skip_type: str = _form_default("uni_pc_skip_type", "unipc_skip_type", SAMPLERS)
    unipc_order: int = _form_default("uni_pc_order", "unipc_order", SAMPLERS)
    unipc_lower_order_final: bool = _form_default("uni_pc_lower_order_final", "unipc_lower_order_final", SAMPLERS)
    s_min_uncond: float = _form_default("s_min_uncond", "s_min_uncond", GUIDANCE)
    s_min_uncond_all: bool = _form_default("s_min_uncond_all", "s_min_uncond_all", GUIDANCE)
    skip_early_cond: float = _form_default("skip_early_cond", "skip_early_cond", GUIDANCE)
    token_merging_ratio: float = _form_default("token_merging_ratio", "token_merging_ratio", SPEED)
    token_merging_ratio_hr: float = _form_default("token_merging_ratio_hr", "token_merging_ratio_hr", SPEED)
    extra_noise: float = _form_default("img2img_extra_noise", "extra_noise", "Hires. fix")
    hr_refiner_pass: str = _form_default("hires_fix_refiner_pass", "hr_refiner_pass", "Hires. fix")
    refiner_by_steps: bool = _form_default("refiner_switch_by_sample_steps", "refiner_by_steps", "Hires. fix")
    save_grid: bool = _setting(
        "grid_save", True, Control("Save an overview (grid) of runs with several pictures"), "Saving pictures"
    )
    grid_rows: int = _setting(
        "n_rows",
        -1,
        Control("Grid rows", -1, 16, 1, info="-1: as square as it gets; 0: one row for each batch."),
        "Saving pictures",
    )
    grid_without_gaps: bool = _setting(
        "grid_prevent_empty_spots", False, Control("Prevent empty spots in grid"), "Saving pictures"
    )
    save_before_hires: bool = _setting(
        "save_images_before_highres_fix",
        False,
        Control("Save a copy of the picture before the hires fix"),
        "Saving pictures",
    )
    picture_format: str = _setting(
        "samples_format",
        "png",
        Control(
            "Format of pictures", choices=PICTURE_FORMATS, info="png loses nothing. All of them hold the parameters."
        ),
        "Saving pictures",
    )
    grid_format: str = _setting(
        "grid_format", "png", Control("Format of overviews", choices=PICTURE_FORMATS), "Saving pictures"
    )
    quality: int = _setting("jpeg_quality", 80, Control("Quality of jpg, webp and avif", 1, 100, 1), "Saving pictures")
    webp_lossless: bool = _setting("webp_lossless", False, Control("Lossless webp"), "Saving pictures")
    picture_names: str = _setting(
        "samples_filename_pattern",
        "",
        Control(
            "Names of pictures",
            info="Empty: [seed], or without subfolders [seed]-[prompt_spaces]. There are [steps], [cfg], [width], "
            "[height], [sampler], [scheduler], [model_name], [model_hash], [date], [datetime<%H%M>], [styles], "
            "[prompt_words], [prompt_no_styles], [prompt_hash], [image_hash<8>], [generation_number], [user], "
            "[hasprompt<cat|no cat>] and more of A1111’s.",
        ),
        "Saving pictures",
    )
    number_pictures: bool = _setting(
        "save_images_add_number",
        True,
        Control("Begin names with a number", info="Without it, a name that is there already gets -1, -2 … behind it."),
        "Saving pictures",
    )
    save_to_folders: bool = _setting("save_to_dirs", True, Control("Sort pictures into subfolders"), "Saving pictures")
    grids_to_folders: bool = _setting(
        "grid_save_to_dirs", True, Control("Sort overviews into subfolders"), "Saving pictures"
    )
    folder_names: str = _setting(
        "directories_filename_pattern",
        "[date]",
        Control(
            "Names of subfolders", info="As names of pictures; / leads into a further folder. Empty: [prompt_words]."
        ),
        "Saving pictures",
    )
    long_grid_names: bool = _setting(
        "grid_extended_filename", False, Control("Names of overviews tell seed and prompt"), "Saving pictures"
    )
    show_grid: bool = _setting(
        "return_grid",
        True,
        Control("Begin answers to programs with the overview", info="Of runs with several pictures, at /sdapi/v1."),
        "Saving pictures",
    )
    sign_pictures: bool = _setting(
        "add_user_name_to_info",
        False,
        Control("Write who is logged in into pictures", info="As “User” among their parameters."),
        "Saving pictures",
    )
    save_text: bool = _setting(
        "save_txt",
        False,
        Control("Write a text file beside every picture", info="With its parameters, which are in the picture too."),
        "Saving pictures",
    )
    jpg_copies: bool = _setting(
        "export_for_4chan",
        True,
        Control(
            "Save a JPG copy beside large pictures",
            info="Small enough to be sent and posted, with the same parameters. The next two say what is large.",
        ),
        "Saving pictures",
    )
    jpg_copy_above: float = _setting(
        "img_downscale_threshold",
        4.0,
        Control("JPG copy of files larger than (MB)", 0.0, 1000.0, 0.1),
        "Saving pictures",
    )
    jpg_copy_side: int = _setting(
        "target_side_length",
        4000,
        Control(
            "JPG copy of pictures wider or higher than (pixels)",
            64,
            65_500,
            1,
            info="The copy is made smaller, so that its longer side has this length.",
        ),
        "Saving pictures",
    )
    log_copies: bool = _setting(
        "save_write_log_csv",
        True,
        Control(
            "Note saved copies in log.csv",
            info="Of “Save a copy” below the picture: a table in log/images, one row for each, with prompt and seed.",
        ),
        "Saving pictures",
    )
    embedding_format: str = _setting(
        "studio_embedding_format",
        "safetensors",
        Control(
            "Format of new embeddings",
            choices=FORMATS,
            info="pt: as A1111 of 2022 reads them. For Create, Use this, and runs that name no format.",
        ),
        "Training",
    )
    most_steps: int = _setting(
        "studio_most_steps", params.MOST_STEPS, Control("Most sampling steps", 1, params.MOST_STEPS, 1), LIMITS
    )
    longest_side: int = _setting(
        "studio_longest_side",
        params.LONGEST_SIDE,
        Control("Largest width and height", 64, params.LONGEST_SIDE, 8),
        LIMITS,
    )
    most_pictures: int = _setting("studio_most_pictures", 800, Control("Most pictures of one run", 1, 800, 1), LIMITS)
    other: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        for field in fields():
            params.check(field.name, getattr(self, field.name), type(field.default), field.metadata["control"])

    def changed(self, **values: Any) -> "Settings":
        """The same settings with some values replaced, by field name.

        Raises:
            ParameterError: no such setting, or a value outside its range.
        """
        for name in values:
            if name not in {field.name for field in fields()}:
                raise ParameterError(name, f"There is no setting “{name}”.")
        return dataclasses.replace(self, **values)

    def check_limits(self, wanted: Txt2ImgParams, size: tuple[int, int]) -> None:
        """Refuse a run that is larger than this server is to take on.

        Args:
            size: (width, height) of its largest picture.

        Raises:
            ParameterError: naming the first field that is too large.
        """
        counts = {
            "steps": (wanted.steps, self.most_steps),
            "hr_second_pass_steps": (wanted.hr_second_pass_steps, self.most_steps),
            "width": (size[0], self.longest_side),
            "height": (size[1], self.longest_side),
            "batch_count": (wanted.batch_count * wanted.batch_size, self.most_pictures),
        }
        for name, (value, most) in counts.items():
            if value > most:
                raise ParameterError(
                    name, f"{params.control(name).label} {value} is more than this server takes: {most}."
                )

    def form_defaults(self) -> dict[str, Any]:
        """The defaults for `Txt2ImgParams` that are settings, by field name."""
        shared = {field.name for field in dataclasses.fields(Txt2ImgParams)}
        return {field.name: getattr(self, field.name) for field in fields() if field.name in shared}


def control(name: str) -> Control:
    """The control of the setting `name`."""
    return Settings.__dataclass_fields__[name].metadata["control"]


def key(name: str) -> str:
    """The key of the setting `name` in the file, which is A1111's."""
    return Settings.__dataclass_fields__[name].metadata["key"]


def as_ours(name: str, value: Any) -> Any:
    """A value as other programs write it, as the setting `name` has it; what is no such spelling stays as it is."""
    if name == "preview_every" and value == -1:  # A1111's “only after a batch”: none while it is drawn
        return 0
    if name in ("picture_format", "grid_format") and isinstance(value, str):  # typed there, not chosen
        return {"jpeg": "jpg"}.get(value.lower(), value.lower())
    if isinstance(value, float) and value.is_integer() and type(Settings.__dataclass_fields__[name].default) is int:
        return int(value)  # 2.0, as sliders of other versions store it
    return value


def sections() -> dict[str, list[str]]:
    """The names of all settings by section, both in the order of the class; what has no section comes last."""
    found: dict[str, list[str]] = {}
    for field in fields():
        found.setdefault(field.metadata["section"], []).append(field.name)
    rest = found.pop(OTHER, [])
    return {**found, OTHER: rest} if rest else found


def fields() -> list[dataclasses.Field[Any]]:
    """The fields of `Settings` that are settings."""
    return [field for field in dataclasses.fields(Settings) if field.name != "other"]
