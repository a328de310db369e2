"""The embeddings that are there: what each one is, whether it can act, a click that puts its name in the prompt, and
another that saves it as a file for other programs."""

import base64
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import gradio as gr
from markupsafe import Markup

from modules import images
from modules.app import App
from modules.desks.export import FORMATS
from modules.errors import WebuiError
from modules.training.portraits import portraits, runs_by_name
from modules.ui import fragments
from modules.ui.controls import icon_button
from modules.ui.wiring import QUIET, PageContext

if TYPE_CHECKING:
    from modules.embeddings.database import Entry

TITLE = "Embeddings"
MOST_SHOWN = 200
_SIDE = 128  # pixels of a thumbnail: sharp at 64 on a screen of double density
_LABELS = {"safetensors": ".safetensors", "pt": ".pt", "png": "PNG card"}
FILE = "internal/embedding"  # address of one embedding as a file


@dataclass(frozen=True)
class Panel:
    """The components that have something to do."""

    part: gr.Accordion
    refresh: gr.Button
    content: gr.HTML


def make_panel() -> Panel:
    """Build the panel inside the column that is open."""
    with gr.Accordion(TITLE, open=False, elem_id="txt2img_embeddings", elem_classes="folded") as part:
        refresh = icon_button("refresh", "txt2img_embeddings_refresh", "Look for embeddings again")
        content = gr.HTML("", elem_id="txt2img_embeddings_panel", apply_default_css=False)
    return Panel(part, refresh, content)


def wire_panel(panel: Panel, context: PageContext) -> None:
    """Look again whenever the files, or what they are to the model in use, may have changed."""
    shown = gr.State("")

    def look(shown: str) -> tuple[Any, Any, Any]:
        entries = context.app.embeddings.entries()
        html = content(entries, find_pictures(context.app, entries))
        if html == shown:
            return gr.skip(), gr.skip(), gr.skip()
        return gr.update(label=title(entries)), html, str(html)

    events = [context.page.load, context.model.change, context.tabs.select, panel.part.expand, panel.refresh.click]
    gr.on(events, look, shown, [panel.part, panel.content, shown], **QUIET)


def title(entries: "Sequence[Entry]") -> str:
    """“Embeddings: 2, and 1 that cannot act”."""
    idle = sum(bool(entry.reason) for entry in entries)
    if not entries:
        return f"{TITLE}: none yet"
    return f"{TITLE}: {len(entries) - idle}" + (f", and {idle} that cannot act" if idle else "")


def content(entries: "Sequence[Entry]", pictures: dict[Path, str]) -> Markup:
    """All cards, those that act first.

    Args:
        pictures: thumbnails by the embedding's file, as an address.
    """
    if not entries:
        return Markup(
            '<p class="quiet">An embedding is a word of your own: learned from your photos, used in any prompt.</p>'
            '<p><button type="button" class="door" data-open-step="create">Create one</button></p>'
        )
    ordered = sorted(entries, key=lambda entry: bool(entry.reason))
    cards = [_card(entry, pictures.get(entry.path, "")) for entry in ordered[:MOST_SHOWN]]
    more = len(entries) - MOST_SHOWN
    rest = Markup('<p class="quiet">… and {} more</p>').format(more) if more > 0 else fragments.NOTHING
    return Markup('<ul class="embeddings" aria-label="Embeddings">{}</ul>{}').format(fragments.join(cards), rest)


def find_pictures(app: App, entries: "Sequence[Entry]") -> dict[Path, str]:
    """A thumbnail for each file that has a picture: its own, one beside it, or the sample of its training run."""
    runs = runs_by_name(app.paths.textual_inversion)
    found = {}
    for entry in entries[:MOST_SHOWN]:
        for path in portraits(entry.path, entry.name, entry.embedding.step if entry.embedding else None, runs):
            if thumbnail := _thumbnail(path, path.stat().st_mtime_ns):
                found[entry.path] = thumbnail
                break
    return found


@lru_cache(maxsize=512)
def _thumbnail(path: Path, modified_ns: int) -> str:
    """Small enough to travel in the page, so that no folder has to be opened to browsers; empty: no picture."""
    try:
        image = images.open_image(path)
    except WebuiError:
        return ""
    image.thumbnail((_SIDE, _SIDE))
    file = io.BytesIO()
    image.save(file, "WEBP", quality=80)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()


def _card(entry: "Entry", picture: str) -> Markup:
    image = (
        Markup('<img src="{}" alt="">').format(picture)
        if picture
        else Markup('<span class="none">{}</span>').format(entry.name[:2])
    )
    about = Markup("{}<span><b>{}</b>{}</span>").format(
        image, entry.name, fragments.join([Markup("<i>{}</i>").format(line) for line in _about(entry)])
    )
    if entry.reason:
        return Markup('<li><div class="idle">{}</div>{}</li>').format(about, _doors(entry))
    return Markup(
        '<li><button type="button" data-embedding="{}" title="Put it into the prompt, or take it out">{}</button>'
        "{}</li>"
    ).format(as_word(entry.name), about, _doors(entry))


def as_word(name: str) -> str:
    """A name as a prompt has to write it: its brackets are no weights."""
    return re.sub(r"[\\()\[\]]", r"\\\g<0>", name)


def _doors(entry: "Entry") -> Markup:
    """What the embedding can be saved as; nothing if it could not be read."""
    if entry.embedding is None:
        return fragments.NOTHING
    link = Markup('<a href="{}" download title="{}">{}</a>')
    doors = [
        link.format(file_address(entry, name), f"{who[:1].upper()}{who[1:]}.", _LABELS[name])
        for name, who in FORMATS.items()
    ]
    return Markup(
        '<details class="save"><summary title="Save it as a file…" aria-label="Save {} as a file"></summary>'
        "<p>Save as {}</p></details>"
    ).format(entry.name, fragments.join(doors, Markup(" · ")))


def file_address(entry: "Entry", file_format: str) -> str:
    """Where the page's server gives an embedding as a file; found by its digest, so that no path is told or taken."""
    digest = entry.embedding.sha256 if entry.embedding else ""
    return f"{FILE}?{urlencode({'name': entry.name, 'digest': digest or '', 'format': file_format})}"


def _about(entry: "Entry") -> list[str]:
    embedding, lines = entry.embedding, []
    if embedding:
        count = embedding.vectors_per_token
        steps = [f"{embedding.step} steps"] if embedding.step else ["not trained yet"] if embedding.step == 0 else []
        lines = [" · ".join([f"{count} vector{'s' * (count != 1)}", *steps])]
        lines += [f"trained on {embedding.checkpoint_name}"] if embedding.checkpoint_name and embedding.step else []
    return [f"{entry.state}: {entry.reason}", *lines] if entry.reason else lines
