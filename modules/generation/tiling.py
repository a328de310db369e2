"""Pictures whose edges fit each other: convolutions that see the other side of the picture beyond its edge."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def circular(network: nn.Module) -> Iterator[None]:
    """Let all convolutions of a network wrap around, and put them back afterwards.

    It is entered for each call, not for a whole run: between two steps nobody finds the network changed.
    """
    before = [(layer, layer.padding_mode) for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    try:
        for layer, _ in before:
            layer.padding_mode = "circular"
        yield
    finally:
        for layer, mode in before:
            layer.padding_mode = mode  # pyright: ignore[reportAttributeAccessIssue] (what it was before)
