"""What stands in the txt2img tab for filling its form: `refill` says what it does."""

from dataclasses import dataclass

import gradio as gr

from modules.ui import report

PASTE = "Read the prompt box as a picture’s parameters; if it is empty, take those of the last run"


@dataclass(frozen=True)
class RefillBox:
    """Its components in the txt2img tab.

    Attributes:
        paste: the button beside the prompt.
        overrides: settings that hold for the next runs.
        report: the difference report.
        dropped: takes a file that is dropped on a prompt; nobody sees it.
    """

    paste: gr.Button
    overrides: gr.Dropdown
    report: gr.HTML
    dropped: gr.File


def make_report() -> gr.HTML:
    """The place of the report: by the prompts, so that a phone shows it above the picture."""
    return gr.HTML("", elem_id="txt2img_report", apply_default_css=False, js_on_load=report.CLICKS)


def make_box(paste: gr.Button, report: gr.HTML) -> RefillBox:
    """The list of overrides, above the fields, and what else there is to fill them."""
    return RefillBox(
        paste=paste,
        report=report,
        overrides=gr.Dropdown(
            [],
            value=[],
            multiselect=True,
            allow_custom_value=True,
            visible=False,
            label="Override settings",
            elem_id="txt2img_override_settings",
        ),
        dropped=gr.File(visible="hidden", elem_id="txt2img_dropped"),
    )
