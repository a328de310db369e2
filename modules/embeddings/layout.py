"""How the same embedding is laid out in dictionaries of tensors: A1111, concepts, SDXL. Knows no container."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from modules.embeddings.embedding import CLIP_G_WIDTH, CLIP_L_WIDTH, SDXL_WIDTH, Embedding
from modules.errors import EmbeddingError

STAR = 265  # the CLIP token of “*”, under which the format's first program kept every embedding


def a1111_layout(embedding: Embedding, wrap: Callable[[Tensor], object] = lambda tensor: tensor) -> dict[str, object]:
    """What A1111 keeps in a `.pt` file and in a card; `wrap` makes of a tensor what the container can hold."""
    if embedding.width == SDXL_WIDTH:
        vectors = {key: wrap(tensor) for key, tensor in tensor_layout(embedding).items()}
    else:
        vectors = {"string_to_token": {"*": STAR}, "string_to_param": {"*": wrap(embedding.vectors)}}
    return vectors | {
        "name": embedding.name,
        "step": embedding.step or 0,
        "sd_checkpoint": embedding.checkpoint_hash,
        "sd_checkpoint_name": embedding.checkpoint_name,
    }


def tensor_layout(embedding: Embedding) -> dict[str, Tensor]:
    """What a `.safetensors` file holds: one tensor, or SDXL's two."""
    if embedding.width == SDXL_WIDTH:
        clip_l, clip_g = embedding.vectors.split([CLIP_L_WIDTH, CLIP_G_WIDTH], dim=1)
        return {"clip_l": clip_l.contiguous(), "clip_g": clip_g.contiguous()}
    return {"emb_params": embedding.vectors}


def find_vectors(content: object, where: str) -> Tensor:
    """The vectors of any layout, in the order A1111 tries them.

    Args:
        content: a dictionary with `string_to_param`; one with `clip_l` and `clip_g`; or one with a single tensor.
        where: the file's name, for the sentence.

    Returns:
        [vectors, width], type as in the file, not judged yet.

    Raises:
        EmbeddingError: no embedding, or more than one.
    """
    if not isinstance(content, Mapping):
        raise EmbeddingError(f"“{where}” holds a {type(content).__name__}, no embedding.")
    if "string_to_param" in content:
        parameters = content["string_to_param"]
        if isinstance(parameters, torch.nn.ParameterDict):  # the first program saved a module
            parameters = vars(parameters).get("_parameters")  # its own `items` expects what old versions did not write
        return _only_tensor(parameters, where)
    if "clip_l" in content and "clip_g" in content:
        return _side_by_side(content["clip_l"], content["clip_g"], where)
    return _only_tensor(content, where)


def _only_tensor(content: object, where: str) -> Tensor:
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise EmbeddingError(f"“{where}” is no embedding: it does not hold a name and its vectors.")
    if len(content) != 1:
        raise EmbeddingError(
            f"“{where}” holds {len(content)} tensors; an embedding has one. Is it another kind of model?"
        )
    return _rows(next(iter(content.values())))


def _side_by_side(clip_l: object, clip_g: object, where: str) -> Tensor:
    if isinstance(clip_l, Tensor) and isinstance(clip_g, Tensor):
        left, right = _rows(clip_l), _rows(clip_g)
        belong = left.ndim == right.ndim == 2 and left.shape[0] == right.shape[0]
        if belong and (left.shape[1], right.shape[1]) == (CLIP_L_WIDTH, CLIP_G_WIDTH):
            return torch.cat([left, right], dim=1)
    raise EmbeddingError(f"“{where}” is a damaged SDXL embedding: its two parts do not belong together.")


def _rows(tensor: Tensor) -> Tensor:
    return tensor.unsqueeze(0) if tensor.ndim == 1 else tensor
