"""Turn the rendered pictures into latents once: `python -m tools.demo_model.encode`.

Writes `work/latents/<shard>.pt` for each shard of pictures: float16 [n, 4, 16, 16], in the order of the pictures.
Shards that are already there are skipped, so a stopped run goes on where it was.
"""

import argparse
import itertools
from pathlib import Path

import torch
from torch import Tensor

from tools.demo_model import render
from tools.demo_model.hybrids import Hybrid
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
    for path, encoded in _encoded(series):
        if limit is not None and len(portraits) >= limit:
            break
        latents.append(load_state(encoded)["latents"])
        portraits += render.load_portraits(path)
    return torch.cat(latents)[:limit], portraits[:limit]


def load_hybrid_latents() -> tuple[Tensor, list[Hybrid]]:
    """Latents float16 [n, 4, 16, 16] and hybrids of all their shards."""
    shards = _encoded("hybrids")
    latents = torch.cat([load_state(encoded)["latents"] for _, encoded in shards])
    return latents, [hybrid for path, _ in shards for hybrid in render.load_hybrids(path)]


def _encoded(series: str) -> list[tuple[Path, Path]]:
    """The shards of a series, as pictures and as latents, up to the first that is not encoded yet."""
    pairs = [(path, LATENTS / f"{path.stem}.pt") for path in render.shards(series)]
    pairs = list(itertools.takewhile(lambda pair: pair[1].exists(), pairs))
    if not pairs:
        raise SystemExit(f"No latents of “{series}” in {LATENTS}. Run: python -m tools.demo_model.encode")
    return pairs


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
    for path in render.shards("validation") + render.shards("train") + render.shards("hybrids"):
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
