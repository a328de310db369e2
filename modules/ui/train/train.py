"""Step ③: the run."""

from dataclasses import dataclass

import gradio as gr

from modules.ui import fragments
from modules.ui.train.context import TrainContext

TEXT = "Here the embedding learns from the photos."


@dataclass(frozen=True)
class TrainStep:
    """The components that have something to do."""


def make_step() -> TrainStep:
    """Build the step inside the column that is open."""
    gr.HTML(fragments.paragraphs([TEXT]), apply_default_css=False)
    return TrainStep()


def wire(step: TrainStep, context: TrainContext) -> None:
    """Connect the controls."""
