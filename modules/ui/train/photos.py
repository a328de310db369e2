"""Step ②: photos made ready. The light table shows and crops them (`light_table.js`), the rest is said by fields."""

import contextlib
import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr
from markupsafe import Markup

from modules.errors import JobBusy, ParameterError
from modules.model_state import Advice, ModelStatus
from modules.preprocess.albums import DESTINATION, FRESH, Kept
from modules.preprocess.crop import Size
from modules.preprocess_params import PreprocessParams
from modules.ui import fragments
from modules.ui.fragments import NOTHING
from modules.ui.train import photos_form, photos_view
from modules.ui.train.choice import change, read_choice
from modules.ui.train.context import TrainContext
from modules.ui.train.looking import Said, forget_when_mended
from modules.ui.train.photo_edits import told
from modules.ui.train.photos_form import element_id
from modules.ui.train.photos_layout import PhotosStep
from modules.ui.train.photos_layout import make_step as make_step
from modules.ui.train.photos_screen import PhotosScreen, look
from modules.ui.wiring import AS_SENT, QUIET, complaint, fill_on_open

MANY, SOME = 200, 25  # photos; of so many, only every so many-th is told while they are looked at
WITHOUT_FOLDER = "Name the folder in which your photos lie, or drop them into the box below."


@dataclass(frozen=True)
class Shown:
    """What one tab shows now.

    Attributes:
        values: of its outputs, by name, in a form that can be compared.
        params: what the form shows.
        written: which run the choice of the other steps was made from.
        said: the same for all looks of the tab.
        chosen: what was set by hand while no folder is open, for the one that will be; the same for all looks, too.
            Never emptied: a look that began before the opening and ends after it would show the form without it.
    """

    values: dict[str, Any] = field(default_factory=dict)
    params: PreprocessParams | None = None
    written: str | None = None
    said: Said = field(default_factory=Said)
    chosen: dict[str, Any] = field(default_factory=dict)


def wire(step: PhotosStep, context: TrainContext) -> None:
    """Connect the controls."""
    _Wiring(step, context).wire()


# a look that began before another and ended after it leaves a page that shows something else than its state says: these
# would stand there for ever, and sent again they cost the browser nothing
ALWAYS_SENT = ("status", "result", "told", "interrupt")


class _Wiring:
    def __init__(self, step: PhotosStep, context: TrainContext):
        self.step = step
        self.context = context
        self.desk = context.app.photos
        self.shown = gr.State(Shown())
        self.outputs: dict[str, Any] = {
            "table": step.table,
            "status": step.status,
            "report": step.report,
            "result": step.result,
            "told": step.told,
            "blip": step.blip,
            "describe": step.describe,
            "fetch": step.fetch,
            "write": step.write,
            "interrupt": step.interrupt,
            "ratio": step.ratio,
            "size later": step.size_later,
            "size told": step.size_told,
            **{f"group {name}": group for name, group in step.groups.items()},
            **{f"part {name}": part for name, part in step.parts.items()},
            **{f"field {name}": control for name, control in step.controls.items()},
        }
        self.state = [step.source, self.shown, context.choice]
        self.all_outputs = [*self.outputs.values(), step.source, self.shown, context.change, step.remembered]

    def wire(self) -> None:
        step, context = self.step, self.context
        fill_on_open(context.page.page, "photos", self.open_page, [step.remembered, *self.state], self.all_outputs)
        context.look.click(self.look_again, self.state, self.all_outputs, **QUIET)
        owner = context.page.owner
        forget_when_mended({element_id("source"): step.controls["source"]}, self.shown, step.status)
        step.table.select(self.open_sent, [owner, *self.state], self.all_outputs, **QUIET)

        keywords = {"owner": owner, "source_": step.source, "shown": self.shown, "choice": context.choice}
        inputs = {**keywords, "size_told": step.size_told, **step.controls}
        opening = [step.open.click, step.controls["source"].submit]
        gr.on(opening, self.open, inputs_kwargs=inputs, outputs=self.all_outputs, **AS_SENT)
        events = []
        for control in step.controls.values():
            if isinstance(control, gr.Textbox):
                events += [] if control is step.controls["source"] else [control.blur, control.submit]
            else:
                events.append(control.input)
        newest: dict[str, Any] = {"outputs": self.all_outputs, "trigger_mode": "always_last", **AS_SENT}
        gr.on(events, self.change, inputs_kwargs=inputs, **newest)
        step.ratio.input(self.change_ratio, inputs_kwargs={"ratio": step.ratio, **inputs}, **newest)
        step.write.click(self.write, inputs_kwargs=inputs, outputs=self.all_outputs, **AS_SENT)
        step.describe.click(self.describe, [owner, *self.state], self.all_outputs, **QUIET)
        step.fetch.click(self.fetch, [owner, *self.state], self.all_outputs, **QUIET)
        step.interrupt.click(self.interrupt, self.state, self.all_outputs, **QUIET)

    # --- looking ----------------------------------------------------------------------------------------------------

    def open_page(self, remembered: Any, source: str, shown: Shown, choice: str) -> dict[Any, Any]:
        """Show what this browser worked on, else what was worked on last."""
        folder = self._find(remembered if isinstance(remembered, str) else "") or self.desk.newest()
        if folder:
            with contextlib.suppress(JobBusy):  # the next one who comes looks again
                self.desk.go_on(folder)
        return self.look(str(folder or ""), shown, choice)

    def look_again(self, source: str, shown: Shown, choice: str) -> dict[Any, Any]:
        """As `look`, once the page knows what it shows: a look that began sooner would end by forgetting it again."""
        return self.look(source, shown, choice) if shown.values else {self.step.status: gr.skip()}

    def look(self, source: str, shown: Shown, choice: str, complaints: Markup | None = None) -> dict[Any, Any]:
        """Updates for what has changed since `shown`."""
        folder = self._find(source)
        screen = look(self.desk, folder, self.context.app.paths.photos)
        values = self._values(screen, shown)
        if complaints is not None or screen.running:
            shown.said.words = complaints or NOTHING
        if shown.said.words:
            values["status"] = shown.said.words  # stays until something else is done
        changed = {n: value for n, value in values.items() if n in ALWAYS_SENT or shown.values.get(n) != value}
        updates = {
            self.outputs[name]: self._update(name, value, screen)
            for name, value in changed.items()
            if name in self.outputs
        }
        params = self._to_show(screen, shown)
        if params != shown.params:
            updates |= self._show_params(params, None if screen.kept else shown.params or FRESH)
        written, told_choice = self._choice(screen, shown, choice)
        updates[self.shown] = Shown(values, params, written, shown.said, shown.chosen)
        if shown.values.get("opened") != source:
            updates |= {self.step.source: source, self.step.remembered: str(folder or "")}
        if told_choice is not None:
            updates[self.context.change] = told_choice
        return updates

    def _values(self, screen: PhotosScreen, shown: Shown) -> dict[str, Any]:
        album = screen.kept.album if screen.kept else None
        params, has_size = self._to_show(screen, shown), self._has_size(screen.kept, shown.chosen)
        titles = photos_form.group_titles(params) | ({} if has_size else {"size": photos_form.SIZE_OF_MODEL})
        table = (screen.key, _told_revision(screen))
        is_fetching = screen.download is not None and not screen.download.is_over
        return {
            "opened": str(album.source) if album else "",
            "table": table,
            "status": photos_view.status(screen),
            "report": shown.values["report"] if shown.values.get("table") == table else photos_view.report(screen),
            "result": photos_view.result(screen, self.context.app.paths.data),
            "told": photos_view.told(screen),
            "blip": photos_view.blip(screen),
            "describe": screen.has_blip and bool(album and album.used) and not screen.running,
            "fetch": (photos_view.fetch_label(screen.download), is_fetching or not screen.has_blip),
            "write": photos_view.write_label(album),
            "interrupt": screen.running is not None,
            "size later": NOTHING if has_size else fragments.paragraphs([photos_form.SIZE_LATER]),
            **{f"group {name}": title for name, title in titles.items()},
            "part size": has_size,
            **{f"part {name}": getattr(params, name) for name in photos_form.PARTS},
        }

    def _update(self, name: str, value: Any, screen: PhotosScreen) -> Any:
        match name.partition(" ")[0]:
            case "table":
                return {**told(screen.kept, screen.key), "sent": screen.sent} if screen.kept else None
            case "describe" | "interrupt":
                return gr.update(interactive=value)
            case "fetch":
                return gr.update(value=value[0], visible=value[1])
            case "group":
                return gr.update(label=value)
            case "part":
                return gr.update(visible=value)
            case _:
                return value

    def _to_show(self, screen: PhotosScreen, shown: Shown) -> PreprocessParams:
        """What the form is to show: what is decided about the folder; while none is open, what it would be opened with
        now, as far as that is known."""
        if screen.kept:
            return screen.kept.album.params
        width, height = self._native_size() or (shown.params or FRESH).size
        return dataclasses.replace(FRESH, **{"width": width, "height": height, **shown.chosen})

    def _show_params(self, params: PreprocessParams, before: PreprocessParams | None) -> dict[Any, Any]:
        """Updates of the form.

        Args:
            before: what it shows, so that nothing else is touched: somebody may be typing. None: send everything.
        """
        values = photos_form.shown_values(params)
        news = {name for name, value in values.items() if before is None or getattr(before, name) != value}
        if before:
            news -= {"source"}
        updates = {self.step.controls[name]: values[name] for name in news}
        return updates | {
            self.step.ratio: photos_form.ratio_of(params.width, params.height),
            self.step.size_told: json.dumps(params.size),
        }

    def _choice(self, screen: PhotosScreen, shown: Shown, choice: str) -> tuple[str | None, str | None]:
        """Tell the other steps of a folder that was written just now; one that was chosen by hand stays."""
        written = screen.kept.album.written if screen.kept else None
        if not written or not written.count:
            return shown.written or "", None
        token = json.dumps([str(written.folder), written.sentence, written.decided])
        now = read_choice(choice)
        is_new = token != shown.written and (shown.written is not None or not now.photos)
        if not is_new or now.photos == str(written.folder):
            return token, None
        return token, change(photos=str(written.folder))

    def _native_size(self) -> Size | None:
        """What pictures are cut to where nobody has chosen a size; None while a model is being loaded."""
        state = self.context.app.model_state
        if all(state.native_size):
            return state.native_size
        return None if state.status is ModelStatus.LOADING else Advice().native_size

    def _has_size(self, kept: Kept | None, chosen: Mapping[str, Any]) -> bool:
        """Whether it is known what pictures are cut to."""
        return kept is not None or chosen.keys() >= photos_form.SIZE or self._native_size() is not None

    # --- doing ------------------------------------------------------------------------------------------------------

    def _open(self, folder: str, owner: str, shown: Shown, chosen: Mapping[str, Any]) -> Path:
        """The source of the album of a folder; one that cannot be opened is refused before anything is waited for.

        Where its size is neither chosen nor kept with the folder, this waits until the model is known, and says so:
        what is taken now is kept.
        """
        kept = self.desk.albums.find(self.desk.require_photos(folder))
        size = self._native_size() or Advice().native_size
        if not self._has_size(kept, chosen):
            shown.said.words = photos_view.WAITING  # the looks show it
            size = (self.context.app.models.advice() or Advice()).native_size
        typed = {name: value for name, value in chosen.items() if value != ""}
        return self.desk.open(folder, owner, size, typed).album.source

    def _choose(self, shown: Shown, values: Mapping[str, Any], size_told: str) -> dict[str, Any]:
        """Note what was set by hand while no folder is open.

        Args:
            size_told: what the page knows of the size in `shown`; empty: all of it.

        Raises:
            ParameterError: a value that cannot be used.
        """
        has_size, by_itself = self._has_size(None, shown.chosen), shown.params or FRESH
        if size_told:
            width, height = json.loads(size_told)
            by_itself = dataclasses.replace(by_itself, width=width, height=height)
        chosen = photos_form.set_by_hand(values, by_itself, shown.chosen, has_size)
        shown.chosen.update(chosen)
        return chosen

    def open(
        self, owner: str, source_: str, shown: Shown, choice: str, size_told: str = "", **values: Any
    ) -> dict[Any, Any]:
        """Open the folder that was typed, with what was set before any was open."""
        try:
            chosen = {} if self._find(source_) else self._choose(shown, values, size_told)
            opened = self._open(str(values["source"] or ""), owner, shown, chosen)
        except Exception as error:
            return self.look(source_, shown, choice, complaint(error, element_id))
        return self.look(str(opened), _cleared(shown), choice)

    def open_sent(self, owner: str, source: str, shown: Shown, choice: str, event: gr.SelectData) -> dict[Any, Any]:
        """Open the folder into which photos were sent."""
        try:
            folder = str(self.desk.sent_folder(str(event.value)))
            opened = self._open(folder, owner, shown, {} if self._find(source) else shown.chosen)
        except Exception as error:
            return self.look(source, shown, choice, complaint(error, element_id))
        return self.look(str(opened), _cleared(shown), choice)

    def change(
        self, owner: str, source_: str, shown: Shown, choice: str, size_told: str = "", **values: Any
    ) -> dict[Any, Any]:
        """Choose other tools."""
        folder = self._find(source_)
        try:
            if folder:
                params = self._params(folder, values)
                self.desk.set_params(params, owner)
            else:
                params = dataclasses.replace(shown.params or FRESH, **self._choose(shown, values, size_told))
        except Exception as error:
            return self.look(source_, shown, choice, complaint(error, element_id))
        updates = self.look(source_, _cleared(dataclasses.replace(shown, params=params)), choice)
        return updates | {self.step.ratio: photos_form.ratio_of(params.width, params.height)}

    def change_ratio(self, ratio: str, **values: Any) -> dict[Any, Any]:
        """Choose a ratio: the height follows the width."""
        height = photos_form.height_for(ratio, int(values["width"] or 512))
        if height is None:
            return {self.shown: values["shown"]}
        return self.change(**{**values, "height": height}) | {self.step.controls["height"]: height}

    def write(
        self, owner: str, source_: str, shown: Shown, choice: str, size_told: str = "", **values: Any
    ) -> dict[Any, Any]:
        """Write the pictures of the folder that is open; one that was only typed is opened first, as A1111's would."""
        typed = str(values["source"] or "").strip()
        try:
            folder = self._find(source_)
            if typed and (folder is None or typed != str(folder)):
                chosen = self._carried_over(folder, values) if folder else self._choose(shown, values, size_told)
                folder = self._open(typed, owner, shown, chosen)
                source_ = str(folder)
            elif folder:
                self.desk.set_params(self._params(folder, values), owner)
            else:
                raise ParameterError("source", WITHOUT_FOLDER)
            self.desk.write(folder, owner)
        except Exception as error:
            return self.look(source_, shown, choice, complaint(error, element_id))
        return self.look(source_, _cleared(shown), choice)

    def describe(self, owner: str, source: str, shown: Shown, choice: str) -> dict[Any, Any]:
        """Let BLIP describe all photos."""
        folder = self._find(source)
        try:
            if folder is None:
                raise ParameterError("source", WITHOUT_FOLDER)
            self.desk.describe(folder, owner)
        except Exception as error:
            return self.look(source, shown, choice, complaint(error, element_id))
        return self.look(source, _cleared(shown), choice)

    def fetch(self, owner: str, source: str, shown: Shown, choice: str) -> dict[Any, Any]:
        """Fetch BLIP, or stop that."""
        download = self.desk.download
        if download and not download.is_over:
            download.interrupt()
        else:
            self.desk.fetch_blip(owner)
        return self.look(source, shown, choice)

    def interrupt(self, source: str, shown: Shown, choice: str) -> dict[Any, Any]:
        """Stop before the next photo, whatever is under way."""
        folder = self._find(source)
        for job in self.desk.work_on(folder) if folder else []:
            job.interrupt()
        return self.look(source, shown, choice)

    def _find(self, source: str) -> Path | None:
        """The folder that is open, if this server may look at it."""
        return self.desk.allowed(source) if source else None

    def _carried_over(self, folder: Path, values: dict[str, Any]) -> dict[str, Any]:
        """What the form says to another folder than the one that is open: all but where the pictures of that one go."""
        params = dataclasses.asdict(self._params(folder, values))
        typed = str(values["destination"] or "").strip()
        is_own = typed in ("", self.desk.albums.open(folder).album.params.destination)
        return {name: value for name, value in params.items() if name not in ("source", "destination" * is_own)}

    def _params(self, folder: Path, values: dict[str, Any]) -> PreprocessParams:
        destination = str(values["destination"] or "").strip() or str(folder / DESTINATION)
        return photos_form.to_params({**values, "source": str(folder), "destination": destination})


def _told_revision(screen: PhotosScreen) -> int:
    """The revision of an album that is told next: a large one is not sent anew for each photo that is looked at."""
    if screen.kept is None:
        return 0
    revision = screen.kept.revision
    return revision if len(screen.kept.album.photos) < MANY or not screen.running else revision // SOME


def _cleared(shown: Shown) -> Shown:
    """What is shown, without a complaint: something was done that worked."""
    shown.said.words = NOTHING
    return shown
