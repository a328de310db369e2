"""Step ③ in a real browser: a run that was cut short is resumed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from modules.training.run_folder import RunFolder
from tests.conftest import GENEROUS
from tests.ui.conftest import Live
from tests.ui.train.training_run import WithTraining, make_photos, save_state

pytestmark = pytest.mark.browser
expect.set_options(timeout=GENEROUS)


@pytest.fixture
def live(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Live]:
    app = WithTraining(tmp_path / "data", pace=None)
    make_photos(app.paths.data / "photos")
    live = Live(app)
    yield live
    live.stop()
    assert "Traceback" not in capsys.readouterr().err


def test_a_run_that_was_cut_short_is_offered_above_all_tabs(page: Page, live: Live) -> None:
    folder = RunFolder(live.app.paths.textual_inversion / "2026-01-02" / "realbenny-t2", "realbenny-t2")
    folder.path.mkdir(parents=True)
    folder.describe({"ending": "", "step": 30, "steps": 40, "checkpoint": "demo-portraits", "started": 1.0})
    save_state(folder, 30)
    page.goto(live.url)
    banner = page.locator("#train_banner")
    expect(banner).to_contain_text("realbenny-t2 was cut off at step 30 of 40")
    banner.get_by_role("button", name="Keep the best snapshot").click()
    expect(banner).to_contain_text("there is nothing to keep")
    banner.get_by_role("button", name="Resume").click()
    expect(page.locator("#train_status")).to_contain_text("step 30 / 40")
    expect(banner).not_to_contain_text("was cut off")
    live.app.steps.release(10)
    expect(page.locator("#ti_output")).to_contain_text("Finished.")
