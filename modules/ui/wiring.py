"""What every tab's events have in common: how they are sent, and what a click that failed says."""

import logging
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr
from markupsafe import Markup

from modules.app import App
from modules.errors import WebuiError
from modules.ui import form, fragments

if TYPE_CHECKING:  # the form uses what stands here
    from modules.ui.txt2img import Txt2ImgTab

BROWSER_SECRET = "embedding-studio"  # no secret: it is fixed so that what the browser keeps outlives a restart
QUIET: dict[str, Any] = {
    "queue": False,
    "show_progress": "hidden",
    "show_progress_on": [],  # hidden progress is tracked too: with each answer for every output on the page so far
    "api_visibility": "private",
}
AS_SENT: dict[str, Any] = {**QUIET, "preprocess": False}
"""For events whose values are checked by us: Gradio's own refusals do not reach the page."""

_log = logging.getLogger(__name__)

_FILLED = "() => { document.body.dataset.filled = `${document.body.dataset.filled ?? ''} %s`.trim(); }"

_FORGET = """said => (said ?? "").includes('data-about="%s"') ? "" : undefined"""


@dataclass(frozen=True)
class PageContext:
    """What a tab may use of the page around it.

    Attributes:
        app: the App.
        page: for `page.load`, which runs when a browser opens the page.
        owner: the browser session, to which jobs belong; empty until the page has told its name.
        tabs: to open another tab: return `gr.Tabs(selected="txt2img")`.
        txt2img: the form whose fields other tabs may fill.
        model: changes when another model is in use; a text that means nothing to a tab.
        banner: above all tabs; for runs that were cut short.
    """

    app: App
    page: gr.Blocks
    owner: gr.State
    tabs: gr.Tabs
    txt2img: "Txt2ImgTab"
    model: gr.Textbox
    banner: gr.HTML


def fill_on_open(page: gr.Blocks, part: str, fill: Callable[..., Any], inputs: Any, outputs: Any) -> None:
    """Fill a part of the page when a browser opens it. Until that is done, the part takes no clicks (style.css).

    What a click has shown would be wiped away by an answer on which the server had begun before.

    Args:
        part: a word for it; stands among `data-filled` of the page's body from then on.
        fill: as an event's function.
    """
    page.load(fill, inputs, outputs, **QUIET).then(None, None, None, js=_FILLED % part, **QUIET)


def complaint(error: Exception, element_id: Callable[[str], str] = form.element_id) -> Markup:
    """Why a click did nothing. What was not foreseen is logged: the page has no other way to show it.

    Args:
        element_id: the id of a field's control, which gets a red frame.
    """
    if not isinstance(error, WebuiError):
        log_id = secrets.token_hex(4)
        _log.error("A click failed, log id %s", log_id, exc_info=error)
        error = WebuiError(f"Something went wrong, which is a mistake of this program. The log has it: id {log_id}.")
    return fragments.complaint(error, element_id)


def forget_complaint(said: gr.HTML, element_id: str, controls: Iterable[Any]) -> None:
    """Empty a complaint about one control as soon as its cause may be gone. The browser does it without asking.

    Args:
        said: shows what `complaint` gave.
        element_id: of the control that the complaint is about.
        controls: whose change may have mended it.
    """
    for control in controls:
        mended(control)(None, said, said, js=_FORGET % element_id, **QUIET)


def mended(control: Any) -> Callable[..., Any]:
    """The event of a control after which a complaint about it may be over. Boxes of numbers correct themselves when
    they are left: what that changes is no answer to a complaint, which it would take away unread."""
    return control.input if isinstance(control, (gr.Number, gr.Slider)) else control.change
