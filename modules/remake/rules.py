"""Whether a prompt means something else by A1111's rules than by ours.

Both readings are made and compared, so that this never disagrees with what generation does.
"""

from modules.prompts.chunks import pack
from modules.prompts.composition import parse_composition
from modules.prompts.matching import EmbeddingIndex
from modules.prompts.schedule import parse_schedule
from modules.prompts.tags import cut_comments, cut_tags
from modules.prompts.tokenizer import ClipTokenizer, replace_surrogates


def reads_differently(
    prompt: str,
    negative_prompt: str,
    steps: int,
    tokenizer: ClipTokenizer,
    index: EmbeddingIndex,
    hires_steps: int | None = None,
    old_timelines: bool = False,
    comments: bool = True,
    breaks: bool = True,
) -> bool:
    """Whether one of the prompts holds a construct that A1111 takes otherwise.

    Args:
        steps, hires_steps, old_timelines: as for `parse_schedule`: texts are read as they are at each step.
        index: the embeddings that can act.
        comments: what stands behind a “#” is left out.
        breaks: BREAK is read; else it is a word.
    """
    cut = cut_comments if comments else str
    text, negative = cut_tags(cut(replace_surrogates(prompt)))[0], cut(replace_surrogates(negative_prompt))
    ours, theirs = parse_composition(text), parse_composition(text, a1111_exact=True)
    if ours != theirs:
        return True
    texts = dict.fromkeys(
        step_text
        for part in (*(part for part, _ in ours), negative)
        for _, step_text in parse_schedule(part, steps, hires_steps, old_timelines)
    )
    ours, theirs = (
        [pack(text, tokenizer, index, a1111_exact=exact, breaks=breaks).chunks for text in texts]
        for exact in (False, True)
    )
    return ours != theirs
