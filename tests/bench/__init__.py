"""Speed and memory, measured on an idle machine: `python -m tests.bench [name …]`; nothing here runs in the suite.

Each module of this package is one bench: its `run()` yields `Result`s, and its docstring says what is measured. Figures
are medians of `RUNS` runs in fresh processes, with as many torch threads as a user's server would have.
"""

import importlib
import pkgutil
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

RUNS = 5


@dataclass(frozen=True)
class Result:
    """One line of the table.

    Attributes:
        what: in words.
        value: the figure.
        unit: "s", "GB", "×" …
        goal: what it should stay below, or None where there is no goal.
    """

    what: str
    value: float
    unit: str
    goal: float | None = None


def benches() -> list[str]:
    """Names of all benches of one table: the modules beside this one. The package `learning` is another kind."""
    found = [module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg]
    return sorted(name for name in found if not name.startswith("_"))


def results(name: str) -> Iterator[Result]:
    """Run the bench of this name."""
    yield from importlib.import_module(f"{__name__}.{name}").run()


def seconds(work: Callable[[], object], runs: int = RUNS) -> float:
    """Median time of one run, after a first one that is not counted."""
    work()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)
