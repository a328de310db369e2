"""Names of pictures and folders from patterns."""

import hashlib
import re
import time
from pathlib import Path

import pytest
from PIL import Image

from modules import images
from modules.generation.naming import LONGEST, Naming, Turn
from modules.generation.outputs import OutputFolder
from modules.infotext import storable
from modules.styles import Style

INFOTEXT = """a red cat, (sitting: on) a "mat", under the old oak tree by day
Negative prompt: blurry
Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.5, Seed: 42, Size: 68x64, Model hash: c0c0c0c0c0, \
Model: cosy, Denoising strength: 0.7, Clip skip: 2, Version: v1.10.1"""
PROMPT = INFOTEXT.partition("\n")[0]
PICTURE = Image.new("RGB", (64, 32), "red")
TURN = Turn(5, 8, 4, (37, 44), 1_700_000_000.0)


def named(pattern: str, infotext: str = INFOTEXT, turn: Turn = TURN) -> str:
    return Naming(pattern).picture(infotext, PICTURE, turn)


def digest(content: str | bytes, digits: int = 8) -> str:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()[:digits]


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("[seed]", "42"),
        ("[seed_first]-[seed_last]", "37-44"),
        ("[steps] [cfg] [width]x[height]", "20 7.5 64x32"),
        ("[sampler]", "DPM++ 2M"),
        ("[sampler_scheduler]", "DPM++ 2M Karras"),
        ("[scheduler]", "Karras"),
        ("[model_hash]-[model_name]", "c0c0c0c0c0-cosy"),
        ("[vae_filename]", "None"),
        ("[prompt_spaces]", "a red cat, (sitting_ on) a _mat_, under the old oak tree by day"),
        ("[prompt]", "a_red_cat,_(sitting__on)_a__mat_,_under_the_old_oak_tree_by_day"),
        ("[prompt_words]", "a red cat sitting on a mat under"),
        ("[prompt_hash]", digest(PROMPT)),
        ("[prompt_hash<12>]", digest(PROMPT, 12)),
        ("[negative_prompt_hash<4>]", digest("blurry", 4)),
        ("[full_prompt_hash]", digest(f"{PROMPT} blurry")),
        ("[image_hash]", digest(PICTURE.tobytes())),
        ("[hasprompt<CAT|no cat><dog|no dog>]", "CATno dog"),
        ("[clip_skip] [denoising]", "2 0.7"),
        ("[batch_number] of [batch_size], [generation_number]", "2 of 4, 6"),
        ("[basename]", ""),
        ("[user]-[seed]", "-42"),
        ("[none]", ""),
        ("x-[none]", ""),
        ("cat [seed] [unknown] [Seed] []", "cat 42 [unknown] [Seed] []"),
        ("  spaced [seed]. ", "spaced 42"),
        ("a/b:[seed]", "a_b_42"),
    ],
)  # fmt: skip
def test_parts_of_a_pattern(pattern: str, name: str) -> None:
    assert named(pattern) == name


def test_numbers_of_a_run_say_nothing_of_a_single_picture() -> None:
    assert named("[seed]-[batch_number]-[generation_number]", turn=Turn()) == "42"
    assert named("[seed_first]", turn=Turn()) == "42"


def test_styles_and_the_prompt_before_them() -> None:
    styles = (Style("Old oak", "{prompt}, under the old oak tree"), Style("Day/light", "by day"), Style("Minus", ""))
    prompt = INFOTEXT.replace("oak tree by day", "oak tree, by day")
    naming = Naming("[styles]-[prompt_no_styles]", styles=styles)
    assert naming.picture(prompt, PICTURE, TURN) == "Old oak, Day_light, Minus-a red cat, (sitting_ on) a _mat_"
    assert named("[styles]-[prompt_words]").startswith("None-a red")


def test_times() -> None:
    assert named("[job_timestamp]") == time.strftime("%Y%m%d%H%M%S", time.localtime(TURN.started))
    for pattern, form in (
        ("[date]", r"\d{4}-\d\d-\d\d"),
        ("[datetime]", r"\d{14}"),
        ("[datetime<%Y_%m>]", r"\d{4}_\d\d"),
        ("[datetime<%H-%Z><UTC>]", r"\d\d-UTC"),
        ("[datetime<%Y><No/Such>]", r"\d{4}"),
    ):
        assert re.fullmatch(form, named(pattern)), pattern


@pytest.mark.parametrize(
    "prompt",
    ["../../etc/passwd", "..", "...", "C:\\out", "con", "NUL.txt", "a\0b", "\ud800", "💥" * 300, "x" * 500, ". .", "/",
     "{:05}{0}{", "\u202egnp"],
)  # fmt: skip
@pytest.mark.parametrize("numbered", [True, False])
def test_no_prompt_leads_out_of_the_folder(tmp_path: Path, prompt: str, numbered: bool) -> None:
    naming = Naming("[prompt_spaces]", "[prompt]/[prompt_words]/..", numbered)
    folder = OutputFolder(tmp_path / "pictures", tmp_path / "grids", naming=naming)
    infotext = f"{storable(prompt)}\nSteps: 1, Sampler: Euler, Seed: 1"
    paths = {folder.save_picture(PICTURE, infotext, Turn()).path for _ in range(2)}
    assert len(paths) == 2, "nothing is written over"
    for path in paths:
        assert path.resolve().is_relative_to((tmp_path / "pictures").resolve())
        assert len(path.name.encode()) <= LONGEST + 20
        assert not path.name.startswith(".")
        assert images.read_infotext(path) == infotext.strip()


def test_folders_of_folders(tmp_path: Path) -> None:
    for pattern, below in (
        ("[model_name]/[steps]", "cosy/20"),
        ("[model_name]\\[none]//[seed]", "cosy/42"),
        ("../..", ""),
        ("[none]", ""),
    ):
        found = Naming(folders=pattern).folder(tmp_path, INFOTEXT, PICTURE, TURN)
        assert found == tmp_path / below, pattern


def test_numbered_or_not(tmp_path: Path) -> None:
    def saved(naming: Naming, **more: bool) -> str:
        folder = OutputFolder(tmp_path, tmp_path, sorted=False, grids_sorted=False, naming=naming)
        return folder.save_picture(PICTURE, INFOTEXT, TURN, **more).path.name

    plain = Naming("[seed]", numbered=False)
    assert [saved(plain) for _ in range(3)] == ["42.png", "42-1.png", "42-2.png"]
    assert saved(plain, incomplete=True) == "42-incomplete.png"
    assert saved(Naming("[none]", numbered=False)) == "00043.png"
    assert saved(Naming("{}[steps]")) == "00044-{}20.png"
    folder = OutputFolder(tmp_path, tmp_path, sorted=False, grids_sorted=False, naming=plain)
    assert folder.save_before(PICTURE, INFOTEXT, TURN).path.name == "42-before-highres-fix.png"


def test_overviews_may_tell_seed_and_prompt(tmp_path: Path) -> None:
    folder = OutputFolder(tmp_path, tmp_path, grids_sorted=False, naming=Naming(long_grids=True))
    name = "grid-0000-42-a red cat, (sitting_ on) a _mat_, under the old oak tree by day.png"
    assert folder.save_sheet(PICTURE, "grid", INFOTEXT).path.name == name
    plain = OutputFolder(tmp_path, tmp_path, grids_sorted=False)
    assert plain.save_sheet(PICTURE, "grid", "").path.name == "grid-0001.png"
