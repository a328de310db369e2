"""styles.csv: what is read, what is written, and what a style makes of a prompt."""

import pytest

from modules.errors import ParameterError, StorageError
from modules.params import Txt2ImgParams
from modules.styles import Style, StyleFile, StyleFiles, merged, without


@pytest.fixture
def file(tmp_path):
    return StyleFile(tmp_path / "styles.csv")


@pytest.mark.parametrize(
    ("prompt", "styles", "expected"),
    [
        ("a cat", ["oil paint"], "a cat, oil paint"),
        (" a cat ", [" oil "], "a cat, oil"),
        ("", ["oil"], "oil"),
        ("a cat", ["a photo of {prompt}, sharp"], "a photo of a cat, sharp"),
        ("a cat", ["{prompt} and {prompt}"], "a cat and a cat"),
        ("a cat", ["", "  "], "a cat"),
        ("a cat", ["oil", "old {prompt} frame"], "old a cat, oil frame"),
    ],
)
def test_a_style_is_added_or_wraps(prompt, styles, expected):
    assert merged(prompt, styles) == expected


@pytest.mark.parametrize(
    ("prompt", "styles"),
    [
        ("a cat", ["oil paint"]),
        ("", ["oil"]),
        ("a cat", ["a photo of {prompt}, sharp", "oil", ""]),
        ("a cat, oil", ["oil"]),
        ("a cat", []),
    ],
)
def test_what_styles_added_is_found_again(prompt, styles):
    assert without(merged(prompt, styles), styles) == prompt


def test_what_was_changed_meanwhile_stays():
    assert without("a dog, ink", ["oil"]) == "a dog, ink"
    assert without("{p}", ["{prompt}{prompt}"]) == "{p}"


def test_files_of_a1111_are_read(file):
    file.path.write_bytes(
        '\ufeffname,prompt,negative_prompt\nOil,"oil paint, ""thick""",flat\n#---,,\nTwo lines,"a\nb",\n'.encode()
    )
    assert file.styles() == [Style("Oil", 'oil paint, "thick"', "flat"), Style("Two lines", "a\nb")]


def test_the_oldest_files_are_read(file):
    file.path.write_text("name,text\nOil,oil paint\n")
    assert file.styles() == [Style("Oil", "oil paint")]


def test_there_need_be_no_file(file):
    assert file.styles() == []
    file.save(Style("Öl", "oil"))
    assert file.path.read_bytes().startswith(b"\xef\xbb\xbfname,prompt,negative_prompt\n")
    assert StyleFile(file.path).styles() == [Style("Öl", "oil")]


def test_saving_keeps_place_comments_and_a_copy(file):
    file.path.write_text("name,prompt,negative_prompt\nA,1,\n# ours,,\nB,2,\n")
    before = file.path.read_bytes()
    file.save(Style("A", "one", "bad"))
    assert file.path.with_name("styles.csv.bak").read_bytes() == before
    assert file.styles() == [Style("A", "one", "bad"), Style("B", "2")]
    assert "# ours" in file.path.read_text("utf-8-sig")
    file.delete("B")
    assert file.styles() == [Style("A", "one", "bad")]


def test_a_file_that_changed_is_read_again(file):
    file.save(Style("A", "1"))
    StyleFile(file.path).save(Style("B", "2"))
    assert [style.name for style in file.styles()] == ["A", "B"]


@pytest.mark.parametrize("name", ["", "  ", "# no"])
def test_names_that_cannot_be_are_refused(file, name):
    with pytest.raises(ParameterError):
        file.save(Style(name, "x"))
    assert not file.path.exists()


def test_what_cannot_be_read_is_told_and_left_alone(file):
    file.path.write_bytes(b"name,prompt\n\xff\xfe,\n")
    with pytest.raises(StorageError, match="UTF-8"):
        file.styles()
    with pytest.raises(StorageError):
        file.save(Style("A", "1"))
    assert file.path.read_bytes() == b"name,prompt\n\xff\xfe,\n"


def test_styles_go_into_all_prompts_of_a_run(file):
    file.save(Style("Oil", "oil", "flat"))
    params = Txt2ImgParams(prompt="a cat", hr_prompt="a dog", styles=("Oil",))
    files = StyleFiles([file.path])
    made = files.applied(params)
    assert (made.prompt, made.negative_prompt, made.hr_prompt, made.hr_negative_prompt, made.styles) == (
        "a cat, oil",
        "flat",
        "a dog, oil",
        "",
        (),
    )
    with pytest.raises(ParameterError) as caught:
        files.applied(Txt2ImgParams(styles=("Gone",)))
    assert caught.value.field == "styles"


def test_several_files_are_one_list(tmp_path):
    first, second, third = StyleFile(tmp_path / "b.csv"), StyleFile(tmp_path / "a.csv"), StyleFile(tmp_path / "c.csv")
    first.save(Style("A", "1"))
    second.save(Style("A", "2"))
    third.save(Style("B", "3"))
    files = StyleFiles([tmp_path / "b.csv", tmp_path / "*.csv"])
    assert files.styles() == [Style("A", "2"), Style("B", "3")]
    files.save(Style(" B ", "three"))
    files.save(Style("C", "new"))
    assert third.styles() == [Style("B", "three")]
    assert first.styles() == [Style("A", "1"), Style("C", "new")]
    StyleFile(tmp_path / "late.csv").save(Style("D", "4"))
    assert [style.name for style in files.styles()] == ["A", "C", "B", "D"]


def test_a_style_is_deleted_wherever_it_stands(tmp_path):
    for name in ("a.csv", "b.csv", "c.csv"):
        StyleFile(tmp_path / name).save(Style("C" if name == "c.csv" else "A", name))
    files = StyleFiles([tmp_path / "*.csv"])
    assert files.delete("A") == ("a.csv.bak", "b.csv.bak")
    assert files.styles() == [Style("C", "c.csv")]
    assert not (tmp_path / "c.csv.bak").exists()
    with pytest.raises(ParameterError, match="no style “A”"):
        files.delete("A")


def test_wildcards_that_nothing_fits_begin_with_the_usual_file(tmp_path):
    files = StyleFiles([tmp_path / "my-*.csv"])
    assert files.styles() == []
    files.save(Style("A", "1"))
    assert (tmp_path / "styles.csv").exists()
