"""The History tab: every picture made, searched, starred, deleted and sent back to the form."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import gradio as gr

from modules import images
from modules.app import App
from modules.errors import ImageError, ParameterError, WebuiError
from modules.history import dates
from modules.history.history import Scan
from modules.history.index import Query
from modules.history.record import Record
from modules.history.reveal import reveal
from modules.ui.history import fragments
from modules.ui.refill import Refill
from modules.ui.wiring import AS_SENT, QUIET, complaint

LABEL = "History"
LOOK_EVERY = 1.0  # seconds
ANY = "Any"

_CLICKS = """
element.addEventListener("click", event => {
    const target = event.target.closest("[data-pick], [data-page], [data-undo]");
    if (!target) return;
    const {pick, page, undo} = target.dataset;
    for (const tile of element.querySelectorAll(".tile")) tile.classList.toggle("picked", tile === target);
    trigger("select", {index: 0, value: pick ?? page ?? undo});
});
"""
# in one column the picture stands above the tiles; whoever goes through them by keys sees it where it is wanted
_SHOW_DETAIL = """async () => {
    const byKey = document.querySelector("#history_grid .tile:focus-visible");
    if (!matchMedia("(max-width: 1000px)").matches || byKey) return;
    const box = document.getElementById("history_detail_box");
    await box.querySelector("img")?.decode().catch(() => {}); // until then its height changes, and ends the scrolling
    box.scrollIntoView({behavior: "smooth"});
}"""


@dataclass(frozen=True)
class HistoryTab:
    """The components that have something to do.

    Attributes:
        filters: by field of the form above the pictures: text, embedding, model, sampler, when, starred, grids, trash.
    """

    tab: gr.Tab
    filters: dict[str, Any]
    status: gr.HTML
    grid: gr.HTML
    pager: gr.HTML
    picture: gr.HTML
    words: gr.HTML
    send: gr.Button
    star: gr.Button
    reveal: gr.Button
    delete: gr.Button
    empty: gr.Button
    actions: gr.Row
    timer: gr.Timer


@dataclass(frozen=True)
class Seen:
    """What one browser tab shows.

    Attributes:
        query, page: what was looked for, and which page of it.
        names: of the pictures on that page.
        picked: name of the picture that is looked at; empty: none.
        undo: name in the trash of what was deleted last.
        emptying: the trash is emptied at the next press.
        version, scan: of the history, as it was when this was shown.
    """

    query: Query = field(default_factory=lambda: Query(grids=False))
    page: int = 0
    names: tuple[str, ...] = ()
    picked: str = ""
    undo: str = ""
    emptying: bool = False
    version: int = -1
    scan: Scan = field(default_factory=Scan)


def make_tab(app: App) -> HistoryTab:
    """Build the tab inside the Tabs that are open."""
    with gr.Tab(LABEL, id="history", elem_id="tab_history") as tab:
        with gr.Row(elem_id="history_filters"):
            filters: dict[str, Any] = {
                "text": gr.Textbox(
                    label="Words of the prompt",
                    placeholder='pixar "red hat" -glasses',
                    elem_id="history_text",
                    max_lines=1,
                ),
                "embedding": _choice("Embedding", "history_embedding"),
                "model": _choice("Model", "history_model"),
                "sampler": _choice("Sampler", "history_sampler"),
                "when": _choice("When", "history_when", allow_custom_value=True),
            }
            with gr.Column(elem_id="history_checks"):
                filters["starred"] = gr.Checkbox(label="Starred", elem_id="history_starred")
                filters["grids"] = gr.Checkbox(label="Overviews too", elem_id="history_grids")
                filters["trash"] = gr.Checkbox(label="Trash", elem_id="history_trash")
        status = _html("history_status", js_on_load=_CLICKS)
        with gr.Row(elem_id="history_layout"):
            with gr.Column(elem_id="history_pictures"):
                grid = _html("history_grid", js_on_load=_CLICKS)
                with gr.Row(elem_id="history_below"):
                    pager = _html("history_pager", js_on_load=_CLICKS)
                    empty = gr.Button("Empty the trash", elem_id="history_empty", visible=False, scale=0)
            with gr.Column(elem_id="history_detail_box"):
                picture = _html("history_detail")
                with gr.Row(elem_id="history_actions", visible=False) as actions:
                    send = gr.Button("Send to txt2img", variant="primary", elem_id="history_send")
                    star = gr.Button("Star", elem_id="history_star")
                    show = gr.Button("Show in folder", elem_id="history_reveal", visible=app.flags.is_private)
                    delete = gr.Button("Delete", elem_id="history_delete")
                words = _html("history_words")
        timer = gr.Timer(LOOK_EVERY, active=False)
    return HistoryTab(
        tab, filters, status, grid, pager, picture, words, send, star, show, delete, empty, actions, timer
    )


def wire_tab(tab: HistoryTab, refill: Refill) -> None:
    """Connect the tab."""
    page = refill.page
    view = View(tab, page.app)
    filters = list(tab.filters.values())
    page.page.load(page.app.library.history.start, None, None, **QUIET)
    page.tabs.select(_tick_while_open, None, tab.timer, **QUIET)
    tab.tab.select(view.opened, [view.seen, *filters], view.outputs, **QUIET)
    tab.timer.tick(view.look, view.seen, view.outputs, **QUIET)
    # a text that is pasted by mouse or dropped fires no `input` in Gradio 6
    events = [box.change if isinstance(box, gr.Textbox) else box.input for box in tab.filters.values()]
    gr.on(events, view.search, [view.seen, *filters], view.outputs, trigger_mode="always_last", **AS_SENT)
    picked = tab.grid.select(view.pick, view.seen, view.outputs, **QUIET)
    picked.then(None, None, None, js=_SHOW_DETAIL, **QUIET)
    tab.pager.select(view.turn, view.seen, view.outputs, **QUIET)
    tab.status.select(view.undo, view.seen, view.outputs, **QUIET)
    tab.star.click(view.star, view.seen, view.outputs, **QUIET)
    tab.delete.click(view.delete, view.seen, view.outputs, **QUIET)
    tab.reveal.click(view.reveal, view.seen, view.outputs, **QUIET)
    tab.empty.click(view.empty, view.seen, view.outputs, **QUIET)
    refill.fill_on(tab.send.click, view.infotext, [view.seen])


class View:
    """What each event of the tab shows afterwards. Every method takes what was seen and returns updates."""

    def __init__(self, tab: HistoryTab, app: App):
        self.tab = tab
        self.app = app
        self.history = app.library.history
        self.seen = gr.State(Seen())
        chosen = [tab.filters[name] for name in ("embedding", "model", "sampler", "when")]
        buttons = (tab.actions, tab.send, tab.star, tab.delete, tab.empty)
        self.outputs: list[Any] = [
            self.seen,
            tab.status,
            tab.grid,
            tab.pager,
            tab.picture,
            tab.words,
            *buttons,
            *chosen,
        ]

    def opened(self, seen: Seen, *filters: Any) -> dict[Any, Any]:
        """Somebody came to the tab: files may have come or gone since."""
        self.history.refresh()
        return self.search(seen, *filters) | self._or_told(seen, self._choices)

    def look(self, seen: Seen) -> dict[Any, Any]:
        """Show what has changed since the last look."""
        if (self.history.version, self.history.scan) == (seen.version, seen.scan):
            return {self.seen: gr.skip()}
        ended = seen.scan.running and not self.history.scan.running
        return self._or_told(seen, lambda: self._page(seen) | (self._choices() if ended else {}))

    def search(self, seen: Seen, *filters: Any) -> dict[Any, Any]:
        """Another query: its first page, and the picture that is looked at if it is among those."""
        values = dict(zip(self.tab.filters, filters, strict=True))

        def work() -> dict[Any, Any]:
            query = query_of(values)
            updates = self._page(replace(seen, query=query, page=0, emptying=False))
            found: Seen = updates[self.seen]
            if query != seen.query and found.picked and found.picked not in found.names:
                updates |= self._detail(replace(found, picked=""))
            return updates

        return self._or_told(seen, work)

    def turn(self, seen: Seen, event: gr.SelectData) -> dict[Any, Any]:
        """Another page."""
        number = int(event.value) if str(event.value).isdecimal() else 0
        return self._or_told(seen, lambda: self._page(replace(seen, page=number)))

    def pick(self, seen: Seen, event: gr.SelectData) -> dict[Any, Any]:
        """Look at one picture."""
        return self._or_told(seen, lambda: self._detail(replace(seen, picked=str(event.value))))

    def star(self, seen: Seen) -> dict[Any, Any]:
        """Give or take the star of the picture that is looked at."""

        def work() -> dict[Any, Any]:
            record = self.history.find(seen.picked)
            self.history.star(record.name, not record.starred)
            updates = self._page(seen)
            return updates | self._detail(updates[self.seen])

        return self._or_told(seen, work)

    def delete(self, seen: Seen) -> dict[Any, Any]:
        """Put the picture into the trash, or take it out, and look at the one that takes its place."""

        def work() -> dict[Any, Any]:
            record = self.history.find(seen.picked)
            undo = "" if record.in_trash else self.history.delete(record.name)
            if record.in_trash:
                self.history.put_back(record.name)
            position = seen.names.index(record.name) if record.name in seen.names else 0
            updates = self._page(replace(seen, undo=undo, picked=""))
            after: Seen = updates[self.seen]
            picked = after.names[min(position, len(after.names) - 1)] if after.names else ""
            updates |= self._detail(replace(after, picked=picked))
            return updates | {self.tab.grid: self._grid(updates[self.seen])}

        return self._or_told(seen, work)

    def undo(self, seen: Seen, event: gr.SelectData) -> dict[Any, Any]:
        """Put back what was deleted last, and look at it."""

        def work() -> dict[Any, Any]:
            name = self.history.put_back(str(event.value))
            updates = self._page(replace(seen, undo="", picked=name))
            return updates | self._detail(updates[self.seen])

        return self._or_told(seen, work)

    def reveal(self, seen: Seen) -> dict[Any, Any]:
        """Show the file in the file manager of this machine."""

        def work() -> dict[Any, Any]:
            if not self.app.flags.is_private:
                raise ParameterError("picture", "This server is open to other machines, so it opens no windows.")
            reveal(self.history.path(self.history.find(seen.picked)))
            return {self.seen: gr.skip()}

        return self._or_told(seen, work)

    def empty(self, seen: Seen) -> dict[Any, Any]:
        """Empty the trash at the second press."""

        def work() -> dict[Any, Any]:
            if not seen.emptying:
                return self._page(replace(seen, emptying=True))
            self.history.empty_trash()
            updates = self._page(replace(seen, emptying=False, undo="", picked=""))
            return updates | self._detail(updates[self.seen])

        return self._or_told(seen, work)

    def infotext(self, seen: Seen) -> str:
        """The parameters of the picture that is looked at.

        Raises:
            ParameterError: it has none, or has gone.
        """
        record = self.history.find(seen.picked)
        if not record.infotext:
            raise ParameterError("picture", "This picture does not say how it was made.")
        try:
            return images.read_infotext(self.history.path(record))  # the file says its prompts more exactly
        except ImageError:  # changed since it was listed
            return record.infotext

    def _page(self, seen: Seen) -> dict[Any, Any]:
        """The pictures of one page, and what stands around them."""
        version, scan = self.history.version, self.history.scan  # before the search: never newer than what is shown
        found = self.history.search(seen.query, seen.page)
        if not found.records and seen.page:
            seen = replace(seen, page=max(0, (found.total - 1) // fragments.PAGE))
            found = self.history.search(seen.query, seen.page)
        names = tuple(record.name for record in found.records)
        seen = replace(seen, names=names, version=version, scan=scan)
        label = f"Delete {found.total:,} for good?" if seen.emptying else "Empty the trash"
        updates: dict[Any, Any] = {} if seen.picked else {self.tab.picture: fragments.picture(None, bool(names))}
        return updates | {
            self.seen: seen,
            self.tab.grid: fragments.grid(found, seen.picked, seen.query),
            self.tab.pager: fragments.pager(found, seen.page),
            self.tab.empty: gr.Button(label, visible=seen.query.in_trash and bool(found.total)),
            self.tab.status: fragments.status(scan, self.history.damaged(), seen.undo, [self.history.notice]),
        }

    def _grid(self, seen: Seen) -> Any:
        return fragments.grid(self.history.search(seen.query, seen.page), seen.picked, seen.query)

    def _detail(self, seen: Seen) -> dict[Any, Any]:
        record = self._picked(seen)
        return {
            self.seen: seen if record else replace(seen, picked=""),
            self.tab.picture: fragments.picture(record, bool(seen.names)),
            self.tab.words: fragments.words(record),
            self.tab.actions: gr.Row(visible=record is not None),
            self.tab.send: gr.Button(interactive=bool(record and record.infotext)),
            self.tab.star: gr.Button("Unstar" if record and record.starred else "Star"),
            self.tab.delete: gr.Button("Put back" if record and record.in_trash else "Delete"),
        }

    def _picked(self, seen: Seen) -> Record | None:
        try:
            return self.history.find(seen.picked) if seen.picked else None
        except ParameterError:
            return None

    def _choices(self) -> dict[Any, Any]:
        facets = self.history.facets()
        lists = {"embedding": facets.embeddings, "model": facets.models, "sampler": facets.samplers}
        updates = {
            self.tab.filters[name]: gr.Dropdown(
                choices=[(ANY, ""), *((f"{value} ({count:,})", value) for value, count in found)]
            )
            for name, found in lists.items()
        }
        recent = [("Today", dates.TODAY), ("Last 7 days", dates.WEEK), ("Last 30 days", dates.MONTH)]
        months = [(f"{month} ({count:,})", month) for month, count in facets.months]
        return updates | {self.tab.filters["when"]: gr.Dropdown(choices=[(ANY, ""), *recent, *months])}

    def _or_told(self, seen: Seen, work: Callable[[], dict[Any, Any]]) -> dict[Any, Any]:
        try:
            return work()
        except WebuiError as error:
            sentence = fragments.status(self.history.scan, (), seen.undo, [str(error)])
        except Exception as error:
            sentence = complaint(error)
        return {self.tab.status: sentence}


def _tick_while_open(event: gr.SelectData) -> Any:
    return gr.Timer(active=event.value == LABEL)


def query_of(values: dict[str, Any]) -> Query:
    """The query behind the form above the pictures.

    Raises:
        ParameterError: a date that cannot be read.
    """
    texts = {name: value if isinstance(value, str) else "" for name, value in values.items()}
    since, until = dates.stretch(texts["when"])
    return Query(
        texts["text"],
        texts["embedding"],
        texts["model"],
        texts["sampler"],
        since,
        until,
        starred=values["starred"] is True,
        grids=values["grids"] is True,
        in_trash=values["trash"] is True,
    )


def _choice(label: str, elem_id: str, allow_custom_value: bool = False) -> gr.Dropdown:
    return gr.Dropdown(
        [(ANY, "")], value="", label=label, elem_id=elem_id, allow_custom_value=allow_custom_value, filterable=True
    )


def _html(elem_id: str, js_on_load: str | None = None) -> gr.HTML:
    return gr.HTML("", elem_id=elem_id, apply_default_css=False, js_on_load=js_on_load)
