"""The form of step ②: A1111's ids, values as the page sends them, titles that say what is set."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import gradio as gr
import pytest
from PIL import Image

from modules.errors import ParameterError
from modules.model_state import Advice, ModelState, ModelStatus
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
    refused = wiring.open(str(tmp_path / "nowhere"), "", "", shown, "")
    assert "does not exist" in refused[wiring.step.status], "told at once"

    def opened(folder: Path) -> tuple[int, int]:
        wiring.open(str(folder), "", "", shown, "")
        return wiring.desk.albums.open(folder).album.params.size

    assert opened(folders[0]) == (128, 192)
    assert not shown.said.words
    models.state = ModelState(ModelStatus.READY, "", "sd2", "cpu", (768, 768))
    assert opened(folders[1]) == (768, 768)
    models.state = ModelState(ModelStatus.FAILED, "There is no model.")
    assert wiring.look("", shown, "")[wiring.outputs["group size"]]["label"] == "Size: 512×512"
    assert opened(folders[2]) == (512, 512)
    assert opened(folders[0]) == (128, 192)
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
    refused = wiring.open("", "", "", shown, "")[wiring.step.status]
    assert "No folder is named" in refused
    late = wiring.look_again("", shown, "")
    assert late[wiring.step.status] == refused
    assert wiring.look_again("", late[wiring.shown], "")[wiring.step.status] == refused, "it stays"
