"""What is written into each picture so that it can be drawn again."""

from collections.abc import Sequence

from modules.embeddings.embedding import Embedding
from modules.infotext import VERSION_VALUE, build_infotext, uses_emphasis
from modules.model.checkpoint import Checkpoint
from modules.params import Txt2ImgParams
from modules.samplers.names import Sampler
from modules.samplers.noise import NoiseSource
from modules.samplers.options import SamplerOptions


def describe(
    params: Txt2ImgParams,
    prompts: tuple[str, str],
    seed: int,
    checkpoint: Checkpoint,
    sampler: Sampler,
    schedule: str,
    embeddings: Sequence[Embedding],
    noise_source: NoiseSource,
    incomplete: str = "",
) -> str:
    """The infotext of one picture.

    Args:
        prompts: prompt and negative prompt without comments; tags stay in.
        seed: of this picture.
        sampler, schedule: as resolved from the parameters.
        embeddings: all that one of the prompts uses.
        noise_source: where random numbers came from.
        incomplete: “step 7 of 20” for a picture that was interrupted there.
    """
    hashes = dict.fromkeys(f"{embedding.name}: {embedding.short_hash}" for embedding in embeddings)
    emphasised = params.emphasis != "Original" and uses_emphasis(*prompts)
    values = {
        "Steps": params.steps,
        "Sampler": sampler.name,
        "CFG scale": f"{params.cfg_scale:g}",
        "Seed": seed,
        "Size": f"{params.width}x{params.height}",
        "Model hash": checkpoint.short_hash or None,
        "Model": checkpoint.model_name,
        "Clip skip": params.clip_skip if params.clip_skip > 1 else None,
        "RNG": noise_source if noise_source != "GPU" else None,
        **SamplerOptions().infotext(sampler, schedule),
        "TI hashes": ", ".join(hashes) or None,
        "Emphasis": params.emphasis if emphasised else None,
        "Pad conds": params.pad_conds or None,
        "Old prompt editing timelines": params.old_timelines or None,
        "Comma backtrack": params.comma_backtrack if params.comma_backtrack != 20 else None,
        "Prompt rules": "A1111" if params.a1111_exact else None,
        "Interrupted": incomplete or None,
        "Version": VERSION_VALUE,
    }
    return build_infotext(*prompts, values)
