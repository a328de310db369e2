"""Step ②: photos made ready."""

from dataclasses import dataclass

import gradio as gr

from modules.ui import fragments
from modules.ui.train.context import TrainContext

TEXT = "Here photos are looked at, cropped and captioned before the training."


@dataclass(frozen=True)
class PhotosStep:
    """The components that have something to do."""


def make_step() -> PhotosStep:
    """Build the step inside the column that is open."""
    gr.HTML(fragments.paragraphs([TEXT]), apply_default_css=False)
    return PhotosStep()


def wire(step: PhotosStep, context: TrainContext) -> None:
    """Connect the controls."""
