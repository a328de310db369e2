"""Controls made from fields of the parameters: label, range, choices and help stand there."""

from collections.abc import Sequence
from typing import Any

import gradio as gr

from modules import params
from modules.ui import form


def unseen_text(**given: Any) -> gr.Textbox:
    """A text that events read and write, and nobody sees. Of fixed height: the height of others Gradio finds out by
    laying out the whole page, at each change of the text."""
    return gr.Textbox(visible="hidden", lines=2, max_lines=2, **given)


def slider(field: str) -> gr.Slider:
    """A number on a grid."""
    control = params.control(field)
    assert control.minimum is not None
    assert control.maximum is not None
    return gr.Slider(
        control.minimum,
        control.maximum,
        params.default(field),
        step=control.step,
        label=control.label,
        info=control.info or None,
        elem_id=form.element_id(field),
        buttons=[],
    )


def dropdown(field: str, choices: Sequence[str] = (), multiple: bool = False) -> gr.Dropdown:
    """A choice of `choices`, or of those that the form or the field knows."""
    control = params.control(field)
    return gr.Dropdown(
        list(choices or form.CHOICES.get(field) or control.choices),
        value=list(params.default(field)) if multiple else params.default(field),
        multiselect=multiple or None,
        label=control.label,
        info=control.info or None,
        elem_id=form.element_id(field),
    )


def checkbox(field: str) -> gr.Checkbox:
    """A switch."""
    control = params.control(field)
    return gr.Checkbox(
        params.default(field), label=control.label, info=control.info or None, elem_id=form.element_id(field)
    )


def textbox(field: str, lines: int = 1, placeholder: str = "") -> gr.Textbox:
    """A text, or a number that a browser would round."""
    control = params.control(field)
    return gr.Textbox(
        str(params.default(field)),
        label=control.label,
        info=control.info or None,
        lines=lines,
        max_lines=lines,
        placeholder=placeholder or None,
        elem_id=form.element_id(field),
    )


def number(field: str) -> gr.Number:
    """A number of no grid; its range is checked when it is used."""
    control = params.control(field)
    return gr.Number(
        params.default(field), label=control.label, info=control.info or None, elem_id=form.element_id(field)
    )


def icon_button(sign: str, elem_id: str, name: str) -> gr.Button:
    """A button that shows a sign. Its text is its name: the style sheet hides it, a screen reader says it, and the
    page's script makes it a tooltip."""
    return gr.Button(name, elem_id=elem_id, elem_classes=["icon", f"icon_{sign}"], min_width=40, scale=0)


def of_kind(field: str) -> Any:
    """The control that suits the field's kind."""
    control, default = params.control(field), params.default(field)
    if isinstance(default, bool):
        return checkbox(field)
    if field in form.CHOICES or control.choices:
        return dropdown(field)
    if isinstance(default, str):
        return textbox(field)
    return number(field) if control.step is None else slider(field)
