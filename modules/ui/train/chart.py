"""Curves as SVG: lines that stretch with their box, and labels beside them that do not."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

WIDTH, HEIGHT = 1000, 100  # of the drawing's own units


@dataclass(frozen=True)
class Curve:
    """One line.

    Attributes:
        name: for the legend.
        kind: its look, a class of the style sheet.
        points: (step, value), steps rising.
    """

    name: str
    kind: str
    points: Sequence[tuple[float, float]]

    @property
    def values(self) -> list[float]:
        return [value for _, value in self.points]

    @property
    def last(self) -> float:
        return self.points[-1][1]


def chart(title: str, curves: Sequence[Curve], first: float, last: float) -> Markup:
    """A chart of a fixed height. Each curve fills it; the ends of its scale are written at the left, in its colour.

    Args:
        title: what a screen reader says first.
        curves: those without points stand in the legend only.
        first, last: ends of the step axis, the same for all charts below each other.
    """
    drawn = [curve for curve in curves if curve.points]
    legend = [
        Markup('<span class="{}"><i aria-hidden="true"></i>{} <b>{}</b></span>').format(
            curve.kind, curve.name, number(curve.last) if curve.points else "–"
        )
        for curve in curves
    ]
    told = ", ".join(f"{curve.name} {number(curve.last)}" for curve in drawn) or "nothing measured yet"
    return Markup(
        '<figure class="chart"><figcaption>{}</figcaption>'
        '<div class="plot" role="img" aria-label="{}: {}"><svg viewBox="0 0 {} {}" preserveAspectRatio="none" '
        'aria-hidden="true">{}</svg>{}{}</div></figure>'
    ).format(
        Markup("").join(legend),
        title,
        told,
        WIDTH,
        HEIGHT,
        Markup("").join([_line(curve, first, last) for curve in drawn]),
        _ends("top", [(curve.kind, max(curve.values)) for curve in drawn]),
        _ends("bottom", [(curve.kind, min(curve.values)) for curve in drawn]),
    )


def axis(first: int, last: int) -> Markup:
    """The steps below the charts."""
    marks = [first, (first + last) // 2, last] if last - first > 1 else [first, last]
    return Markup('<div class="axis" aria-hidden="true">{}</div>').format(
        Markup("").join([Markup("<span>{}</span>").format(f"step {mark}" if mark == first else mark) for mark in marks])
    )


def number(value: float) -> str:
    """Three digits that mean something; learning rates without the zero of their exponent: a phone is narrow."""
    return f"{value:.3g}".replace("e-0", "e-")


def _ends(place: str, ends: Sequence[tuple[str, float]]) -> Markup:
    rows = [Markup('<span class="{}">{}</span>').format(kind, number(value)) for kind, value in ends]
    return Markup('<div class="{}">{}</div>').format(place, Markup("").join(rows))


def _line(curve: Curve, first: float, last: float) -> Markup:
    high = max(curve.values)
    width, height = (last - first) or 1, high - min(curve.values)
    points = " ".join(
        f"{(step - first) / width * WIDTH:.1f},{HEIGHT / 2 if not height else (high - value) / height * HEIGHT:.2f}"
        for step, value in curve.points
    )
    if len(curve.points) == 1:  # a line needs two ends
        points += f" {min((curve.points[0][0] - first) / width * WIDTH + 6, WIDTH):.1f},{points.split(',')[1]}"
    return Markup('<polyline class="{}" points="{}"/>').format(curve.kind, points)
