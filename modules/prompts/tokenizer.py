"""Text to CLIP token ids and back: the byte-pair tokenizer of Stable Diffusion 1 and 2.

Built with the `tokenizers` package alone, from the vocabulary file that lies beside this module, so that neither torch
nor transformers is loaded. It adds no begin and end tokens and cuts nothing: packing is the work of `chunks`.
"""

import functools
import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Regex, Tokenizer
from tokenizers.models import BPE
from tokenizers.normalizers import NFC, Lowercase, Replace
from tokenizers.normalizers import Sequence as NormalizerSequence
from tokenizers.pre_tokenizers import ByteLevel, Split
from tokenizers.pre_tokenizers import Sequence as PreTokenizerSequence

BEGIN = 49406
END = 49407
COMMA = 267  # “,” as a word of its own

VOCABULARY = Path(__file__).with_name("bpe_simple_vocab_16e6.txt.gz")
_MERGES = 48_894  # the file holds more than the 49,408 ids of the trained models leave room for
_WORD_END = "</w>"
_SPECIAL = {"<|startoftext|>": BEGIN, "<|endoftext|>": END}
_SPECIAL_TEXT = re.compile("|".join(map(re.escape, _SPECIAL)), re.IGNORECASE | re.ASCII)
_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
_SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class TokenizedText:
    """Token ids together with where each stands in the text.

    Args:
        text: what was read; lone surrogates have become “?”.
        ids: one id for each token.
        offsets: [start, end) of each token in `text`, in characters.
    """

    text: str
    ids: list[int]
    offsets: list[tuple[int, int]]

    def inside_word(self, position: int) -> bool:
        """Whether the token at `position` goes on the written word of the token before it, as the 0 of “t10” does."""
        if not 0 < position < len(self.ids):
            return False
        before, start = self.offsets[position - 1][1], self.offsets[position][0]
        return before >= start and self.text[before - 1].isalnum() and self.text[start].isalnum()


class ClipTokenizer:
    """The vocabulary of OpenAI CLIP: 49,408 ids; letters lose their case, each digit is a word of its own.

    Text that looks like a special token (“<|endoftext|>”) stays text; with `a1111_exact` it becomes that token.

    Source: Radford et al. 2021, arXiv:2103.00020, and the vocabulary file of its release.
    """

    def __init__(self, vocabulary: Path = VOCABULARY):
        with gzip.open(vocabulary, "rt", encoding="utf-8") as file:
            merges = [_pair(line) for _, line in zip(range(_MERGES + 1), file, strict=False)][1:]  # line 1 is a title
        symbols = _byte_symbols()
        self._words = [*symbols, *(symbol + _WORD_END for symbol in symbols), *map("".join, merges), *_SPECIAL]
        ids = {word: id for id, word in enumerate(self._words)}
        self._tokenizer = Tokenizer(BPE(vocab=ids, merges=merges, end_of_word_suffix=_WORD_END))
        self._tokenizer.normalizer = NormalizerSequence([NFC(), Replace(Regex(r"\s+"), " "), Lowercase()])
        self._tokenizer.pre_tokenizer = PreTokenizerSequence(
            [Split(Regex(_WORDS), "removed", invert=True), ByteLevel(add_prefix_space=False, use_regex=False)]
        )
        self._bytes = {symbol: byte for byte, symbol in zip(_byte_order(), symbols, strict=True)}

    def encode(self, text: str, a1111_exact: bool = False) -> list[int]:
        """Token ids of a text of any length, without begin and end."""
        return self.encode_with_offsets(text, a1111_exact).ids

    def encode_with_offsets(self, text: str, a1111_exact: bool = False) -> TokenizedText:
        """Token ids of a text of any length, each with its place in the text."""
        text = replace_surrogates(text)
        ids: list[int] = []
        offsets: list[tuple[int, int]] = []
        for start, end, special in _split_special(text) if a1111_exact else [(0, len(text), None)]:
            if special is None:
                encoding = self._tokenizer.encode(text[start:end])
                ids += encoding.ids
                offsets += [(start + first, start + last) for first, last in encoding.offsets]
            else:
                ids.append(special)
                offsets.append((start, end))
        return TokenizedText(text, ids, offsets)

    def decode(self, ids: list[int]) -> str:
        """Readable text of token ids, words parted by blanks; ids beyond the vocabulary are left out."""
        words = "".join(self._words[id] for id in ids if 0 <= id < BEGIN).split(_WORD_END)
        return " ".join(bytes(map(self._bytes.__getitem__, word)).decode(errors="replace") for word in words).strip()

    def word(self, id: int) -> str:
        """One entry of the vocabulary as CLIP spells it: `cat</w>` ends a word, `real` goes on.

        Raises:
            IndexError: no such id.
        """
        if id < 0:
            raise IndexError(f"token ids begin at 0, got {id}")
        return self._words[id]


@functools.cache
def clip_tokenizer() -> ClipTokenizer:
    """The one tokenizer of the program, built at first use (0.2 s)."""
    return ClipTokenizer()


def replace_surrogates(text: str) -> str:
    """Put “?” for each lone surrogate: a str may hold them, but no encoding and no other program takes them."""
    return _SURROGATES.sub("?", text)


def _pair(line: str) -> tuple[str, str]:
    first, _, second = line.rstrip("\n").partition(" ")
    return first, second


def _byte_order() -> list[int]:
    """All bytes in the order of the vocabulary: first those with a printable character of their own."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    return printable + [byte for byte in range(256) if byte not in printable]


def _byte_symbols() -> list[str]:
    """The character that stands for each byte of `_byte_order`: itself, or the next one from U+0100 on."""
    order = _byte_order()
    printable = next(place for place, byte in enumerate(order) if byte == 0)
    return [chr(byte) for byte in order[:printable]] + [chr(256 + place) for place in range(256 - printable)]


def _split_special(text: str) -> Iterator[tuple[int, int, int | None]]:
    start = 0
    for found in _SPECIAL_TEXT.finditer(text):
        yield start, found.start(), None
        yield found.start(), found.end(), _SPECIAL[found.group().lower()]
        start = found.end()
    yield start, len(text), None
