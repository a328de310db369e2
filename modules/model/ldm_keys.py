"""Tensor names of single-file checkpoints (LDM layout) and of diffusers / transformers modules, both ways.

A single file holds three parts below three prefixes. Each part has one table of module paths, LDM on the left and
diffusers on the right; a tensor's name is translated by the longest module path that it begins with. Widths play no
role: the tables follow from the number of levels, the layers a block, and the levels with attention. Tensors are
reshaped or sliced as views, never copied; what belongs to no part (EMA weights, schedule buffers, losses) is left out.

Source: the layouts themselves, as found in published SD 1.x and 2.x files and in diffusers' `state_dict()`s.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from torch import Tensor, cat

UNET_PREFIX = "model.diffusion_model."
VAE_PREFIX = "first_stage_model."
CLIP_PREFIX = "cond_stage_model.transformer."
OPEN_CLIP_PREFIX = "cond_stage_model.model."

_UNET_RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
_VAE_ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}
_OPEN_CLIP_BLOCK = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
    "attn.out_proj": "self_attn.out_proj",
}
_IN_PROJ = re.compile(r"transformer\.resblocks\.(\d{1,2})\.attn\.in_proj_(weight|bias)")
_QKV = ("q_proj", "k_proj", "v_proj")
_NOT_WEIGHTS = ("position_ids", "attn_mask", "logit_scale", "text_projection", "visual_projection.weight")


@dataclass
class Parts:
    """State dicts of the three networks under diffusers' and transformers' names."""

    unet: dict[str, Tensor] = field(default_factory=dict)
    vae: dict[str, Tensor] = field(default_factory=dict)
    text_encoder: dict[str, Tensor] = field(default_factory=dict)


def from_ldm(tensors: Mapping[str, Tensor]) -> Parts:
    """Sort the tensors of a single file into the state dicts of the three networks.

    The values are views of the given tensors (meta tensors will do); a network that the file lacks stays empty.
    An OpenCLIP text encoder keeps all of its blocks, the last one included that SD 2 never runs.
    """
    unet = _below(UNET_PREFIX, tensors)
    vae = _below(VAE_PREFIX, tensors)
    clip = {name.removeprefix("text_model."): tensor for name, tensor in _below(CLIP_PREFIX, tensors).items()}
    text = clip or _from_open_clip(_below(OPEN_CLIP_PREFIX, tensors))
    return Parts(
        unet=_renamed(unet, _unet_table(*_ldm_unet_layout(unet))),
        vae=_linear_projections(_renamed(vae, _vae_table(*_ldm_vae_layout(vae)))),
        text_encoder={name: tensor for name, tensor in text.items() if not name.endswith(_NOT_WEIGHTS)},
    )


def to_ldm(parts: Parts, open_clip: bool = False) -> dict[str, Tensor]:
    """The tensors of a single file from the state dicts of the three networks; the inverse of `from_ldm`.

    Args:
        parts: state dicts of `UNet2DConditionModel`, `AutoencoderKL` and `CLIPTextModel`; any may be empty.
        open_clip: write the text encoder in the layout of SD 2 files instead of SD 1's.
    """
    unet_table = {theirs: ldm for ldm, theirs in _unet_table(*_diffusers_layout(parts.unet)).items()}
    vae_table = {theirs: ldm for ldm, theirs in _vae_table(*_diffusers_layout(parts.vae)[:2]).items()}
    if open_clip:
        text_prefix, text = OPEN_CLIP_PREFIX, _to_open_clip(parts.text_encoder)
    else:
        text_prefix, text = CLIP_PREFIX + "text_model.", parts.text_encoder
    return {
        **_above(UNET_PREFIX, _renamed(parts.unet, unet_table)),
        **_above(VAE_PREFIX, _renamed(_convolution_projections(parts.vae), vae_table)),
        **_above(text_prefix, text),
    }


def modern_names(parts: Parts) -> Parts:
    """The same parts with names that older diffusers and transformers folders used brought up to date."""
    old_attention = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
    table = {
        f"{half}.mid_block.attentions.0.{old}": f"{half}.mid_block.attentions.0.{new}"
        for half in ("encoder", "decoder")
        for old, new in old_attention.items()
    }
    text = {name.removeprefix("text_model."): tensor for name, tensor in parts.text_encoder.items()}
    return Parts(
        unet=parts.unet,
        vae=_linear_projections(_renamed(parts.vae, table, keep=True)),
        text_encoder={name: tensor for name, tensor in text.items() if not name.endswith(_NOT_WEIGHTS)},
    )


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _above(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def _renamed(tensors: Mapping[str, Tensor], table: Mapping[str, str], keep: bool = False) -> dict[str, Tensor]:
    """Translate names by their longest known module path; unknown ones are dropped, or kept as they are."""
    renamed = {}
    for name, tensor in tensors.items():
        path, rest = name, ""
        while path and path not in table:
            path, dot, last = path.rpartition(".")
            rest = dot + last + rest
        if path:
            renamed[table[path] + rest] = tensor
        elif keep:
            renamed[name] = tensor
    return renamed


# Tables of module paths


def _unet_table(levels: int, layers: int, attention: frozenset[int]) -> dict[str, str]:
    """LDM module path → diffusers module path.

    Args:
        levels: resolutions; layers: residual blocks of each on the way down (one more on the way up).
        attention: diffusers' numbers of the up blocks with attention, which moves their upsampler by one place.
    """
    table = {
        "time_embed.0": "time_embedding.linear_1",
        "time_embed.2": "time_embedding.linear_2",
        "input_blocks.0.0": "conv_in",
        "middle_block.1": "mid_block.attentions.0",
        "out.0": "conv_norm_out",
        "out.2": "conv_out",
        **_paths("middle_block.0", "mid_block.resnets.0", _UNET_RESNET),
        **_paths("middle_block.2", "mid_block.resnets.1", _UNET_RESNET),
    }
    for level in range(levels):
        down, up = f"down_blocks.{level}", f"up_blocks.{level}"
        first_in, first_out = 1 + level * (layers + 1), level * (layers + 1)
        for layer in range(layers):
            table |= _paths(f"input_blocks.{first_in + layer}.0", f"{down}.resnets.{layer}", _UNET_RESNET)
            table[f"input_blocks.{first_in + layer}.1"] = f"{down}.attentions.{layer}"
        for layer in range(layers + 1):
            table |= _paths(f"output_blocks.{first_out + layer}.0", f"{up}.resnets.{layer}", _UNET_RESNET)
            if level in attention:
                table[f"output_blocks.{first_out + layer}.1"] = f"{up}.attentions.{layer}"
        if level < levels - 1:
            place = 2 if level in attention else 1
            table[f"input_blocks.{first_in + layers}.0.op"] = f"{down}.downsamplers.0.conv"
            table[f"output_blocks.{first_out + layers}.{place}.conv"] = f"{up}.upsamplers.0.conv"
    return table


def _vae_table(levels: int, layers: int) -> dict[str, str]:
    """LDM module path → diffusers module path; LDM counts the decoder's levels from the largest picture."""
    table = {"quant_conv": "quant_conv", "post_quant_conv": "post_quant_conv"}
    resnet = {"norm1": "norm1", "conv1": "conv1", "norm2": "norm2", "conv2": "conv2", "nin_shortcut": "conv_shortcut"}
    for half in ("encoder", "decoder"):
        table |= _paths(half, half, {"conv_in": "conv_in", "norm_out": "conv_norm_out", "conv_out": "conv_out"})
        table |= _paths(f"{half}.mid.block_1", f"{half}.mid_block.resnets.0", resnet)
        table |= _paths(f"{half}.mid.block_2", f"{half}.mid_block.resnets.1", resnet)
        table |= _paths(f"{half}.mid.attn_1", f"{half}.mid_block.attentions.0", _VAE_ATTENTION)
    for level in range(levels):
        down, theirs_down = f"encoder.down.{level}", f"encoder.down_blocks.{level}"
        up, theirs_up = f"decoder.up.{levels - 1 - level}", f"decoder.up_blocks.{level}"
        for layer in range(layers):
            table |= _paths(f"{down}.block.{layer}", f"{theirs_down}.resnets.{layer}", resnet)
        for layer in range(layers + 1):
            table |= _paths(f"{up}.block.{layer}", f"{theirs_up}.resnets.{layer}", resnet)
        table[f"{down}.downsample.conv"] = f"{theirs_down}.downsamplers.0.conv"
        table[f"{up}.upsample.conv"] = f"{theirs_up}.upsamplers.0.conv"
    return table


def _paths(ldm: str, theirs: str, modules: Mapping[str, str]) -> dict[str, str]:
    return {f"{ldm}.{left}": f"{theirs}.{right}" for left, right in modules.items()}


# Layouts, counted from names


def _ldm_unet_layout(names: Iterable[str]) -> tuple[int, int, frozenset[int]]:
    names = list(names)
    levels = 1 + sum(bool(re.fullmatch(r"input_blocks\.\d+\.0\.op\.weight", name)) for name in names)
    layers = max(_count(r"input_blocks\.(\d{1,2})\.", names) - levels, 0) // levels
    with_attention = {
        int(found[1]) // (layers + 1)
        for name in names
        if (found := re.match(r"output_blocks\.(\d{1,2})\.1\.transformer_blocks\.", name))
    }
    return levels, layers, frozenset(with_attention)


def _ldm_vae_layout(names: Iterable[str]) -> tuple[int, int]:
    names = list(names)
    return _count(r"encoder\.down\.(\d{1,2})\.", names), _count(r"encoder\.down\.0\.block\.(\d{1,2})\.", names)


def _diffusers_layout(names: Iterable[str]) -> tuple[int, int, frozenset[int]]:
    names = list(names)
    with_attention = {
        int(found[1]) for name in names if (found := re.match(r"up_blocks\.(\d{1,2})\.attentions\.", name))
    }
    return (
        _count(r"(?:encoder\.)?down_blocks\.(\d{1,2})\.", names),
        _count(r"(?:encoder\.)?down_blocks\.0\.resnets\.(\d{1,2})\.", names),
        frozenset(with_attention),
    )


def _count(pattern: str, names: Iterable[str]) -> int:
    """One more than the largest number found. Patterns take two digits at most: a forged name cannot ask for work."""
    return 1 + max((int(found[1]) for name in names if (found := re.match(pattern, name))), default=-1)


# Tensors that differ in shape


def _is_vae_projection(name: str) -> bool:
    return re.search(r"\.mid_block\.attentions\.0\.to_\w+(\.0)?\.weight$", name) is not None


def _linear_projections(vae: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """LDM's attention projects with 1×1 convolutions, diffusers with linear layers."""
    return {name: t.flatten(1) if _is_vae_projection(name) else t for name, t in vae.items()}


def _convolution_projections(vae: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: t[:, :, None, None] if _is_vae_projection(name) else t for name, t in vae.items()}


def _open_clip_table(blocks: int) -> dict[str, str]:
    table = {
        "token_embedding": "embeddings.token_embedding",
        "positional_embedding": "embeddings.position_embedding.weight",
        "ln_final": "final_layer_norm",
    }
    for block in range(blocks):
        table |= _paths(f"transformer.resblocks.{block}", f"encoder.layers.{block}", _OPEN_CLIP_BLOCK)
    return table


def _from_open_clip(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    text = _renamed(tensors, _open_clip_table(_count(r"transformer\.resblocks\.(\d{1,2})\.", tensors)))
    for name, tensor in tensors.items():
        if found := _IN_PROJ.fullmatch(name):
            block, kind = found.groups()
            for projection, third in zip(_QKV, tensor.chunk(3), strict=True):
                text[f"encoder.layers.{block}.self_attn.{projection}.{kind}"] = third
    return text


def _to_open_clip(text: Mapping[str, Tensor]) -> dict[str, Tensor]:
    blocks = _count(r"encoder\.layers\.(\d{1,2})\.", text)
    tensors = _renamed(text, {theirs: ldm for ldm, theirs in _open_clip_table(blocks).items()})
    for block in range(blocks):
        for kind in ("weight", "bias"):
            thirds = [text[f"encoder.layers.{block}.self_attn.{projection}.{kind}"] for projection in _QKV]
            tensors[f"transformer.resblocks.{block}.attn.in_proj_{kind}"] = cat(thirds)
    return tensors
