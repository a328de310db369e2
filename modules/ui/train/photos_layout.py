"""Step ②: where each of its controls stands. What they do is wired in `photos`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from modules.preprocess.albums import FRESH
from modules.preprocess.uploads import MAX_BYTES
from modules.preprocess_params import PreprocessParams
from modules.ui import fragments
from modules.ui.controls import unseen_text
from modules.ui.train import photos_form, photos_view
from modules.ui.train.photos_form import make_control
from modules.ui.wiring import BROWSER_SECRET

SCRIPTS = ("light_table.js", "light_table_crop.js", "light_table_server.js")
TOOLS_ADD = "Each of these tools adds its pictures to those that are cropped as shown."
ACTIONS = (
    "What becomes of a caption that is there when BLIP describes: replaced (ignore), kept alone (copy), or put before "
    "or behind BLIP’s words."
)


@dataclass(frozen=True)
class PhotosStep:
    """The components that have something to do.

    Attributes:
        controls: the form, by field name of `PreprocessParams`.
        source: the folder that is open; what the text box says counts only when it is opened.
        remembered: the same, in the browser's memory.
        groups: the folded groups, by the names of `photos_form.group_titles`.
        size_later: stands in for the size while a model is being loaded.
        size_told: the size that this page was told last, as JSON, which nobody sees: what its form says besides was set
            by hand, while the server may have told another one that is still under way.
        parts: what is shown while a tool is on, by its field; the “size” once it is known.
    """

    controls: dict[str, Any]
    source: gr.State
    remembered: gr.BrowserState
    open: gr.Button
    table: gr.HTML
    status: gr.HTML
    report: gr.HTML
    ratio: gr.Dropdown
    size_later: gr.HTML
    size_told: gr.Textbox
    groups: dict[str, gr.Accordion]
    parts: dict[str, gr.Column]
    blip: gr.HTML
    describe: gr.Button
    fetch: gr.Button
    write: gr.Button
    interrupt: gr.Button
    result: gr.HTML
    told: gr.HTML


def make_step() -> PhotosStep:
    """Build the step inside the column that is open."""
    controls: dict[str, Any] = {}

    def control(name: str, **options: Any) -> None:
        controls[name] = make_control(name, **options)

    source = gr.State("")
    remembered = gr.BrowserState("", storage_key="photos_source", secret=BROWSER_SECRET)
    with gr.Row(elem_id="photos_source"):
        control("source", placeholder="a folder of photos on this machine", scale=1)
        open_folder = gr.Button("Look at them", elem_id="photos_open", scale=0)
    status = _html("photos_status")
    table = gr.HTML(
        None,
        html_template=f'<div class="photos_table" data-max-bytes="{MAX_BYTES}"></div>',
        js_on_load="\n".join(Path(__file__).with_name(name).read_text(encoding="utf-8") for name in SCRIPTS),
        elem_id="photos_table",
        apply_default_css=False,
    )
    groups: dict[str, gr.Accordion] = {}
    parts: dict[str, gr.Column] = {}
    titles = photos_form.group_titles(PreprocessParams(focal_crop=True))
    size_told = unseen_text(value=json.dumps(FRESH.size))
    with gr.Row(elem_id="photos_bottom"):
        with gr.Column(elem_id="photos_groups", scale=3, min_width=280):
            with gr.Accordion(photos_form.SIZE_OF_MODEL, open=False) as groups["size"]:
                size_later = _html("photos_size_later")
                with gr.Column(visible=False) as parts["size"]:
                    ratio = gr.Dropdown(
                        [*photos_form.RATIOS, photos_form.FREE],
                        value=photos_form.ratio_of(512, 512),
                        label="Ratio",
                        elem_id="photos_ratio",
                        info="A model was trained on squares of its size: nearest to that, an embedding learns best.",
                    )
                    control("width")
                    control("height")
            with gr.Accordion(titles["crop"], open=False) as groups["crop"]:
                control("focal_crop", value=True, info="Proposes the part with faces and detail; else the middle.")
                with gr.Column() as parts["focal_crop"]:
                    for name in ("face_weight", "entropy_weight", "edges_weight", "focal_debug"):
                        control(name)
            with gr.Accordion(titles["tools"], open=False) as groups["tools"]:
                gr.HTML(fragments.paragraphs([TOOLS_ADD]), apply_default_css=False)
                control("flip")
                control("split", info="Cuts a photo that is far longer than the size into parts that overlap.")
                with gr.Column(visible=False) as parts["split"]:
                    control("split_threshold")
                    control("overlap_ratio")
                control("auto_sized_crop", info="Chooses the size, on a grid of 64 pixels, that is nearest in ratio.")
                with gr.Column(visible=False) as parts["auto_sized_crop"]:
                    for name in ("dimension_lower", "dimension_upper", "area_lower", "area_upper"):
                        control(name)
                    control("objective")
                    control("error_threshold")
                control("keep_original_size", info="Adds each photo as it is: for training without resizing.")
            with gr.Accordion(titles["blip"], open=False) as groups["blip"]:
                blip = _html("photos_blip")
                with gr.Row():
                    fetch = gr.Button(photos_view.fetch_label(None), elem_id="photos_fetch_blip")
                    describe = gr.Button("Describe all photos now", elem_id="photos_describe", interactive=False)
                control("blip", info="Describes, when they are written, the pictures whose caption nobody has changed.")
                control("caption_action", info=ACTIONS)
        with gr.Column(elem_id="photos_end", scale=4, min_width=280):
            report = _html("photos_report")
            control("destination", placeholder="empty: a folder “preprocess” inside the source")
            told = _html("photos_told")
    with gr.Row(elem_id="photos_write"):
        result = _html("photos_result")
        interrupt = gr.Button("Interrupt", elem_id="train_interrupt_preprocessing", interactive=False, scale=0)
        write = gr.Button("Preprocess", variant="primary", elem_id="train_run_preprocess", scale=0)
    return PhotosStep(
        controls, source, remembered, open_folder, table, status, report, ratio, size_later, size_told, groups, parts,
        blip, describe, fetch, write, interrupt, result, told,
    )  # fmt: skip


def _html(elem_id: str) -> gr.HTML:
    return gr.HTML(fragments.NOTHING, elem_id=elem_id, apply_default_css=False)
