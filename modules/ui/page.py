"""The page: its frame, its tabs, and what each control does.

Nothing here waits for a picture. A click submits a job and returns; a timer looks at the App and sends what has
changed. So nothing is lost by a reload, and Gradio's own queue is never used.
"""

import json
import secrets
from dataclasses import dataclass
from typing import Any

import gradio as gr
from markupsafe import Markup

from modules.app import App
from modules.desks.drawing import Place
from modules.errors import WebuiError
from modules.guard import asking_user
from modules.jobs import Job
from modules.remake.fields import read_overrides
from modules.script_params import NONE
from modules.ui import (
    embeddings_panel,
    folded,
    form,
    fragments,
    png_info,
    reading_panel,
    script_part,
    settings,
    style_editor,
    txt2img,
)
from modules.ui.controls import icon_button, unseen_text
from modules.ui.history import tab as history
from modules.ui.refill import Refill, usable_overrides
from modules.ui.train import tab as train
from modules.ui.train.train_layout import make_banner
from modules.ui.txt2img import Txt2ImgTab
from modules.ui.watch import BUSY, Seen, Watch
from modules.ui.wiring import AS_SENT, BROWSER_SECRET, QUIET, PageContext, complaint, forget_complaint

TITLE = "Stable Diffusion"

# the model's values, but for the fields that the browser knows to be typed in
_UNTOUCHED = """(advised, ...shown) => {
    const values = JSON.parse(advised), typed = window.rememberedForm ?? {};
    return %s.map((name, place) => name in typed ? shown[place] : values[name]);
}"""
# what each field held when the opening page asked for its values, and those values for all that hold it still
_HELD = "(...shown) => { window.heldForm = shown.map(value => JSON.stringify(value)); }"
_UNCHANGED = """(opened, ...shown) => {
    const values = JSON.parse(opened), isHeld = place => window.heldForm[place] === JSON.stringify(shown[place]);
    return %s.map((name, place) => isHeld(place) ? values[name] : shown[place]);
}"""
# two fields may change before the first change is stored: the second must not forget it
_REMEMBER = "(window.rememberedForm = {...form, ...window.rememberedForm, %s})"
_CANCEL_ON_CLICK = """
element.addEventListener("click", event => {
    const button = event.target.closest("[data-cancel]");
    if (button) trigger("select", {index: 0, value: button.dataset.cancel});
});
"""


@dataclass(frozen=True)
class Frame:
    """The quiet line at the top."""

    checkpoint: gr.Dropdown
    refresh: gr.Button
    device: gr.HTML
    jobs: gr.HTML
    queue: gr.HTML
    notices: gr.HTML


@dataclass(frozen=True)
class Memory:
    """What the page remembers: two things in the browser, the others for as long as the tab is open.

    Attributes:
        form: the fields that the user changed, by name.
        session: what tells this browser from others; pictures belong to it.
        owner: the same, once the tab has told it.
        seen, selected: see `Watch`.
        interrupting: id of the run that was asked to stop.
        recommended: form values that suit the model in use, as JSON. A text box that nobody sees, because a change of
            a `gr.State` is told only to events in Gradio's queue.
    """

    form: gr.BrowserState
    session: gr.BrowserState
    owner: gr.State
    seen: gr.State
    selected: gr.State
    interrupting: gr.State
    recommended: gr.Textbox


def make_page(app: App) -> gr.Blocks:
    """Build the page of an App. It may be built, and opened, before the model is there."""
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True, delete_cache=(3600, 86400)) as page:
        memory = Memory(
            form=gr.BrowserState({}, storage_key="txt2img_form", secret=BROWSER_SECRET),
            session=gr.BrowserState("", storage_key="session", secret=BROWSER_SECRET),
            owner=gr.State(""),
            seen=gr.State(Seen()),
            selected=gr.State(0),
            interrupting=gr.State(""),
            recommended=unseen_text(),
        )
        frame = _make_frame()
        banner = make_banner()
        with gr.Tabs(elem_id="tabs", overflow_behavior="wrap") as tabs:
            with gr.Tab("txt2img", id="txt2img", elem_id="tab_txt2img"):
                tab = txt2img.make_tab()
            train_tab = train.make_tab()
            png_info_tab = png_info.make_tab()
            history_tab = history.make_tab(app)
            settings_tab = settings.make_tab(app)
        timer = gr.Timer(BUSY)
        outputs = {
            "device": frame.device,
            "jobs": frame.jobs,
            "queue": frame.queue,
            "notices": frame.notices,
            "checkpoint": frame.checkpoint,
            "stage": tab.stage,
            "gallery": tab.gallery,
            "log": tab.log,
            "infotext": tab.infotext,
            "generate": tab.generate,
            "enlarge": tab.enlarge,
            "save_copy": tab.save_copy,
            "interrupt": tab.interrupt,
            "skip": tab.skip,
            "recommended": memory.recommended,
            "timer": timer,
        }
        watch = Watch(app, outputs, memory.seen, memory.selected)
        _wire_watching(page, watch, memory, tab, timer)
        _wire_form(memory, tab)
        _wire_reading(app, memory, tab)
        folded.wire_sections(app, tab.sections, tab.controls, memory.seen, memory.selected)
        script_part.wire_script_part(app, tab.script, tab.prompt.text)
        style_editor.wire_editor(app, tab.styles, tab.prompt.text, tab.negative.text)
        _wire_jobs(app, watch, memory, tab, frame)
        _wire_checkpoints(app, watch, frame, memory.owner)
        context = PageContext(app, page, memory.owner, tabs, tab, memory.recommended, banner)
        embeddings_panel.wire_panel(tab.embeddings, context)
        train.wire_tab(train_tab, context)
        refill = Refill(context, memory.form)
        refill.wire()
        png_info.wire_tab(png_info_tab, refill)
        history.wire_tab(history_tab, refill)
        settings.wire_tab(settings_tab, refill)
    return page


def _make_frame() -> Frame:
    with gr.Row(elem_id="frame"):
        checkpoint = gr.Dropdown(
            [], label="Stable Diffusion checkpoint", elem_id="setting_sd_model_checkpoint", scale=0
        )
        refresh = icon_button("refresh", "refresh_sd_model_checkpoint", "Look for checkpoints again")
        device = gr.HTML("", elem_id="device_line", apply_default_css=False)
        jobs = gr.HTML("", elem_id="job_line", apply_default_css=False)
    queue = gr.HTML("", elem_id="queue_panel", apply_default_css=False, js_on_load=_CANCEL_ON_CLICK)
    notices = gr.HTML("", elem_id="start_notices", apply_default_css=False)
    return Frame(checkpoint, refresh, device, jobs, queue, notices)


def _wire_watching(page: gr.Blocks, watch: Watch, memory: Memory, tab: Txt2ImgTab, timer: gr.Timer) -> None:
    """Look when the page opens and then again and again; follow the picture that is picked in the gallery."""
    state = [memory.owner, memory.seen, memory.selected, memory.interrupting]
    outputs, opened = list(watch.outputs.values()), unseen_text()

    def open_page(session: Any, remembered: Any, seen: Seen, selected: int, interrupting: str) -> dict[Any, Any]:
        owner = session if isinstance(session, str) and session else secrets.token_hex(16)
        updates = watch.look(owner, seen, selected, interrupting)
        recommended, settings = json.loads(updates[memory.recommended]), watch.app.drawing.form_defaults()
        values = form.shown_values(remembered, recommended, settings)
        return updates | {opened: json.dumps(values), memory.session: owner, memory.owner: owner}

    answered = page.load(
        open_page,
        [memory.session, memory.form, memory.seen, memory.selected, memory.interrupting],
        [*outputs, opened, memory.session, memory.owner],
        **QUIET,
    )
    # a fast hand types before the answer comes: the browser alone knows of it
    controls = list(tab.controls.values())
    page.load(None, controls, None, js=_HELD, **QUIET)
    answered.success(None, [opened, *controls], controls, js=_UNCHANGED % json.dumps([*tab.controls]), **QUIET)
    timer.tick(watch.look, state, outputs, **QUIET)

    def pick(seen: Seen, event: gr.SelectData) -> tuple[Any, Any]:
        index = event.index if isinstance(event.index, int) and event.index < len(seen.pictures) else 0
        picture = seen.pictures[index] if seen.pictures else None
        return index, fragments.infotext(picture)

    tab.gallery.select(pick, memory.seen, [memory.selected, tab.infotext], **QUIET)


def _wire_form(memory: Memory, tab: Txt2ImgTab) -> None:
    """Remember what the user changes, in the browser and without asking the server; let the rest follow the model."""
    for name, control in tab.controls.items():
        # a Gradio text box tells of `input` only for keys that write a letter, not for Delete, paste or our shortcuts
        event = control.change if isinstance(control, gr.Textbox) else control.input
        event(
            None,
            [memory.form, control],
            memory.form,
            js=f"(form, value) => {_REMEMBER % f'{name}: value'}",
            trigger_mode="always_last",
            **QUIET,
        )

    def follow_model(remembered: Any, recommended: str) -> str:
        values = form.shown_values(remembered, json.loads(recommended))
        return json.dumps({name: values[name] for name in form.FROM_MODEL})

    # what is typed while the answer is under way stays: the browser alone knows of it
    followers, advised = [tab.controls[name] for name in form.FROM_MODEL], unseen_text()
    answered = memory.recommended.change(follow_model, [memory.form, memory.recommended], advised, **QUIET)
    answered.then(None, [advised, *followers], followers, js=_UNTOUCHED % json.dumps([*form.FROM_MODEL]), **QUIET)

    width, height, seed = (tab.controls[name] for name in ("width", "height", "seed"))
    tab.swap.click(
        None,
        [memory.form, width, height],
        [memory.form, width, height],
        js=f"(form, width, height) => [{_REMEMBER % 'width: height, height: width'}, height, width]",
        **QUIET,
    )
    tab.dice.click(None, None, seed, js="() => '-1'", **QUIET)

    def reuse_seed(seen: Seen, selected: int) -> Any:
        seeds = [picture.seed for picture in seen.pictures[selected : selected + 1] if picture.seed is not None]
        return str(seeds[0]) if seeds else gr.skip()

    tab.recycle.click(reuse_seed, [memory.seen, memory.selected], seed, **QUIET)


def _wire_reading(app: App, memory: Memory, tab: Txt2ImgTab) -> None:
    """Count tokens and show how the prompt is read, while it is typed: the newest form after each answer."""
    shown = [tab.prompt.counter, tab.reading, tab.negative.counter]

    def read(overrides: Any, **values: Any) -> tuple[Markup, ...]:
        params = reading_panel.params_of(app, values, read_overrides(usable_overrides(overrides)))
        reading, negative = reading_panel.read(app, params), reading_panel.read(app, params, negative=True)
        return reading_panel.counter(reading), reading_panel.panel(reading, params), reading_panel.counter(negative)

    # another model knows other embeddings, so a change of model counts as a change of the text
    inputs = {"overrides": tab.refill.overrides, **{name: tab.controls[name] for name in reading_panel.FIELDS}}
    events = [control.change for control in (*inputs.values(), memory.recommended)]
    gr.on(events, read, inputs_kwargs=inputs, outputs=shown, trigger_mode="always_last", **AS_SENT)


def _wire_jobs(app: App, watch: Watch, memory: Memory, tab: Txt2ImgTab, frame: Frame) -> None:
    """Generate, Interrupt, Skip, and cancelling in the queue."""
    look = {"owner": memory.owner, "seen": memory.seen, "selected": memory.selected}
    outputs = list(watch.outputs.values())

    def generate(owner: str, seen: Seen, selected: int, overrides: Any, **values: Any) -> dict[Any, Any]:
        of_script = {name: values.pop(name) for name in tab.script.controls}
        try:
            script = script_part.read_script(of_script)
            params = form.to_params(values, app.settings.form_defaults() | read_overrides(overrides or []))
            place = Place(user=asking_user())
            if script.script == NONE:
                app.generate(params, owner, place=place)
            else:
                app.run_script(params, script, owner, place)
        except Exception as error:
            return {tab.complaint: complaint(error)}
        # what was told of a form that has just been filled in is over with the run
        done = dict.fromkeys(told, fragments.NOTHING)
        return {**done, **watch.look(owner, seen, selected, "")}

    inputs = {**look, "overrides": tab.refill.overrides, **tab.controls, **tab.script.controls}
    told = [tab.complaint, tab.refill.report, tab.saved]
    tab.generate.click(generate, inputs_kwargs=inputs, outputs=[*outputs, *told], **AS_SENT)

    def enlarge(owner: str, seen: Seen, selected: int, **values: Any) -> dict[Any, Any]:
        try:
            if selected >= len(seen.pictures):
                raise WebuiError("There is no picture to enlarge: generate one first.")
            wanted = form.to_params(values, app.settings.form_defaults())
            app.enlarge(seen.pictures[selected].path, wanted, owner, Place(user=asking_user()))
        except Exception as error:
            return {tab.complaint: complaint(error)}
        return {tab.complaint: fragments.NOTHING, **watch.look(owner, seen, selected, "")}

    tab.enlarge.click(enlarge, inputs_kwargs={**look, **tab.controls}, outputs=[*outputs, tab.complaint], **AS_SENT)

    def save_copy(seen: Seen, selected: int) -> Any:
        try:
            if selected >= len(seen.pictures):
                raise WebuiError("There is no picture to copy: generate one first.")
            noted = app.settings.log_copies
            copy = app.library.saved_copies.save(seen.pictures[selected].path, noted)
        except Exception as error:
            return complaint(error)
        return fragments.saved_copy(copy, app.paths.data, noted)

    tab.save_copy.click(save_copy, [memory.seen, memory.selected], tab.saved, **AS_SENT)
    for name, control in {**tab.controls, **tab.script.controls}.items():
        forget_complaint(tab.complaint, form.element_id(name), [control])

    def running(owner: str) -> Job | None:
        job = app.jobs.running()
        return job if job and owner and job.owner == owner and job.kind == "txt2img" else None

    def interrupt(owner: str, seen: Seen, selected: int) -> dict[Any, Any]:
        job = running(owner)
        if not job:
            return {memory.interrupting: ""}
        job.interrupt()
        return {memory.interrupting: job.id, **watch.look(owner, seen, selected, job.id)}

    tab.interrupt.click(interrupt, list(look.values()), [*outputs, memory.interrupting], **QUIET)

    def skip(owner: str) -> None:
        if job := running(owner):
            job.skip()

    tab.skip.click(skip, memory.owner, None, **QUIET)

    def cancel(owner: str, seen: Seen, selected: int, event: gr.SelectData) -> dict[Any, Any]:
        job = app.jobs.find(str(event.value))
        if not job or not owner or job.owner != owner:
            return {memory.seen: seen}
        job.interrupt()
        updates = watch.look(owner, seen, selected, job.id)
        if job.kind == "load":  # as long as another is chosen in the box, it says what is not going to be
            updates[frame.checkpoint] = watch.checkpoint_choices(app.model_state.checkpoint)
        return updates

    frame.queue.select(cancel, list(look.values()), outputs, **QUIET)


def _wire_checkpoints(app: App, watch: Watch, frame: Frame, owner: gr.State) -> None:
    """Choosing another checkpoint is a job like any other; a page that cannot have it shows the old one again."""

    def select(title: str, owner: str) -> dict[Any, Any]:
        try:
            app.models.select(title, owner)
        except Exception as error:
            return {
                frame.checkpoint: watch.checkpoint_choices(app.model_state.checkpoint),
                frame.device: complaint(error),
            }
        return {frame.checkpoint: gr.skip()}

    frame.checkpoint.input(select, [frame.checkpoint, owner], [frame.checkpoint, frame.device], **AS_SENT)
    frame.refresh.click(lambda: watch.checkpoint_choices(app.model_state.checkpoint), None, frame.checkpoint, **QUIET)
