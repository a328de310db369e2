"""The Settings tab, made from the fields of `Settings`: a new field appears here by itself."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from markupsafe import Markup

from modules import settings
from modules.app import App
from modules.errors import ParameterError, SettingsError, WebuiError
from modules.params import Control
from modules.settings import Settings
from modules.settings_file import Imported
from modules.ui.fragments import paragraphs
from modules.ui.refill import Refill
from modules.ui.wiring import AS_SENT, QUIET, complaint, fill_on_open, mended

ELSEWHERE = {"checkpoint"}  # chosen at the top of the page
LARGEST_FILE = 5_000_000  # bytes of a config.json; A1111's have some thousand
_MOST_STEPS = 300  # of a slider; finer ranges get a box to type into

_SEARCH = """text => {
    const words = text.toLowerCase().split(/\\s+/).filter(Boolean);
    for (const section of document.querySelectorAll("#settings_list .settings_section")) {
        let shown = 0;
        for (const row of section.querySelectorAll(".setting")) {
            const has = words.every(word => row.textContent.toLowerCase().includes(word));
            row.classList.toggle("unmatched", !has);
            shown += has;
        }
        section.classList.toggle("unmatched", !shown);
    }
    document.getElementById("settings_none").classList.toggle("shown",
        !document.querySelector("#settings_list .settings_section:not(.unmatched)"));
}"""

# a complaint names the control it is about: what is done in the row of that one may have mended it
_FORGET = """said => {
    const about = (said ?? "").match(/data-about="([^"]+)"/)?.[1];
    const row = about && document.getElementById(about)?.closest(".setting");
    return row?.contains(document.activeElement) ? "" : undefined;
}"""


@dataclass(frozen=True)
class SettingsTab:
    """The components that have something to do.

    Attributes:
        controls, resets: by field of `Settings`.
    """

    tab: gr.Tab
    search: gr.Textbox
    apply: gr.Button
    upload: gr.UploadButton
    answer: gr.HTML
    controls: dict[str, Any]
    resets: dict[str, gr.Button]


def make_tab(app: App) -> SettingsTab:
    """Build the tab inside the Tabs that are open."""
    controls: dict[str, Any] = {}
    resets: dict[str, gr.Button] = {}
    with gr.Tab("Settings", id="settings", elem_id="tab_settings") as tab:
        with gr.Row(elem_id="settings_top"):
            search = gr.Textbox(
                show_label=False,
                label="Search",
                placeholder="Search the settings",
                elem_id="settings_search",
                max_lines=1,
            )
            upload = gr.UploadButton(
                "Import a config.json", file_types=[".json"], elem_id="settings_import", variant="secondary", scale=0
            )
            apply = gr.Button("Apply settings", variant="primary", elem_id="settings_submit", scale=0)
            answer = gr.HTML("", elem_id="settings_answer", apply_default_css=False)  # in sight wherever Apply is
        with gr.Column(elem_id="settings_list"):
            for section, names in settings.sections().items():
                names = [name for name in names if name not in ELSEWHERE]
                if names:
                    with gr.Column(elem_classes="settings_section"):
                        gr.HTML(Markup("<h2>{}</h2>").format(section), apply_default_css=False)
                        for name in names:
                            controls[name], resets[name] = _row(name, app.settings)
            gr.HTML(Markup('<p id="settings_none" class="quiet">No setting is called so.</p>'), apply_default_css=False)
            gr.HTML(_FOOT, elem_id="settings_foot", apply_default_css=False)
    return SettingsTab(tab, search, apply, upload, answer, controls, resets)


_FOOT = Markup(
    '<p class="quiet">The checkpoint is chosen at the top of the page (<code>sd_model_checkpoint</code>). Everything '
    "stands in <code>config.json</code> in the data folder, under A1111’s keys: its own file can be imported above, or "
    "put there before the start. Keys that mean nothing here are kept.</p>"
)


def wire_tab(tab: SettingsTab, refill: Refill) -> None:
    """Connect the tab. Settings that are the form's defaults reach the form at once."""
    page = refill.page
    app = page.app
    shown = gr.State({name: getattr(app.settings, name) for name in tab.controls})  # as the tab was just made
    outputs = [tab.answer, shown, *tab.controls.values()]
    with_form = [*outputs, refill.filled, *refill.controls.values()]

    def show(before: dict[str, Any] | None = None) -> dict[Any, Any]:
        values = {name: getattr(app.settings, name) for name in tab.controls}
        changed = {name: value for name, value in values.items() if before is None or before.get(name, ...) != value}
        return {shown: values, **{tab.controls[name]: value for name, value in changed.items()}}

    def follow(before: dict[str, Any]) -> dict[Any, Any]:
        """What was set elsewhere meanwhile; what is typed here and not applied yet stays."""
        return {tab.answer: "", **show(before)}

    def apply(**values: Any) -> dict[Any, Any]:
        try:
            wanted = {name: typed(name, value) for name, value in values.items()}
            changed = [name for name, value in wanted.items() if value != getattr(app.settings, name)]
            app.change_settings(**{name: wanted[name] for name in changed})
        except Exception as error:
            return {tab.answer: complaint(error, element_id)}
        return {tab.answer: applied(changed), **show(), **refill.values({name: wanted[name] for name in changed})}

    def take(path: str) -> dict[Any, Any]:
        try:
            imported = app.import_settings(_content(Path(path)), Path(path).name)
        except WebuiError as error:
            return {tab.answer: complaint(error, element_id)}
        values = {name: getattr(app.settings, name) for name in imported.taken}
        return {tab.answer: taken(imported), **show(), **refill.values(values)}

    fill_on_open(page.page, "settings", follow, shown, outputs)
    tab.tab.select(follow, shown, outputs, **QUIET)
    refill.remember(tab.apply.click(apply, inputs_kwargs=tab.controls, outputs=with_form, **AS_SENT))
    refill.remember(tab.upload.upload(take, tab.upload, with_form, **QUIET))
    tab.search.change(None, tab.search, None, js=_SEARCH, **QUIET)
    mending = [*map(mended, tab.controls.values()), *(button.click for button in tab.resets.values())]
    gr.on(mending, None, tab.answer, tab.answer, js=_FORGET, **QUIET)
    for name, button in tab.resets.items():
        default = Settings.__dataclass_fields__[name].default
        button.click(lambda default=default: default, None, tab.controls[name], **QUIET)


def element_id(name: str) -> str:
    """The id of a setting's control, as A1111 names it."""
    return f"setting_page_{settings.key(name)}" if name in Settings.__dataclass_fields__ else name


def typed(name: str, value: Any) -> Any:
    """What the page sends for a setting, as its kind: a slider may send 2.0 for 2, an emptied number box nothing.

    Raises:
        ParameterError: an emptied box.
    """
    default = Settings.__dataclass_fields__[name].default
    if isinstance(default, str):
        return value if value is not None else ""
    if value is None:
        raise ParameterError(name, f"{settings.control(name).label} is empty: type a number, or reset it.")
    whole = isinstance(default, int) and not isinstance(default, bool)
    return int(value) if whole and isinstance(value, float) and value.is_integer() else value


def applied(changed: list[str]) -> Markup:
    """What Apply did."""
    if not changed:
        return Markup('<p class="notice" role="status">Nothing was changed.</p>')
    labels = ", ".join(settings.control(name).label for name in changed)
    return Markup('<p class="notice good" role="status">Applied: {}.</p>').format(labels)


def taken(imported: Imported) -> Markup:
    """What an import did."""
    labels = (
        ", ".join(settings.control(name).label for name in imported.taken) or "none of those that mean something here"
    )
    text = f"Imported: {labels}. Kept for the program that wrote them: {imported.kept} more."
    return Markup('<p class="notice good" role="status">{}</p>').format(text) + paragraphs(imported.notices)


def _row(name: str, current: Settings) -> tuple[Any, gr.Button]:
    with gr.Row(elem_classes="setting"):
        control = _control(name, settings.control(name), getattr(current, name))
        gr.HTML(
            Markup('<code title="Its key in config.json">{}</code>').format(settings.key(name)),
            apply_default_css=False,
            elem_classes="setting_key",
        )
        label = settings.control(name).label
        default = Settings.__dataclass_fields__[name].default
        reset = gr.Button(
            f"Reset “{label}” to {_words(default)}", elem_classes=["icon", "icon_reset"], min_width=40, scale=0
        )
    return control, reset


def _control(name: str, control: Control, value: Any) -> Any:
    common: dict[str, Any] = {
        "label": control.label, "info": control.info or None, "value": value, "elem_id": element_id(name),
    }  # fmt: skip
    if isinstance(value, bool):
        return gr.Checkbox(**common)
    if control.choices:
        return gr.Dropdown(list(control.choices), **common)
    if isinstance(value, str):
        return gr.Textbox(max_lines=1, **common)
    if control.minimum is None or control.maximum is None or not control.step:
        return gr.Number(**common, precision=0 if isinstance(value, int) else None)
    if (control.maximum - control.minimum) / control.step > _MOST_STEPS:
        return gr.Number(**common, minimum=control.minimum, maximum=control.maximum, step=control.step)
    return gr.Slider(control.minimum, control.maximum, step=control.step, buttons=[], **common)


def _content(path: Path) -> bytes:
    if path.stat().st_size > LARGEST_FILE:
        raise SettingsError(f"“{path.name}” is larger than any settings file: choose the config.json of A1111.")
    return path.read_bytes()


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"“{value}”" if value == "" else str(value)
