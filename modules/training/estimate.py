"""What a run will cost, measured by two steps that leave no trace."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil
import torch


@dataclass(frozen=True)
class Cost:
    """Of one optimiser step.

    Attributes:
        seconds: of the second trial; the first one warms up.
        memory, memory_total: bytes at the peak, and bytes there are, of the device or of the machine.
    """

    seconds: float
    memory: int
    memory_total: int


def measure(step: Callable[[], object], device: torch.device) -> Cost:
    """Do a step twice, and look at the clock and at the memory."""
    step()
    started = time.perf_counter()
    step()
    _finish(device)
    return Cost(time.perf_counter() - started, *_memory(device))


def _finish(device: torch.device) -> None:
    """Wait until the device has done what it was told."""
    if device.type != "cpu":
        torch.get_device_module(device).synchronize()


def _memory(device: torch.device) -> tuple[int, int]:
    machine = psutil.virtual_memory().total
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device), torch.cuda.get_device_properties(device).total_memory
    if device.type == "mps":
        return torch.mps.driver_allocated_memory(), machine
    try:
        import resource
    except ImportError:  # Windows keeps the peak elsewhere
        return psutil.Process().memory_info().peak_wset, machine
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit, machine
