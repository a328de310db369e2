"""Every sampler and schedule there is: names, aliases, flags. No torch, so that the page can list them at once.

Source of names, order, defaults and flags: A1111 v1.10.
"""

from dataclasses import dataclass

from modules.errors import ParameterError

AUTOMATIC = "Automatic"


@dataclass(frozen=True)
class Sampler:
    """A solver as users know it.

    Attributes:
        name: shown, and written into pictures.
        aliases: names that clients of the HTTP API use; case does not matter.
        schedule: what "Automatic" means for this sampler, or None for Uniform.
        second_order: calls the model twice per step; prompt schedules then count half-steps.
        discard_penultimate: the smallest positive noise level is left out of its schedules.
        uses_ensd: A1111 counts it among those that heed the "Eta noise seed delta"; see `SamplerOptions.draws_again`.
        brownian: draws its noise from a Brownian path instead of the image's generator.
        timesteps: steps over training timesteps and has no choice of schedule.
        eta: how much fresh noise it adds by default; None if it adds none or cannot be told.
        churn: takes s_churn, s_tmin, s_tmax.
        s_noise: takes s_noise.
        renews: adds noise of its own, which no number turns off.
    """

    name: str
    aliases: tuple[str, ...]
    schedule: str | None = None
    second_order: bool = False
    discard_penultimate: bool = False
    uses_ensd: bool = False
    brownian: bool = False
    timesteps: bool = False
    eta: float | None = None
    churn: bool = False
    s_noise: bool = False
    renews: bool = False

    def total_steps(self, steps: int) -> int:
        """The number of steps that prompt schedules see: model calls, roughly."""
        return 2 * steps if self.second_order else steps

    def prompt_steps(self, steps: int, old_edits: bool = False) -> int:
        """The steps that prompt schedules of a pass are laid out for; `old_edits` as in 2022, see `params`."""
        return steps if old_edits else self.total_steps(steps)

    def schedule_used(self, schedule: str) -> str:
        """The schedule behind `schedule`, "Automatic" replaced by what it means here."""
        return schedule if schedule != AUTOMATIC else self.schedule or "Uniform"


@dataclass(frozen=True)
class Schedule:
    """A spacing of noise levels: `label` is shown, `name` and `aliases` are accepted too."""

    label: str
    name: str
    aliases: tuple[str, ...] = ()

    @property
    def all_names(self) -> tuple[str, ...]:
        return (self.label, self.name, *self.aliases)


SAMPLERS: tuple[Sampler, ...] = (
    Sampler("DPM++ 2M", ("k_dpmpp_2m",), "Karras"),
    Sampler("DPM++ SDE", ("k_dpmpp_sde",), "Karras", second_order=True, brownian=True, eta=1.0, s_noise=True),
    Sampler("DPM++ 2M SDE", ("k_dpmpp_2m_sde",), "Exponential", brownian=True, eta=1.0, s_noise=True),
    Sampler("DPM++ 2M SDE Heun", ("k_dpmpp_2m_sde_heun",), "Exponential", brownian=True, eta=1.0, s_noise=True),
    Sampler("DPM++ 2S a", ("k_dpmpp_2s_a",), "Karras", second_order=True, uses_ensd=True, eta=1.0, s_noise=True),
    Sampler(
        "DPM++ 3M SDE",
        ("k_dpmpp_3m_sde",),
        "Exponential",
        discard_penultimate=True,
        brownian=True,
        eta=1.0,
        s_noise=True,
    ),
    Sampler("Euler a", ("k_euler_a", "k_euler_ancestral"), uses_ensd=True, eta=1.0),
    Sampler("Euler", ("k_euler",), churn=True, s_noise=True),
    Sampler("LMS", ("k_lms",)),
    Sampler("Heun", ("k_heun",), second_order=True, churn=True, s_noise=True),
    Sampler("DPM2", ("k_dpm_2",), "Karras", second_order=True, discard_penultimate=True, churn=True, s_noise=True),
    Sampler(
        "DPM2 a",
        ("k_dpm_2_a",),
        "Karras",
        second_order=True,
        discard_penultimate=True,
        uses_ensd=True,
        eta=1.0,
        s_noise=True,
    ),
    Sampler("DPM fast", ("k_dpm_fast",), uses_ensd=True, eta=1.0, s_noise=True),
    Sampler("DPM adaptive", ("k_dpm_ad",), uses_ensd=True, eta=1.0),
    Sampler("Restart", ("restart",), "Karras", second_order=True, renews=True),
    Sampler("DDIM", ("ddim",), timesteps=True, eta=0.0),
    Sampler("DDIM CFG++", ("ddim_cfgpp",), timesteps=True, eta=0.0),
    Sampler("PLMS", ("plms",), timesteps=True),
    Sampler("UniPC", ("unipc",), timesteps=True),
    Sampler("LCM", ("k_lcm",), renews=True),
)

SCHEDULES: tuple[Schedule, ...] = (
    Schedule(AUTOMATIC, "automatic"),
    Schedule("Uniform", "uniform"),
    Schedule("Karras", "karras"),
    Schedule("Exponential", "exponential"),
    Schedule("Polyexponential", "polyexponential"),
    Schedule("SGM Uniform", "sgm_uniform", ("SGMUniform",)),
    Schedule("KL Optimal", "kl_optimal"),
    Schedule("Align Your Steps", "align_your_steps"),
    Schedule("Simple", "simple"),
    Schedule("Normal", "normal"),
    Schedule("DDIM", "ddim"),
    Schedule("Beta", "beta"),
)

DEFAULT_RHO = {"Karras": 7.0, "Polyexponential": 1.0}
"""The crowding of schedules that have one, by label."""

_SAMPLERS = {sampler.name: sampler for sampler in SAMPLERS}
_SCHEDULES = {name: schedule for schedule in SCHEDULES for name in (schedule.label, schedule.name)}
_SCHEDULE_ALIASES = {name: schedule for schedule in SCHEDULES for name in schedule.aliases}
_ALIASES = {name.lower(): sampler for sampler in SAMPLERS for name in (sampler.name, *sampler.aliases)}


def sampler_names() -> list[str]:
    """The samplers to choose from, in the order users know."""
    return [sampler.name for sampler in SAMPLERS]


def schedule_names() -> list[str]:
    """The schedules to choose from, "Automatic" first."""
    return [schedule.label for schedule in SCHEDULES]


def find_sampler(name: str) -> Sampler:
    """The sampler called `name`, by its name or an alias, in any case.

    Raises:
        ParameterError: there is none.
    """
    sampler = _ALIASES.get(name.strip().lower())
    if sampler is None:
        raise ParameterError(
            "sampler", f"There is no sampler {name!r:.60}: choose one of {', '.join(sampler_names())}."
        )
    return sampler


def find_schedule(name: str) -> Schedule:
    """The schedule called `name`, by its label, its short name or an alias.

    Raises:
        ParameterError: there is none.
    """
    schedule = _SCHEDULES.get(name) or _SCHEDULE_ALIASES.get(name)
    if schedule is None:
        choices = ", ".join(schedule_names())
        raise ParameterError("schedule", f"There is no schedule {name!r:.60}: choose one of {choices}.")
    return schedule


def find(sampler: str, schedule: str = AUTOMATIC) -> tuple[Sampler, str]:
    """Sampler and schedule label of a request; old combined names ("LMS Karras") win over `schedule`.

    Raises:
        ParameterError: the sampler or the schedule does not exist.
    """
    if sampler.strip().lower() not in _ALIASES:
        sampler, suffix = _split(sampler)
        schedule = suffix.label if suffix else schedule
    return find_sampler(sampler), find_schedule(schedule).label


def read_pasted(sampler: str | None, schedule: str | None, keep_automatic: bool = False) -> tuple[str, str]:
    """Sampler name and schedule label that a picture's parameters mean; never fails.

    What is unknown becomes the first sampler and "Automatic". A schedule that is the sampler's own becomes
    "Automatic".

    Args:
        sampler, schedule: as written in the picture, None where it says nothing.
        keep_automatic: leave the sampler's own schedule by its name.
    """
    name, suffix = _split(sampler or SAMPLERS[0].name)
    found = suffix or _SCHEDULES.get(schedule or AUTOMATIC, SCHEDULES[0])
    resolved = _SAMPLERS.get(name, SAMPLERS[0])
    if not keep_automatic and found.label == resolved.schedule:
        found = SCHEDULES[0]
    return resolved.name, found.label


def _split(name: str) -> tuple[str, Schedule | None]:
    """Cut schedule names off the end of an old combined sampler name.

    Schedules are tried in their order, each once and not the longest first, as A1111 does: "Euler SGM Uniform" is an
    unknown "Euler SGM" with Uniform. Only "SGMUniform" was ever written into pictures.
    """
    found = None
    for schedule in SCHEDULES:
        suffix = next((" " + option for option in schedule.all_names if name.endswith(" " + option)), None)
        if suffix:
            name, found = name.removesuffix(suffix), schedule
    return name, found
