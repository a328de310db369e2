"""Step ⑤: the chosen snapshot put into use, tried, and taken back if it disappoints."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr
from markupsafe import Markup

from modules.errors import ParameterError
from modules.events import EmbeddingSaved
from modules.files import safe_name
from modules.jobs import Job
from modules.prompts.new_word import name_problem
from modules.training.backups import backup_of
from modules.training.comparison import compare_strengths, parse_seeds
from modules.training.uses import Use, last_use, taken
from modules.ui import fragments
from modules.ui.train import compare_screen, compare_view, prompt_word
from modules.ui.train.choice import read_choice
from modules.ui.train.compare_screen import Doing, RunScreen, doing
from modules.ui.train.context import TrainContext
from modules.ui.train.looking import Said, forget_when_mended, under_way
from modules.ui.wiring import AS_SENT, QUIET, complaint

HINT = "The same seed with the plain word, with the embedding, and with its weight from 0.5 to 1.5."
TOGGLES = ("body", "undo", "draw", "stop", "result")  # sent each time, see `compare`
PROMPT_ON_CLICK = """
element.addEventListener("click", event => {
    const button = event.target.closest("[data-prompt]");
    if (button) trigger("select", {index: 0, value: button.dataset.prompt});
});
"""


@dataclass(frozen=True)
class UseStep:
    """The components that have something to do."""

    about: gr.HTML
    name: gr.Textbox
    taken: gr.HTML
    use: gr.Button
    undo: gr.Button
    result: gr.HTML
    prompts: gr.HTML
    prompt: gr.Textbox
    seeds: gr.Textbox
    draw: gr.Button
    stop: gr.Button
    drawing: gr.HTML
    grid: gr.HTML
    body: gr.Column


@dataclass(frozen=True)
class Shown:
    """What one tab shows now.

    Attributes:
        values: of its outputs, by name.
        form_of: the run that the form was filled for.
        told: id of the job whose result this tab shows already.
        said: how the last use ended, or why it could not begin.
    """

    values: dict[str, Any] = field(default_factory=dict)
    form_of: str = ""
    told: str = ""
    said: Said = field(default_factory=Said)


def element_id(name: str) -> str:
    """The id of a field's control."""
    return f"use_{name}"


def make_step() -> UseStep:
    """Build the step inside the column that is open."""
    about = _html("use_about")
    with gr.Column(elem_id="use_body", visible=False) as body:
        with gr.Row(elem_id="use_top"):
            with gr.Column(elem_id="use_form", min_width=280):
                name = gr.Textbox(label="Name, the word for prompts", elem_id=element_id("name"), max_lines=1)
                told = _html("use_taken")
                with gr.Row():
                    use = gr.Button("Use this", variant="primary", elem_id="use_use")
                    undo = gr.Button("Undo", elem_id="use_undo", interactive=False)
                result = _html("use_result")
            prompts = gr.HTML("", elem_id="use_ready", apply_default_css=False, js_on_load=PROMPT_ON_CLICK)
        with gr.Row(elem_id="use_strength_form"):
            prompt = gr.Textbox(label="How strong is it?", elem_id=element_id("prompts"), max_lines=1, scale=3)
            seeds = gr.Textbox("1", label="Seed", elem_id=element_id("seeds"), max_lines=1, scale=0, min_width=96)
            draw = gr.Button("Draw 6 pictures", elem_id="use_draw", scale=0)
            stop = gr.Button("Interrupt", elem_id="use_stop", visible=False, scale=0)
        drawing = _html("use_drawing")
        grid = _html("use_grid")
    return UseStep(about, name, told, use, undo, result, prompts, prompt, seeds, draw, stop, drawing, grid, body)


def wire(step: UseStep, context: TrainContext) -> None:
    """Connect the controls."""
    _Wiring(step, context).wire()


class _Wiring:
    def __init__(self, step: UseStep, context: TrainContext):
        self.step, self.context, self.app = step, context, context.app
        self.shown = gr.State(Shown())
        # each browser's last job, and its run: a tab's own state may be written by a look that began sooner
        self.asked: dict[str, tuple[str, str]] = {}
        self.written: dict[str, prompt_word.Written] = {}  # by each browser's last use that was not undone
        names = "about name taken use undo result prompts prompt seeds draw stop drawing grid body"
        self.outputs = {name: getattr(step, name) for name in names.split()}
        self.txt2img = context.page.txt2img.prompt.text
        self.look_outputs = [*self.outputs.values(), self.shown, self.txt2img]

    def wire(self) -> None:
        step, context = self.step, self.context
        state = [context.page.owner, context.choice, self.shown, step.name, self.txt2img]
        gr.on(
            [context.look.click, context.choice.change, context.page.page.load, step.name.change],
            self.look,
            state,
            self.look_outputs,
            **QUIET,
        )
        step.use.click(self.use, state, self.look_outputs, **AS_SENT)
        step.undo.click(self.undo, state, self.look_outputs, **AS_SENT)
        step.draw.click(self.draw, [*state, step.prompt, step.seeds], self.look_outputs, **AS_SENT)
        fields = {element_id("name"): step.name, element_id("prompts"): step.prompt, element_id("seeds"): step.seeds}
        forget_when_mended(fields, self.shown, step.result)
        step.stop.click(self.stop, state, self.look_outputs, **QUIET)
        step.prompts.select(self.try_prompt, None, [self.txt2img, context.page.tabs], **QUIET)

    # --- looking ----------------------------------------------------------------------------------------------------

    def look(
        self, owner: str, choice: str, shown: Shown, name: Any, prompt: Any, told: Markup | None = None
    ) -> dict[Any, Any]:
        """Updates for what has changed since `shown`; a use that has ended writes its name into the prompt."""
        now = read_choice(choice)
        screen = compare_screen.find(self.app, now)
        if screen is None:
            nothing = compare_view.empty(compare_view.NOTHING_TO_USE)
            gone = {"about": nothing, "body": False, "result": fragments.NOTHING}
            shown.said.words = fragments.NOTHING
            return self._changed(gone, shown, "", shown.told)
        name = screen.name if shown.form_of != screen.key else str(name or "")
        step = screen.chosen(now.step if now.run == screen.key else "")
        used = last_use(screen.run.folder)
        values = self._values(screen, step, used, name)
        if told is not None:
            shown.said.words = told
        result = shown.said.words
        id, run = self.asked.get(owner, ("", ""))
        job = self.app.jobs.find(id) if id != shown.told and run == screen.key else None
        more, told_now = {}, shown.told
        if job and job.is_over:
            ended = doing(job)
            result, told_now = self._result(job, ended), job.id
            shown.said.words = result
            if shown.values and not ended.failed:  # not again after a reload
                more = self._prompt(owner, job, screen.key, used.name if used else name, str(prompt or ""))
        elif job:  # the name comes into the prompt wherever somebody goes meanwhile
            result = Markup('<p class="quiet" role="status"{}>{}…</p>').format(under_way("use"), job.title)
        values["result"] = result
        updates = self._changed(values, shown, screen.key, told_now) | more
        if shown.form_of != screen.key:
            cells = screen.strength_sheet
            text = cells.sheet.comparison.columns[0].prompt if cells else f"portrait of {screen.name}"
            updates |= {self.step.name: screen.name, self.step.prompt: text}
        return updates

    def _values(self, screen: RunScreen, step: int | None, used: Use | None, name: str) -> dict[str, Any]:
        busy = screen.comparing.is_running
        about_strength = screen.comparing if busy or screen.comparing.failed else Doing()
        return {
            "body": step is not None,
            "about": compare_view.in_use(screen, step),
            "taken": self._taken(name, screen.name, used),
            "use": f"Use step {step}",
            "undo": used is not None,
            "prompts": compare_view.prompts_list(used.name if used else name or screen.name, screen.word),
            "draw": not busy,
            "stop": busy,
            "drawing": compare_view.doing(about_strength),
            "grid": compare_view.grid(screen.strength_sheet, screen, HINT),
        }

    def _require_name(self, name: str, own: str) -> list[Path]:
        """The files that a use under this name would take the place of.

        Args:
            own: the name that the run trained.

        Raises:
            ParameterError: why it cannot be the word for prompts.
        """
        older = taken(self.app.paths.embeddings, safe_name(name, "name"))
        app = self.app
        if not older and name != own and (problem := name_problem(name, app.embeddings.names(), app.tokenizer)):
            raise ParameterError("name", problem)
        return older

    def _taken(self, name: str, own: str, used: Use | None) -> Markup:
        """What a use under this name would take the place of."""
        try:
            older = self._require_name(name, own)
        except ParameterError as error:
            return complaint(error, element_id)
        if not older:
            return Markup('<p class="quiet">A new word: nothing is overwritten.</p>')
        if used and older == [used.path]:
            return Markup('<p class="quiet">In use now: step {}. Another step takes its place; it is kept.</p>').format(
                used.step
            )
        kept = ", ".join(backup_of(path).name for path in older)
        return Markup(
            '<p class="quiet">Takes the place of <b>{}</b>, which is kept as {}. Undo brings it back.</p>'
        ).format(", ".join(path.name for path in older), kept)

    def _result(self, job: Job, ended: Doing) -> Markup:
        if ended.failed:
            return Markup('<p class="notice bad" role="alert">{}</p>').format(ended.text)
        texts = [event.text for event in job.events_since()[0] if isinstance(event, EmbeddingSaved)]
        return Markup('<p class="notice good" role="status">{}</p>').format(" ".join(texts))

    def _prompt(self, owner: str, job: Job, run: str, name: str, prompt: str) -> dict[Any, str]:
        """What a job that has ended well makes of the prompt: a use writes its word there, and its undoing takes out
        what that wrote."""
        if job.title.startswith("Using"):
            self.written[owner] = prompt_word.write(run, name, prompt)
            return {self.txt2img: self.written[owner].after}
        written = self.written.pop(owner, None)
        if written is None or written.run != run:
            return {}
        return {self.txt2img: prompt_word.take_out(written, prompt)}

    def _changed(self, values: dict[str, Any], shown: Shown, key: str, told: str) -> dict[Any, Any]:
        changed = {name: value for name, value in values.items() if name in TOGGLES or shown.values.get(name) != value}
        updates = {self.outputs[name]: self._update(name, value) for name, value in changed.items()}
        return updates | {self.shown: Shown({**shown.values, **values}, key, told, shown.said)}

    def _update(self, name: str, value: Any) -> Any:
        match name:
            case "undo" | "draw":
                return gr.update(interactive=value)
            case "body" | "stop":
                return gr.update(visible=value)
            case _:
                return value

    # --- doing ------------------------------------------------------------------------------------------------------

    def use(self, owner: str, choice: str, shown: Shown, name: Any, prompt: Any) -> dict[Any, Any]:
        """Install the snapshot; what the page said would be overwritten may be."""

        def submit(screen: RunScreen, step: int) -> Job:
            wanted = str(name or "")
            overwrite = bool(self._require_name(wanted, screen.name))
            return self.app.training.use_snapshot(screen.run.folder.path, step, wanted, overwrite, owner)

        return self._submit(owner, choice, shown, name, prompt, submit)

    def undo(self, owner: str, choice: str, shown: Shown, name: Any, prompt: Any) -> dict[Any, Any]:
        """Take the last use back."""
        return self._submit(
            owner,
            choice,
            shown,
            name,
            prompt,
            lambda screen, _: self.app.training.undo_use(screen.run.folder.path, owner),
        )

    def draw(
        self, owner: str, choice: str, shown: Shown, name: Any, prompt: Any, prompts: Any, seeds: Any
    ) -> dict[Any, Any]:
        """Draw how strong the snapshot is."""

        def submit(screen: RunScreen, step: int) -> None:
            numbers, text = parse_seeds(str(seeds or "")), str(prompts or "")
            word = screen.word or "person"
            sheet = compare_strengths(screen.name, step, [text], numbers[:1], screen.look, word)
            self.app.training.compare(screen.run.folder.path, sheet, owner)

        return self._submit(owner, choice, shown, name, prompt, submit)

    def stop(self, owner: str, choice: str, shown: Shown, name: Any, prompt: Any) -> dict[Any, Any]:
        """Interrupt the drawing; what is drawn is kept."""
        screen = compare_screen.find(self.app, read_choice(choice))
        job = self.app.training.last_job("Comparing", screen.run.folder.path) if screen else None
        if job:
            job.interrupt()
        return self.look(owner, choice, shown, name, prompt)

    def try_prompt(self, event: gr.SelectData) -> tuple[str, Any]:
        """Put a ready prompt into txt2img, and go there."""
        return str(event.value), gr.Tabs(selected="txt2img")

    def _submit(self, owner: str, choice: str, shown: Shown, name: Any, prompt: Any, submit: Any) -> dict[Any, Any]:
        now = read_choice(choice)
        screen = compare_screen.find(self.app, now)
        told = None
        try:
            step = screen.chosen(now.step if screen and now.run == screen.key else "") if screen else None
            if screen is None or step is None:
                raise ParameterError("run", compare_view.NO_RUN)
            job = submit(screen, step)
            if job:
                self.asked[owner] = (job.id, screen.key)
            told = fragments.NOTHING if job or "bad" in shown.said.words else None
        except Exception as error:
            told = complaint(error, element_id)
        return self.look(owner, choice, shown, name, prompt, told)


def _html(elem_id: str) -> gr.HTML:
    return gr.HTML("", elem_id=elem_id, apply_default_css=False)
