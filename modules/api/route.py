"""How every route of the interface is entered and left: strict JSON in, one form of error out.

A body is JSON whatever its content type says: curl's `-d` calls every body a form. Nothing rests on that word, since
the guard tells foreign pages by other headers, and no route takes forms.
"""

import json
import math
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from modules.api import errors
from modules.guard import Scope

DEEPEST = 64  # levels of lists and objects in each other
MAX_BODY = 64 * 2**20  # bytes: a picture of 48 MB as base64
LONGEST_NUMBER = 100  # digits


class StrictRequest(Request):
    """A request whose JSON holds only what JSON knows: no NaN, no infinity, nothing nested or long without end."""

    async def stream(self) -> AsyncGenerator[bytes, None]:
        read = 0
        async for part in super().stream():
            read += len(part)
            if read > MAX_BODY:  # told by counting: the length that was announced may be a lie, or missing
                raise errors.refuse(413, f"The request is larger than {MAX_BODY // 2**20} MB: send a smaller picture.")
            yield part

    async def json(self) -> Any:
        body = await self.body()
        try:
            value = json.loads(body, parse_constant=_no_number, parse_float=_finite, parse_int=_whole)
        except json.JSONDecodeError:
            raise
        except (ValueError, RecursionError) as error:
            raise errors.refuse(422, f"The body is no JSON that can be used: {_why(error)}.") from error
        if _depth(value) > DEEPEST:
            raise errors.refuse(422, f"The body is nested deeper than {DEEPEST} levels.")
        return value


class Route(APIRoute):
    """A route whose errors all take the form of `errors`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_all(request: Request) -> Response:
            try:
                return await handle(StrictRequest(_without_content_type(request.scope), request.receive))
            except Exception as error:  # the one catch-all of this interface: everything becomes an answer
                return errors.answer(error)

        return handle_all


def _without_content_type(scope: Scope) -> Scope:
    """The request as FastAPI reads its body as JSON."""
    return {**scope, "headers": [(name, value) for name, value in scope["headers"] if name != b"content-type"]}


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number of JSON")


def _whole(text: str) -> int:
    if len(text) > LONGEST_NUMBER:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text:.20} is too large")
    return number


def _why(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    return "it is nested without end" if isinstance(error, RecursionError) else str(error)


def _depth(value: Any) -> int:
    """How deep lists and objects lie in each other, counted without recursion."""
    deepest, waiting = 0, [(value, 1)]
    while waiting:
        one, depth = waiting.pop()
        if isinstance(one, (list, dict)):
            deepest = max(deepest, depth)
            waiting += [(inner, depth + 1) for inner in (one.values() if isinstance(one, dict) else one)]
    return deepest
