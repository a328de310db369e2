"""The article's four steps in the real program: photos as phones make them, an embedding learned from them, the best
step chosen, and the new word in a prompt. Few and small steps: what is learned is measured elsewhere.
"""

import faulthandler
from collections.abc import Callable
from pathlib import Path

import pillow_heif
import pytest
from PIL import ExifTags, Image, ImageColor
from playwright.sync_api import Page, expect

from modules.images import open_image, read_infotext
from modules.training.measurements import read_measurements
from modules.training.run_folder import find_runs
from tests.conftest import GENEROUS
from tests.e2e.conftest import Started
from tests.preprocess.drawn import figure

pytestmark = pytest.mark.browser

NAME = "realbenny-t2"
STEPS = 4
LONG = 4 * GENEROUS  # what waits for the model, a whole run of training, a sheet of pictures
expect.set_options(timeout=GENEROUS)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten photos: turned by the camera, HEIC from a phone, and one that was torn while it was copied."""
    folder = tmp_path_factory.mktemp("from the phone")
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    for number in range(7):
        figure(0.2 + 0.05 * number, 320, f"#{number + 2}0a0c0").save(folder / f"benny {number}.png")
    upright = figure(0.5, 320).resize((400, 320))
    upright.transpose(Image.Transpose.ROTATE_90).save(folder / "benny turned.jpg", exif=turned)
    pillow_heif.register_heif_opener()
    figure(0.3, 340, "#d0b090").save(folder / "IMG_0002.HEIC")
    (folder / "torn.jpg").write_bytes((folder / "benny turned.jpg").read_bytes()[:900])
    return folder


def step(page: Page, name: str) -> None:
    page.locator(f"#train_steps_row [data-open-step={name}]").click()


def number(page: Page, element: str, value: int) -> None:
    box = page.locator(f"#{element} input[type=number]")
    box.fill(str(value))
    box.press("Tab")


def test_from_photos_to_the_word_in_a_prompt(
    page: Page, start: Callable[..., Started], photos: Path, tmp_path: Path
) -> None:
    faulthandler.cancel_dump_traceback_later()  # four steps in one test; each wait of them has a limit of its own
    studio = start(tmp_path / "data")
    page.goto(studio.url)
    expect(page.locator("#txt2img_generate")).to_be_enabled(timeout=LONG)
    page.get_by_role("tab", name="Train").click()

    # ① a new word
    page.locator("#train_new_embedding_name").locator("textarea, input").fill(NAME)
    page.locator("#train_initialization_text").locator("textarea, input").fill("man")
    number(page, "train_nvpt", 2)
    page.locator("#train_create_embedding").click()
    expect(page.locator("#train_header")).to_contain_text("2 vectors")

    # ② photos made ready
    step(page, "photos")
    page.locator("#train_process_src").locator("textarea, input").fill(str(photos))
    page.locator("#photos_open").click()
    expect(page.locator(".photos_table .tile")).to_have_count(10)
    expect(page.get_by_role("option", name="torn.jpg: left out. “torn.jpg” is damaged")).to_be_visible()
    page.locator("#train_process_dst").locator("textarea, input").fill(str(tmp_path / "ready"))
    page.locator("#train_run_preprocess").click()
    expect(page.locator("#photos_result")).to_contain_text("9")
    ready = sorted((tmp_path / "ready").glob("*.png"))
    assert len(ready) == 9
    turned = open_image(next(path for path in ready if "turned" in path.name))
    assert turned.size == (128, 128)
    wall, shirt = ImageColor.getrgb("#c8d8e8"), ImageColor.getrgb("#304878")
    for (x, y), colour in ((2, 2), wall), ((64, 126), shirt):  # he stands on his feet again
        pixel = turned.crop((x, y, x + 1, y + 1)).tobytes()
        assert max(abs(a - b) for a, b in zip(colour, pixel, strict=True)) < 24, "more than JPEG does"

    # ③ a run
    step(page, "train")
    page.locator("#train_embedding_learn_rate").locator("textarea, input").fill("0.005")
    page.get_by_role("button", name="How long").wait_for()
    number(page, "train_steps", STEPS)
    for group in page.locator(".train_group > button").all():
        group.click()
    for field, value in {
        "create_image_every": STEPS,
        "save_embedding_every": STEPS,  # measuring a snapshot takes longer than all the rest
        "save_state_every": 2,
        "held_out_every": 2,
        "preview_steps": 2,
    }.items():
        number(page, f"train_{field}", value)
    page.locator("#train_train_embedding").click()
    expect(page.locator("#ti_output")).to_contain_text(f"Training finished at {STEPS} steps", timeout=LONG)
    [run] = find_runs(studio.data / "textual_inversion")
    assert list(run.folder.snapshots()) == [0, STEPS]

    # ④ the best step
    step(page, "compare")
    page.locator("#compare_measure").click()
    expect(page.locator("#compare_measure")).to_have_text("All are measured", timeout=LONG)
    assert list(read_measurements(run.folder.path, NAME)) == [0, STEPS]
    page.locator("#compare_prompts textarea").fill(f"portrait of {NAME}, glasses")
    page.locator("#compare_seeds").locator("textarea, input").fill("5")
    page.locator("#compare_description").locator("textarea, input").fill("a man with a beard")
    page.locator("#compare_draw").click()
    expect(page.locator("#compare_grid td img")).to_have_count(3, timeout=LONG)
    page.locator(".snapshot", has_text=f"step {STEPS}").click()
    page.get_by_role("button", name=f"Use step {STEPS}").first.click()

    # ⑤ the word in a prompt
    expect(page.locator("#use_taken")).to_contain_text(".bak")
    page.locator("#use_use").click()
    expect(page.locator("#use_result")).to_contain_text(f"is now the snapshot of step {STEPS}")
    file = studio.data / "embeddings" / f"{NAME}.safetensors"
    assert file.with_name(file.name + ".bak").exists()
    page.locator("#use_ready button").nth(2).click()
    expect(page.locator("#txt2img_prompt textarea")).to_have_value(f"half [{NAME} | panda] person, portrait")
    number(page, "txt2img_steps", 2)
    page.locator("#txt2img_generate").click()
    expect(page.locator("#html_log_txt2img")).to_contain_text("Time taken", timeout=LONG)
    [picture] = sorted((studio.data / "outputs" / "txt2img-images").rglob("*.png"))
    assert f'TI hashes: "{NAME}: ' in read_infotext(picture)
    assert open_image(picture).size == (128, 128)
    assert not any("Traceback" in line for line in studio.said)
