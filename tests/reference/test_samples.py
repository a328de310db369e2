"""Whole runs beside A1111 v1.10.1: prompt to latents, through our own loader, conditioning and samplers.

`docs/samplers.md` says how near each sampler came; `python -m tests.reference.test_samples` measures that again.
"""

from collections import defaultdict
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from modules.embeddings.database import EmbeddingDatabase
from modules.model.checkpoint import Checkpoint
from modules.model.conditioning import Conditioner, PromptRules
from modules.model.device import DevicePolicy
from modules.model.loader import load_model
from modules.samplers import names
from modules.samplers.guidance import Guided
from modules.samplers.noise import ImageNoise
from modules.samplers.options import SamplerOptions
from modules.samplers.sample import Start, sample
from tests.prompts.prompt_vectors import REFERENCE, records

PASS_MARK = 1e-3  # of the standard deviation; the recording's own, ten times what float64 moves any of them
FORWARD = 1e-4  # of the standard deviation, for a single call of the UNet
RULES = PromptRules(a1111_exact=True)
SETTINGS = {  # A1111's names of settings that records change, and ours
    "sigma_min": "sigma_min",
    "sigma_max": "sigma_max",
    "rho": "rho",
    "always_discard_next_to_last_sigma": "discard_penultimate",
    "sgm_noise_multiplier": "sgm_noise_multiplier",
    "beta_dist_alpha": "beta_alpha",
    "beta_dist_beta": "beta_beta",
    "uni_pc_variant": "unipc_variant",
    "uni_pc_skip_type": "unipc_skip_type",
    "uni_pc_order": "unipc_order",
    "uni_pc_lower_order_final": "unipc_lower_order_final",
}


def comparable(record: dict) -> bool:
    """Without what A1111 itself fails on, and without hypernetworks, which are not built.

    Odd sizes, which the recording calls informational, are held to the same mark.
    """
    return not (record["hypernet"] or record.get("peer_fails"))


RECORDS = [record for record in records("samples") if comparable(record)]


@cache
def conditioner() -> Conditioner:
    path = REFERENCE / "models" / "tiny-sd15.safetensors"
    embeddings = EmbeddingDatabase([REFERENCE / "embeddings" / "width72"])
    embeddings.refresh()
    return Conditioner(load_model(Checkpoint(path, path.name), DevicePolicy(torch.device("cpu"))), embeddings)


@cache
def recorded(family: str) -> dict[str, np.ndarray]:
    with np.load(REFERENCE / f"{family}.npz") as file:
        return dict(file)


def draw(record: dict) -> tuple[Tensor, int]:
    """The latents that a record describes, and how often the guided model was called."""
    images = len(record["seeds"])
    encode, model = conditioner(), conditioner().model
    sampler, schedule = names.find(record["sampler"], record["scheduler"])
    total = sampler.total_steps(record["steps"])
    prompts, negatives = (
        text if isinstance(text, list) else [text] * images for text in (record["prompt"], record["negative"])
    )
    guided = Guided(
        model.denoiser,
        [encode.cond(prompt, total, RULES) for prompt in prompts],
        [encode.uncond(negative, total, RULES) for negative in negatives],
        record["cfg"],
    )
    noise = ImageNoise(
        (4, *record["latent_hw"]),
        record["seeds"],
        record["subseeds"] or (),
        record["subseed_strength"],
        tuple(record["seed_resize_from"]),
        seed_delta=record["opts"].get("eta_noise_seed_delta", 0),
    )
    *_, last = sample(sampler.name, schedule, record["steps"], guided, noise, options(record), start(record))
    return last.x, guided.calls


def options(record: dict) -> SamplerOptions:
    settings = {key: value for key, value in record["opts"].items() if key != "eta_noise_seed_delta"}  # for the noise
    chosen: dict[str, Any] = {SETTINGS[key]: value for key, value in settings.items()}
    chosen |= {key: record[key] for key in ("eta", "s_churn", "s_tmin", "s_tmax", "s_noise")}
    return SamplerOptions(**chosen)


def start(record: dict) -> Start | None:
    if not record["img2img"]:
        return None
    generator = torch.Generator().manual_seed(record["img2img"]["latent_seed"])
    latents = torch.randn((len(record["seeds"]), 4, *record["latent_hw"]), generator=generator)
    return Start(latents * record["img2img"]["latent_scale"], record["img2img"]["denoise"])


def error(record: dict) -> float:
    """The largest difference, in standard deviations of the recorded latents."""
    latents, calls = draw(record)
    assert calls == record["denoiser_calls"]
    return (latents - torch.from_numpy(recorded("samples")[record["id"]])).abs().max().item() / record["std"]


@pytest.mark.parametrize("record", [r for r in RECORDS if not r.get("chaotic")], ids=lambda r: r["id"])
def test_latents_as_recorded(record: dict) -> None:
    assert error(record) < PASS_MARK


@pytest.mark.parametrize("record", [r for r in RECORDS if r.get("chaotic")], ids=lambda r: r["id"])
def test_latents_like_the_recorded_ones_where_rounding_decides_the_number_of_steps(record: dict) -> None:
    latents, calls = draw(record)
    assert calls == pytest.approx(record["denoiser_calls"], rel=0.05)
    pair = torch.stack([latents.flatten(), torch.from_numpy(recorded("samples")[record["id"]]).flatten()])
    assert torch.corrcoef(pair)[0, 1] > 0.95  # as the recording says


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: r["id"])
def test_what_is_written_into_the_picture_as_recorded(record: dict) -> None:
    sampler, schedule = names.find(record["sampler"], record["scheduler"])
    assert options(record).infotext(sampler, schedule) == record["infotext_extra"]


@pytest.mark.parametrize("record", records("unet_forward"), ids=lambda r: r["id"])
def test_one_call_of_the_unet_as_recorded(record: dict) -> None:
    arrays = {key: torch.from_numpy(recorded("unet_forward")[f"{record['id']}_{key}"]) for key in ("x", "cond")}
    denoiser = conditioner().model.denoiser
    asked, ask = ("denoised", denoiser) if "sigma" in record else ("eps", denoiser.eps)
    expected = torch.from_numpy(recorded("unet_forward")[f"{record['id']}_{asked}"])
    at = torch.full((len(expected),), record["sigma" if "sigma" in record else "timestep"])
    with torch.no_grad():
        answer = ask(arrays["x"], at, arrays["cond"])
    assert (answer - expected).abs().max() < FORWARD * expected.std()


def measure() -> None:
    """Print the table of `docs/samplers.md`: records and largest error of each sampler."""
    errors = defaultdict(list)
    for record in RECORDS:
        if not record.get("chaotic"):
            errors[record["sampler"]].append(error(record))
    for sampler in names.sampler_names():
        if errors[sampler]:
            print(f"{sampler:20} {len(errors[sampler]):3} records, largest error {max(errors[sampler]):.1e}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    measure()
