"""Who asks the server what has changed: the open step alone, and nobody while the page is out of sight."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, Request, expect

from tests.conftest import GENEROUS
from tests.ui.conftest import Live
from tests.ui.train.runs import NAME, make_run
from tests.ui.train.training_run import WithTraining

pytestmark = pytest.mark.browser
PATIENT = 4 * GENEROUS  # a Train tab is built when it is opened: thousands of elements
expect.set_options(timeout=PATIENT)
STEPS = ("create", "photos", "train", "compare", "use")
BEATS = 2  # looks of the open step, in which a hidden one would have looked as often
_ASKED_AT_ONCE = """action => {
    const asked = [];
    document.addEventListener("train-look", event => asked.push(event.detail));
    Function(action)();
    return asked;
}"""


class Questions:
    """Counts what a page asks of the server, by the id of the component that asks."""

    def __init__(self, page: Page, live: Live):
        components = httpx.get(f"{live.url}/config").json()["components"]
        self._names = {one["id"]: one["props"].get("elem_id") or one["type"] for one in components}
        self._page = page
        self.counted: Counter[str] = Counter()
        page.on("request", self._count)

    def _count(self, request: Request) -> None:
        if request.method == "POST" and "/gradio_api/" in request.url:
            asked = request.post_data_json
            self.counted[self._names.get(asked.get("trigger_id") if isinstance(asked, dict) else None, "")] += 1

    def wait_for(self, name: str, count: int) -> None:
        while self.counted[name] < count:
            self._page.wait_for_event("request", timeout=PATIENT)

    @property
    def looks(self) -> set[str]:
        return {name.removeprefix("train_look_") for name in self.counted if name.startswith("train_look_")}


@pytest.fixture
def live(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Live]:
    live = Live(WithTraining(tmp_path / "data", pace=None))
    yield live
    live.stop()
    assert "Traceback" not in capsys.readouterr().err


@pytest.fixture
def asks(page: Page, live: Live) -> Questions:
    """Of a page whose Train tab is open."""
    asks = Questions(page, live)
    page.set_default_timeout(PATIENT)
    page.goto(live.url)
    page.get_by_role("tab", name="Train").click()
    asks.wait_for("train_look_create", 1)
    return asks


def at_once(page: Page, action: str) -> list[str]:
    """Who was told to look before the action returned."""
    return page.evaluate(_ASKED_AT_ONCE, action)


def test_only_the_open_step_looks_and_it_looks_when_it_is_opened(page: Page, asks: Questions) -> None:
    for step in STEPS:
        door = f"#train_steps_row [data-open-step={step}]"
        assert at_once(page, f"document.querySelector('{door}').click()") == ["tab", step]
        asks.wait_for(f"train_look_{step}", 1)
        asks.counted.clear()
        asks.wait_for(f"train_look_{step}", BEATS)
        assert asks.looks <= {"tab", step}


def test_nothing_looks_while_another_tab_is_in_front(page: Page, asks: Questions) -> None:
    page.get_by_role("tab", name="txt2img").click()
    expect(page.locator("#txt2img_prompt textarea")).to_be_visible()
    asks.counted.clear()
    asks.wait_for("timer", BEATS)  # the page's own: it looks at the queue and at this tab's pictures
    assert not asks.looks
    page.get_by_role("tab", name="Train").click()
    asks.wait_for("train_look_create", 1)


def test_nothing_looks_while_the_page_is_out_of_sight(page: Page, asks: Questions) -> None:
    page.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    asks.counted.clear()
    page.evaluate("new Promise(done => { let beats = 0; setInterval(() => ++beats === 3 && done(), 1000); })")
    assert not asks.looks
    page.evaluate("Object.defineProperty(document, 'hidden', {value: false, configurable: true})")
    seen = "document.dispatchEvent(new Event('visibilitychange'))"
    assert at_once(page, seen) == ["tab", "create"]


def test_what_a_click_began_is_looked_after_wherever_somebody_goes(page: Page, live: Live, asks: Questions) -> None:
    make_run(live.app.paths)
    page.locator("#train_steps_row [data-open-step=use]").click()
    page.locator("#use_use").click()
    expect(page.locator("#use_result")).to_have_text(f"Using {NAME}…")
    page.get_by_role("tab", name="txt2img").click()
    expect(page.locator("#txt2img_prompt textarea")).to_have_value("")
    live.app.steps.release(1)
    expect(page.locator("#txt2img_prompt textarea")).to_have_value(f"portrait of {NAME}")
    asks.counted.clear()
    asks.wait_for("timer", BEATS)
    assert not asks.looks, "it is over"
