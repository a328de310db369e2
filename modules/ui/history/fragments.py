"""What the History tab shows, as HTML."""

import time
from collections.abc import Sequence
from urllib.parse import urlencode

from markupsafe import Markup

from modules.history.history import Scan
from modules.history.index import PAGE, Page, Query
from modules.history.record import Record
from modules.ui.fragments import NOTHING, join

PICTURE, THUMBNAIL = "internal/picture", "internal/thumbnail"  # routes, see `routes`

_DOOR = Markup('<p><button type="button" class="door" data-open-tab="tab_txt2img">Make one in txt2img</button></p>')
_NOTHING_PICKED = Markup('<p class="quiet history_hint">Pick a picture to see what it was made from.</p>')


def grid(page: Page, picked: str, query: Query) -> Markup:
    """The pictures of one page as tiles, the prompt below each."""
    if not page.records:
        return _nothing(query)
    return Markup('<ul class="tiles" aria-label="Pictures">{}</ul>').format(
        join([_tile(record, record.name == picked) for record in page.records])
    )


def pager(page: Page, number: int) -> Markup:
    """Where one is, and the way to newer and older pictures."""
    if not page.total:
        return NOTHING
    last = (page.total - 1) // PAGE
    first_shown = number * PAGE + 1
    text = f"{first_shown:,}–{first_shown + len(page.records) - 1:,} of {page.total:,}"
    if not last:
        word = "picture" if page.total == 1 else "pictures"
        return Markup('<p class="quiet">{:,} {}</p>').format(page.total, word)
    return Markup('<nav class="pager" aria-label="Pages">{}{}<span class="quiet">{}</span>{}{}</nav>').format(
        _to("Newest", 0, number == 0),
        _to("Newer", number - 1, number == 0),
        text,
        _to("Older", number + 1, number >= last),
        _to("Oldest", last, number >= last),
    )


def status(scan: Scan, damaged: Sequence[Record], undo: str, notices: Sequence[str]) -> Markup:
    """What goes on in the background, what could not be read, and how to take back what was just deleted."""
    parts = [Markup('<p class="notice bad" role="alert">{}</p>').format(text) for text in notices if text]
    if undo:
        parts.append(
            Markup(
                '<p class="notice" role="status">{} lies in the trash. '
                '<button type="button" class="plain" data-undo="{}">Put it back</button></p>'
            ).format(undo.rpartition("/")[2], undo)
        )
    if scan.running:
        share = round(100 * scan.done / max(1, scan.total))
        parts.append(
            Markup(
                '<div class="bar" aria-hidden="true"><span style="width:{}%"></span></div>'
                '<p class="quiet" role="status">Reading pictures: {:,} of {:,}</p>'
            ).format(share, scan.done, scan.total)
        )
    if scan.error:
        parts.append(Markup('<p class="notice bad" role="alert">{}</p>').format(scan.error))
    if damaged:
        names = join([Markup("<li>{}: {}</li>").format(record.name, record.damage) for record in damaged])
        some = "One file" if len(damaged) == 1 else f"{len(damaged)} files"
        parts.append(
            Markup('<details class="quiet"><summary>{} could not be read</summary><ul>{}</ul></details>').format(
                some, names
            )
        )
    return join(parts)


def picture(record: Record | None, any_to_pick: bool) -> Markup:
    """One picture, large; without one, what to do if there are `any_to_pick`."""
    if record is None:
        return _NOTHING_PICKED if any_to_pick else NOTHING
    return Markup(
        '<a href="{0}" target="_blank" rel="noopener" title="Open the file"><img src="{0}" alt="{1}"></a>'
    ).format(f"{PICTURE}?{_address(record)}", record.prompt[:200] or record.name)


def words(record: Record | None) -> Markup:
    """Where a picture lies, and everything it says."""
    if record is None:
        return NOTHING
    made = time.strftime("%Y-%m-%d %H:%M", time.localtime(record.made))
    line = Markup('<p class="quiet path">{} · {}</p>').format(made, f"outputs/{record.name}")
    if not record.infotext:
        return line + Markup('<p class="quiet">The file does not say how it was made.</p>')
    return line + Markup(
        '<div class="with_copy"><div class="infotext" tabindex="0" aria-label="Parameters of this picture">{}</div>'
        '<button type="button" class="copy" data-copy=".infotext">Copy</button></div>'
    ).format(record.infotext)


def _tile(record: Record, is_picked: bool) -> Markup:
    caption = record.prompt or record.name.rpartition("/")[2]
    return Markup(
        '<li><button type="button" class="tile{}{}" data-pick="{}" title="{}" aria-pressed="{}">'
        '<img src="{}?{}" alt="" loading="lazy" width="160" height="160"><span class="caption">{}</span></button></li>'
    ).format(
        " picked" if is_picked else "",
        " starred" if record.starred else "",
        record.name,
        caption[:300],
        "true" if is_picked else "false",
        THUMBNAIL,
        _address(record),
        caption[:200],
    )


def _address(record: Record) -> str:
    """The query that names a picture; its time makes a changed file another address, so that browsers may keep it."""
    return urlencode({"name": record.name, "v": record.modified_ns})


def _to(word: str, page: int, off: bool) -> Markup:
    return Markup('<button type="button" data-page="{}"{}>{}</button>').format(
        page, Markup(" disabled") if off else NOTHING, word
    )


def _nothing(query: Query) -> Markup:
    door = NOTHING
    if query.in_trash:
        title, text = "The trash is empty", "What you delete lies here until you empty the trash."
    elif query == Query(grids=query.grids):
        title, text = "No pictures yet", "Every picture you make appears here, with everything needed to make it again."
        door = _DOOR
    else:
        title, text = "Nothing found", "No picture fits all of that. Take out a word, or choose “Any” again."
    return Markup('<div class="card"><h2>{}</h2><p>{}</p>{}</div>').format(title, text, door)
