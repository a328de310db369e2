"""The prompts of a run, encoded by whichever model draws."""

from dataclasses import dataclass
from pathlib import Path

from modules.embeddings.embedding import Embedding
from modules.generation.description import Hires, Prompts
from modules.generation.stages import Pass
from modules.model.conditioning import Conditioner, PromptRules
from modules.prompts.notes import shortened, tag_note
from modules.prompts.tags import cut_tags
from modules.samplers.guidance import Composed, Scheduled


@dataclass(frozen=True)
class Told:
    """Encoded prompt and negative prompt of one pass."""

    cond: Composed
    uncond: Scheduled


class Teller:
    """Encodes the prompts of each pass, once for each model.

    Args:
        prompts: of the run; tags in them are left out.
        first: the pass whose steps prompts count.
        hires: the second pass, if there is one.

    Attributes:
        used: the embeddings in what was encoded so far.
    """

    def __init__(self, prompts: Prompts, first: Pass, hires: Hires | None, rules: PromptRules):
        self.used: list[Embedding] = []
        self._rules = rules
        self._steps = first.calls
        self._hires_steps = hires.stage.calls if hires else None
        (prompt, tags), (hr_prompt, hr_tags) = cut_tags(prompts.prompt), cut_tags(prompts.hr_prompt)
        self._texts = {
            False: (prompt, prompts.negative_prompt),
            True: (hr_prompt, prompts.hr_negative_prompt),
        }
        self._told: dict[tuple[bool, Path], Told] = {}
        self._notices = dict.fromkeys(shortened([tag_note(tag) for tag in (*tags, *(hr_tags if hires else ()))]))
        self._given = 0

    def tell(self, conditioner: Conditioner, second: bool) -> Told:
        """The prompts of a pass for the model of `conditioner`.

        Args:
            second: the pass over the enlarged picture.
        """
        key = second, conditioner.model.checkpoint.path
        if key not in self._told:
            self._told[key] = self._encode(conditioner, second)
        return self._told[key]

    def new_notices(self) -> list[str]:
        """Sentences about what was left out of the prompts, each given once."""
        fresh = list(self._notices)[self._given :]
        self._given = len(self._notices)
        return fresh

    def _encode(self, conditioner: Conditioner, second: bool) -> Told:
        model, rules, texts = conditioner.model, self._rules, self._texts[second]
        hires_steps = self._hires_steps if second else None
        for text in texts:
            self._notices |= dict.fromkeys(conditioner.embeddings.notices(text, model.width, model.tokenizer))
            self.used += conditioner.embeddings_in(text, self._steps, rules, hires_steps)
        return Told(
            conditioner.cond(texts[0], self._steps, rules, hires_steps),
            conditioner.uncond(texts[1], self._steps, rules, hires_steps),
        )
