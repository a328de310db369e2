"""Lines of templates with name and caption put in, beside the recorded ones."""

import random

import pytest

from modules.errors import ParameterError
from modules.paths import Paths
from modules.prompts.tokenizer import clip_tokenizer
from modules.training.prompts import SHIPPED, PromptMaker, fill, find_templates, read_template, require_name
from tests.prompts.prompt_vectors import records


@pytest.mark.parametrize("record", records("filewords"), ids=lambda record: record["id"])
def test_filled_as_recorded(record):
    for line, text in record["template_to_text"].items():
        assert fill(line, record["embedding_name"], record["filewords"]) == text


def test_the_shipped_templates(tmp_path):
    assert {"style.txt", "style_filewords.txt", "subject.txt", "subject_filewords.txt"} <= set(
        find_templates([tmp_path])
    )
    for name in ("style.txt", "style_filewords.txt", "subject.txt", "subject_filewords.txt"):
        lines = read_template(name, [tmp_path])
        assert len(set(lines)) >= 8
        assert all(("[filewords]" in line) == ("filewords" in name) for line in lines)


def test_own_templates_come_first(tmp_path):
    (tmp_path / "subject.txt").write_text("mine: [name]\n\n  \n[name] again \n", "utf-8")
    assert read_template("subject.txt", [tmp_path]) == ("mine: [name]", "[name] again")
    assert find_templates([tmp_path])["subject.txt"] == tmp_path / "subject.txt"


def test_templates_in_folders_below_and_in_a1111s_folder(tmp_path):
    ours, theirs = Paths(tmp_path).template_folders
    lines = {ours / "people" / "face.txt": "a [name]", theirs / "people" / "face.txt": "b [name]"}
    lines |= {theirs / "people" / "old" / "x.txt": "c [name]", theirs / "mine.txt": "d [name]"}
    for path, line in {**lines, ours / ".git" / "y.txt": "e", tmp_path / "outside" / "z.txt": "f [name]"}.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(line)
    (ours / "link").symlink_to(tmp_path / "outside")
    (ours / "link.txt").symlink_to(tmp_path / "outside" / "z.txt")
    assert theirs == tmp_path / "textual_inversion_templates"
    own = {name: path for name, path in find_templates([ours, theirs]).items() if not path.is_relative_to(SHIPPED)}
    assert list(own) == ["mine.txt", "people/face.txt", "people/old/x.txt"]
    assert [read_template(name, [ours, theirs]) for name in own] == [("d [name]",), ("a [name]",), ("c [name]",)]
    for name in ("link/z.txt", "link.txt", "people/../../../outside/z.txt", str(tmp_path / "outside" / "z.txt")):
        with pytest.raises(ParameterError, match="leads out of"):
            read_template(name, [ours, theirs])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("gone.txt", None),
        ("empty.txt", b"\n \n"),
        ("nameless.txt", b"[name]\na photo\n"),
        ("bytes.txt", b"\xff[name]"),
        ("../outside.txt", None),
        ("hypernetwork.txt", None),
    ],
)
def test_templates_that_teach_nothing_are_refused(name, content, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    if content:
        (own / name).write_bytes(content)
    (tmp_path / "outside.txt").write_text("[name]")
    with pytest.raises(ParameterError):
        read_template(name, [own])


@pytest.mark.parametrize("line", ["[name]", "a ([name]:1.2), [filewords]", "[[name]]'s face", "[photo:[name]:0.5]"])
def test_names_that_are_read(line):
    require_name([line], "realbenny-t1", clip_tokenizer())


@pytest.mark.parametrize("line", ["my[name]", "[name]s", "[name][filewords]", "[name]0"])
def test_a_name_inside_a_longer_word_is_refused(line):
    with pytest.raises(ParameterError, match="part of a longer word") as raised:
        require_name(["a photo of [name]", line], "realbenny-t1", clip_tokenizer())
    assert raised.value.field == "template"


def test_tags_are_dropped_and_shuffled():
    tags = [f"tag{n}" for n in range(200)]
    maker = PromptMaker(["[name],[filewords]"], "word", tag_drop_out=0.25, shuffle_tags=True)
    drawn = maker.draw(",".join(tags), random.Random(0)).split(",")[1:]
    assert set(drawn) < set(tags)
    assert 120 < len(drawn) < 180  # 150 expected, standard deviation 6
    assert drawn != [tag for tag in tags if tag in drawn]
    assert maker.draw("a,b", random.Random(3)) == maker.draw("a,b", random.Random(3))
    assert PromptMaker(["[name],[filewords]"], "word").draw("b,a", random.Random(0)) == "word,b,a"


def test_fixed_prompts_take_the_lines_in_turn():
    maker = PromptMaker(["one [name]", "two [name]"], "word", tag_drop_out=1.0)
    assert [maker.fixed("", number) for number in range(3)] == ["one word", "two word", "one word"]


def test_every_line_is_drawn():
    maker = PromptMaker(["one [name]", "two [name]"], "word")
    source = random.Random(0)
    assert {maker.draw("", source) for _ in range(20)} == {"one word", "two word"}
