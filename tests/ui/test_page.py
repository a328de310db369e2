"""The page as it is built: ids, labels, ranges, what it imports, and that no event waits in Gradio's queue."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from modules import params
from modules.paths import PROGRAM
from modules.ui import assets, form
from modules.ui.page import make_page
from tests.ui.stand_in import StandIn

A1111_IDS = (
    "setting_sd_model_checkpoint refresh_sd_model_checkpoint txt2img_prompt txt2img_neg_prompt txt2img_token_counter "
    "txt2img_negative_token_counter txt2img_generate txt2img_interrupt txt2img_skip txt2img_sampling txt2img_scheduler "
    "txt2img_steps txt2img_width txt2img_height txt2img_res_switch_btn txt2img_batch_count txt2img_batch_size "
    "txt2img_cfg_scale txt2img_seed txt2img_random_seed txt2img_reuse_seed txt2img_gallery html_info_txt2img "
    "html_log_txt2img txt2img_hr txt2img_subseed txt2img_subseed_strength txt2img_random_subseed txt2img_styles "
    "txt2img_hr_upscaler txt2img_hr_scale txt2img_denoising_strength txt2img_hr_resize_x setting_sd_vae "
    "setting_CLIP_stop_at_last_layers train_new_embedding_name train_initialization_text train_nvpt "
    "train_overwrite_old_embedding train_create_embedding train_embedding train_embedding_learn_rate train_steps "
    "train_dataset_directory train_template_file train_preview_from_txt2img train_train_embedding "
    "train_interrupt_training ti_output ti_gallery ti_progress ti_error"
).split()


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return dict(make_page(StandIn(tmp_path_factory.mktemp("data"))).get_config_file())


@pytest.fixture(scope="module")
def by_id(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for component in config["components"]:
        if element := component["props"].get("elem_id"):
            assert element not in found, f"{element} stands twice in the page"
            found[element] = component
    return found


def test_ids_that_user_scripts_know(by_id: dict[str, dict[str, Any]]) -> None:
    assert not set(A1111_IDS) - set(by_id)


def test_controls_are_made_from_the_parameters(by_id: dict[str, dict[str, Any]]) -> None:
    for name in form.FIELDS:
        control, props = params.control(name), by_id[form.element_id(name)]["props"]
        assert props["label"] == control.label
        assert str(props.get("value") or "") == str(params.default(name) or "")
        if name in form.CHOICES:
            assert [value for _, value in props["choices"]] == form.CHOICES[name]
        elif name not in form.SEEDS and control.step is not None:
            limits = (props["minimum"], props["maximum"], props["step"])
            assert limits == (control.minimum, control.maximum, control.step)


def test_every_button_has_a_name(config: dict[str, Any]) -> None:
    buttons = [component for component in config["components"] if component["type"] == "button"]
    assert len(buttons) >= 7
    assert all(any(sign.isalpha() for sign in button["props"]["value"]) for button in buttons)


def test_no_event_waits_in_gradios_queue_or_is_offered_as_an_api(config: dict[str, Any]) -> None:
    assert len(config["dependencies"]) > 10
    for dependency in config["dependencies"]:
        assert dependency["queue"] is False
        assert dependency["api_visibility"] == "private"
        assert dependency["show_progress"] == "hidden"
        assert dependency["show_progress_on"] == []  # else each answer costs time for each output of the page


def test_no_tab_is_a_dead_end(config: dict[str, Any]) -> None:
    assert [item["props"]["label"] for item in config["components"] if item["type"] == "tabitem"] == [
        "txt2img",
        "Train",
        "PNG Info",
        "History",
        "Settings",
    ]


def test_ids_that_the_script_uses_exist(by_id: dict[str, dict[str, Any]]) -> None:
    script = assets.script()
    for element in ("txt2img_prompt", "txt2img_neg_prompt", "txt2img_generate", "txt2img_skip", "txt2img_interrupt"):
        assert element in script
        assert element in by_id


def test_only_the_browser_fills_the_form_when_the_page_opens(
    config: dict[str, Any], by_id: dict[str, dict[str, Any]]
) -> None:
    """The server does not know what was typed after it was asked."""
    controls = {by_id[form.element_id(field)]["id"] for field in form.FIELDS}
    opening = {e["id"]: e for e in config["dependencies"] if any(name == "load" for _, name in e["targets"])}
    [filling] = [e for e in config["dependencies"] if e["trigger_after"] in opening and controls <= set(e["outputs"])]
    assert not controls & set(opening[filling["trigger_after"]]["outputs"])
    assert not filling["backend_fn"]
    assert controls <= set(filling["inputs"]), "it sees what the form holds by then"


def test_page_and_server_come_without_torch(tmp_path: Path) -> None:
    program = f"""
import sys
from pathlib import Path
from modules.app import App
from modules.flags import Flags
from modules.settings import Settings
import webui
from modules.server import make_server
flags = Flags(data_dir=Path({str(tmp_path)!r}))
app = App(flags.paths(), Settings(), flags)
make_server(app)
from modules.ui import reading_panel
from modules.ui.screen import look
params = reading_panel.params_of(app, {{"prompt": "a (cat:1.2) [b|c]", "sampler": "Heun"}}, {{}})
reading_panel.panel(reading_panel.read(app, params), params)
look(app, "ann")
heavy = {{"torch", "diffusers", "transformers", "scipy", "cv2"}} & set(sys.modules)
sys.exit(f"imported: {{sorted(heavy)}}" if heavy else 0)
"""
    ended = subprocess.run([sys.executable, "-c", program], cwd=PROGRAM, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
