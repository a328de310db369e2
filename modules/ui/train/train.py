"""Step ③: the run. Before it a form with presets that say why; while it runs, and after, what everybody sees of it.

Nothing here trains: a click submits a job and returns, and each tick sends what has changed. `run_screen` says what
there is to see, `run_view` how it looks, `train_form` which fields there are, `train_layout` where they stand.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from modules.app import App
from modules.errors import ParameterError
from modules.jobs import Job
from modules.model_state import ModelStatus
from modules.training.prompts import find_templates
from modules.ui import fragments, wiring
from modules.ui.controls import unseen_text
from modules.ui.train import run_view, train_form
from modules.ui.train.advice import Advice, taking
from modules.ui.train.choice import change, read_choice, taken_from
from modules.ui.train.context import TrainContext
from modules.ui.train.header import count_photos, named
from modules.ui.train.looking import make_marks, marked
from modules.ui.train.run_screen import look, newest_training
from modules.ui.train.train_layout import TrainStep, cards, make_step
from modules.ui.wiring import AS_SENT, QUIET, mended

__all__ = ["make_step", "wire"]

# a box of text that is left as it was advised, because somebody only came by, is not taken for typed in
_REMEMBER = """(form, value, said) => {
    const typed = (window.rememberedTraining ??= {}), advised = said ? JSON.parse(said).values : {};
    if ("%(field)s" in typed || value !== advised.%(field)s) typed.%(field)s = value;
    return {...form, ...typed};
}"""
_FOLDER = """(choice, shown) =>
    document.activeElement?.closest("#%s") ? shown : JSON.parse(choice || "{}").photos || shown"""
_FORGET = "() => { window.rememberedTraining = {}; }"
# a field that was refused holds something else: its help stands there again, and the button's complaint goes
_UNREFUSE = """said => {
    if ((said ?? "").includes('data-about="%s"')) return [{__type__: "update", info: %s, elem_classes: []}, ""];
}"""
# sent at each look: a click and a tick may cross, and what is there must be what is needed
_TOGGLES = ("before", "running", "pause", "stop", "sample", "resume", "again")


@dataclass(frozen=True)
class Mine:
    """What was clicked in one tab. Only clicks write it, so that no tick forgets what a click has just said.

    Attributes:
        put_away: id of the ended run that makes room for the form.
        estimating: id of the job that measures trial steps.
        measured: what it measures, see `train_form.cost_of`.
        refused: field whose value was refused, and its own help text.
    """

    put_away: str = ""
    estimating: str = ""
    measured: tuple[str, ...] = ()
    refused: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class Form:
    """What is told about the form as it stands. Each look sends it: kept by the server, an older one could come last.

    Attributes:
        cost: what the estimate depends on.
        steps: 0 where there is no whole number.
        titles: of the folded parts, by name.
    """

    cost: tuple[str, ...]
    steps: int
    titles: dict[str, str]


def wire(step: TrainStep, context: TrainContext) -> None:
    """Connect the controls."""
    _Wiring(step, context).wire()


class _Wiring:
    def __init__(self, step: TrainStep, context: TrainContext):
        self.step, self.context, self.app = step, context, context.app
        self.shown, self.mine = make_marks(), gr.State(Mine())
        names = "model estimate start estimated ending strip curves status live_text log settings"
        self.looking = {name: getattr(step, name) for name in (*_TOGGLES, *names.split())}
        self.looking |= {f"title {name}": group for name, group in step.groups.items()}
        self.inputs = [self.shown, self.mine]
        self.outputs = [*self.looking.values(), self.shown]
        self.advised = list(train_form.advised(20, "face", (512, 512))[0])
        self.advice = unseen_text(render=False)

    def wire(self) -> None:
        step, context, form = self.step, self.context, self.step.controls
        for component in (step.remembered, step.preset, self.advice, self.shown):
            component.render()  # outside of the tab, which is built when it is opened first
        owner, choice = context.page.owner, context.choice
        wiring.fill_on_open(
            context.page.page,
            "train",
            self.open_page,
            [step.remembered, step.preset, choice, *self.inputs],
            [*self.outputs, *form.values(), step.cards],
        )
        followed = {name: form[name] for name in train_form.FOLLOWED}
        gr.on(
            [context.look.click, *[control.change for control in followed.values()]],
            self.look_at_form,
            inputs_kwargs={"shown_": self.shown, "mine_": self.mine, **followed},
            outputs=self.outputs,
            trigger_mode="always_last",
            **AS_SENT,
        )
        gr.on(
            [choice.change, context.tab.select, step.refresh.click, context.page.model.change],
            self.follow_choice,
            [choice, step.preset, step.remembered],
            [form["embedding"], form["template"], self.advice],
            **QUIET,
        )
        fields = ("embedding", *self.advised, "file_format")
        followers = [form[name] for name in fields]
        self.advice.change(None, [self.advice, choice, step.preset], followers, js=taking(fields), **QUIET)
        chosen = taken_from("embedding", "run", "step")
        form["embedding"].input(None, [choice, form["embedding"]], choice, js=chosen, **QUIET)
        folder = form["data_root"]
        choice.change(None, [choice, folder], folder, js=_FOLDER % train_form.element_id("data_root"), **QUIET)
        gr.on([folder.blur, folder.submit], None, [choice, folder], choice, js=taken_from("photos"), **QUIET)
        step.cards.select(None, None, None, js=_FORGET, **QUIET)
        step.cards.select(
            self.choose_preset,
            [choice, step.remembered],
            [step.cards, step.preset, step.remembered, self.advice],
            **QUIET,
        )
        for name, control in form.items():
            # a Gradio text box tells of `input` only for keys that write a letter, not for Delete or paste
            events = [control.input, *([control.blur] if isinstance(control, gr.Textbox) else [])]
            given = [step.remembered, control, self.advice]
            newest: dict[str, Any] = {"js": _REMEMBER % {"field": name}, "trigger_mode": "always_last", **QUIET}
            gr.on(events, None, given, step.remembered, **newest)
            unrefuse = _UNREFUSE % (train_form.element_id(name), json.dumps(control.info))
            mended(control)(None, step.complaint, [control, step.complaint], js=unrefuse, **QUIET)
        txt2img = {f"txt2img_{name}": context.page.txt2img.controls[name] for name in train_form.FROM_TXT2IMG.values()}
        keywords = {
            "owner": owner, "shown_": self.shown, "mine_": self.mine, "from_txt2img_": step.from_txt2img,
        }  # fmt: skip
        inputs = {**keywords, **txt2img, **form}
        answers = [*self.outputs, self.mine, step.complaint, *form.values(), context.change]
        step.start.click(self.start, inputs_kwargs=inputs, outputs=answers, **AS_SENT)
        step.estimate.click(self.estimate, inputs_kwargs=inputs, outputs=answers, **AS_SENT)
        for button, action in ((step.pause, self.pause), (step.stop, self.stop), (step.sample, self.sample)):
            button.click(action, self.inputs, self.outputs, **QUIET)
        step.resume.click(
            self.resume, [owner, self.context.choice, *self.inputs], [*self.outputs, step.complaint], **QUIET
        )
        step.again.click(self.again, self.inputs, [*self.outputs, self.mine, step.complaint], **QUIET)

    # --- looking ----------------------------------------------------------------------------------------------------

    def look_at_form(self, shown_: Any, mine_: Mine, **values: Any) -> dict[Any, Any]:
        """Updates for what changed since this tab last looked, and for what its form has by now."""
        return self.look(shown_, mine_, _form(values))

    def look(self, shown: Any, mine: Mine, form: Form | None = None) -> dict[Any, Any]:
        """Updates for what changed since this tab last looked.

        Args:
            shown: the page's marks, see `looking.marked`.
            form: None where the page did not send it.
        """
        values = self._values(mine, form)
        marks, changed = marked(shown, values)
        sent = {name: value for name, value in values.items() if name in _TOGGLES or name in changed}
        updates = {self.looking[name]: _update(name, value) for name, value in sent.items()}
        return {**updates, self.shown: marks}

    def _values(self, mine: Mine, form: Form | None) -> dict[str, Any]:
        app, data = self.app, self.app.paths.data
        job = newest_training(app)
        visible = job is not None and (not job.is_over or job.id != mine.put_away)
        is_loaded = app.model_state.status is not ModelStatus.LOADING  # else sizes and rates would suit no model
        values: dict[str, Any] = {
            "before": not visible,
            "running": visible,
            "model": run_view.model_line(app.model_state),
            "estimate": is_loaded,
            "start": is_loaded,
        }
        if form:
            estimating = app.jobs.find(mine.estimating) if mine.estimating else None
            values["estimated"] = run_view.estimate_line(estimating, form.steps, mine.measured == form.cost)
            values |= {f"title {name}": title for name, title in form.titles.items()}
        if job is None or not visible:
            return values
        screen = look(job)
        may_resume = screen.is_over and any(
            run.folder.path == screen.folder and run.may_go_on for run in app.training.unfinished()
        )
        goes_on = not screen.is_over and not screen.is_stopping
        return values | {
            "ending": run_view.ending(screen, data),
            "strip": run_view.strip(screen),
            "curves": run_view.curves(screen),
            "status": run_view.status(screen),
            "pause": ("Resume" if screen.is_paused else "Pause", not screen.is_over, goes_on and screen.has_begun),
            "stop": ("Stop and keep", not screen.is_over, goes_on),
            "sample": ("Take a sample now", not screen.is_over, goes_on and screen.has_begun and not screen.is_paused),
            "resume": ("Go on with this run", may_resume, True),
            "again": ("Set up another run", screen.is_over, True),
            "live_text": run_view.live_text(screen, data),
            "log": run_view.log(screen.log),
            "settings": run_view.settings(screen.folder),
        }

    # --- the form ---------------------------------------------------------------------------------------------------

    def open_page(self, remembered: Any, preset: Any, choice: Any, *state: Any) -> dict[Any, Any]:
        """The form as this browser left it, and the run that is under way."""
        controls, updates = self.step.controls, self.look(*state)
        kept = train_form.remembered_values(remembered)
        advice = self._advise(preset, choice, kept)
        shown = {**kept, **advice.values, "data_root": read_choice(choice).photos}
        updates |= {controls[name]: gr.update(value=value) for name, value in shown.items()}
        for name, reason in advice.reasons.items():
            updates[controls[name]]["info"] = reason
        for name, choices in self._choices().items():
            updates[controls[name]]["choices"] = choices
        return {**updates, self.step.cards: cards(preset if preset in train_form.CARDS else "face")}

    def follow_choice(self, choice: Any, preset: Any, remembered: Any) -> dict[Any, Any]:
        """Embeddings and templates as they are now; what a preset sizes to the photos, unless it was changed."""
        choices = {self.step.controls[name]: gr.update(choices=choices) for name, choices in self._choices().items()}
        advice = self._advise(preset, choice, train_form.remembered_values(remembered))
        return {**choices, self.advice: advice.write()}

    def choose_preset(self, choice: Any, remembered: Any, event: gr.SelectData) -> dict[Any, Any]:
        """All that the preset sets, also what was changed by hand."""
        preset = str(event.value)
        kept = {name: value for name, value in dict(remembered or {}).items() if name not in self.advised}
        advice = self._advise(preset, choice, train_form.remembered_values(kept))
        updates = {self.step.cards: cards(preset), self.step.preset: preset, self.step.remembered: kept}
        return {**updates, self.advice: advice.write(anew=True)}

    def _choices(self) -> dict[str, list[str]]:
        return {
            "embedding": self.app.embeddings.names(),
            "template": list(find_templates(self.app.paths.template_folders)),
        }

    def _advise(self, preset: Any, choice: Any, kept: Mapping[str, Any]) -> Advice:
        chosen, names = read_choice(choice), self.app.embeddings.names()
        likely = [chosen.embedding] if chosen.embedding else [named(self.app, chosen), _untrained(self.app)]
        size = self.app.model_state.native_size
        values, reasons = train_form.advised(count_photos(chosen.photos), str(preset), size)
        values["file_format"] = self.app.settings.embedding_format
        values = {name: kept.get(name, value) for name, value in values.items()}
        values["embedding"] = next((name for name in likely if name in names), None)
        return Advice(chosen.embedding, chosen.photos, preset, values, reasons)

    # --- actions ----------------------------------------------------------------------------------------------------

    def start(self, **given: Any) -> dict[Any, Any]:
        """Train, or say why not beside the field."""
        return self._submit(self.app.training.begin, **given)

    def estimate(self, **given: Any) -> dict[Any, Any]:
        """Measure two trial steps, or say why not beside the field."""
        return self._submit(self.app.training.estimate, **given)

    def _submit(
        self,
        submit: Any,
        owner: str,
        shown_: Any,
        mine_: Mine,
        from_txt2img_: Any,
        **values: Any,
    ) -> dict[Any, Any]:
        controls, updates = self.step.controls, self._unrefuse(mine_)
        given = {name: values[name] for name in train_form.FIELDS}
        if from_txt2img_ is True:
            given |= {to: values[f"txt2img_{name}"] for to, name in train_form.FROM_TXT2IMG.items()}
        try:
            params = train_form.to_params(given)
            job: Job = submit(params, owner)
        except Exception as error:
            mine, said = replace(mine_, refused=("", "")), wiring.complaint(error, train_form.element_id)
            if isinstance(error, ParameterError) and error.field in controls:
                updates |= self._refuse(error)
                mine = replace(mine_, refused=(error.field, str(controls[error.field].info or "")))
                said = train_form.pointer(error.field)
            return {**updates, self.step.complaint: said, self.mine: mine}
        chosen = {"embedding": params.embedding, "photos": params.data_root}
        estimates = job.kind == "estimate"
        mine = Mine("", job.id if estimates else mine_.estimating, mine_.measured)
        if estimates:
            mine = replace(mine, measured=train_form.cost_of(given))
        else:
            chosen |= {"run": "", "step": ""}
        updates |= self.look(shown_, mine, _form(values)) | {self.mine: mine, self.context.change: change(**chosen)}
        return updates | {self.step.complaint: fragments.NOTHING}

    def _refuse(self, error: ParameterError) -> dict[Any, Any]:
        """The reason stands where the help of the field stood, and its folded part opens."""
        opened = {
            self.step.groups[name]: gr.update(open=True)
            for name, fields in train_form.GROUPS.items()
            if error.field in fields
        }
        return {**opened, self.step.controls[error.field]: gr.update(info=str(error), elem_classes=["refused"])}

    def _unrefuse(self, mine: Mine) -> dict[Any, Any]:
        name, help_text = mine.refused
        return {self.step.controls[name]: gr.update(info=help_text or None, elem_classes=[])} if name else {}

    def pause(self, *state: Any) -> dict[Any, Any]:
        """Let the run stand still, or go on."""
        if job := self.app.training.under_way():
            job.resume() if job.is_paused else job.pause()
        return self.look(*state)

    def stop(self, *state: Any) -> dict[Any, Any]:
        """End the run after the step that it does; everything is kept."""
        if job := self.app.training.under_way():
            job.interrupt()
        return self.look(*state)

    def sample(self, *state: Any) -> dict[Any, Any]:
        """Have a sample drawn after the step that it does."""
        if job := self.app.training.under_way():
            job.sample()
        return self.look(*state)

    def resume(self, owner: str, choice: Any, *state: Any) -> dict[Any, Any]:
        """Go on with the run that has just ended early."""
        job, said = newest_training(self.app), fragments.NOTHING
        folder = look(job).folder if job else None
        try:
            if folder:
                self.app.training.resume(folder, owner, chosen=read_choice(choice).photos)
        except Exception as error:
            said = wiring.complaint(error, train_form.element_id)
        return {**self.look(*state), self.step.complaint: said}

    def again(self, shown: Any, mine: Mine) -> dict[Any, Any]:
        """Put the ended run away and show the form."""
        job = newest_training(self.app)
        mine = replace(mine, put_away=job.id if job else "")
        return {**self.look(shown, mine), self.mine: mine, self.step.complaint: fragments.NOTHING}


def _form(values: Mapping[str, Any]) -> Form:
    """What is told about a form, from what the page sends of it."""
    steps = values.get("steps")
    whole = int(steps) if isinstance(steps, (int, float)) and steps == steps // 1 else 0
    return Form(train_form.cost_of(values), whole, train_form.group_titles(values))


def _update(name: str, value: Any) -> Any:
    match name.partition(" ")[0]:
        case "title":
            return gr.update(label=value)
        case "before" | "running":
            return gr.update(visible=value)
        case "estimate" | "start":
            return gr.update(interactive=value)
        case "pause" | "stop" | "sample" | "resume" | "again":
            label, visible, interactive = value
            return gr.update(value=label, visible=visible, interactive=interactive)
        case _:
            return value


def _untrained(app: App) -> str:
    """The embedding that somebody who has chosen none most likely wants: the newest one that has learned nothing."""
    names = [entry.name for entry in app.embeddings.entries() if entry.embedding and not entry.embedding.step]
    return names[0] if names else ""
