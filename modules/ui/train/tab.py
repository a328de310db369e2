"""The Train tab: the row of steps, the header, and the five steps below, of which one is open."""

from dataclasses import dataclass
from typing import Any

import gradio as gr
from markupsafe import Markup

from modules.ui.train import compare, create, photos, train, use
from modules.ui.train.choice import read_choice
from modules.ui.train.context import TrainContext
from modules.ui.train.header import header
from modules.ui.wiring import BROWSER_SECRET, QUIET, PageContext

STEPS = (
    ("create", "①", "Create embedding", create),
    ("photos", "②", "Preprocess images", photos),
    ("train", "③", "Train", train),
    ("compare", "④", "Compare", compare),
    ("use", "⑤", "Use", use),
)
LABEL = "Train"
LOOK_EVERY = 1.0  # seconds


@dataclass(frozen=True)
class TrainTab:
    """The components that have something to do.

    Attributes:
        tab: the tab itself.
        header: keeps the object in sight.
        choice, remembered: what is worked on, in the page and in the browser's memory.
        timer: ticks while the tab is open.
        steps: what each step's `make_step` returned, by name.
    """

    tab: gr.Tab
    header: gr.HTML
    choice: gr.Textbox
    remembered: gr.BrowserState
    timer: gr.Timer
    steps: dict[str, Any]


def make_tab() -> TrainTab:
    """Build the tab inside the Tabs that are open."""
    with gr.Tab(LABEL, id="train", elem_id="tab_train") as tab:
        remembered = gr.BrowserState("", storage_key="train_choice", secret=BROWSER_SECRET, render=False)
        choice = gr.Textbox(visible="hidden", elem_id="train_choice", render=False)
        timer = gr.Timer(LOOK_EVERY, active=False)
        with gr.Row(elem_id="train_top"):
            gr.HTML(_steps_row(), elem_id="train_steps_row", apply_default_css=False)
            head = gr.HTML("", elem_id="train_header", apply_default_css=False)
        steps = {}
        for name, _, _, module in STEPS:
            with gr.Column(elem_id=f"train_step_{name}", elem_classes="train_step"):
                steps[name] = module.make_step()
    return TrainTab(tab, head, choice, remembered, timer, steps)


def wire_tab(tab: TrainTab, page: PageContext) -> None:
    """Connect the tab and its steps."""
    # a tab is built when it is opened first: what has to be there when the page opens stands outside of it
    tab.remembered.render()
    tab.choice.render()
    context = TrainContext(page, tab.choice, tab.timer, tab.tab)
    page.page.load(lambda text: read_choice(text).write(), tab.remembered, tab.choice, **QUIET)
    tab.choice.change(None, tab.choice, tab.remembered, js="text => text", **QUIET)
    page.tabs.select(_tick_while_open, None, tab.timer, **QUIET)

    shown = gr.State("")

    def show_header(text: Any, shown: str) -> Any:
        head = header(page.app, read_choice(text))
        return (gr.skip(), gr.skip()) if head == shown else (head, str(head))

    gr.on(
        [tab.choice.change, tab.timer.tick, tab.tab.select, page.model.change],
        show_header,
        [tab.choice, shown],
        [tab.header, shown],
        **QUIET,
    )
    for name, _, _, module in STEPS:
        module.wire(tab.steps[name], context)


def _tick_while_open(event: gr.SelectData) -> Any:
    return gr.update(active=event.value == LABEL)


def _steps_row() -> Markup:
    """The doors to all steps. The page's script marks the open one, and opens another without asking the server."""
    door = Markup(
        '<li><button type="button" data-open-step="{}"><span aria-hidden="true">{}</span> '
        '<span class="label">{}</span></button></li>'
    )
    doors = [door.format(name, sign, label) for name, sign, label, _ in STEPS]
    return Markup('<nav aria-label="Steps of training"><ol>{}</ol></nav>').format(Markup("").join(doors))
