"""The word of an embedding in a prompt: written when a snapshot is put into use, taken out when that is undone."""

import re
from dataclasses import dataclass

from modules.training.comparison import substitute


@dataclass(frozen=True)
class Written:
    """What putting a snapshot into use made of a prompt.

    Attributes:
        run: of the snapshot.
        name: the word.
        before: the prompt until then.
        after: the prompt with the word; the same if the word stood in it already.
    """

    run: str
    name: str
    before: str
    after: str


def write(run: str, name: str, prompt: str) -> Written:
    """Write a word into a prompt, unless it stands there."""
    if not prompt.strip():
        after = f"portrait of {name}"
    elif substitute(prompt, name, "") != prompt:
        after = prompt
    else:
        after = f"{prompt.rstrip(' ,')}, {name}"
    return Written(run, name, prompt, after)


def take_out(written: Written, prompt: str) -> str:
    """The prompt as it is by now, without what `write` put there; whatever was typed since stays."""
    if written.after == written.before:
        return prompt
    if prompt == written.after:
        return written.before
    kept = written.before.rstrip(" ,")
    since = len(kept) if prompt.startswith(kept) else 0
    for text in (written.after[len(kept) :].strip(" ,"), written.name):
        # as it was written: in brackets or with a weight it is what somebody made of it
        found = re.compile(rf"(?<![^\s,]){re.escape(text)}(?![^\s,])").search(prompt, since)
        if found:
            return _joined(prompt[: found.start()].rstrip(" "), prompt[found.end() :].lstrip(" "))
    return prompt


def _joined(left: str, right: str) -> str:
    """Two parts of a prompt between which an entry is gone, with the comma that parted it."""
    if not right:
        return left.rstrip(" ,")
    if right.startswith(",") and (not left.strip() or left.rstrip().endswith(",")):
        right = right[1:].lstrip(" ")
    blank = "" if not left or left.endswith("\n") or right.startswith((",", "\n")) else " "
    return f"{left}{blank}{right}"
