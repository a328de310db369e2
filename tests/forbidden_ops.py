"""A guard for code that must also run on machines that the tests do not have: Apple's GPUs, and none at all.

`with forbidden_ops(): ...` fails on tensors of double precision (Apple's GPUs have none, so a float64 tensor beside the
latents would end the run there) and on anything that asks for CUDA by name. Single numbers of double precision on the
CPU are let through: Python floats become such tensors, and torch rounds them before a GPU sees them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_DOUBLE = (torch.float64, torch.complex128)


class ForbiddenOperation(AssertionError):
    """An operation that would fail, or mean another device, on a user's machine."""


@contextmanager
def forbidden_ops() -> Iterator[None]:
    """Every torch operation of this thread inside the block is looked at."""
    with _NoCuda(), _NoDoubles():
        yield


class _NoDoubles(TorchDispatchMode):
    """Sees each operation as it reaches a device, with the tensors it reads and makes."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for value in tree_leaves((args, kwargs, result)):
            if isinstance(value, Tensor) and value.dtype in _DOUBLE and (value.dim() > 0 or value.device.type != "cpu"):
                raise ForbiddenOperation(f"{func} handles a tensor of {value.dtype} and shape {tuple(value.shape)}")
        return result


class _NoCuda(TorchFunctionMode):
    """Sees each call before torch looks for the device that it names."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.cuda or any(_is_cuda(value) for value in tree_leaves((args, kwargs))):
            raise ForbiddenOperation(f"{getattr(func, '__name__', func)} asks for CUDA by name")
        return func(*args, **(kwargs or {}))


def _is_cuda(value: Any) -> bool:
    if isinstance(value, torch.device):
        return value.type == "cuda"
    return isinstance(value, str) and value.split(":")[0] == "cuda"
