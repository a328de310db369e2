"""The banner of runs that were cut short: resume, keep the best snapshot, or discard. It stands above all tabs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from markupsafe import Markup

from modules.app import App
from modules.events import EmbeddingSaved, Failed
from modules.ui import fragments, wiring
from modules.ui.train import run_view
from modules.ui.train.choice import read_choice
from modules.ui.train.looking import under_way
from modules.ui.train.run_screen import resumable
from modules.ui.wiring import QUIET, PageContext


@dataclass(frozen=True)
class Acted:
    """What one tab did with such a run. Only clicks write it.

    Attributes:
        job: id of the job that keeps a snapshot.
        said: what there is to say at once.
    """

    job: str = ""
    said: Markup = fragments.NOTHING


def wire(page: PageContext, choice: gr.Textbox) -> tuple[gr.State, gr.State]:
    """Do what the banner's buttons say.

    Args:
        choice: what is worked on, see `choice.Choice`.

    Returns:
        what the banner shows as text, and what this tab did as `Acted`: for whoever brings the banner up to date.
    """
    app, banner = page.app, page.banner
    shown, acted = gr.State(""), gr.State(Acted())

    def act(owner: str, choice: Any, event: gr.SelectData) -> tuple[Any, Any, Any]:
        action, path = event.value if isinstance(event.value, list) and len(event.value) == 2 else ("", "")
        photos = read_choice(choice).photos
        try:
            done = Acted(do(app, str(action), str(path), owner, photos))
        except Exception as error:
            done = Acted(said=wiring.complaint(error))
        now = content(app, done, photos)
        return now, str(now), done

    banner.select(act, [page.owner, choice], [banner, shown, acted], **QUIET)
    return shown, acted


def content(app: App, acted: Acted, photos: str = "") -> Markup:
    """The runs that can be gone on with, and what became of the last click.

    Args:
        photos: the folder that is chosen in ③, for runs that do not find their own.
    """
    return _told(app, acted) + run_view.banner(resumable(app), app.model_state.checkpoint, app.paths.data, photos)


def do(app: App, action: str, shown_path: str, owner: str = "", photos: str = "") -> str:
    """“resume”, “keep” or “discard” a run, named as the page names it. Whatever else is asked does nothing.

    Args:
        photos: as for `content`.

    Returns:
        id of the job that keeps a snapshot, or nothing.

    Raises:
        WebuiError: it cannot be done.
    """
    folder = _find(app, shown_path)
    if folder is None:
        return ""
    match action:
        case "resume":
            app.training.resume(folder, owner, chosen=photos)
        case "keep":
            return app.training.keep_best(folder, owner).id
        case "discard":
            app.training.discard(folder)
    return ""


def _find(app: App, shown_path: str) -> Path | None:
    runs = app.training.unfinished()
    return next((r.folder.path for r in runs if run_view.shown_path(r.folder.path, app.paths.data) == shown_path), None)


def _told(app: App, acted: Acted) -> Markup:
    job = app.jobs.find(acted.job) if acted.job else None
    if job is None:
        return acted.said
    if not job.is_over:
        return Markup('<p class="quiet" role="status"{}>{}…</p>').format(under_way("tab"), job.title)
    events = job.events_since()[0]
    failed = [event.text for event in events if isinstance(event, Failed)]
    if failed:
        return Markup('<p class="notice bad" role="alert">{}</p>').format(failed[-1])
    return fragments.paragraphs([event.text for event in events if isinstance(event, EmbeddingSaved)])
