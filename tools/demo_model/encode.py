"""Turn the rendered pictures into latents once: `python -m tools.demo_model.encode`.

Writes `work/latents/<shard>.pt` for each shard of pictures: float16 [n, 4, 16, 16], in the order of the pictures.
Shards that are already there are skipped, so a stopped run goes on where it was.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor

from tools.demo_model import render
from tools.demo_model.networks import (
    WORK,
    be_polite,
    encode_pictures,
    load_state,
    make_vae,
    save_state,
    vae_weights,
)
from tools.demo_model.train_vae import STATE
from tools.demo_model.world import Portrait

LATENTS = WORK / "latents"


def load_latents(series: str, limit: int | None = None) -> tuple[Tensor, list[Portrait]]:
    """Latents float16 [n, 4, 16, 16] and portraits of the encoded shards of a series, the first `limit` of them."""
    latents: list[Tensor] = []
    portraits: list[Portrait] = []
    for path in render.shards(series):
        encoded = LATENTS / f"{path.stem}.pt"
        if not encoded.exists() or (limit is not None and len(portraits) >= limit):
            break
        latents.append(load_state(encoded)["latents"])
        portraits += render.load_portraits(path)
    if not latents:
        raise SystemExit(f"No latents of “{series}” in {LATENTS}. Run: python -m tools.demo_model.encode")
    return torch.cat(latents)[:limit], portraits[:limit]


def main() -> None:
    parser = argparse.ArgumentParser(description="Turn the rendered pictures into latents.")
    parser.add_argument("--vae", type=Path, default=STATE, help="diffusers folder or state of train_vae")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    if args.device == "cpu":
        be_polite()
    with torch.device(args.device):
        vae = make_vae()
    vae.load_state_dict(vae_weights(args.vae))
    for path in render.shards("validation") + render.shards("train"):
        encoded = LATENTS / f"{path.stem}.pt"
        if encoded.exists():
            continue
        pictures = torch.from_numpy(render.load_shard(path)[0])
        latents = encode_pictures(vae, pictures, args.device).half()
        save_state(encoded, {"latents": latents})
        mean, std = latents.float().mean(), latents.float().std()
        print(f"{encoded.name}: {len(latents)}, mean {mean:.3f}, std {std:.3f}", flush=True)


if __name__ == "__main__":
    main()
