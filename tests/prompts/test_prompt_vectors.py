"""All recorded prompts of A1111 v1.10.1, read by its rules."""

import pytest

from modules.prompts import parse_attention, parse_composition, parse_schedule
from modules.prompts.chunks import pack
from modules.prompts.matching import EmbeddingIndex
from modules.prompts.tokenizer import clip_tokenizer
from tests.prompts.prompt_vectors import embeddings_width72, records

PROMPTS = records("prompts")
SCHEDULES = {
    **{f"schedule_steps_{steps}": {"steps": steps} for steps in (1, 10, 20, 30)},
    "schedule_old_20": {"steps": 20, "old_timelines": True},
    "schedule_hires_base20_hr10": {"steps": 20, "hires_steps": 10},
}


@pytest.mark.parametrize("record", PROMPTS, ids=lambda record: record["id"])
def test_attention(record: dict):
    fragments = parse_attention(record["prompt"], a1111_exact=True)
    if "attention_peer_raises" in record:
        assert fragments == [("a:1.5.2", 1.1)]  # the original throws; the one such record is “(a:1.5.2)”
        return
    assert [text for text, _ in fragments] == [text for text, _ in record["attention"]]
    # the tolerance that the recording states
    expected = [weight for _, weight in record["attention"]]
    assert [weight for _, weight in fragments] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("record", PROMPTS, ids=lambda record: record["id"])
def test_composition(record: dict):
    (parts,) = record["multicond"]["subprompts_index_weight"]
    expected = [(record["multicond"]["texts"][index], weight) for index, weight in parts]
    assert parse_composition(record["prompt"], a1111_exact=True) == expected


@pytest.mark.parametrize("record", PROMPTS, ids=lambda record: record["id"])
def test_schedule(record: dict):
    for key, rules in SCHEDULES.items():
        schedule = [list(entry) for entry in parse_schedule(record["prompt"], **rules, a1111_exact=True)]
        accepted = record[f"{key}_any_of"] if f"{key}_any_of" in record else [record[key]]
        assert schedule in accepted, key


@pytest.mark.parametrize("record", records("conds"), ids=lambda record: record["id"])
def test_chunks(record: dict):
    tokenizer = clip_tokenizer()
    packed = pack(
        record["prompt"],
        tokenizer,
        EmbeddingIndex(embeddings_width72(), tokenizer),
        emphasis=record["settings"]["emphasis"],
        comma_backtrack=record["settings"]["comma_padding_backtrack"],
        a1111_exact=True,
    )
    assert (packed.token_count, packed.target) == (record["token_count"], record["target_token_count"])
    assert [chunk.tokens for chunk in packed.chunks] == [chunk["tokens"] for chunk in record["chunks"]]
    assert [chunk.multipliers for chunk in packed.chunks] == [chunk["multipliers"] for chunk in record["chunks"]]
    assert [[list(fix) for fix in chunk.fixes] for chunk in packed.chunks] == [
        chunk["fixes"] for chunk in record["chunks"]
    ]
