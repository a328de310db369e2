"""Loading a full-size SD 1 file (2.1 GB in half precision, random weights) that is in the system's file cache.

Time: from `load_model` to the model, modules imported. Memory: the most that the process held for itself while loading
(not counting pages of the mapped file, which the system can drop), against the size of the loaded weights.
"""

import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import ParamSpec, TypeVar

import psutil
import torch

from modules.model.checkpoint import Checkpoint
from modules.model.device import DevicePolicy, Precision
from modules.model.loader import judge, load_model
from modules.model.model import SDModel
from tests import tiny
from tests.bench import Result, seconds

P = ParamSpec("P")
T = TypeVar("T")

HALF, BF16 = torch.float16, torch.bfloat16
STORED = Precision(HALF, HALF, HALF)
CONVERTED = Precision(BF16, BF16, torch.float32, channels_last=True)  # what a CPU with bf16 gets


def run() -> Iterator[Result]:
    with tempfile.TemporaryDirectory() as folder:
        path = tiny.checkpoint(Path(folder) / "full.safetensors", "sd1-full")
        yield Result("size of the file", path.stat().st_size / 1e9, "GB")
        yield Result("judged by its header", _alone(_judge_seconds, path), "s")
        for words, precision, goal in (("as stored", STORED, 0.5), ("converted to bf16", CONVERTED, 2.5)):
            yield Result(f"loaded {words}", _alone(_load_seconds, path, precision), "s", goal)
            peak, size = _alone(_memory, path, precision)
            yield Result(f"loaded {words}: own memory at most", peak / 1e9, "GB")
            yield Result(f"loaded {words}: own memory / size of the weights", peak / size, "×", 1.1)


def _alone(work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Call in a fresh process, so that no figure depends on what ran before."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *arguments, **named).result()


def _load(path: Path, precision: Precision) -> SDModel:
    return load_model(Checkpoint(path, path.name), DevicePolicy(torch.device("cpu"), precision, precision))


def _judge_seconds(path: Path) -> float:
    return seconds(lambda: judge(path))


def _load_seconds(path: Path, precision: Precision) -> float:
    return seconds(lambda: _load(path, precision))


def _memory(path: Path, precision: Precision) -> tuple[int, int]:
    """(most bytes of its own while loading, bytes of the loaded weights)"""
    _load(tiny.checkpoint(path.with_name("small.safetensors")), precision)  # imports and first-time work
    done, before, most = threading.Event(), _own_bytes(), 0

    def watch() -> None:
        nonlocal most
        while not done.wait(0.005):
            most = max(most, _own_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    model = _load(path, precision)
    done.set()
    watcher.join()
    networks = (model.unet, model.vae, model.text_encoder)
    size = sum(t.numel() * t.element_size() for network in networks for t in network.parameters())
    return max(most, _own_bytes()) - before, size


def _own_bytes() -> int:
    """Memory that is no part of a file."""
    memory = psutil.Process().memory_info()
    return memory.rss - memory.shared
