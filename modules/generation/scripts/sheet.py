"""A sheet of pictures with labels above its columns and beside its rows."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from modules import images
from modules.errors import ImageError

INK, PALE, PAPER = (0, 0, 0), (153, 153, 153), (255, 255, 255)
_MOST_LINES = 6


@dataclass(frozen=True)
class Label:
    """Lines of text; those of `pale` say what is left out here."""

    lines: tuple[str, ...]
    pale: tuple[bool, ...] = ()

    @classmethod
    def of(cls, text: str) -> "Label":
        return cls((text,) if text else ())


def draw_sheet(
    pictures: Mapping[int, Path],
    columns: Sequence[Label],
    rows: Sequence[Label],
    title: str = "",
    margin: int = 0,
    legend: bool = True,
) -> Image.Image | None:
    """Pictures row by row; places without one stay white.

    Args:
        pictures: files by place: row · columns + column.
        columns, rows: a label for each; an empty one takes no room.
        title: above all.
        margin: pixels between neighbours.
        legend: False leaves labels and title out.

    Returns:
        None if no picture is there.
    """
    opened = _Opened(pictures)
    if opened.size is None:
        return None
    scale = min(1.0, math.sqrt(images.GRID_PIXELS / (len(columns) * len(rows) * opened.size[0] * opened.size[1])))
    width, height = (max(1, int(side * scale)) for side in opened.size)
    font = ImageFont.load_default(max(12, min(64, (width + height) // 25)))
    tops = [_wrapped(label, width, font) if legend else Label(()) for label in columns]
    sides = [_wrapped(label, max(width * 3 // 4, 64), font) if legend else Label(()) for label in rows]
    line = _line_height(font)
    left = max((_text_width(text, font) for side in sides for text in side.lines), default=-16) + 16
    head = line * 2 if title and legend else 0
    above = head + max((len(top.lines) for top in tops), default=0) * line
    above += 16 if any(top.lines for top in tops) else 0
    sheet = Image.new(
        "RGB",
        (left + len(columns) * (width + margin) - margin, above + len(rows) * (height + margin) - margin),
        PAPER,
    )
    pen = ImageDraw.Draw(sheet)
    if head:
        pen.text((sheet.width / 2, line), title, INK, font, "mm")
    for column, top in enumerate(tops):
        x = left + column * (width + margin) + width / 2
        _write(pen, top, x, head + (above - head) / 2, font, line)
    for row, side in enumerate(sides):
        _write(pen, side, left / 2, above + row * (height + margin) + height / 2, font, line)
    for place, picture in opened.all():
        row, column = divmod(place, len(columns))
        fitted = picture if picture.size == (width, height) else _fitted(picture, width, height)
        x = left + column * (width + margin) + (width - fitted.width) // 2
        sheet.paste(fitted, (x, above + row * (height + margin) + (height - fitted.height) // 2))
    return sheet


def stacked(sheets: Sequence[Image.Image], margin: int = 0) -> Image.Image:
    """Sheets of one width, one below the other."""
    width = max(sheet.width for sheet in sheets)
    result = Image.new("RGB", (width, sum(sheet.height + margin for sheet in sheets) - margin), PAPER)
    y = 0
    for sheet in sheets:
        result.paste(sheet, (0, y))
        y += sheet.height + margin
    most = images.GRID_PIXELS * 2
    if result.width * result.height > most:
        result.thumbnail((65000, int(result.height * math.sqrt(most / (result.width * result.height)))))
    return result


class _Opened:
    """Pictures that are opened one at a time; one that has gone leaves its place empty."""

    def __init__(self, pictures: Mapping[int, Path]):
        self._pictures = pictures
        sizes = [size for path in pictures.values() if (size := _size(path))]
        self.size = (max(w for w, _ in sizes), max(h for _, h in sizes)) if sizes else None

    def all(self) -> Iterator[tuple[int, Image.Image]]:
        for place, path in self._pictures.items():
            try:
                yield place, images.open_image(path)
            except ImageError:
                continue


def _size(path: Path) -> tuple[int, int] | None:
    try:
        with Image.open(path) as picture:
            return picture.size
    except OSError:
        return None


def _fitted(picture: Image.Image, width: int, height: int) -> Image.Image:
    """The picture inside a place, in its own shape; smaller ones are not blown up."""
    scale = min(width / picture.width, height / picture.height, 1.0)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture if size == picture.size else picture.resize(size, Image.Resampling.LANCZOS)


def _wrapped(label: Label, width: int, font: "ImageFont.FreeTypeFont | ImageFont.ImageFont") -> Label:
    lines: list[str] = []
    pale: list[bool] = []
    for number, text in enumerate(label.lines):
        is_pale = number < len(label.pale) and label.pale[number]
        found = [""]
        for word in text.split():
            longer = f"{found[-1]} {word}".strip()
            if found[-1] and _text_width(longer, font) > width:
                found.append(word)
            else:
                found[-1] = longer
        while any(_text_width(line, font) > width for line in found) and len(found) < _MOST_LINES * 4:
            found = [part for line in found for part in _halved(line, width, font)]
        lines += found
        pale += [is_pale] * len(found)
    if len(lines) > _MOST_LINES:
        lines, pale = [*lines[: _MOST_LINES - 1], "…"], pale[:_MOST_LINES]
    return Label(tuple(lines), tuple(pale))


def _halved(line: str, width: int, font: "ImageFont.FreeTypeFont | ImageFont.ImageFont") -> list[str]:
    if _text_width(line, font) <= width or len(line) < 2:
        return [line]
    return [line[: len(line) // 2], line[len(line) // 2 :]]


def _write(
    pen: ImageDraw.ImageDraw,
    label: Label,
    x: float,
    y: float,
    font: "ImageFont.FreeTypeFont | ImageFont.ImageFont",
    line: int,
) -> None:
    top = y - line * (len(label.lines) - 1) / 2
    for number, text in enumerate(label.lines):
        pale = number < len(label.pale) and label.pale[number]
        at = (x, top + number * line)
        pen.text(at, text, PALE if pale else INK, font, "mm")
        if pale:
            half = _text_width(text, font) / 2
            pen.line((at[0] - half, at[1], at[0] + half, at[1]), PALE, max(1, line // 16))


def _text_width(text: str, font: "ImageFont.FreeTypeFont | ImageFont.ImageFont") -> int:
    return math.ceil(font.getlength(text))


def _line_height(font: "ImageFont.FreeTypeFont | ImageFont.ImageFont") -> int:
    left, top, right, bottom = font.getbbox("Ég")
    return math.ceil(max(right - left, bottom - top) * 1.3 if bottom <= top else (bottom - top) * 1.4)
