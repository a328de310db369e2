"""The page in a headless browser: until a picture can be asked for, and until the form of the Train tab stands.

The App behind it is the stand-in of the tests, without a model: what counts is what the browser has to do.
"""

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, expect, sync_playwright

from tests.bench import RUNS, Result
from tests.browser import ARGUMENTS, NONE_FOUND, find_browser
from tests.ui.conftest import Live
from tests.ui.stand_in import StandIn

PATIENT = 120_000  # milliseconds


def run() -> Iterator[Result]:
    found = find_browser()
    assert found, NONE_FOUND
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        live = Live(StandIn(Path(folder)))
        browser = playwright.chromium.launch(executable_path=found[0], args=ARGUMENTS)
        _open(browser, live)  # not counted: the server reads its files for the first time
        times = [_open(browser, live) for _ in range(RUNS)]
        browser.close()
        live.stop()
    yield Result("a picture can be asked for after the address is opened", statistics.median(t[0] for t in times), "s")
    yield Result("the form of the Train tab stands after a click on it", statistics.median(t[1] for t in times), "s")


def _open(browser: Browser, live: Live) -> tuple[float, float]:
    page = browser.new_page()
    start = time.perf_counter()
    page.goto(live.url)
    expect(page.locator("#txt2img_generate")).to_be_enabled(timeout=PATIENT)
    ready = time.perf_counter()
    page.get_by_role("tab", name="Train").click()
    page.locator("#train_steps_row [data-open-step=train]").click()
    expect(page.locator("#train_embedding")).to_be_visible(timeout=PATIENT)
    there = time.perf_counter()
    page.close()
    return ready - start, there - ready
