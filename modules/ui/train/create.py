"""Step ①: a new embedding."""

from dataclasses import dataclass

import gradio as gr

from modules.ui import fragments
from modules.ui.train.context import TrainContext

TEXT = "Here a new embedding is created: a word of your own that the model is going to learn."


@dataclass(frozen=True)
class CreateStep:
    """The components that have something to do."""


def make_step() -> CreateStep:
    """Build the step inside the column that is open."""
    gr.HTML(fragments.paragraphs([TEXT]), apply_default_css=False)
    return CreateStep()


def wire(step: CreateStep, context: TrainContext) -> None:
    """Connect the controls."""
