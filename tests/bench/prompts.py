"""Prompts of 100,000 characters, of the kinds that make parsers slow."""

from collections.abc import Callable, Iterator

from modules.prompts import parse_attention, parse_composition, parse_schedule
from tests.bench import Result, seconds

LENGTH = 100_000
TEXTS = {
    "words": "a cat, ",
    "weights": "(a:1.2) ",
    "edits": "[a:b:0.5] ",
    "alternations": "[a|b] ",
    "AND": "a:1.2 AND ",
    "open brackets": "([",
    "stray bars": "|",
}


def run() -> Iterator[Result]:
    for words, piece in TEXTS.items():
        text = (piece * LENGTH)[:LENGTH]
        yield Result(f"100,000 characters of {words}: the slowest parser", max(_times(text)), "s", 1.0)


def _times(text: str) -> list[float]:
    parsers: tuple[Callable[[], object], ...] = (
        lambda: parse_attention(text),
        lambda: parse_schedule(text, 20),
        lambda: parse_composition(text),
    )
    return [seconds(parse) for parse in parsers]
