"""Other models that take part in a run: the one of the second pass of a hires fix, and the refiner. No torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from modules.errors import ParameterError
from modules.model.checkpoint import Checkpoint
from modules.params import BOTH_PASSES, FIRST_PASS, NO_REFINER, SAME_CHECKPOINT, SECOND_PASS, Txt2ImgParams

_NONE = ("", NO_REFINER, SAME_CHECKPOINT)  # programs send any of them


@dataclass(frozen=True)
class Partners:
    """The models of a run besides its own; None where its own does that part too.

    Attributes:
        hires: draws the second pass of a hires fix.
        refiner: draws the end of the passes that it is wanted for.
    """

    hires: Checkpoint | None = None
    refiner: Checkpoint | None = None

    @classmethod
    def of(cls, params: Txt2ImgParams, own: Checkpoint, find: Callable[[str], Checkpoint]) -> "Partners":
        """The models that a form asks for.

        Args:
            own: the model of the run.
            find: the checkpoint behind a title, or a ParameterError.

        Raises:
            ParameterError: there is no such checkpoint.
        """
        found = {field: find(name) for field, name in wanted(params).items()}
        hires, refiner = found.get("hr_checkpoint"), found.get("refiner_checkpoint")
        hires = hires if hires and hires.path != own.path else None
        drawing = [model for second, model in ((False, own), (True, hires or own)) if refines(params, second)]
        other = refiner and any(model.path != refiner.path for model in drawing)
        return cls(hires, refiner if other else None)


NOBODY = Partners()


def wanted(params: Txt2ImgParams) -> Mapping[str, str]:
    """The names of other checkpoints by the field that asks for them, as far as the run uses them."""
    found = {"hr_checkpoint": params.hr_checkpoint if params.enable_hr else ""}
    found["refiner_checkpoint"] = params.refiner_checkpoint if params.refiner_switch_at < 1 else ""
    return {field: name for field, name in found.items() if name not in _NONE}


def check(params: Txt2ImgParams, find: Callable[[str], Checkpoint]) -> None:
    """Refuse a checkpoint that is not there.

    Raises:
        ParameterError: naming the field that asks for it.
    """
    for field, name in wanted(params).items():
        try:
            find(name)
        except ParameterError as error:
            raise ParameterError(field, str(error)) from error


def refines(params: Txt2ImgParams, second: bool) -> bool:
    """Whether a refiner is wanted for a pass: without a hires fix for the only one.

    Args:
        second: the pass over the enlarged picture.
    """
    if not params.enable_hr:
        return not second
    return params.hr_refiner_pass in (BOTH_PASSES, SECOND_PASS if second else FIRST_PASS)
