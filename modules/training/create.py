"""A new embedding, made of words that the model knows already."""

from pathlib import Path
from typing import cast

from torch import Tensor

from modules.embeddings.creation import initial_vectors
from modules.embeddings.database import EmbeddingDatabase
from modules.embeddings.embedding import Embedding
from modules.embeddings.writing import save_embedding
from modules.errors import ParameterError
from modules.events import EmbeddingSaved, Work
from modules.files import safe_name
from modules.model.families import Family
from modules.model.model import SDModel
from modules.prompts.new_word import name_problem
from modules.training.backups import set_aside


def create_embedding(
    model: SDModel,
    embeddings: EmbeddingDatabase,
    folder: Path,
    name: str,
    init_text: str = "*",
    vectors_per_token: int = 1,
    overwrite: bool = False,
    file_format: str = "safetensors",
) -> Work:
    """Write the file of a new embedding and let the database know it.

    Args:
        folder: of embeddings.
        name: the word for the prompt.
        init_text: what it starts from; empty: zeros.
        overwrite: replace one of that name; its file is kept as `<file>.bak`, `.bak2`, ….
        file_format: "safetensors" or "pt".

    Yields:
        `EmbeddingSaved`.

    Raises:
        ParameterError: the name cannot be a file's, is taken, or could be mistaken for another; or too many vectors.
        StorageError: it could not be written; what was there is there again.
    """
    name = safe_name(name, "name")
    embeddings.refresh()
    known = embeddings.entries(model.width, model.tokenizer)
    older = [entry.path for entry in known if entry.name.casefold() == name.casefold()]
    if older and not overwrite:
        raise ParameterError("name", f"The file {older[0].name} already exists: choose another name, or overwrite it.")
    if problem := name_problem(name, [entry.name for entry in known], model.tokenizer):
        raise ParameterError("name", problem)
    table = cast(Tensor, model.text_encoder.get_input_embeddings().weight)
    cut = model.family is not Family.SD2
    vectors = initial_vectors(init_text, vectors_per_token, table, model.tokenizer, cut)
    path = folder / f"{name}.{file_format}"
    made = Embedding(
        name,
        vectors,
        step=0,
        checkpoint_hash=model.checkpoint.short_hash or None,
        checkpoint_name=model.checkpoint.model_name,
        init_text=init_text,
    )
    with set_aside(older, path):
        save_embedding(made, path)
    embeddings.refresh()
    yield EmbeddingSaved(path, f"Created: {path}")
