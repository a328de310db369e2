"""Step ② in a real browser: photos dropped, cropped by hand, captioned and written."""

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pillow_heif
import pytest
from PIL import ExifTags, Image
from playwright.sync_api import Browser, Page, Route, TimeoutError, expect

from modules.flags import Flags
from modules.images import open_image
from modules.preprocess.album import Album
from modules.preprocess.crop import Crop, cut
from modules.preprocess.photos import Photo, judge
from tests.conftest import GENEROUS
from tests.preprocess.drawn import detailed, figure
from tests.preprocess.hub import CONTENT, Hub
from tests.ui.conftest import Live
from tests.ui.looks import contrast
from tests.ui.train.runs import wait_until

pytestmark = pytest.mark.browser

Serve = Callable[..., Live]
expect.set_options(timeout=GENEROUS)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Six photos as phones and cameras make them; one of them torn."""
    folder = tmp_path_factory.mktemp("phone")
    detailed((400, 240)).save(folder / "anna at sea.png")
    pillow_heif.register_heif_opener()
    detailed((240, 300), seed=1).save(folder / "IMG_0002.HEIC")
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    figure(0.5, 300).resize((400, 300)).save(folder / "turned.jpg", exif=turned)
    detailed((300, 300), seed=3).convert("CMYK").save(folder / "print.jpg")
    detailed((200, 600), seed=4).save(folder / "long<b>.webp", lossless=True)
    (folder / "torn.jpg").write_bytes((folder / "turned.jpg").read_bytes()[:900])
    return sorted(folder.iterdir())


def open_step(page: Page, live: Live) -> Page:
    page.goto(live.url)
    page.get_by_role("tab", name="Train").click()
    page.click("[data-open-step=photos]")
    expect(page.locator("body[data-filled~=photos]")).to_be_visible()  # `fill` does not wait as a hand has to
    return page


def send(page: Page, photos: list[Path]) -> None:
    page.set_input_files(".photos_table input[type=file]", photos)
    expect(page.locator(".photos_table .tile")).to_have_count(len(photos))
    expect(page.locator("#photos_status")).to_have_text("")


def test_a_click_waits_until_the_server_has_filled_the_opening_page(page: Page, live: Live) -> None:
    """The answer would wipe away what the click has shown."""
    held: list[Route] = []
    page.route("**/run/predict*", lambda route: held.append(route))
    page.goto(live.url)
    page.get_by_role("tab", name="Train").click()
    page.click("[data-open-step=photos]")
    button = page.locator("#photos_open")
    with pytest.raises(TimeoutError, match="intercepts pointer events"):
        button.click(trial=True, timeout=1000)
    for route in held:
        route.continue_()
    page.unroute("**/run/predict*")
    button.click()
    expect(page.locator("#photos_status")).to_contain_text("No folder is named")


def album_of(live: Live) -> Album:
    source = live.app.photos.newest()
    assert source
    return live.app.photos.albums.open(source).album


def tile(page: Page, name: str) -> None:
    page.locator(".photos_table .tile", has_text=name).click()
    expect(page.locator(".photos_table .editor h3")).to_have_text(name)


def crop_is(live: Live, name: str, right: Callable[[Crop], bool], page: Page) -> Crop:
    """Wait until the server knows of a crop."""
    for _ in range(100):
        crop = album_of(live).crops.get(name, Crop())
        if right(crop):
            return crop
        page.wait_for_timeout(100)
    raise AssertionError(f"the crop of {name} is {album_of(live).crops.get(name)}")


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir() if path.is_file()}


def test_six_photos_become_pictures_to_train_on(page: Page, serve: Serve, photos: list[Path]) -> None:
    live = serve()
    open_step(page, live)
    send(page, photos)
    source = album_of(live).source
    before = digests(source)
    assert sorted(before.values()) == sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in photos)
    tile(page, "torn.jpg")
    expect(page.locator(".photos_table .remarks")).to_contain_text("“torn.jpg” is damaged")
    torn = page.locator(".photos_table .tile", has_text="torn.jpg")
    assert contrast(torn.locator(".none")) >= 4.5
    assert torn.evaluate("tile => getComputedStyle(tile).paddingLeft") == "4px", "where the frame of the picked one is"
    expect(page.locator("#train_run_preprocess")).to_have_text("Write 5 pictures")

    tile(page, "anna at sea.png")
    stage = page.locator(".photos_table .stage")
    box = stage.bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - box["width"], y, steps=3)
    page.mouse.up()
    crop_is(live, "anna at sea.png", lambda crop: crop.x == pytest.approx(0.3), page)  # 240 of 400 wide, at the edge
    page.mouse.move(x, y)
    page.mouse.wheel(0, -100)
    for key in ("+", "ArrowRight", "Shift+ArrowDown"):
        page.keyboard.press(key)
    zoomed = crop_is(live, "anna at sea.png", lambda crop: crop.zoom == pytest.approx(1.21) and crop.y > 0.54, page)
    assert (zoomed.x, zoomed.y) == pytest.approx((0.31, 0.55))
    page.fill("#photo_caption", "in a boat, smiling")
    tile(page, "turned.jpg")
    page.click(".photos_table .reset + button")
    expect(page.locator("#train_run_preprocess")).to_have_text("Write 4 pictures")
    page.click(".photos_table .reset + button")
    page.click("#train_run_preprocess")
    expect(page.locator("#photos_result")).to_contain_text("Preprocessing finished. 5 pictures written.")
    expect(page.locator("#train_header")).to_contain_text("5 photos")

    ready = source / "preprocess"
    names = ["IMG_0002", "anna at sea", "long_b_", "print", "turned"]
    assert sorted(path.stem[8:] for path in ready.glob("*.png")) == names
    assert (ready / "00001-0-anna at sea.txt").read_text() == "in a boat, smiling"
    assert (ready / "00000-0-IMG_0002.txt").read_text() == ""
    expected = cut(open_image(source / "anna at sea.png"), zoomed, (128, 128))
    assert open_image(ready / "00001-0-anna at sea.png").tobytes() == expected.tobytes()
    album = album_of(live)
    for photo in album.used:
        [name] = album.written.pictures[photo.path.name] if album.written else []
        expected = cut(open_image(photo.path), album.crop(photo), (128, 128))
        assert open_image(ready / name).tobytes() == expected.tobytes()
    assert open_image(source / "turned.jpg").size == (300, 400)
    assert digests(source) == before

    page.reload()
    expect(page.locator(".photos_table .tile")).to_have_count(6)
    expect(page.locator("#photos_result")).to_contain_text("5 pictures written")
    tile(page, "anna at sea.png")
    expect(page.locator("#photo_caption")).to_have_value("in a boat, smiling")
    expect(page.locator(".photos_table .size")).to_have_text("1.2×")
    assert page.locator("#train_process_src input, #train_process_src textarea").input_value() == str(source)
    page.click("#photos_result [data-open-step=train]")
    expect(page.locator("#train_step_train")).to_be_visible()


def test_all_captions_are_edited_and_another_tab_sees_it(page: Page, serve: Serve, photos: list[Path]) -> None:
    live = serve()
    open_step(page, live)
    send(page, photos[:3])
    page.locator(".photos_table .captions summary").click()
    texts = page.locator(".photos_table .rows textarea")
    expect(texts).to_have_count(3)
    page.fill(".photos_table [aria-label=Word]", "<i>sks</i>")
    page.get_by_role("button", name="Add to all").click()
    expect(texts.nth(1)).to_have_value("anna at sea, <i>sks</i>")
    page.fill(".photos_table [aria-label='Search for']", "at sea")
    page.fill(".photos_table [aria-label='Replace by']", "ashore")
    page.get_by_role("button", name="Replace in all").click()
    expect(texts.nth(1)).to_have_value("anna ashore, <i>sks</i>")
    page.get_by_role("button", name="Undo").click()
    expect(texts.nth(1)).to_have_value("anna at sea, <i>sks</i>")
    other = open_step(page.context.new_page(), live)
    expect(other.locator(".photos_table .tile")).to_have_count(3)
    other.locator(".photos_table .tile", has_text="anna at sea.png").click()
    expect(other.locator("#photo_caption")).to_have_value("anna at sea, <i>sks</i>")
    texts.nth(1).fill("by hand")
    texts.nth(1).blur()
    expect(other.locator("#photo_caption")).to_have_value("by hand")
    expect(other.locator(".photos_table .tile i i")).to_have_count(0)  # markup in names and captions stays text

    page.route("**/edit", lambda route: route.abort())  # as if the server had gone
    for caption in ("typed too late", "typed later still"):
        texts.nth(1).fill(caption)
        texts.nth(1).blur()
        expect(page.locator(".photos_table .message")).to_contain_text("waits in this browser")
    page.unroute("**/edit")
    page.reload()
    expect(other.locator("#photo_caption")).to_have_value("typed later still")


def test_the_crop_moves_under_a_finger_and_the_tools_take_effect(
    browser: Browser, serve: Serve, photos: list[Path]
) -> None:
    live = serve()
    page = browser.new_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    open_step(page, live)
    send(page, photos[:2])
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    tile(page, "anna at sea.png")
    stage = page.locator(".photos_table .stage")
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 3
    fingers = page.context.new_cdp_session(page)
    for kind, move in (("touchStart", 0.0), ("touchMove", 0.4), ("touchMove", 0.8), ("touchEnd", None)):
        points = [] if move is None else [{"x": x - move * box["width"] / 2, "y": y}]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    crop_is(live, "anna at sea.png", lambda crop: crop.x == pytest.approx(0.3), page)

    page.get_by_role("button", name="Size: 128×128").click()
    height = page.locator("#train_process_height input[type=number]")
    height.fill("192")
    height.press("Tab")
    expect(page.get_by_role("button", name="Size: 128×192")).to_be_visible()
    expect(page.locator("#photos_ratio input")).to_have_value("2:3 upright")
    expect(page.locator("#photos_status")).to_have_text("")
    assert album_of(live).params.size == (128, 192)
    assert album_of(live).crops["anna at sea.png"].x == pytest.approx(0.3)  # what was decided stays
    assert page.locator("#photos_write").evaluate(
        """bar => [...document.querySelectorAll("#photos_groups [data-testid=block-info]")].every(label => {
            scrollBy(0, label.getBoundingClientRect().top - bar.getBoundingClientRect().top - 16);
            const box = label.getBoundingClientRect();
            return bar.contains(document.elementFromPoint(box.left + 4, box.top + 4));
        })"""
    ), "no label shines through the bar"
    page.close()


def test_what_cannot_be_looked_at_is_said_beside_its_field(page: Page, serve: Serve, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    detailed((200, 200)).save(outside / "anna.png")
    live = serve()
    open_step(page, live)
    box = page.locator("#train_process_src input, #train_process_src textarea")
    page.get_by_role("button", name="Size: 128×128").click()  # the model's
    expect(page.locator("#train_process_height input[type=number]")).to_have_value("128")
    page.locator("#train_process_height input[type=number]").fill("192")
    page.locator("#train_process_height input[type=number]").press("Tab")
    expect(page.get_by_role("button", name="Size: 128×192")).to_be_visible()
    page.click("#train_run_preprocess")
    said = page.locator("#photos_status")
    expect(said).to_contain_text("drop them into the box below")
    sentence, drop = said.bounding_box(), page.locator(".photos_table .drop").bounding_box()
    assert sentence
    assert drop
    assert sentence["y"] < drop["y"]
    box.fill(str(tmp_path / "nowhere"))
    page.click("#photos_open")
    expect(page.locator("#photos_status")).to_contain_text("does not exist")
    box.fill(str(outside))
    expect(page.locator("#photos_status")).to_have_text("")
    page.click("#train_run_preprocess")  # as in A1111: both folders typed, one button
    expect(page.locator("#photos_result")).to_contain_text("1 picture written")
    with Image.open(outside / "preprocess" / "00000-0-anna.png") as written:
        assert written.size == (128, 192), "as it was set before a folder was open"
    expect(page.get_by_role("button", name="Fetch BLIP (1 GB)")).to_be_hidden()
    page.get_by_role("button", name="Captions by BLIP: off").click()
    expect(page.locator("#photos_blip")).to_contain_text("is not on this machine")
    expect(page.get_by_role("button", name="Fetch BLIP (1 GB)")).to_be_visible()
    expect(page.locator("#photos_describe")).to_be_disabled()


def test_a_look_can_be_interrupted_and_survives_a_reload(
    page: Page, serve: Serve, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    free = threading.Semaphore(1)

    def judged_when_free(*given: Any) -> Photo:
        free.acquire(timeout=GENEROUS / 1000)
        return judge(*given)

    monkeypatch.setattr("modules.preprocess.run.judge", judged_when_free)
    live = serve()
    open_step(page, live)
    page.set_input_files(".photos_table input[type=file]", photos[:4])
    expect(page.locator("#photos_status")).to_contain_text("Looking at photos: 2 of 4 · anna at sea.png")
    expect(page.locator(".photos_table .tile")).to_have_count(1)
    page.reload()
    expect(page.locator("#photos_status")).to_contain_text("Looking at photos: 2 of 4 · anna at sea.png")
    expect(page.locator(".photos_table .tile")).to_have_count(1)
    page.click("#train_interrupt_preprocessing")  # which waits until the page is filled
    wait_until(lambda: any(job.asked for job in live.app.jobs.jobs()))
    free.release(9)
    expect(page.locator("#photos_status")).to_contain_text("Looking at photos: interrupted.")
    expect(page.locator(".photos_table .tile")).to_have_count(2)
    page.click("#photos_open")
    expect(page.locator(".photos_table .tile")).to_have_count(4)


def test_blip_is_fetched_on_a_click_that_names_its_size(
    page: Page, serve: Serve, photos: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hub = Hub()
    hub.start()
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    hub.cut = 500_000
    live = serve()
    open_step(page, live)
    send(page, photos[:1])
    page.get_by_role("button", name="Captions by BLIP: off").click()
    assert hub.asked == []
    page.get_by_role("button", name="Fetch BLIP (1 GB)").click()
    expect(page.locator("#photos_blip")).to_contain_text("cannot be reached from here. What was fetched is kept")
    hub.cut = None
    page.get_by_role("button", name="Fetch BLIP (1 GB)").click()
    expect(page.locator("#photos_blip")).to_contain_text("BLIP is on this machine")
    expect(page.get_by_role("button", name="Fetch BLIP (1 GB)")).to_be_hidden()
    assert (live.app.paths.data / "models" / "BLIP" / "model.safetensors").read_bytes() == CONTENT["model.safetensors"]
    page.click("#photos_describe")  # the files are no model: it says so
    expect(page.locator("#photos_status")).to_contain_text("BLIP")
    expect(page.locator("#photos_status .bad")).to_be_visible()
    hub.stop()


def test_an_open_server_looks_below_its_data_folder_only(browser: Browser, serve: Serve, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    detailed((200, 200)).save(outside / "anna.png")
    live = serve(flags=Flags(listen=True, logins=(("me", "secret"),)))
    context = browser.new_context(http_credentials={"username": "me", "password": "secret"})
    page = open_step(context.new_page(), live)
    page.locator("#train_process_src input, #train_process_src textarea").fill(str(outside))
    page.click("#photos_open")
    expect(page.locator("#photos_status")).to_contain_text("only below")
    expect(page.locator(".photos_table .tile")).to_have_count(0)
    assert sorted(path.name for path in outside.iterdir()) == ["anna.png"]
    context.close()
