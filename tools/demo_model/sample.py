"""Pictures from a packed checkpoint, in batches, and sheets of them: `python -m tools.demo_model.sample`.

The reference path of the training tools, on diffusers' own solver: nothing here is used by the program.
"""

import argparse
import random
from pathlib import Path

import torch
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from modules.model.ldm_keys import from_ldm
from modules.prompts.tokenizer import BEGIN, END, clip_tokenizer
from tools.demo_model import networks as sizes
from tools.demo_model.pack import CHECKPOINT
from tools.demo_model.world import imagine, plain_caption

CFG_SCALE = 5.0
STEPS = 20
SHEET_SEED = 77


class Painter(nn.Module):
    """The three networks of a packed checkpoint, in float32."""

    def __init__(self, checkpoint: Path):
        super().__init__()
        parts = from_ldm(load_file(checkpoint))
        self.unet, self.vae, self.text_encoder = sizes.make_unet(), sizes.make_vae(), sizes.make_text_encoder()
        self.unet.load_state_dict(parts.unet)
        self.vae.load_state_dict(parts.vae)
        self.text_encoder.load_state_dict(parts.text_encoder)
        self.eval().requires_grad_(False)

    def context(self, captions: list[str]) -> Tensor:
        """Captions of at most 75 tokens as [B, 77, 160]."""
        ids = [[BEGIN, *clip_tokenizer().encode(text)[: sizes.POSITIONS - 2]] for text in captions]
        rows = torch.tensor([row + [END] * (sizes.POSITIONS - len(row)) for row in ids])
        return self.text_encoder(input_ids=rows).last_hidden_state

    @torch.no_grad()
    def latents(self, captions: list[str], seeds: list[int]) -> Tensor:
        """Denoised latents [B, 4, 16, 16]: DPM++ 2M Karras, 20 steps, CFG 5; each picture from its own seed."""
        solver = DPMSolverMultistepScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", use_karras_sigmas=True
        )
        solver.set_timesteps(STEPS)
        shape = (4, sizes.LATENT_SIZE, sizes.LATENT_SIZE)
        noise = [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        latents = torch.stack(noise) * solver.init_noise_sigma
        context = self.context(captions + [""] * len(captions))
        for timestep in solver.timesteps:
            cond, uncond = self.unet(latents.repeat(2, 1, 1, 1), timestep, context).sample.chunk(2)
            eps = uncond + CFG_SCALE * (cond - uncond)
            latents = solver.step(eps, timestep, latents, return_dict=False)[0]
        return latents

    def pictures(self, captions: list[str], seeds: list[int]) -> Tensor:
        """uint8 [B, 128, 128, 3]."""
        drawn = []
        for first in range(0, len(captions), 16):
            latents = self.latents(captions[first : first + 16], seeds[first : first + 16])
            drawn.append(sizes.decode_pictures(self.vae, latents))
        return torch.cat(drawn)


def sheet(pictures: Tensor, columns: int = 8) -> Image.Image:
    """uint8 [n, h, w, 3] as one picture, row by row."""
    height, width = pictures.shape[1:3]
    image = Image.new("RGB", (columns * width, -(-len(pictures) // columns) * height))
    for place, picture in enumerate(pictures):
        image.paste(Image.fromarray(picture.numpy()), (place % columns * width, place // columns * height))
    return image


def main() -> None:
    parser = argparse.ArgumentParser(description="A sheet of pictures from a packed checkpoint.")
    parser.add_argument("output", type=Path, help="PNG file of the sheet")
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT)
    parser.add_argument("--captions", type=Path, help="text file, one caption a line; default: 64 from the world")
    parser.add_argument("--seed", type=int, default=SHEET_SEED)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.captions is None:
        captions = [plain_caption(imagine(SHEET_SEED, index)) for index in range(64)]
    else:
        captions = args.captions.read_text().split("\n")[:-1]
    rng = random.Random(args.seed)
    pictures = Painter(args.checkpoint).pictures(captions, [rng.randrange(2**32) for _ in captions])
    sheet(pictures).quantize(256).save(args.output, optimize=True)  # a palette halves the file


if __name__ == "__main__":
    main()
