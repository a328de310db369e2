from pathlib import Path

import pytest

from modules.filewords import side_caption
from modules.preprocess.captions import CaptionTable, combine

A, B, C = Path("a.png"), Path("b.jpg"), Path("c.png")


@pytest.fixture
def table() -> CaptionTable:
    return CaptionTable({A: "a woman, red hat", B: "A Woman at sea", C: ""})


@pytest.mark.parametrize(
    ("existing", "generated", "action", "expected"),
    [
        ("old", "new", "ignore", "new"),
        ("old", "new", "copy", "old"),
        ("old", "new", "prepend", "old new"),
        ("old", "new", "append", "new old"),
        ("", "new", "prepend", "new"),
        ("", "new", "copy", ""),
        ("old", "", "append", "old"),
        ("", "", "append", ""),
    ],
)
def test_existing_and_generated_texts_are_put_together(existing, generated, action, expected):
    assert combine(existing, generated, action) == expected


def test_one_caption_is_written(table):
    edited = table.written(B, " by the sea \n")
    assert dict(edited.captions) == {A: "a woman, red hat", B: "by the sea", C: ""}
    assert edited.changed_from(table) == (B,)
    with pytest.raises(KeyError):
        table.written(Path("stranger.png"), "text")


def test_search_and_replace(table):
    assert dict(table.replaced("woman", "person").captions) == {A: "a person, red hat", B: "A person at sea", C: ""}
    assert table.replaced("woman", "person", match_case=True).changed_from(table) == (A,)
    assert table.replaced(r"\w+", "x") is table
    assert table.replaced("red", r"\1 \g<0>").captions[A] == r"a woman, \1 \g<0> hat"
    assert table.replaced("", "x") is table


def test_a_word_is_added_where_it_is_missing(table):
    assert dict(table.with_word("sea").captions) == {A: "a woman, red hat, sea", B: "A Woman at sea", C: "sea"}
    assert table.with_word("photo", at_end=False).captions[A] == "photo, a woman, red hat"
    assert table.with_word(" , ") is table
    assert table.with_word("wo").captions[A] == "a woman, red hat, wo"


@pytest.mark.parametrize(
    ("caption", "word", "expected"),
    [
        ("a woman, red hat, sea", "red hat", "a woman, sea"),
        ("red hat", "Red Hat", ""),
        ("a red hat, redder", "red", "a hat, redder"),
        ("a (red) hat", "(red)", "a hat"),
        ("one,two ,three", "four", "one,two ,three"),
        ("größer, groß", "groß", "größer"),
    ],
)
def test_a_word_is_taken_out_with_its_comma(caption, word, expected):
    assert CaptionTable({A: caption}).without_word(word).captions[A] == expected


def test_every_edit_can_be_undone_and_an_edit_without_effect_is_none(table):
    edited = table.replaced("woman", "person").with_word("photo").without_word("photo").written(C, "c")
    seen = [edited]
    while seen[-1].before:
        seen.append(seen[-1].undone())
    assert len(seen) == 5
    assert seen[-1] is table
    assert table.undone() is table
    assert table.replaced("nowhere", "x") is table
    assert table.written(A, "a woman, red hat") is table
    assert table.written(A, "  a woman, red hat ") is table


def test_what_changed_is_saved_beside_the_pictures(tmp_path):
    first, second = tmp_path / "a.png", tmp_path / "b.jpg"
    (tmp_path / "b.txt").write_text("old")
    before = CaptionTable({first: "", second: "old"})
    after = before.with_word("größer")
    assert after.save(since=before) == (first, second)
    assert (side_caption(first), side_caption(second)) == ("größer", "old, größer")
    assert after.undone().save(since=after) == (first, second)
    assert (side_caption(first), side_caption(second)) == ("", "old")
    assert before.save(since=before) == ()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "b.txt"]
