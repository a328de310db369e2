"""Step ①: a new embedding. While the name and the first words are typed, what they come to is told beside them."""

from dataclasses import dataclass
from typing import Any

import gradio as gr
from markupsafe import Markup

from modules.app import App
from modules.errors import ParameterError, WebuiError
from modules.events import EmbeddingSaved, Failed
from modules.files import safe_name
from modules.jobs import Job, JobState
from modules.prompts.new_word import initial_tokens, name_problem, token_texts
from modules.training_params import advise_vectors
from modules.ui import fragments, wiring
from modules.ui.train.choice import change, read_choice
from modules.ui.train.context import TrainContext
from modules.ui.train.header import count_photos
from modules.ui.train.looking import under_way
from modules.ui.train.run_view import shown_path
from modules.ui.wiring import AS_SENT, QUIET

_IDS = {
    "name": "train_new_embedding_name",
    "init_text": "train_initialization_text",
    "vectors_per_token": "train_nvpt",
    "overwrite": "train_overwrite_old_embedding",
}
_EXAMPLE = "yourname-t1"


@dataclass(frozen=True)
class CreateStep:
    """The components that have something to do."""

    name: gr.Textbox
    about_name: gr.HTML
    init_text: gr.Textbox
    about_words: gr.HTML
    vectors: gr.Number
    about_vectors: gr.HTML
    overwrite: gr.Checkbox
    create: gr.Button
    complaint: gr.HTML
    result: gr.HTML
    job: gr.State


def make_step() -> CreateStep:
    """Build the step inside the column that is open."""
    with gr.Column(elem_id="train_create"):
        with gr.Row(elem_classes="asked"):
            name = gr.Textbox(
                label="Name",
                info="The word for your prompts: short, and unlike any other word.",
                placeholder=_EXAMPLE,
                max_lines=1,
                elem_id=_IDS["name"],
            )
            about_name = _html("train_about_name")
        with gr.Row(elem_classes="asked"):
            init_text = gr.Textbox(
                "*",
                label="Initialization text",
                info="What it starts from: “face” for a person, “cat” for a cat.",
                max_lines=1,
                elem_id=_IDS["init_text"],
            )
            about_words = _html("train_about_words")
        with gr.Row(elem_classes="asked"):
            vectors = gr.Number(
                advise_vectors(0)[0],
                label="Number of vectors per token",
                info="How many tokens the word takes in a prompt.",
                precision=0,
                minimum=1,
                maximum=75,
                elem_id=_IDS["vectors_per_token"],
            )
            about_vectors = _html("train_about_vectors")
        overwrite = gr.Checkbox(False, label="Overwrite Old Embedding", elem_id=_IDS["overwrite"])
        create = gr.Button("Create embedding", variant="primary", elem_id="train_create_embedding")
        complaint = _html("train_create_complaint")
        result = _html("train_create_result")
    return CreateStep(
        name, about_name, init_text, about_words, vectors, about_vectors, overwrite, create, complaint, result,
        gr.State(""),
    )  # fmt: skip


def wire(step: CreateStep, context: TrainContext) -> None:
    """Connect the controls."""
    app = context.app

    def tell_name(name: Any, overwrite: Any) -> Markup:
        return about_name(app, name if isinstance(name, str) else "", overwrite is True)

    def tell_words(text: Any, count: Any) -> Markup:
        return about_words(app, text if isinstance(text, str) else "", count)

    def tell_vectors(choice: Any) -> Markup:
        return about_vectors(count_photos(read_choice(choice).photos))

    def create(owner: str, name: Any, init_text: Any, vectors: Any, overwrite: Any) -> dict[Any, Any]:
        try:
            count = _whole(vectors)
            refuse_name(app, str(name or ""), overwrite is True)
            initial_tokens(str(init_text or ""), count, app.tokenizer)
            job = app.training.create(str(name).strip(), str(init_text or ""), count, overwrite is True, owner)
        except Exception as error:
            said = wiring.complaint(error, lambda field: _IDS.get(field, ""))
            return {step.complaint: said, step.result: fragments.NOTHING}
        return {step.job: job.id, step.complaint: fragments.NOTHING, step.result: busy(job)}

    def follow(id: str) -> dict[Any, Any]:
        """What became of the creation."""
        job = app.jobs.find(id) if id else None
        if job is None:
            return {step.job: id}
        if not job.is_over:
            return {step.job: id, step.result: busy(job)}
        events = job.events_since()[0]
        saved = [event for event in events if isinstance(event, EmbeddingSaved)]
        if not saved:
            failed = [event.text for event in events if isinstance(event, Failed)]
            said = wiring.complaint(WebuiError(failed[-1] if failed else "The creation was cancelled."))
            return {step.job: "", step.result: fragments.NOTHING, step.complaint: said}
        done = Markup(
            '<div class="ending" role="status"><p>Created: <b>{}</b></p>'
            '<p><button type="button" class="door" data-open-step="photos">Next: the photos</button></p></div>'
        ).format(shown_path(saved[-1].path, app.paths.data))
        chosen = change(embedding=saved[-1].path.stem, run="", step="")
        return {step.job: "", step.result: done, context.change: chosen}

    newest: dict[str, Any] = {"trigger_mode": "always_last", **AS_SENT}
    gr.on(
        [step.name.change, step.overwrite.input, context.page.model.change],
        tell_name,
        [step.name, step.overwrite],
        step.about_name,
        **newest,
    )
    gr.on(
        [step.init_text.change, step.vectors.change, context.page.model.change, context.tab.select],
        tell_words,
        [step.init_text, step.vectors],
        step.about_words,
        **newest,
    )
    gr.on([context.choice.change, context.tab.select], tell_vectors, context.choice, step.about_vectors, **QUIET)
    step.create.click(
        create,
        [context.page.owner, step.name, step.init_text, step.vectors, step.overwrite],
        [step.job, step.complaint, step.result],
        **AS_SENT,
    )
    causes = {"name": [step.name, step.overwrite], "init_text": [step.init_text], "vectors_per_token": [step.vectors]}
    for field, controls in causes.items():
        wiring.forget_complaint(step.complaint, _IDS[field], controls)
    context.look.click(follow, step.job, [step.job, step.complaint, step.result, context.change], **QUIET)


def refuse_name(app: App, name: str, overwrite: bool) -> str:
    """The name as it is used.

    Raises:
        ParameterError: why it cannot be used.
    """
    name = safe_name(name.strip(), "name")
    taken = app.embeddings.names()
    same = next((other for other in taken if other.casefold() == name.casefold()), None)
    if same and not overwrite:
        raise ParameterError("name", f"“{same}” is there already: choose another name, or tick “Overwrite”.")
    if problem := name_problem(name, taken, app.tokenizer):
        raise ParameterError("name", problem)
    return name


def about_name(app: App, name: str, overwrite: bool) -> Markup:
    """What a prompt makes of the name, or why it cannot be used."""
    if not name.strip():
        return Markup(
            '<p class="quiet">For example <b>{}</b>: no plain word, or every “face” would become it.</p>'
        ).format(_EXAMPLE)
    try:
        name = refuse_name(app, name, overwrite)
    except ParameterError as error:
        return Markup('<p class="bad">{}</p>').format(str(error))
    tokenizer = app.tokenizer
    read_as = token_texts(tokenizer.encode(name), tokenizer)
    replaced = name in app.embeddings.names()
    kept = fragments.paragraphs(["It is there: its file is kept as a backup."]) if replaced else fragments.NOTHING
    good = Markup("<p>A good name. Prompts read it as {}</p>").format(_chips(read_as))
    return good + kept


def about_words(app: App, text: str, count: Any) -> Markup:
    """The token that each vector starts from."""
    try:
        ids = initial_tokens(text, _whole(count), app.tokenizer)
    except ParameterError as error:
        return Markup('<p class="bad">{}</p>').format(str(error))
    if not ids:
        return Markup('<p class="quiet">No words: it starts from zeros, which means nothing yet.</p>')
    left = app.tokenizer.encode(text)[len(ids) :]
    more = Markup('<p class="quiet">No place for {}: that takes {} vectors.</p>').format(
        _chips(token_texts(left, app.tokenizer)), len(ids) + len(left)
    )
    one = "The vector starts from" if len(ids) == 1 else f"The {len(ids)} vectors start from"
    return Markup("<p>{} {}</p>{}").format(one, _chips(token_texts(ids, app.tokenizer)), more if left else "")


def about_vectors(photos: int) -> Markup:
    """How many suit the photos, and why."""
    face, why = advise_vectors(photos)
    style, _ = advise_vectors(photos, "style")
    known = f"Advised for a face from {photos} photos: {face}." if photos else f"Advised for a face: {face}."
    return Markup('<p class="quiet">{} {} For a style: {}.</p>').format(known, why, style)


def _chips(texts: list[str]) -> Markup:
    shown = [Markup('<span class="chip">{}</span>').format(text) for text in texts[:24]]
    return fragments.join(shown, Markup(" "))


def busy(job: Job) -> Markup:
    """What an embedding that is being created waits for."""
    text = "Waits for the job before it." if job.state is JobState.WAITING else "Creating…"
    return Markup('<p class="quiet" role="status"{}>{}</p>').format(under_way("create"), text)


def _whole(value: Any) -> int:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and float(value).is_integer():
        return int(value)
    raise ParameterError("vectors_per_token", "The number of vectors per token must be a whole number from 1 to 75.")


def _html(elem_id: str) -> gr.HTML:
    return gr.HTML("", elem_id=elem_id, apply_default_css=False)
