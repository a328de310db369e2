import pytest

from modules.errors import FileFormatError
from modules.filewords import LONGEST_CAPTION, filewords, side_caption, words_of_name


@pytest.mark.parametrize(
    ("name", "regex", "join", "expected"),
    [
        ("00012-3-2020 trip.png", "", " ", "trip"),
        ("00000-0-anna at the sea.jpg", "", " ", "anna at the sea"),
        ("anna-2.jpg", "", " ", "anna-2"),
        ("0001-12.png", "", " ", ""),
        (" lead .png", "", " ", " lead "),
        ("0001-red_hat.png", "[a-z]+", ", ", "red, hat"),
        ("0001-red_hat.png", "(r)(e)d", " ", "red"),
    ],
)
def test_words_of_a_name(tmp_path, name, regex, join, expected):
    assert words_of_name(tmp_path / name, regex, join) == expected


def test_the_side_file_comes_before_the_name_and_is_not_taken_apart(tmp_path):
    picture = tmp_path / "0001-name.png"
    assert side_caption(picture) is None
    assert filewords(picture) == "name"
    (tmp_path / "0001-name.txt").write_bytes("\ufeff12-3 a woman, größer \r\n".encode())
    assert filewords(picture, "[a-z]+", "-") == "12-3 a woman, größer"


def test_an_empty_side_file_is_an_empty_caption(tmp_path):
    (tmp_path / "name.txt").write_text(" \n")
    assert filewords(tmp_path / "name.png") == ""


@pytest.mark.parametrize(
    ("content", "expected"), [(b"gr\xf6\xdfer", "UTF-8"), (b"a" * (LONGEST_CAPTION + 1), "longer than")]
)
def test_what_is_no_caption_is_told(tmp_path, content, expected):
    (tmp_path / "name.txt").write_bytes(content)
    with pytest.raises(FileFormatError, match=rf"“name\.txt”.*{expected}"):
        filewords(tmp_path / "name.png")


def test_a_folder_that_is_named_like_a_caption_is_none(tmp_path):
    (tmp_path / "name.txt").mkdir()
    assert side_caption(tmp_path / "name.png") is None
