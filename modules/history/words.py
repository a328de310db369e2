"""What a user types into the search box, as conditions of SQL.

Every word has to begin a word of the prompt; "words in quotes" have to stand together; -word must not be there.
"""

import re
from dataclasses import dataclass

_TERM = re.compile(r'(-?)(?:"([^"]*)"?|(\S+))')
_WORD = re.compile(r"\w+")
# scripts that put no spaces between words, and emoji, which are no words: looked for anywhere
_ANYWHERE = re.compile("[\u2190-\u2bff\u2e80-\uffdc\U0001f000-\U0003ffff]")
MOST_TERMS = 20


@dataclass(frozen=True)
class Condition:
    """A piece of SQL about the table `pictures`, and its values."""

    sql: str
    values: tuple[object, ...] = ()


def conditions(text: str, full_text: bool) -> list[Condition]:
    """The conditions that a prompt has to meet.

    Args:
        full_text: whether there is a table `words` of SQLite's full-text search; without it a word is also found in
            the middle of another.
    """
    found = []
    for minus, quoted, plain in _TERM.findall(text)[:MOST_TERMS]:
        condition = _condition(quoted or plain, bool(quoted), full_text)
        if condition:
            found.append(Condition(f"NOT {condition.sql}", condition.values) if minus else condition)
    return found


def phrase(text: str, full_text: bool) -> Condition:
    """The condition that these words stand together in the prompt; no prompt meets it if they are none."""
    return _condition(text, True, full_text) or Condition("0")


def _condition(text: str, together: bool, full_text: bool) -> Condition | None:
    words, anywhere = _WORD.findall(text), _ANYWHERE.search(text)
    if not words and not anywhere:
        return None
    if anywhere or not full_text:
        escaped = re.sub(r"([\\%_])", r"\\\1", text)
        return Condition("prompt LIKE ? ESCAPE '\\'", (f"%{escaped}%",))
    match = f'"{" ".join(words)}"' + ("" if together else "*")
    return Condition("id IN (SELECT rowid FROM words WHERE words MATCH ?)", (match,))
