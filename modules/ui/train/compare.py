"""Step ④: which snapshot is best."""

from dataclasses import dataclass

import gradio as gr

from modules.ui import fragments
from modules.ui.train.context import TrainContext

TEXT = "Here the snapshots of a run stand side by side, and the best one is recommended."


@dataclass(frozen=True)
class CompareStep:
    """The components that have something to do."""


def make_step() -> CompareStep:
    """Build the step inside the column that is open."""
    gr.HTML(fragments.paragraphs([TEXT]), apply_default_css=False)
    return CompareStep()


def wire(step: CompareStep, context: TrainContext) -> None:
    """Connect the controls."""
