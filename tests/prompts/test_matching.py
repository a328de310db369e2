"""Names of embeddings among tokens."""

import pytest

from modules.prompts.matching import EmbeddingIndex, Match
from modules.prompts.tokenizer import clip_tokenizer

TOKENIZER = clip_tokenizer()


def found(names: dict[str, int], text: str, a1111_exact: bool = False) -> list[str]:
    """Names in the order in which a walk over the text meets them."""
    index = EmbeddingIndex(names, TOKENIZER)
    tokens = TOKENIZER.encode_with_offsets(text, a1111_exact)
    position, matches = 0, []
    while position < len(tokens.ids):
        match = index.find(tokens, position, a1111_exact)
        position += match.length if match else 1
        if match:
            matches.append(match.name)
    return matches


@pytest.mark.parametrize("a1111_exact", [False, True])
@pytest.mark.parametrize(
    ("names", "text", "expected"),
    [
        (["realbenny-t1"], "half realbenny-t1, person", ["realbenny-t1"]),
        (["realbenny-t1"], "RealBenny-T1", ["realbenny-t1"]),
        (["realbenny-t1"], "realbenny - t 1", ["realbenny-t1"]),
        (["realbenny-t1", "realbenny-t2"], "realbenny-t2|realbenny-t1", ["realbenny-t2", "realbenny-t1"]),
        (["realbenny-t1"], "realbenny-t1-style (realbenny-t1)", ["realbenny-t1", "realbenny-t1"]),
        (["realbenny-t1", "realbenny-t10"], "realbenny-t10 realbenny-t1", ["realbenny-t10", "realbenny-t1"]),
        (["benny", "benny-cat"], "benny benny-cat", ["benny", "benny-cat"]),
        (["style-"], "style-,", []),
        (["cat"], "category cats cat", ["cat"]),
        (["my style"], "in MY  Style!", ["my style"]),
        (["", " "], "a b", []),
    ],
)
def test_both_rules(names: list[str], text: str, expected: list[str], a1111_exact: bool):
    assert found(dict.fromkeys(names, 1), text, a1111_exact) == expected


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("realbenny-t1", "realbenny-t10"),
        ("realbenny-t1", "realbenny-t1b"),
        ("1girl", "11girl"),
        ("t1", "xx t123"),
        ("猫", "猫猫"),
    ],
)
def test_inside_a_longer_word(name: str, text: str):
    assert found({name: 1}, text) == []
    assert found({name: 1}, text, a1111_exact=True) == [name]


def test_a_match_tells_length_and_vectors():
    index = EmbeddingIndex({"realbenny-t2": 2}, TOKENIZER)
    tokens = TOKENIZER.encode_with_offsets("a realbenny-t2")
    assert index.find(tokens, 1) == Match("realbenny-t2", 5, 2)
    assert index.find(tokens, 0) is None
    assert index.find(tokens, 2) is None


def test_of_two_names_with_the_same_ids_the_first_is_found():
    index = EmbeddingIndex({"Foo": 1, "foo": 2, "f o o": 3}, TOKENIZER)
    assert index.find(TOKENIZER.encode_with_offsets("foo"), 0) == Match("Foo", 1, 1)
    assert index.shadowed == {"foo": "Foo"}
