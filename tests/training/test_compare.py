"""Sheets drawn: by txt2img, with each snapshot under the embedding's name, gone on with after an interruption."""

import pytest

from modules.errors import ParameterError
from modules.events import CellDrawn, Request
from modules.images import open_image, read_infotext
from modules.training.compare import compare
from modules.training.comparison import Look, compare_steps, compare_strengths, sheets
from tests.training.tiny_run import NAME, database, pull, small

LOOK = Look(sampler="Euler", steps=2, width=64, height=64)
PROMPT = f"a portrait of {NAME}"


@pytest.fixture
def run(model, paths, photos):
    """A run of two snapshots that differ much: steps 0 and 2."""
    return pull(model, paths, small(photos, steps=2, learning_rate="5")).folder


def drawn(model, paths, run, comparison, stop_after=None):
    work = compare(model, database(paths), run.path, comparison)
    cells, request = [], None
    while True:
        try:
            event = work.send(request)
        except StopIteration:
            return cells
        if isinstance(event, CellDrawn):
            cells.append((event.row, event.column))
        request = Request.INTERRUPT if stop_after and len(cells) == stop_after else None


def test_a_sheet_is_drawn_kept_and_gone_on_with(model, paths, run):
    comparison = compare_steps(NAME, [0, 2], [PROMPT], [1, 2], LOOK, "face")
    assert drawn(model, paths, run, comparison, stop_after=2) == [(0, 0), (0, 1)]
    assert sheets(run)[0].done == 2
    assert drawn(model, paths, run, comparison) == [(1, 0), (1, 1), (2, 0), (2, 1)]
    assert drawn(model, paths, run, comparison) == []
    (sheet,) = sheets(run)
    pictures = [open_image(sheet.cell(row, 0)).tobytes() for row in range(3)]
    assert len(set(pictures)) == 3
    words, first, _ = (read_infotext(sheet.cell(row, 0)) for row in range(3))
    assert words.startswith("a portrait of face\n")
    assert first.startswith(f"{PROMPT}\n")
    assert f'TI hashes: "{NAME}: ' in first
    assert "TI hashes" not in words


def test_an_interrupt_is_heard_at_the_last_event_of_a_picture(model, paths, run):
    comparison = compare_steps(NAME, [0, 2], [PROMPT], [1], LOOK)
    work = compare(model, database(paths), run.path, comparison)
    events = []
    for event in work:
        events.append(event)
        if isinstance(event, CellDrawn):
            break
    last = len(events) - 2  # of the first picture: what comes next is the cell
    work.close()
    sheets(run)[0].cell(0, 0).unlink()
    again = compare(model, database(paths), run.path, comparison)
    told, request = [], None
    try:
        while True:
            told.append(again.send(request))
            request = Request.INTERRUPT if len(told) == last + 1 else None
    except StopIteration:
        assert sum(isinstance(event, CellDrawn) for event in told) == 1


def test_how_strong(model, paths, run):
    comparison = compare_strengths(NAME, 2, [PROMPT], [1], LOOK, "face")
    assert len(drawn(model, paths, run, comparison)) == 6
    (sheet,) = sheets(run)
    assert f"({NAME}:0.5)" in read_infotext(sheet.cell(1, 0))


def test_missing_snapshots_are_refused(model, paths, run):
    with pytest.raises(ParameterError, match="no snapshot of step 7"):
        drawn(model, paths, run, compare_steps(NAME, [7], [PROMPT], [1], LOOK))
    assert sheets(run) == []
