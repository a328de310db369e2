"""Step ④: which snapshot is best, by two measured numbers and by pictures side by side."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import gradio as gr
from markupsafe import Markup

from modules.errors import ParameterError
from modules.jobs import Job
from modules.training.comparison import compare_steps, parse_seeds
from modules.ui import fragments
from modules.ui.train import compare_screen, compare_view
from modules.ui.train.choice import change, read_choice
from modules.ui.train.compare_screen import RunScreen
from modules.ui.train.context import TrainContext
from modules.ui.train.looking import Said, forget_when_mended
from modules.ui.wiring import AS_SENT, QUIET, complaint

SEEDS = "1, 2"
PICK_ON_CLICK = """
element.addEventListener("click", event => {
    const button = event.target.closest("[data-step]");
    if (button) trigger("select", {index: 0, value: button.dataset.step});
});
"""
HINT = "Here the pictures will stand: each row a step, each column a prompt and a seed. The same noise in every row."
# sent each time: a click and a tick may cross, and a button that is there must be the one that is needed
TOGGLES = ("body", "measure", "stop_measuring", "draw", "stop_drawing", "complaint")
OPEN_USE = "() => { document.querySelector('#train_steps_row [data-open-step=use]')?.click(); }"


@dataclass(frozen=True)
class CompareStep:
    """The components that have something to do."""

    run: gr.Dropdown
    advice: gr.HTML
    measure: gr.Button
    stop_measuring: gr.Button
    measuring: gr.HTML
    strip: gr.HTML
    use: gr.Button
    prompts: gr.Textbox
    seeds: gr.Textbox
    steps: gr.Dropdown
    description: gr.Textbox
    draw: gr.Button
    stop_drawing: gr.Button
    drawing: gr.HTML
    complaint: gr.HTML
    grid: gr.HTML
    body: gr.Column
    empty: gr.HTML


@dataclass(frozen=True)
class Shown:
    """What one tab shows now: the values of its outputs by name, what the form was filled for, why a click failed."""

    values: dict[str, Any] = field(default_factory=dict)
    form_of: str = ""
    recommended: int | None = None
    said: Said = field(default_factory=Said)


def element_id(name: str) -> str:
    """The id of a field's control."""
    return f"compare_{name}"


def make_step() -> CompareStep:
    """Build the step inside the column that is open."""
    empty = _html("compare_empty")
    with gr.Column(elem_id="compare_body", visible=False) as body:
        with gr.Row(elem_id="compare_verdict"):
            advice = _html("compare_advice")
            with gr.Column(elem_id="compare_doors", scale=0, min_width=280):
                with gr.Row():
                    measure = gr.Button("Measure the snapshots", elem_id="compare_measure", min_width=96)
                    stop_measuring = gr.Button(
                        "Interrupt", elem_id="compare_stop_measuring", visible=False, min_width=96
                    )
                    use = gr.Button("Use this step", variant="primary", elem_id="compare_use", min_width=96)
                measuring = _html("compare_measuring")
        with gr.Row(elem_id="compare_bottom"):
            with gr.Column(elem_id="compare_form", scale=0, min_width=280):
                run = gr.Dropdown([], label="Run", elem_id="compare_run")
                prompts = gr.Textbox(
                    label="Prompts, one on each line",
                    lines=3,
                    max_lines=6,
                    elem_id=element_id("prompts"),
                    info="Ask for what the photos do not show: that is where late steps fail.",
                )
                with gr.Row():
                    seeds = gr.Textbox(SEEDS, label="Seeds", elem_id=element_id("seeds"), min_width=80, scale=1)
                    steps = gr.Dropdown(
                        [], multiselect=True, label="Steps", elem_id=element_id("steps"), min_width=160, scale=3
                    )
                description = gr.Textbox(
                    label="The same in plain words",
                    placeholder="a young man with a red beard",
                    elem_id=element_id("description"),
                    info="One more row, drawn with these words in the place of the name. Empty: no such row.",
                )
                with gr.Row(elem_id="compare_draw_row"):
                    draw = gr.Button("Draw the grid", elem_id="compare_draw", min_width=96)
                    stop_drawing = gr.Button("Interrupt", elem_id="compare_stop_drawing", visible=False, min_width=96)
                told = _html("compare_complaint")
                drawing = _html("compare_drawing")
            with gr.Column(elem_id="compare_grid_box", scale=1, min_width=280):
                strip = gr.HTML("", elem_id="compare_strip", apply_default_css=False, js_on_load=PICK_ON_CLICK)
                grid = _html("compare_grid")
    return CompareStep(
        run, advice, measure, stop_measuring, measuring, strip, use, prompts, seeds, steps, description, draw,
        stop_drawing, drawing, told, grid, body, empty,
    )  # fmt: skip


def wire(step: CompareStep, context: TrainContext) -> None:
    """Connect the controls."""
    _Wiring(step, context).wire()


class _Wiring:
    def __init__(self, step: CompareStep, context: TrainContext):
        self.step, self.context, self.app = step, context, context.app
        self.shown = gr.State(Shown())
        names = (
            "run advice measure stop_measuring measuring strip use prompts seeds steps description draw stop_drawing "
            "drawing complaint grid body empty"
        )
        self.outputs = {name: getattr(step, name) for name in names.split()}
        self.look_outputs = [*self.outputs.values(), self.shown]

    def wire(self) -> None:
        step, context = self.step, self.context
        state = [context.choice, self.shown]
        gr.on(
            [context.look.click, context.choice.change, context.page.page.load],
            self.look,
            state,
            self.look_outputs,
            **QUIET,
        )
        step.run.input(self.choose_run, step.run, context.change, **AS_SENT)
        step.strip.select(self.choose_step, self.shown, context.change, **QUIET)
        owner = context.page.owner
        step.measure.click(self.measure, [owner, *state], self.look_outputs, **QUIET)
        step.stop_measuring.click(partial(self.stop, "Measuring"), state, self.look_outputs, **QUIET)
        step.stop_drawing.click(partial(self.stop, "Comparing"), state, self.look_outputs, **QUIET)
        form = [step.prompts, step.seeds, step.steps, step.description]
        fields = ("prompts", "seeds", "steps", "description")
        forget_when_mended({element_id(name): getattr(step, name) for name in fields}, self.shown, step.complaint)
        step.draw.click(self.draw, [owner, *state, *form], self.look_outputs, **AS_SENT)
        step.use.click(self.use, context.choice, context.change, **QUIET).then(None, None, None, js=OPEN_USE, **QUIET)

    # --- looking ----------------------------------------------------------------------------------------------------

    def look(self, choice: str, shown: Shown, told: Markup | None = None) -> dict[Any, Any]:
        """Updates for what has changed since `shown`."""
        found = compare_screen.runs(self.app)
        chosen = read_choice(choice)
        key = compare_screen.pick(found, chosen)
        if not key:
            values: dict[str, Any] = {"body": False, "empty": compare_view.empty()}
            return self._changed(values, shown, Shown(values, said=shown.said))
        screen = compare_screen.gather(self.app, key, found[key])
        values = self._values(screen, screen.chosen(chosen.step if chosen.run == key else ""))
        values["run"] = (key, tuple((compare_view.run_label(run), name) for name, run in found.items()))
        if told is not None:
            shown.said.words = told
        values["complaint"] = shown.said.words
        recommended = screen.recommended.step if screen.recommended else None
        updates = self._changed(values, shown, Shown(values, key, recommended, shown.said))
        if shown.form_of != key:
            updates |= self._fill(screen)
        elif recommended != shown.recommended and not screen.steps_sheet:
            updates |= {self.step.steps: gr.update(value=[str(one) for one in screen.some_steps()])}
        return updates

    def _values(self, screen: RunScreen, step: int | None) -> dict[str, Any]:
        missing, count = screen.missing, len(screen.snapshots)
        label = "Measure the snapshots" if missing == count else f"Measure {missing} more"
        return {
            "body": True,
            "empty": fragments.NOTHING,
            "advice": compare_view.advice(screen),
            "measure": (label if missing else "All are measured", bool(missing) and not screen.measuring.is_running),
            "stop_measuring": screen.measuring.is_running,
            "measuring": compare_view.doing(screen.measuring),
            "strip": compare_view.strip(screen, step),
            "use": f"Use step {step}",
            "stop_drawing": screen.comparing.is_running,
            "draw": not screen.comparing.is_running,
            "drawing": compare_view.doing(screen.comparing),
            "grid": compare_view.grid(screen.steps_sheet, screen, HINT),
        }

    def _changed(self, values: dict[str, Any], shown: Shown, now: Shown) -> dict[Any, Any]:
        changed = {name: value for name, value in values.items() if name in TOGGLES or shown.values.get(name) != value}
        return {self.outputs[name]: self._update(name, value) for name, value in changed.items()} | {self.shown: now}

    def _update(self, name: str, value: Any) -> Any:
        match name:
            case "run":
                return gr.update(choices=[(label, key) for label, key in value[1]], value=value[0])
            case "measure":
                return gr.update(value=value[0], interactive=value[1])
            case "draw":
                return gr.update(interactive=value)
            case "body" | "stop_measuring" | "stop_drawing":
                return gr.update(visible=value)
            case _:
                return value

    def _fill(self, screen: RunScreen) -> dict[Any, Any]:
        """Sensible values for another run; a sheet that is there says what it was drawn from."""
        step, cells = self.step, screen.steps_sheet
        steps = [str(snapshot.step) for snapshot in screen.snapshots]
        prompts = compare_view.ready_prompts(screen.name, screen.word)[:2]
        seeds, chosen, words = SEEDS, screen.some_steps(), ""
        if cells:
            comparison = cells.sheet.comparison
            prompts = list(dict.fromkeys(column.prompt for column in comparison.columns))
            seeds = ", ".join(dict.fromkeys(str(column.seed) for column in comparison.columns))
            chosen = [row.step for row in comparison.rows if row.step is not None]
            words = next((row.text for row in comparison.rows if row.step is None), "")
        return {
            step.prompts: "\n".join(prompts),
            step.seeds: seeds,
            step.steps: gr.update(choices=steps, value=[str(one) for one in chosen]),
            step.description: words,
        }

    # --- doing ------------------------------------------------------------------------------------------------------

    def choose_run(self, key: Any) -> Any:
        """Look at another run."""
        found = compare_screen.runs(self.app)
        run = found.get(key) if isinstance(key, str) else None
        if run is None:
            return gr.skip()
        return change(embedding=run.folder.name, run=str(key), step="")

    def choose_step(self, shown: Shown, event: gr.SelectData) -> str:
        """Pick a snapshot."""
        return change(run=shown.form_of, step=str(event.value))

    def use(self, choice: str) -> Any:
        """Carry the picked snapshot to step ⑤."""
        now = read_choice(choice)
        screen = compare_screen.find(self.app, now)
        if screen is None:
            return gr.skip()
        step = screen.chosen(now.step if now.run == screen.key else "")
        return change(embedding=screen.name, run=screen.key, step="" if step is None else str(step))

    def measure(self, owner: str, choice: str, shown: Shown) -> dict[Any, Any]:
        """Measure what is not measured yet."""
        return self._submit(
            choice, shown, lambda screen: self.app.training.measure(screen.run.folder.path, owner=owner)
        )

    def draw(
        self, owner: str, choice: str, shown: Shown, prompts: Any, seeds: Any, steps: Any, description: Any
    ) -> dict[Any, Any]:
        """Draw a sheet."""

        def submit(screen: RunScreen) -> Job:
            comparison = compare_steps(
                screen.name,
                _steps(steps),
                str(prompts or "").splitlines(),
                parse_seeds(str(seeds or "")),
                screen.look,
                str(description or ""),
            )
            return self.app.training.compare(screen.run.folder.path, comparison, owner)

        return self._submit(choice, shown, submit)

    def stop(self, kind: str, choice: str, shown: Shown) -> dict[Any, Any]:
        """Interrupt the measuring or the drawing; what is done is kept."""
        screen = compare_screen.find(self.app, read_choice(choice))
        job = self.app.training.last_job(kind, screen.run.folder.path) if screen else None
        if job:
            job.interrupt()
        return self.look(choice, shown)

    def _submit(self, choice: str, shown: Shown, submit: Any) -> dict[Any, Any]:
        screen = compare_screen.find(self.app, read_choice(choice))
        told = fragments.NOTHING
        try:
            if screen is None:
                raise ParameterError("run", compare_view.NO_RUN)
            submit(screen)
        except Exception as error:
            told = complaint(error, element_id)
        return self.look(choice, shown, told)


def _steps(sent: Any) -> list[int]:
    """The steps that a page sent, as far as they can be steps."""
    texts = [str(one) for one in sent] if isinstance(sent, list) else []
    return [int(text) for text in texts if text.isascii() and text.isdecimal() and len(text) < 10]


def _html(elem_id: str) -> gr.HTML:
    return gr.HTML("", elem_id=elem_id, apply_default_css=False)
