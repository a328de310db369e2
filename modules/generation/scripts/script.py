"""From a form and a script to the plan that draws it: read and checked before anything waits in line."""

import dataclasses
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modules.errors import ParameterError
from modules.events import GridDone, Noticed, Status, Work
from modules.generation import partners
from modules.generation.scripts import axes, lines, matrix
from modules.generation.scripts.cells import MOST_CELLS, Cell, Drawn, Workbench, draw_cells
from modules.generation.scripts.sheet import Label, draw_sheet, stacked
from modules.params import RANDOM, Txt2ImgParams
from modules.script_params import LINES, MATRIX, NONE, NOTHING, XYZ, ScriptParams

if TYPE_CHECKING:
    from PIL import Image

_FILE_NAMES = {XYZ: "xyz_grid", MATRIX: "prompt_matrix", LINES: "grid"}


@dataclass(frozen=True)
class Table:
    """The places of a sheet: one label a column and a row; several tables stand one below the other.

    Attributes:
        titles: of the tables, one at least.
    """

    columns: tuple[Label, ...]
    rows: tuple[Label, ...]
    titles: tuple[str, ...] = ("",)


@dataclass(frozen=True)
class Plan:
    """A script that can be drawn.

    Attributes:
        cells: its runs, table by table, row by row.
        order: places in `cells`, in the order of drawing.
        table: how their pictures lie; None: no sheet with labels.
        about: what the sheet's infotext says besides the first picture's.
    """

    script: ScriptParams
    cells: tuple[Cell, ...]
    order: tuple[int, ...]
    table: Table | None
    about: dict[str, str]

    @property
    def needs_other_checkpoints(self) -> bool:
        return any(cell.checkpoint or partners.wanted(cell.params) for cell in self.cells)

    @property
    def pictures(self) -> int:
        """How many will be drawn."""
        return sum(cell.params.batch_count * cell.params.batch_size for cell in self.cells)

    def work(self, bench: Workbench) -> Work:
        """Draw everything, then the sheet. An interrupted script makes a sheet of what there is.

        Raises:
            As `txt2img`.
        """
        outputs = bench.outputs()
        drawn = yield from draw_cells(bench, self.cells, self.order, outputs)
        if self.table is None or not drawn.first:
            return
        yield Status("laying out the sheet")
        for sheet, infotext in self._sheets(self.table, drawn):
            saved = outputs.save_sheet(sheet, _FILE_NAMES[self.script.script], infotext)
            yield GridDone(saved.path, infotext, alone=not self.script.include_sub_images)
            if saved.problem:
                yield Noticed(saved.problem)

    def _sheets(self, table: Table, drawn: Drawn) -> "list[tuple[Image.Image, str]]":
        """The whole, and before it the single tables if they are wanted; each with its infotext."""
        size, script = len(table.columns) * len(table.rows), self.script
        sheets = []
        for number, title in enumerate(table.titles):
            of_it = {place - number * size: done for place, done in drawn.first.items() if place // size == number}
            paths = {place: done.path for place, done in of_it.items()}
            made = draw_sheet(paths, table.columns, table.rows, title, script.margin_size, script.draw_legend)
            if made:
                sheets.append((made, next(iter(of_it.values())).infotext))
        first = self._with_about(sheets[0][1])
        if len(sheets) == 1:
            return [(sheets[0][0], first)]
        whole = (stacked([sheet for sheet, _ in sheets], script.margin_size), first)
        return [*(sheets if script.include_sub_grids else []), whole]

    def _with_about(self, infotext: str) -> str:
        """What the script says of itself stands before the version, where A1111 has it."""
        about = ", ".join(f"{key}: {value}" for key, value in self.about.items())
        if not about:
            return infotext
        before, version, after = infotext.rpartition(", Version: ")
        return f"{before}, {about}{version}{after}" if version else f"{infotext}, {about}"


def make_plan(params: Txt2ImgParams, script: ScriptParams, bench: Workbench) -> Plan:
    """Read a script.

    Raises:
        ParameterError: a value of an axis, a line or a part that cannot be used; the field is the script's, or the
            form's where only some runs are impossible.
    """
    if script.script == XYZ:
        plan = _plot(params, script, bench)
    elif script.script == MATRIX:
        plan = _matrix(params, script)
    else:
        assert script.script == LINES, f"{NONE} has no plan"
        cells = tuple(Cell(one) for one in lines.read_lines(params, script))
        plan = Plan(script, cells, tuple(range(len(cells))), None, {})
    if len(plan.cells) > MOST_CELLS:
        raise ParameterError("script", f"This would be {len(plan.cells)} runs: at most {MOST_CELLS} are drawn at once.")
    return dataclasses.replace(plan, cells=tuple(bench.check(cell) for cell in plan.cells))


def _plot(params: Txt2ImgParams, script: ScriptParams, bench: Workbench) -> Plan:
    if not script.keep_seeds:
        drawn = {name: secrets.randbelow(2**32) for name in ("seed", "subseed") if getattr(params, name) == RANDOM}
        params = dataclasses.replace(params, **drawn)
    base = Cell(params)
    typed = [(letter, getattr(script, f"{letter}_type"), getattr(script, f"{letter}_values")) for letter in "xyz"]
    if all(name == NOTHING for _, name, _ in typed):
        raise ParameterError("x_type", "The plot has no axis: choose what X is to change.")
    x, y, z = (axes.read_axis(name, text, f"{letter}_values", base, bench) for letter, name, text in typed)
    count = len(x.values) * len(y.values) * len(z.values)
    if count > MOST_CELLS:
        raise ParameterError("x_values", f"This would be {count} runs: at most {MOST_CELLS} are drawn at once.")
    cells, places = [], []
    for k, of_z in enumerate(z.values):
        for j, of_y in enumerate(y.values):
            for i, of_x in enumerate(x.values):
                cell = _applied(base, (of_x.apply, of_y.apply, of_z.apply))
                further = _further(script, (i, j, k), (len(x.values), len(y.values)))
                if further and cell.params.seed != RANDOM:
                    cell = cell.changed(seed=cell.params.seed + further)
                cells.append(cell)
                places.append({"x": i, "y": j, "z": k})
    slow = sorted((("x", x), ("y", y), ("z", z)), key=lambda named: (-named[1].cost, "zyx".index(named[0])))
    order = sorted(range(len(cells)), key=lambda number: [places[number][letter] for letter, _ in slow])
    about = {"Script": _quoted(XYZ)}
    for letter, axis in (("X", x), ("Y", y), ("Z", z)):
        if axis.name != NOTHING:
            about |= {f"{letter} Type": _quoted(axis.name), f"{letter} Values": _quoted(axis.typed)}
    table = Table(
        tuple(Label.of(value.label) for value in x.values),
        tuple(Label.of(value.label) for value in y.values),
        tuple(value.label for value in z.values),
    )
    return Plan(script, tuple(cells), tuple(order), table, about)


def _further(script: ScriptParams, place: tuple[int, int, int], size: tuple[int, int]) -> int:
    """How far the seed of a place is from the form's, so that no two places share one along the axes that vary it."""
    further, stride = 0, 1
    varies = (script.vary_seeds_x, script.vary_seeds_y, script.vary_seeds_z)
    for number, count, varied in zip(place, (*size, 1), varies, strict=True):
        if varied:
            further += number * stride
            stride *= count
    return further


def _applied(cell: Cell, changes: Sequence[Callable[[Cell], Cell]]) -> Cell:
    for change in changes:
        cell = change(cell)
    return cell


def _matrix(params: Txt2ImgParams, script: ScriptParams) -> Plan:
    cells, columns, rows = matrix.read_matrix(params, script)
    found = tuple(Cell(one) for one in cells)
    return Plan(script, found, tuple(range(len(found))), Table(columns, rows), {"Script": _quoted(MATRIX)})


def _quoted(text: str) -> str:
    from modules.infotext import quote

    return quote(text)
