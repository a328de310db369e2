"""Whether a prompt is still followed when the embedding stands in it, measured on the model itself.

An embedding that was trained for too long draws its photos again, whatever else the prompt says. That can be seen
without drawing: the UNet's guess of the noise is asked for with and without some more words (“…, with glasses”), once
with the embedding and once with the plain word it began as. Where the plain word lets the guess move, the embedding
should let it move as well.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from modules.events import Event, Request, Status
from modules.model.conditioning import Conditioner, PromptRules
from modules.samplers.sigmas import karras_sigmas

PROMPT = "a portrait of {}"
CHANGES = (
    "with glasses",
    "at the beach",
    "in a forest",
    "smiling",
    "wearing a red shirt",
    "at night",
    "black and white photo",
    "pencil sketch",
)
NOISES = 4
LEVELS = 6  # of a path that is drawn in eight steps, the noisiest six: the last two change no more than details
_PATH_STEPS = 8
_CFG_SCALE = 5.0


@dataclass(frozen=True)
class Obeyed:
    """How far the vectors follow, in parts of what the plain word does: 1 = as well, 0 = not at all.

    Attributes:
        value: over all noises.
        each: of each noise alone, always in the same order; how much they differ tells how sure `value` is.
    """

    value: float
    each: tuple[float, ...]


class Obedience:
    """Obedience of the embeddings of one run: fixed prompts, noises and levels, so that snapshots can be compared.

    For noise n, level k of a path that the plain word draws, and change c (prompts P: “a portrait of …”), with
    eps [4, h, w] the UNet's guess of the noise at the same x [4, h, w]:

        d_word(n, k, c) = eps(P word + c) − eps(P word)            what the words do to the plain word
        d_emb(n, k, c)  = eps(P embedding + c) − eps(P embedding)  what they do to the embedding
        obedience       = Σ Δσ_k ⟨d_emb, d_word⟩ / Σ Δσ_k |d_word|²

    the sums over all n, k, c. Δσ_k is the length of the sampler's step at that level, by which a guess counts in the
    picture. The ratio is a length and a direction in one: words that move the guess half as far, or elsewhere, count
    half, or not. Words that the model does not know move nothing, and so count for nothing, of themselves.

    Args:
        conditioner: model and embeddings.
        name: of the embedding.
        word: the plain word or words.
        size: (width, height) in pixels of the picture that is imagined.
        rules: how prompts are read.
        seed: draws the noises.
        noises, changes: how many, and which, are tried.
    """

    def __init__(
        self,
        conditioner: Conditioner,
        name: str,
        word: str,
        size: tuple[int, int],
        rules: PromptRules,
        seed: int = 0,
        noises: int = NOISES,
        changes: Sequence[str] = CHANGES,
    ):
        self._conditioner = conditioner
        self._denoiser = conditioner.model.denoiser
        self._name, self._word, self._rules = name, word, rules
        self._changes, self._noises = tuple(changes), noises
        self._shape = (4, size[1] // 8, size[0] // 8)
        self._generator = torch.Generator().manual_seed(seed)
        table = self._denoiser.sigmas
        self._sigmas = karras_sigmas(_PATH_STEPS, table.sigma_min, table.sigma_max).tolist()
        self._places: list[list[Tensor]] = []  # x of each noise and level
        self._expected: list[Tensor] = []  # [levels, changes, 4, h, w] of each noise

    def measure(self, vectors: Tensor) -> Generator[Event, Request | None, Obeyed | None]:
        """Measure one snapshot; the first call also asks what the plain word does.

        Args:
            vectors: [vectors_per_token, width].

        Yields:
            a `Status` before each noise. INTERRUPT ends it.

        Returns:
            None if it was interrupted.
        """
        for number in range(len(self._expected), self._noises):
            request = yield Status(f"asking what the plain word does, noise {number + 1} of {self._noises}")
            if request is Request.INTERRUPT:
                return None
            self._prepare()
        met, whole = [], []
        for number, (places, expected) in enumerate(zip(self._places, self._expected, strict=True)):
            request = yield Status(f"measuring obedience, noise {number + 1} of {self._noises}")
            if request is Request.INTERRUPT:
                return None
            moved = self._moved(places, self._name, vectors)
            steps = self._step_lengths(expected)
            met.append(float((steps * moved * expected).sum()))
            whole.append(float((steps * expected**2).sum()))
        if not sum(whole):  # a model that takes no notice of words at all
            return Obeyed(1.0, (1.0,) * self._noises)
        each = tuple(m / w if w else 1.0 for m, w in zip(met, whole, strict=True))
        return Obeyed(sum(met) / sum(whole), each)

    def _step_lengths(self, like: Tensor) -> Tensor:
        """Δσ [levels, 1, 1, 1, 1]."""
        lengths = [before - after for before, after in zip(self._sigmas, self._sigmas[1:], strict=False)][:LEVELS]
        return like.new_tensor(lengths)[:, None, None, None, None]

    @torch.no_grad()
    def _prepare(self) -> None:
        """Draw one more path with the plain word, and ask at its places what the changes do."""
        prompt = PROMPT.format(self._word)
        cond, uncond = self._encode([prompt, ""], self._word, None)
        x = torch.randn(self._shape, generator=self._generator).to(cond.device) * self._sigmas[0]
        places = []
        for sigma, following in zip(self._sigmas[:LEVELS], self._sigmas[1:], strict=False):
            places.append(x)
            with_word, without = self._eps(x, sigma, torch.stack([cond, uncond]))
            x = x + (without + _CFG_SCALE * (with_word - without)) * (following - sigma)
        self._expected.append(self._moved(places, self._word, None))
        self._places.append(places)

    @torch.no_grad()
    def _moved(self, places: Sequence[Tensor], subject: str, vectors: Tensor | None) -> Tensor:
        """How each change moves the guess at each place: float32 [levels, changes, 4, h, w] on the CPU."""
        plain = PROMPT.format(subject)
        conds = self._encode([plain, *(f"{plain}, {change}" for change in self._changes)], subject, vectors)
        moved = []
        for x, sigma in zip(places, self._sigmas, strict=False):
            eps = self._eps(x, sigma, conds).cpu()
            moved.append(eps[1:] - eps[:1])
        return torch.stack(moved)

    def _encode(self, texts: Sequence[str], subject: str, vectors: Tensor | None) -> Tensor:
        given = {} if vectors is None else {subject: vectors.to(self._conditioner.model.device)}
        return self._conditioner.encode(texts, self._rules, given)

    def _eps(self, x: Tensor, sigma: float, conds: Tensor) -> Tensor:
        """The guess of the noise in x [4, h, w] of noise level sigma, told by each of conds [B, T, D]."""
        level = x.new_full((len(conds),), sigma)
        scaled = x[None].expand(len(conds), -1, -1, -1) / (sigma**2 + 1) ** 0.5
        return self._denoiser.eps(scaled, self._denoiser.sigmas.sigma_to_t(level), conds)
