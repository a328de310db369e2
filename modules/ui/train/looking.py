"""Who asks the server what has changed: the step that is open, once a second, and at once when it is opened.

The page's script (`train.js`) decides, because the server does not know which step is open. It asks nothing while
another tab, or another page of the browser, is in front. What was begun by a click and is not over yet goes on being
looked after wherever somebody goes meanwhile: it is marked by `under_way`.
"""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr
from markupsafe import Markup

from modules.ui.fragments import NOTHING
from modules.ui.wiring import AS_SENT, mended

_LOOK = """
document.addEventListener("train-look", event => {
    if (event.detail === "%s") trigger("click");
});
"""

_STANDS_THERE = """(said, state) => [(said ?? "").includes('data-about="%s"'), state]"""


@dataclass
class Said:
    """What the last click of a tab had to say. Changed in its place, one for each tab: a look that began before the
    click may end after it, and must not take back what the click has said."""

    words: Markup = NOTHING

    def mended(self, element_id: str) -> Any:
        """What to show once somebody has changed a control: nothing, if what was said was a complaint about it."""
        if f'data-about="{element_id}"' not in self.words:
            return gr.skip()
        self.words = NOTHING
        return NOTHING


def forget_when_mended(controls: Mapping[str, Any], shown: gr.State, told: gr.HTML) -> None:
    """Take a complaint about a control away as soon as somebody changes it.

    The page says whether it stood there at that moment: what was typed just before the click that was refused may
    reach the server after it.

    Args:
        controls: by their ids in the page.
        shown: its `said` is a `Said`.
        told: shows the words of that.
    """
    for element_id, control in controls.items():

        def forget(stood_there: Any, state: Any, element_id: str = element_id) -> Any:
            return state.said.mended(element_id) if stood_there is True else gr.skip()

        asked = {"js": _STANDS_THERE % element_id, "trigger_mode": "always_last", **AS_SENT}
        mended(control)(forget, [told, shown], told, **asked)


def make_look(name: str) -> gr.HTML:
    """Something that nobody sees; its `click` says that a step, or the “tab” around them, shall look.

    It has to be rendered outside of the tab, which is built when it is opened first.
    """
    return gr.HTML("", visible="hidden", elem_id=f"train_look_{name}", js_on_load=_LOOK % name, render=False)


def make_marks() -> gr.Textbox:
    """What a step shows, in short, where the page keeps it: see `marked`. To be rendered outside of the tab."""
    return gr.Textbox("", visible="hidden", render=False)


def marked(shown: Any, values: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Which values are others than the page shows, and the marks of what it shows with them.

    Each answer brings its marks along. A note of the server would be wrong if two answers overtook each other: what
    the page shows then, an end of a run maybe, would stand there until it changes.

    Args:
        shown: the marks that the page sends; what cannot be read marks nothing.
        values: by name; two are the same if their texts are.

    Returns:
        the marks to send, and the names of values to send.
    """
    try:
        before = json.loads(shown) if shown else {}
    except (TypeError, ValueError, RecursionError):
        before = {}
    before = before if isinstance(before, dict) else {}
    now = {name: f"{zlib.crc32(str(value).encode()):x}" for name, value in values.items()}
    return json.dumps({**before, **now}), [name for name in values if before.get(name) != now[name]]


def under_way(name: str) -> Markup:
    """The attribute of an element that is there only as long as this step has to look, whether it is open or not."""
    return Markup(' data-look="{}"').format(name)
