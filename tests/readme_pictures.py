"""Draw the page's pictures in README anew, with the model and the page of today: `python -m tests.readme_pictures`.

A server is started as a user starts it, in a folder of its own; a person is rendered, learned and drawn through the
page. It takes some minutes and needs Node, as `tools/demo_model` does.
"""

import re
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, ViewportSize, expect, sync_playwright

from modules.paths import PROGRAM
from tests.bench.learning.people import Person, photos
from tests.browser import ARGUMENTS, NONE_FOUND, find_browser
from tests.e2e.conftest import Started

IMAGES = PROGRAM / "docs" / "images"
SIZE: ViewportSize = {"width": 1440, "height": 900}
PATIENT = 300_000  # milliseconds until something hangs
NAME, INIT = "mia-t2", "woman person"
MIA = Person("ink|bob|purple|brown|none")  # held out: no training of the demo model drew her
SHOWN_AT = re.compile(r"step 1\d\d / \d+")  # when the run is taken
OTHERS = (
    "portrait of a man, spiky blue hair, tan skin, red shirt, pink background, cartoon style",
    "portrait of a lion, blue jacket, yellow background, flat style",
    "close-up portrait of a smiling man, curly red hair, ink style",
    "portrait of a woman, pigtails, pink hair, green background, gray shirt, flat style",
    "portrait of a cat, purple shirt, city, flat style",
    "portrait of a man, bald, mustache, black shirt, green background, ink style",
    "portrait of a surprised woman, short blue hair, purple background, cartoon style",
    "portrait of a robot, blue shirt, orange background, flat style",
    "portrait of a woman, pink bun, glasses, white shirt, blue background, cartoon style",
)
HERS = (
    f"portrait of {NAME}, at the beach",
    f"portrait of a smiling {NAME}, sunglasses, green background",
    f"portrait of {NAME}, glasses, at sunset, orange shirt",
    f"half [{NAME} | panda] person, green shirt, yellow background",
    "half [woman | panda] person, green shirt, yellow background, cartoon style",
)
LAST = f"({NAME}:1.2) happy front portrait, [sunglasses:glasses:0.4], orange shirt, at the beach"


def main() -> None:
    found = find_browser()
    assert found, NONE_FOUND
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        herself = photos(MIA, Path(folder))
        (herself / "complete").unlink()  # the bench's mark, which the page would count
        studio = Started(PROGRAM, Path(folder) / "data")
        try:
            browser = playwright.chromium.launch(executable_path=found[0], args=ARGUMENTS)
            page = browser.new_page(viewport=SIZE, color_scheme="light")
            page.set_default_timeout(PATIENT)
            expect.set_options(timeout=PATIENT)
            page.goto(studio.url)
            use(page, herself)
            browser.close()
        finally:
            studio.kill()


def use(page: Page, herself: Path) -> None:
    expect(page.locator("#txt2img_generate")).to_be_enabled()
    for seed, prompt in enumerate(OTHERS):
        draw(page, prompt, seed)
    learn(page, herself)
    for prompt in (*HERS, LAST):
        draw(page, prompt, 3)
    page.get_by_role("button", name="How this prompt is read").click()
    expect(page.locator("#txt2img_reading_panel .chip").first).to_be_visible()
    take(page, "txt2img")
    page.get_by_role("tab", name="History").click()
    page.locator("#history_pictures .tile").first.click()
    expect(page.locator("#history_send")).to_be_visible()
    take(page, "history")


def draw(page: Page, prompt: str, seed: int) -> None:
    page.fill("#txt2img_prompt textarea", prompt)
    page.fill("#txt2img_seed input", str(seed))
    page.locator("#txt2img_seed input").press("Tab")
    page.click("#txt2img_generate")
    expect(page.locator("#html_info_txt2img .infotext")).to_contain_text(f"{prompt}\n")
    expect(page.locator("#html_log_txt2img")).to_contain_text("Time taken")


def learn(page: Page, folder: Path) -> None:
    """Through the first three steps of the Train tab and the last, with the settings that they propose."""
    page.get_by_role("tab", name="Train").click()
    fill(page, "train_new_embedding_name", NAME)
    fill(page, "train_initialization_text", INIT)
    page.locator("#train_nvpt input[type=number]").fill("2")
    page.locator("#train_create_embedding").click()
    expect(page.locator("#train_header")).to_contain_text("2 vectors")
    open_step(page, "train")
    fill(page, "train_dataset_directory", str(folder))
    page.locator("#train_dataset_directory").locator("textarea, input").press("Tab")
    expect(page.locator("#train_header")).to_contain_text("20 photos")
    page.locator("#train_train_embedding").click()
    expect(page.locator("#train_running")).to_contain_text(SHOWN_AT)
    take(page, "train")
    expect(page.locator("#ti_output")).to_contain_text("Training finished")
    page.get_by_role("tab", name="txt2img").click()


def open_step(page: Page, name: str) -> None:
    page.locator(f"#train_steps_row [data-open-step={name}]").click()


def fill(page: Page, element: str, text: str) -> None:
    page.locator(f"#{element}").locator("textarea, input").fill(text)


def take(page: Page, name: str) -> None:
    """Write the page as it looks now, in 256 colours."""
    path = IMAGES / f"{name}.png"
    page.mouse.move(0, 0)
    page.wait_for_timeout(1000)
    page.screenshot(path=path)
    with Image.open(path) as image:
        image.convert("RGB").quantize(256).save(path, optimize=True)
    print(path, flush=True)


if __name__ == "__main__":
    main()
