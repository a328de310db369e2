"""What the steps of the Train tab may use."""

from dataclasses import dataclass

import gradio as gr

from modules.app import App
from modules.ui.wiring import PageContext


@dataclass(frozen=True)
class TrainContext:
    """Handed to each step's `wire`.

    Attributes:
        page: what every tab may use, the App among it.
        choice: a text box that nobody sees; see `choice.Choice`.
        change: another one; what the server writes into it changes the choice, see `choice.change`.
        look: its `click` says that this step shall look; see `looking`.
        tab: told by `tab.select` when somebody comes to the tab.
    """

    page: PageContext
    choice: gr.Textbox
    change: gr.Textbox
    look: gr.HTML
    tab: gr.Tab

    @property
    def app(self) -> App:
        return self.page.app
