"""The form of step ②: A1111's ids, values as the page sends them, titles that say what is set."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import pytest
from PIL import Image

from modules.errors import ParameterError
from modules.model_state import Advice, ModelState, ModelStatus
from modules.preprocess.albums import FRESH, Albums
from modules.preprocess_params import PreprocessParams
from modules.ui.train import photos
from modules.ui.train import photos_form as form
from modules.ui.train.context import TrainContext
from modules.ui.train.photos import Shown
from tests.ui.stand_in import StandIn

NAMES = [field.name for field in dataclasses.fields(PreprocessParams)]


def test_ids_are_those_that_scripts_know_and_no_two_alike() -> None:
    ids = {name: form.element_id(name) for name in NAMES}
    assert len(set(ids.values())) == len(ids)
    expected = {
        "source": "train_process_src",
        "destination": "train_process_dst",
        "width": "train_process_width",
        "height": "train_process_height",
        "flip": "train_process_flip",
        "split": "train_process_split",
        "focal_crop": "train_process_focal_crop",
        "auto_sized_crop": "train_process_multicrop",
        "blip": "train_process_caption",
        "caption_action": "train_preprocess_txt_action",
    }
    assert {name: ids[name] for name in expected} == expected


def test_what_is_shown_comes_back() -> None:
    params = PreprocessParams("/photos", "/ready", 640, 384, flip=True, split=True, split_threshold=0.25)
    sent = form.shown_values(params) | {"width": 640.0, "area_upper": 409600.0}
    assert form.to_params(sent) == params
    assert form.to_params({"source": None}).source == ""


@pytest.mark.parametrize(
    ("field", "value"),
    [("width", 513), ("width", None), ("width", "512"), ("height", float("nan")), ("flip", 1), ("caption_action", "x")],
)
def test_what_cannot_be_used_names_its_field(field: str, value: object) -> None:
    with pytest.raises(ParameterError) as refused:
        form.to_params({field: value})
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("name", "width", "height"), [("1:1 square", 512, 512), ("2:3 upright", 512, 768), ("16:9 wide", 1024, 576)]
)
def test_the_height_follows_a_ratio(name: str, width: int, height: int) -> None:
    assert form.height_for(name, width) == height
    assert form.ratio_of(width, height) == name


def test_a_ratio_keeps_to_the_grid_and_the_range() -> None:
    assert form.height_for("3:2 wide", 512) == 344
    assert form.height_for("2:3 upright", 2048) == 2048
    assert form.height_for(form.FREE, 512) is None
    assert form.ratio_of(512, 344) == form.FREE


def test_titles_say_what_is_set_inside() -> None:
    titles = form.group_titles(PreprocessParams(width=640, focal_crop=True, flip=True, split=True, blip=True))
    assert titles == {
        "size": "Size: 640×512",
        "crop": "Crop: around what matters most",
        "tools": "More tools: split, flipped copies",
        "blip": "Captions by BLIP: when written",
    }
    assert form.group_titles(PreprocessParams())["tools"] == "More tools: off"


def sent(**values: object) -> dict[str, Any]:
    """All controls as the page sends them."""
    return {**form.shown_values(FRESH), **values}


def make_wiring(tmp_path: Path) -> photos._Wiring:
    context = SimpleNamespace(app=StandIn(tmp_path / "data"), choice=gr.Textbox(), change=gr.Textbox())
    return photos._Wiring(photos.make_step(), cast(TrainContext, context))


def test_a_look_that_begins_before_the_page_is_opened_forgets_nothing(tmp_path: Path) -> None:
    """It ends later, and its answer would be that no folder is open."""
    with gr.Blocks():
        wiring = make_wiring(tmp_path)
    early = wiring.look_again("", Shown(), "")
    assert not {wiring.shown, wiring.step.source, wiring.step.remembered} & {*early}
    opened = wiring.open_page("", "", Shown(), "")
    assert wiring.shown in wiring.look_again("", opened[wiring.shown], "")


def test_a_folder_opened_while_the_model_is_being_loaded_gets_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which is kept with the folder: a size that is taken because none is known would stay."""
    photo = Image.new("RGB", (300, 300))
    folders = [tmp_path / name for name in ("early", "late", "without a model")]
    for folder in folders:
        folder.mkdir()
        photo.save(folder / "a.png")
    with gr.Blocks():
        wiring = make_wiring(tmp_path)
    models = wiring.context.app.models
    assert models.state.status is ModelStatus.LOADING
    page = wiring.open_page("", "", Shown(), "")
    shown = page[wiring.shown]
    assert page[wiring.outputs["group size"]]["label"] == form.SIZE_OF_MODEL

    def advice() -> Advice:
        assert "still being loaded" in wiring.look_again("", shown, "")[wiring.step.status]
        return Advice((128, 192))

    monkeypatch.setattr(models, "advice", advice)
    refused = wiring.open("", "", shown, "", **sent(source=str(tmp_path / "nowhere")))
    assert "does not exist" in refused[wiring.step.status], "told at once"

    def opened(folder: Path) -> tuple[int, int]:
        wiring.open("", "", shown, "", **sent(source=str(folder)))
        return wiring.desk.albums.open(folder).album.params.size

    assert opened(folders[0]) == (128, 192)
    assert not shown.said.words
    models.state = ModelState(ModelStatus.READY, "", "sd2", "cpu", (768, 768))
    assert opened(folders[1]) == (768, 768)
    models.state = ModelState(ModelStatus.FAILED, "There is no model.")
    assert wiring.look("", shown, "")[wiring.outputs["group size"]]["label"] == "Size: 512×512"
    assert opened(folders[2]) == (512, 512)
    models.state = ModelState(ModelStatus.LOADING)
    monkeypatch.setattr(models, "advice", lambda: pytest.fail("a folder that is known waits for no model"))
    wiring.desk.albums = Albums(wiring.desk.albums.root)  # as after a restart
    assert opened(folders[0]) == (128, 192)
    assert wiring.context.app.stop()


def test_no_size_is_named_before_the_model_is_known(tmp_path: Path) -> None:
    with gr.Blocks():
        wiring = make_wiring(tmp_path)
    step, models = wiring.step, wiring.context.app.models
    page = wiring.open_page("", "", Shown(), "")
    assert page[step.parts["size"]]["visible"] is False
    assert "its size stands here" in page[step.size_later]
    assert not {step.controls["width"], step.controls["height"]} & {*page}
    flipped = wiring.change("", "", page[wiring.shown], "", **sent(flip=True))
    assert flipped[step.groups["tools"]]["label"] == "More tools: flipped copies"
    models.state = ModelState(ModelStatus.READY, "", "sd2", "cpu", (768, 640))
    known = wiring.look("", flipped[wiring.shown], "")
    assert known[step.parts["size"]]["visible"] is True
    assert not known[step.size_later]
    assert (known[step.controls["width"]], known[step.controls["height"]]) == (768, 640)
    assert not {step.controls[name] for name in ("source", "destination", "flip")} & {*known}, "somebody may type there"


def test_a_size_that_is_still_under_way_to_the_page_was_not_set_by_hand(tmp_path: Path) -> None:
    """The server knows what it told as soon as it has; a hand may be faster than its answer."""
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (300, 300)).save(tmp_path / "photos" / "a.png")
    with gr.Blocks():
        wiring = make_wiring(tmp_path)
    models, told = wiring.context.app.models, wiring.step.size_told
    page = wiring.open_page("", "", Shown(), "")
    assert (told.value, page.get(told)) == ("[512, 512]", "[512, 512]")
    models.state = ModelState(ModelStatus.READY, "", "demo", "cpu", (128, 128))
    known = wiring.look("", page[wiring.shown], "")
    assert known[told] == "[128, 128]"
    form_now = sent(source=str(tmp_path / "photos"), width=512, height=512)
    wiring.open("", "", known[wiring.shown], "", size_told="[512, 512]", **form_now)
    assert wiring.desk.albums.open(tmp_path / "photos").album.params.size == (128, 128)
    chosen = wiring.change("", "", known[wiring.shown], "", size_told="[128, 128]", **form_now)
    assert chosen[wiring.step.groups["size"]]["label"] == "Size: 512×512", "this page knew of another one"


def test_what_is_set_before_a_folder_is_open_is_kept_with_the_one_that_is_opened(tmp_path: Path) -> None:
    for name in ("first", "second", "third"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (300, 300)).save(tmp_path / name / "a.png")
    with gr.Blocks():
        wiring = make_wiring(tmp_path)
    models = wiring.context.app.models
    models.state = ModelState(ModelStatus.READY, "", "demo", "cpu", (128, 128))
    shown = wiring.open_page("", "", Shown(), "")[wiring.shown]
    form_now = sent(width=128, height=128)
    refused = wiring.change("", "", shown, "", **{**form_now, "width": 131})
    assert "not a multiple of 8" in refused[wiring.step.status]
    form_now |= {"height": 192.0, "split": True}
    chosen = wiring.change("", "", refused[wiring.shown], "", **form_now)
    assert chosen[wiring.step.groups["size"]]["label"] == "Size: 128×192"
    assert chosen[wiring.step.parts["split"]]["visible"] is True
    assert chosen[wiring.step.ratio] == "2:3 upright"
    models.state = ModelState(ModelStatus.LOADING, "another")
    waiting = wiring.look("", chosen[wiring.shown], "")
    assert wiring.step.groups["size"] not in waiting
    form_now |= {"source": str(tmp_path / "first"), "destination": str(tmp_path / "ready")}  # not left: no event yet
    opened = wiring.open("", "", waiting[wiring.shown], "", **form_now)
    late = wiring.look("", waiting[wiring.shown], "")  # began before, and its answer comes last
    assert not {wiring.step.groups["size"], *(wiring.step.controls[name] for name in ("width", "split"))} & {*late}
    album = wiring.desk.albums.open(tmp_path / "first").album
    assert (album.params.size, album.params.split) == ((128, 192), True)
    assert album.destination == tmp_path / "ready"

    models.state = ModelState(ModelStatus.READY, "", "sd2", "cpu", (768, 768))
    shown, first = opened[wiring.shown], str(tmp_path / "first")
    form_now |= {"source": str(tmp_path / "second")}
    shown = wiring.open("", first, shown, "", **form_now)[wiring.shown]
    assert wiring.desk.albums.open(tmp_path / "second").album.params.size == (768, 768), "looked at, it has its own"
    form_now |= {"source": str(tmp_path / "third")}
    wiring.write("", first, shown, "", **form_now)
    third = wiring.desk.albums.open(tmp_path / "third").album
    assert third.params.size == (128, 192), "written at once, it is written as the form says"
    assert third.destination == tmp_path / "third" / "preprocess", "but not among the pictures of the first"
    assert wiring.context.app.stop()


def test_every_look_says_how_things_stand(tmp_path: Path) -> None:
    """The page may show another status than its state says, if two looks overlapped."""
    with gr.Blocks():
        wiring = make_wiring(tmp_path)
    shown = wiring.open_page("", "", Shown(), "")[wiring.shown]
    assert {wiring.step.status, wiring.step.interrupt} <= {*wiring.look_again("", shown, "")}


def test_a_look_that_began_before_a_click_does_not_take_back_what_it_said(tmp_path: Path) -> None:
    """It has the state from before the click, and its answer comes last."""
    with gr.Blocks():
        wiring = make_wiring(tmp_path)
    shown = wiring.open_page("", "", Shown(), "")[wiring.shown]
    refused = wiring.open("", "", shown, "", **sent())[wiring.step.status]
    assert "No folder is named" in refused
    late = wiring.look_again("", shown, "")
    assert late[wiring.step.status] == refused
    assert wiring.look_again("", late[wiring.shown], "")[wiring.step.status] == refused, "it stays"
