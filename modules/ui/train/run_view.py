"""A training run as HTML: samples, curves, where it stands, how it ended. Every text passes through `Markup.format`."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from modules.events import Ending, Estimated, Failed
from modules.jobs import Job, JobState
from modules.model_state import ModelState, ModelStatus
from modules.training.run_folder import Run
from modules.training.whereabouts import before_resuming, found_in
from modules.ui.train.chart import Curve, axis, chart
from modules.ui.train.run_screen import TrainingScreen, how_it_ended, loss_name

NOTHING = Markup("")
OPENS_TRAIN = Markup(' data-open-step="train"')
_RESERVED = 5  # places of the strip that are kept free from the start


def banner(runs: Sequence[Run], checkpoint: str, data: Path, photos: str = "") -> Markup:
    """What was not ended, and the ways to go on with it: the newest in sight, the others behind one line.

    Args:
        photos: the folder that is chosen in ③.
    """
    if not runs:
        return NOTHING
    newest, *others = [_unfinished(run, checkpoint, data, photos) for run in runs]
    folded = NOTHING
    if others:
        title = "1 more unfinished run" if len(others) == 1 else f"{len(others)} more unfinished runs"
        rows = Markup("").join([Markup("<li>{}</li>").format(row) for row in others])
        folded = Markup("<details><summary>{}</summary><ul>{}</ul></details>").format(title, rows)
    return Markup('<section class="banner" aria-label="Unfinished runs">{}{}</section>').format(newest, folded)


_CUT = {
    "": "was cut off",
    Ending.STOPPED: "was stopped",
    Ending.FAILED: "failed",
    Ending.DIVERGED: "diverged",
}


def _unfinished(run: Run, checkpoint: str, data: Path, photos: str) -> Markup:
    day = time.strftime("%d %B, %H:%M", time.localtime(run.started))
    gone = before_resuming(run.folder, data, found_in(run.folder, data, photos)) if run.may_go_on else ""
    gone = f" {gone}" if gone else ""
    needs = "" if checkpoint.startswith(run.checkpoint) else f" It belongs to the checkpoint {run.checkpoint}."
    action = Markup('<button type="button" data-run-action="{}" data-run="{}"{}>{}</button>')
    where = shown_path(run.folder.path, data)
    words = {"resume": "Resume", "keep": "Keep the best", "discard": "Discard"}
    if run.ending == Ending.DIVERGED:
        del words["resume"]  # it would diverge again
    if not any(run.folder.snapshots()):  # but for step 0
        del words["keep"]
    return Markup('<div class="unfinished"><p><b>{}</b> {}</p><p class="doors">{}</p></div>').format(
        run.folder.name,
        f"{_CUT.get(run.ending, _CUT[''])} at step {run.step} of {run.steps}, begun {day}. That is saved.{needs}{gone}",
        Markup("").join(
            [action.format(name, where, OPENS_TRAIN if name == "resume" else "", words[name]) for name in words]
        ),
    )


def model_line(state: ModelState) -> Markup:
    """“for demo-portraits · cpu · fp32 · made for 128×128”: model, VAE and precision that a run would have."""
    name = Path(state.checkpoint.split(" [")[0]).stem
    if state.status is ModelStatus.LOADING:
        return Markup('<p class="quiet" role="status">{}</p>').format(state.sentence)
    if not name:
        return Markup('<p class="notice bad">{}</p>').format(state.sentence)
    width, height = state.native_size
    return Markup('<p class="quiet">for <b>{}</b> · {} · made for {}×{}</p>').format(name, state.device, width, height)


def estimate_line(job: Job | None, steps: int, is_same: bool) -> Markup:
    """What the two trial steps told.

    Args:
        job: that measures them; None: nobody asked.
        steps: of the form, as it stands now.
        is_same: it still asks for what was measured.
    """
    if job is None:
        return Markup('<p class="quiet">Not measured yet: two trial steps tell time and memory.</p>')
    if not job.is_over:
        return Markup('<p class="quiet" role="status">Measuring two trial steps…</p>')
    events = job.events_since()[0]
    failed = [event.text for event in events if isinstance(event, Failed)]
    told = [event for event in events if isinstance(event, Estimated)]
    if failed:
        return Markup('<p class="notice bad">{}</p>').format(failed[-1])
    if not told or not is_same:
        return Markup('<p class="quiet">The settings have changed since they were measured: measure again.</p>')
    return estimate(told[-1], steps)


def strip(screen: TrainingScreen) -> Markup:
    """Samples with their steps, the newest at the right; the first places are kept free, so that nothing jumps."""
    cells = [
        Markup(
            '<li><a href="{0}" target="_blank" rel="noopener"><img src="{0}" alt="Sample after {1} steps" '
            'loading="lazy"></a><span>step {1}</span></li>'
        ).format(file_url(path), step)
        for step, path in screen.samples
    ]
    free = Markup('<li class="free"><div></div><span>{}</span></li>')
    drawing = not screen.is_over and "sample" in screen.status
    places = max(_RESERVED - len(cells), 1 if drawing else 0)
    for place in range(places):
        cells.append(free.format("drawing…" if drawing and not place else ""))
    return Markup('<div class="strip" role="group" aria-label="Samples" tabindex="0"><ol>{}</ol></div>').format(
        Markup("").join(cells)
    )


def curves(screen: TrainingScreen) -> Markup:
    """Two charts on one axis of steps."""
    started = screen.started
    first = started.first_step if started else 0
    last = started.steps if started else 1
    if screen.held_out or screen.curve:
        first = min([first, *(int(rows[0][0]) for rows in (screen.held_out, screen.curve) if rows)])
    name = loss_name(started) + (f", {started.loss_note}" if started and started.loss_note else "")
    losses = [
        Curve(name, "held", [(row[0], row[1]) for row in screen.held_out]),
        Curve("smoothed loss", "smooth", [(row[0], row[1]) for row in screen.curve]),
    ]
    others = [
        Curve("vector norm", "norm", [(row[0], row[3]) for row in screen.curve]),
        Curve("learning rate", "rate", [(row[0], row[2]) for row in screen.curve]),
    ]
    return chart("Loss", losses, first, last) + chart("Vectors and rate", others, first, last) + axis(first, last)


def status(screen: TrainingScreen) -> Markup:
    """“realbenny-t2 · step 412 / 1200 · 3.1 it/s · 4 min left · lowest held-out loss: …”, and a bar."""
    trained, started = screen.trained, screen.started
    done = 0.0
    parts = [screen.name]  # whoever looks may have chosen another embedding
    if screen.is_over:
        steps = screen.ended.step if screen.ended else (trained.step if trained else 0)
        parts.append(f"{steps} steps in {duration(screen.elapsed)}")
        done = 1.0 if how_it_ended(screen) == Ending.FINISHED else _share(screen)
    elif not started:
        waiting = "waiting for its turn" if screen.state is JobState.WAITING else "starting…"
        parts.append(f"{screen.status}…" if screen.status else waiting)
    else:
        step, done = (trained.step if trained else started.first_step), _share(screen)
        parts.append(f"step {step} / {started.steps}")
        if screen.stands_back and not screen.is_paused:
            parts.append("stopping after the job that cuts in…" if screen.is_stopping else "another job cuts in…")
        elif screen.is_stopping:
            parts.append("stopping after this step…")
        elif screen.is_paused:
            parts.append("paused, everything is saved" if screen.status.startswith("paused") else "pausing…")
        elif screen.status.startswith("paused"):  # a picture that was asked for meanwhile comes first
            parts.append("resuming…")
        elif screen.status:
            parts.append(f"{screen.status}…")
        if trained and trained.seconds_per_step:
            parts.append(_pace(trained.seconds_per_step))
        if trained and screen.seconds_left is not None and not screen.is_paused:
            parts.append(f"{duration(screen.seconds_left)} left")
    if screen.best and screen.best[0]:
        parts.append(f"lowest held-out loss: {screen.best[1]:.4f} at step {screen.best[0]}")
    notes = [screen.health.text] if screen.health and not screen.health.healthy else []
    notes += [screen.advice.reason] if screen.advice else []
    return Markup(
        '<div class="bar" aria-hidden="true"><span style="width:{}%"></span></div>'
        '<p class="took" role="status">{}</p><div class="notes_place">{}</div>'
    ).format(
        round(100 * done),
        " · ".join(parts),
        Markup("").join([Markup('<p class="notice">{}</p>').format(note) for note in notes]),
    )


def live_text(screen: TrainingScreen, data: Path) -> Markup:
    """The five lines that A1111 shows while it trains."""
    trained, sample = screen.trained, screen.last_sample
    saved = f"{shown_path(sample.path, data)}" if sample else "<none>"
    if sample and sample.infotext:
        saved += f", prompt: {sample.infotext.splitlines()[0]}"
    lines = (
        ("Loss", f"{trained.loss:.7f}" if trained else "–"),
        ("Step", str(trained.step if trained else 0)),
        ("Last prompt", trained.prompt if trained else "–"),
        ("Last saved embedding", shown_path(screen.last_snapshot, data) if screen.last_snapshot else "<none>"),
        ("Last saved image", saved),
    )
    rows = [Markup("<div><dt>{}:</dt><dd>{}</dd></div>").format(*line) for line in lines]
    return Markup('<dl class="live_text">{}</dl>').format(Markup("").join(rows))


def ending(screen: TrainingScreen, data: Path) -> Markup:
    """How it ended, in one sentence, and the next door."""
    if not screen.is_over:
        return NOTHING
    kind = how_it_ended(screen)
    title = {
        Ending.FINISHED: "Finished",
        Ending.STOPPED: "Stopped by you",
        Ending.FAILED: "Failed",
        Ending.DIVERGED: "Diverged",
        "cancelled": "Cancelled before it began",
    }[kind]
    sentence = ""
    if screen.ended:
        sentence = screen.ended.sentence.replace(f"{data}/", "")
    elif screen.failed:
        sentence = screen.failed.text
    if screen.ended and screen.ended.log and kind == Ending.FAILED:
        sentence += f" Details stand in {shown_path(screen.ended.log, data)}."
    doors = NOTHING
    if screen.ended and screen.ended.step:
        doors = Markup('<button type="button" class="door" data-open-step="compare">Compare the snapshots</button>')
    is_bad = kind in (Ending.FAILED, Ending.DIVERGED)
    return Markup('<div class="ending {}" role="status"><p><b>{}.</b> {}</p><p>{}</p></div>').format(
        "bad" if is_bad else "", title, sentence, doors
    )


def log(lines: Sequence[str]) -> Markup:
    """The newest lines first."""
    rows = [Markup("<li>{}</li>").format(line) for line in lines[:-201:-1]]
    return Markup('<ul class="log" tabindex="0" aria-label="Log">{}</ul>').format(Markup("").join(rows))


def settings(folder: Path | None) -> Markup:
    """What the run was started with, as its file says."""
    files = sorted(folder.glob("settings-*.json")) if folder else []
    try:
        values: Mapping[str, Any] = json.loads(files[-1].read_bytes()) if files else {}
    except (OSError, ValueError):
        values = {}
    rows = [Markup("<div><dt>{}</dt><dd>{}</dd></div>").format(name, str(value)) for name, value in values.items()]
    return Markup('<dl class="settings">{}</dl>').format(Markup("").join(rows))


def estimate(told: Estimated, steps: int = 0) -> Markup:
    """“about 14 min, 3.4 GB of 8”.

    Args:
        steps: if they are others by now than when it was measured.
    """
    line = '<p class="quiet">about <b>{}, {} GB of {}</b> · measured by two trial steps, without samples</p>'
    seconds = told.seconds_per_step * steps if steps else told.seconds
    return Markup(line).format(duration(seconds), gigabytes(told.memory), gigabytes(told.memory_total))


def file_url(path: Path) -> str:
    """Where the page's server gives a file of the data folder."""
    return f"gradio_api/file={quote(str(path))}"


def shown_path(path: Path, data: Path) -> str:
    """Relative to the data folder: short, and no page tells how the machine is laid out."""
    return path.relative_to(data).as_posix() if path.is_relative_to(data) else path.name


def duration(seconds: float) -> str:
    """“12 s”, “14 min”, “2 h 5 min”."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f}"


def _pace(seconds: float) -> str:
    return f"{1 / seconds:.1f} it/s" if seconds < 1 else f"{seconds:.1f} s/it"


def _share(screen: TrainingScreen) -> float:
    return screen.trained.progress if screen.trained else 0.0
