"""The folded part of the form with scripts: which one, and its fields."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from modules.app import App
from modules.errors import WebuiError
from modules.params import NO_REFINER
from modules.samplers import names
from modules.script_params import AXES, LINES, MATRIX, NONE, NOTHING, SCRIPTS, VALUES_HELP, XYZ, ScriptParams
from modules.ui import form, fragments
from modules.ui.wiring import AS_SENT, QUIET, complaint

_SWITCHES = ("Always discard next-to-last sigma", "SGM noise multiplier")
LARGEST_FILE = 1 << 20  # bytes of a file of prompts


@dataclass(frozen=True)
class ScriptPart:
    """The folded part.

    Attributes:
        part: the accordion; its title says which script is chosen.
        controls: by field of `ScriptParams`.
        groups: the fields of each script; only one is seen.
        fill: a button for each axis, by its letter.
        swap: exchanges X and Y.
        upload: opens a file of prompts.
        told: why a button did nothing.
    """

    part: gr.Accordion
    controls: dict[str, Any]
    groups: dict[str, gr.Column]
    fill: dict[str, gr.Button]
    swap: gr.Button
    upload: gr.UploadButton
    told: gr.HTML


def make_script_part() -> ScriptPart:
    """Build the part inside the column that is open."""
    made: dict[str, Any] = {}
    groups: dict[str, gr.Column] = {}
    fill: dict[str, gr.Button] = {}
    with gr.Accordion(title({}), open=False, elem_id="txt2img_script_part", elem_classes="folded") as part:
        with gr.Row(elem_classes="of_1"):
            made["script"] = _choice("script", SCRIPTS)
        with gr.Column(visible=False, elem_id="txt2img_script_xyz") as groups[XYZ]:
            gr.HTML(f'<p class="quiet">{VALUES_HELP}</p>', apply_default_css=False)
            for letter in "xyz":
                with gr.Row(elem_classes="axis"):
                    made[f"{letter}_type"] = _choice(f"{letter}_type", AXES)
                    made[f"{letter}_values"] = _text(f"{letter}_values")
                    fill[letter] = gr.Button(
                        "All there are", elem_id=f"script_txt2img_{letter}_fill", interactive=False
                    )
            with gr.Row(elem_classes="of_3 switches"):
                for name in ("draw_legend", "include_sub_images", "include_sub_grids"):
                    made[name] = _switch(name)
            with gr.Row(elem_classes="of_3 switches"):
                for letter in "xyz":
                    made[f"vary_seeds_{letter}"] = _switch(f"vary_seeds_{letter}")
            with gr.Row(elem_classes="of_3 switches"):
                made["keep_seeds"], made["margin_size"] = _switch("keep_seeds"), _number("margin_size")
                swap = gr.Button("Swap X and Y", elem_id="script_txt2img_swap_xy")
        with gr.Column(visible=False, elem_id="txt2img_script_matrix") as groups[MATRIX]:
            gr.HTML(
                '<p class="quiet">Write parts into the prompt: <b>a cat|oil|snow</b> draws the cat alone, with each '
                "part, and with both.</p>",
                apply_default_css=False,
            )
            with gr.Row(elem_classes="of_2"):
                made["put_at_start"], made["space_between"] = _switch("put_at_start"), _switch("space_between")
            with gr.Row(elem_classes="of_2"):
                made["different_seeds"], made["vary_negative"] = _switch("different_seeds"), _switch("vary_negative")
        with gr.Column(visible=False, elem_id="txt2img_script_lines") as groups[LINES]:
            with gr.Row(elem_classes="of_1"):
                made["prompt_lines"] = _text("prompt_lines", lines=5)
            with gr.Row(elem_classes="of_3"):
                made["iterate_seeds"], made["same_seed"] = _switch("iterate_seeds"), _switch("same_seed")
                made["prompt_position"] = _choice("prompt_position", _field("prompt_position").choices)
            with gr.Row(elem_classes="doors"):
                upload = gr.UploadButton("Open a text file", file_types=[".txt"], elem_id="script_txt2img_open_lines")
        told = gr.HTML("", elem_id="script_txt2img_told", apply_default_css=False)
    return ScriptPart(part, made, groups, fill, swap, upload, told)


def wire_script_part(app: App, script: ScriptPart, prompt: gr.Textbox) -> None:
    """Show the fields of the chosen script, fill axes, open files."""
    made, groups = script.controls, script.groups

    def choose(name: Any) -> list[Any]:
        return [gr.update(visible=name == of) for of in groups]

    made["script"].change(choose, made["script"], list(groups.values()), **AS_SENT)
    titled = ["script", *(f"{letter}_type" for letter in "xyz")]

    def retitle(*values: Any) -> dict[str, Any]:
        return gr.update(label=title(dict(zip(titled, values, strict=True))))

    watched = [made[name] for name in titled]
    gr.on([one.change for one in watched], retitle, watched, script.part, trigger_mode="always_last", **AS_SENT)
    for letter, button in script.fill.items():
        _wire_fill(app, script, letter, button, prompt)
    axes = [made[f"{letter}_{part}"] for letter in "xy" for part in ("type", "values")]
    script.swap.click(None, axes, axes, js="(a, b, c, d) => [c, d, a, b]", **QUIET)

    def read(path: Any) -> list[Any]:
        try:
            with Path(path).open("rb") as file:
                content = file.read(LARGEST_FILE + 1)
        except OSError as error:
            return [gr.skip(), complaint(error)]
        if len(content) > LARGEST_FILE:
            return [gr.skip(), complaint(WebuiError("This file is larger than 1 MB, which no list of prompts is."))]
        return [content.decode("utf-8-sig", "replace"), fragments.NOTHING]

    script.upload.upload(read, script.upload, [made["prompt_lines"], script.told], **QUIET)


def read_script(values: Mapping[str, Any]) -> ScriptParams:
    """The script that the page describes.

    Raises:
        ParameterError: a value that cannot be used.
    """
    whole: dict[str, Any] = {}
    for name, value in values.items():
        whole[name] = int(value) if isinstance(value, float) and value.is_integer() else value
    return ScriptParams(**whole)


def title(values: Mapping[str, Any]) -> str:
    """“Script: X/Y/Z plot of Steps and Seed”."""
    chosen = values.get("script") or NONE
    if chosen != XYZ:
        return f"Script: {chosen if chosen in SCRIPTS and chosen != NONE else 'none'}"
    axes = [str(values.get(f"{letter}_type")) for letter in "xyz" if values.get(f"{letter}_type") in AXES]
    used = [axis for axis in axes if axis != NOTHING]
    return f"Script: {XYZ}{' of ' if used else ''}{' and '.join(used)}"


def all_values(app: App, axis: Any, prompt: Any) -> list[str] | None:
    """Everything that an axis could go through; None for axes of numbers and words."""
    if axis == "Embedding step":
        return [str(step) for step in app.snapshot_steps(str(prompt or ""))]
    found = {
        "Sampler": names.sampler_names,
        "Hires sampler": names.sampler_names,
        "Schedule type": names.schedule_names,
        "Hires schedule type": names.schedule_names,
        "Checkpoint name": lambda: [checkpoint.title for checkpoint in app.models.checkpoints()],
        "Refiner checkpoint": lambda: [NO_REFINER, *(checkpoint.title for checkpoint in app.models.checkpoints())],
        "VAE": app.drawing.vaes,
        "Styles": lambda: ["None", *(style.name for style in app.drawing.styles.styles())],
        "Hires upscaler": app.drawing.upscalers,
        "RNG": lambda: ["CPU", "NV"],
        **dict.fromkeys(_SWITCHES, lambda: ["False", "True"]),
    }.get(axis)
    return found() if found else None


def _wire_fill(app: App, script: ScriptPart, letter: str, button: gr.Button, prompt: gr.Textbox) -> None:
    axis, values = script.controls[f"{letter}_type"], script.controls[f"{letter}_values"]
    known = ("Embedding step", "Sampler", "Hires sampler", "Schedule type", "Checkpoint name", "VAE", "Styles")
    known += ("Hires schedule type", "Hires upscaler", "Refiner checkpoint", "RNG", *_SWITCHES)
    axis.change(lambda chosen: gr.update(interactive=chosen in known), axis, button, **AS_SENT)

    def fill(chosen: Any, prompt: Any) -> list[Any]:
        try:
            found = all_values(app, chosen, prompt)
        except Exception as error:
            return [gr.skip(), complaint(error)]
        if not found:
            return [gr.skip(), fragments.paragraphs(["There is nothing of that kind: is the embedding in the prompt?"])]
        return [", ".join(_quoted(value) for value in found), fragments.NOTHING]

    button.click(fill, [axis, prompt], [values, script.told], **AS_SENT)


def _quoted(value: str) -> str:
    return '"' + value.replace('"', '""') + '"' if "," in value else value


def _field(name: str) -> Any:
    return ScriptParams.__dataclass_fields__[name].metadata["control"]


def _default(name: str) -> Any:
    return ScriptParams.__dataclass_fields__[name].default


def _choice(name: str, choices: Sequence[str]) -> gr.Dropdown:
    field = _field(name)
    return gr.Dropdown(
        list(choices),
        value=_default(name),
        label=field.label,
        info=field.info or None,
        elem_id=form.element_id(name),
    )


def _text(name: str, lines: int = 1) -> gr.Textbox:
    field = _field(name)
    return gr.Textbox(
        _default(name),
        label=field.label,
        info=field.info or None,
        lines=lines,
        max_lines=lines if lines == 1 else 20,
        elem_id=form.element_id(name),
    )


def _switch(name: str) -> gr.Checkbox:
    field = _field(name)
    return gr.Checkbox(_default(name), label=field.label, info=field.info or None, elem_id=form.element_id(name))


def _number(name: str) -> gr.Slider:
    field = _field(name)
    return gr.Slider(
        field.minimum,
        field.maximum,
        _default(name),
        step=field.step,
        label=field.label,
        elem_id=form.element_id(name),
        buttons=[],
    )
