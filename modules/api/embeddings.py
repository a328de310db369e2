"""Embeddings: which there are, a new one, and training one."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Response

from modules.api import options, table
from modules.api.answers import Accepted, EmbeddingItem, EmbeddingsAnswer, InfoAnswer, TrainAnswer
from modules.api.errors import JobFailed, Json
from modules.api.host import Host
from modules.api.requests import CreateRequest, TrainRequest, given, ours, unknown
from modules.errors import ParameterError
from modules.events import EmbeddingSaved, Ending, Event, Failed, TrainingEnded
from modules.jobs import Job
from modules.training_params import TrainParams


def add_routes(router: APIRouter, host: Host) -> None:
    app = host.app

    @router.get("/sdapi/v1/embeddings")
    def embeddings() -> EmbeddingsAnswer:
        """Those that act in prompts of the model in use, and those that cannot."""
        loaded, skipped = {}, {}
        for entry in app.embeddings.entries():
            if entry.embedding is None:
                continue
            is_trained = entry.embedding.step != 0
            item = EmbeddingItem(
                step=entry.embedding.step,
                sd_checkpoint=entry.embedding.checkpoint_hash if is_trained else None,  # A1111: what it was trained on
                sd_checkpoint_name=entry.embedding.checkpoint_name if is_trained else None,
                shape=entry.embedding.width,
                vectors=entry.embedding.vectors_per_token,
            )
            (skipped if entry.reason else loaded).setdefault(entry.name, item)
        return EmbeddingsAnswer(loaded=loaded, skipped=skipped)

    @router.post("/sdapi/v1/refresh-embeddings")
    def refresh_embeddings() -> None:
        """Look for embeddings again; each prompt does so by itself."""
        app.embeddings.refresh()

    @router.post("/sdapi/v1/create/embedding")
    async def create_embedding(body: CreateRequest, response: Response) -> InfoAnswer:
        """Write the file of a new embedding. Fields that mean nothing here are named in the header
        X-Without-Effect."""

        def create() -> Job:
            return app.training.create(
                body.name,
                "*" if body.init_text is None else body.init_text,
                1 if body.num_vectors_per_token is None else body.num_vectors_per_token,
                bool(body.overwrite_old),
                owner=host.owner,
            )

        events = await _end_of(host, await _begun(host, create, table.CREATE), table.CREATE)
        path = next(event.path for event in events if isinstance(event, EmbeddingSaved))
        response.headers.update(options.without_effect(unknown(CreateRequest, given(body))))
        return InfoAnswer(info=f"create embedding filename: {host.place(path)}")

    @router.post("/sdapi/v1/train/embedding", response_model=TrainAnswer, responses={202: {"model": Accepted}})
    async def train_embedding(body: TrainRequest, wait: bool = True) -> Response:  # pyright: ignore
        """Train an embedding. What is not set is as the Train tab has it. Answers at the end, hours later; with
        `wait=false` at once, with the id of a job to follow. Fields that mean nothing here are named in the header
        X-Without-Effect."""
        asked = given(body)
        job = await _begun(host, lambda: _train(host, asked), table.TRAIN)
        host.names.give(asked.get("id_task"), job)
        headers = options.without_effect(unknown(TrainRequest, asked))
        if not wait:
            return Json({"job": job.id}, 202, headers)
        events = await _end_of(host, job, table.TRAIN)
        return Json({"info": _told(host, events), "job": job.id}, headers=headers)


async def _begun(host: Host, begin: Callable[[], Job], names: Mapping[str, str]) -> Job:
    """The job that `begin` queues.

    Raises:
        ParameterError: with the request's own name of the field.
    """
    try:
        return await host.in_thread(begin)
    except ParameterError as error:
        raise table.in_their_words(names, error) from error


async def _end_of(host: Host, job: Job, names: Mapping[str, str]) -> list[Event]:
    """As `Host.end_of`; a failure that belongs to a field begins with the request's own name of it."""
    try:
        return await host.end_of(job)
    except JobFailed as error:
        field = error.failed.field
        if not field:
            raise
        told = replace(error.failed, text=f"{table.theirs(names, field)}: {error.failed.text}")
        raise JobFailed(told) from error


def _train(host: Host, asked: dict[str, Any]) -> Job:
    values = {"file_format": host.app.settings.embedding_format, **ours(TrainParams, table.TRAIN, asked)}
    if {"steps", "batch_size"} & values.keys():
        values.setdefault("gradient_step", 1)  # as A1111: who counts steps counts those of its batches
    if asked.get("preview_from_txt2img") is False:  # A1111 then draws samples from the words of training
        values = {name: value for name, value in values.items() if not name.startswith("preview_")}
    return host.app.training.begin(TrainParams(**values), host.owner)


def _told(host: Host, events: list[Event]) -> str:
    ended = next((event for event in reversed(events) if isinstance(event, TrainingEnded)), None)
    if ended is None:
        return "train embedding complete: filename: None error: None"
    if ended.kind in (Ending.FAILED, Ending.DIVERGED):
        raise JobFailed(Failed(ended.sentence, kind="TrainingDiverged" if ended.kind is Ending.DIVERGED else "Error"))
    name = host.place(ended.path) if ended.path else None
    return f"train embedding complete: filename: {name} error: None"
