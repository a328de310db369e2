"""What a new embedding starts from, and whether its name is a good one."""

from collections.abc import Iterable

import torch
from torch import Tensor

from modules.embeddings.embedding import MOST_VECTORS
from modules.errors import ParameterError
from modules.prompts.tokenizer import ClipTokenizer


def initial_vectors(
    init_text: str, vectors_per_token: int, token_vectors: Tensor, tokenizer: ClipTokenizer, cut: bool = True
) -> Tensor:
    """Vectors of a new embedding, taken from the words it starts from.

    Args:
        init_text: words; each of their T tokens serves vectors_per_token / T vectors in a row. Empty: zeros.
        vectors_per_token: 1 … 75.
        token_vectors: [vocabulary, width], the text encoder's table, without positions.
        cut: leave out the words that find no place, as A1111 does for CLIP (SD 1), instead of spreading the choice
            over all of them, as it does for OpenCLIP (SD 2).

    Returns:
        float32 [vectors_per_token, width] on the CPU.

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
    if not ids:
        return torch.zeros(vectors_per_token, token_vectors.shape[1])
    rows = [ids[vector * len(ids) // vectors_per_token] for vector in range(vectors_per_token)]
    return token_vectors[rows].detach().to("cpu", torch.float32)


def name_notes(name: str, taken: Iterable[str], tokenizer: ClipTokenizer) -> list[str]:
    """Why a name may act where it should not, or not where it should: one sentence each, none for a good name.

    Whether the name can be a file at all is checked by `files.safe_name`.

    Args:
        taken: names of the embeddings that are there.
    """
    ids = tokenizer.encode(name)
    words = [tokenizer.word(id).removesuffix("</w>") for id in ids]
    notes = []
    if len(ids) == 1:
        notes.append(f"“{name}” is an ordinary word: every “{words[0]}” in a prompt would become the embedding.")
    for other in taken:
        theirs = tokenizer.encode(other)
        shorter, longer = sorted((ids, theirs), key=len)
        if other == name or not shorter:
            continue
        if shorter == longer:
            notes.append(f"“{name}” is the same as “{other}” in a prompt (both are {' · '.join(words)}).")
        elif longer[: len(shorter)] == shorter:
            first, second = (name, other) if shorter is ids else (other, name)
            notes.append(f"“{second}” begins with “{first}”: mistyped, it would act as “{first}”.")
    return notes
