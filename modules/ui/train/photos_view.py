"""Step ② in HTML: what is being done, what the set is like, what was written."""

from pathlib import Path

from markupsafe import Markup

from modules.errors import ParameterError, WebuiError
from modules.jobs import JobState
from modules.preprocess.album import Album
from modules.preprocess.blip_download import SIZE
from modules.ui.fragments import NOTHING, complaint, join, paragraphs
from modules.ui.train.looking import under_way
from modules.ui.train.photos_form import element_id
from modules.ui.train.photos_screen import Activity, PhotosScreen

WAITING = Markup('<p class="took" role="status">{}</p>').format(
    "The model is still being loaded: photos are cut to its size. They are looked at as soon as it is known."
)


def status(screen: PhotosScreen) -> Markup:
    """One line of a fixed height: what is under way, else why the last of it failed."""
    running = screen.running
    if running:
        text = "waits for the job before it" if running.state is JobState.WAITING else running.text or "begins"
        mark = under_way("photos") if screen.is_writing else NOTHING  # step ③ waits for what is being written
        return _bar(f"{running.title}: {text}", running.progress, mark)
    last = screen.activities[-1] if screen.activities else None
    if last and last.failed:
        error = (
            ParameterError(last.failed.field, last.failed.text) if last.failed.field else WebuiError(last.failed.text)
        )
        return complaint(error, element_id)
    if last and last.state is JobState.INTERRUPTED:
        return _bar(f"{last.title}: interrupted.", 0.0)
    return _bar("", 0.0)


def report(screen: PhotosScreen) -> Markup:
    """The set as a whole, in sentences."""
    album = screen.kept.album if screen.kept else None
    if not album or not album.photos:
        return _quiet("What is good about the photos, and what is missing, stands here as soon as there are some.")
    left_out = len(album.photos) - len(album.used)
    sentences = [*album.report.sentences]
    if left_out:
        sentences.insert(1, f"{left_out} left out.")
    first, *rest = sentences
    listed = join([Markup("<li>{}</li>").format(sentence) for sentence in rest])
    return Markup('<h3>{}</h3><ul class="report">{}</ul>').format(first, listed)


def result(screen: PhotosScreen, data: Path) -> Markup:
    """What stands ready, and the door to the next step."""
    album = screen.kept.album if screen.kept else None
    written = album.written if album else None
    if not album or not written:
        return _quiet("The pictures are written into the destination; the photos themselves are never changed.")
    where = written.folder.relative_to(data) if written.folder.is_relative_to(data) else written.folder
    text = Markup('<p role="status">{} <span class="path">Folder: {}</span></p>').format(written.sentence, str(where))
    if not album.is_written and not screen.running:
        text += Markup('<p class="notice">{}</p>').format("Something was changed since: write them again.")
    door = Markup('<button type="button" class="door" data-open-step="train">{}</button>').format("Train with them")
    return Markup("<div>{}</div>{}").format(text, door if written.count else NOTHING)


def told(screen: PhotosScreen) -> Markup:
    """What the last run left out, and what else it said."""
    written = screen.kept.album.written if screen.kept else None
    notices = next((activity.notices for activity in reversed(screen.activities) if activity.notices), ())
    return paragraphs([*(written.skipped if written else ()), *notices])


def write_label(album: Album | None) -> str:
    """What the button says: the number of pictures, if each photo gives one."""
    count = len(album.used) if album else 0
    if not album or not count:
        return "Preprocess"
    params = album.params
    if params.flip or params.split or params.auto_sized_crop or params.keep_original_size:
        return f"Preprocess {count} photo{'s' * (count != 1)}"
    return f"Write {count} picture{'s' * (count != 1)}"


def blip(screen: PhotosScreen) -> Markup:
    """Whether BLIP is there, what its fetch does."""
    download = screen.download
    if download and not download.is_over:
        return _bar(f"Fetching BLIP: {download.text or 'begins'}", download.progress)
    if screen.has_blip:
        return Markup('<p class="quiet">{}</p>').format(
            "BLIP is on this machine. It looks at each crop for some seconds."
        )
    lines = [
        _quiet(
            f"BLIP, the model that describes pictures, is not on this machine. It is fetched once ({SIZE}, from "
            "huggingface.co) and only if you press the button; no photo is sent anywhere."
        )
    ]
    if download and download.failed:
        lines.append(Markup('<p class="notice bad" role="alert">{}</p>').format(download.failed.text))
    if download and download.state is JobState.INTERRUPTED:
        lines.append(
            Markup('<p class="quiet">{}</p>').format("Interrupted: pressed again, it goes on where it stopped.")
        )
    return join(lines)


def fetch_label(download: Activity | None) -> str:
    """What the button says that fetches BLIP, or stops that."""
    return "Stop fetching" if download and not download.is_over else f"Fetch BLIP ({SIZE})"


def _quiet(text: str) -> Markup:
    return Markup('<p class="quiet">{}</p>').format(text)


def _bar(text: str, progress: float, mark: Markup = NOTHING) -> Markup:
    if not text:
        return NOTHING
    return Markup(
        '<div class="bar" aria-hidden="true"><span style="width:{}%"></span></div>'
        '<p class="took" role="status"{}>{}</p>'
    ).format(round(100 * progress), mark, text)
