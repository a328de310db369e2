"""Gradio's page script as it is served: what is changed in it, and how little it has to do then."""

import httpx
import pytest
from playwright.sync_api import CDPSession, Page, expect

from modules.ui.gradio_script import ASSETS, EDITS, edited
from tests.conftest import GENEROUS
from tests.ui.conftest import Live

expect.set_options(timeout=4 * GENEROUS)


def test_every_edit_finds_its_place_in_the_pinned_version() -> None:
    scripts = edited()
    for edit in EDITS:
        assert sum(edit.after in text for text in scripts.values()) == 1
        assert not any(edit.before in text for text in scripts.values())
    for name, text in scripts.items():
        before = (ASSETS / name).read_text("utf-8")
        undone = text
        for edit in EDITS:
            undone = undone.replace(edit.after, edit.before)
        assert undone == before, "nothing else is changed"


def test_another_version_is_served_as_it_is(tmp_path, caplog) -> None:
    (tmp_path / "core-abc.js").write_text("function Z(e){}")
    assert edited(tmp_path) == {}
    assert "will be slower" in caplog.text


def test_the_changed_script_is_what_a_browser_gets(live: Live) -> None:
    for name, text in edited().items():
        answer = httpx.get(f"{live.url}/assets/{name}")
        assert answer.text == text
        assert answer.headers["content-type"].startswith("text/javascript")
        assert answer.headers["cache-control"] == "no-cache"


@pytest.fixture
def counting(page: Page) -> CDPSession:
    session = page.context.new_cdp_session(page)
    session.send("Profiler.enable")
    session.send("Profiler.startPreciseCoverage", {"callCount": True, "detailed": False})
    return session


def calls(session: CDPSession, function: str) -> int:
    """How often a function of that name was called since the last question."""
    scripts = session.send("Profiler.takePreciseCoverage")["result"]
    found = [entry for script in scripts if "/core-" in script["url"] for entry in script["functions"]]
    return sum(entry["ranges"][0]["count"] for entry in found if entry["functionName"] == function)


@pytest.mark.browser
def test_work_does_not_grow_with_everything_that_has_happened(page: Page, live: Live, counting: CDPSession) -> None:
    """Unchanged, Gradio made 3500 updates while the page opened and 3600 when the Train tab did. Counted are 1150 and
    410; how many it comes to depends a little on what is under way together."""
    page.goto(live.url)
    expect(page.locator("#txt2img_generate")).to_be_enabled()
    expect(page.locator("body[data-filled~=train]")).to_be_visible()
    assert 0 < calls(counting, "update_state") < 2300
    page.get_by_role("tab", name="Train").click()
    page.locator("#train_steps_row [data-open-step=train]").click()
    expect(page.locator("#train_embedding")).to_be_visible()
    expect(page.locator("#train_steps_row [data-open-step=train]")).to_be_visible()
    assert 0 < calls(counting, "update_state") < 1200
