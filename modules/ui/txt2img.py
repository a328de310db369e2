"""The txt2img tab: its controls and where each of them stands. What they do is wired in `page`."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from modules import params
from modules.ui import embeddings_panel, folded, form, refill_box, script_part, style_editor
from modules.ui.controls import dropdown, icon_button, slider, textbox
from modules.ui.embeddings_panel import Panel
from modules.ui.folded import Folded
from modules.ui.refill_box import RefillBox
from modules.ui.script_part import ScriptPart
from modules.ui.style_editor import StyleEditor

PLACEHOLDER = "What do you want to see?  Ctrl+Enter generates, Ctrl+Up and Ctrl+Down change the weight of a word"
NEGATIVE_PLACEHOLDER = "What should not be in it?"


@dataclass(frozen=True)
class PromptBox:
    """A prompt with its token counter."""

    text: gr.Textbox
    counter: gr.HTML


@dataclass(frozen=True)
class Txt2ImgTab:
    """The components that have something to do.

    Attributes:
        controls: the form, by field name of `Txt2ImgParams`.
    """

    controls: dict[str, Any]
    prompt: PromptBox
    negative: PromptBox
    reading: gr.HTML
    generate: gr.Button
    interrupt: gr.Button
    skip: gr.Button
    complaint: gr.HTML
    swap: gr.Button
    embeddings: Panel
    styles: StyleEditor
    sections: Folded
    script: ScriptPart
    dice: gr.Button
    recycle: gr.Button
    refill: RefillBox
    gallery: gr.Gallery
    stage: gr.HTML
    log: gr.HTML
    enlarge: gr.Button
    save_copy: gr.Button
    saved: gr.HTML
    infotext: gr.HTML


def make_tab() -> Txt2ImgTab:
    """Build the tab inside the Blocks that is open."""
    with gr.Column(elem_id="txt2img_layout"):
        with gr.Column(elem_id="txt2img_prompts"):
            prompt = _prompt_box("prompt", "txt2img_token_counter", PLACEHOLDER)
            with gr.Accordion("How this prompt is read", open=False, elem_id="txt2img_reading"):
                reading = _html("txt2img_reading_panel")
            negative = _prompt_box("negative_prompt", "txt2img_negative_token_counter", NEGATIVE_PLACEHOLDER)
            report = refill_box.make_report()
        with gr.Column(elem_id="txt2img_actions"):
            generate = gr.Button("Generate", variant="primary", elem_id="txt2img_generate", interactive=False)
            paste = icon_button("paste", "paste", refill_box.PASTE)
            interrupt = gr.Button("Interrupt", elem_id="txt2img_interrupt", interactive=False)
            skip = gr.Button("Skip", elem_id="txt2img_skip", interactive=False)
            complaint = _html("txt2img_complaint")
        with gr.Column(elem_id="txt2img_results"):
            with gr.Column(elem_id="txt2img_stage_box"):
                gallery = gr.Gallery(
                    label="Pictures",
                    show_label=False,
                    elem_id="txt2img_gallery",
                    object_fit="contain",
                    columns=4,
                    height="100%",
                    preview=True,
                    interactive=False,
                    buttons=["download", "fullscreen"],
                )
                stage = _html("txt2img_stage")
            log = _html("html_log_txt2img")
            with gr.Row(elem_id="txt2img_picture_doors"):
                enlarge = gr.Button("Hires. fix this picture", elem_id="txt2img_upscale", interactive=False)
                save_copy = gr.Button("Save a copy", elem_id="save_txt2img", interactive=False)
                saved = _html("txt2img_saved")
            infotext = _html("html_info_txt2img")
        with gr.Column(elem_id="txt2img_fields"):
            refill = refill_box.make_box(paste, report)
            with gr.Row():
                sampler = dropdown("sampler")
                schedule = dropdown("schedule")
                steps = slider("steps")
            with gr.Row(elem_id="txt2img_size"):
                width = slider("width")
                swap = icon_button("swap", "txt2img_res_switch_btn", "Swap width and height")
                height = slider("height")
                cfg_scale = slider("cfg_scale")
            with gr.Row(elem_id="txt2img_seed_row"):
                seed = textbox("seed")
                dice = icon_button("dice", "txt2img_random_seed", "Random seed: a new picture each time")
                recycle = icon_button("reuse", "txt2img_reuse_seed", "Use the seed of the picture that is shown")
                batch_count = slider("batch_count")
                batch_size = slider("batch_size")
            embeddings = embeddings_panel.make_panel()
            styles = style_editor.make_editor()
            sections = folded.make_sections()
            script = script_part.make_script_part()
    controls = {
        "prompt": prompt.text,
        "negative_prompt": negative.text,
        "sampler": sampler,
        "schedule": schedule,
        "steps": steps,
        "width": width,
        "height": height,
        "batch_count": batch_count,
        "batch_size": batch_size,
        "cfg_scale": cfg_scale,
        "seed": seed,
        "styles": styles.chosen,
        **sections.controls,
    }
    return Txt2ImgTab(
        controls=controls,
        prompt=prompt,
        negative=negative,
        reading=reading,
        generate=generate,
        interrupt=interrupt,
        skip=skip,
        complaint=complaint,
        swap=swap,
        embeddings=embeddings,
        styles=styles,
        sections=sections,
        script=script,
        dice=dice,
        recycle=recycle,
        refill=refill,
        gallery=gallery,
        stage=stage,
        log=log,
        enlarge=enlarge,
        save_copy=save_copy,
        saved=saved,
        infotext=infotext,
    )


def _prompt_box(field: str, counter_id: str, placeholder: str) -> PromptBox:
    with gr.Column(elem_classes="prompt_box"):
        text = gr.Textbox(
            label=params.control(field).label,
            lines=3,
            max_lines=3,
            placeholder=placeholder,
            elem_id=form.element_id(field),
        )
        return PromptBox(text, _html(counter_id))


def _html(elem_id: str) -> gr.HTML:
    return gr.HTML("", elem_id=elem_id, apply_default_css=False)
