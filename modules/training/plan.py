"""What can be refused before a run starts, beside the field that is wrong. Loads no torch."""

import re
from collections.abc import Sequence
from pathlib import Path

from modules.errors import ParameterError
from modules.files import folder_of, inside
from modules.paths import Paths
from modules.samplers import names
from modules.training.learning_rate import RateSchedule, parse_rates
from modules.training.photos import overviews, photo_files
from modules.training.prompts import read_template
from modules.training_params import TrainParams


def check(params: TrainParams, paths: Paths, roots: Sequence[Path] = ()) -> None:
    """Look at everything that needs no model.

    Args:
        roots: where the photos have to lie, if there are any.

    Raises:
        ParameterError: naming the field, what is wrong, and what to do.
    """
    if not params.embedding:
        raise ParameterError("embedding", "No embedding is chosen: create one first, then choose it here.")
    rates(params, 0)
    clipping(params, 0)
    folder = folder_of(params.data_root, "data_root", roots)
    if not photo_files(folder):
        told = " ".join([f"There are no pictures in “{params.data_root}”: put some there.", *overviews(folder)])
        raise ParameterError("data_root", told)
    read_template(params.template, paths.template_folders)
    log_root(params, paths)
    try:
        names.find(params.preview_sampler, "Automatic")
    except ParameterError as error:
        raise ParameterError("preview_sampler", str(error)) from error
    try:
        re.compile(params.filename_word_regex)
    except (re.error, OverflowError, RecursionError) as error:  # the last two: numbers and brackets beyond measure
        raise ParameterError("filename_word_regex", f"The filename word regex cannot be read: {error}.") from error


def check_start(params: TrainParams, first_step: int) -> None:
    """Look at what depends on how far the embedding is trained already.

    Args:
        first_step: steps that the embedding has behind it.

    Raises:
        ParameterError: nothing is left to train, or no rate for it.
    """
    if first_step >= params.steps:
        raise ParameterError(
            "steps",
            f"“{params.embedding}” is already trained beyond max steps: it has {first_step} steps. Raise max steps.",
        )
    rates(params, first_step)
    clipping(params, first_step)


def rates(params: TrainParams, first_step: int) -> RateSchedule:
    """The learning rates of a run that has `first_step` steps behind it.

    Raises:
        ParameterError: no schedule, or a rate that is not above zero.
    """
    return _positive(parse_rates(params.learning_rate, params.steps, first_step), "learning_rate")


def clipping(params: TrainParams, first_step: int) -> RateSchedule | None:
    """The limits of gradient clipping; None if it is off.

    Raises:
        ParameterError: no schedule, or a limit that is not above zero.
    """
    if params.clip_grad_mode == "disabled":
        return None
    schedule = parse_rates(params.clip_grad_value, params.steps, first_step, "clip_grad_value")
    return _positive(schedule, "clip_grad_value")


def log_root(params: TrainParams, paths: Paths) -> Path:
    """The folder that runs go to.

    Raises:
        ParameterError: it is not below the data folder.
    """
    try:
        return inside(paths.data, params.log_directory or paths.textual_inversion.name)
    except ParameterError as error:
        raise ParameterError("log_directory", str(error)) from error


def _positive(schedule: RateSchedule, field: str) -> RateSchedule:
    if not schedule.is_usable:
        raise ParameterError(field, "Every rate must be a number above zero, such as 0.005.")
    return schedule
