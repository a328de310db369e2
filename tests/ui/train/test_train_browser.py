"""Steps ① and ③ in a real browser: a run is set up, watched from two tabs, reloaded, paused, stopped, and resumed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import Browser, Page, expect

from modules.training.run_folder import RunFolder
from tests.conftest import GENEROUS
from tests.ui.conftest import Live
from tests.ui.looks import contrast
from tests.ui.train.runs import make_run, wait_until
from tests.ui.train.training_run import WithTraining, make_photos, params, save_state, settle

pytestmark = pytest.mark.browser
PATIENT = 4 * GENEROUS  # a Train tab is built when it is opened: thousands of elements
expect.set_options(timeout=PATIENT)
RATE = "#train_embedding_learn_rate input, #train_embedding_learn_rate textarea"
FOLDER = "#train_dataset_directory input, #train_dataset_directory textarea"

SLOW_ANSWERS = """() => {
    const sent = window.fetch;
    window.fetch = (...given) => sent(...given).then(
        answer => new Promise(done => setTimeout(() => done(answer), 100 + 300 * Math.random())));
}"""


@pytest.fixture
def live(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Live]:
    app = WithTraining(tmp_path / "data", pace=None)
    make_photos(app.paths.data / "photos")
    live = Live(app)
    yield live
    live.stop()
    assert "Traceback" not in capsys.readouterr().err


def open_step(page: Page, live: Live, step: str = "train") -> None:
    page.set_default_timeout(PATIENT)
    page.goto(live.url)
    page.get_by_role("tab", name="Train").click()
    page.locator(f"#train_steps_row [data-open-step={step}]").click()
    expect(page.locator("body[data-filled~=train]")).to_be_visible()  # `fill` does not wait as a hand has to


def test_what_cannot_be_used_is_refused_beside_its_field_and_two_clicks_are_one_run(page: Page, live: Live) -> None:
    open_step(page, live)
    labels = page.locator("#train_second_row [data-testid=block-info]")
    tops = labels.evaluate_all("labels => labels.map(label => label.getBoundingClientRect().top)")
    assert max(tops) - min(tops) < 1, "labels of one row stand in one line, whatever help follows"
    page.locator("#train_train_embedding").click()
    expect(page.locator("#ti_error")).to_have_text("Embedding needs another value: see there.")
    expect(page.locator("#train_embedding")).to_contain_text("No embedding is chosen")
    page.locator("#train_embedding input").click()
    page.get_by_role("option", name="realbenny-t2").click()
    expect(page.locator("#ti_error")).to_be_empty()
    expect(page.locator("#train_embedding")).not_to_contain_text("No embedding is chosen")
    page.fill(FOLDER, str(live.app.paths.data / "photos"))
    page.locator(FOLDER).press("Tab")
    expect(page.locator("#train_steps input")).to_have_value("120")  # ten for each of twelve photos
    expect(page.locator("#train_steps")).to_contain_text("for each of 12 photos")
    page.wait_for_timeout(500)  # a hand takes as long to the next field; `fill` and a click come before Gradio's events
    page.fill(RATE, "fast")
    expect(page.locator(RATE)).to_have_value("fast")
    page.wait_for_timeout(200)
    page.locator("#train_train_embedding").click()
    expect(page.locator("#train_embedding_learn_rate")).to_contain_text("“fast” is no schedule")
    frame = "element => getComputedStyle(element).borderColor"
    assert page.locator(RATE).evaluate(frame) != page.locator(FOLDER).evaluate(frame), "a red frame"
    page.fill(RATE, "0.005")
    page.locator("#train_estimate_button").click()
    expect(page.locator("#train_estimate")).to_contain_text("Measuring two trial steps")
    live.app.steps.release(1)
    expect(page.locator("#train_estimate")).to_contain_text("about 1 min, 3.4 GB of 8.0")
    page.evaluate("for (const _ of [1, 2]) document.querySelector('#train_train_embedding').click()")
    expect(page.locator("#train_status")).to_contain_text("step 0 / 120")
    expect(page.locator("#train_train_embedding")).to_be_hidden()  # whatever the second click did, it did it by now
    assert [job.kind for job in live.app.jobs.jobs()].count("train") == 1


def test_an_answer_that_comes_late_takes_back_no_choice(page: Page, live: Live) -> None:
    """An embedding, a folder and two values are chosen while the server still answers, a rate as it is typed."""
    open_step(page, live)
    page.evaluate(SLOW_ANSWERS)
    page.locator("#train_embedding input").click()
    page.get_by_role("option", name="realbenny-t2").click()
    page.fill(FOLDER, str(live.app.paths.data / "photos"))
    page.locator(FOLDER).press("Tab")
    page.locator("#train_steps input").fill("60")
    page.locator(RATE).press_sequentially("1")
    expect(page.locator("#train_header")).to_contain_text("realbenny-t2 · 12 photos")
    expect(page.locator("#train_steps")).to_contain_text("for each of 12 photos")  # the advice is there
    expect(page.locator("#train_steps input")).to_have_value("60")
    assert page.locator(RATE).input_value().startswith("1")
    page.locator(RATE).press("Tab")
    page.locator("#train_presets [data-preset=object]").click()
    expect(page.locator("#train_steps input")).to_have_value("120")  # what a preset says counts
    expect(page.locator(RATE)).to_have_value("0.06")
    page.locator("#train_train_embedding").click()
    expect(page.locator("#train_status")).to_contain_text("step 0 / 120")


def test_the_form_begins_with_what_the_header_names_and_with_the_format_of_the_settings(page: Page, live: Live) -> None:
    make_run(live.app.paths)
    live.app.change_settings(embedding_format="pt")
    open_step(page, live)
    expect(page.locator("#train_header")).to_contain_text("realbenny-t2")
    expect(page.locator("#train_embedding input")).to_have_value("realbenny-t2")
    page.get_by_role("button", name="Samples: every").click()
    file_format = page.locator("#train_file_format input")
    expect(file_format).to_have_value("pt")
    live.app.change_settings(embedding_format="safetensors")
    page.get_by_role("tab", name="Settings").click()
    page.get_by_role("tab", name="Train").click()
    expect(file_format).to_have_value("safetensors")
    file_format.click()
    page.get_by_role("option", name="pt", exact=True).click()
    page.locator("#train_presets [data-preset=object]").click()
    expect(page.locator("#train_presets [data-preset=object]")).to_have_attribute("aria-checked", "true")
    expect(file_format).to_have_value("pt")  # no preset has a say in it
    page.reload()
    page.get_by_role("tab", name="Train").click()
    page.get_by_role("button", name="Samples: every").click()
    expect(file_format).to_have_value("pt")


def test_the_same_truth_on_a_phone_and_after_a_reload(page: Page, browser: Browser, live: Live) -> None:
    """L4: the run goes on whatever becomes of the page."""
    job = live.app.training.begin(params(live.app))
    live.app.steps.release(12)
    settle(job, 12)
    phone = browser.new_context(viewport={"width": 390, "height": 844})
    phone.set_default_timeout(PATIENT)
    other = phone.new_page()
    tabs = (page, other)
    for tab in tabs:
        open_step(tab, live)
    page.reload()
    for tab in tabs:
        expect(tab.locator("#train_status")).to_contain_text("step 12 / 40")
        expect(tab.locator("#ti_gallery img")).to_have_count(1)
        expect(tab.locator("#train_curves polyline")).to_have_count(4)
        assert all(contrast(line, "stroke") >= 3 for line in tab.locator("#train_curves polyline").all())
        expect(tab.locator("#ti_progress")).to_contain_text("a photo of realbenny-t2")
    other.locator("#train_pause").click()
    wait_until(lambda: job.is_paused)  # else the step is over before the click has come, and no other one follows
    live.app.steps.release(1)
    for tab in tabs:
        expect(tab.locator("#train_status")).to_contain_text("step 13 / 40 · paused, everything is saved")
        expect(tab.locator("#train_pause")).to_have_text("Resume")
    page.locator("#train_pause").click()
    expect(other.locator("#train_pause")).to_have_text("Pause")
    page.locator("#train_sample").click()
    wait_until(lambda: job._request is not None)
    live.app.steps.release(1)
    for tab in tabs:
        expect(tab.locator("#ti_gallery")).to_contain_text("step 14")
    page.locator("#train_interrupt_training").click()
    expect(other.locator("#train_status")).to_contain_text("stopping after this step")
    live.app.steps.release(1)
    for tab in tabs:
        expect(tab.locator("#ti_output")).to_contain_text("Stopped by you. Training interrupted at 15 steps.")
    other.locator("#train_resume").click()
    expect(page.locator("#train_status")).to_contain_text("step 15 / 40")
    live.app.steps.release(100)
    for tab in tabs:
        expect(tab.locator("#ti_output")).to_contain_text("Finished. Training finished at 40 steps.")
    page.locator("#ti_output .door").click()
    expect(page.locator("#train_step_compare")).to_be_visible()
    phone.close()


def is_in_sight(page: Page, selector: str) -> bool:
    """Does it stand on the screen, whole, without scrolling?"""
    box, size = page.locator(selector).bounding_box(), page.viewport_size
    assert box
    assert size
    return box["y"] + box["height"] <= size["height"]


def test_a_run_that_was_cut_short_is_offered_above_all_tabs(page: Page, live: Live, tmp_path: Path) -> None:
    for started, name in enumerate(("older", "old", "realbenny-t2")):
        folder = RunFolder(live.app.paths.textual_inversion / "2026-01-02" / name, name)
        folder.path.mkdir(parents=True)
        folder.describe({"ending": "", "step": 30, "steps": 40, "checkpoint": "demo-portraits", "started": started})
        save_state(folder, 30)
    page.goto(live.url)
    banner = page.locator("#train_banner")
    expect(banner).to_contain_text("realbenny-t2 was cut off at step 30 of 40")
    expect(banner.get_by_role("button", name="Discard")).to_have_count(1)  # the others take no room
    assert is_in_sight(page, "#txt2img_stage_box")
    page.get_by_role("tab", name="PNG Info").click()
    photo, info = make_photos(tmp_path / "photos", 1) / "00000-0-face.png", PngInfo()
    info.add_text("parameters", "a cat\nSteps: 1, Sampler: Euler, Seed: 1")
    Image.open(photo).save(photo, pnginfo=info)
    page.set_input_files("#png_info_file input[type=file]", photo)
    expect(page.locator("#png_info_picture img")).to_be_visible()
    assert is_in_sight(page, "#png_info_send"), "the picture gives way to what stands above the tabs"
    banner.get_by_text("2 more unfinished runs").click()
    banner.get_by_role("button", name="Discard").last.click()
    expect(banner).to_contain_text("1 more unfinished run")
    expect(banner).not_to_contain_text("older")
    banner.get_by_role("button", name="Discard").last.click()  # what was opened stays open
    expect(banner).not_to_contain_text("more")
    expect(banner.get_by_role("button", name="Keep the best")).to_have_count(0)  # nothing trained was saved
    banner.get_by_role("button", name="Resume").click()
    expect(page.locator("#train_status")).to_contain_text("step 30 / 40")
    expect(banner).not_to_contain_text("was cut off")
    live.app.steps.release(10)
    expect(page.locator("#ti_output")).to_contain_text("Finished.")


def test_a_name_that_was_refused_is_so_until_it_changes(page: Page, live: Live) -> None:
    open_step(page, live, "create")
    expect(page.locator("#train_nvpt input")).to_have_value("2")  # as is advised for a face
    page.fill("#train_new_embedding_name input, #train_new_embedding_name textarea", "face")
    page.locator("#train_create_embedding").click()
    complaint = page.locator("#train_create_complaint")
    expect(complaint).to_contain_text("“face”")
    page.fill("#train_new_embedding_name input, #train_new_embedding_name textarea", "zzq-t1")
    expect(page.locator("#train_about_name")).to_contain_text("A good name")
    expect(complaint).to_be_empty()


def test_a_folder_that_was_missed_is_so_until_it_is_named(page: Page, live: Live) -> None:
    make_run(live.app.paths)
    open_step(page, live)
    expect(page.locator("#train_embedding input")).to_have_value("realbenny-t2")
    folder, error = page.locator("#train_dataset_directory"), page.locator("#ti_error")
    page.locator("#train_train_embedding").click()
    expect(folder).to_contain_text("No folder is named")
    expect(error).to_have_text("Dataset directory needs another value: see there.")
    page.fill("#train_steps input[type=number]", "90")  # another field
    page.keyboard.press("Tab")
    expect(page.locator("#train_before .refused")).to_have_count(1)
    page.fill(FOLDER, str(live.app.paths.data / "photos"))
    expect(folder).to_contain_text("Step ② fills this in")
    expect(folder).not_to_contain_text("No folder is named")
    expect(page.locator("#train_before .refused")).to_have_count(0)
    expect(error).to_be_empty()
