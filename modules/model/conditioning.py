"""Prompts become tensors: composition, schedule, chunks, text encoder, emphasis.

Comments, tags and styles are cut out before a prompt comes here. Which encoding serves which call of the model, and
how prompts of different lengths meet in one batch, is the work of `samplers.guidance`.
"""

import copy
import dataclasses
from collections import Counter, OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import CLIPTextModel
from transformers.masking_utils import create_causal_mask

from modules.embeddings.database import EmbeddingDatabase
from modules.embeddings.embedding import Embedding
from modules.model.families import Family
from modules.model.model import SDModel
from modules.prompts import parse_composition, parse_schedule
from modules.prompts.chunks import Chunk, empty_chunk, pack
from modules.prompts.matching import EmbeddingIndex
from modules.prompts.tokenizer import END
from modules.samplers.guidance import Composed, Scheduled

CACHED_CHUNKS = 256  # 60 MB at width 768
_CHUNKS_AT_ONCE = 32  # bounds the memory of schedules with many texts
_SD2_PADDING = 0


@dataclass(frozen=True)
class PromptRules:
    """How prompts are read and encoded; the fields of the same names in `params` say more.

    Attributes:
        emphasis: “Original”, “No norm”, “Ignore” or “None”.
        clip_skip: 1 = the text encoder's last layer, 2 = the one before, … SD 2 has its own fixed choice.
        comma_backtrack: how many tokens behind a comma may move to the next chunk.
        pad_conds: lay the encoded empty prompt behind the shorter of prompt and negative prompt.
        pad_conds_v0: as DDIM and PLMS did up to version 1.5: repeat or cut the negative prompt.
        old_timelines: prompt editing as it was before version 1.6.
        breaks, old_emphasis: as for `pack`.
        a1111_exact: A1111's answer wherever ours differs.
    """

    emphasis: str = "Original"
    clip_skip: int = 1
    comma_backtrack: int = 20
    pad_conds: bool = False
    pad_conds_v0: bool = False
    old_timelines: bool = False
    breaks: bool = True
    old_emphasis: bool = False
    a1111_exact: bool = False


class Conditioner:
    """Encodes prompts with one model's text encoder and the user's embeddings.

    Chunks that were encoded before are remembered, up to `CACHED_CHUNKS` of them: the same tokens, embeddings and
    clip skip give the same vectors. All results are float32 on the model's device.

    Args:
        model: its text encoder, tokenizer and family are used.
        embeddings: looked at anew for each prompt; whoever wants changed files to count refreshes it.
    """

    def __init__(self, model: SDModel, embeddings: EmbeddingDatabase):
        self.model = model
        self.embeddings = embeddings
        self._padding_token = _SD2_PADDING if model.family is Family.SD2 else END
        self._empty = empty_chunk(self._padding_token)
        self._cache: OrderedDict[tuple, Tensor] = OrderedDict()

    def with_model(self, model: SDModel) -> "Conditioner":
        """One for a model with the same text encoder, which shares what is remembered."""
        other = copy.copy(self)
        other.model = model
        return other

    def with_embeddings(self, embeddings: EmbeddingDatabase) -> "Conditioner":
        """One for other embeddings, which shares what is remembered: that is told apart by the vectors."""
        other = copy.copy(self)
        other.embeddings = embeddings
        return other

    @torch.no_grad()
    def cond(self, prompt: str, steps: int, rules: PromptRules, hires_steps: int | None = None) -> Composed:
        """Encode a prompt.

        Args:
            prompt: AND, prompt editing and emphasis are read.
            steps: calls of the model that the schedule is laid out for; a solver of second order makes two a step.
            rules: how to read.
            hires_steps: the same for the second pass; then its schedule is given, and `steps` is the first pass's.

        Returns:
            The AND parts with their weights, each a list of (last call, encoding [77 · chunks, width]).
        """
        parts = parse_composition(prompt, rules.a1111_exact)
        return [(self._scheduled(text, steps, rules, hires_steps), weight) for text, weight in parts]

    @torch.no_grad()
    def uncond(self, prompt: str, steps: int, rules: PromptRules, hires_steps: int | None = None) -> Scheduled:
        """Encode a negative prompt: as `cond`, but AND is a word like any other."""
        return self._scheduled(prompt, steps, rules, hires_steps)

    @torch.no_grad()
    def padding(self, rules: PromptRules) -> Tensor | None:
        """The encoded empty prompt [77, width], if the rules want prompts to be padded with it."""
        return self._encode([""], rules)[0] if rules.pad_conds else None

    def encode(self, texts: Sequence[str], rules: PromptRules, vectors: Mapping[str, Tensor]) -> Tensor:
        """Encode texts together, with embeddings that are being trained.

        Gradients flow from the result to `vectors`. Nothing is remembered.

        Args:
            texts: emphasis is read; AND and prompt editing are text.
            rules: how to read.
            vectors: [vectors_per_token, width] by name, or [texts, vectors_per_token, width]: each text its own copy,
                whose gradients tell the texts apart. They come before the embeddings of the database.

        Returns:
            float32 [texts, 77 · chunks, width]; shorter texts are filled up with empty chunks.
        """
        return torch.stack(self._encode(texts, rules, vectors))

    def embeddings_in(
        self, prompt: str, steps: int, rules: PromptRules, hires_steps: int | None = None
    ) -> list[Embedding]:
        """The embeddings that a prompt or negative prompt uses at any step, in the order of their first use.

        Args:
            steps, hires_steps: as for `parse_schedule`.
        """
        vocabulary = self.embeddings.vocabulary(self.model.width, self.model.tokenizer)
        texts = [
            text
            for part, _ in parse_composition(prompt, rules.a1111_exact)
            for _, text in parse_schedule(part, steps, hires_steps, rules.old_timelines, rules.a1111_exact)
        ]
        chunks = [chunk for text in dict.fromkeys(texts) for chunk in self._pack(text, rules, vocabulary.index)]
        return [vocabulary.embeddings[name] for name in dict.fromkeys(name for c in chunks for _, name in c.fixes)]

    def _scheduled(self, text: str, steps: int, rules: PromptRules, hires_steps: int | None) -> Scheduled:
        schedule = parse_schedule(text, steps, hires_steps, rules.old_timelines, rules.a1111_exact)
        encodings = self._encode([text for _, text in schedule], rules)
        return [(last_call, encoding) for (last_call, _), encoding in zip(schedule, encodings, strict=True)]

    def _encode(
        self, texts: Sequence[str], rules: PromptRules, training: Mapping[str, Tensor] | None = None
    ) -> list[Tensor]:
        """[77 · chunks, width] of each text; all are emphasised together, as A1111 does with one schedule."""
        vocabulary = self.embeddings.vocabulary(self.model.width, self.model.tokenizer)
        index = vocabulary.index
        if training:
            names = {name: vectors.shape[-2] for name, vectors in training.items()}
            names |= {n: e.vectors_per_token for n, e in vocabulary.embeddings.items() if n not in names}
            index = EmbeddingIndex(names, self.model.tokenizer)
        own = {name: vectors for name, vectors in (training or {}).items() if vectors.ndim == 3}
        repeats = dict.fromkeys(enumerate(texts), 1) if own else Counter((0, text) for text in texts)
        packed = [_with_own_copy(self._pack(text, rules, index), own, number) for number, text in repeats]
        length = max(len(chunks) for chunks in packed)
        chunks = [chunk for some in packed for chunk in some + [self._empty] * (length - len(some))]
        layers = self._layers(rules)
        if training:
            vectors = {name: e.vectors for name, e in vocabulary.embeddings.items()} | dict(training)
            vectors |= {_own(name, number): row for name, rows in own.items() for number, row in enumerate(rows)}
            encodings = self._run(chunks, vectors, layers)
        else:
            encodings = self._remembered(chunks, vocabulary.embeddings, layers)
        encodings = encodings.unflatten(0, (len(packed), length))
        if rules.emphasis in ("Original", "No norm"):
            multipliers = encodings.new_tensor([chunk.multipliers for chunk in chunks]).view(len(packed), length, -1, 1)
            shares = encodings.new_tensor(list(repeats.values())).view(-1, 1, 1, 1) / len(texts)
            encodings = _emphasised(encodings, multipliers, shares, restore_mean=rules.emphasis == "Original")
        joined = dict(zip(repeats, encodings.flatten(1, 2), strict=True))
        return [joined[number if own else 0, text] for number, text in enumerate(texts)]

    def _pack(self, text: str, rules: PromptRules, index: EmbeddingIndex) -> list[Chunk]:
        return pack(
            text,
            self.model.tokenizer,
            index,
            emphasis=rules.emphasis,
            comma_backtrack=rules.comma_backtrack,
            padding_token=self._padding_token,
            a1111_exact=rules.a1111_exact,
            breaks=rules.breaks,
            old_emphasis=rules.old_emphasis,
        ).chunks

    def _layers(self, rules: PromptRules) -> int:
        """How many layers of the text encoder are run. SD 2's was loaded without the one that is never run."""
        layers = len(self.model.text_encoder.encoder.layers)
        return layers if self.model.family is Family.SD2 else max(layers - rules.clip_skip + 1, 0)

    def _remembered(self, chunks: Sequence[Chunk], embeddings: Mapping[str, Embedding], layers: int) -> Tensor:
        """As `_run`, but what was run before is not run again."""
        digests = {name: embeddings[name].vectors_digest for chunk in chunks for _, name in chunk.fixes}
        keys = [
            (tuple(chunk.tokens), tuple((offset, digests[name]) for offset, name in chunk.fixes), layers)
            for chunk in chunks
        ]
        found = {key: self._cache[key] for key in keys if key in self._cache}
        missing = {key: chunk for key, chunk in zip(keys, chunks, strict=True) if key not in found}
        if missing:
            vectors = {name: embeddings[name].vectors for name in digests}
            encodings = self._run(list(missing.values()), vectors, layers)
            found |= {key: encoding.clone() for key, encoding in zip(missing, encodings, strict=True)}
        for key in keys:
            self._cache[key] = found[key]
            self._cache.move_to_end(key)
        while len(self._cache) > CACHED_CHUNKS:
            self._cache.popitem(last=False)
        return torch.stack([found[key] for key in keys])

    def _run(self, chunks: Sequence[Chunk], vectors: Mapping[str, Tensor], layers: int) -> Tensor:
        encoder = self.model.text_encoder
        some = (chunks[start : start + _CHUNKS_AT_ONCE] for start in range(0, len(chunks), _CHUNKS_AT_ONCE))
        return torch.cat([run_text_encoder(encoder, part, vectors, layers) for part in some])


def run_text_encoder(
    text_encoder: CLIPTextModel, chunks: Sequence[Chunk], vectors: Mapping[str, Tensor], layers: int
) -> Tensor:
    """Run the first layers of a CLIP text encoder and its final norm, with embeddings in the place of token vectors.

    transformers' own `forward` takes token ids only, so this does what it does with the modules it does it with.

    Args:
        text_encoder: any CLIP text model.
        chunks: what to encode.
        vectors: [vectors_per_token, width] of each embedding that the chunks name; gradients flow back to them.
        layers: how many layers, 0 … all.

    Returns:
        float32 [chunks, 77, width].
    """
    tokens = torch.tensor([chunk.tokens for chunk in chunks], device=text_encoder.device)
    inputs = text_encoder.get_input_embeddings()(tokens)
    for row, chunk in enumerate(chunks):
        for offset, name in chunk.fixes:
            room = inputs.shape[1] - offset - 1
            inputs[row, offset + 1 : offset + 1 + len(vectors[name])] = vectors[name][:room].to(inputs)
    hidden = text_encoder.embeddings(inputs_embeds=inputs)
    mask = create_causal_mask(
        config=text_encoder.config, inputs_embeds=hidden, attention_mask=None, past_key_values=None
    )
    for layer in text_encoder.encoder.layers[:layers]:
        hidden = layer(hidden, mask, is_causal=True)
    return text_encoder.final_layer_norm(hidden).float()


def _own(name: str, number: int) -> str:
    """The name of a text's own copy of an embedding: no file can be called so."""
    return f"{name}/{number}"


def _with_own_copy(chunks: Sequence[Chunk], names: Collection[str], number: int) -> list[Chunk]:
    """The chunks of a text, naming the copies that belong to it."""
    if not names:
        return [*chunks]
    fixes = [[(at, _own(name, number) if name in names else name) for at, name in chunk.fixes] for chunk in chunks]
    return [dataclasses.replace(chunk, fixes=own) for chunk, own in zip(chunks, fixes, strict=True)]


def _emphasised(encodings: Tensor, multipliers: Tensor, shares: Tensor, restore_mean: bool) -> Tensor:
    """Weigh each vector; then bring each chunk position's mean over all texts back to what it was.

    Args:
        encodings: [texts, chunks, 77, width].
        multipliers: [texts, chunks, 77, 1].
        shares: [texts, 1, 1, 1], how much each text counts in the mean; their sum is 1.
    """
    weighted = encodings * multipliers
    if not restore_mean:
        return weighted
    before, after = (((t * shares).sum(0).mean((1, 2))) for t in (encodings, weighted))
    divisor = torch.where(after == 0, 1.0, after)  # inside too: the gradient of 0 / 0 would be NaN where none is taken
    scale = torch.where(after == 0, 1.0, before / divisor)
    return weighted * scale[:, None, None]
