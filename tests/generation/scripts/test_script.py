"""Scripts as plans: which runs, in which order, under which labels; and how they are drawn as one."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from modules import images
from modules.errors import ParameterError
from modules.events import GridDone, ImageDone, Request, Sampled, Status
from modules.generation.naming import Turn
from modules.generation.outputs import OutputFolder
from modules.generation.scripts.cells import Cell
from modules.generation.scripts.script import Plan, make_plan
from modules.infotext import parse_infotext
from modules.params import Txt2ImgParams
from modules.script_params import AXES, LINES, MATRIX, NOTHING, XYZ, ScriptParams

FORM = Txt2ImgParams(prompt="a cat, oil", negative_prompt="bad", seed=7, width=64, height=64, steps=2)


class Bench:
    """Draws grey pictures: the work of the program around scripts, without a model."""

    def __init__(self, folder: Path, steps: tuple[int, ...] = ()):
        self.folder = folder
        self.steps = steps
        self.drawn: list[Cell] = []

    def check(self, cell: Cell) -> Cell:
        if cell.params.vae == "gone":
            raise ParameterError("vae", "There is no VAE “gone”.")
        return cell

    def snapshot_steps(self, prompt: str) -> tuple[int, ...]:
        return self.steps

    def outputs(self) -> OutputFolder:
        return OutputFolder(self.folder / "images", self.folder / "grids")

    def draw(self, cell: Cell, outputs: OutputFolder):
        assert not outputs.save_grid
        self.drawn.append(cell)
        wanted = cell.params
        for batch in range(wanted.batch_count):
            for step in range(1, wanted.steps + 1):
                if (yield Sampled(step, wanted.steps, batch + 1, wanted.batch_count)) is Request.INTERRUPT:
                    return
            image = Image.new("RGB", (wanted.width, wanted.height), (len(self.drawn), 0, 0))
            infotext = f"{wanted.prompt}\nSteps: {wanted.steps}, Seed: {wanted.seed}, Size: 64x64, Version: v1.10.1"
            saved = outputs.save_picture(image, infotext, Turn())
            yield ImageDone(saved.path, infotext, batch, wanted.seed)


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def plan_of(bench: Bench, form: Txt2ImgParams = FORM, **script) -> Plan:
    return make_plan(form, ScriptParams(**script), bench)


def run(plan: Plan, bench: Bench, ask=lambda event: None) -> list:
    work, request, events = plan.work(bench), None, []
    while True:
        try:
            event = work.send(request)
        except StopIteration:
            return events
        events.append(event)
        request = ask(event)


def of(events: list, kind: type) -> list:
    return [event for event in events if isinstance(event, kind)]


# --- X/Y/Z ------------------------------------------------------------------------------------------------------------


def test_a_plot_draws_every_combination_and_a_sheet(bench):
    plan = plan_of(bench, script=XYZ, x_type="Steps", x_values="1-3", y_type="Seed", y_values="5, 9")
    events = run(plan, bench)
    assert [(cell.params.steps, cell.params.seed) for cell in bench.drawn] == [
        (1, 5), (2, 5), (3, 5), (1, 9), (2, 9), (3, 9),
    ]  # fmt: skip
    done = of(events, ImageDone)
    assert [event.index for event in done] == [0, 1, 2, 3, 4, 5]
    assert [(event.batch, event.batches) for event in of(events, Sampled)][:3] == [(1, 6), (2, 6), (2, 6)]
    assert events[-2] == Status("laying out the sheet")
    (grid,) = of(events, GridDone)
    assert grid.path.name == "xyz_grid-0000.png"
    written = parse_infotext(images.read_infotext(grid.path))
    assert list(written).index("Script") < list(written).index("Version")  # as in A1111
    assert {key: written[key] for key in ("Script", "X Type", "X Values", "Y Type", "Y Values", "Seed")} == {
        "Script": XYZ,
        "X Type": "Steps",
        "X Values": "1-3",
        "Y Type": "Seed",
        "Y Values": "5, 9",
        "Seed": "5",
    }
    sheet = images.open_image(grid.path)
    assert sheet.width > 3 * 64
    assert sheet.height > 2 * 64


def test_three_axes_make_a_table_for_each_value_of_the_third(bench):
    script: dict[str, Any] = {"x_type": "Steps", "x_values": "1,2", "z_type": "CFG Scale", "z_values": "3, 4.5"}
    plan = plan_of(bench, script=XYZ, include_sub_grids=True, **script)
    assert plan.table is not None
    assert plan.table.titles == ("CFG Scale: 3", "CFG Scale: 4.5")
    grids = of(run(plan, bench), GridDone)
    sizes = [images.open_image(grid.path).size for grid in grids]
    assert len(grids) == 3
    assert sizes[2] == (sizes[0][0], sizes[0][1] + sizes[1][1])
    assert not any(grid.alone for grid in grids)
    (whole,) = of(run(plan_of(bench, script=XYZ, include_sub_images=False, **script), bench), GridDone)
    assert whole.alone


def test_what_takes_long_to_load_changes_slowest(bench):
    plan = plan_of(bench, script=XYZ, x_type="Checkpoint name", x_values="a, b", y_type="Steps", y_values="1, 2")
    run(plan, bench)
    assert [(cell.checkpoint, cell.params.steps) for cell in bench.drawn] == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]
    assert plan.needs_other_checkpoints
    assert [(cell.checkpoint, cell.params.steps) for cell in plan.cells] == [("a", 1), ("b", 1), ("a", 2), ("b", 2)]


@pytest.mark.parametrize(
    ("axis", "values", "expected"),
    [
        ("Prompt S/R", "cat, dog, a lion", ["a cat, oil", "a dog, oil", "a a lion, oil"]),
        ("Prompt S/R", '"cat, oil", "dog, ink"', ["a cat, oil", "a dog, ink"]),
        ("Embedding", "cat, panda", ["a cat, oil", "a panda, oil"]),
        ("Prompt order", "cat, oil", ["a cat, oil", "a oil, cat"]),
    ],
)
def test_axes_of_the_prompt(bench, axis, values, expected):
    plan = plan_of(bench, script=XYZ, x_type=axis, x_values=values)
    assert [cell.params.prompt for cell in plan.cells] == expected


def test_steps_of_an_embedding_are_those_of_its_snapshots(tmp_path):
    bench = Bench(tmp_path, steps=(100, 200, 300))
    plan = plan_of(bench, script=XYZ, x_type="Embedding step")
    assert [cell.embedding_step for cell in plan.cells] == [100, 200, 300]
    assert plan.table is not None
    assert [column.lines for column in plan.table.columns] == [("step 100",), ("step 200",), ("step 300",)]
    assert plan.about["X Values"] == '"100, 200, 300"', "can be typed again"
    some = plan_of(bench, script=XYZ, x_type="Embedding step", x_values="100-300 (+200)")
    assert [cell.embedding_step for cell in some.cells] == [100, 300]
    with pytest.raises(ParameterError, match="no snapshot of step 150: there are 100, 200, 300"):
        plan_of(bench, script=XYZ, x_type="Embedding step", x_values="150")
    with pytest.raises(ParameterError, match="names no embedding"):
        plan_of(Bench(tmp_path), script=XYZ, x_type="Embedding step", x_values="100")


def test_eta_is_of_whichever_sampler_draws(bench):
    plan = plan_of(bench, script=XYZ, x_type="Eta", x_values="0.5, 2", y_type="Sampler", y_values="Euler a, DDIM")
    assert [cell.params.eta_ancestral for cell in plan.cells] == [0.5, 2.0] * 2
    assert [cell.params.eta_ddim for cell in plan.cells] == [0.5, 1.0] * 2


@pytest.mark.parametrize("axis", [axis for axis in AXES if axis != NOTHING])
def test_every_axis_changes_what_it_names(tmp_path, axis):
    values = {
        "Prompt S/R": "cat, dog", "Prompt order": "oil, cat", "Embedding": "cat, dog", "Sampler": "Euler, Heun",
        "Schedule type": "Karras, Uniform", "Size": "64x72, 128x64", "Checkpoint name": "a, b",
        "VAE": "None, Automatic",
        "Styles": "None, Oil", "Hires upscaler": "Lanczos, None", "Hires sampler": "Euler, Heun",
        "Hires schedule type": "Karras, Uniform", "RNG": "CPU, NV",
        "Schedule max sigma": "10, 14", "Steps": "3, 4", "Clip skip": "1, 2", "Sigma noise": "0.9, 1.1",
        "CFG Scale": "2, 3.5", "Hires scale": "1.5, 3", "Embedding step": "", "Seed": "-1, -1",
        "Always discard next-to-last sigma": "False, true", "SGM noise multiplier": "True, False", "UniPC Order": "2,3",
    }  # fmt: skip
    bench = Bench(tmp_path, steps=(1, 2))
    usual = "1, 2" if axis in ("Var. seed", "Hires steps", "ENSD") else "0.25, 0.5"
    plan = plan_of(bench, script=XYZ, x_type=axis, x_values=values.get(axis, usual))
    first, second = plan.cells
    assert first != second
    labels = [column.lines for column in plan.table.columns] if plan.table else []
    assert labels[0] != labels[1]


def test_a_random_seed_is_drawn_once_unless_it_is_to_be_kept(bench):
    form = Txt2ImgParams(prompt="a cat", width=64, height=64)
    one = plan_of(bench, form, script=XYZ, x_type="Steps", x_values="1, 2")
    assert one.cells[0].params.seed == one.cells[1].params.seed >= 0
    kept = plan_of(bench, form, script=XYZ, x_type="Steps", x_values="1, 2", keep_seeds=True)
    assert [cell.params.seed for cell in kept.cells] == [-1, -1]


@pytest.mark.parametrize(
    ("script", "field", "words"),
    [
        ({}, "x_type", "no axis"),
        ({"x_type": "Steps"}, "x_values", "no values"),
        ({"x_type": "Steps", "x_values": "many"}, "x_values", "whole number"),
        ({"y_type": "Steps", "y_values": "2000"}, "steps", "2000"),
        ({"z_type": "Prompt S/R", "z_values": "dog, cat"}, "z_values", "neither prompt"),
        ({"x_type": "Prompt order", "x_values": "a,b,c,d,e,f,g,h"}, "x_values", "orders"),
        ({"x_type": "SGM noise multiplier", "x_values": "1"}, "x_values", "neither True nor False"),
        ({"x_type": "Size", "x_values": "512"}, "x_values", "no size"),
        ({"x_type": "VAE", "x_values": "gone"}, "vae", "gone"),
        ({"x_type": "Seed", "x_values": "1-100", "y_type": "CFG Scale", "y_values": "1-30"}, "x_values", "3000 runs"),
    ],
)
def test_what_cannot_be_drawn_is_refused_before_it_waits(bench, script, field, words):
    with pytest.raises(ParameterError, match=words) as caught:
        plan_of(bench, script=XYZ, **script)
    assert caught.value.field == field
    assert not bench.drawn


def test_an_interrupted_plot_keeps_what_it_has_and_lays_it_out(bench):
    plan = plan_of(bench, script=XYZ, x_type="Steps", x_values="1, 2, 3")
    events = run(plan, bench, ask=lambda e: Request.INTERRUPT if isinstance(e, ImageDone) and e.index == 1 else None)
    assert len(bench.drawn) == 2
    assert [type(event) for event in events[-2:]] == [Status, GridDone]
    none = run(plan, bench, ask=lambda e: Request.INTERRUPT if isinstance(e, Sampled) else None)
    assert len(none) == 1


def test_batches_show_their_first_picture_on_the_sheet(bench):
    form = Txt2ImgParams(prompt="a cat", seed=3, batch_count=2, width=64, height=64, steps=1)
    plan = plan_of(bench, form, script=XYZ, x_type="CFG Scale", x_values="1, 2", draw_legend=False)
    events = run(plan, bench)
    assert plan.pictures == len(of(events, ImageDone)) == 4
    assert [event.index for event in of(events, ImageDone)] == [0, 1, 2, 3]
    sheet = images.open_image(of(events, GridDone)[0].path)
    assert sheet.size == (128, 64)
    assert [sheet.getpixel((x, 5)) for x in (5, 69)] == [(1, 0, 0), (2, 0, 0)]


# --- prompt matrix ----------------------------------------------------------------------------------------------------


def test_a_matrix_combines_the_parts(bench):
    form = Txt2ImgParams(prompt="a cat|oil|snow", seed=7, width=64, height=64, steps=1)
    plan = plan_of(bench, form, script=MATRIX)
    assert [cell.params.prompt for cell in plan.cells] == ["a cat", "a cat, oil", "a cat, snow", "a cat, oil, snow"]
    assert {cell.params.seed for cell in plan.cells} == {7}
    assert plan.table is not None
    assert [(label.lines, label.pale) for label in plan.table.columns] == [(("oil",), (True,)), (("oil",), (False,))]
    events = run(plan, bench)
    assert of(events, GridDone)[0].path.name == "prompt_matrix-0000.png"


def test_a_matrix_as_it_is_wanted(bench):
    form = Txt2ImgParams(prompt="cat", negative_prompt="bad|ugly", seed=7, batch_size=2, width=64, height=64)
    options = {"vary_negative": True, "put_at_start": True, "space_between": True, "different_seeds": True}
    plan = plan_of(bench, form, script=MATRIX, **options)
    assert [(cell.params.negative_prompt, cell.params.seed) for cell in plan.cells] == [("bad", 7), ("ugly bad", 9)]
    with pytest.raises(ParameterError, match="nothing to combine"):
        plan_of(bench, form, script=MATRIX)
    with pytest.raises(ParameterError, match="combinations"):
        plan_of(bench, Txt2ImgParams(prompt="|".join("abcdefghijkl")), script=MATRIX)


# --- prompts from lines -----------------------------------------------------------------------------------------------


def test_each_line_is_a_run(bench):
    lines = 'a dog\n\n--prompt "a, lion" --steps 9 --cfg_scale 4.5 --sampler_name "Euler a" --n_iter 2\n'
    lines += "--prompt a -- b --negative_prompt so bad --width 128 --restore_faces true\na -- b"
    with pytest.raises(ParameterError, match="Line 4: there is no flag -- here"):
        plan_of(bench, script=LINES, prompt_lines=lines)
    plan = plan_of(bench, script=LINES, prompt_lines=lines.replace("a -- b --neg", "a b --neg"))
    made = [cell.params for cell in plan.cells]
    assert [one.prompt for one in made] == ["a dog", "a, lion", "a b", "a -- b"]
    assert (made[1].steps, made[1].cfg_scale, made[1].sampler, made[1].batch_count) == (9, 4.5, "Euler a", 2)
    assert (made[2].negative_prompt, made[2].width, made[0].negative_prompt) == ("so bad", 128, "bad")
    assert not of(run(plan, bench), GridDone)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--prompt a --steps many", "Line 1: --steps 'many' is no number"),
        ("--prompt a --steps 5000", "Line 1: Sampling steps 5000 lies outside"),
        ("--prompt a --tiling maybe", "true or false"),
        ("--prompt a --power 9", "no flag --power"),
        ("--steps", "no value"),
        ("", "no prompts"),
    ],
)
def test_lines_that_cannot_be_used_are_named(bench, line, words):
    with pytest.raises(ParameterError, match=words) as caught:
        plan_of(bench, script=LINES, prompt_lines=line)
    assert caught.value.field == "prompt_lines"


def test_seeds_of_lines(bench):
    form = Txt2ImgParams(prompt="oil", seed=5, batch_size=2, width=64, height=64)
    plan = plan_of(bench, form, script=LINES, prompt_lines="a\nb", iterate_seeds=True, prompt_position="end")
    assert [(cell.params.prompt, cell.params.seed) for cell in plan.cells] == [("oil a", 5), ("oil b", 7)]
    random = Txt2ImgParams(width=64, height=64)
    same = plan_of(bench, random, script=LINES, prompt_lines="a\nb", same_seed=True)
    assert same.cells[0].params.seed == same.cells[1].params.seed >= 0
    own = plan_of(bench, random, script=LINES, prompt_lines="a\nb")
    assert [cell.params.seed for cell in own.cells] == [-1, -1]
