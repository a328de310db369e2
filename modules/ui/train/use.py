"""Step ⑤: the chosen one put into use."""

from dataclasses import dataclass

import gradio as gr

from modules.ui import fragments
from modules.ui.train.context import TrainContext

TEXT = "Here the chosen snapshot is put into use, under the name that you write in prompts."


@dataclass(frozen=True)
class UseStep:
    """The components that have something to do."""


def make_step() -> UseStep:
    """Build the step inside the column that is open."""
    gr.HTML(fragments.paragraphs([TEXT]), apply_default_css=False)
    return UseStep()


def wire(step: UseStep, context: TrainContext) -> None:
    """Connect the controls."""
