"""The signatures of Gradio's components, told once.

Gradio asks for the signature of a component's constructor each time that it describes one, makes one, or answers an
event with a changed one. Finding it out again and again was a quarter of what the server computes for a page.
"""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

from gradio.blocks import Block


def tell_signatures() -> None:
    """Write them where `inspect` looks first, on the constructors of all components and on what those wrap."""
    for kind in _kinds(Block):
        constructor: Callable[..., Any] | None = vars(kind).get("__init__")
        while constructor is not None:
            inner = getattr(constructor, "__wrapped__", None)
            vars(constructor).setdefault("__signature__", inspect.signature(constructor))
            constructor = inner


def _kinds(base: type) -> Iterator[type]:
    yield base
    for kind in base.__subclasses__():
        yield from _kinds(kind)
