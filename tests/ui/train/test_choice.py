"""What travels between the steps of the Train tab: kept whole, and never believed."""

import json

import pytest

from modules.ui.train.choice import Choice, change, read_choice


def test_a_choice_comes_back_as_it_was_written() -> None:
    choice = Choice("realbenny-t2", "/photos/of “me”", "textual_inversion/2026-01-02/realbenny-t2")
    assert read_choice(choice.write()) == choice


@pytest.mark.parametrize("text", ["", None, 7, "null", "[]", "{", '"text"', "[" * 100_000, '{"embedding": 5}'])
def test_whatever_cannot_be_used_is_left_out(text: object) -> None:
    assert read_choice(text) == Choice()


def test_other_keys_are_left_alone() -> None:
    assert read_choice(json.dumps({"embedding": "a", "owner": "b", "photos": None})) == Choice("a")


def test_the_same_change_twice_is_two_texts() -> None:
    """The page acts when a text is another one; between two clicks something else may have been chosen."""
    assert change(embedding="a") != change(embedding="a")
