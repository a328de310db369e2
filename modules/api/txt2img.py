"""`txt2img`: a request becomes a job, and the job's pictures the answer.

Pictures that nobody asked to save lie in a temporary folder until they were sent;
those of a client that has gone meanwhile are kept for `jobs/{id}/result`, for the newest jobs.
"""

import shutil
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from modules.api import asked_for, errors, options, table, told
from modules.api.answers import Accepted, Txt2ImgAnswer
from modules.api.asked_for import Wish
from modules.api.errors import Json
from modules.api.host import Host, result_of
from modules.api.requests import Txt2ImgRequest, given
from modules.desks.drawing import Place
from modules.errors import ParameterError
from modules.guard import asking_user
from modules.jobs import Job

RESULTS_KEPT = 16


@dataclass(frozen=True)
class Run:
    """One request on its way.

    Attributes:
        job: that does it.
        wish: what was asked for.
        folder: of what is not to be saved; None: all is.
    """

    job: Job
    wish: Wish
    folder: Path | None


class Runs:
    """The newest requests, by job id."""

    def __init__(self, host: Host):
        self.host = host
        self._lock = threading.Lock()
        self._runs: OrderedDict[str, Run] = OrderedDict()
        self._root: tempfile.TemporaryDirectory[str] | None = None  # removed with the server

    def submit(self, asked: Mapping[str, Any]) -> Job:
        """Queue what a request asks for.

        Args:
            asked: what it says, by A1111's names.

        Raises:
            WebuiError, HTTPException: it cannot be done.
        """
        wish = asked_for.read(self.host.app, asked)
        folder = None if wish.save_pictures and wish.save_grids else self._new_folder()
        try:
            job = self._queue(wish, folder)
        except ParameterError as error:
            _remove(folder)
            raise table.in_their_words(table.TXT2IMG, error, asked) from error
        except Exception:
            _remove(folder)
            raise
        self.host.names.give(wish.name, job)
        with self._lock:
            self._runs[job.id] = Run(job, wish, folder)
        self._forget_old()
        return job

    def _queue(self, wish: Wish, folder: Path | None) -> Job:
        app, owner, settings = self.host.app, self.host.owner, wish.settings
        if not wish.save_grids:  # sent, and not kept: as pictures are
            settings = settings.changed(grid_format=settings.picture_format)
        more: dict[str, Any] = {
            "place": Place(
                None if wish.save_pictures else folder,
                None if wish.save_grids else folder,
                passing=folder is not None,
                user=asking_user(),
            ),
            "settings": settings,
            "checkpoint": wish.checkpoint,
            "checkpoint_stays": wish.checkpoint_stays,
            "suited": wish.suited,
        }
        if wish.script:
            return app.run_script(wish.params, wish.script, owner, **more)
        return app.generate(wish.params, owner, picture=wish.picture, **more)

    def answer(self, job: Job) -> Response:
        """The pictures of a job that is over.

        Raises:
            JobFailed, HTTPException: it has none, or is none of these.
            ImageError: a picture has gone.
        """
        events = result_of(job)
        run = self._runs.get(job.id)
        if run is None:
            raise errors.refuse(404, "There are no pictures of that job: it may have been sent, or is of another kind.")
        return Json(told.answer(run.wish, job, events))

    def forget(self, job: Job) -> None:
        """Let go of a job whose answer was sent, and of its pictures if they were not to be saved."""
        with self._lock:
            run = self._runs.pop(job.id, None)
        if run:
            _remove(run.folder)

    def _forget_old(self) -> None:
        with self._lock:
            over = [run for run in self._runs.values() if run.job.is_over]
        for run in over[: max(0, len(over) - RESULTS_KEPT)]:
            self.forget(run.job)

    def _new_folder(self) -> Path:
        with self._lock:
            if self._root is None:
                self._root = tempfile.TemporaryDirectory(prefix="studio-")
        return Path(tempfile.mkdtemp(dir=self._root.name))


def add_routes(router: APIRouter, host: Host, runs: Runs) -> None:
    @router.post("/sdapi/v1/txt2img", response_model=Txt2ImgAnswer, responses={202: {"model": Accepted}})
    async def txt2img(body: Txt2ImgRequest, request: Request, wait: bool = True) -> Response:  # pyright: ignore
        """Draw pictures. With `wait=false` the answer is the id of a job, see `jobs/{id}/result`. Fields and settings
        that mean nothing here are named in the header X-Without-Effect."""
        asked = given(body)
        job = await host.in_thread(lambda: runs.submit(asked))
        headers = options.without_effect(asked_for.unused(asked, host.app.settings))
        if not wait:
            return Json({"job": job.id}, 202, headers)
        try:
            await host.end_of(job)
            response = await host.in_thread(lambda: runs.answer(job))
        except Exception:
            runs.forget(job)
            raise
        if not await request.is_disconnected():
            runs.forget(job)
        response.headers.update(headers)
        return response


def _remove(folder: Path | None) -> None:
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
