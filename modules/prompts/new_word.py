"""A word that is about to be made: whether its name is a good one, and which tokens it starts from."""

import re
from collections.abc import Iterable, Sequence

from modules.errors import ParameterError
from modules.prompts.tokenizer import ClipTokenizer

MOST_VECTORS = 75  # the payload of one 77-token chunk: more could never stand in a prompt

_OPERATORS = re.compile(r"\b(AND|BREAK)\b")


def name_problem(name: str, taken: Iterable[str], tokenizer: ClipTokenizer) -> str:
    """Why a name cannot be the word for an embedding, as a sentence; empty if it can.

    Whether the name can be a file at all is checked by `files.safe_name`.

    Args:
        taken: names of the embeddings that are there; the name itself may be among them.
    """
    ids = tokenizer.encode(name)
    words = [tokenizer.word(id).removesuffix("</w>") for id in ids]
    if operator := _OPERATORS.search(name):
        return f"“{name}” holds {operator[0]}, which a prompt reads as a command: choose another name."
    if len(ids) == 1:
        return (
            f"“{name}” is an ordinary word: every “{words[0]}” in a prompt would become the embedding. Add something "
            f"to it, such as “{name}-t1”."
        )
    twin = next((other for other in taken if other != name and tokenizer.encode(other) == ids), None)
    if twin is not None:
        return (
            f"“{name}” is the same as “{twin}” in a prompt (both are {' · '.join(words)}), so only one of them would "
            "act: choose another name."
        )
    return ""


def name_notes(name: str, taken: Iterable[str], tokenizer: ClipTokenizer) -> list[str]:
    """What to know of a name that can be used: one sentence for each embedding it could be mistaken for.

    Args:
        taken: as for `name_problem`.
    """
    ids = tokenizer.encode(name)
    notes = []
    for other in taken:
        theirs = tokenizer.encode(other)
        shorter, longer = sorted((ids, theirs), key=len)
        if other != name and shorter and shorter != longer and longer[: len(shorter)] == shorter:
            first, second = (name, other) if shorter is ids else (other, name)
            notes.append(f"“{second}” begins with “{first}”: mistyped, it would act as “{first}”.")
    return notes


def initial_tokens(init_text: str, vectors_per_token: int, tokenizer: ClipTokenizer, cut: bool = True) -> list[int]:
    """The token that each vector of a new embedding starts from; none if there are no words: zeros then.

    Args:
        init_text: words; each of their T tokens serves vectors_per_token / T vectors in a row.
        vectors_per_token: 1 … 75.
        cut: leave out the words that find no place, as A1111 does for CLIP (SD 1), instead of spreading the choice
            over all of them, as it does for OpenCLIP (SD 2).

    Raises:
        ParameterError: vectors_per_token out of range.
    """
    if not 1 <= vectors_per_token <= MOST_VECTORS:
        raise ParameterError(
            "vectors_per_token", f"An embedding has 1 to {MOST_VECTORS} vectors, not {vectors_per_token}."
        )
    ids = tokenizer.encode(init_text)
    if cut:
        ids = ids[:vectors_per_token]
    return [ids[vector * len(ids) // vectors_per_token] for vector in range(vectors_per_token)] if ids else []


def token_texts(ids: Sequence[int], tokenizer: ClipTokenizer) -> list[str]:
    """Tokens as a person reads them: “face”, and “real…” for one that goes on in the next."""
    words = [tokenizer.word(id) for id in ids]
    return [word.removesuffix("</w>") + ("" if word.endswith("</w>") else "…") for word in words]
