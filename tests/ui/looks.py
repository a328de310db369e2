"""What can be measured of the page's looks."""

from playwright.sync_api import Locator, Page

_CONTRAST = """(element, property) => {
    const parts = text => {
        const found = text.match(/[\\d.]+/g).map(Number);
        return [...found.slice(0, 3), found[3] ?? 1];
    };
    const over = ([r, g, b, a], below) => [r, g, b].map((value, i) => value * a + below[i] * (1 - a));
    const light = color => color.map(value => value / 255)
        .map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
        .reduce((sum, value, i) => sum + value * [0.2126, 0.7152, 0.0722][i], 0);
    const around = [];
    let opacity = 1;
    for (let one = element; one; one = one.parentElement) {
        around.push(parts(getComputedStyle(one).backgroundColor));
        opacity *= Number(getComputedStyle(one).opacity);
    }
    const below = around.reverse().reduce((color, next) => over(next, color), [255, 255, 255]);
    const [r, g, b, a] = parts(getComputedStyle(element)[property]);
    const [high, low] = [light(over([r, g, b, a * opacity], below)), light(below)].sort((x, y) => y - x);
    return (high + 0.05) / (low + 0.05);
}"""
_SHIFTS = """() => {
    window.shifts = 0;
    const note = list => list.getEntries().forEach(entry => (window.shifts += entry.hadRecentInput ? 0 : entry.value));
    new PerformanceObserver(note).observe({type: "layout-shift", buffered: true});
}"""


def contrast(drawn: Locator, what: str = "color") -> float:
    """How far a text, or a line with `what="stroke"`, stands out from what is behind it: 1 is not at all."""
    return drawn.evaluate(_CONTRAST, what)


def watch_shifts(page: Page) -> None:
    """Note from now on, in this page and those it opens, what moves though nobody touched it."""
    page.add_init_script(f"({_SHIFTS})()")


def shifts(page: Page) -> float:
    """How much has moved since then, in the browser's measure: 0.1 counts as good."""
    return page.evaluate("window.shifts")
