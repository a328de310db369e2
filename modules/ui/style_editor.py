"""Styles: which ones are added to the prompts, and the editor in which they are made."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from modules.app import App
from modules.errors import WebuiError
from modules.styles import Style, merged
from modules.ui import controls, fragments
from modules.ui.wiring import AS_SENT, complaint


@dataclass(frozen=True)
class StyleEditor:
    """The folded part with styles.

    Attributes:
        part: the accordion; its title names the chosen ones.
        chosen: the field `styles` of the form.
        write: puts the chosen styles into the prompts.
        name, prompt, negative: the style that is edited.
        take, save, delete: take the prompts of the form; keep; remove.
        told: what happened.
    """

    part: gr.Accordion
    chosen: gr.Dropdown
    write: gr.Button
    name: gr.Dropdown
    prompt: gr.Textbox
    negative: gr.Textbox
    take: gr.Button
    save: gr.Button
    delete: gr.Button
    told: gr.HTML


def make_editor() -> StyleEditor:
    """Build the part inside the column that is open."""
    with gr.Accordion(_title(()), open=False, elem_id="txt2img_styles_part", elem_classes="folded") as part:
        with gr.Row(elem_classes="beside"):
            chosen = controls.dropdown("styles", multiple=True)
            write = gr.Button("Write into the prompts", elem_id="txt2img_style_apply")
        with gr.Column(elem_id="txt2img_styles_editor"):
            with gr.Row(elem_classes="beside"):
                name = gr.Dropdown(
                    [],
                    value=None,
                    label="Edit the style",
                    info="Choose one, or type a new name.",
                    allow_custom_value=True,
                    elem_id="txt2img_edit_style_select",
                )
                take = gr.Button("Take the prompts above", elem_id="txt2img_edit_style_copy")
            with gr.Row(elem_classes="of_2"):
                prompt = gr.Textbox(
                    label="Prompt of the style",
                    info="{prompt} is where yours goes; without it, this comes behind yours.",
                    lines=2,
                    max_lines=4,
                    elem_id="txt2img_edit_style_prompt",
                )
                negative = gr.Textbox(
                    label="Negative prompt of the style",
                    info="Added to yours in the same way.",
                    lines=2,
                    max_lines=4,
                    elem_id="txt2img_edit_style_neg_prompt",
                )
            with gr.Row(elem_classes="doors"):
                save = gr.Button("Save style", elem_id="txt2img_edit_style_save")
                delete = gr.Button("Delete style", elem_id="txt2img_edit_style_delete")
            told = gr.HTML("", elem_id="txt2img_edit_style_told", apply_default_css=False)
    return StyleEditor(part, chosen, write, name, prompt, negative, take, save, delete, told)


def wire_editor(app: App, editor: StyleEditor, prompt: gr.Textbox, negative: gr.Textbox) -> None:
    """What the editor does.

    Args:
        prompt, negative: of the form.
    """
    styles = app.drawing.styles
    lists = [editor.chosen, editor.name, editor.told]

    def look_up(told: Any = fragments.NOTHING) -> list[Any]:
        try:
            names = [style.name for style in styles.styles()]
        except WebuiError as error:
            names, told = [], complaint(error)
        return [gr.update(choices=names), gr.update(choices=names), told]

    editor.part.expand(look_up, None, lists, **AS_SENT)
    editor.chosen.change(
        lambda chosen: gr.update(label=_title(chosen or ())),
        editor.chosen,
        editor.part,
        trigger_mode="always_last",
        **AS_SENT,
    )

    def write(chosen: Any, prompt: Any, negative: Any) -> list[Any]:
        try:
            by_name = {style.name: style for style in styles.styles()}
        except WebuiError as error:
            return [gr.skip(), gr.skip(), gr.skip(), complaint(error)]
        found = [by_name[name] for name in chosen or () if name in by_name]
        told = fragments.NOTHING
        if lost := [name for name in chosen or () if name not in by_name]:
            told = fragments.paragraphs([f"There is no style “{name:.60}” any more." for name in lost])
        return [
            merged(str(prompt or ""), [style.prompt for style in found]),
            merged(str(negative or ""), [style.negative_prompt for style in found]),
            [],
            told,
        ]

    editor.write.click(
        write, [editor.chosen, prompt, negative], [prompt, negative, editor.chosen, editor.told], **AS_SENT
    )

    def pick(name: Any) -> list[Any]:
        try:
            found = next((style for style in styles.styles() if style.name == name), None)
        except WebuiError as error:
            return [gr.skip(), gr.skip(), complaint(error)]
        return [found.prompt, found.negative_prompt, fragments.NOTHING] if found else [gr.skip()] * 2 + [""]

    editor.name.input(pick, editor.name, [editor.prompt, editor.negative, editor.told], **AS_SENT)
    editor.take.click(
        lambda prompt, negative: [prompt, negative], [prompt, negative], [editor.prompt, editor.negative], **AS_SENT
    )

    def save(name: Any, prompt: Any, negative: Any) -> list[Any]:
        try:
            styles.save(Style(str(name or ""), str(prompt or ""), str(negative or "")))
        except Exception as error:
            return look_up(complaint(error))
        return look_up(fragments.paragraphs([f"“{str(name).strip()}” is saved."]))

    editor.save.click(save, [editor.name, editor.prompt, editor.negative], lists, **AS_SENT)

    def delete(name: Any) -> list[Any]:
        try:
            copies = styles.delete(str(name or ""))
        except Exception as error:
            return look_up(complaint(error))
        return look_up(fragments.paragraphs([f"“{name}” is deleted; {' and '.join(copies)} still has it."]))

    editor.delete.click(delete, editor.name, lists, **AS_SENT)


def _title(chosen: Sequence[str]) -> str:
    return f"Styles: {', '.join(map(str, chosen)) or 'none'}"
