"""From an error to its HTTP status and to the one form in which A1111's interface tells errors.

`{"error": kind, "detail": sentence, "body": "", "errors": sentence}`. What was sent is not repeated in `body`: it may
be megabytes, or hold what no JSON can.
"""

import json
import logging
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import HTTPException
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.responses import Response

from modules.errors import WebuiError
from modules.events import Failed

_log = logging.getLogger(__name__)

# By the name of the error's class, which is all that an event carries. What is not listed is a value that cannot be
# used: 422. A sampler that does not exist is 400, as in A1111 v1.10. Why a full disk and our own mistakes are 5xx says
# docs/decisions/0009.
_STATUS: Mapping[str, int] = {
    "QueueFull": 503,
    "JobBusy": 409,
    "ModelMissing": 409,
    "StorageError": 507,
    "Error": 500,  # a mistake of ours, see `jobs`
}
_STATUS_OF_FIELD: Mapping[str, int] = {"sampler": 400, "schedule": 400, "preview_sampler": 400}


class Json(JSONResponse):
    """JSON in ASCII: texts may hold halves of characters, which UTF-8 cannot."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii")


class JobFailed(WebuiError):
    """A job that a request waited for has failed.

    Args:
        failed: its last event.
    """

    def __init__(self, failed: Failed):
        super().__init__(failed.text)
        self.failed = failed


def answer(error: Exception) -> Response:
    """What the client is told. Errors that were not foreseen are logged with a traceback, which no client sees."""
    if isinstance(error, RequestValidationError):
        sentence = _sentence(error.errors())
        return _json(422, "RequestValidationError", sentence)
    if isinstance(error, AnyHTTPException):
        return _json(error.status_code, "HTTPException", str(error.detail), error.headers)
    if isinstance(error, JobFailed):
        failed = error.failed
        return _json(_status(failed.kind, failed.field), failed.kind, failed.text)
    if isinstance(error, WebuiError):
        kind = type(error).__name__
        return _json(_status(kind, getattr(error, "field", "")), kind, str(error))
    log_id = secrets.token_hex(4)
    _log.error("A request failed, log id %s", log_id, exc_info=error)
    return _json(
        500, "Error", f"Something went wrong here, which is a mistake of this program. The log has it: id {log_id}."
    )


def refuse(status: int, sentence: str, headers: dict[str, str] | None = None) -> HTTPException:
    """An error of the request itself."""
    return HTTPException(status, sentence, headers)


def _status(kind: str, field: str) -> int:
    return _STATUS.get(kind) or _STATUS_OF_FIELD.get(field, 422)


def _json(status: int, kind: str, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
    content = {"error": kind, "detail": sentence, "body": "", "errors": sentence}
    return Json(content, status, dict(headers) if headers else None)


def _sentence(found: Sequence[Mapping[str, Any]]) -> str:
    """What pydantic found, the first three, as text: “steps: Input should be a valid integer.”"""
    parts = []
    for one in found[:3]:
        if one["type"] == "json_invalid":
            return f"The body is no JSON: {one['ctx']['error']}, at letter {one['loc'][-1]}."
        where = ".".join(str(part) for part in one["loc"] if part != "body") or "The body"
        parts.append(f"{where}: {str(one['msg'])[:200]}.".replace("a valid tuple", "a valid list"))
    more = f" And {len(found) - 3} more." if len(found) > 3 else ""
    return " ".join(parts) + more
