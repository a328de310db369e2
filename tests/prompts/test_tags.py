"""Comments and <name:arguments> tags."""

import pytest

from modules.prompts.tags import cut_comments, cut_tags


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a # b", "a "),
        ("a # b\nc", "a \nc"),
        ("a\n# b\nc", "a\nc"),
        ("# b\nc", "\nc"),
        ("# b", "\n"),
        ("a\n# b", "a\n"),
        ("a\n  # b\nc", "a\n  \nc"),
        ("a", "a"),
        ("", ""),
    ],
)
def test_comments(text: str, expected: str):
    assert cut_comments(text) == expected


def test_tags_leave_nothing_behind():
    text, tags = cut_tags("a <lora:foo:0.8>cat<hypernet:x> b")
    assert text == "a cat b"
    assert [(tag.kind, tag.arguments, tag.text) for tag in tags] == [
        ("lora", ("foo", "0.8"), "<lora:foo:0.8>"),
        ("hypernet", ("x",), "<hypernet:x>"),
    ]


def test_named_arguments():
    _, (tag,) = cut_tags("<lora:foo:te=0.5:unet=1=2:3>")
    assert tag.arguments == ("foo", "3")
    assert tag.named == {"te": "0.5", "unet": "1=2"}


@pytest.mark.parametrize("text", ["a < b:c", "<b>", "<a b:c>", "<a:>", "<|endoftext|>", "<lora:foo", "a > b"])
def test_what_is_no_tag_stays(text: str):
    assert cut_tags(text) == (text, [])
