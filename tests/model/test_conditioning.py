"""Prompts as tensors: the recorded encodings of A1111, and what records cannot tell."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from modules.embeddings.database import EmbeddingDatabase
from modules.embeddings.embedding import Embedding
from modules.embeddings.writing import save_safetensors
from modules.model import conditioning
from modules.model.checkpoint import Checkpoint
from modules.model.conditioning import Conditioner, PromptRules, run_text_encoder
from modules.model.device import DevicePolicy
from modules.model.loader import load_model
from modules.model.model import SDModel
from modules.prompts.chunks import Chunk, pack
from tests import tiny
from tests.prompts.prompt_vectors import REFERENCE, records

RECORDS = [record for record in records("conds") if "error" not in record]
CPU = DevicePolicy(torch.device("cpu"))
PLAIN = PromptRules()
TOLERANCE = 1e-4  # std of the values is 1; the recording states that float64 moves them by 6e-6 at most
SAME_SUMS = 1e-5  # the same sums in another order, in float32


def assert_close(actual: Tensor, expected: Tensor, tolerance: float = SAME_SUMS) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=tolerance)


@pytest.fixture(scope="module")
def model() -> SDModel:
    path = REFERENCE / "models" / "tiny-sd15.safetensors"
    return load_model(Checkpoint(path, path.name), CPU)


@pytest.fixture(scope="module")
def embeddings() -> EmbeddingDatabase:
    database = EmbeddingDatabase([REFERENCE / "embeddings" / "width72"])
    database.refresh()
    return database


@pytest.fixture(scope="module")
def sd2(tmp_path_factory: pytest.TempPathFactory) -> Conditioner:
    path = tiny.checkpoint(tmp_path_factory.mktemp("models") / "sd2.safetensors", "sd2")
    return Conditioner(load_model(Checkpoint(path, path.name), CPU), EmbeddingDatabase([]))


@pytest.fixture
def conditioner(model: SDModel, embeddings: EmbeddingDatabase) -> Conditioner:
    return Conditioner(model, embeddings)


@pytest.fixture(scope="module")
def recorded() -> dict[str, np.ndarray]:
    with np.load(REFERENCE / "conds.npz") as arrays:
        return dict(arrays)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Chunk]:
    """The chunks that the text encoder was really run on."""
    seen: list[Chunk] = []

    def counted(encoder, chunks, *rest):
        seen.extend(chunks)
        return run_text_encoder(encoder, chunks, *rest)

    monkeypatch.setattr(conditioning, "run_text_encoder", counted)
    return seen


def only(scheduled: list[tuple[int, Tensor]]) -> Tensor:
    [(_, encoding)] = scheduled
    return encoding


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record["id"])
def test_recorded_encodings(record: dict, conditioner: Conditioner, recorded: dict[str, np.ndarray]):
    settings = record["settings"]
    rules = PromptRules(
        emphasis=settings["emphasis"],
        clip_skip=settings["clip_skip"],
        comma_backtrack=settings["comma_padding_backtrack"],
        a1111_exact=True,
    )
    [encoding] = conditioner.encode([record["prompt"]], rules, {})
    assert list(encoding.shape) == record["shape"]
    assert_close(encoding, torch.from_numpy(recorded[record["id"]]), TOLERANCE)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record["id"])
def test_recorded_chunks(record: dict, model: SDModel, embeddings: EmbeddingDatabase):
    settings = record["settings"]
    packed = pack(
        record["prompt"],
        model.tokenizer,
        embeddings.index(72, model.tokenizer),
        emphasis=settings["emphasis"],
        comma_backtrack=settings["comma_padding_backtrack"],
        a1111_exact=True,
    )
    assert [chunk.tokens for chunk in packed.chunks] == [chunk["tokens"] for chunk in record["chunks"]]
    for chunk, expected in zip(packed.chunks, record["chunks"], strict=True):
        assert chunk.multipliers == pytest.approx(expected["multipliers"], rel=1e-9)  # products in another order
        assert [list(fix) for fix in chunk.fixes] == expected["fixes"]


def test_plain_token_ids_give_what_the_library_gives(model: SDModel):
    [chunk] = pack("a photo of a cat", model.tokenizer, EmbeddingDatabase([]).index(72, model.tokenizer)).chunks
    with torch.no_grad():
        ours = run_text_encoder(model.text_encoder, [chunk], {}, layers=4)
        theirs = model.text_encoder(input_ids=torch.tensor([chunk.tokens])).last_hidden_state
    assert_close(ours, theirs, tolerance=0)  # the same operations in the same order


class TestStructure:
    def test_and_parts_keep_their_weights(self, conditioner: Conditioner):
        composed = conditioner.cond("a cat:1.5 AND a dog", 20, PLAIN)
        assert [weight for _, weight in composed] == [1.5, 1.0]
        assert_close(only(composed[0][0]), only(conditioner.uncond("a cat", 20, PLAIN)))

    def test_a_negative_prompt_is_not_split(self, conditioner: Conditioner):
        together = conditioner.uncond("cat AND dog", 20, PLAIN)
        assert only(together).shape == (77, 72)
        assert len(conditioner.cond("cat AND dog", 20, PLAIN)) == 2

    def test_editing_gives_one_encoding_for_each_text(self, conditioner: Conditioner):
        [(scheduled, _)] = conditioner.cond("a [cat:dog:0.25]", 20, PLAIN)
        assert [last_call for last_call, _ in scheduled] == [5, 20]
        assert not torch.equal(scheduled[0][1], scheduled[1][1])

    def test_the_second_pass_has_its_own_schedule(self, conditioner: Conditioner):
        [(scheduled, _)] = conditioner.cond("[cat:1.5]", 10, PLAIN, hires_steps=6)
        assert [last_call for last_call, _ in scheduled] == [3, 6]

    def test_old_timelines(self, conditioner: Conditioner):
        [(scheduled, _)] = conditioner.cond("[a:b:1.5]", 10, replace(PLAIN, old_timelines=True))
        assert [last_call for last_call, _ in scheduled] == [1, 10]

    def test_texts_of_one_schedule_are_equally_long(self, conditioner: Conditioner):
        scheduled = conditioner.uncond("[cat|" + "dog " * 80 + "]", 4, PLAIN)
        assert [tuple(encoding.shape) for _, encoding in scheduled] == [(154, 72)] * 4
        empty = only(conditioner.uncond("", 4, PLAIN))
        assert_close(scheduled[0][1][77:], empty)  # filled up with an empty chunk

    def test_any_text_gives_finite_vectors(self, conditioner: Conditioner):
        for text in ("", "((((", "(x:1e9)", "(cat:0) (dog:-0)", "\ud800 [|]", "<|endoftext|>", "(" * 500, "AND"):
            for emphasis in ("Original", "No norm", "Ignore", "None"):
                for scheduled, _ in conditioner.cond(text, 3, PromptRules(emphasis=emphasis)):
                    assert all(torch.isfinite(encoding).all() for _, encoding in scheduled)


class TestEmphasis:
    def test_no_norm_multiplies_and_nothing_else(self, conditioner: Conditioner):
        plain = only(conditioner.uncond("a word", 1, PLAIN))
        heavy = only(conditioner.uncond("a (word:1.5)", 1, replace(PLAIN, emphasis="No norm")))
        expected = plain.clone()
        expected[2] *= 1.5  # begin, a, word
        assert_close(heavy, expected)

    def test_original_restores_the_mean(self, conditioner: Conditioner):
        plain = only(conditioner.uncond("a word", 1, PLAIN))
        heavy = only(conditioner.uncond("a (word:1.5)", 1, PLAIN))
        assert_close(heavy.mean(), plain.mean())
        assert not torch.allclose(heavy, plain, atol=TOLERANCE)

    def test_original_takes_the_mean_over_all_texts_of_a_schedule(self, conditioner: Conditioner):
        scheduled = conditioner.uncond("[(cat:1.5)|dog]", 3, PLAIN)  # cat, dog, cat
        raw = [only(conditioner.uncond(text, 1, replace(PLAIN, emphasis="Ignore"))) for text in ("(cat:1.5)", "dog")]
        before = (raw[0] * 2 + raw[1]).mean() / 3
        weighted = raw[0].clone()
        weighted[1] *= 1.5
        after = (weighted * 2 + raw[1]).mean() / 3
        assert_close(scheduled[0][1], weighted * (before / after))
        assert_close(scheduled[1][1], raw[1] * (before / after))

    @pytest.mark.parametrize(("begin", "end"), [(1.0, 1.0), (1.5, 1.5), (1.0, -1.0)])
    def test_a_mean_of_nothing_leaves_the_gradient_finite(self, begin: float, end: float):
        """A mean of exactly 0 happens by chance; training must not take the NaN of 0 / 0 for a diverged step."""
        encodings = torch.tensor([begin, end])[None, None, :, None].requires_grad_()  # [1, 1, 2, 1]
        for weights in ([1.0, 1.0], [1.2, 1.2], [1.2, -1.2 * begin / end]):  # the last: a mean of 0 after weighing
            multipliers = torch.tensor(weights)[None, None, :, None]
            weighed = conditioning._emphasised(encodings, multipliers, torch.ones(1, 1, 1, 1), restore_mean=True)
            (gradient,) = torch.autograd.grad(weighed.square().sum(), encodings)
            assert weighed.isfinite().all()
            assert gradient.isfinite().all()

    def test_ignore_reads_brackets_and_weighs_nothing(self, conditioner: Conditioner):
        ignored = only(conditioner.uncond("a (word:1.5)", 1, replace(PLAIN, emphasis="Ignore")))
        assert_close(ignored, only(conditioner.uncond("a word", 1, PLAIN)))


class TestClipSkip:
    @pytest.mark.parametrize(("clip_skip", "layers"), [(1, 4), (2, 3), (4, 1), (12, 0)])
    def test_layers_are_left_out_from_the_end(self, conditioner: Conditioner, clip_skip: int, layers: int):
        encoding = only(conditioner.uncond("a cat", 1, replace(PLAIN, clip_skip=clip_skip)))
        encoder = conditioner.model.text_encoder
        [chunk] = pack(
            "a cat", conditioner.model.tokenizer, conditioner.embeddings.index(72, conditioner.model.tokenizer)
        ).chunks
        hidden: list[Tensor] = []
        hooks = [layer.register_forward_hook(lambda *call: hidden.append(call[-1])) for layer in encoder.encoder.layers]
        with torch.no_grad():
            tokens = torch.tensor([chunk.tokens])
            encoder(input_ids=tokens)
            states = [encoder.embeddings(input_ids=tokens), *hidden]
            expected = encoder.final_layer_norm(states[layers])[0]
        for hook in hooks:
            hook.remove()
        assert_close(encoding, expected)


class TestSD2:
    def test_the_end_is_followed_by_zeros(self, sd2: Conditioner, runs: list[Chunk]):
        sd2.uncond("", 1, PLAIN)
        assert [chunk.tokens for chunk in runs] == [[49406, 49407, *[0] * 75]]

    def test_clip_skip_plays_no_part(self, sd2: Conditioner):
        first, third = (only(sd2.uncond("a cat", 1, replace(PLAIN, clip_skip=skip))) for skip in (1, 3))
        assert_close(first, third, tolerance=0)

    def test_all_loaded_layers_are_run(self, sd2: Conditioner):
        tokens = torch.tensor([[49406, 2368, 49407, *[0] * 74]])
        with torch.no_grad():
            expected = sd2.model.text_encoder(input_ids=tokens).last_hidden_state[0]
        assert_close(only(sd2.uncond("cat", 1, PLAIN)), expected)


class TestEmbeddings:
    def write(self, folder: Path, name: str, seed: int) -> None:
        vectors = torch.randn(2, 72, generator=torch.Generator().manual_seed(seed))
        save_safetensors(Embedding(name, vectors), folder / f"{name}.safetensors")

    def test_vectors_stand_in_for_tokens(self, conditioner: Conditioner):
        cat = conditioner.model.text_encoder.embeddings.token_embedding.weight[[2368]]
        named = conditioner.encode(["a photo of zwx-1"], PLAIN, {"zwx-1": cat})
        spelled = conditioner.encode(["a photo of cat"], PLAIN, {})
        assert_close(named, spelled, tolerance=0)  # the very same vectors go in

    def test_weight_acts_on_their_places(self, conditioner: Conditioner):
        rules = replace(PLAIN, emphasis="No norm")
        plain, heavy = (only(conditioner.uncond(text, 1, rules)) for text in ("realbenny-t2", "(realbenny-t2:1.3)"))
        assert_close(heavy[1:3], plain[1:3] * 1.3)
        assert_close(heavy[3:], plain[3:])

    def test_editing_alternation_negative_and_composition(self, conditioner: Conditioner):
        bare = only(conditioner.uncond("half realbenny-t1", 1, PLAIN))
        composed = conditioner.cond("x AND half [realbenny-t1|panda]", 2, PLAIN)
        assert_close(composed[1][0][0][1], bare)
        assert_close(conditioner.uncond("half [realbenny-t1:panda:1]", 2, PLAIN)[0][1], bare)

    def test_used_embeddings_are_told(self, conditioner: Conditioner):
        used = conditioner.embeddings_in("half [realbenny-t2 | panda] AND (realbenny-t1:1.2)", 4, PLAIN)
        assert [embedding.name for embedding in used] == ["realbenny-t2", "realbenny-t1"]
        assert conditioner.embeddings_in("a panda", 4, PLAIN) == []

    def test_a_changed_file_changes_the_encoding(self, model: SDModel, tmp_path: Path):
        database = EmbeddingDatabase([tmp_path])
        conditioner = Conditioner(model, database)
        self.write(tmp_path, "zwx", seed=1)
        database.refresh()
        before = only(conditioner.uncond("zwx", 1, PLAIN))
        self.write(tmp_path, "zwx", seed=2)
        assert torch.equal(only(conditioner.uncond("zwx", 1, PLAIN)), before)  # not looked at yet
        database.refresh()
        assert not torch.allclose(only(conditioner.uncond("zwx", 1, PLAIN)), before, atol=TOLERANCE)

    def test_gradients_reach_the_vectors(self, conditioner: Conditioner):
        vectors = torch.zeros(2, 72, requires_grad=True)
        encoded = conditioner.encode(["a photo of zwx", "(zwx:1.3) smiling"], PLAIN, {"zwx": vectors})
        encoded.square().sum().backward()
        assert vectors.grad is not None
        assert (vectors.grad.abs().sum(dim=1) > 0).all()
        assert all(not parameter.requires_grad for parameter in conditioner.model.text_encoder.parameters())

    def test_each_text_may_have_its_own_copy(self, conditioner: Conditioner):
        """Same encodings; and the gradient of a text, the same twice among them, ends in its copy alone."""
        texts = ["a photo of zwx", "cat", "a photo of zwx", "zwx, zwx"]
        vectors = torch.randn(2, 72, generator=torch.Generator().manual_seed(0)) * 0.02
        copies = vectors.expand(4, 2, 72).clone().requires_grad_()
        encoded = conditioner.encode(texts, PLAIN, {"zwx": copies})
        with torch.no_grad():
            assert_close(encoded.detach(), conditioner.encode(texts, PLAIN, {"zwx": vectors}))
        encoded[2].square().sum().backward()
        assert copies.grad is not None
        assert [bool(grad.any()) for grad in copies.grad] == [False, False, True, False]

    def test_vectors_in_training_come_before_a_file_of_that_name(self, conditioner: Conditioner):
        with torch.no_grad():
            new = conditioner.encode(["realbenny-t1"], PLAIN, {"RealBenny-T1": torch.zeros(1, 72)})
        old = only(conditioner.uncond("realbenny-t1", 1, PLAIN))
        assert not torch.allclose(new[0], old, atol=TOLERANCE)


class TestMemory:
    def test_what_was_encoded_is_not_encoded_again(self, conditioner: Conditioner, runs: list[Chunk]):
        first = conditioner.cond("a [cat|dog], benny", 20, PLAIN)
        assert len(runs) == 2
        again = conditioner.cond("a [cat|dog], benny", 20, PLAIN)
        conditioner.cond("a ([cat|dog]:1.3), (benny)", 20, PLAIN)  # weights act on what comes out
        assert len(runs) == 2
        assert_close(again[0][0][0][1], first[0][0][0][1], tolerance=0)

    def test_other_words_and_other_layers_are(self, conditioner: Conditioner, runs: list[Chunk]):
        conditioner.uncond("a cat", 1, PLAIN)
        conditioner.uncond("a cat", 1, replace(PLAIN, clip_skip=2))
        conditioner.uncond("a dog", 1, PLAIN)
        assert len(runs) == 3

    def test_it_is_bounded(self, conditioner: Conditioner, runs: list[Chunk], monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(conditioning, "CACHED_CHUNKS", 2)
        for text in ("one", "two", "three", "three", "one"):
            conditioner.uncond(text, 1, PLAIN)
        assert len(runs) == 4  # “one” had been forgotten

    def test_results_can_be_changed_without_harm(self, conditioner: Conditioner):
        rules = replace(PLAIN, emphasis="Ignore")
        before = only(conditioner.uncond("a cat", 1, rules)).clone()
        only(conditioner.uncond("a cat", 1, rules)).zero_()
        assert_close(only(conditioner.uncond("a cat", 1, rules)), before, tolerance=0)

    def test_long_schedules_go_in_portions(self, conditioner: Conditioner, monkeypatch: pytest.MonkeyPatch):
        portions: list[int] = []

        def counted(encoder, chunks, *rest):
            portions.append(len(chunks))
            return run_text_encoder(encoder, chunks, *rest)

        monkeypatch.setattr(conditioning, "run_text_encoder", counted)
        conditioner.uncond("[" + "|".join(f"word {n}" for n in range(40)) + "]", 40, PLAIN)
        assert portions == [32, 8]


class TestPadding:
    def test_only_on_request(self, conditioner: Conditioner):
        assert conditioner.padding(PLAIN) is None

    def test_it_is_the_empty_prompt(self, conditioner: Conditioner):
        padding = conditioner.padding(replace(PLAIN, pad_conds=True))
        assert padding is not None
        assert_close(padding, only(conditioner.uncond("", 1, PLAIN)))
