"""“Save a copy” below the picture, in a real browser."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.conftest import GENEROUS
from tests.ui.conftest import Live
from tests.ui.test_browser import open_page

pytestmark = pytest.mark.browser

expect.set_options(timeout=GENEROUS)


@pytest.mark.parametrize("width", [1440, 390])
def test_the_picture_that_is_looked_at_is_copied_and_the_page_says_where(
    page: Page, serve: Callable[..., Live], width: int
) -> None:
    live = serve()
    page.set_viewport_size({"width": width, "height": 900})
    open_page(page, live)
    button, told = page.locator("#save_txt2img"), page.locator("#txt2img_saved")
    expect(button).to_be_hidden()
    page.fill("#txt2img_prompt textarea", "a cat")
    page.fill("#txt2img_seed input", "5")
    page.click("#txt2img_generate")
    expect(page.locator("#html_log_txt2img")).to_contain_text("Time taken")
    button.click()
    expect(told).to_contain_text("log/images/00000-5")
    expect(told).to_contain_text("log.csv")
    (copy,) = live.app.paths.saved_copies.glob("*.png")
    (picture,) = live.app.paths.txt2img_images.rglob("*.png")
    assert copy.read_bytes() == picture.read_bytes()
    assert "a cat" in (live.app.paths.saved_copies / "log.csv").read_text("utf-8")
    page.click("#txt2img_generate")
    expect(told).to_have_text("")


def test_a_picture_that_has_gone_is_told(page: Page, serve: Callable[..., Live]) -> None:
    live = serve()
    open_page(page, live)
    page.click("#txt2img_generate")
    expect(page.locator("#html_log_txt2img")).to_contain_text("Time taken")
    for picture in live.app.paths.txt2img_images.rglob("*.png"):
        picture.unlink()
    page.click("#save_txt2img")
    expect(page.locator("#txt2img_saved")).to_contain_text("not there any more")
