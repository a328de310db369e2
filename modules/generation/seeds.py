"""The seeds of a run: one per picture, and beside each the seed that it leans to."""

import secrets
from dataclasses import dataclass

from modules.params import RANDOM, Txt2ImgParams


@dataclass(frozen=True)
class Seeds:
    """Which seed each picture of a run is drawn from.

    Attributes:
        seed, subseed: of the first picture.
        varied: pictures lean to their subseed, so that all of them share `seed`; otherwise each has its own.
    """

    seed: int
    subseed: int
    varied: bool

    @classmethod
    def of(cls, params: Txt2ImgParams) -> "Seeds":
        """The seeds that a form asks for; -1 is a random one of 32 bits, as A1111 draws them."""
        wanted = (params.seed, params.subseed)
        seed, subseed = (secrets.randbelow(2**32) if value == RANDOM else value for value in wanted)
        return cls(seed, subseed, params.subseed_strength != 0)

    def at(self, index: int) -> tuple[int, int]:
        """(seed, subseed) of the picture at `index` of the run."""
        return self.seed + (0 if self.varied else index), self.subseed + index
