"""What a user may set about sampling, and the keys under which it is written into a picture. No torch."""

from dataclasses import dataclass
from typing import Literal, get_args

from modules.errors import ParameterError
from modules.samplers.names import AUTOMATIC, DEFAULT_RHO, Sampler

UniPcVariant = Literal["bh1", "bh2", "vary_coeff"]
ALL_TIMESTEPS = ("DDIM", "PLMS")  # the samplers that were others before 1.6


@dataclass(frozen=True)
class SamplerOptions:
    """Numbers that solvers and schedules take besides steps. The defaults are A1111's.

    Attributes:
        eta: share of fresh noise per step, 0 … 1; more than there is room for is cut off, but DDIM has no answer to it;
            None = the sampler's own default.
        s_churn, s_tmin, s_tmax, s_noise: noise added before a step, as in Karras et al. 2022, algorithm 2; s_tmax 0
            means no upper limit.
        sigma_min, sigma_max, rho: ends and crowding of schedules that have them; 0 = the model's, the schedule's own.
        discard_penultimate: leave out the smallest positive noise level with every sampler.
        keep_penultimate: with none that does so by itself, as in 2022.
        sgm_noise_multiplier: start from noise of variance 1 + σ² instead of σ².
        beta_alpha, beta_beta: shape of the Beta schedule.
        all_timesteps: DDIM and PLMS go down to timestep 0, a step for each of their timesteps, as A1111 did before 1.6.
        unipc_variant, unipc_skip_type, unipc_order, unipc_lower_order_final: details of UniPC.

    Raises:
        ParameterError: a value that no run could use, naming the field.
    """

    eta: float | None = None
    s_churn: float = 0.0
    s_tmin: float = 0.0
    s_tmax: float = 0.0
    s_noise: float = 1.0
    sigma_min: float = 0.0
    sigma_max: float = 0.0
    rho: float = 0.0
    discard_penultimate: bool = False
    keep_penultimate: bool = False
    sgm_noise_multiplier: bool = False
    beta_alpha: float = 0.6
    beta_beta: float = 0.6
    all_timesteps: bool = False
    unipc_variant: UniPcVariant = "bh1"
    unipc_skip_type: Literal["time_uniform", "time_quadratic", "logSNR"] = "time_uniform"
    unipc_order: int = 3
    unipc_lower_order_final: bool = True

    def __post_init__(self) -> None:
        for name in ("s_churn", "s_tmin", "s_tmax", "s_noise", "sigma_min", "sigma_max", "rho"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ParameterError(name, f"{name} {getattr(self, name)} must be a number of 0 or more.")
        if self.eta is not None and not 0 <= self.eta < float("inf"):
            raise ParameterError("eta", f"eta {self.eta} must be a number of 0 or more.")
        for name in ("beta_alpha", "beta_beta"):
            if not 0 < getattr(self, name) <= 1000:
                raise ParameterError(name, f"{name} {getattr(self, name)} must lie above 0 and not above 1000.")
        if self.unipc_variant not in get_args(UniPcVariant):
            raise ParameterError(
                "unipc_variant", f"UniPC has no variant {self.unipc_variant!r}: choose bh1, bh2 or vary_coeff."
            )
        if self.unipc_skip_type not in ("time_uniform", "time_quadratic", "logSNR"):
            raise ParameterError(
                "unipc_skip_type",
                f"UniPC has no spacing {self.unipc_skip_type!r}: choose time_uniform, time_quadratic or logSNR.",
            )
        if not 1 <= self.unipc_order <= 50:
            raise ParameterError("unipc_order", f"UniPC order {self.unipc_order} lies outside 1 … 50.")

    def eta_of(self, sampler: Sampler) -> float:
        """The eta that `sampler` runs with."""
        return self.eta if self.eta is not None else sampler.eta or 0.0

    def draws_again(self, sampler: Sampler) -> bool:
        """Whether `sampler` takes more noise from an image's generator after its first: what the "Eta noise seed delta"
        decides. A1111 writes that number for fewer, and the pictures of the others do not say how to draw them again.
        """
        if sampler.brownian:
            return False
        has_eta = sampler.eta is not None and self.eta_of(sampler) != 0
        return has_eta or sampler.renews or (sampler.churn and self.s_churn > 0)

    def infotext(self, sampler: Sampler, schedule: str) -> dict[str, str | float | bool]:
        """What a picture must say to be drawn again, besides sampler name and steps: values off their defaults."""
        found: dict[str, str | float | bool] = {}
        if not sampler.timesteps:
            used = sampler.schedule_used(schedule)
            if schedule != AUTOMATIC or sampler.schedule:
                found["Schedule type"] = used
                found |= _off_default(self, _RANGE_KEYS)
            if used in DEFAULT_RHO and self.rho not in (0, DEFAULT_RHO[used]):
                found["Schedule rho"] = self.rho
            if used == "Beta":
                found |= {"Beta schedule alpha": self.beta_alpha, "Beta schedule beta": self.beta_beta}
            found |= _off_default(self, {"SGM noise multiplier": "sgm_noise_multiplier"})
            if self.discard_penultimate and not sampler.discard_penultimate:
                found["Discard penultimate sigma"] = True
            if self.keep_penultimate and sampler.discard_penultimate and not self.discard_penultimate:
                found["Keep penultimate sigma"] = True
        if sampler.eta is not None and self.eta_of(sampler) != sampler.eta:
            found["Eta DDIM" if sampler.timesteps else "Eta"] = self.eta_of(sampler)
        if sampler.churn:
            found |= _off_default(self, _CHURN_KEYS)
        if sampler.s_noise:
            found |= _off_default(self, {"Sigma noise": "s_noise"})
        if sampler.name in ALL_TIMESTEPS and self.all_timesteps:
            found["All timesteps"] = True
        if sampler.name == "UniPC":
            found |= _off_default(self, _UNIPC_KEYS)
        return found


def _off_default(options: SamplerOptions, keys: dict[str, str]) -> dict[str, str | float | bool]:
    defaults = SamplerOptions()
    values = {key: getattr(options, field) for key, field in keys.items()}
    return {key: value for key, value in values.items() if value != getattr(defaults, keys[key])}


_RANGE_KEYS = {"Schedule min sigma": "sigma_min", "Schedule max sigma": "sigma_max"}
_CHURN_KEYS = {"Sigma churn": "s_churn", "Sigma tmin": "s_tmin", "Sigma tmax": "s_tmax"}
_UNIPC_KEYS = {
    "UniPC variant": "unipc_variant",
    "UniPC skip type": "unipc_skip_type",
    "UniPC order": "unipc_order",
    "UniPC lower order final": "unipc_lower_order_final",
}
