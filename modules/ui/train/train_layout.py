"""What stands where in step ③: the form before a run, and what everybody sees of it afterwards."""

from dataclasses import dataclass
from typing import Any

import gradio as gr
from markupsafe import Markup

from modules.ui.controls import icon_button
from modules.ui.train import train_form
from modules.ui.wiring import BROWSER_SECRET

_SELECT_ON_CLICK = """
element.addEventListener("click", event => {
    const button = event.target.closest("[data-%s]");
    if (button) trigger("select", {index: 0, value: %s});
});
"""
_ACTIONS = _SELECT_ON_CLICK % ("run-action", "[button.dataset.runAction, button.dataset.run]")
# what opens the older runs is written anew with every change: it stays as the user left it
_STAYS_OPEN = """
let isOpen = false;
element.addEventListener("toggle", event => { isOpen = event.target.open; }, true);
new MutationObserver(() => {
    const older = element.querySelector("details");
    if (older && older.open !== isOpen) older.open = isOpen;
}).observe(element, {childList: true, subtree: true});
"""
_CARDS = _SELECT_ON_CLICK % ("preset", "button.dataset.preset")


@dataclass(frozen=True)
class TrainStep:
    """The components that have something to do.

    Attributes:
        controls: the form, by field name of `TrainParams`.
        groups: the folded parts of the form, by name.
        remembered, preset: what the browser keeps of the form.
    """

    before: gr.Column
    cards: gr.HTML
    controls: dict[str, Any]
    groups: dict[str, gr.Accordion]
    refresh: gr.Button
    from_txt2img: gr.Checkbox
    model: gr.HTML
    estimate: gr.Button
    estimated: gr.HTML
    start: gr.Button
    complaint: gr.HTML
    running: gr.Column
    ending: gr.HTML
    strip: gr.HTML
    curves: gr.HTML
    status: gr.HTML
    pause: gr.Button
    stop: gr.Button
    sample: gr.Button
    resume: gr.Button
    again: gr.Button
    live_text: gr.HTML
    log: gr.HTML
    settings: gr.HTML
    remembered: gr.BrowserState
    preset: gr.BrowserState


def make_banner() -> gr.HTML:
    """The place for runs that were cut short. It stands above the tabs: whoever comes back meets it wherever he is."""
    return gr.HTML("", elem_id="train_banner", apply_default_css=False, js_on_load=_ACTIONS + _STAYS_OPEN)


def make_step() -> TrainStep:
    """Build the step inside the column that is open."""
    controls: dict[str, Any] = {}
    groups: dict[str, gr.Accordion] = {}

    def control(name: str, **options: Any) -> None:
        controls[name] = train_form.make_control(name, **options)

    remembered = gr.BrowserState({}, storage_key="train_form", secret=BROWSER_SECRET, render=False)
    preset = gr.BrowserState("face", storage_key="train_preset", secret=BROWSER_SECRET, render=False)
    titles = train_form.group_titles({})
    with gr.Column(elem_id="train_before", visible=False) as before:
        shown_cards = gr.HTML(cards("face"), elem_id="train_presets", apply_default_css=False, js_on_load=_CARDS)
        with gr.Row(elem_id="train_first_row"):
            control("embedding", choices=[], value=None, info="The word that is going to learn.")
            refresh = icon_button("refresh", "train_refresh_embeddings", "Look for embeddings and templates again")
            control("data_root", placeholder="the folder of prepared photos", info="Step ② fills this in.")
        with gr.Row(elem_id="train_second_row"):
            control("steps")
            control("learning_rate")
            control("template", choices=["subject_filewords.txt"])
        from_txt2img = gr.Checkbox(
            False,
            label="Read parameters (prompt, etc...) from txt2img tab when making previews",
            elem_id="train_preview_from_txt2img",
            render=False,
        )
        with gr.Column(elem_id="train_groups"):
            for name, fields in train_form.GROUPS.items():
                with gr.Accordion(titles[name], open=False, elem_classes="train_group") as groups[name]:
                    if name == "preview":
                        from_txt2img.render()
                    with gr.Row(elem_classes="train_fields"):
                        for field in fields:
                            control(field)
        with gr.Row(elem_id="train_start_row"):
            with gr.Column(elem_id="train_costs", min_width=0):
                model = _html("train_model_line")
                estimated = _html("train_estimate")
            estimate = gr.Button("How long will it take?", elem_id="train_estimate_button", scale=0)
            start = gr.Button("Train Embedding", variant="primary", elem_id="train_train_embedding", scale=0)
    complaint = _html("ti_error")
    with gr.Column(elem_id="train_running", visible=False) as running:
        ending = _html("ti_output")
        strip = _html("ti_gallery")
        curves = _html("train_curves")
        with gr.Row(elem_id="train_buttons"):
            status = _html("train_status")
            pause = gr.Button("Pause", elem_id="train_pause", scale=0)
            stop = gr.Button("Stop and keep", elem_id="train_interrupt_training", scale=0)
            sample = gr.Button("Take a sample now", elem_id="train_sample", scale=0)
            resume = gr.Button("Go on with this run", elem_id="train_resume", visible=False, scale=0)
            again = gr.Button("Set up another run", elem_id="train_again", visible=False, scale=0)
        live_text = _html("ti_progress")
        with gr.Accordion("Log", open=False, elem_id="train_log_box"):
            log = _html("train_log")
        with gr.Accordion("Settings of this run", open=False, elem_id="train_settings_box"):
            settings = _html("train_settings")
    return TrainStep(
        before, shown_cards, controls, groups, refresh, from_txt2img, model, estimate, estimated, start, complaint,
        running, ending, strip, curves, status, pause, stop, sample, resume, again, live_text, log, settings,
        remembered, preset,
    )  # fmt: skip


def cards(chosen: str) -> Markup:
    """The presets, one of them chosen."""
    card = Markup(
        '<button type="button" role="radio" aria-checked="{}" data-preset="{}"><b>{}</b><span>{}</span></button>'
    )
    shown = [
        card.format("true" if name == chosen else "false", name, name[:1].upper() + name[1:], text)
        for name, text in train_form.CARDS.items()
    ]
    return Markup('<div role="radiogroup" aria-label="Presets">{}</div>').format(Markup("").join(shown))


def _html(elem_id: str) -> gr.HTML:
    return gr.HTML("", elem_id=elem_id, apply_default_css=False)
