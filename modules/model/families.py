"""What kind of Stable Diffusion a checkpoint is: all numbers that its three networks are built from.

Widths, depths, attention levels and the context width are read off tensor shapes. What shapes cannot tell may stand
in the safetensors metadata; absent means the numbers of SD 1, or of SD 2 where the UNet's attention projects with
linear layers, which only SD 2 does. The keys, all with text values:

    architecture.unet.heads              "8", or one number a level: "5,10,20,20"
    architecture.unet.norm_groups        "32"
    architecture.text_encoder.heads      "12"
    architecture.text_encoder.activation "quick_gelu" or "gelu"
    architecture.vae.norm_groups         "32"
    architecture.vae.scaling_factor      "0.18215"
    architecture.prediction_type         "epsilon" or "v_prediction" (also read: modelspec.prediction_type)
    architecture.native_size             "512x512", width first
    preview.latent_rgb                   JSON: 5 rows of 3, four latent channels and a bias, to RGB in 0 … 1
    recommended.cfg_scale, .steps, .sampler, .schedule

Nothing here imports diffusers: an architecture can be read and judged from a file's header alone.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NoReturn

from torch import Tensor

from modules.errors import CheckpointError, ParameterError
from modules.model.ldm_keys import Parts
from modules.params import Txt2ImgParams, control
from modules.samplers.names import find

EPSILON, V_PREDICTION = "epsilon", "v_prediction"

SD_LATENT_RGB = (  # halved and shifted from -1 … 1 to 0 … 1; spec of A1111's "Approx cheap"
    (0.149, 0.1035, 0.104),
    (0.0935, 0.143, 0.0865),
    (-0.079, 0.0945, 0.132),
    (-0.092, -0.1355, -0.2365),
    (0.5, 0.5, 0.5),
)
_RECOMMENDED = {"cfg_scale": float, "steps": int, "sampler": str, "schedule": str}
_OPEN_CLIP_BLOCKS_RUN = 23  # SD 2 stops one block before the end of its text encoder


class Family(StrEnum):
    """The published model families that can be run here."""

    SD1 = "SD 1"
    SD2 = "SD 2"


@dataclass(frozen=True)
class Architecture:
    """The numbers of one checkpoint.

    Attributes:
        family: decides padding tokens and defaults.
        unet, vae, text_encoder: arguments of `UNet2DConditionModel`, `AutoencoderKL` and `CLIPTextConfig`.
        prediction_type: "epsilon", "v_prediction", or None if the metadata do not say; see `prediction`.
        native_size: (width, height) in pixels, or None if the metadata do not say.
        latent_rgb: 5 rows of 3: four latent channels and a bias, to RGB in 0 … 1.
        recommended: form values of the model's maker, by field name of `Txt2ImgParams`.
        unet_parameters: how many numbers the UNet holds.
    """

    family: Family
    unet: Mapping[str, Any]
    vae: Mapping[str, Any]
    text_encoder: Mapping[str, Any]
    prediction_type: str | None
    native_size: tuple[int, int] | None
    latent_rgb: tuple[tuple[float, ...], ...]
    recommended: Mapping[str, Any]
    unet_parameters: int

    @property
    def width(self) -> int:
        """Length of one token's vector, in embeddings and in the UNet's context."""
        return self.text_encoder["hidden_size"]

    def size(self, prediction_type: str | None) -> tuple[int, int]:
        """(width, height) in pixels that the model was trained for.

        Args:
            prediction_type: what it was found to predict; None: nobody knows.
        """
        side = 768 if self.family is Family.SD2 and prediction_type == V_PREDICTION else 512
        return self.native_size or (side, side)

    @property
    def scaling_factor(self) -> float:
        """What the autoencoder's latents are multiplied with for the UNet."""
        return self.vae["scaling_factor"]


def read_architecture(name: str, parts: Parts, metadata: Mapping[str, str], open_clip: bool) -> Architecture:
    """The numbers of a checkpoint from the shapes of its tensors and its metadata.

    Args:
        name: of the file, for messages.
        parts: the tensors under diffusers' names; only shapes are looked at, meta tensors will do.
        open_clip: the text encoder stood in OpenCLIP's layout, with a last block that is never run.

    Raises:
        CheckpointError: tensors that every Stable Diffusion 1 or 2 has are missing or of other shapes, or a value in
            the metadata cannot be used.
    """
    reader = _Reader(name, metadata)
    linear = _rank(parts.unet, "mid_block.attentions.0.proj_in.weight") == 2
    family = Family.SD2 if linear else Family.SD1
    text_encoder = _text_encoder(parts.text_encoder, reader, family, open_clip)
    unet = _unet(parts.unet, reader, linear)
    if unet["cross_attention_dim"] != text_encoder["hidden_size"]:
        reader.refuse(
            f"its UNet reads vectors of {unet['cross_attention_dim']}, its text encoder writes "
            f"{text_encoder['hidden_size']}"
        )
    return Architecture(
        family=family,
        unet=unet,
        vae=_vae(parts.vae, reader),
        text_encoder=text_encoder,
        prediction_type=reader.prediction_type(),
        native_size=reader.native_size(),
        latent_rgb=reader.latent_rgb(),
        recommended=reader.recommended(),
        unet_parameters=sum(tensor.numel() for tensor in parts.unet.values()),
    )


def _unet(tensors: Mapping[str, Tensor], reader: "_Reader", linear: bool) -> dict[str, Any]:
    widths = _block_widths(tensors, "down_blocks", reader)
    levels = range(len(widths))
    attention = [f"down_blocks.{level}.attentions.0.norm.weight" in tensors for level in levels]
    default = ",".join(str(width // 64) for width in widths) if linear else "8"
    heads = reader.numbers("architecture.unet.heads", default, len(widths))
    groups = reader.number("architecture.unet.norm_groups", "32")
    inputs = reader.shape(tensors, "conv_in.weight")[1]
    if inputs != 4:
        reader.refuse(f"its UNet takes {inputs} channels instead of 4 ({_OTHER_INPUTS.get(inputs, 'another kind')})")
    for width, count, attends in zip(widths, heads, attention, strict=True):
        if attends:
            reader.check_divides(width, count, "architecture.unet.heads")
        reader.check_divides(width, groups, "architecture.unet.norm_groups")
    return {
        "in_channels": inputs,
        "out_channels": reader.shape(tensors, "conv_out.weight")[0],
        "block_out_channels": widths,
        "layers_per_block": _count(tensors, r"down_blocks\.0\.resnets\.(\d+)\."),
        "down_block_types": ["CrossAttnDownBlock2D" if attends else "DownBlock2D" for attends in attention],
        "up_block_types": ["CrossAttnUpBlock2D" if attends else "UpBlock2D" for attends in reversed(attention)],
        "cross_attention_dim": reader.shape(
            tensors, "mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight", 2
        )[1],
        "attention_head_dim": heads,  # diffusers' name for the number of heads
        "norm_num_groups": groups,
        "use_linear_projection": linear,
    }


_OTHER_INPUTS = {9: "an inpainting model", 8: "an instruction-editing model", 5: "a depth model"}


def _vae(tensors: Mapping[str, Tensor], reader: "_Reader") -> dict[str, Any]:
    widths = _block_widths(tensors, "encoder.down_blocks", reader)
    groups = reader.number("architecture.vae.norm_groups", "32")
    for width in widths:
        reader.check_divides(width, groups, "architecture.vae.norm_groups")
    latent_channels = reader.shape(tensors, "decoder.conv_in.weight")[1]
    if (latent_channels, len(widths)) != (4, 4):
        reader.refuse(
            f"its VAE makes {latent_channels} channels at 1/{2 ** (len(widths) - 1)} of the size, not 4 at 1/8"
        )
    return {
        "in_channels": 3,
        "out_channels": 3,
        "latent_channels": latent_channels,
        "block_out_channels": widths,
        "layers_per_block": _count(tensors, r"encoder\.down_blocks\.0\.resnets\.(\d+)\."),
        "down_block_types": ["DownEncoderBlock2D"] * len(widths),
        "up_block_types": ["UpDecoderBlock2D"] * len(widths),
        "norm_num_groups": groups,
        "scaling_factor": reader.real("architecture.vae.scaling_factor", "0.18215"),
    }


def _text_encoder(tensors: Mapping[str, Tensor], reader: "_Reader", family: Family, open_clip: bool) -> dict[str, Any]:
    vocabulary, width = reader.shape(tensors, "embeddings.token_embedding.weight", 2)
    positions = reader.shape(tensors, "embeddings.position_embedding.weight", 2)[0]
    if (vocabulary, positions) != (49408, 77):
        reader.refuse(f"its text encoder knows {vocabulary} tokens and {positions} positions, not CLIP's 49408 and 77")
    sd1 = family is Family.SD1
    heads = reader.number("architecture.text_encoder.heads", "12" if sd1 else str(max(width // 64, 1)))
    reader.check_divides(width, heads, "architecture.text_encoder.heads")
    layers = _count(tensors, r"encoder\.layers\.(\d+)\.")
    if open_clip and layers != _OPEN_CLIP_BLOCKS_RUN:  # some converters leave the last block out
        layers -= 1
    return {
        "vocab_size": vocabulary,
        "max_position_embeddings": positions,
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": reader.shape(tensors, "encoder.layers.0.mlp.fc1.weight", 2)[0],
        "hidden_act": reader.choice(
            "architecture.text_encoder.activation", "quick_gelu" if sd1 else "gelu", ("quick_gelu", "gelu")
        ),
    }


class _Reader:
    """Shapes and metadata of one file, with refusals that name the file and what was found."""

    def __init__(self, name: str, metadata: Mapping[str, str]):
        self._name = name
        self._metadata = metadata

    def refuse(self, found: str) -> NoReturn:
        raise CheckpointError(
            f"“{self._name}” cannot be used: {found}. Needed is a checkpoint of Stable Diffusion 1 or 2."
        )

    def shape(self, tensors: Mapping[str, Tensor], name: str, rank: int = 4) -> tuple[int, ...]:
        """The sizes of a tensor that must be there with so many dimensions: 4 of a convolution, 2 of a table."""
        if name not in tensors:
            raise CheckpointError(f"“{self._name}” lacks the tensor “{name}”: it is damaged or of another kind.")
        shape = tuple(tensors[name].shape)
        if len(shape) != rank or 0 in shape:
            raise CheckpointError(f"“{self._name}” has a tensor “{name}” of an impossible shape: it is damaged.")
        return shape

    def check_divides(self, width: int, parts: int, key: str) -> None:
        if width % parts:
            self.refuse(f"a width of {width} cannot be split into {parts} parts (metadata key {key})")

    def choice(self, key: str, default: str, choices: tuple[str, ...]) -> str:
        value = self._metadata.get(key, default)
        if value not in choices:
            self._reject(key, value, " or ".join(choices))
        return value

    def number(self, key: str, default: str) -> int:
        return self.numbers(key, default, 1)[0]

    def numbers(self, key: str, default: str, count: int) -> list[int]:
        """One number for all, or one each."""
        value = self._metadata.get(key, default)
        numbers = [int(text) for text in re.findall(r"\b[1-9]\d{0,3}\b", value)]
        if not re.fullmatch(r"\s*\d+(\s*,\s*\d+)*\s*", value) or len(numbers) not in (1, count):
            self._reject(key, value, "one whole number" if count == 1 else f"one whole number, or {count} of them")
        return numbers * count if len(numbers) == 1 else numbers

    def real(self, key: str, default: str) -> float:
        value = self._metadata.get(key, default)
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not 0 < number < 1e6:
            self._reject(key, value, "a number above 0")
        return number

    def prediction_type(self) -> str | None:
        key = "architecture.prediction_type"
        if key in self._metadata:
            return self.choice(key, "", (EPSILON, V_PREDICTION))
        return {"epsilon": EPSILON, "v": V_PREDICTION}.get(self._metadata.get("modelspec.prediction_type", ""))

    def native_size(self) -> tuple[int, int] | None:
        key = "architecture.native_size"
        value = self._metadata.get(key)
        if value is None:
            return None
        found = re.fullmatch(r"(\d{1,4})x(\d{1,4})", value)
        size = (int(found[1]), int(found[2])) if found else (0, 0)
        if not (control("width").offers(size[0]) and control("height").offers(size[1])):
            self._reject(key, value, "a size such as 512x512")
        return size

    def latent_rgb(self) -> tuple[tuple[float, ...], ...]:
        key = "preview.latent_rgb"
        if key not in self._metadata:
            return SD_LATENT_RGB
        value = self._metadata[key]
        try:
            rows = tuple(tuple(float(number) for number in row) for row in json.loads(value))
        except (ValueError, TypeError, RecursionError):
            rows = ()
        finite = all(math.isfinite(number) for row in rows for number in row)
        if [len(row) for row in rows] != [3] * 5 or not finite:
            self._reject(key, value, "five rows of three numbers")
        return rows

    def recommended(self) -> dict[str, Any]:
        given = {name: self._metadata.get(f"recommended.{name}") for name in _RECOMMENDED}
        try:
            values = {name: _RECOMMENDED[name](text) for name, text in given.items() if text is not None}
            params = Txt2ImgParams(**values)
            find(params.sampler, params.schedule)
            for name, value in values.items():
                if not isinstance(value, str) and not control(name).offers(value):
                    raise ParameterError(name, f"{control(name).label} {value:g} is more or less than the page offers.")
        except (ValueError, ParameterError) as error:
            raise CheckpointError(f"“{self._name}” recommends settings that do not exist: {error}") from error
        return values

    def _reject(self, key: str, value: str, wanted: str) -> NoReturn:
        raise CheckpointError(f"“{self._name}” says {key} = “{value:.60}” in its metadata; needed is {wanted}.")


def _block_widths(tensors: Mapping[str, Tensor], blocks: str, reader: _Reader) -> list[int]:
    levels = _count(tensors, re.escape(blocks) + r"\.(\d+)\.")
    return [reader.shape(tensors, f"{blocks}.{level}.resnets.0.conv1.weight")[0] for level in range(max(levels, 1))]


def _count(tensors: Mapping[str, Tensor], pattern: str) -> int:
    return len({found[1] for name in tensors if (found := re.match(pattern, name))})


def _rank(tensors: Mapping[str, Tensor], name: str) -> int:
    return tensors[name].dim() if name in tensors else 0
