"""Train the autoencoder: `python -m tools.demo_model.train_vae`.

Whole autoencoder from scratch, or with `--decoder-only` just the half that draws, so that stored latents and a
trained UNet stay valid. The state (`work/vae.pt`, `work/vae-decoder.pt`) is written every few hundred steps; a killed
run goes on from it.
"""

import argparse
import math
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor

from tools.demo_model import render
from tools.demo_model.networks import (
    WORK,
    autocast,
    be_polite,
    decode,
    decode_pictures,
    encode,
    encode_pictures,
    load_state,
    make_vae,
    pictures_to_tensor,
    save_state,
    vae_weights,
)

STATE, DECODER_STATE = WORK / "vae.pt", WORK / "vae-decoder.pt"
KL_WEIGHT = 3e-4
LATENT_NOISE = 0.05  # of a standard deviation, while training the decoder: it learns to forgive the UNet's errors
SAVE_EVERY = 200  # steps


def reconstruction_loss(drawn: Tensor, real: Tensor) -> Tensor:
    """How far drawn pictures are from the real ones, both [B, 3, h, w] in -1..1.

    Beside the pixels it compares edges, and the low frequencies and their colour differences apart: group norm hides
    absolute colour, and without these terms plain backgrounds stay grey.
    """
    low_drawn, low_real = F.avg_pool2d(drawn, 4), F.avg_pool2d(real, 4)
    return (
        F.l1_loss(drawn, real)
        + F.mse_loss(drawn, real)
        + 0.3 * (F.l1_loss(drawn.diff(dim=2), real.diff(dim=2)) + F.l1_loss(drawn.diff(dim=3), real.diff(dim=3)))
        + 0.6 * F.l1_loss(low_drawn, low_real)
        + 0.8 * F.l1_loss(_chroma(low_drawn), _chroma(low_real))
    )


def _chroma(pictures: Tensor) -> Tensor:
    red, green, blue = pictures.unbind(1)
    return torch.stack([red - green, blue - green], dim=1)


def validation_psnr(vae: AutoencoderKL, pictures: Tensor, device: str) -> float:
    """Mean peak signal-to-noise ratio in dB over uint8 [n, h, w, 3] pictures, peak 1, per picture."""
    drawn = decode_pictures(vae, encode_pictures(vae, pictures, device), device)
    error = ((drawn.float() - pictures.float()) / 255).square().mean(dim=(1, 2, 3))
    return (-10 * error.log10()).mean().item()


def finished() -> Path:
    """The state to draw with: the fine-tuned decoder's if there is one."""
    return DECODER_STATE if DECODER_STATE.exists() else STATE


def learning_rate(progress: float, peak: float) -> float:
    """Warm-up over the first 2 %, flat, then linear to zero over the second half; `progress` runs from 0 to 1."""
    return peak * min(1.0, progress / 0.02, 2 * (1 - progress))


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the autoencoder.")
    parser.add_argument("--start-from", type=Path, help="diffusers folder, state or packed checkpoint to begin from")
    parser.add_argument("--decoder-only", action="store_true")
    parser.add_argument("--pictures", type=int, default=400_000, help="pictures to show in all")
    parser.add_argument("--data", type=int, default=10_000, help="different pictures kept in memory")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    if args.device == "cpu":
        be_polite()
    torch.manual_seed(0)
    data = torch.from_numpy(render.load("train", args.data)[0])
    validation = torch.from_numpy(render.load("validation", 128)[0])

    state_path = DECODER_STATE if args.decoder_only else STATE
    start = args.start_from or (STATE if args.decoder_only else None)
    with torch.device(args.device):
        vae = make_vae()
    if start is not None:
        vae.load_state_dict(vae_weights(start))
    trained = [vae.decoder, vae.post_quant_conv] if args.decoder_only else [vae]
    vae.requires_grad_(False)
    for part in trained:
        part.requires_grad_(True)
    optimizer = torch.optim.AdamW(
        [parameter for part in trained for parameter in part.parameters()], lr=args.rate, betas=(0.9, 0.99)
    )
    step, steps = 0, math.ceil(args.pictures / args.batch)
    if state_path.exists():
        state = load_state(state_path)
        vae.load_state_dict(state["vae"])
        optimizer.load_state_dict(state["optimizer"])
        step = state["step"]
    print(f"step {step} of {steps}, PSNR {validation_psnr(vae, validation, args.device):.2f} dB", flush=True)

    began = time.monotonic()
    while step < steps:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step / steps, args.rate)
        generator = torch.Generator().manual_seed(step)
        chosen = torch.randint(len(data), (args.batch,), generator=generator)
        real = pictures_to_tensor(data[chosen]).to(args.device)
        with autocast(args.device):
            posterior = encode(vae, real)
            if args.decoder_only:
                latents = posterior.mean
                level = LATENT_NOISE * torch.rand(args.batch, 1, 1, 1, generator=generator)
                noise = torch.randn(latents.shape, generator=generator) * level * 2
                latents = latents + noise.to(latents)
            else:
                latents = posterior.sample()
            drawn = decode(vae, latents)
        loss = reconstruction_loss(drawn.float(), real)
        if not args.decoder_only:
            loss = loss + KL_WEIGHT * posterior.kl().mean() / latents[0].numel()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for part in trained for p in part.parameters()], 1.0)
        optimizer.step()
        step += 1
        if step % SAVE_EVERY == 0 or step == steps:
            save_state(state_path, {"vae": vae.state_dict(), "optimizer": optimizer.state_dict(), "step": step})
            psnr = validation_psnr(vae, validation, args.device)
            minutes = (time.monotonic() - began) / 60
            print(f"step {step} of {steps}, {minutes:.1f} min, loss {loss.item():.4f}, PSNR {psnr:.2f} dB", flush=True)


if __name__ == "__main__":
    main()
