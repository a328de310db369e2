"""The line that keeps the object in sight: which embedding, which photos, which model."""

from functools import lru_cache
from pathlib import Path

from markupsafe import Markup

from modules.app import App
from modules.errors import ParameterError
from modules.events import TrainingStarted
from modules.files import folder_of
from modules.jobs import Job
from modules.training.photos import photo_files
from modules.ui.train.choice import Choice
from modules.ui.train.compare_screen import pick, runs
from modules.ui.train.run_screen import newest_training, trained_name

_FAMILIES = {768: "SD1", 1024: "SD2"}


def header(app: App, choice: Choice) -> Markup:
    """“realbenny-t2 · 2 vectors · SD1 · 24 photos”, of the last run where nothing is chosen; or what to do first."""
    parts: list[str] = []
    run = newest_training(app)
    trained = trained_name(run) if run else ""
    name = named(app, choice)
    embedding = app.embeddings.find(name) if name else None
    if embedding:
        count = embedding.vectors_per_token
        parts = [f"{count} vector{'s' * (count != 1)}"]
        if embedding.width in _FAMILIES:
            parts.append(_FAMILIES[embedding.width])
        if embedding.step:
            parts.append(f"{embedding.step} steps")
    photos = count_photos(choice.photos) or (_photos_of(run) if run and name == trained else 0)
    if photos:
        parts.append(f"{photos} photo{'s' * (photos != 1)}")
    if run and not run.is_over and name != trained:
        parts.append(f"{trained} is being trained")
    if not name:
        return Markup('<p class="quiet">{}</p>').format(" · ".join(["no embedding chosen yet", *parts]))
    listed = Markup("").join([Markup(" · {}").format(part) for part in parts])
    return Markup('<p class="quiet"><b class="{}">{}</b>{}</p>').format("" if embedding else "gone", name, listed)


def named(app: App, choice: Choice) -> str:
    """The embedding that is worked on: the chosen one, or that of the last run; "" if there is none."""
    run = newest_training(app)
    return choice.embedding or (trained_name(run) if run else _of_a_run_on_disk(app, choice))


def _of_a_run_on_disk(app: App, choice: Choice) -> str:
    """Whose run steps ④ and ⑤ show when this program has trained nothing yet; "" if there is none."""
    found = runs(app)
    return found[key].folder.name if (key := pick(found, choice)) else ""


def _photos_of(run: Job) -> int:
    started = [event for event in run.events_since()[0] if isinstance(event, TrainingStarted)]
    return started[-1].photos + started[-1].held_out if started else 0


def count_photos(folder: str) -> int:
    """How many photos the folder holds; 0 if there is no such folder."""
    try:
        path = folder_of(folder, "data_root")
        return _count(path, path.stat().st_mtime_ns)
    except (ParameterError, OSError):
        return 0


@lru_cache(maxsize=16)
def _count(path: Path, modified_ns: int) -> int:
    """Of one state of a folder, so that a page which asks once a second does not list it again and again."""
    return len(photo_files(path))
