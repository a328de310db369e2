"""One run of many, and how they are drawn one after the other as if they were one."""

import dataclasses
import itertools
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from modules.events import Event, GridDone, ImageDone, Request, Sampled, Work
from modules.params import Txt2ImgParams

if TYPE_CHECKING:  # brings torch
    from modules.generation.outputs import OutputFolder

MOST_CELLS = 2000


@dataclass(frozen=True)
class Cell:
    """One run.

    Attributes:
        params: as the form has them.
        checkpoint: title, name or hash of another one; empty for the one in use.
        embedding_step: draw with the snapshot after so many steps, of the embedding that the prompt names.
    """

    params: Txt2ImgParams
    checkpoint: str = ""
    embedding_step: int | None = None

    def changed(self, **values: object) -> "Cell":
        """The same run with some fields of its form replaced.

        Raises:
            ParameterError: a value outside its range.
        """
        return dataclasses.replace(self, params=dataclasses.replace(self.params, **values))  # type: ignore[arg-type]


class Workbench(Protocol):
    """What scripts ask of the program around them."""

    def check(self, cell: Cell) -> Cell:
        """The run with its styles in the prompts and everything it names found, or a ParameterError."""
        ...

    def snapshot_steps(self, prompt: str) -> Sequence[int]:
        """The steps of the snapshots of the newest training run whose embedding a prompt names; none: empty."""
        ...

    def draw(self, cell: Cell, outputs: "OutputFolder") -> Work:
        """A run that was checked."""
        ...

    def outputs(self) -> "OutputFolder":
        """Where pictures and sheets go."""
        ...


@dataclass
class Drawn:
    """What came of the runs so far: the finished pictures of each, by its place among them."""

    pictures: dict[int, list[ImageDone]] = field(default_factory=dict)
    interrupted: bool = False

    @property
    def first(self) -> Mapping[int, ImageDone]:
        """The first picture of each run that has one."""
        return {number: pictures[0] for number, pictures in self.pictures.items() if pictures}


def draw_cells(
    bench: Workbench, cells: Sequence[Cell], order: Sequence[int], outputs: "OutputFolder"
) -> Generator[Event, Request | None, Drawn]:
    """Draw runs one after the other. Their events are counted through, their own overviews left out.

    Args:
        order: places in `cells`, in the order of drawing.
    """
    drawn, batches = Drawn(), sum(cell.params.batch_count for cell in cells)
    before, pictures = 0, 0
    sizes = [cell.params.batch_count * cell.params.batch_size for cell in cells]
    places = list(itertools.accumulate(sizes, initial=0))
    quiet = dataclasses.replace(outputs, save_grid=False)
    for number in order:
        cell = cells[number]
        done = drawn.pictures.setdefault(number, [])
        first, first_batch, place = pictures, before, places[number]

        def counted(event: Event, first: int = first, first_batch: int = first_batch, place: int = place) -> Event:
            if isinstance(event, Sampled):
                return dataclasses.replace(event, batch=first_batch + event.batch, batches=batches)
            if isinstance(event, ImageDone):
                return dataclasses.replace(event, index=first + event.index, place=place + event.index)
            return event

        yield from _forwarded(bench.draw(cell, quiet), counted, done, drawn)
        before += cell.params.batch_count
        pictures += sizes[number]
        if drawn.interrupted:
            break
    return drawn


def _forwarded(work: Work, counted: Callable[[Event], Event], done: list[ImageDone], drawn: Drawn) -> Work:
    """Pass events on and answers back."""
    request: Request | None = None
    try:
        while True:
            try:
                event = counted(work.send(request))
            except StopIteration:
                return
            if isinstance(event, ImageDone):
                done.append(event)
            assert not isinstance(event, GridDone), "a run of a script has no overview of its own"
            request = yield event
            drawn.interrupted |= request is Request.INTERRUPT
    finally:
        work.close()
