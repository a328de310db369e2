"""A1111's names and ours: the one place where they meet. What is not listed has the same name on both sides."""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from modules.errors import ParameterError
from modules.script_params import ScriptParams

TXT2IMG: Mapping[str, str] = {
    # ours: A1111's
    "sampler": "sampler_name",
    "schedule": "scheduler",
    "batch_count": "n_iter",
    "hr_checkpoint": "hr_checkpoint_name",
    "hr_sampler": "hr_sampler_name",
    "hr_schedule": "hr_scheduler",
    "checkpoint": "sd_model_checkpoint",  # of override_settings
}

TRAIN: Mapping[str, str] = {
    "embedding": "embedding_name",
    "learning_rate": "learn_rate",
    "template": "template_filename",
    "width": "training_width",
    "height": "training_height",
    "preview_sampler": "preview_sampler_name",
}

CREATE: Mapping[str, str] = {"vectors_per_token": "num_vectors_per_token"}

# A1111's settings that are fields of the form here and no settings: for one request in override_settings, or kept.
FORM_SETTINGS: Mapping[str, str] = {
    # A1111's: ours
    "use_old_hires_fix_width_height": "old_hires_size",
}

# The same for settings whose choices are switches here: (our field, what each choice means), the usual one first.
FORM_CHOICES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "sd_noise_schedule": ("zero_terminal_snr", {"Default": False, "Zero Terminal SNR": True}),
}

# Where A1111's interface takes another value than its page, if a request says nothing.
TXT2IMG_DEFAULTS: Mapping[str, Any] = {
    "sampler": "Euler",
    "steps": 50,
    "denoising_strength": 0.75,
    "refiner_switch_at": 0.0,  # a refiner without a place to begin draws everything
}

# Fields that the file of a checkpoint may recommend, by our names: before the defaults, if a request says nothing.
RECOMMENDED = ("width", "height", "steps", "sampler", "schedule", "cfg_scale")

# Fields of A1111's request whose work is not done here: with one of these values they ask for nothing.
ABSENT: Mapping[str, tuple[Any, ...]] = {
    "restore_faces": (None, False),
}

# Fields in which 0 says nothing, as in A1111: then the setting holds.
ZERO_IS_NOTHING = frozenset(("token_merging_ratio", "token_merging_ratio_hr"))

# The same for settings that mean several fields, with what switching them on means.
FORM_SWITCHES: Mapping[str, Mapping[str, Any]] = {
    "use_old_karras_scheduler_sigmas": {"sigma_min": 0.1, "sigma_max": 10.0},
}

# Fields that name something: empty ones say nothing, as in A1111.
NAMES = frozenset(
    ("sampler", "schedule", "hr_checkpoint", "hr_sampler", "hr_schedule", "hr_upscaler", "refiner_checkpoint", "vae")
)

# Settings that only somebody at the machine may change: a request could lift the limits that were set for it, or say
# where files go, which A1111 keeps from requests too. Its own folders (outdir_…) mean nothing here.
RESTRICTED = (
    "studio_most_steps",
    "studio_longest_side",
    "studio_most_pictures",
    "samples_filename_pattern",
    "directories_filename_pattern",
)

# Fields with which nobody can draw here what A1111 draws: one value of the request means several of ours.
ETA = "eta"  # of whichever kind of sampler is used
ETAS = ("eta_ancestral", "eta_ddim")


_SCRIPT = frozenset(field.name for field in dataclasses.fields(ScriptParams))  # sent by their place


def theirs(names: Mapping[str, str], ours: str) -> str:
    """A1111's name of a field."""
    return names.get(ours, ours)


def in_their_words(names: Mapping[str, str], error: ParameterError, asked: Collection[str] = ()) -> ParameterError:
    """The error with A1111's name of the field, as the request has it, before its sentence."""
    name = theirs(names, error.field)
    if ETA in asked and error.field in ETAS:
        name = ETA
    elif error.field == "sampler" and name not in asked and "sampler_index" in asked:
        name = "sampler_index"
    elif error.field in _SCRIPT:
        name = "script_args"
    return ParameterError(error.field, f"{name}: {error}")
