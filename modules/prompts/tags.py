"""What is cut out of a prompt before it is read: comments and <name:arguments> tags."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_COMMENT = re.compile(r"(?:^|\n)#[^\n]*(?:\n|$)|#[^\n]*")
_TAG = re.compile(r"<(\w+):([^>]+)>")


@dataclass(frozen=True)
class Tag:
    """One <kind:argument:…:name=value> of a prompt.

    Args:
        kind: the word before the first colon, `lora`.
        arguments: what stands between colons without a “=”.
        named: what stands between colons with one.
        text: the tag as typed.
    """

    kind: str
    arguments: tuple[str, ...]
    named: Mapping[str, str] = field(default_factory=dict)
    text: str = ""


def cut_comments(text: str) -> str:
    """Cut everything from a “#” to the end of its line; a line that is all comment becomes one line break."""
    return _COMMENT.sub(lambda found: "\n" if found.start() == 0 or found[0][0] == "\n" else "", text)


def cut_tags(text: str) -> tuple[str, list[Tag]]:
    """Cut all tags out, without putting anything in their place.

    Returns:
        the text that is left, and the tags in order.
    """
    end = text.rfind(">") + 1  # behind the last “>” no tag can end: looking there would cost quadratic time
    tags = [_tag(found) for found in _TAG.finditer(text, 0, end)]
    return _TAG.sub("", text[:end]) + text[end:], tags


def _tag(found: re.Match[str]) -> Tag:
    arguments = found[2].split(":")
    named = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    return Tag(found[1], tuple(argument for argument in arguments if "=" not in argument), named, found[0])
