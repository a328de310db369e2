"""Names for a new word, refused with the reason, and the tokens it starts from as a person reads them."""

import pytest

from modules.prompts.new_word import initial_tokens, name_problem, token_texts
from modules.prompts.tokenizer import clip_tokenizer

TOKENIZER = clip_tokenizer()


@pytest.mark.parametrize(
    ("name", "taken", "words"),
    [
        ("cat", [], "ordinary word: every “cat” in a prompt"),
        ("RealBenny -T1", ["realbenny-t1"], "the same as “realbenny-t1”"),
        ("realbenny - t1", ["realbenny-t1"], "both are real · benny · - · t · 1"),
        ("me AND you", [], "holds AND"),
        ("coffee BREAK", [], "holds BREAK"),
        ("my-style-", [], "ends with a sign that runs together with a comma"),
        ("anna_", ["anna_"], "ends with a sign that runs together with a comma"),
    ],
)
def test_names_that_are_refused(name: str, taken: list[str], words: str) -> None:
    assert words in name_problem(name, taken, TOKENIZER)


@pytest.mark.parametrize(
    ("name", "taken", "words"),
    [
        ("realbenny", ["realbenny-t1"], "“realbenny-t1” begins with “realbenny”"),
        ("realbenny-t12", ["other", "realbenny-t1"], "“realbenny-t12” begins with “realbenny-t1”"),
    ],
)
def test_names_that_could_be_mistaken_are_refused_with_one_that_could_not(
    name: str, taken: list[str], words: str
) -> None:
    problem = name_problem(name, taken, TOKENIZER)
    assert words in problem
    free = problem.split("such as “")[1].split("”")[0]
    assert name in free
    assert not name_problem(free, taken, TOKENIZER)


@pytest.mark.parametrize("name", ["realbenny-t1", "RealBenny-T1"])
def test_what_is_there_already_can_be_made_again(name: str) -> None:
    assert not name_problem(name, ["realbenny-t1", "realbenny-t12", "other"], TOKENIZER)


def test_names_side_by_side_are_good() -> None:
    assert not name_problem("realbenny-t3", ["realbenny-t1", "realbenny-t2"], TOKENIZER)


@pytest.mark.parametrize(
    ("text", "count", "shown"),
    [
        ("face", 2, ["face", "face"]),
        ("realbenny man", 3, ["real…", "benny", "man"]),
        ("*", 1, ["*"]),
        ("Müller", 2, ["mü…", "ller"]),
        ("日本語", 4, ["日…", "本…", "�…", "�"]),
        ("", 2, []),
    ],
)
def test_first_words_as_tokens(text: str, count: int, shown: list[str]) -> None:
    assert token_texts(initial_tokens(text, count, TOKENIZER), TOKENIZER) == shown
