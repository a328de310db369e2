"""Hires fix and refiner by the page's own controls, drawn by the tiny models."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from modules import images
from modules.infotext import parse_infotext
from modules.ui.form import element_id
from tests.api.serving import Served, start
from tests.conftest import GENEROUS
from tests.hosted import ON_CPU

pytestmark = pytest.mark.browser

expect.set_options(timeout=GENEROUS)


@pytest.fixture
def served(tmp_path: Path, two_models: Path) -> Iterator[Served]:
    folder = tmp_path / "models" / "Stable-diffusion"
    folder.mkdir(parents=True)
    for file in two_models.iterdir():
        (folder / file.name).symlink_to(file)
    served = start(tmp_path, ON_CPU)
    yield served
    served.stop()


def part(page: Page, name: str) -> Locator:
    """A folded part of the form, opened."""
    found = page.locator(f"#txt2img_{name}")
    found.locator("> button.label-wrap").click()
    return found


def fill(page: Page, field: str, value: str) -> None:
    box = page.locator(f"#{element_id(field)} input[type=number]")
    box.fill(value)
    box.press("Tab")


def choose(page: Page, field: str, name: str) -> None:
    page.locator(f"#{element_id(field)} input").click()
    page.get_by_role("option", name=re.compile(f"^{name}")).click()
    expect(page.get_by_role("option")).to_have_count(0)  # it fades, and the next list has options of the same name


def test_both_take_part_and_are_told(page: Page, served: Served) -> None:
    page.goto(served.url)
    expect(page.locator("#txt2img_generate")).to_be_enabled()
    page.fill("#txt2img_prompt textarea", "a cat")
    for field, value in {"steps": "4", "width": "64", "height": "64"}.items():
        fill(page, field, value)
    second = part(page, "hr")
    page.locator(f"#{element_id('enable_hr')} input").check()
    expect(second).to_contain_text("from 64x64 to 128x128")
    fill(page, "hr_scale", "1.5")
    fill(page, "hr_second_pass_steps", "2")
    expect(second).to_contain_text("from 64x64 to 96x96")
    choose(page, "hr_upscaler", "Lanczos")
    choose(page, "hr_checkpoint", "two")
    refiner = part(page, "refiner")
    choose(page, "refiner_checkpoint", "two")
    fill(page, "refiner_switch_at", "0.5")
    choose(page, "hr_refiner_pass", "first pass")
    expect(refiner).to_contain_text("two.safetensors")
    page.click("#txt2img_generate")
    expect(page.locator("#html_log_txt2img")).to_contain_text("Time taken")
    expect(page.locator("#html_info_txt2img")).to_contain_text("Hires upscale: 1.5")
    (path,) = served.app.paths.outputs.rglob("*.png")
    said = parse_infotext(images.read_infotext(path))
    told = {key: str(said[key]) for key in ("Hires upscaler", "Hires steps", "Hires refiner", "Refiner switch at")}
    assert told == {
        "Hires upscaler": "Lanczos",
        "Hires steps": "2",
        "Hires refiner": "first pass",
        "Refiner switch at": "0.5",
    }
    assert str(said["Model"]) == "one"
    assert str(said["Hires checkpoint"]).startswith("two")
    assert str(said["Refiner"]).startswith("two")
    with Image.open(path) as drawn:
        assert drawn.size == (96, 96)
