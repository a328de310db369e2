"""The guard itself: it must fail on what it forbids, or the tests that run under it prove nothing."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from tests.forbidden_ops import ForbiddenOperation, forbidden_ops

FORBIDDEN: dict[str, Callable[[], object]] = {
    "made double": lambda: torch.linspace(0, 1, 5, dtype=torch.float64),
    "made double by a method": lambda: torch.ones(3).double(),
    "came in as double": lambda: torch.from_numpy(np.ones(3)) * 2,
    "complex of doubles": lambda: torch.ones(3, dtype=torch.complex128),
    "CUDA by text": lambda: torch.ones(3, device="cuda"),
    "CUDA by number": lambda: torch.ones(3).to("cuda:1"),
    "CUDA by device": lambda: torch.ones(3).to(torch.device("cuda")),
    "CUDA by method": lambda: torch.ones(3).cuda(),
}
ALLOWED: dict[str, Callable[[], object]] = {
    "single precision": lambda: torch.linspace(0, 1, 5) * 2.5,
    "a Python float": lambda: torch.ones(3) * torch.tensor(2.5, dtype=torch.float64),
    "half precision": lambda: torch.ones(3).to("cpu", torch.bfloat16).sum(),
    "whole numbers": lambda: torch.arange(5).roll(1),
}


@pytest.mark.parametrize("name", FORBIDDEN)
def test_forbidden(name: str) -> None:
    with pytest.raises(ForbiddenOperation), forbidden_ops():
        FORBIDDEN[name]()


@pytest.mark.parametrize("name", ALLOWED)
def test_allowed(name: str) -> None:
    with forbidden_ops():
        ALLOWED[name]()
