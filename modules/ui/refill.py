"""Filling the txt2img form from a picture's parameters: pasted, dropped on the prompt, or sent from another tab.

What is not a field of the form but decides pixels goes into the list of overrides, as in A1111: it holds for the runs
to come until it is taken out of the list. What differs from the picture is told beside the form.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import gradio as gr

from modules import images
from modules.errors import ImageError, ParameterError, WebuiError
from modules.params import default
from modules.remake.difference import Way
from modules.remake.fields import can_override, override, read_overrides
from modules.remake.remake import Remake
from modules.ui import folded, form, report
from modules.ui.controls import unseen_text
from modules.ui.fragments import NOTHING
from modules.ui.refill_box import RefillBox
from modules.ui.wiring import BROWSER_SECRET, QUIET, PageContext, complaint

LONGEST_TEXT = 1_000_000  # bytes of a text file that is dropped on the prompt
LOOK_EVERY = 1.0  # seconds, while hashes are computed

# The browser remembers what was filled in like what was typed; values that wait to be stored must not come over it.
_REMEMBER = """(form, filled) =>
    window.rememberedForm = {...form, ...window.rememberedForm, ...JSON.parse(filled || "{}")}"""


@dataclass(frozen=True)
class Asked:
    """What one tab filled its form from.

    Attributes:
        infotext: the parameters.
        remake: what was made of them, without the differences that a button has led out of.
        job: id of the job that computes hashes for it; empty if there is none.
    """

    infotext: str = ""
    remake: Remake = field(default_factory=lambda: Remake({}, {}, (), has_parameters=False))
    job: str = ""


class Refill:
    """Fills the form of a page.

    Args:
        page: the page around it.
        remembered: what the browser remembers of the form.

    Attributes:
        outputs: every component that `fill` may change.
    """

    def __init__(self, page: PageContext, remembered: gr.BrowserState):
        self.page = page
        self.box: RefillBox = page.txt2img.refill
        box = self.box
        self.remembered = remembered
        self.asked = gr.State(Asked())
        self.timer = gr.Timer(LOOK_EVERY, active=False)
        self.filled = unseen_text()
        self.controls: dict[str, Any] = page.txt2img.controls
        self.complaint = page.txt2img.complaint
        own = (box.overrides, box.report, self.asked, self.timer, self.filled, self.complaint)
        self.outputs: list[Any] = [*self.controls.values(), *own, page.tabs]

    def fill(self, infotext: str) -> dict[Any, Any]:
        """Updates that fill the form from the parameters of a picture, and open the txt2img tab."""
        found = self.page.app.library.remake(infotext)
        updates = self.values(found.values)
        if found.has_parameters:
            updates |= self._overridden(found.values, [])
        updates |= {self.box.report: report.report(found), self.asked: Asked(infotext, found), self.complaint: NOTHING}
        return updates | {self.page.tabs: gr.Tabs(selected="txt2img")}

    def fill_on(self, event: Callable[..., Any], infotext: Callable[..., str], inputs: Sequence[Any]) -> None:
        """Let an event fill the form.

        Args:
            event: `button.click`.
            infotext: called with the values of `inputs`; why it fails is told where the report would stand.
        """

        def answer(*values: Any) -> dict[Any, Any]:
            return self._or_complaint(lambda: self.fill(infotext(*values)))

        done = event(answer, list(inputs), self.outputs, **QUIET)
        self.remember(done)
        done.then(None, None, None, js="() => window.scrollTo({top: 0, behavior: 'smooth'})", **QUIET)

    def remember(self, done: Any) -> None:
        """Let the browser remember what an event has filled in."""
        done.then(None, [self.remembered, self.filled], self.remembered, js=_REMEMBER, **QUIET)

    def wire(self) -> None:
        """Connect the paste button, what is dropped on a prompt, the report's buttons and the browser's memory."""
        prompt = self.controls["prompt"]
        self.fill_on(self.box.paste.click, self._pasted, [prompt])
        self.fill_on(self.box.dropped.upload, read_dropped, [self.box.dropped])
        taken = self.box.report.select(self._take, [self.asked, self.box.overrides], self.outputs, **QUIET)
        self.remember(taken)
        self.timer.tick(self._look, self.asked, self.outputs, **QUIET)
        kept = gr.BrowserState([], storage_key="txt2img_overrides", secret=BROWSER_SECRET)
        self.page.page.load(lambda lines: listed(usable_overrides(lines)), kept, self.box.overrides, **QUIET)
        self.box.overrides.change(None, self.box.overrides, kept, js="lines => lines ?? []", **QUIET)

    def _pasted(self, prompt: str) -> str:
        text = prompt if prompt and prompt.strip() else self.page.app.library.last_infotext()
        if not text:
            raise ParameterError(
                "prompt", "There is nothing to read: paste a picture’s parameters into the prompt box."
            )
        return text

    def _take(self, asked: Asked, lines: list[str] | None, event: gr.SelectData) -> dict[Any, Any]:
        """What pressing one of the report's buttons does."""
        if event.value == report.CLOSE:
            return {self.box.report: "", self.asked: Asked()}
        number, position = map(int, str(event.value).split("."))
        way = asked.remake.differences[number].ways[position]
        return self._or_complaint(lambda: self._go(way, asked, lines or []))

    def _go(self, way: Way, asked: Asked, lines: list[str]) -> dict[Any, Any]:
        if way.hash_checkpoints:
            job = self.page.app.models.hash_all()
            return {self.asked: replace(asked, job=job.id), self.timer: gr.Timer(active=True)}
        if way.checkpoint:
            self.page.app.models.select(way.checkpoint)
        left = tuple(difference for difference in asked.remake.differences if way not in difference.ways)
        remake = replace(asked.remake, differences=left, values={**asked.remake.values, **way.fields})
        updates = self.values(way.fields) | self._overridden(way.fields, lines)
        return updates | {self.box.report: report.report(remake), self.asked: replace(asked, remake=remake)}

    def _look(self, asked: Asked) -> dict[Any, Any]:
        """Compare again once all hashes are known; fields that were changed meanwhile stay as they are."""
        job = self.page.app.jobs.find(asked.job)
        if job and not job.is_over:
            return {self.timer: gr.skip()}
        found = self.page.app.library.remake(asked.infotext)
        updates = {self.timer: gr.Timer(active=False), self.asked: replace(asked, remake=found, job="")}
        return updates | {self.box.report: report.report(found)}

    def _or_complaint(self, work: Callable[[], dict[Any, Any]]) -> dict[Any, Any]:
        try:
            return work()
        except WebuiError as error:
            return {self.box.report: report.message(str(error))}
        except Exception as error:
            return {self.box.report: complaint(error)}

    def values(self, values: Mapping[str, Any]) -> dict[Any, Any]:
        """Updates of those controls of the form that `values` names, by field."""
        plain = {name: _plain(name, value) for name, value in values.items() if name in self.controls}
        updates = {self.controls[name]: self._update(name, value) for name, value in plain.items()}
        return {**updates, self.filled: json.dumps(plain)}

    def _update(self, name: str, value: Any) -> Any:
        """A value, and the choices that it needs where they are looked up only when their part is opened."""
        if name in folded.FROM_DISK:
            found = folded.found_choices(self.page.app, name)
            return gr.update(value=value, choices=list(dict.fromkeys([*found, value])))
        if name == "styles":
            styles = self.page.app.drawing.styles.styles()
            return gr.update(value=value, choices=[style.name for style in styles])
        return value

    def _overridden(self, values: Mapping[str, Any], lines: Sequence[str]) -> dict[Any, Any]:
        """The list of overrides `lines` with those fields that the form does not have."""
        settings = self.page.app.settings.form_defaults()
        held = {**read_overrides(usable_overrides(lines)), **values}
        return {
            self.box.overrides: listed(
                override(name, value)
                for name, value in held.items()
                if name not in self.controls and can_override(name) and value != settings.get(name, default(name))
            )
        }


def read_dropped(path: str) -> str:
    """The parameters in a picture or text file that was dropped on a prompt.

    Raises:
        ImageError: it holds none, or cannot be read.
    """
    file = Path(path)
    if file.suffix.lower() == ".txt":
        with file.open("rb") as opened:
            text = opened.read(LONGEST_TEXT).decode("utf-8-sig", "replace")
    else:
        text = images.read_infotext(file)
    if not text.strip():
        raise ImageError(f"“{file.name}” holds no parameters: it was saved without them, or by another program.")
    return text


def usable_overrides(lines: object) -> list[str]:
    """Those lines that override something; a browser may have kept others of an older version."""
    return [line for line in lines if _is_override(line)] if isinstance(lines, list) else []


def listed(lines: Iterable[str]) -> Any:
    """The list of overrides, out of sight as long as it is empty."""
    found = list(lines)
    return gr.Dropdown(choices=found, value=found, visible=bool(found))


def _is_override(line: object) -> bool:
    try:
        return isinstance(line, str) and bool(read_overrides([line]))
    except ParameterError:
        return False


def _plain(name: str, value: Any) -> Any:
    """A value as its control takes it: seeds are typed into text boxes, styles are a list."""
    if name in form.SEEDS:
        return str(value)
    return list(value) if isinstance(value, tuple) else value
