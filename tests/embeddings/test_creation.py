"""What a new embedding starts from."""

import numpy as np
import pytest
import torch

from modules.embeddings.creation import initial_vectors
from modules.errors import ParameterError
from modules.prompts.tokenizer import clip_tokenizer
from tests.prompts.prompt_vectors import REFERENCE, records

TOKENIZER = clip_tokenizer()
TABLE = torch.arange(49408.0)[:, None].expand(-1, 3)  # row n holds n


def rows(init_text: str, count: int, cut: bool = True) -> list[int]:
    return initial_vectors(init_text, count, TABLE, TOKENIZER, cut)[:, 0].int().tolist()


@pytest.mark.parametrize("record", records("init_text"), ids=lambda record: record["id"])
def test_recorded_rows(record: dict):
    expected = [record["token_ids_used"][row] for row in record["row_index"]]
    assert rows(record["init_text"], record["vectors"]) == expected


@pytest.mark.parametrize("record", records("init_text"), ids=lambda record: record["id"])
def test_recorded_vectors(record: dict):
    table = _tiny_table()
    with np.load(REFERENCE / "init_text.npz") as arrays:
        expected = torch.from_numpy(arrays[record["id"]])
    assert torch.equal(initial_vectors(record["init_text"], record["vectors"], table, TOKENIZER), expected)


@pytest.mark.parametrize(
    ("words", "count", "cut", "expected"),
    [
        (3, 1, True, [0]),
        (1, 2, True, [0, 0]),
        (3, 2, True, [0, 1]),
        (3, 4, True, [0, 0, 1, 2]),
        (3, 8, True, [0, 0, 0, 1, 1, 1, 2, 2]),
        (3, 2, False, [0, 1]),
        (3, 1, False, [0]),
        (4, 2, False, [0, 2]),
    ],
)
def test_rule(words: int, count: int, cut: bool, expected: list[int]):
    text = "face cat dog house".split()[:words]
    ids = TOKENIZER.encode(" ".join(text))
    assert rows(" ".join(text), count, cut) == [ids[row] for row in expected]


def test_a_star_is_the_formats_own_token():
    assert rows("*", 1) == [265]


@pytest.mark.parametrize("text", ["", "  ", "\n"])
def test_no_words_give_zeros(text: str):
    assert rows(text, 2) == [0, 0]


@pytest.mark.parametrize("count", [0, 76])
def test_count_is_checked(count: int):
    with pytest.raises(ParameterError, match="1 to 75") as caught:
        rows("x", count)
    assert caught.value.field == "vectors_per_token"


def test_the_models_table_is_not_shared():
    table = torch.ones(49408, 3, requires_grad=True)
    vectors = initial_vectors("face", 1, table, TOKENIZER)
    vectors.zero_()
    assert not vectors.requires_grad
    assert table.detach().min() == 1


def _tiny_table() -> torch.Tensor:
    from safetensors import safe_open

    with safe_open(REFERENCE / "models" / "tiny-sd15.safetensors", "pt") as file:
        return file.get_tensor("cond_stage_model.transformer.text_model.embeddings.token_embedding.weight").float()
