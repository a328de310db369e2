"""Steps ④ and ⑤ in a real browser: measured, drawn, compared, used and taken back; the server is asked for no model."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.conftest import GENEROUS
from tests.ui.conftest import Live
from tests.ui.looks import contrast
from tests.ui.train.runs import NAME, WithRuns, make_run, wait_until

pytestmark = pytest.mark.browser
expect.set_options(timeout=GENEROUS)


@pytest.fixture
def live(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Live]:
    app = WithRuns(tmp_path / "data")
    live = Live(app)
    yield live
    live.stop()
    assert "Traceback" not in capsys.readouterr().err


def open_step(page: Page, live: Live, step: str) -> None:
    page.goto(live.url)
    page.get_by_role("tab", name="Train").click()
    page.locator(f"#train_steps_row [data-open-step={step}]").click()


def test_from_no_run_to_the_best_step_in_a_prompt(page: Page, live: Live) -> None:
    open_step(page, live, "compare")
    expect(page.locator("#compare_empty")).to_contain_text("Nothing to compare yet")
    run = make_run(live.app.paths)
    expect(page.locator(".snapshot")).to_have_count(8)
    expect(page.locator("#compare_advice")).to_contain_text("Which one is best?")

    page.locator("#compare_measure").click()
    expect(page.locator("#compare_advice")).to_contain_text("Recommended: step 500")
    expect(page.locator(".snapshot.best")).to_contain_text("step 500")
    expect(page.locator("#compare_measure")).to_be_disabled()

    page.locator("#compare_prompts textarea").fill("somebody else")
    page.locator("#compare_draw").click()
    expect(page.locator("#compare_complaint")).to_contain_text(f"does not name {NAME}")
    page.locator("#compare_prompts textarea").fill(f"{NAME} <b>with glasses</b>")
    expect(page.locator("#compare_complaint")).to_be_empty()
    page.locator("#compare_description").locator("textarea, input").fill("a young man")
    page.locator("#compare_draw").click()
    expect(page.locator("#compare_grid td img")).to_have_count(2 * 8)  # words, six steps and the recommended one
    expect(page.locator("#compare_grid")).to_contain_text("<b>with glasses</b>")
    page.locator("#compare_grid td button").first.click()
    expect(page.locator("#compare_large figure.clicked")).to_contain_text("in words")
    expect(page.locator("#compare_large figure")).to_have_count(8)
    hidden = "strip => strip.scrollWidth - strip.clientWidth"
    page.set_viewport_size({"width": 1440, "height": 900})
    assert page.locator("#compare_large > div").evaluate(hidden) == 0, "all stand beside each other"
    page.evaluate("document.body.classList.add('dark')")
    assert contrast(page.locator("#compare_large header button")) >= 4.5
    page.keyboard.press("Escape")
    expect(page.locator("#compare_large")).to_be_hidden()

    page.reload()
    expect(page.locator("#compare_grid td img")).to_have_count(2 * 8)
    page.locator(".snapshot", has_text="step 300").click()
    page.get_by_role("button", name="Use step 300").first.click()

    live.app.paths.embeddings.mkdir(parents=True, exist_ok=True)
    file = live.app.paths.embeddings / f"{NAME}.safetensors"
    file.write_bytes(b"older")
    expect(page.locator("#use_taken")).to_contain_text(f"{file.name}.bak")
    page.locator("#use_use").click()
    expect(page.locator("#use_result")).to_contain_text("is now the snapshot of step 300")
    assert file.read_bytes() == run.snapshot(300).read_bytes()
    expect(page.locator("#txt2img_prompt textarea")).to_have_value(f"portrait of {NAME}")
    page.locator("#use_draw").click()
    expect(page.locator("#use_grid td img")).to_have_count(6)
    page.locator("#use_undo").click()
    expect(page.locator("#use_result")).to_contain_text("what it was before")
    expect(page.locator("#txt2img_prompt textarea")).to_have_value("")  # only that press had written there
    assert file.read_bytes() == b"older"
    page.locator("#use_ready button").first.click()
    expect(page.locator("#txt2img_prompt textarea")).to_be_visible()
    expect(page.locator("#txt2img_prompt textarea")).to_have_value(f"portrait of {NAME}, smiling")


def test_a_second_tab_sees_the_same_and_may_interrupt(page: Page, live: Live) -> None:
    live.app.pace = None
    make_run(live.app.paths)
    open_step(page, live, "compare")
    page.locator("#compare_measure").click()
    live.app.steps.release(3)
    other = page.context.new_page()
    open_step(other, live, "compare")
    for tab in (page, other):
        expect(tab.locator("#compare_measuring")).to_contain_text("3 of 8 done")
    other.locator("#compare_stop_measuring").click()
    job = live.app.jobs.jobs()[-1]
    wait_until(lambda: job._request is not None or job.is_over)
    live.app.steps.release(1)
    for tab in (page, other):
        expect(tab.locator("#compare_measuring")).to_contain_text("what is done is kept")
        expect(tab.locator("#compare_measure")).to_have_text("Measure 4 more")
    live.app.steps.release(100)
    page.locator("#compare_measure").click()
    expect(other.locator("#compare_advice")).to_contain_text("Recommended: step 500")
