"""BLIP, a model that says in one sentence what a picture shows. It is never fetched: its files lie in a folder of the
user's or in the Hugging Face cache of this machine, or the user is told where to put them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from modules.errors import CheckpointError, FileFormatError, ModelMissing

if TYPE_CHECKING:
    from transformers import BlipForConditionalGeneration, PreTrainedTokenizerFast

REPOSITORY = "Salesforce/blip-image-captioning-base"
FOLDER_NAME = "BLIP"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
MIN_TOKENS, MAX_TOKENS = 24, 48  # A1111's settings
MEAN = np.array((0.48145466, 0.4578275, 0.40821073), np.float32)  # of the pictures that CLIP was trained on
DEVIATION = np.array((0.26862954, 0.26130258, 0.27577711), np.float32)


class Blip:
    """The loaded model. Made by `load_blip`."""

    def __init__(self, model: "BlipForConditionalGeneration", tokenizer: "PreTrainedTokenizerFast", side: int):
        self._model = model
        self._tokenizer = tokenizer
        self._side = side  # of the pictures that the model looks at, in pixels

    def describe(self, image: Image.Image) -> str:
        """One sentence, always the same one for the same picture."""
        import torch

        scaled = np.asarray(image.resize((self._side, self._side), Image.Resampling.BICUBIC), np.float32) / 255
        pixels = torch.from_numpy((scaled - MEAN) / DEVIATION).permute(2, 0, 1)[None]
        with torch.no_grad():
            tokens = self._model.generate(
                pixels.to(self._model.device),
                min_length=MIN_TOKENS,
                max_length=MAX_TOKENS,
                num_beams=1,
                do_sample=False,
            )
        return str(self._tokenizer.decode(tokens[0], skip_special_tokens=True)).strip()


def find_blip(models: Path) -> Path:
    """The folder with BLIP's files: `BLIP` in the folder of models, or the cache of Hugging Face.

    Raises:
        ModelMissing: neither has them; says what to put where.
    """
    from huggingface_hub import try_to_load_from_cache

    own = models / FOLDER_NAME
    cached = try_to_load_from_cache(REPOSITORY, "config.json")
    for folder in (own, *([Path(cached).parent] if isinstance(cached, str) else [])):
        if _weights(folder) and (folder / "config.json").is_file():
            return folder
    raise ModelMissing(
        f"BLIP is not on this machine. Put config.json, tokenizer.json and {' or '.join(WEIGHTS)} (1 GB) of "
        f"{REPOSITORY} from Hugging Face into {own}, or turn “Use BLIP for caption” off."
    )


def load_blip(folder: Path, device: str = "cpu") -> Blip:
    """Load BLIP from a folder; weights are read by the same safe reader as checkpoints.

    Raises:
        CheckpointError: its files are incomplete, or of another model.
        FileFormatError: the weights are damaged or unsafe.
    """
    from transformers import BlipConfig, BlipForConditionalGeneration, PreTrainedTokenizerFast

    from modules.tensorfile import open_tensors

    weights = _weights(folder)
    vocabulary = folder / "tokenizer.json"
    if weights is None or not vocabulary.is_file():
        raise CheckpointError(f"BLIP's folder {folder} is incomplete: it needs tokenizer.json and {WEIGHTS[0]}.")
    try:
        tensors = open_tensors(weights).tensors()
    except FileFormatError as error:
        raise FileFormatError(f"BLIP in {folder} cannot be read: {error}") from error
    try:
        config = BlipConfig.from_pretrained(folder, local_files_only=True)
        tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(vocabulary))
        loaded: Any = BlipForConditionalGeneration.from_pretrained(
            None, config=config, state_dict=tensors, output_loading_info=True
        )
        model, found = loaded
        vision: Any = config.vision_config
    except Exception as error:  # readers of damaged configurations raise anything
        raise CheckpointError(f"BLIP's files in {folder} do not fit together: fetch them again.") from error
    if found["missing_keys"] or found["mismatched_keys"]:
        raise CheckpointError(f"“{weights.name}” in {folder} is not BLIP: fetch it again.")
    return Blip(model.to(device).eval(), tokenizer, vision.image_size)


def _weights(folder: Path) -> Path | None:
    return next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
