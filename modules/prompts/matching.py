"""Embedding names found among the tokens of a prompt."""

from collections.abc import Mapping
from dataclasses import dataclass

from modules.prompts.tokenizer import ClipTokenizer, TokenizedText


@dataclass(frozen=True)
class Match:
    """An embedding that a prompt names.

    Args:
        name: its name as registered.
        length: tokens of the prompt that spell it.
        vectors: slots of a chunk that it takes.
    """

    name: str
    length: int
    vectors: int


class EmbeddingIndex:
    """Names of embeddings by their token ids, so that case and blanks do not matter.

    Args:
        names_to_vectors: how many vectors each embedding has; of two names with the same ids the first is found.
        tokenizer: the one that the prompts are read with.
    """

    def __init__(self, names_to_vectors: Mapping[str, int], tokenizer: ClipTokenizer):
        self._matches: dict[tuple[int, ...], Match] = {}
        self._lengths: dict[int, list[int]] = {}  # by first id, the longest first
        self.shadowed: dict[str, str] = {}  # name that no prompt can reach -> the name found in its place
        for name, vectors in names_to_vectors.items():
            ids = tuple(tokenizer.encode(name))
            if not ids:
                continue
            found = self._matches.setdefault(ids, Match(name, len(ids), vectors))
            if found.name != name:
                self.shadowed[name] = found.name
        for ids in self._matches:
            lengths = self._lengths.setdefault(ids[0], [])
            if len(ids) not in lengths:
                lengths.append(len(ids))
                lengths.sort(reverse=True)

    def find(self, tokens: TokenizedText, position: int, a1111_exact: bool = False) -> Match | None:
        """The longest name that begins at a token.

        Args:
            tokens: one fragment of a prompt.
            position: index of the token.
            a1111_exact: find names inside longer words too, “t1” in “t10”.
        """
        for length in self._lengths.get(tokens.ids[position], ()):
            found = self._matches.get(tuple(tokens.ids[position : position + length]))
            if found and (a1111_exact or not (tokens.inside_word(position) or tokens.inside_word(position + length))):
                return found
        return None
