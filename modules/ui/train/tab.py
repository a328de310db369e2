"""The Train tab: the row of steps, the header, and the five steps below, of which one is open."""

from dataclasses import dataclass
from typing import Any

import gradio as gr
from markupsafe import Markup

from modules.ui.controls import unseen_text
from modules.ui.train import compare, create, photos, train, unfinished, use
from modules.ui.train.choice import MERGE, read_choice
from modules.ui.train.context import TrainContext
from modules.ui.train.header import header
from modules.ui.train.looking import make_look
from modules.ui.wiring import BROWSER_SECRET, QUIET, PageContext, fill_on_open

STEPS = (
    ("create", "①", "Create embedding", create),
    ("photos", "②", "Preprocess images", photos),
    ("train", "③", "Train", train),
    ("compare", "④", "Compare", compare),
    ("use", "⑤", "Use", use),
)
LABEL = "Train"


@dataclass(frozen=True)
class TrainTab:
    """The components that have something to do.

    Attributes:
        tab: the tab itself.
        header: keeps the object in sight.
        choice, remembered: what is worked on, in the page and in the browser's memory.
        change: what the server changes of it.
        look: says that header and banner shall look.
        looks: says the same to each step, by name.
        steps: what each step's `make_step` returned, by name.
    """

    tab: gr.Tab
    header: gr.HTML
    choice: gr.Textbox
    change: gr.Textbox
    remembered: gr.BrowserState
    look: gr.HTML
    looks: dict[str, gr.HTML]
    steps: dict[str, Any]


def make_tab() -> TrainTab:
    """Build the tab inside the Tabs that are open."""
    with gr.Tab(LABEL, id="train", elem_id="tab_train") as tab:
        remembered = gr.BrowserState("", storage_key="train_choice", secret=BROWSER_SECRET, render=False)
        choice = unseen_text(elem_id="train_choice", render=False)
        change = unseen_text(render=False)
        looks = {name: make_look(name) for name, *_ in STEPS}
        with gr.Row(elem_id="train_top"):
            gr.HTML(_steps_row(), elem_id="train_steps_row", apply_default_css=False)
            head = gr.HTML("", elem_id="train_header", apply_default_css=False)
        steps = {}
        for name, _, _, module in STEPS:
            with gr.Column(elem_id=f"train_step_{name}", elem_classes="train_step"):
                steps[name] = module.make_step()
    return TrainTab(tab, head, choice, change, remembered, make_look("tab"), looks, steps)


def wire_tab(tab: TrainTab, page: PageContext) -> None:
    """Connect the tab and its steps."""
    # a tab is built when it is opened first: what has to be there when the page opens stands outside of it
    tab.remembered.render()
    for component in (tab.choice, tab.change, tab.look, *tab.looks.values()):
        component.render()
    fill_on_open(page.page, "choice", lambda text: read_choice(text).write(), tab.remembered, tab.choice)
    tab.change.change(None, [tab.choice, tab.change], tab.choice, js=MERGE, **QUIET)
    tab.choice.change(None, tab.choice, tab.remembered, js="text => text", **QUIET)
    _wire_around(tab, page)
    for name, _, _, module in STEPS:
        module.wire(tab.steps[name], TrainContext(page, tab.choice, tab.change, tab.looks[name], tab.tab))


def _wire_around(tab: TrainTab, page: PageContext) -> None:
    """Keep header and banner up to date, both with one answer."""
    heading, (banner, acted) = gr.State(""), unfinished.wire(page, tab.choice)

    def look(choice: Any, head_shown: str, banner_shown: str, acted: unfinished.Acted) -> dict[Any, Any]:
        chosen = read_choice(choice)
        head, runs = header(page.app, chosen), unfinished.content(page.app, acted, chosen.photos)
        updates: dict[Any, Any] = {heading: str(head)}  # never empty: gradio does not take that
        if head != head_shown:
            updates[tab.header] = head
        if runs != banner_shown:
            updates |= {page.banner: runs, banner: str(runs)}
        return updates

    gr.on(
        [tab.look.click, tab.choice.change, page.page.load, page.model.change],
        look,
        [tab.choice, heading, banner, acted],
        [tab.header, heading, page.banner, banner],
        **QUIET,
    )


def _steps_row() -> Markup:
    """The doors to all steps. The page's script marks the open one, and opens another without asking the server."""
    door = Markup(
        '<li><button type="button" data-open-step="{}"><span aria-hidden="true">{}</span> '
        '<span class="label">{}</span></button></li>'
    )
    doors = [door.format(name, sign, label) for name, sign, label, _ in STEPS]
    return Markup('<nav aria-label="Steps of training"><ol>{}</ol></nav>').format(Markup("").join(doors))
