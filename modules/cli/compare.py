"""`./webui.sh compare`: which step of a run to use, why, and how it looks."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from modules import images
from modules.app import App
from modules.cli.arguments import SERVER_FLAGS, Parser
from modules.cli.following import follow, say, tell
from modules.cli.host import hosted, load
from modules.cli.run_model import named_run, with_checkpoint
from modules.errors import ParameterError, WebuiError
from modules.files import safe_name, typed_path
from modules.paths import Paths
from modules.prompts.tokenizer import clip_tokenizer
from modules.training.comparison import Look, compare_steps, make_sheet, parse_seeds
from modules.training.measurements import MeasurementFile
from modules.training.recommend import recommend
from modules.training.run_folder import RunFolder, require_free

MOST_ROWS = 8  # of a grid for which nobody chose the steps


def run(arguments: Sequence[str]) -> int:
    """Measure, recommend, and what else is asked for. Returns the exit code."""
    parser = _parser()
    values, flags = parser.read(arguments)
    if "run" not in values:
        raise ParameterError("--run", "No run is named: ./webui.sh compare textual_inversion/DATE/NAME.")
    path = values["run"].absolute()
    named = named_run(path, "--run")
    folder, known = named.folder, named.folder.snapshots()
    for step in (*values.get("steps", ()), *([values["step"]] if "step" in values else ())):
        if step not in known:
            raise ParameterError(
                "steps", f"This run has no snapshot of step {step}: it has {', '.join(map(str, known))}."
            )
    if "use" in values:
        _check_use(folder, values["use"], values["overwrite"], flags.paths())
    with hosted(with_checkpoint(flags, named)) as app:
        load(app)
        if code := follow(app.training.measure(path, values.get("word", "")), more=True):
            return code
        best = _recommend(folder, needed="use" in values and "step" not in values)
        if values.get("prompts") and (code := _draw(app, folder, values, best)):
            return code
        if "use" in values:
            step = values.get("step", best)
            return follow(app.training.use_snapshot(path, step, values["use"], values["overwrite"]))
    return 0


def _parser() -> Parser:
    parser = Parser("compare", f"Measure the snapshots of a run and recommend one. {SERVER_FLAGS}", ("run",))
    parser.add_argument("--run", type=typed_path, metavar="FOLDER", help="textual_inversion/DATE/NAME")
    parser.add_argument("--use", metavar="NAME", help="put the recommended step into use under this name")
    parser.add_argument("--step", type=_step, metavar="N", help="use this step instead of the recommended one")
    parser.add_argument("--overwrite", action="store_true", help="with --use: replace an embedding of this name")
    parser.add_argument(
        "--prompts", nargs="+", metavar="PROMPT", help="draw a grid: a row for each step; name the embedding"
    )
    parser.add_argument("--seeds", type=parse_seeds, help="of the grid, such as “1, 2” (default: 1)")
    parser.add_argument(
        "--steps", nargs="+", type=_step, metavar="N", help=f"rows of the grid (default: at most {MOST_ROWS})"
    )
    parser.add_argument("--width", type=_size, metavar="PIXELS", help="of each picture (default: the model's own)")
    parser.add_argument("--height", type=_size, metavar="PIXELS")
    parser.add_argument(
        "--sampling-steps", type=_count, metavar="N", help="of each picture (default: as the model advises)"
    )
    parser.add_argument("--description", metavar="WORDS", help="a row with these words in the embedding's place")
    parser.add_argument("--word", help="the plain word that obedience is compared with (default: the initial words)")
    return parser


def _check_use(folder: RunFolder, name: str, overwrite: bool, paths: Paths) -> None:
    """Refuse a name now that would be refused after minutes of measuring.

    Raises:
        ParameterError, JobBusy: why.
    """
    from modules.embeddings.database import EmbeddingDatabase
    from modules.training.use import require_usable

    require_free(paths.textual_inversion, safe_name(name, "--use"))
    embeddings = EmbeddingDatabase([paths.embeddings])
    require_usable(embeddings, paths.embeddings, folder, name, clip_tokenizer(), overwrite)


def _recommend(folder: RunFolder, needed: bool) -> int:
    """Tell what is recommended, and return its step.

    Raises:
        WebuiError: there is too little to compare, or, if it is `needed`, nothing was learned.
    """
    file = MeasurementFile(folder)
    conditions = file.conditions()
    measured = file.read()
    found = recommend(measured, conditions is None or conditions.is_held_out)
    if found is None:
        raise WebuiError("There is too little to compare: at least two snapshots with a held-out loss are needed.")
    tell({"event": "recommended", "step": found.step, "confidence": found.confidence, "reason": found.reason})
    if not found.confidence and needed:
        raise WebuiError(f"No step is recommended. {found.reason} To use one all the same, name it with --step.")
    say(f"Step {found.step} is recommended ({found.sureness}). {found.reason}" if found.confidence else found.reason)
    return found.step


def _draw(app: App, folder: RunFolder, values: Mapping[str, Any], best: int) -> int:
    """Draw the grid, and write it as one picture too. Returns the exit code."""
    state = app.model_state
    width, height = state.native_size
    wanted = ("sampler", "steps", "cfg_scale")
    advised = {key: state.recommended[key] for key in wanted if key in state.recommended}
    if "sampling_steps" in values:
        advised["steps"] = values["sampling_steps"]
    look = Look(width=values.get("width", width), height=values.get("height", height), **advised)
    steps = values.get("steps") or _rows(list(folder.snapshots()), best)
    seeds = values.get("seeds", (1,))
    comparison = compare_steps(folder.name, steps, values["prompts"], seeds, look, values.get("description", ""))
    if code := follow(app.training.compare(folder.path, comparison), more=True):
        return code
    sheet = make_sheet(folder, comparison)
    rows, columns = len(comparison.rows), len(comparison.columns)
    cells = [images.open_image(sheet.cell(row, column)) for row in range(rows) for column in range(columns)]
    whole: Image.Image = images.grid(cells, len(cells), rows)
    path = sheet.path / "grid.png"
    images.save_png(whole, path)
    tell({"event": "grid", "path": path, "rows": [row.label for row in comparison.rows]})
    say(f"The grid is {path}, from above: {', '.join(row.label for row in comparison.rows)}.")
    return 0


def _rows(steps: list[int], best: int) -> list[int]:
    """The recommended step, first and last, and some between them."""
    if len(steps) <= MOST_ROWS:
        return steps
    every = [steps[round(place * (len(steps) - 1) / (MOST_ROWS - 2))] for place in range(MOST_ROWS - 1)]
    return sorted({*every, best})


def _step(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no step")
    return int(text)


def _size(text: str) -> int:
    if not text.isdecimal() or int(text) % 8 or not 64 <= int(text) <= 2048:
        raise argparse.ArgumentTypeError(f"{text!r} is not a multiple of 8 from 64 to 2048")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 150:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 150")
    return int(text)
