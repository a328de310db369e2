"""From a `Screen` to the components of one tab: what each of them shows, and sending only what has changed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from modules.app import App, ModelStatus
from modules.ui import fragments
from modules.ui.screen import Picture, Screen, look

BUSY, IDLE = 0.5, 1.5  # seconds between two looks
MODELS_FOLDER = "models/Stable-diffusion"


@dataclass(frozen=True)
class Seen:
    """What one tab shows now.

    Attributes:
        values: of its outputs, by name.
        run: id of the run that is shown.
        pictures: of that run.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    run: str = ""
    pictures: tuple[Picture, ...] = ()


class Watch:
    """Brings a tab up to date.

    Args:
        app: what is watched.
        outputs: the components that show it, by name: those of `_values`, which says what they show.
        seen, selected: states of the tab: what it shows, and the picture that is looked at.
    """

    def __init__(self, app: App, outputs: Mapping[str, Any], seen: gr.State, selected: gr.State):
        self.app = app
        self.outputs = {**outputs, "selected": selected, "seen": seen}

    def look(self, owner: str, seen: Seen, selected: int, interrupting: str) -> dict[Any, Any]:
        """Updates for what changed since `seen`.

        Args:
            owner: the browser session; empty before it has told its name, and then there is nothing to show yet.
            seen: as this method gave it last time.
            selected: index of the picture that is looked at.
            interrupting: id of the run that was asked to stop.
        """
        if not owner:
            return {self.outputs["seen"]: seen}  # gradio takes no empty answer
        screen = look(self.app, owner)
        pictures = screen.run.pictures if screen.run else ()
        selected = _selected(seen, screen, selected)
        values = self._values(screen, selected, interrupting)
        changed = {name: value for name, value in values.items() if seen.values.get(name) != value}
        updates = {self.outputs[name]: self._update(name, value, selected) for name, value in changed.items()}
        updates[self.outputs["seen"]] = Seen(values, screen.run.id if screen.run else "", pictures)
        if "gallery" in changed:
            updates[self.outputs["selected"]] = selected
        return updates

    def _values(self, screen: Screen, selected: int, interrupting: str) -> dict[str, Any]:
        run = screen.run
        pictures = run.pictures if run else ()
        shown = pictures[selected] if pictures else None
        is_running = run is not None and run.is_running
        return {
            "device": fragments.device_line(screen),
            "jobs": fragments.job_line(screen),
            "queue": fragments.queue_list(screen.queue),
            "notices": fragments.paragraphs(screen.notices),
            "stage": fragments.stage(screen, MODELS_FOLDER),
            "gallery": tuple(str(picture.path) for picture in pictures),
            "log": fragments.log(screen, shown, self.app.paths.data, run is not None and run.id == interrupting),
            "infotext": fragments.infotext(shown),
            "generate": screen.is_ready,
            "enlarge": shown is not None and shown.seed is not None and screen.is_ready,
            "save_copy": shown is not None,
            "interrupt": is_running,
            "skip": is_running,
            "checkpoint": (screen.model.checkpoint, screen.model.status, screen.model.sentence),
            "recommended": json.dumps(screen.recommended),
            "timer": BUSY if screen.queue or screen.model.status is ModelStatus.LOADING else IDLE,
        }

    def _update(self, name: str, value: Any, selected: int) -> Any:
        match name:
            case "gallery":
                return gr.update(value=list(value), selected_index=selected if value else None)
            case "generate" | "enlarge" | "save_copy" | "interrupt" | "skip":
                return gr.update(interactive=value)
            case "checkpoint":
                title, status, _ = value
                return self.checkpoint_choices(title, look_up=status is not ModelStatus.LOADING)
            case "timer":
                return gr.update(value=value)
            case _:
                return value

    def checkpoint_choices(self, title: str, look_up: bool = True) -> dict[str, Any]:
        """The checkpoint picker, showing `title`; while torch is still loading, folders are not searched."""
        titles = [checkpoint.title for checkpoint in self.app.models.checkpoints()] if look_up else []
        choices = list(dict.fromkeys([*titles, *filter(None, [title])]))
        return gr.update(choices=choices, value=title or None)


def _selected(seen: Seen, screen: Screen, selected: int) -> int:
    """The picture to look at: the newest, unless an older one of the same run was picked."""
    count = len(screen.run.pictures) if screen.run else 0
    follows = not screen.run or screen.run.id != seen.run or selected >= len(seen.pictures) - 1
    return max(0, count - 1) if follows else min(selected, max(0, count - 1))
