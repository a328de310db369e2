"""A prompt packed into chunks of 75 tokens, as the text encoder takes them."""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

from modules.prompts.attention import BREAK, parse_attention
from modules.prompts.matching import EmbeddingIndex, Match
from modules.prompts.old_emphasis import runs_of_equal_weight
from modules.prompts.tokenizer import BEGIN, COMMA, END, ClipTokenizer, TokenizedText

CHUNK = 75  # tokens of the prompt in one chunk; begin and end make 77
_RESERVED = 0  # token in the slots of an embedding, whose vectors replace it
_LARGEST_MULTIPLIER = 1e30  # leaves float32 room for the sum over a chunk that restores the mean


@dataclass(frozen=True)
class Chunk:
    """What the text encoder takes at once.

    Args:
        tokens: 77 ids, begin first.
        multipliers: 77 weights of the encoder's output; 1 for begin, end and padding.
        fixes: (offset, name) of each embedding; its first vector goes to row offset + 1 of the 77.
    """

    tokens: list[int]
    multipliers: list[float]
    fixes: list[tuple[int, str]]


@dataclass(frozen=True)
class Word:
    """Where a token or an embedding of a chunk comes from: [start, end) in the text of a fragment."""

    fragment: int
    start: int
    end: int
    embedding: Match | None = None


@dataclass(frozen=True)
class PackedPrompt:
    """The chunks of one text.

    Args:
        chunks: at least one.
        token_count: tokens that the counter shows; each chunk but the last counts 75.
        words: for each chunk, what it was filled with.
        fragments: (text, weight) that the words refer to.
        cut: tokens that were left out at the end; only the old emphasis does so.
    """

    chunks: list[Chunk]
    token_count: int
    words: list[list[Word]]
    fragments: Sequence[tuple[str, float]]
    cut: int = 0

    @property
    def target(self) -> int:
        """The token count up to which no further chunk is needed."""
        return max(1, -(-self.token_count // CHUNK)) * CHUNK


def pack(
    prompt: str | Sequence[tuple[str, float]],
    tokenizer: ClipTokenizer,
    index: EmbeddingIndex,
    *,
    emphasis: str = "Original",
    comma_backtrack: int = 20,
    padding_token: int = END,
    a1111_exact: bool = False,
    breaks: bool = True,
    old_emphasis: bool = False,
) -> PackedPrompt:
    """Fill chunks with the tokens of a text.

    A full chunk is parted at its last comma if that is near enough; BREAK closes a chunk; an embedding never lies
    across two.

    Args:
        prompt: a text without AND and scheduling, or its fragments (text, weight).
        tokenizer: gives the token ids.
        index: the embeddings that a name stands for.
        emphasis: “None” takes brackets and BREAK as text; the other modes read them.
        comma_backtrack: how many tokens behind a comma may move to the next chunk, 0 … 74.
        padding_token: what follows the first end token: 49407 for SD 1, 0 for SD 2.
        a1111_exact: let embeddings stay behind when the tokens around them move, and the rules of `parse_attention`,
            `EmbeddingIndex.find` and `ClipTokenizer.encode`.
        breaks: BREAK closes a chunk; else it is a word, as in 2022. Of fragments given, only “None” takes it so.
        old_emphasis: read a text by the rules of `old_emphasis`: one chunk, and what goes beyond is cut.

    Source: behaviour of A1111 v1.10.
    """
    if old_emphasis and isinstance(prompt, str):
        return _packed_as_of_old(prompt, tokenizer, index, padding_token, a1111_exact)
    if not isinstance(prompt, str):
        fragments = prompt
    elif emphasis == "None":
        fragments = [(prompt, 1.0)]
    else:
        fragments = parse_attention(prompt, a1111_exact, breaks)
    packer = _Packer(comma_backtrack, padding_token, a1111_exact)
    for number, (text, weight) in enumerate(fragments):
        if (text, weight) == BREAK and emphasis != "None":
            packer.close()
        else:
            packer.fill(tokenizer.encode_with_offsets(text, a1111_exact), weight, number, index)
    packer.finish()
    return PackedPrompt(packer.chunks, packer.token_count, packer.words, fragments)


def _packed_as_of_old(
    text: str, tokenizer: ClipTokenizer, index: EmbeddingIndex, padding_token: int, a1111_exact: bool
) -> PackedPrompt:
    runs = [*runs_of_equal_weight(tokenizer.encode_with_offsets(text, a1111_exact), tokenizer)]
    packer = _Packer(0, padding_token, a1111_exact, one_chunk=True)
    for number, (tokens, weight) in enumerate(runs):
        packer.fill(tokens, weight, number, index)
    packer.finish()
    fragments = [(tokens.text, weight) for tokens, weight in runs] or [("", 1.0)]
    return PackedPrompt(packer.chunks, packer.token_count, packer.words, fragments, packer.cut)


def empty_chunk(padding_token: int = END) -> Chunk:
    """The chunk that brings a shorter text to the length of others: begin, then 76 times end or padding."""
    return _chunk([], [], [], padding_token)


class _Packer:
    """The chunk being filled, and those that are full; with `one_chunk`, what has no room in the first is cut."""

    def __init__(self, comma_backtrack: int, padding_token: int, a1111_exact: bool, one_chunk: bool = False):
        self.chunks: list[Chunk] = []
        self.words: list[list[Word]] = []
        self.token_count = 0
        self.cut = 0
        self._one_chunk = one_chunk
        self._comma_backtrack = comma_backtrack
        self._padding_token = padding_token
        self._a1111_exact = a1111_exact
        self._start()

    def _start(self) -> None:
        self._tokens: list[int] = []
        self._multipliers: list[float] = []
        self._fixes: list[tuple[int, str]] = []
        self._words: list[Word] = []
        self._offsets: list[int] = []  # of each word
        self._comma: int | None = None  # offset of the last one

    def fill(self, tokens: TokenizedText, weight: float, fragment: int, index: EmbeddingIndex) -> None:
        """Add the tokens of one fragment, embeddings in place of their names."""
        weight = max(-_LARGEST_MULTIPLIER, min(weight, _LARGEST_MULTIPLIER))
        position = 0
        while position < len(tokens.ids):
            id = tokens.ids[position]
            if id == COMMA:
                self._comma = len(self._tokens)
            elif (
                len(self._tokens) == CHUNK and self._comma is not None and CHUNK - self._comma <= self._comma_backtrack
            ):
                self._close_behind_comma(self._comma + 1)
            if len(self._tokens) == CHUNK and not self._one_chunk:
                self.close()
            match = index.find(tokens, position, self._a1111_exact)
            length, slots = (match.length, min(match.vectors, CHUNK)) if match else (1, 1)
            if self._one_chunk:
                room = CHUNK - len(self._tokens)
                self.cut += max(slots - room, 0)
                if not room:
                    position += length
                    continue
                slots = min(slots, room)
            elif len(self._tokens) + slots > CHUNK:
                self.close()
            if match:
                self._fixes.append((len(self._tokens), match.name))
            start, end = tokens.offsets[position][0], tokens.offsets[position + length - 1][1]
            self._offsets.append(len(self._tokens))
            self._words.append(Word(fragment, start, end, match))
            self._tokens += [_RESERVED if match else id] * slots
            self._multipliers += [weight] * slots
            position += length

    def close(self) -> None:
        """Close the chunk, even an empty one."""
        self.chunks.append(_chunk(self._tokens, self._multipliers, self._fixes, self._padding_token))
        self.words.append(self._words)
        self.token_count += CHUNK
        self._start()

    def finish(self) -> None:
        """Close the last chunk if it holds anything, or if there is no other."""
        if self._tokens or not self.chunks:
            count = self.token_count + len(self._tokens)
            self.close()
            self.token_count = count

    def _close_behind_comma(self, offset: int) -> None:
        """Close the chunk at an offset and move what lies behind to the next one."""
        tokens, multipliers = self._tokens[offset:], self._multipliers[offset:]
        first_word = bisect.bisect_left(self._offsets, offset)
        words, offsets = self._words[first_word:], [place - offset for place in self._offsets[first_word:]]
        fixes = [(place - offset, name) for place, name in self._fixes if place >= offset]
        del self._tokens[offset:], self._multipliers[offset:], self._words[first_word:]
        if self._a1111_exact:
            fixes = []  # they stay where they were, on the padding of the old chunk
        else:
            self._fixes = [fix for fix in self._fixes if fix[0] < offset]
        self.close()
        self._tokens, self._multipliers, self._fixes = tokens, multipliers, fixes
        self._words, self._offsets = words, offsets


def _chunk(tokens: list[int], multipliers: list[float], fixes: list[tuple[int, str]], padding_token: int) -> Chunk:
    missing = CHUNK - len(tokens) + 1
    tokens = [BEGIN, *tokens, *[END] * missing]
    if padding_token != END:
        after_end = tokens.index(END) + 1
        tokens[after_end:] = [padding_token] * (len(tokens) - after_end)
    return Chunk(tokens, [1.0, *multipliers, *[1.0] * missing], fixes)
