"""Samples of a training run: drawn by txt2img, with the embedding as it is at that step."""

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from modules import images
from modules.embeddings.database import EmbeddingDatabase, Vocabulary
from modules.embeddings.embedding import Embedding
from modules.embeddings.reading import read_embedding
from modules.events import Event, ImageDone, Request, Sampled, Status
from modules.generation.naming import Turn
from modules.generation.outputs import OutputFolder, Saved
from modules.generation.txt2img import txt2img
from modules.model.conditioning import Conditioner
from modules.model.model import SDModel
from modules.params import Txt2ImgParams
from modules.prompts.matching import EmbeddingIndex
from modules.prompts.tokenizer import ClipTokenizer
from modules.training_params import TrainParams


def preview_params(params: TrainParams, prompt: str) -> Txt2ImgParams:
    """What each sample of a run is drawn from.

    Args:
        prompt: taken if the parameters name none.

    Raises:
        ParameterError: a value outside its range.
    """
    return Txt2ImgParams(
        prompt=params.preview_prompt or prompt,
        negative_prompt=params.preview_negative_prompt,
        sampler=params.preview_sampler,
        steps=params.preview_steps,
        width=params.preview_width or params.width,
        height=params.preview_height or params.height,
        cfg_scale=params.preview_cfg_scale,
        seed=params.preview_seed,
        clip_skip=params.clip_skip,
        preview_every=0,
    )


def draw_preview(
    model: SDModel, embeddings: EmbeddingDatabase, trained: Path, params: Txt2ImgParams, path: Path
) -> Generator[Event, Request | None, ImageDone | None]:
    """Draw one sample, by the very code that draws for users; it has its own random numbers.

    Args:
        embeddings: the user's own, for what else the prompt names.
        trained: the file of the embedding that is being trained; its name is the word for it.
        path: where the picture goes; one that was interrupted says so in its name.

    Yields:
        `Status` for each step. Requests go to txt2img.

    Returns:
        the picture, None if it was skipped.
    """
    embedding = read_embedding(trained)
    assert embedding is not None, "no picture"
    return (yield from draw_with(model, embeddings, embedding, params, path))


def draw_with(
    model: SDModel, embeddings: EmbeddingDatabase, embedding: Embedding | None, params: Txt2ImgParams, path: Path
) -> Generator[Event, Request | None, ImageDone | None]:
    """As `draw_preview`, with an embedding under its own name, which comes before the user's; None: only theirs."""
    database = _WithTrained(embeddings, embedding) if embedding else embeddings
    work = txt2img(Conditioner(model, database), params, _OneFile(path.parent, path.parent, path=path))
    picture, request = None, None
    try:
        while True:
            event = work.send(request)
            if isinstance(event, ImageDone):
                picture = event
            step = f", step {event.step} of {event.steps}" if isinstance(event, Sampled) else ""
            request = yield Status(f"drawing a sample{step}")
    except StopIteration:
        return picture
    finally:
        work.close()


class _WithTrained(EmbeddingDatabase):
    """The user's embeddings, and before them the one that is being trained."""

    def __init__(self, others: EmbeddingDatabase, trained: Embedding):
        super().__init__(others.folders)
        self._others = others
        self._trained = trained

    def refresh(self) -> bool:
        return self._others.refresh()

    def vocabulary(self, width: int, tokenizer: ClipTokenizer) -> Vocabulary:
        others = self._others.vocabulary(width, tokenizer).embeddings
        embeddings = {self._trained.name: self._trained} | {n: e for n, e in others.items() if n != self._trained.name}
        return Vocabulary(
            embeddings, EmbeddingIndex({n: e.vectors_per_token for n, e in embeddings.items()}, tokenizer)
        )


@dataclass(frozen=True)
class _OneFile(OutputFolder):
    """Takes one picture, under the name of its step."""

    path: Path = Path()

    def save_picture(self, image: Image.Image, infotext: str, turn: Turn, incomplete: bool = False) -> Saved:
        path = self.path.with_stem(f"{self.path.stem}-incomplete") if incomplete else self.path
        images.save_png(image, path, infotext)
        return Saved(path)
