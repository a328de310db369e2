"""From `./webui.sh` in a clean clone to a picture in `outputs/`, as a user goes."""

import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from modules.images import read_infotext
from modules.infotext import parse_infotext
from tests.conftest import GENEROUS
from tests.e2e.conftest import Started
from tests.ui.corpus import HOSTILE

pytestmark = pytest.mark.browser

PROMPT = "portrait of a (smiling:1.3) woman with [red hair | blue hair], glasses"
HOSTILE_NAME = "<img src=x onerror=alert(1)>"
expect.set_options(timeout=GENEROUS)


@pytest.fixture(scope="module")
def started() -> list[Started]:
    """The program that the tests of this module share; it is started again only if one of them ended it."""
    return []


@pytest.fixture
def studio(start: Callable[..., Started], started: list[Started], tmp_path_factory: pytest.TempPathFactory) -> Started:
    if not started or started[-1].has_ended:
        data = tmp_path_factory.mktemp("my data")
        _no_tensors(data / "embeddings" / f"{HOSTILE_NAME}.pt")
        started.append(start(data))
    return started[-1]


def _no_tensors(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"no tensors in here")


@pytest.fixture
def ready(page: Page, studio: Started) -> Page:
    return open_page(page, studio)


def open_page(page: Page, studio: Started) -> Page:
    page.goto(studio.url)
    expect(page.locator("#txt2img_generate")).to_be_enabled()
    return page


def fill(page: Page, field: str, value: int) -> None:
    box = page.locator(f"#txt2img_{field} input[type=number]")
    box.fill(str(value))
    box.press("Tab")


def files(studio: Started) -> list[Path]:
    return sorted((studio.data / "outputs" / "txt2img-images").rglob("*.png"))


def test_weighted_prompt_becomes_a_picture(ready: Page, studio: Started) -> None:
    page = ready
    page.get_by_role("button", name="How this prompt is read").click()
    page.fill("#txt2img_prompt textarea", PROMPT)
    expect(page.locator("#txt2img_reading_panel .chip").nth(1)).to_have_text("smiling1.3")
    expect(page.locator("#txt2img_reading_panel .chip").nth(3)).to_have_text("red hair ⇄ blue hair")
    assert page.input_value("#txt2img_width input[type=number]") == "128"
    fill(page, "steps", 60)  # long enough for a busy browser to see it being drawn
    page.locator("#txt2img_prompt textarea").press("Control+Enter")
    expect(page.locator("#txt2img_stage img.live")).to_be_visible()
    expect(page.locator("#html_log_txt2img")).to_contain_text("Time taken")
    [path] = files(studio)
    expect(page.locator("#html_log_txt2img")).to_contain_text(str(path.relative_to(studio.data)))
    with Image.open(path) as image:
        assert image.size == (128, 128)
        assert len(image.convert("RGB").getcolors(128 * 128) or []) > 100  # a picture, not one colour
    text = read_infotext(path)
    assert page.inner_text("#html_info_txt2img .infotext").strip() == text.strip()
    values = parse_infotext(text)
    assert values["Prompt"] == PROMPT
    assert (str(values["Size-1"]), str(values["Size-2"])) == ("128", "128")
    assert path.stem.endswith(str(values["Seed"]))


def test_reload_in_mid_run_then_interrupt(ready: Page, studio: Started) -> None:
    page = ready
    before = files(studio)
    page.fill("#txt2img_prompt textarea", "portrait of a man")
    fill(page, "steps", 150)
    for side in ("width", "height"):
        fill(page, side, 256)  # the run must outlast the reload, on a busy machine too
    page.click("#txt2img_generate")
    expect(page.locator("#html_log_txt2img")).to_contain_text(re.compile(r"step \d+/150"))
    page.reload()
    page.wait_for_selector("#txt2img_prompt textarea")
    expect(page.locator("#html_log_txt2img")).to_contain_text(re.compile(r"step \d+/150"))
    expect(page.locator("#txt2img_prompt textarea")).to_have_value("portrait of a man")
    page.click("#txt2img_interrupt")
    expect(page.locator("#html_log_txt2img")).to_contain_text("Interrupted")
    [path] = set(files(studio)) - set(before)
    assert read_infotext(path).startswith("portrait of a man\nSteps: 150")
    for side in ("width", "height"):
        fill(page, side, 128)


def test_markup_never_acts(ready: Page, studio: Started) -> None:
    """W2: in prompts, in names of files, in infotext, in sentences. The page fixture fails on any dialog."""
    page = ready
    page.get_by_role("button", name="How this prompt is read").click()
    fill(page, "steps", 1)
    for text in HOSTILE[:2]:  # the page's own tests have them all
        page.fill("#txt2img_neg_prompt textarea", text)
        page.fill("#txt2img_prompt textarea", f"[{text}|x]")
        page.click("#txt2img_generate")
        expect(page.locator("#html_info_txt2img .infotext")).to_contain_text(f"[{text}|x]")
    _no_tensors(studio.data / "models" / "Stable-diffusion" / f"{HOSTILE_NAME}.safetensors")
    page.click("#refresh_sd_model_checkpoint")
    picker = page.locator("#setting_sd_model_checkpoint input")
    picker.click()
    page.get_by_role("option", name=HOSTILE_NAME).click()
    expect(page.locator("#device_line")).to_contain_text(HOSTILE_NAME)
    expect(picker).to_have_value(re.compile("demo-portraits"))  # the model in use stays
    assert page.evaluate("window.__xss") is None
    assert page.locator(".gradio-container img[src=x], .gradio-container iframe, .gradio-container mark").count() == 0
    page.click("#txt2img_generate")
    expect(page.locator("#html_log_txt2img")).to_contain_text("Time taken")


def test_three_browsers_get_their_own_pictures(studio: Started, browser: Browser) -> None:
    """L3 without training: nobody waits for another's page, and nothing is mixed up."""
    contexts = [browser.new_context() for _ in range(3)]
    pages = [context.new_page() for context in contexts]
    for number, page in enumerate(pages):
        open_page(page, studio)
        page.fill("#txt2img_prompt textarea", f"portrait number {number}")
        page.fill("#txt2img_seed input", str(1000 + number))
    for page in pages:
        fill(page, "steps", 4)
        expect(page.locator("#txt2img_steps input[type=number]")).to_have_value("4")
        page.click("#txt2img_generate")
    for number, page in enumerate(pages):
        expect(page.locator("#html_info_txt2img")).to_contain_text(f"portrait number {number}\nSteps: 4")
        expect(page.locator("#html_info_txt2img")).to_contain_text(f"Seed: {1000 + number}")
    for context in contexts:
        context.close()


def test_ctrl_c_while_the_model_loads(start: Callable[..., Started], tmp_path: Path) -> None:
    studio = start(tmp_path / "data")
    assert studio.end(signal.SIGINT) == 130
    assert "Traceback" not in "".join(studio.said)


def test_a_signal_in_mid_run_keeps_what_there_is(ready: Page, studio: Started) -> None:
    """The last of them: it ends the program that the others share."""
    page, before = ready, files(studio)
    fill(page, "steps", 150)
    page.click("#txt2img_generate")
    expect(page.locator("#html_log_txt2img")).to_contain_text(re.compile(r"step \d+/150"))
    assert studio.end(signal.SIGTERM) == 0
    assert "Traceback" not in "".join(studio.said)
    [path] = set(files(studio)) - set(before)
    assert "Steps: 150" in read_infotext(path)
    expect(page.locator("#server_gone")).to_contain_text("The server has stopped")
