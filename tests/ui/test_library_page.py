"""PNG Info, History and Settings in a real browser, drawn by the stand-in."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import Page, expect

from modules import images
from modules.infotext import build_infotext
from modules.params import Txt2ImgParams
from tests.conftest import GENEROUS
from tests.ui.conftest import Live
from tests.ui.looks import contrast
from tests.ui.test_browser import number, open_page

pytestmark = pytest.mark.browser

Serve = Callable[..., Live]
expect.set_options(timeout=GENEROUS)
THEIRS = (
    "a red fox\nNegative prompt: dog\nSteps: 31, Sampler: Euler a, Schedule type: Karras, CFG scale: 4.5, Seed: 77, "
    "Size: 192x256, Model hash: 1111111111, Model: elsewhere, Clip skip: 2, Lora hashes: \"detail: 0123456789ab\", "
    "Version: v1.10.1"
)  # fmt: skip


def picture(path: Path, infotext: str) -> Path:
    info = PngInfo()
    if infotext:
        info.add_text("parameters", infotext)
    Image.new("RGB", (32, 32), (200, 60, 40)).save(path, pnginfo=info)
    return path


def open_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()


def test_a_picture_of_another_program_fills_the_form_and_says_what_differs(
    page: Page, live: Live, tmp_path: Path
) -> None:
    open_page(page, live)
    open_tab(page, "PNG Info")
    chosen = page.locator("#png_info_file input[type=file]")
    chosen.set_input_files(picture(tmp_path / "theirs.png", THEIRS))
    answer = page.locator("#png_info_answer")
    expect(answer).to_contain_text("a red fox")
    expect(answer).to_contain_text("192×256")
    open_tab(page, "txt2img")
    page.fill("#txt2img_seed input", "abc")
    page.click("#txt2img_generate")
    complaint = page.locator("#txt2img_complaint")
    expect(complaint).to_contain_text("Seed “abc”")
    open_tab(page, "PNG Info")
    page.click("#png_info_send")
    expect(page.locator("#txt2img_prompt textarea")).to_have_value("a red fox")
    expect(page.locator("#txt2img_neg_prompt textarea")).to_have_value("dog")
    expect(complaint).to_have_text("")
    assert [number(page, field) for field in ("steps", "width", "height", "cfg_scale")] == ["31", "192", "256", "4.5"]
    report = page.locator("#txt2img_report")
    expect(report).to_contain_text("“elsewhere” [1111111111]")
    expect(report).to_contain_text("detail")
    report.get_by_role("button", name="Close").click()
    expect(report.locator(".report")).to_have_count(0)
    page.reload()
    expect(page.locator("#txt2img_prompt textarea")).to_have_value("a red fox")
    assert number(page, "steps") == "31"


def test_our_own_pictures_give_back_prompts_that_look_like_parameters(page: Page, serve: Serve, tmp_path: Path) -> None:
    live = serve()
    prompts = "a sign that says\nNegative prompt: no", "dog\nNegative prompt: cat"
    infotext = build_infotext(*prompts, {"Steps": 2, "Sampler": "Euler", "Seed": 1, "Size": "64x64"})
    saved = tmp_path / "mine.png"
    for path in (saved, live.app.paths.txt2img_images / "00000-1.png"):
        images.save_png(Image.new("RGB", (64, 64)), path, infotext)
    boxes = [page.locator("#txt2img_prompt textarea"), page.locator("#txt2img_neg_prompt textarea")]
    open_page(page, live)
    open_tab(page, "PNG Info")
    page.locator("#png_info_file input[type=file]").set_input_files(saved)
    page.click("#png_info_send")
    for box, prompt in zip(boxes, prompts, strict=True):
        expect(box).to_have_value(prompt)
        box.fill("")
    open_tab(page, "History")
    page.locator("#history_grid .tile").first.click()
    page.click("#history_send")
    for box, prompt in zip(boxes, prompts, strict=True):
        expect(box).to_have_value(prompt)


def test_pictures_without_parameters_and_no_pictures_at_all_are_told(page: Page, live: Live, tmp_path: Path) -> None:
    open_page(page, live)
    open_tab(page, "PNG Info")
    assert contrast(page.locator("#png_info_file .or")) >= 4.5
    chosen = page.locator("#png_info_file input[type=file]")
    chosen.set_input_files(picture(tmp_path / "plain.png", ""))
    expect(page.locator("#png_info_answer")).to_contain_text("No parameters")
    expect(page.locator("#png_info_send")).to_be_hidden()
    page.locator("#png_info_file button[aria-label=Clear], #png_info_file .label-clear-button").first.click()
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    chosen.set_input_files(tmp_path / "broken.png")
    expect(page.locator("#png_info_answer")).to_contain_text("broken.png")


def test_parameters_pasted_into_the_prompt_are_spread_over_the_form(page: Page, live: Live) -> None:
    open_page(page, live)
    page.fill("#txt2img_prompt textarea", THEIRS)
    page.click("#paste")
    expect(page.locator("#txt2img_prompt textarea")).to_have_value("a red fox")
    assert number(page, "steps") == "31"


def test_the_report_is_seen_on_a_phone_until_the_picture_is_drawn(page: Page, serve: Serve, tmp_path: Path) -> None:
    live = serve()
    page.set_viewport_size({"width": 390, "height": 844})
    open_page(page, live)
    open_tab(page, "PNG Info")
    plain = "a red fox\nSteps: 3, Sampler: Euler, Schedule type: Uniform, CFG scale: 5, Seed: 77, Size: 128x128"
    page.locator("#png_info_file input[type=file]").set_input_files(picture(tmp_path / "mine.png", plain))
    page.click("#png_info_send")
    report = page.locator("#txt2img_report .report")
    expect(report).to_be_in_viewport(ratio=1)
    above, below = report.bounding_box(), page.locator("#txt2img_stage_box").bounding_box()
    assert above
    assert below
    assert above["y"] < below["y"]
    page.fill("#txt2img_seed input", "abc")
    page.click("#txt2img_generate")
    expect(page.locator("#txt2img_complaint")).to_contain_text("Seed “abc”")
    expect(report).to_be_visible()  # nothing was drawn
    page.fill("#txt2img_seed input", "77")
    page.click("#txt2img_generate")
    expect(page.locator("#html_info_txt2img")).to_contain_text("a red fox")
    expect(report).to_have_count(0)


def test_history_finds_stars_deletes_and_brings_back(page: Page, live: Live) -> None:
    open_page(page, live)
    open_tab(page, "History")
    page.get_by_role("button", name="Make one in txt2img").click()
    expect(page.locator("#txt2img_prompt")).to_be_visible()
    for prompt, seed in (("a pixar cat", 5), ("an oil lamp", 6)):
        assert live.app.generate(Txt2ImgParams(prompt=prompt, seed=seed, steps=2)).wait(10_000, timeout=60)
    open_page(page, live)
    open_tab(page, "History")
    tiles = page.locator("#history_grid .tile")
    expect(tiles).to_have_count(2)
    expect(page.locator("#history_detail")).to_contain_text("Pick a picture")
    page.fill("#history_text input, #history_text textarea", "pixar")
    expect(tiles).to_have_count(1)
    tiles.first.click()
    expect(page.locator("#history_words")).to_contain_text("a pixar cat")
    page.click("#history_star")
    expect(page.locator("#history_star")).to_have_text("Unstar")
    page.click("#history_delete")
    expect(page.locator("#history_grid")).to_contain_text("Nothing found")
    page.click("#history_status [data-undo]")
    expect(tiles).to_have_count(1)
    expect(page.locator("#history_star")).to_have_text("Unstar")
    page.click("#history_send")
    expect(page.locator("#txt2img_prompt textarea")).to_have_value("a pixar cat")
    expect(page.locator("#txt2img_seed textarea, #txt2img_seed input").first).to_have_value("5")


def test_history_shows_no_picture_that_was_not_found(page: Page, serve: Serve) -> None:
    live = serve()
    for prompt, seed in (("a pixar cat", 5), ("an oil lamp", 6)):
        assert live.app.generate(Txt2ImgParams(prompt=prompt, seed=seed, steps=2)).wait(10_000, timeout=60)
    open_page(page, live)
    open_tab(page, "History")
    text = page.locator("#history_text input, #history_text textarea")
    page.locator("#history_grid .tile", has_text="pixar").click()
    expect(page.locator("#history_words")).to_contain_text("a pixar cat")
    text.fill("cat")
    expect(page.locator("#history_grid .tile")).to_have_count(1)
    expect(page.locator("#history_words")).to_contain_text("a pixar cat")  # found again
    text.fill("lamp")
    expect(page.locator("#history_grid")).to_contain_text("an oil lamp")
    expect(page.locator("#history_words")).not_to_contain_text("a pixar cat")
    expect(page.locator("#history_detail")).to_contain_text("Pick a picture")
    expect(page.locator("#history_actions")).to_be_hidden()
    page.locator("#history_grid .tile").click()
    expect(page.locator("#history_words")).to_contain_text("an oil lamp")
    page.locator("#history_trash input").check()
    expect(page.locator("#history_grid")).to_contain_text("The trash is empty")
    expect(page.locator("#history_detail img")).to_have_count(0)


def test_a_tap_on_a_phone_shows_the_picture(page: Page, serve: Serve) -> None:
    live = serve()
    for seed in range(30):
        assert live.app.generate(Txt2ImgParams(prompt="a cat", seed=seed, steps=1)).wait(10_000, timeout=60)
    page.set_viewport_size({"width": 390, "height": 844})
    open_page(page, live)
    open_tab(page, "History")
    tiles = page.locator("#history_grid .tile")
    expect(tiles).to_have_count(30)
    for tile in (tiles.last, tiles.nth(28)):  # the second time, a picture stands above already
        tile.click()
        expect(page.locator("#history_detail img")).to_be_in_viewport(ratio=0.9)


def test_settings_are_searched_applied_and_imported(page: Page, serve: Serve, tmp_path: Path) -> None:
    live = serve()
    open_page(page, live)
    open_tab(page, "Settings")
    page.fill("#settings_search input, #settings_search textarea", "clip")
    expect(page.locator("#settings_list .setting:visible")).to_have_count(1)
    page.fill("#settings_search input, #settings_search textarea", "no such thing")
    expect(page.locator("#settings_none")).to_be_visible()
    page.fill("#settings_search input, #settings_search textarea", "")
    page.locator("#setting_page_grid_save input").uncheck()
    open_tab(page, "PNG Info")
    live.app.change_settings(clip_skip=3)  # elsewhere: that is shown, and what is not applied yet stays
    open_tab(page, "Settings")
    expect(page.locator("#setting_page_CLIP_stop_at_last_layers input").first).to_have_value("3")
    expect(page.locator("#setting_page_grid_save input")).not_to_be_checked()
    page.locator("#setting_page_grid_save").scroll_into_view_if_needed()
    page.mouse.wheel(0, 10_000)
    expect(page.locator("#settings_foot")).to_be_in_viewport()
    page.click("#settings_submit")
    expect(page.locator("#settings_answer")).to_contain_text("Applied:")
    expect(page.locator("#settings_answer")).to_be_in_viewport(ratio=1)
    assert live.app.settings.save_grid is False
    side = page.locator("#setting_page_target_side_length input")
    reset = page.get_by_role("button", name="Reset “JPG copy of pictures")
    for mend in (lambda: side.press_sequentially("9"), reset.click):
        side.fill("")
        page.click("#settings_submit")
        expect(page.locator("#settings_answer")).to_contain_text("is empty")
        page.locator("#setting_page_jpeg_quality input").first.fill("81")  # another one: the complaint holds
        expect(page.locator("#settings_answer")).to_contain_text("is empty")
        mend()
        expect(page.locator("#settings_answer")).to_be_empty()
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"CLIP_stop_at_last_layers": 2, "theirs": 1}))
    with page.expect_file_chooser() as chooser:
        page.click("#settings_import")
    chooser.value.set_files(file)
    expect(page.locator("#settings_answer")).to_contain_text("Imported:")
    assert live.app.settings.clip_skip == 2
    assert json.loads(live.app.paths.settings_file.read_bytes())["theirs"] == 1
