"""The page's script alone, on a bare page: weights and places of words by keys."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page

from modules.ui import assets

pytestmark = pytest.mark.browser

BARE = "<div id='txt2img_prompt'><textarea></textarea></div><input id='other'>"


@pytest.fixture(scope="module")
def press(browser: Browser) -> Callable[..., str]:
    page: Page = browser.new_page()
    page.set_content(BARE)
    page.evaluate(assets.script())
    return lambda text, *keys: _press(page, text, *keys)


def _press(page: Page, text: str, *keys: str) -> str:
    """What becomes of a text under keys; `¦` marks the cursor, two of them a selection, before and after."""
    parts = text.split("¦")
    start, end = len(parts[0]), len("".join(parts[:2])) if len(parts) == 3 else len(parts[0])
    box = page.locator("textarea")
    box.fill("".join(parts))
    box.evaluate("(box, range) => box.setSelectionRange(...range)", [start, end])
    for key in keys:
        box.press(key)
    value = box.input_value()
    start, end = box.evaluate("box => [box.selectionStart, box.selectionEnd]")
    return f"{value[:start]}¦{value[start:end]}¦{value[end:]}" if end > start else f"{value[:start]}¦{value[start:]}"


@pytest.mark.parametrize(
    ("text", "key", "expected"),
    [
        ("a ¦cat¦ b", "ArrowUp", "a (¦cat¦:1.1) b"),
        ("a c¦at b", "ArrowUp", "a (¦cat¦:1.1) b"),
        ("a cat¦", "ArrowDown", "a (¦cat¦:0.9)"),
        ("a (c¦at:1.1) b", "ArrowUp", "a (¦cat¦:1.2) b"),
        ("a (c¦at:1.1) b", "ArrowDown", "a ¦cat¦ b"),
        ("a (¦cat¦:1.1)", "ArrowDown", "a ¦cat¦"),
        ("(c¦at)", "ArrowUp", "(¦cat¦:1.2)"),
        ("((c¦at))", "ArrowUp", "(¦cat¦:1.3)"),
        ("[c¦at]", "ArrowDown", "(¦cat¦:0.8)"),
        ("(cat:1.¦25)", "ArrowUp", "(¦cat¦:1.35)"),
        ("(cat:0.1¦)", "ArrowDown", "(¦cat¦:0.0)"),
        ("(c¦at:1.9)", "ArrowUp", "(¦cat¦:2.0)"),
        ("(c¦at:-0.1)", "ArrowDown", "(¦cat¦:-0.2)"),
        ("¦two words ¦then", "ArrowUp", "(¦two words¦:1.1) then"),
        ("a (b, (c¦at:1.2), d:1.5)", "ArrowUp", "a (b, (¦cat¦:1.3), d:1.5)"),
        ("<lora:na¦me:0.8>", "ArrowUp", "<¦lora:name¦:0.85>"),
        ("<lora:name:1¦>", "ArrowUp", "<¦lora:name¦:1.05>"),
        ("<lora:name:0.95¦>", "ArrowUp", "<¦lora:name¦:1.0>"),
        ("[red ha¦ir | blue]", "ArrowUp", "[red (¦hair¦:1.1) | blue]"),
        ("[re¦d:blue:0.5]", "ArrowUp", "[(¦red¦:1.1):blue:0.5]"),
        ("a, ¦, b", "ArrowUp", "a, ¦, b"),
        ("¦", "ArrowUp", "¦"),
        ("¦   ¦", "ArrowUp", "¦   ¦"),
        ("l'é¦té", "ArrowUp", "(¦l'été¦:1.1)"),
        ("a (unclosed c¦at", "ArrowUp", "a (unclosed (¦cat¦:1.1)"),
    ],
)
def test_weights(press: Callable[..., str], text: str, key: str, expected: str) -> None:
    assert press(text, f"Control+{key}") == expected


def test_up_and_down_come_back(press: Callable[..., str]) -> None:
    assert press("a c¦at b", *["Control+ArrowUp"] * 4, *["Control+ArrowDown"] * 4) == "a ¦cat¦ b"


def test_what_was_typed_can_be_undone(press: Callable[..., str]) -> None:
    assert press("a c¦at b", "Control+ArrowUp", "Control+z").replace("¦", "") == "a cat b"


@pytest.mark.parametrize(
    ("text", "key", "expected"),
    [
        ("a, b¦, c", "ArrowLeft", "b¦, a, c"),
        ("a, b¦, c", "ArrowRight", "a, c, b¦"),
        ("a¦, b", "ArrowLeft", "a¦, b"),
        ("a, b¦", "ArrowRight", "a, b¦"),
        ("one, (two, tw¦o:1.2), three", "ArrowLeft", "(two, tw¦o:1.2), one, three"),
        ("one, [a|b, c], thr¦ee", "ArrowLeft", "one, thr¦ee, [a|b, c]"),
        ("a,  b,c¦", "ArrowLeft", "a,  c¦,b"),
        ("a, ¦b, c¦, d", "ArrowRight", "a, d, ¦b, c¦"),
        ("alone¦", "ArrowLeft", "alone¦"),
        ("a, \\(b, c\\)¦", "ArrowLeft", "a, c\\)¦, \\(b"),
    ],
)
def test_places(press: Callable[..., str], text: str, key: str, expected: str) -> None:
    assert press(text, f"Alt+{key}") == expected
