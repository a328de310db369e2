"""What step ② shows at this moment, worked out from the App's desk alone: no gradio, no memory of its own."""

from dataclasses import dataclass
from pathlib import Path

from modules.desks.photos import DESCRIBING, LOOKING, WRITING, PhotoDesk
from modules.events import Event, Failed, Noticed, Progressed, Status
from modules.jobs import Job, JobState
from modules.preprocess.albums import Kept

COUNTED = (LOOKING, DESCRIBING)  # by photos, whose number their events do not say in words


@dataclass(frozen=True)
class Activity:
    """What is being done about the photos, or how the last of it ended.

    Attributes:
        title: what it is.
        state: where it stands.
        text: what is being done just now.
        progress: how much is done, 0 … 1.
        notices: sentences on the way.
        failed: why it ended.
    """

    title: str
    state: JobState
    text: str = ""
    progress: float = 0.0
    notices: tuple[str, ...] = ()
    failed: Failed | None = None

    @property
    def is_over(self) -> bool:
        return self.state not in (JobState.WAITING, JobState.RUNNING)


@dataclass(frozen=True)
class PhotosScreen:
    """All that step ② shows.

    Attributes:
        kept: the album; None before a folder is chosen.
        key: the album's name.
        sent: name of the folder, if its photos were sent through the page.
        activities: the work about it, oldest first.
        has_blip: BLIP is on this machine.
        download: the newest fetch of BLIP.
    """

    kept: Kept | None = None
    key: str = ""
    sent: str = ""
    activities: tuple[Activity, ...] = ()
    has_blip: bool = False
    download: Activity | None = None

    @property
    def running(self) -> Activity | None:
        """What is under way or waits, the first of it."""
        return next((activity for activity in self.activities if not activity.is_over), None)

    @property
    def is_writing(self) -> bool:
        """Whether pictures are being written, or will be."""
        return any(activity.title == WRITING and not activity.is_over for activity in self.activities)


def look(desk: PhotoDesk, source: Path | None, sent_root: Path) -> PhotosScreen:
    """What is to be shown of the album of `source`."""
    download = gather(desk.download) if desk.download else None
    if source is None:
        return PhotosScreen(has_blip=desk.has_blip(), download=download)
    activities = tuple(gather(job) for job in desk.work_on(source))  # before the album: never newer than it
    return PhotosScreen(
        desk.albums.open(source),
        desk.albums.key(source),
        source.name if source.parent == sent_root.resolve() else "",
        activities,
        desk.has_blip(),
        download,
    )


def gather(job: Job) -> Activity:
    """Fold the events of a job into what is shown of it."""
    state, progress = job.state, job.progress
    events = job.events_since()[0]
    failed = next((event for event in events if isinstance(event, Failed)), None)
    notices = tuple(event.text for event in events if isinstance(event, Noticed))
    return Activity(job.title, state, _newest_text(events, job.title in COUNTED), progress, notices, failed)


def _newest_text(events: list[Event], is_counted: bool) -> str:
    for event in reversed(events):
        if isinstance(event, Progressed):
            return f"{event.done + 1} of {event.total} · {event.text}" if is_counted else event.text
        if isinstance(event, Status):
            return event.text
    return ""
