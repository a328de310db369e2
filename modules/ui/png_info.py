"""The PNG Info tab: what a picture says of itself, and the way to draw it again."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from markupsafe import Markup
from PIL import Image

from modules import images
from modules.errors import ParameterError, WebuiError
from modules.images import Metadata
from modules.infotext import parse_infotext
from modules.ui.fragments import NOTHING, join
from modules.ui.refill import Refill
from modules.ui.wiring import QUIET, complaint

LONGEST_VALUE = 4000  # letters of other metadata that are shown
_SHOWN_SIDE = 768

_EMPTY = Markup(
    '<div class="card"><h2>What was it made from?</h2><p>Drop a picture into the frame. Pictures made here, by '
    "AUTOMATIC1111 or by NovelAI carry their prompt and all numbers inside the file, as PNG, JPEG, WebP, AVIF or "
    "GIF.</p><p>It stays on this machine.</p></div>"
)


@dataclass(frozen=True)
class PngInfoTab:
    """The components that have something to do."""

    file: gr.File
    picture: gr.HTML
    send: gr.Button
    answer: gr.HTML


def make_tab() -> PngInfoTab:
    """Build the tab inside the Tabs that are open."""
    with gr.Tab("PNG Info", id="png_info", elem_id="tab_png_info"), gr.Row(elem_id="png_info_layout"):
        with gr.Column(elem_id="png_info_left"):
            file = gr.File(label="Picture", show_label=False, elem_id="png_info_file", height=144)
            picture = gr.HTML("", elem_id="png_info_picture", apply_default_css=False)
            send = gr.Button(
                "Send to txt2img", variant="primary", elem_id="png_info_send", interactive=False, visible=False
            )
        with gr.Column(elem_id="png_info_right"):
            answer = gr.HTML(_EMPTY, elem_id="png_info_answer", apply_default_css=False)
    return PngInfoTab(file, picture, send, answer)


def wire_tab(tab: PngInfoTab, refill: Refill) -> None:
    """Connect the tab."""
    infotext = gr.State("")
    nothing = {tab.picture: NOTHING, tab.answer: _EMPTY, tab.send: gr.Button(visible=False), infotext: ""}

    def look(path: str | None) -> dict[Any, Any]:
        if not path:
            return nothing
        try:
            found, preview = read(Path(path))
        except WebuiError as error:
            return {**nothing, tab.answer: complaint(error)}
        return {
            tab.picture: preview,
            tab.answer: answer(Path(path).name, found),
            tab.send: gr.Button(visible=bool(found.infotext), interactive=bool(found.infotext)),
            infotext: found.infotext,
        }

    looked = {"outputs": [tab.picture, tab.answer, tab.send, infotext], **QUIET}
    # once the answer is there: a file that is dropped right after another was put away would else be passed over
    gr.on([tab.file.upload, tab.file.clear], look, tab.file, trigger_mode="always_last", **looked)

    def sent(text: str) -> str:
        if not text:
            raise ParameterError("picture", "This picture holds no parameters.")
        return text

    refill.fill_on(tab.send.click, sent, [infotext])


def read(path: Path) -> tuple[Metadata, Markup]:
    """What a picture's file says, and a copy of it to look at.

    Raises:
        ImageError: it cannot be read.
    """
    found = images.read_metadata(path)
    image = images.open_image(path)
    image.thumbnail((_SHOWN_SIDE, _SHOWN_SIDE), Image.Resampling.LANCZOS, reducing_gap=2.0)
    file = io.BytesIO()
    image.save(file, "WEBP", quality=85)
    source = "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()
    return found, Markup('<img src="{}" alt="{}">').format(source, path.name)


def answer(name: str, found: Metadata) -> Markup:
    """Everything that the file says, in the order in which a person asks for it."""
    head = Markup('<p class="quiet">{} · {} · {}×{}</p>').format(name, found.kind, found.width, found.height)
    if not found.infotext:
        none = Markup(
            '<div class="infotext_none"><h2>No parameters</h2><p>The file does not say how it was made. Programs that '
            "edit or share pictures often take that out.</p></div>"
        )
        return head + none + _table("Other metadata", found.other)
    said = parse_infotext(found.infotext)
    prompts = join([_prompt(key, str(said[key])) for key in ("Prompt", "Negative prompt") if said[key]])
    values = _values(found.infotext)
    text = Markup(
        '<details class="raw"><summary>As it stands in the file</summary>'
        '<div class="infotext" tabindex="0">{}</div></details>'
        '<button type="button" class="copy" data-copy=".infotext">Copy</button>'
    ).format(found.infotext)
    return (
        head
        + prompts
        + _table("Parameters", values)
        + Markup('<div class="with_copy">{}</div>').format(text)
        + _table("Other metadata", found.other)
    )


def _prompt(title: str, text: str) -> Markup:
    return Markup('<h3>{}</h3><div class="prompt_text" tabindex="0">{}</div>').format(title, text)


def _values(infotext: str) -> dict[str, str]:
    """The pairs that stand in the text itself, without what A1111 takes for granted."""
    said = parse_infotext(infotext)
    line = infotext.strip().rpartition("\n")[2]
    shown: dict[str, str] = {}
    for key, value in said.items():
        if key.endswith("-1") and f"{key[:-2]}-2" in said:
            key, value = key[:-2], f"{value}×{said[f'{key[:-2]}-2']}"
        if key not in ("Prompt", "Negative prompt") and not key.endswith("-2") and f"{key}:" in line:
            shown[key] = str(value)
    return shown


def _table(title: str, values: dict[str, str]) -> Markup:
    if not values:
        return NOTHING
    rows = [
        Markup("<div><dt>{}</dt><dd>{}</dd></div>").format(
            key, text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]} …"
        )
        for key, text in values.items()
    ]
    return Markup('<h3>{}</h3><dl class="values">{}</dl>').format(title, join(rows))
