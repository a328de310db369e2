"""Steps ④ and ⑤ as HTML. Every text of a user's passes through `Markup.format`, which escapes it."""

import time
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup

from modules.training.run_folder import Run
from modules.ui import fragments
from modules.ui.train.compare_screen import Cells, Doing, RunScreen, Snapshot

NO_RUN = (
    "There is no run with snapshots yet. Train an embedding first: a snapshot is a copy of it that is kept every so "
    "many steps."
)
NOTHING_TO_USE = "Nothing to use yet"


def run_label(run: Run) -> str:
    """“realbenny-t2 · 25 Nov 19:30 · 1200 steps · finished”."""
    when = time.strftime("%d %b %H:%M", time.localtime(run.started))
    return f"{run.folder.name} · {when} · {run.step} steps · {run.ending or 'not ended'}"


def empty(title: str = "Nothing to compare yet") -> Markup:
    """What to do first."""
    return Markup(
        '<div class="card"><h2>{}</h2><p>{}</p>'
        '<p><button type="button" class="door" data-open-step="train">Open ③ Train</button></p></div>'
    ).format(title, NO_RUN)


def advice(screen: RunScreen) -> Markup:
    """Which step, why, how sure; or what to press."""
    told = screen.recommended
    if told and told.confidence:
        return Markup(
            '<div class="advice"><p><b>Recommended: step {}</b> <span class="sure">This advice is {}.</span></p>'
            "<p>{}</p></div>"
        ).format(told.step, told.sureness, told.reason)
    text = (
        "Press “Measure the snapshots”: how near the drawings of each one have come to your photos, and whether "
        "prompts are still followed. Then the best one is recommended."
    )
    if told:
        text = told.reason
    return Markup('<div class="advice"><p><b>Which one is best?</b></p><p>{}</p></div>').format(text)


def doing(now: Doing) -> Markup:
    """One line of a fixed height: a bar, and what is being done or how it ended."""
    notices = fragments.paragraphs(now.notices)
    kind = "bad" if now.failed else ""
    return (
        Markup(
            '<div class="bar" aria-hidden="true"><span style="width:{}%"></span></div>'
            '<p class="took {}" role="status">{}</p>'
        ).format(round(100 * now.progress) if now.is_running else 0, kind, now.text)
        + notices
    )


def strip(screen: RunScreen, chosen: int | None) -> Markup:
    """All snapshots side by side; a click picks one."""
    cards = [_card(screen, snapshot, snapshot.step == chosen) for snapshot in screen.snapshots]
    return Markup('<div class="snapshots" role="group" aria-label="Snapshots">{}</div>').format(fragments.join(cards))


def _card(screen: RunScreen, snapshot: Snapshot, is_chosen: bool) -> Markup:
    told = screen.recommended
    is_best = bool(told and told.confidence and told.step == snapshot.step)
    measured = snapshot.measured
    picture = (
        _image(snapshot.sample, f"Sample of step {snapshot.step}", screen)
        if snapshot.sample
        else Markup('<span class="blank" aria-hidden="true"></span>')
    )
    numbers = [Markup('<span class="quiet">not measured</span>')]
    if measured:
        loss = "–" if measured.held_out is None else f"{measured.held_out:.4f}"
        numbers = [
            _share(
                "How far its drawings have come from the plain word towards your photos", "likeness", measured.likeness
            ),
            _share("How well prompts are followed; 100% = as with the plain word", "obeys", measured.followed),
            Markup('<span title="Mean error on {}">loss {}</span>').format(
                "photos it never learned from" if screen.is_held_out else "its own photos", loss
            ),
        ]
    return Markup(
        '<button type="button" class="snapshot{}{}" data-step="{}" aria-pressed="{}">{}'
        '<b>step {}{}</b><span class="numbers">{}</span></button>'
    ).format(
        " best" if is_best else "",
        " chosen" if is_chosen else "",
        snapshot.step,
        "true" if is_chosen else "false",
        picture,
        snapshot.step,
        Markup(" <em>recommended</em>") if is_best else "",
        fragments.join(numbers),
    )


def _share(title: str, label: str, value: float | None) -> Markup:
    """A number in per cent, and a bar below it."""
    if value is None:
        return Markup('<span title="{}">{} –</span>').format(title, label)
    return Markup(
        '<span title="{}">{} {}%</span><span class="bar" aria-hidden="true"><span style="width:{}%"></span></span>'
    ).format(title, label, round(100 * max(0.0, value)), max(0, min(100, round(100 * value))))


def grid(cells: Cells | None, screen: RunScreen, hint: str) -> Markup:
    """A sheet: rows = steps, columns = prompts and seeds. Cells keep their size from the start."""
    if cells is None:
        return Markup('<p class="quiet hint">{}</p>').format(hint)
    sheet, comparison = cells.sheet, cells.sheet.comparison
    told = screen.recommended
    heads = [
        Markup('<th scope="col">{}<span class="quiet">seed {}</span></th>').format(column.prompt, column.seed)
        for column in comparison.columns
    ]
    rows = []
    for place, row in enumerate(comparison.rows):
        is_best = bool(told and row.step is not None and row.step == told.step and comparison.kind == "steps")
        line = [
            _cell(cells, place, position, f"{row.label}: {comparison.prompt(row, column)}, seed {column.seed}", screen)
            for position, column in enumerate(comparison.columns)
        ]
        note = Markup("<em>recommended</em>") if is_best else Markup("")
        if row.step is None:
            note = Markup('<span class="quiet">{}</span>').format(row.text if row.label != row.text else "")
        rows.append(
            Markup('<tr class="{}" data-label="{}"><th scope="row">{}{}</th>{}</tr>').format(
                "best" if is_best else "", row.label, row.label, note, fragments.join(line)
            )
        )
    shape = f"--ratio:{comparison.look.width}/{comparison.look.height}"
    # of a strength: maybe not the step that is chosen now
    of_step = f" of step {comparison.rows[-1].step}" if comparison.kind == "strength" else ""
    where = sheet.path.relative_to(screen.run.folder.path.parent.parent)
    return Markup(
        '<div class="sheet" style="{}"><table><thead><tr><td></td>{}</tr></thead><tbody>{}</tbody></table></div>'
        '<p class="took">{} of {} pictures{} · <span class="path">{}</span></p>'
    ).format(shape, fragments.join(heads), fragments.join(rows), len(cells.drawn), comparison.count, of_step, where)


def _cell(cells: Cells, row: int, column: int, text: str, screen: RunScreen) -> Markup:
    if (row, column) not in cells.drawn:
        return Markup('<td><span class="blank" role="img" aria-label="not drawn yet"></span></td>')
    image = _image(cells.sheet.cell(row, column), text, screen)
    return Markup('<td><button type="button" data-large="{}" title="{}">{}</button></td>').format(column, text, image)


def in_use(screen: RunScreen, step: int | None) -> Markup:
    """The snapshot that is about to be used."""
    snapshot = next((one for one in screen.snapshots if one.step == step), None)
    if snapshot is None:
        return empty(NOTHING_TO_USE)
    picture = (
        _image(snapshot.sample, f"Sample of step {step}", screen)
        if snapshot.sample
        else Markup('<span class="blank" aria-hidden="true"></span>')
    )
    told = screen.recommended
    lines = [f"of {screen.name}, which began as “{screen.word or '*'}”"]
    if snapshot.measured:
        lines.append(f"follows prompts {snapshot.measured.followed:.0%} as well as the plain word")
    if told and told.confidence:
        lines.append("the recommended one" if told.step == step else f"recommended is step {told.step}")
    return Markup(
        '<div class="about_snapshot">{}<div><h2>Step {}</h2>{}'
        '<p><button type="button" class="door" data-open-step="compare">Choose another in ④</button></p></div></div>'
    ).format(picture, step, fragments.join([Markup('<p class="quiet">{}</p>').format(line) for line in lines]))


def ready_prompts(name: str, word: str) -> list[str]:
    """Three prompts with the new word."""
    return [
        f"portrait of {name}, smiling",
        f"{name} with glasses, at the beach",
        f"half [{name} | {'panda' if word != 'panda' else 'robot'}] person, portrait",
    ]


def prompts_list(name: str, word: str) -> Markup:
    """The same as buttons; a click puts one into the txt2img tab."""
    buttons = [
        Markup('<li><button type="button" class="door" data-prompt="{}">{}</button></li>').format(text, text)
        for text in ready_prompts(name, word)
    ]
    return Markup('<p class="quiet">Try it: a click opens txt2img with one of these.</p><ul>{}</ul>').format(
        fragments.join(buttons)
    )


def _image(path: Path, text: str, screen: RunScreen) -> Markup:
    try:
        stamp = path.stat().st_mtime_ns // 1_000_000
    except OSError:
        stamp = 0
    return Markup('<img src="gradio_api/file={}?{}" alt="{}" loading="lazy">').format(quote(str(path)), stamp, text)
