"""Turn the rendered pictures into latents once: `python -m tools.demo_model.encode`.

Writes `work/latents-<series>.pt`: float16 [n, 4, 16, 16], in the order of the pictures.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor

from tools.demo_model import render
from tools.demo_model.networks import (
    WORK,
    be_polite,
    load_state,
    make_vae,
    pictures_to_tensor,
    save_state,
    vae_weights,
)
from tools.demo_model.train_vae import STATE


def load_latents(series: str) -> Tensor:
    """Latents of a series, float16 [n, 4, 16, 16]."""
    path = WORK / f"latents-{series}.pt"
    if not path.exists():
        raise SystemExit(f"{path} is not there yet. Run: python -m tools.demo_model.encode")
    return load_state(path)["latents"]


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vae", type=Path, default=STATE, help="diffusers folder or state of train_vae")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    if args.device == "cpu":
        be_polite()
    vae = make_vae()
    vae.load_state_dict(vae_weights(args.vae))
    vae.to(args.device)
    for series in ("train", "validation"):
        parts = []
        for path in render.shards(series):
            pictures = torch.from_numpy(render.load_shard(path)[0])
            for batch in pictures.split(50):
                parts.append(vae.encode(pictures_to_tensor(batch).to(args.device)).latent_dist.mean.half().cpu())
        latents = torch.cat(parts)
        save_state(WORK / f"latents-{series}.pt", {"latents": latents})
        print(f"{series}: {len(latents)}, mean {latents.float().mean():.3f}, std {latents.float().std():.3f}", flush=True)


if __name__ == "__main__":
    main()
