"""The folded parts of the form as components, and how their titles keep saying what is set inside."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from modules.app import App
from modules.params import NO_REFINER, RANDOM, SAME_CHECKPOINT, default
from modules.samplers.names import AUTOMATIC
from modules.ui import controls, form
from modules.ui.screen import Picture
from modules.ui.sections import SECTIONS, Section
from modules.ui.watch import Seen
from modules.ui.wiring import AS_SENT, QUIET

_TWO_LINES = ("hr_prompt", "hr_negative_prompt")
_OF_PARTS = {"hr": ("hr_upscaler", "hr_checkpoint"), "refiner": ("refiner_checkpoint",), "model": ("vae",)}
FROM_DISK = tuple(field for fields in _OF_PARTS.values() for field in fields)  # looked up when their part is opened


@dataclass(frozen=True)
class Folded:
    """All folded parts.

    Attributes:
        parts: the accordion of each section, by its name.
        controls: by field name.
        dice, recycle: random variation seed; the one of the picture that is shown.
    """

    parts: dict[str, gr.Accordion]
    controls: dict[str, Any]
    dice: gr.Button
    recycle: gr.Button


def make_sections() -> Folded:
    """Build the parts inside the column that is open."""
    made: dict[str, Any] = {}
    parts: dict[str, gr.Accordion] = {}
    buttons: list[gr.Button] = []
    usual = {name: form.or_default(name, None) for name in form.FIELDS}
    for section in SECTIONS:
        title = section.title({name: usual[name] for name in section.watched})
        with gr.Accordion(title, open=False, elem_id=f"txt2img_{section.name}", elem_classes="folded") as part:
            for row in section.rows:
                with gr.Row(elem_classes=f"of_{len(row)}"):
                    for field in row:
                        made[field] = _control(field)
                        if field == "subseed":
                            buttons += [
                                controls.icon_button("dice", "txt2img_random_subseed", "Random variation seed"),
                                controls.icon_button(
                                    "reuse", "txt2img_reuse_subseed", "Use the variation seed of the picture shown"
                                ),
                            ]
        parts[section.name] = part
    return Folded(parts, made, *buttons)


def wire_sections(app: App, folded: Folded, all_controls: dict[str, Any], seen: gr.State, selected: gr.State) -> None:
    """Keep titles true, look choices up, and the two buttons beside the variation seed."""
    for section in SECTIONS:
        _wire_title(section, folded.parts[section.name], [all_controls[name] for name in section.watched])
    for name, fields in _OF_PARTS.items():
        _wire_choices(app, folded.parts[name], {field: all_controls[field] for field in fields})
    subseed = all_controls["subseed"]
    folded.dice.click(None, None, subseed, js="() => '-1'", **QUIET)

    def reuse(seen: Seen, selected: int) -> Any:
        pictures: Sequence[Picture] = seen.pictures[selected : selected + 1]
        found = [picture.subseed for picture in pictures if picture.subseed != RANDOM]
        return str(found[0]) if found else gr.skip()

    folded.recycle.click(reuse, [seen, selected], subseed, **QUIET)


def _wire_title(section: Section, part: gr.Accordion, watched: list[Any]) -> None:
    def title(*values: Any) -> dict[str, Any]:
        return gr.update(label=section.title(form.usable(dict(zip(section.watched, values, strict=True)))))

    gr.on([control.change for control in watched], title, watched, part, trigger_mode="always_last", **AS_SENT)


def found_choices(app: App, field: str) -> list[str]:
    """What there is to choose for a field whose choices are files, looked up afresh."""
    match field:
        case "hr_upscaler":
            return app.drawing.upscalers()
        case "vae":
            return app.drawing.vaes()
        case "hr_checkpoint":
            return [SAME_CHECKPOINT, *(checkpoint.title for checkpoint in app.models.checkpoints())]
        case _:
            assert field == "refiner_checkpoint", field
            return [NO_REFINER, *(checkpoint.title for checkpoint in app.models.checkpoints())]


def _wire_choices(app: App, part: gr.Accordion, made: dict[str, Any]) -> None:
    """Look the choices up when their part is opened."""

    def choices(*chosen: Any) -> Any:
        updates = [_choices(found_choices(app, field), one) for field, one in zip(made, chosen, strict=True)]
        return updates if len(updates) > 1 else updates[0]

    part.expand(choices, list(made.values()), list(made.values()), **AS_SENT)


def _control(field: str) -> Any:
    if field == "hr_upscaler":
        from modules.generation.upscalers import LATENT_MODES, PIXEL_MODES

        return controls.dropdown(field, [*LATENT_MODES, *PIXEL_MODES])
    if field == "vae":
        return controls.dropdown(field, [AUTOMATIC, "None"])
    if field in FROM_DISK:
        return controls.dropdown(field, [default(field)])
    if field in form.SEEDS:
        return controls.textbox(field)
    if field in _TWO_LINES:
        return controls.textbox(field, lines=2)
    return controls.of_kind(field)


def _choices(found: list[str], chosen: Any) -> dict[str, Any]:
    """What was found, and what is chosen even if it is not there any more: a run says so."""
    return gr.update(choices=list(dict.fromkeys([*found, *([chosen] if isinstance(chosen, str) else [])])))
