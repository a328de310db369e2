"""The page in a real browser, drawn by the stand-in: what a user sees in every state."""

import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Response, Route, expect

from modules.errors import FileFormatError
from modules.flags import Flags
from modules.jobs import JobState, Work
from modules.ui.fragments import EXAMPLES
from tests.conftest import GENEROUS
from tests.ui.conftest import Live
from tests.ui.corpus import HOSTILE
from tests.ui.looks import shifts, watch_shifts
from tests.ui.train.runs import wait_until

pytestmark = pytest.mark.browser

LOAD_EVENT = "gradio_config.dependencies.find(event => event.targets.some(([, name]) => name === 'load')).id"
Serve = Callable[..., Live]
expect.set_options(timeout=GENEROUS)


def open_page(page: Page, live: Live) -> Page:
    page.goto(live.url)
    expect(page.locator("#txt2img_generate")).to_be_enabled()
    return page


def number(page: Page, field: str) -> str:
    return page.locator(f"#txt2img_{field} input[type=number]").input_value()


def fill(page: Page, field: str, value: str) -> None:
    """Type into a number box as a user does: the value counts when the box is left."""
    box = page.locator(f"#txt2img_{field} input[type=number]")
    box.fill(value)
    box.press("Tab")


def pictures(page: Page) -> list[str]:
    return [image.get_attribute("src") or "" for image in page.locator("#txt2img_gallery .thumbnails img").all()]


def first_answer(page: Page, open: Callable[[], object], same: Page) -> str:
    """What the server says to a page that opens, before the page's timer asks again; `same` is open already."""
    load = same.evaluate(LOAD_EVENT)

    def is_load(response: Response) -> bool:
        sent = response.request.post_data_json if "/run/predict" in response.url else {}
        return bool(sent) and sent["fn_index"] == load

    with page.expect_response(is_load) as answer:
        open()
    return answer.value.text()


def test_loading_then_ready_then_a_picture(page: Page, serve: Serve) -> None:
    loading = threading.Event()
    page.goto(serve(loading=loading).url)
    expect(page.locator("#txt2img_stage")).to_contain_text("Loading the model")
    expect(page.locator("#txt2img_generate")).to_be_disabled()
    page.fill("#txt2img_prompt textarea", "a (cat:1.2)")
    loading.set()
    expect(page.locator("#txt2img_generate")).to_be_enabled()
    expect(page.locator("#txt2img_stage")).to_contain_text("demo model")
    for name, value in {"width": "128", "steps": "12", "cfg_scale": "5"}.items():
        expect(page.locator(f"#txt2img_{name} input[type=number]")).to_have_value(value)
    expect(page.locator("#txt2img_token_counter")).to_have_text("2/75")
    page.locator("#txt2img_prompt textarea").press("Control+Enter")
    expect(page.locator("#html_info_txt2img")).to_contain_text("a (cat:1.2)\nSteps: 12, CFG scale: 5")
    expect(page.locator("#html_log_txt2img")).to_contain_text("Time taken")
    expect(page.locator("#html_log_txt2img")).to_contain_text("outputs/txt2img-images/2026-01-02/00000-1000")
    expect(page.locator("#txt2img_stage .card")).to_have_count(0)


def test_live_preview_stands_where_the_picture_will_stand(page: Page, live: Live) -> None:
    live.app.pace = None
    open_page(page, live)
    page.click("#txt2img_generate")
    live.app.steps.release(3)
    preview = page.locator("#txt2img_stage img.live")
    expect(preview).to_have_attribute("alt", "Live preview, step 3 of 12")
    expect(page.locator("#txt2img_interrupt")).to_be_visible()
    expect(page.locator("#txt2img_skip")).to_be_visible()
    expect(page.locator("#txt2img_generate")).to_be_enabled()
    before = preview.bounding_box()
    live.app.steps.release(100)
    expect(preview).to_have_count(0)
    expect(page.locator("#txt2img_interrupt")).to_be_hidden()
    assert page.locator("#txt2img_gallery [data-testid=detailed-image]").bounding_box() == before


def test_reload_in_mid_run_attaches_again(page: Page, live: Live) -> None:
    live.app.pace = None
    open_page(page, live)
    page.fill("#txt2img_prompt textarea", "half [a|b]")
    fill(page, "steps", "4")
    fill(page, "batch_count", "2")
    page.click("#txt2img_generate")
    live.app.steps.release(5)
    expect(page.locator("#html_log_txt2img")).to_contain_text("batch 2 of 2, step 1/4")
    answer = first_answer(page, page.reload, page)
    assert "batch 2 of 2, step 1/4" in answer  # no waiting for the timer: well below two seconds
    expect(page.locator("#html_log_txt2img")).to_contain_text("batch 2 of 2, step 1/4")
    expect(page.locator("#txt2img_prompt textarea")).to_have_value("half [a|b]")
    assert (number(page, "steps"), number(page, "batch_count"), number(page, "width")) == ("4", "2", "128")
    live.app.steps.release(100)
    expect(page.locator("#html_log_txt2img")).to_contain_text("Time taken")
    assert len(pictures(page)) == 3
    page.reload()
    expect(page.locator("#html_log_txt2img")).to_contain_text("Time taken")
    assert len(pictures(page)) == 3


def test_interrupt_keeps_what_there_is(page: Page, live: Live) -> None:
    live.app.pace = None
    open_page(page, live)
    page.click("#txt2img_generate")
    live.app.steps.release(2)
    expect(page.locator("#html_log_txt2img")).to_contain_text("step 2/12")
    page.keyboard.press("Escape")
    expect(page.locator("#html_log_txt2img")).to_contain_text("interrupting…")
    live.app.steps.release(1)
    expect(page.locator("#html_log_txt2img")).to_contain_text("Interrupted · Time taken")
    expect(page.locator("#txt2img_gallery [data-testid=detailed-image]")).to_be_visible()


def test_escape_closes_what_is_open_before_it_interrupts(page: Page, live: Live) -> None:
    live.app.pace = None
    open_page(page, live)
    page.click("#txt2img_generate")
    live.app.steps.release(2)
    log = page.locator("#html_log_txt2img")
    expect(log).to_contain_text("step 2/12")
    page.locator("#txt2img_sampling input").click()
    expect(page.get_by_role("option", name="Heun", exact=True)).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("option")).to_have_count(0)
    page.evaluate("document.querySelector('#compare_large').showModal()")
    page.keyboard.press("Escape")
    expect(page.locator("#compare_large")).to_be_hidden()
    live.app.steps.release(1)
    expect(log).to_contain_text("step 3/12")
    running = live.app.jobs.running()
    assert running
    assert not running.asked
    page.locator("#txt2img_prompt textarea").press("Escape")  # nothing is open any more
    expect(log).to_contain_text("interrupting…")


def test_skip_goes_on_with_the_next_batch(page: Page, live: Live) -> None:
    live.app.pace = None
    open_page(page, live)
    fill(page, "batch_count", "2")
    page.click("#txt2img_generate")
    live.app.steps.release(1)
    expect(page.locator("#html_log_txt2img")).to_contain_text("batch 1 of 2, step 1/12")
    page.click("#txt2img_skip")
    running = live.app.jobs.running()
    while running and not running.asked:  # the click has to arrive before the steps go on
        page.wait_for_timeout(20)
    live.app.steps.release(2)
    expect(page.locator("#html_log_txt2img")).to_contain_text("batch 2 of 2")
    live.app.steps.release(100)
    expect(page.locator("#html_log_txt2img")).to_contain_text("Time taken")


def test_queue_shows_titles_to_all_and_pictures_to_their_browser(page: Page, browser: Browser, live: Live) -> None:
    live.app.pace = None
    open_page(page, live)
    page.fill("#txt2img_prompt textarea", "a zebra")
    page.click("#txt2img_generate")
    expect(page.locator("#job_line")).to_contain_text("working")
    context = browser.new_context()
    other = open_page(context.new_page(), live)
    other.click("#txt2img_generate")
    expect(other.locator("#job_line")).to_contain_text("job 1 of 2")
    other.click("#job_line button")
    panel = other.locator("#queue_panel")
    expect(panel.locator("li")).to_have_count(2)
    expect(panel.locator("li").first).to_contain_text("another browser’s")
    expect(panel).not_to_contain_text("zebra")
    expect(other.locator("#txt2img_interrupt")).to_be_hidden()  # the running job is not theirs
    panel.get_by_role("button", name=re.compile("Cancel")).click()
    expect(panel.locator("li")).to_have_count(1)
    live.app.steps.release(100)
    expect(page.locator("#html_log_txt2img")).to_contain_text("Time taken")
    expect(other.locator("#job_line")).to_contain_text("idle")
    assert pictures(other) == []
    assert "zebra" not in other.content()
    context.close()


def test_a_second_tab_shows_the_same(page: Page, live: Live) -> None:
    live.app.pace = None
    open_page(page, live)
    page.click("#txt2img_generate")
    live.app.steps.release(2)
    expect(page.locator("#html_log_txt2img")).to_contain_text("step 2/12")
    second = page.context.new_page()
    assert "step 2/12" in first_answer(second, lambda: second.goto(live.url), page)
    expect(second.locator("#html_log_txt2img")).to_contain_text("step 2/12")
    second.click("#txt2img_interrupt")
    expect(second.locator("#html_log_txt2img")).to_contain_text("interrupting…")  # else it could end before it is told
    live.app.steps.release(100)
    for tab in (page, second):
        expect(tab.locator("#html_log_txt2img")).to_contain_text("Interrupted")


def test_full_queue_is_told_beside_the_button(page: Page, live: Live) -> None:
    live.app.pace = None
    open_page(page, live)
    complaint = page.locator("#txt2img_complaint")
    for _ in range(200):  # a click while the one before is being sent is no second one
        page.click("#txt2img_generate")
        if complaint.inner_text():
            break
    expect(complaint).to_contain_text("queue is full")
    assert len([job for job in live.app.jobs.jobs() if job.state is JobState.WAITING]) == 16


def test_a_value_that_cannot_be_used_is_told_and_marked(page: Page, live: Live) -> None:
    open_page(page, live)
    page.fill("#txt2img_seed input", "seven")
    page.click("#txt2img_generate")
    expect(page.locator("#txt2img_complaint")).to_contain_text("Seed “seven” is no whole number")
    frame = "element => getComputedStyle(element).borderColor"
    calm = page.locator("#txt2img_batch_size input[type=number]").evaluate(frame)
    assert page.locator("#txt2img_seed input").evaluate(frame) != calm
    page.fill("#txt2img_prompt textarea", "a cat")  # another field
    expect(page.locator("#txt2img_token_counter")).to_have_text("2/75")
    expect(page.locator("#txt2img_complaint")).to_contain_text("Seed “seven”")
    page.fill("#txt2img_seed input", "9" * 20)
    page.click("#txt2img_generate")
    expect(page.locator("#txt2img_complaint")).to_contain_text(f"Seed {'9' * 20} is too large")
    assert page.locator("#txt2img_complaint").evaluate("box => box.scrollWidth <= box.clientWidth")
    page.click("#txt2img_random_seed")
    expect(page.locator("#txt2img_seed input")).to_have_value("-1")
    expect(page.locator("#txt2img_complaint")).to_have_text("")
    page.locator("#txt2img_prompt textarea").focus()
    assert page.locator("#txt2img_seed input").evaluate(frame) == calm
    page.click("#txt2img_generate")
    expect(page.locator("#html_log_txt2img")).to_contain_text("Time taken")


def test_number_that_is_sent_before_its_box_corrected_it(page: Page, live: Live) -> None:
    open_page(page, live)
    box = page.locator("#txt2img_steps input[type=number]")
    for text, sentence in (("5000", "lies outside 1 … 1000"), ("", "must be a whole number")):
        box.fill(text)
        box.press("Control+Enter")
        expect(page.locator("#txt2img_complaint")).to_contain_text(sentence)


def test_failed_run_says_why_and_the_next_one_works(page: Page, live: Live) -> None:
    live.app.failing = True
    open_page(page, live)
    page.click("#txt2img_generate")
    expect(page.locator("#txt2img_stage")).to_contain_text("There is too little memory for 128×128")
    live.app.failing = False
    page.click("#txt2img_generate")
    expect(page.locator("#html_info_txt2img")).to_contain_text("Steps: 12")
    expect(page.locator("#txt2img_stage .card")).to_have_count(0)


def test_our_own_mistake_shows_no_traceback_and_no_path(
    page: Page, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_page(page, live)
    zebra = f"zebra {live.app.paths.data}"

    def broken(*_: object) -> Work:
        raise RuntimeError(zebra)
        yield

    monkeypatch.setattr(live.app, "_txt2img", broken)
    page.click("#txt2img_generate")
    expect(page.locator("#txt2img_stage")).to_contain_text(re.compile("id [0-9a-f]+"))

    def broken_too(*_: object, **__: object) -> None:
        raise RuntimeError(zebra)

    monkeypatch.setattr(live.app, "generate", broken_too)
    page.click("#txt2img_generate")
    expect(page.locator("#txt2img_complaint")).to_contain_text(re.compile("id [0-9a-f]+"))
    assert "zebra" not in page.content()
    assert "Traceback" not in page.content()
    assert live.app.paths.log_file.read_text("utf-8").count(f"RuntimeError: {zebra}") == 2


def test_seed_of_the_picture_that_is_looked_at(page: Page, live: Live) -> None:
    open_page(page, live)
    page.fill("#txt2img_seed input", "9007199254740993")  # more than a number in the browser can hold
    fill(page, "batch_size", "2")
    page.click("#txt2img_generate")
    expect(page.locator("#html_log_txt2img")).to_contain_text("grid")
    page.click("#txt2img_random_seed")
    thumbnails = page.locator("#txt2img_gallery .thumbnails button")
    thumbnails.nth(1).click()
    expect(page.locator("#html_info_txt2img")).to_contain_text("Seed: 9007199254740994")
    expect(page.locator("#html_log_txt2img")).to_contain_text("00001-9007199254740994")
    page.click("#txt2img_reuse_seed")
    expect(page.locator("#txt2img_seed input")).to_have_value("9007199254740994")


def test_downloaded_picture_keeps_its_parameters(page: Page, live: Live, tmp_path: Path) -> None:
    open_page(page, live)
    page.fill("#txt2img_prompt textarea", "a cat")
    page.click("#txt2img_generate")
    expect(page.locator("#html_log_txt2img")).to_contain_text("Time taken")
    with page.expect_download() as download:
        page.locator("#txt2img_gallery").get_by_role("button", name="Download").click()
    download.value.save_as(tmp_path / "saved.png")
    with Image.open(tmp_path / "saved.png") as image:
        assert image.info["parameters"].startswith("a cat\nSteps: 12")


def test_touched_fields_stay_and_others_follow_the_model(page: Page, live: Live) -> None:
    open_page(page, live)
    fill(page, "width", "192")
    page.click("#txt2img_res_switch_btn")
    expect(page.locator("#txt2img_height input[type=number]")).to_have_value("192")
    assert number(page, "width") == "128"
    page.reload()
    expect(page.locator("#txt2img_height input[type=number]")).to_have_value("192")
    expect(page.locator("#txt2img_cfg_scale input[type=number]")).to_have_value("5")


def test_what_is_typed_while_the_models_values_are_under_way_stays(page: Page, serve: Serve) -> None:
    loading, held = threading.Event(), []

    def hold(route: Route) -> None:
        response = route.fetch()
        data = response.json().get("data", [])
        if len(data) == 1 and '"width": 128' in str(data[0]):  # not those from before it was there: they may come late
            held.append((route, response))
        else:
            route.fulfill(response=response)

    page.route("**/run/predict*", hold)
    page.goto(serve(loading=loading).url)
    expect(page.locator("#txt2img_stage")).to_contain_text("Loading the model")  # values are asked for already
    loading.set()
    expect(page.locator("#txt2img_generate")).to_be_enabled()
    fill(page, "steps", "7")
    for _ in range(600):  # half a minute; it took a second
        if held:
            break
        page.wait_for_timeout(50)
    assert held, "the model's values came by"
    for route, response in held:
        route.fulfill(response=response)
    expect(page.locator("#txt2img_width input[type=number]")).to_have_value("128")  # the model's
    assert number(page, "steps") == "7"
    page.unroute_all(behavior="ignoreErrors")  # the page goes on asking


def test_what_is_typed_before_the_page_has_its_values_stays(page: Page, live: Live) -> None:
    """The rest is filled in: what the browser remembers, and what the model recommends."""
    open_page(page, live)
    page.fill("#txt2img_neg_prompt textarea", "rain")
    page.fill("#txt2img_prompt textarea", "an old prompt")
    fill(page, "steps", "7")
    page.click("#txt2img_res_switch_btn")
    load, held = page.evaluate(LOAD_EVENT), []

    def hold(route: Route) -> None:
        sent = route.request.post_data_json
        if not held and sent and sent["fn_index"] == load:
            held.append(route)
        else:
            route.continue_()

    page.route("**/run/predict*", hold)
    page.reload()
    box = page.locator("#txt2img_prompt textarea")
    for _ in range(600):  # half a minute; the page asks as soon as it stands
        if held:
            break
        page.wait_for_timeout(50)
    assert held, "the page's question came by"
    box.press_sequentially("a cat")
    held[0].continue_()
    expect(page.locator("#txt2img_neg_prompt textarea")).to_have_value("rain")
    expect(page.locator("#txt2img_cfg_scale input[type=number]")).to_have_value("5")
    assert (number(page, "steps"), number(page, "width")) == ("7", "128")
    assert box.input_value() == "a cat"
    page.unroute_all(behavior="ignoreErrors")
    page.reload()
    expect(page.locator("#txt2img_generate")).to_be_enabled()
    expect(box).to_have_value("a cat")
    expect(page.locator("#txt2img_neg_prompt textarea")).to_have_value("rain")


def test_switch_that_fails_leaves_the_old_model(page: Page, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    live = serve()  # Gradio's lists tell a choice twice: the second time may come when the test is over
    open_page(page, live)

    def refuse(*_: object) -> None:
        raise FileFormatError("“other” is a LoRA: a Stable Diffusion 1.x or 2.x model is needed.")

    monkeypatch.setattr(live.app.models, "select", refuse)
    picker = page.locator("#setting_sd_model_checkpoint input")
    picker.click()
    page.get_by_role("option", name=re.compile("other")).click()
    expect(page.get_by_text("is a LoRA")).to_be_visible()
    expect(picker).to_have_value(re.compile("demo-portraits"))


def test_reading_of_a_prompt(page: Page, live: Live) -> None:
    open_page(page, live)
    page.get_by_role("button", name="How this prompt is read").click()
    page.fill("#txt2img_prompt textarea", "(cat:1.4) [red | blue]")
    panel = page.locator("#txt2img_reading_panel")
    expect(panel.locator(".chip").first).to_have_text("cat1.4")
    expect(panel.locator(".chip").nth(1)).to_have_text("red ⇄ blue")
    expect(panel.locator(".steps li")).to_have_count(12)
    page.fill("#txt2img_neg_prompt textarea", "[cat|a b c d e f]")
    expect(page.locator("#txt2img_negative_token_counter")).to_have_text("6/75")
    page.locator("#txt2img_prompt textarea").press("Control+a")
    page.locator("#txt2img_prompt textarea").press("Delete")
    expect(panel.locator(".chip")).to_have_count(0)
    expect(page.locator("#txt2img_token_counter")).to_have_text("0/75")
    page.fill("#txt2img_prompt textarea", "aspect 16:9")
    expect(panel.locator(".notes")).to_contain_text("“:9” at the end is read as text")
    page.fill("#txt2img_prompt textarea", "aspect 16:9\nSteps: 20, Seed: 1, Size: 128x128, Version: v1.10.1")
    page.click("#paste")
    expect(page.locator("#txt2img_override_settings")).to_contain_text("A1111 exact")
    expect(panel.locator(".notes")).to_contain_text("“:9” at the end weighs the whole prompt")


def test_an_example_is_written_into_the_prompt_and_can_be_taken_back(page: Page, serve: Serve) -> None:
    open_page(page, serve())
    box = page.locator("#txt2img_prompt textarea")
    box.fill("a cat")
    page.locator("#txt2img_stage").get_by_role("button", name="Half a panda").press("Enter")
    expect(box).to_have_value(EXAMPLES["Half a panda"])
    expect(box).to_be_focused()
    box.press("Control+z")
    expect(box).to_have_value("a cat")
    box.press("Control+Shift+z")
    box.press("Control+Enter")
    expect(page.locator("#html_info_txt2img")).to_contain_text(EXAMPLES["Half a panda"])


def test_keys_reach_the_form(page: Page, live: Live) -> None:
    open_page(page, live)
    box = page.locator("#txt2img_prompt textarea")
    box.fill("a cat")
    box.press("Control+ArrowUp")
    assert box.input_value() == "a (cat:1.1)"
    box.press("Control+Enter")
    expect(page.locator("#html_info_txt2img")).to_contain_text("a (cat:1.1)")


def test_markup_never_acts(page: Page, live: Live) -> None:
    """The page fixture fails on any dialog; nothing may be added to the page but text."""
    open_page(page, live)
    page.get_by_role("button", name="How this prompt is read").click()
    for text in HOSTILE:
        page.fill("#txt2img_neg_prompt textarea", text)
        page.fill("#txt2img_prompt textarea", f"[x|{text}")
        page.fill("#txt2img_seed input", "1")
        page.click("#txt2img_generate")
        expect(page.locator("#html_info_txt2img .infotext")).to_contain_text(text)
        expect(page.locator("#html_log_txt2img")).to_contain_text(f"A note about [x|{text}")
        page.fill("#txt2img_seed input", text)
        page.click("#txt2img_generate")
        expect(page.locator("#txt2img_complaint")).to_contain_text(text[:20])
    page.reload()
    expect(page.locator("#html_info_txt2img .infotext")).to_contain_text(HOSTILE[-1])
    assert page.evaluate("window.__xss") is None
    added = page.locator(".gradio-container").locator("iframe, img[src=x], script:not([src]), em, mark, a[href^=java]")
    assert added.count() == 0


def test_stopped_server_is_told_and_the_page_attaches_by_itself(page: Page, serve: Serve) -> None:
    live = serve()
    open_page(page, live)
    page.fill("#txt2img_prompt textarea", "kept")
    live.stop()
    expect(page.locator("#server_gone")).to_contain_text("The server has stopped; your work is saved")
    serve(port=live.port)
    expect(page.locator("#server_gone")).to_have_text("")
    expect(page.locator("#txt2img_generate")).to_be_enabled()
    expect(page.locator("#txt2img_prompt textarea")).to_have_value("kept")


def test_login_is_asked_for_by_the_browser(browser: Browser, serve: Serve) -> None:
    live = serve(flags=Flags(logins=(("ann", "secret"),)))
    context = browser.new_context(http_credentials={"username": "ann", "password": "secret"})
    page = open_page(context.new_page(), live)
    page.click("#txt2img_generate")
    expect(page.locator("#html_log_txt2img")).to_contain_text("Time taken")
    assert live.app.users == ["ann"]
    page.click("#txt2img_upscale")
    wait_until(lambda: live.app.users == ["ann", "ann"])
    context.close()


def test_theme_of_the_flag_holds(page: Page, serve: Serve) -> None:
    live = serve(flags=Flags(theme="dark"))
    open_page(page, live)
    assert page.evaluate("document.body.classList.contains('dark')")
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"  # scroll bars, spinners


def test_prompt_button_and_picture_are_on_one_screen(page: Page, live: Live) -> None:
    watch_shifts(page)
    for width, height in ((1440, 900), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        open_page(page, live)  # the second time, the picture is there already
        assert shifts(page) < 0.1
        if width == 1440:
            page.click("#txt2img_generate")
        expect(page.locator("#html_log_txt2img")).to_contain_text("Time taken")
        bottom = page.locator("#txt2img_actions").bounding_box() if width < 1000 else {"y": height}
        assert bottom is not None
        for element in ("#txt2img_prompt", "#txt2img_gallery"):
            box = page.locator(element).bounding_box()
            assert box is not None
            assert box["y"] >= 0
            assert box["y"] + box["height"] <= bottom["y"] + 1  # a rounded pixel
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        box = page.locator("#txt2img_generate").bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= height


def test_every_button_has_a_name_and_focus_is_seen(page: Page, live: Live) -> None:
    open_page(page, live)
    for button in page.locator("button:visible").all():
        name = button.get_attribute("aria-label") or button.inner_text() or button.text_content() or ""
        assert name.strip()
    assert page.locator("#txt2img_res_switch_btn").get_attribute("title") == "Swap width and height"
    page.locator("#txt2img_prompt textarea").focus()
    page.keyboard.press("Tab")
    shown = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(shown) == "solid"
    page.locator("#txt2img_steps input[type=range]").focus()
    assert page.evaluate(shown) == "solid"
    queue = page.locator("#job_line button")
    for expanded in ("false", "true", "false"):
        expect(queue).to_have_attribute("aria-expanded", expanded)
        queue.press("Enter")
