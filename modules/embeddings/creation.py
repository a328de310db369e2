"""What a new embedding starts from."""

import torch
from torch import Tensor

from modules.prompts.new_word import initial_tokens
from modules.prompts.tokenizer import ClipTokenizer


def initial_vectors(
    init_text: str, vectors_per_token: int, token_vectors: Tensor, tokenizer: ClipTokenizer, cut: bool = True
) -> Tensor:
    """Vectors of a new embedding, taken from the words it starts from.

    Args:
        init_text, vectors_per_token, cut: as for `initial_tokens`; no words: zeros.
        token_vectors: [vocabulary, width], the text encoder's table, without positions.

    Returns:
        float32 [vectors_per_token, width] on the CPU.

    Raises:
        ParameterError: vectors_per_token out of range.
    """
    rows = initial_tokens(init_text, vectors_per_token, tokenizer, cut)
    if not rows:
        return torch.zeros(vectors_per_token, token_vectors.shape[1])
    return token_vectors[rows].detach().to("cpu", torch.float32)
