"""“How this prompt is read”: the pieces of a prompt as chips, what changes from step to step, and notes in words."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from modules.app import App
from modules.errors import WebuiError
from modules.params import SAME_SAMPLER, Txt2ImgParams
from modules.prompts.reading import PartReading, Piece, PromptReading, StepReading, read_prompt
from modules.samplers.names import find_sampler
from modules.ui import form
from modules.ui.fragments import NOTHING, join

MOST_CHIPS = 200  # of one part; a prompt of a hundred thousand brackets must not become as many elements
MOST_STEPS = 40
FIELDS = (  # of the form, by which prompts are read
    "prompt", "negative_prompt", "styles", "sampler", "steps", "enable_hr", "hr_sampler", "hr_second_pass_steps",
    "hr_prompt",
)  # fmt: skip

_RULES = (
    "emphasis", "comma_backtrack", "a1111_exact", "old_timelines", "old_edit_steps", "comments", "breaks",
    "old_emphasis",
)  # fmt: skip
_BORDER = Markup('<span class="border" role="separator" title="a new chunk of 75 tokens"></span>')
_CALLS = "This sampler asks the model twice per step: the numbers count its calls."


def params_of(app: App, shown: Mapping[str, Any], overrides: Mapping[str, Any]) -> Txt2ImgParams:
    """The parameters of a run started now, as far as prompts are read by them, with styles in the prompts.

    Args:
        shown: what the page sends for each of `FIELDS`; what cannot be used counts as its default.
        overrides: fields that the list of overrides holds.
    """
    given = {**app.settings.form_defaults(), **overrides}
    rules = {name: given[name] for name in _RULES if name in given}
    params = Txt2ImgParams(**rules, **form.usable(shown))
    try:
        return app.drawing.styles.applied(params)
    except WebuiError:  # whoever generates is told
        return params


def read(app: App, params: Txt2ImgParams, negative: bool = False) -> PromptReading:
    """Read a prompt with the rules and embeddings that a run started now would use.

    Args:
        params: of the run, its styles in the prompts.
        negative: the negative prompt, which knows no AND.
    """
    second = None
    if params.enable_hr and not params.hr_prompt:
        sampler = params.sampler if params.hr_sampler == SAME_SAMPLER else params.hr_sampler
        second = _calls(params, sampler, params.hr_second_pass_steps or params.steps)
    return read_prompt(
        params.negative_prompt if negative else params.prompt,
        _calls(params, params.sampler, params.steps),
        app.tokenizer,
        app.embeddings.index(),
        negative=negative,
        second_pass_steps=second,
        old_timelines=params.old_timelines,
        emphasis=params.emphasis,
        comma_backtrack=params.comma_backtrack,
        a1111_exact=params.a1111_exact,
        comments=params.comments,
        breaks=params.breaks,
        old_emphasis=params.old_emphasis,
    )


def counter(reading: PromptReading) -> Markup:
    """“14/75”, and the names of embeddings that were found."""
    found = join([Markup('<span class="found">{}</span>').format(name) for name in reading.embeddings])
    count = Markup('<span class="count" title="tokens">{}/{}</span>').format(reading.token_count, reading.target)
    return found + count


def panel(reading: PromptReading, params: Txt2ImgParams) -> Markup:
    """The whole panel.

    Args:
        params: with which the prompt was read.
    """
    several = len(reading.parts) > 1
    parts = join([_part(part, number, several) for number, part in enumerate(reading.parts, 1)])
    scheduled = any(len(part.steps) > 1 for part in reading.parts)
    counts_calls = _calls(params, params.sampler, params.steps) != params.steps
    notes = [*reading.notes, *([_CALLS] if scheduled and counts_calls else [])]
    listed = join([Markup("<li>{}</li>").format(note) for note in notes])
    return parts + (Markup('<ul class="notes">{}</ul>').format(listed) if notes else NOTHING)


def _part(part: PartReading, number: int, several: bool) -> Markup:
    head = Markup('<p class="quiet">Part {}, weight {}</p>').format(number, _number(part.weight))
    return (
        (head if several else NOTHING)
        + Markup('<div class="chips">{}</div>').format(_chips(part.pieces))
        + _steps(part.steps)
    )


def _chips(pieces: tuple[Piece, ...]) -> Markup:
    chips: list[Markup] = []
    chunk: int | None = 0
    for piece in pieces[:MOST_CHIPS]:
        if piece.kind == "break":
            chips.append(_BORDER)
            chunk = None  # the next piece lies in a new chunk, and the border is drawn
            continue
        if chunk is not None and piece.chunk not in (None, chunk):
            chips.append(_BORDER)
        chunk = chunk if piece.chunk is None else piece.chunk
        chips.append(_chip(piece))
    if len(pieces) > MOST_CHIPS:
        chips.append(Markup('<span class="quiet">… and {} more</span>').format(len(pieces) - MOST_CHIPS))
    return join(chips)


def _chip(piece: Piece) -> Markup:
    """Weight shows as ink: 1 is plain, 1.5 and more full, below 1 pale. A lone comma needs no chip."""
    shown = piece.text.strip()
    if not any(sign.isalnum() for sign in shown):
        return Markup('<span class="quiet">{}</span>').format(shown)
    ink = round(max(0.0, min(1.0, (piece.weight - 1) * 2)) * 100)
    weight = Markup("<b>{}</b>").format(_number(piece.weight)) if piece.weight != 1 else NOTHING
    return Markup('<span class="chip {}{}" style="--ink:{}%">{}{}</span>').format(
        piece.kind, " pale" if piece.weight < 1 else "", ink, _content(piece, shown), weight
    )


def _content(piece: Piece, shown: str) -> Markup:
    match piece.kind:
        case "alternation":
            return join([_option(option) for option in piece.options], Markup(" <i>⇄</i> "))
        case "edit":
            after = Markup(" <i>after step {}</i>").format(piece.step)
            return join([_option(option) for option in piece.options], Markup(" <i>→</i> ")) + after
        case "embedding":
            vectors = "1 vector" if piece.vectors == 1 else f"{piece.vectors} vectors"
            return Markup('{} <i title="embedding">{}</i>').format(shown, vectors)
        case _:
            return Markup("{}").format(shown)


def _option(text: str) -> Markup:
    return Markup("{}").format(text.strip()) if text.strip() else Markup("<i>nothing</i>")


def _steps(steps: tuple[StepReading, ...]) -> Markup:
    if len(steps) < 2:
        return NOTHING
    rows = [
        Markup("<li><span>{}</span>{}</li>").format(
            f"{step.first}–{step.last}" if step.last > step.first else step.first, step.text
        )
        for step in steps[:MOST_STEPS]
    ]
    if len(steps) > MOST_STEPS:
        rows.append(Markup('<li><span>…</span><i class="quiet">and so on, to step {}</i></li>').format(steps[-1].last))
    return Markup('<ol class="steps" tabindex="0" aria-label="Step by step">{}</ol>').format(join(rows))


def _number(weight: float) -> str:
    return f"{weight:.3g}"


def _calls(params: Txt2ImgParams, sampler: str, steps: int) -> int:
    return find_sampler(sampler).prompt_steps(steps, params.old_edit_steps)
