"""The embeddings that are there: what each one is, whether it can act, and a click that puts its name in the prompt."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from markupsafe import Markup

from modules import images
from modules.app import App
from modules.errors import WebuiError
from modules.training.run_folder import RunFolder, find_runs
from modules.ui import fragments
from modules.ui.controls import icon_button
from modules.ui.wiring import QUIET, PageContext

if TYPE_CHECKING:
    from modules.embeddings.database import Entry

TITLE = "Embeddings"
MOST_SHOWN = 200
_SIDE = 128  # pixels of a thumbnail: sharp at 64 on a screen of double density
_PICTURES = (".preview.png", ".preview.webp", ".preview.jpg", ".png", ".webp", ".jpg")  # beside the file, as in A1111
_CARRIERS = (".png", ".webp", ".avif")  # files that are a picture themselves


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
    runs: dict[str, list[RunFolder]] = {}
    for run in find_runs(app.paths.textual_inversion):
        runs.setdefault(run.folder.name, []).append(run.folder)
    found = {}
    for entry in entries[:MOST_SHOWN]:
        step = entry.embedding.step if entry.embedding else None
        samples = [folder.sample(step) for folder in runs.get(entry.name, [])] if step else []
        for path in (*_beside(entry.path), *samples):
            if path.is_file() and (thumbnail := _thumbnail(path, path.stat().st_mtime_ns)):
                found[entry.path] = thumbnail
                break
    return found


def _beside(path: Path) -> list[Path]:
    own = [path] if path.suffix.lower() in _CARRIERS else []
    return [*own, *(path.with_name(path.stem + ending) for ending in _PICTURES)]


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
        return Markup('<li class="idle">{}</li>').format(about)
    return Markup(
        '<li><button type="button" data-embedding="{}" title="Put it into the prompt, or take it out">{}</button></li>'
    ).format(entry.name, about)


def _about(entry: "Entry") -> list[str]:
    embedding, lines = entry.embedding, []
    if embedding:
        count = embedding.vectors_per_token
        steps = [f"{embedding.step} steps"] if embedding.step else ["not trained yet"] if embedding.step == 0 else []
        lines = [" · ".join([f"{count} vector{'s' * (count != 1)}", *steps])]
        lines += [f"trained on {embedding.checkpoint_name}"] if embedding.checkpoint_name and embedding.step else []
    return [f"{entry.state}: {entry.reason}", *lines] if entry.reason else lines
