"""Names for model files that are no Stable Diffusion 1 or 2 checkpoint, so that a refusal can say what was found.

Only tensor names are looked at. Files of each kind are told by names that no checkpoint of ours has.
"""

import re
from collections.abc import Iterable

_KINDS = (  # the first pattern found in any name decides
    (r"\.?lora_|\.lora\.|^lora|\.hada_|\.lokr_|\.oft_|\.dora_scale$", "a LoRA (a change to a model, not a model)"),
    (r"^control_model\.|^controlnet_|^input_hint_block\.", "a ControlNet"),
    (r"^motion_modules\.|\.motion_modules\.|temporal_transformer", "a motion module"),
    (r"^image_proj\.|^ip_adapter\.", "an IP-Adapter"),
    (r"\.joint_blocks\.|^joint_blocks\.", "a Stable Diffusion 3 model"),
    (r"\.?double_blocks\.|^single_transformer_blocks\.", "a Flux model"),
    (r"^conditioner\.embedders\.|^add_embedding\.|^unet\.add_embedding\.", "an SDXL model"),
    (r"^model\.diffusion_model\.label_emb\.|^(unet\.)?class_embedding\.", "a model that is told more than a prompt"),
    (r"^model\.diffusion_model\..*\.transformer_blocks\.[1-9]", "an SDXL model"),
    (r"^emb_params$|^clip_[lg]$|^<.*>$|^string_to_param", "an embedding; its place is the embeddings folder"),
    (r"^conv_first\.|^params_ema\.|^model\.1\.sub\.|^body\.\d+\.rdb", "an upscaler"),
)


def foreign_kind(names: Iterable[str]) -> str | None:
    """What kind of file has tensors of these names, in words; None if nothing speaks against a checkpoint."""
    names = list(names)
    for pattern, kind in _KINDS:
        if any(re.search(pattern, name) for name in names):
            return kind
    return None


def incomplete_kind(unet: bool, vae: bool, text_encoder: bool, names: Iterable[str]) -> str | None:
    """What a file is that lacks some of the three networks, in words; None if it has them all."""
    if unet and vae and text_encoder:
        return None
    networks = {"a UNet": unet, "a VAE": vae, "a text encoder": text_encoder}
    found = [network for network, there in networks.items() if there]
    lost = [network for network, there in networks.items() if not there]
    if found:
        return f"{' and '.join(found)} without {' and '.join(lost)}"
    names = list(names)
    for pattern, kind in _SINGLE_NETWORKS:
        if any(re.search(pattern, name) for name in names):
            return f"{kind} alone"
    return "no Stable Diffusion model" if names else "a file without tensors"


_SINGLE_NETWORKS = (
    (r"^(encoder|decoder)\.(down|up|mid|conv_in)", "a VAE"),
    (r"^(down_blocks|input_blocks|mid_block)\.", "a UNet"),
    (r"^(text_model|text_encoder)\.|^embeddings\.token_embedding", "a text encoder"),
)
