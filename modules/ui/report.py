"""The difference report beside the form: what a picture says and what is here, each with its way out."""

from markupsafe import Markup

from modules.remake.difference import Difference
from modules.remake.remake import Remake
from modules.ui.fragments import NOTHING, join

CLICKS = """
element.addEventListener("click", event => {
    const button = event.target.closest("[data-way]");
    if (button) trigger("select", {index: 0, value: button.dataset.way});
});
"""
CLOSE = "close"

_REPORT = Markup('<section class="report" aria-label="What differs from the picture">{}</section>')


def report(remake: Remake) -> Markup:
    """The whole report; nothing for a text that is a prompt alone."""
    if not remake.has_parameters:
        return NOTHING
    weighty = [difference for difference in remake.differences if not difference.harmless]
    harmless = [difference for difference in remake.differences if difference.harmless]
    numbered = list(enumerate(remake.differences))
    head = Markup('<div class="report_head"><h2>{}</h2>{}</div>').format(
        _title(len(weighty)), _button("Close", CLOSE, "close")
    )
    items = join([_item(number, difference) for number, difference in numbered if difference in weighty])
    quiet = join([_item(number, difference) for number, difference in numbered if difference in harmless])
    body = Markup("<dl>{}</dl>").format(items) if items else NOTHING
    if quiet:
        body += Markup('<dl class="quiet">{}</dl>').format(quiet)
    return _REPORT.format(head + body)


def message(text: str) -> Markup:
    """A sentence where the report would stand."""
    sentence = Markup('<p class="notice bad" role="alert">{}</p>').format(text)
    return _REPORT.format(
        Markup('<div class="report_head">{}{}</div>').format(sentence, _button("Close", CLOSE, "close"))
    )


def _title(weighty: int) -> str:
    if not weighty:
        return "The form is filled in: Generate draws the picture again"
    return "One thing differs from the picture" if weighty == 1 else f"{weighty} things differ from the picture"


def _item(number: int, difference: Difference) -> Markup:
    buttons = join([_button(way.label, f"{number}.{position}") for position, way in enumerate(difference.ways)])
    return Markup("<dt>{}</dt><dd><p>{}</p>{}</dd>").format(
        difference.subject, difference.text, Markup("<div>{}</div>").format(buttons) if buttons else NOTHING
    )


def _button(label: str, way: str, kind: str = "") -> Markup:
    return Markup('<button type="button" class="{}" data-way="{}">{}</button>').format(kind, way, label)
