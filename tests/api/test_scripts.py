"""Scripts as programs ask for them: by name, with arguments by position."""

from typing import Any

import pytest

from modules.api.scripts import AXIS_CHOICES, read
from modules.infotext import parse_infotext
from modules.script_params import AXES, LINES, MATRIX, XYZ, ScriptParams
from tests.api.serving import SMALL, Served, image, info, sentence

STEPS, SEED = AXIS_CHOICES.index("Steps"), AXIS_CHOICES.index("Seed")


def params(name: str, args: list[Any]) -> ScriptParams:
    asked = read(name, args)
    assert asked is not None
    return asked


def test_what_there_is(served: Served) -> None:
    names = ["prompt matrix", "prompts from file or textbox", "x/y/z plot"]
    assert served.get("scripts").json() == {"txt2img": names, "img2img": []}
    told = {script["name"]: script for script in served.get("script-info").json()}
    assert list(told) == names
    plot = told["x/y/z plot"]["args"]
    assert len(plot) == 18
    assert [argument["label"] for argument in plot[:4]] == ["X type", "X values", "X values", "Y type"]
    assert plot[0]["choices"][:8] == [
        "Nothing", "Seed", "Var. seed", "Var. strength", "Steps", "Hires steps", "CFG Scale", "Prompt S/R"
    ]  # fmt: skip
    assert set(told["prompt matrix"]["args"][4]) == {"label", "value", "minimum", "maximum", "step", "choices"}


def test_every_axis_that_is_here_can_be_named() -> None:
    for axis in AXES:
        assert params(XYZ, [axis, "1"]).x_type == axis
        assert params(XYZ, [axis.upper(), "1"]).x_type == axis
    assert params(XYZ, [AXIS_CHOICES.index("RNG source"), "CPU"]).x_type == "RNG"


def test_a_plot(served: Served) -> None:
    """Costly axes change slowest; the pictures come by their place on the sheet nevertheless."""
    args = ["VAE", "Automatic, None", [], SEED, "5, 9", "", 0, "", [], True, True, False, False]
    answer = served.post("txt2img", {**SMALL, "script_name": "X/Y/Z Plot", "script_args": args})
    assert answer.status_code == 200, answer.text
    told, pictures = info(answer), [image(one) for one in answer.json()["images"]]
    assert told["index_of_first_image"] == 1
    assert len(pictures) == len(told["infotexts"]) == 5
    assert pictures[0].width > pictures[1].width == 64
    assert told["all_seeds"] == [5, 5, 9, 9]
    assert [parse_infotext(text)["Seed"] for text in told["infotexts"][1:]] == ["5", "5", "9", "9"]
    sheet = parse_infotext(told["infotexts"][0])
    assert (sheet["Script"], sheet["X Type"], sheet["Y Values"]) == (XYZ, "VAE", "5, 9")
    assert pictures[0].text["parameters"] == told["infotexts"][0]  # type: ignore[attr-defined]


def test_a_plot_answers_with_its_sheet_alone_unless_told_otherwise(served: Served) -> None:
    args = [STEPS, "1,2", "", 0, "", "", SEED, "1, 2", "", False]
    body = {**SMALL, "script_name": XYZ, "script_args": args}
    answer = served.post("txt2img", body)
    assert (len(answer.json()["images"]), info(answer)["index_of_first_image"]) == (1, 1)
    with_parts = [*args, False, True]
    parts = [image(one) for one in served.post("txt2img", {**body, "script_args": with_parts}).json()["images"]]
    assert len(parts) == 3, "the whole first, then one for each Z"
    assert parts[0].height > parts[1].height == parts[2].height


def files(served: Served) -> list[str]:
    return sorted(path.name for path in served.app.paths.outputs.rglob("*.png"))


def test_what_is_saved_of_a_script(served: Served) -> None:
    """The answer is the same; sheet and pictures are kept as the request says, and as the settings do."""
    plot = {**SMALL, "script_name": XYZ, "script_args": [SEED, "5, 9", "", 0, "", "", 0, "", "", False, True]}
    matrix = {**SMALL, "prompt": "a cat|oil", "script_name": MATRIX, "script_args": [], "save_images": True}

    def saved(body: dict[str, Any], **more: Any) -> list[str]:
        before = files(served)
        answer = served.post("txt2img", {**body, **more})
        assert len(answer.json()["images"]) == 3, answer.text
        return [name.rsplit("-", 1)[0] for name in files(served) if name not in before]

    kept = {"save_images": True}
    assert saved(plot) == []
    assert saved(plot, **kept) == ["00000", "00001", "xyz_grid"]
    assert saved(plot, **kept, do_not_save_grid=True) == ["00002", "00003"]
    assert saved(plot, **kept, do_not_save_samples=True) == ["xyz_grid"]
    assert saved(plot, **kept, override_settings={"grid_save": False}) == ["00004", "00005"]
    assert saved(matrix, do_not_save_grid=True) == ["00006", "00007"]
    assert saved(matrix) == ["00008", "00009", "prompt_matrix"]


def test_seeds_vary_along_the_axes_that_say_so(served: Served) -> None:
    args = [STEPS, "1,2", "", "CFG Scale", "5,7", "", 0, "", "", False, True, False, False, True, True, False, 0, False]
    told = info(served.post("txt2img", {**SMALL, "seed": 10, "script_name": XYZ, "script_args": args}))
    assert told["all_seeds"] == [10, 11, 12, 13]


def test_a_prompt_matrix(served: Served) -> None:
    body = {
        **SMALL,
        "prompt": "a cat|oil|snow",
        "script_name": MATRIX,
        "script_args": [True, False, "positive", "space"],
    }
    told = info(served.post("txt2img", body))
    assert told["all_prompts"] == ["a cat", "oil a cat", "snow a cat", "oil snow a cat"]
    assert told["index_of_first_image"] == 1


def test_prompts_from_a_text(served: Served) -> None:
    text = "a dog\n--prompt 'a bird' --steps 1"
    body = {**SMALL, "prompt": "oil", "script_name": LINES, "script_args": [True, False, "start", text]}
    told = info(served.post("txt2img", body))
    assert told["all_prompts"] == ["a dog oil", "a bird oil"]
    assert (told["all_seeds"], told["index_of_first_image"]) == ([1, 2], 0)


def test_another_checkpoint_and_settings_hold_for_a_script_too(served: Served) -> None:
    override = {"sd_model_checkpoint": "two", "CLIP_stop_at_last_layers": 2}
    body = {**SMALL, "script_name": LINES, "script_args": [False, False, "none", "a\nb"], "override_settings": override}
    told = info(served.post("txt2img", body))
    assert (told["sd_model_name"], told["clip_skip"]) == ("two", 2)
    assert served.app.model_state.checkpoint.startswith("one")


@pytest.mark.parametrize(
    ("name", "older", "now"),
    [
        (LINES, [True, False, "a\nb"], [True, False, "none", "a\nb"]),
        (XYZ, [1, "1", "", *[0, "", ""] * 2, True, False, False, True, 4],
         [1, "1", [], *[0, "", []] * 2, True, False, False, True, False, False, False, 4, False]),
        (XYZ, ["Sampler", "", ["Euler", "DDIM"]], ["Sampler", "Euler,DDIM"]),
        (XYZ, ["Sampler", "LMS", ["Euler", "DDIM"], *[0, "", ""] * 2, *[False] * 7, 0, True], ["Sampler", "LMS"]),
    ],
    ids=["lines 1.6", "plot 1.6", "choices", "csv mode"],
)  # fmt: skip
def test_arguments_of_older_versions_and_lists_of_choices(name: str, older: list[Any], now: list[Any]) -> None:
    first, second = params(name, older), params(name, now)
    keys = ("prompt_lines", "prompt_position", "x_type", "x_values", "margin_size", "keep_seeds")
    assert [getattr(first, key) for key in keys] == [getattr(second, key) for key in keys]


@pytest.mark.parametrize(
    ("name", "args", "words"),
    [
        ("no such", [], "no script 'no such'"),
        (XYZ, [], "no axis"),
        (XYZ, [99, "1"], "no axis 99"),
        (XYZ, ["FP8 mode", "x"], "“FP8 mode” is not there yet"),
        (XYZ, ["Refiner checkpoint", "no such"], "no such"),
        (XYZ, [True, "1"], "no axis True"),
        (XYZ, ["Steps", 5], "X values are a text"),
        (XYZ, ["Steps", "many"], "many"),
        (XYZ, ["Steps", "", [1]], "list of texts"),
        (XYZ, ["Steps", "1001"], "teps"),
        (XYZ, [1] * 19, "has 18"),
        (MATRIX, ["perhaps"], "true or false"),
        (MATRIX, [False, False, "both"], "neither positive nor negative"),
        (MATRIX, [False, False, "positive", "comma", 1.5], "whole number"),
        (MATRIX, [], "nothing to combine"),
        (LINES, [False, False, "middle", "a"], "neither start nor end"),
        (LINES, [False, False, "start", 3], "one text"),
        (LINES, [], "no prompts"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_a_sentence(served: Served, name: str, args: list[Any], words: str) -> None:
    answer = served.post("txt2img", {**SMALL, "script_name": name, "script_args": args})
    assert answer.status_code == 422
    assert words in sentence(answer)
