"""What the page shows of a `Screen`, as HTML. Every text of a user's passes through `Markup.format`, which escapes it.

Functions here return `Markup`, never `str`: that is what a `gr.HTML` may be given.
"""

import base64
from collections.abc import Callable, Sequence
from pathlib import Path

from markupsafe import Markup

from modules.app import ModelStatus
from modules.errors import ParameterError, WebuiError
from modules.jobs import JobState
from modules.ui.form import element_id
from modules.ui.screen import Picture, QueueEntry, Run, Screen

NOTHING = Markup("")
DEMO_MODEL = "demo-portraits"
EXAMPLES = {  # for the demo model: what its buttons say, and the prompts that they write
    "A smiling woman": "portrait of a smiling woman, long red hair, glasses, blue background, cartoon style",
    "Half a panda": "half panda person, green shirt, yellow background, cartoon style",
    "Hair of two colours": "portrait of a (smiling:1.3) woman with [red hair | blue hair], glasses",
}


def join(parts: Sequence[Markup], between: Markup = NOTHING) -> Markup:
    """Fragments one after the other."""
    return between.join(parts)


def paragraphs(texts: Sequence[str]) -> Markup:
    """Sentences for the user, one below the other."""
    return join([Markup('<p class="notice">{}</p>').format(text) for text in texts])


def device_line(screen: Screen) -> Markup:
    """“cpu · fp32 · 2 threads”, or what stands in the way."""
    if screen.is_ready and screen.waiting_checkpoint:
        text = f"{screen.waiting_checkpoint} is loaded when the training is over; your pictures wait for it."
        return Markup('<span class="state busy" role="status">{}</span>').format(text)
    if screen.is_ready and not screen.model.sentence:
        return Markup('<span class="quiet">{}</span>').format(screen.model.device)
    kind = {ModelStatus.LOADING: "busy", ModelStatus.FAILED: "bad", ModelStatus.READY: "bad"}[screen.model.status]
    sentence = screen.model.sentence or "Loading the model."
    return Markup('<span class="state {}" role="status">{}</span>').format(kind, sentence)


def job_line(screen: Screen) -> Markup:
    """The state of the queue in a few words; pressing it opens the queue."""
    running = next((entry for entry in screen.queue if entry.is_running), None)
    if running:
        text = f"job 1 of {len(screen.queue)} · {running.progress:.0%}" if len(screen.queue) > 1 else "working"
        text = f"{text} · {running.progress:.0%}" if len(screen.queue) == 1 and running.progress else text
    else:
        text = f"{len(screen.queue)} waiting" if screen.queue else "idle"
    return Markup(
        '<button type="button" class="jobs {}" data-toggle="queue" aria-haspopup="true" aria-controls="queue_panel" '
        'title="Show the queue"><span class="dot" aria-hidden="true"></span>{}</button>'
    ).format("busy" if screen.queue else "", text)


def queue_list(queue: tuple[QueueEntry, ...]) -> Markup:
    """What runs and what waits; one's own jobs can be cancelled."""
    if not queue:
        return Markup('<p class="quiet">Nothing runs and nothing waits.</p>')
    rows = [
        Markup('<li class="{}"><span class="place">{}</span><span class="title">{}</span>{}</li>').format(
            "running" if entry.is_running else "waiting",
            "now" if entry.is_running else place,
            entry.title,
            _cancel_button(entry) if entry.is_mine else Markup('<span class="quiet">another browser’s</span>'),
        )
        for place, entry in enumerate(queue, start=0 if queue[0].is_running else 1)
    ]
    return Markup('<ol aria-label="Queue">{}</ol>').format(join(rows))


def _cancel_button(entry: QueueEntry) -> Markup:
    word = "Interrupt" if entry.is_running else "Cancel"
    return Markup('<button type="button" data-cancel="{}" aria-label="{} {}">{}</button>').format(
        entry.id, word, entry.title, word
    )


def stage(screen: Screen, models_folder: str) -> Markup:
    """What stands where the pictures will stand, as long as there is none: card, live preview or failure."""
    run = screen.run
    if run and run.is_running:
        return _live(run)
    if run and run.pictures:
        return NOTHING
    if run and run.failed:
        return _card("bad", "No picture this time", Markup("<p>{}</p>").format(run.failed.text))
    if screen.model.status is ModelStatus.FAILED:
        where = Markup("<p>Models belong into <code>{}</code>. Press the refresh button at the top afterwards.</p>")
        text = Markup("<p>{}</p>").format(screen.model.sentence) + where.format(models_folder)
        return _card("bad", "No model is loaded", text)
    if not screen.is_ready:
        return _card("busy", "Loading the model", Markup("<p>You can write your prompt meanwhile.</p>"))
    if screen.model.checkpoint.startswith(DEMO_MODEL):
        return _first_run_card(models_folder)
    return _card("", "Your picture will stand here", _HOW_TO_START)


_HOW_TO_START = Markup("<p>Say in the prompt what you want to see, then press <b>Generate</b>, or Ctrl + Enter.</p>")


def _first_run_card(models_folder: str) -> Markup:
    button = Markup(
        '<button type="button" class="plain" data-prompt="{0}" title="Write into the prompt: {0}">{1}</button>'
    )
    examples = join([button.format(prompt, label) for label, prompt in EXAMPLES.items()], Markup(" "))
    try_one = Markup('<p class="examples">Or begin with one of these: {}</p>').format(examples)
    about = Markup(
        "<p>The small demo model that came along draws simple portraits of {} pixels. For photos and paintings put "
        "another <b>model</b>, a Stable Diffusion 1.x or 2.x file (<code>.safetensors</code>), into <code>{}</code>, "
        "press the refresh button at the top and choose it.</p>"
    ).format("128×128", models_folder)
    return _card("", "Your picture will stand here", _HOW_TO_START + try_one + about)


def _card(kind: str, title: str, body: Markup) -> Markup:
    return Markup('<div class="card {}"><h2>{}</h2>{}</div>').format(kind, title, body)


def _live(run: Run) -> Markup:
    """The guess of the newest step, drawn as large as the finished picture will be."""
    if not run.sampled or not run.sampled.preview:
        return NOTHING if run.pictures else _card("busy", "Drawing", NOTHING)
    source = "data:image/png;base64," + base64.b64encode(run.sampled.preview).decode()
    return Markup('<img class="live" src="{}" alt="Live preview, step {} of {}">').format(
        source, run.sampled.step, run.sampled.steps
    )


def log(screen: Screen, shown: Picture | None, folder: Path, interrupting: bool) -> Markup:
    """One line of a fixed height: progress, then what it took and where the picture lies; notices below it."""
    run = screen.run
    if not run:
        return _line(NOTHING, 0.0)
    notices = paragraphs(run.notices)
    if run.is_running:
        return _progress(run, interrupting) + notices
    if run.failed and run.pictures:  # else the stage says it
        notices += Markup('<p class="notice bad">{}</p>').format(run.failed.text)
    return _line(_ended(run, shown, folder), 0.0) + notices


def _progress(run: Run, interrupting: bool) -> Markup:
    sampled = run.sampled
    parts = []
    if interrupting:
        parts.append("interrupting…")
    elif run.status:
        parts.append(f"{run.status}…")
    if sampled:
        batch = f"batch {sampled.batch} of {sampled.batches}, " if sampled.batches > 1 else ""
        stage = "hires " if sampled.stage > 1 else ""
        parts.append(f"{batch}{stage}step {sampled.step}/{sampled.steps}")
    if sampled and run.seconds_left is not None and not interrupting:
        done = sampled.progress * sampled.steps * sampled.batches * sampled.stages
        parts += [f"{run.elapsed / done:.1f} s/it", f"{_duration(run.seconds_left)} left"]
    return _line(Markup("{}").format(" · ".join(parts) or "starting…"), sampled.progress if sampled else 0.0)


def _ended(run: Run, shown: Picture | None, folder: Path) -> Markup:
    word = {JobState.INTERRUPTED: "Interrupted", JobState.FAILED: "Failed", JobState.CANCELLED: "Cancelled"}
    took = f"Time taken: {_duration(run.elapsed)}"
    text = f"{word[run.state]} · {took}" if run.state in word else took
    if shown and shown.incomplete and run.state is JobState.FINISHED:
        text += " · skipped before its last step"
    where = Markup(' · <span class="path">{}</span>').format(_shown_path(shown.path, folder)) if shown else NOTHING
    return Markup("{}").format(text) + where


def _line(text: Markup, progress: float) -> Markup:
    return Markup(
        '<div class="bar" aria-hidden="true"><span style="width:{}%"></span></div><p class="took" role="status">{}</p>'
    ).format(round(100 * progress), text)


def complaint(error: WebuiError, element_id: Callable[[str], str] = element_id) -> Markup:
    """Why a click did nothing; the control it is about gets a red frame, and is named for `wiring.forget_complaint`."""
    field = error.field if isinstance(error, ParameterError) else ""
    if not field:
        return Markup('<p class="notice bad" role="alert">{}</p>').format(str(error))
    return Markup(
        '<p class="notice bad" role="alert" data-about="{0}">{1}</p>'
        "<style>#{0} input, #{0} textarea {{border-color: var(--bad) !important}}</style>"
    ).format(element_id(field), str(error))


def infotext(picture: Picture | None) -> Markup:
    """The parameters of the picture that is looked at, to select or copy."""
    if not picture:
        return NOTHING
    return Markup(
        '<div class="infotext" tabindex="0" aria-label="Parameters of this picture">{}</div>'
        '<button type="button" class="copy" data-copy=".infotext">Copy</button>'
    ).format(picture.infotext)


def saved_copy(copy: Path, folder: Path, noted: bool) -> Markup:
    """Where the copy of a picture lies.

    Args:
        folder: of all data.
        noted: whether it stands in the table beside it.
    """
    text = " · noted in log.csv" if noted else ""
    return Markup('<p class="took" role="status">Copied: <span class="path">{}</span>{}</p>').format(
        _shown_path(copy, folder), text
    )


def _shown_path(path: Path, folder: Path) -> str:
    """Relative to the data folder: short, and no page tells how the machine is laid out."""
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else path.name


def _duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
