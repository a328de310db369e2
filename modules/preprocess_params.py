"""How a folder of photos becomes a folder to train on: the fields that page, API and command line share."""

from dataclasses import dataclass

from modules.errors import ParameterError
from modules.params import check_all, parameter

CAPTION_ACTIONS = ("ignore", "copy", "prepend", "append")
MAXIMIZE_AREA, MINIMIZE_ERROR = OBJECTIVES = ("Maximize area", "Minimize error")
SIZE_STEP = 8  # a latent pixel

_FLIP_WARNING = "Doubles the set. Not for a face: no face is symmetric, and its mirror image is another person."
_CAPTIONER = "Each picture is described by a model that has to lie on this machine."


@dataclass(frozen=True)
class PreprocessParams:
    """One run over a folder. Several tools may be on: each adds its pictures.

    Raises:
        ParameterError: a value outside its range, naming the field.

    Source of names, labels, defaults and ranges: A1111 v1.6, which still had this form in its Train tab.
    """

    source: str = parameter("", "Source directory")
    destination: str = parameter("", "Destination directory")
    width: int = parameter(512, "Width", minimum=64, maximum=2048, step=SIZE_STEP)
    height: int = parameter(512, "Height", minimum=64, maximum=2048, step=SIZE_STEP)
    caption_action: str = parameter(
        "ignore",
        "Existing Caption txt Action",
        choices=CAPTION_ACTIONS,
        info="What becomes of a text that lies beside a photo: left out, taken alone, or put before or behind.",
    )
    keep_original_size: bool = parameter(False, "Keep original size")
    flip: bool = parameter(False, "Create flipped copies", info=_FLIP_WARNING)
    split: bool = parameter(False, "Split oversized images")
    split_threshold: float = parameter(0.5, "Split image threshold", minimum=0.0, maximum=1.0, step=0.05)
    overlap_ratio: float = parameter(0.2, "Split image overlap ratio", minimum=0.0, maximum=0.9, step=0.05)
    focal_crop: bool = parameter(False, "Auto focal point crop")
    face_weight: float = parameter(0.9, "Focal point face weight", minimum=0.0, maximum=1.0, step=0.05)
    entropy_weight: float = parameter(0.15, "Focal point entropy weight", minimum=0.0, maximum=1.0, step=0.05)
    edges_weight: float = parameter(0.5, "Focal point edges weight", minimum=0.0, maximum=1.0, step=0.05)
    focal_debug: bool = parameter(
        False, "Create debug image", info="Shows what was found in each photo, in a folder “debug” of its own."
    )
    auto_sized_crop: bool = parameter(False, "Auto-sized crop")
    dimension_lower: int = parameter(384, "Dimension lower bound", minimum=64, maximum=2048, step=SIZE_STEP)
    dimension_upper: int = parameter(768, "Dimension upper bound", minimum=64, maximum=2048, step=SIZE_STEP)
    area_lower: int = parameter(64 * 64, "Area lower bound", minimum=64 * 64, maximum=2048 * 2048, step=1)
    area_upper: int = parameter(640 * 640, "Area upper bound", minimum=64 * 64, maximum=2048 * 2048, step=1)
    objective: str = parameter(MAXIMIZE_AREA, "Resizing objective", choices=OBJECTIVES)
    error_threshold: float = parameter(0.1, "Error threshold", minimum=0.0, maximum=1.0, step=0.01)
    blip: bool = parameter(False, "Use BLIP for caption", info=_CAPTIONER)

    def __post_init__(self) -> None:
        check_all(self)
        for name in ("width", "height", "dimension_lower", "dimension_upper"):
            if getattr(self, name) % SIZE_STEP:
                label = self.__dataclass_fields__[name].metadata["control"].label
                raise ParameterError(name, f"{label} {getattr(self, name)} is not a multiple of {SIZE_STEP}.")
        for lower, upper in (("dimension_lower", "dimension_upper"), ("area_lower", "area_upper")):
            if getattr(self, lower) > getattr(self, upper):
                what = lower.partition("_")[0]
                raise ParameterError(lower, f"The lower bound of the {what} lies above the upper one: exchange them.")

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the pictures to write."""
        return self.width, self.height
