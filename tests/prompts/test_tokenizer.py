"""CLIP's tokenizer: ids of A1111, places in the text, text back."""

import hashlib

import pytest

from modules.prompts.tokenizer import BEGIN, COMMA, END, VOCABULARY, ClipTokenizer, clip_tokenizer
from tests.prompts.prompt_vectors import records


@pytest.fixture(scope="module")
def tokenizer() -> ClipTokenizer:
    return clip_tokenizer()


def test_the_vocabulary_is_the_released_file():
    digest = hashlib.sha256(VOCABULARY.read_bytes()).hexdigest()
    assert digest == "924691ac288e54409236115652ad4aa250f48203de50a9e4722a6ecd48d6804a"
    assert "Copyright (c) 2021 OpenAI" in VOCABULARY.with_name("LICENSE-CLIP.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("record", records("tokenizer"), ids=lambda record: record["id"])
def test_reference_ids(tokenizer: ClipTokenizer, record: dict):
    accepted = [record["ids"], record.get("fast_tokenizer_ids")]
    assert tokenizer.encode(record["text"], a1111_exact=True) in accepted


def test_known_ids(tokenizer: ClipTokenizer):
    assert tokenizer.encode("a photo of a cat") == [320, 1125, 539, 320, 2368]
    assert tokenizer.encode("RealBenny-T1") == tokenizer.encode("realbenny - t 1") == [2017, 20595, 268, 339, 272]
    assert tokenizer.encode(",") == [COMMA]
    assert tokenizer.encode("") == []


def test_special_tokens_typed_in_a_prompt_stay_text(tokenizer: ClipTokenizer):
    ids = tokenizer.encode("a <|endoftext|> b <|startoftext|>")
    assert BEGIN not in ids
    assert END not in ids
    assert tokenizer.encode("a <|endoftext|> b", a1111_exact=True) == [320, END, 321]
    assert tokenizer.encode("<|EndOfText|> b", a1111_exact=True) == [END, 321]
    assert END not in tokenizer.encode("<|endofte\u017ft|>", a1111_exact=True)  # a long s is no s


def test_offsets_point_into_the_text(tokenizer: ClipTokenizer):
    text = "Realbenny-T10, cat"
    tokens = tokenizer.encode_with_offsets(text)
    parts = [text[start:end] for start, end in tokens.offsets]
    assert parts == ["Real", "benny", "-", "T", "1", "0", ",", "cat"]
    exact = tokenizer.encode_with_offsets("cat <|endoftext|> cat", a1111_exact=True)
    assert exact.offsets == [(0, 3), (4, 17), (18, 21)]


def test_inside_word(tokenizer: ClipTokenizer):
    tokens = tokenizer.encode_with_offsets("t10 t 1, a-b")
    assert [tokens.inside_word(position) for position in range(len(tokens.ids) + 1)] == [
        *(False, True, True),  # t10
        *(False, False, False),  # t 1,
        *(False, False, False),  # a-b
        False,  # the end of the text
    ]


@pytest.mark.parametrize(
    ("text", "back"),
    [
        ("A photo of a Cat", "a photo of a cat"),
        ("привет 🐼 日本語", "привет 🐼 日本語"),
        ("a,b", "a , b"),
        ("", ""),
    ],
)
def test_decode(tokenizer: ClipTokenizer, text: str, back: str):
    assert tokenizer.decode(tokenizer.encode(text)) == back


def test_words_of_the_vocabulary(tokenizer: ClipTokenizer):
    assert [tokenizer.word(id) for id in tokenizer.encode("realbenny")] == ["real", "benny</w>"]
    assert tokenizer.word(END) == "<|endoftext|>"
    for id in (-1, END + 1):
        with pytest.raises(IndexError):
            tokenizer.word(id)


def test_lone_surrogates_and_control_characters(tokenizer: ClipTokenizer):
    assert tokenizer.encode("a\ud800b") == tokenizer.encode("a?b")
    assert tokenizer.decode([*tokenizer.encode("a\0b"), 10**6]) == "a \0 b"
