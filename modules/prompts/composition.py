"""AND: a prompt made of several, each with a weight of its own."""

import re
import sys

_AND = re.compile(r"\bAND\b")
_WEIGHT = re.compile(r"\s*([-+]?(?:\d+(?:\.\d*)?|\.\d+))")


def parse_composition(text: str, a1111_exact: bool = False) -> list[tuple[str, float]]:
    """Split a prompt at every upper-case word AND and take the weight at the end of each part.

    The split sees no brackets and comes before editing. White space at the end of a part is cut.

    Args:
        text: any string.
        a1111_exact: take a weight even where there is no AND, so that “aspect 16:9” weighs 9.

    Returns:
        (text, weight) for each part, at least one; `cat :1.5 AND dog` is [("cat", 1.5), (" dog", 1.0)].

    Source: behaviour of A1111 v1.10; Liu et al. 2022, arXiv:2206.01714.
    """
    parts = _AND.split(text)
    if len(parts) == 1 and not a1111_exact:
        return [(text.rstrip(), 1.0)]
    return [split_weight(part) for part in parts]


def split_weight(part: str) -> tuple[str, float]:
    """Part a text from the weight at its end: “cat: 5” is ("cat", 5.0), and “cat” is ("cat", 1.0)."""
    part = part.rstrip()
    text, colon, tail = part.rpartition(":")
    found = _WEIGHT.fullmatch(tail) if colon else None
    if found is None:
        return part, 1.0
    largest = sys.float_info.max
    return text.rstrip(), max(-largest, min(float(found[1]), largest))
