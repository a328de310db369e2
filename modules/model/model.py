"""The loaded model: three networks and the numbers they are used with. Loading is `loader`'s work."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import FloatTensor, Tensor
from transformers import CLIPTextModel

from modules.errors import NumericalError
from modules.model.checkpoint import Checkpoint
from modules.model.families import V_PREDICTION, Architecture, Family
from modules.model.vae import VaeFile
from modules.prompts.tokenizer import ClipTokenizer, clip_tokenizer
from modules.samplers.sigmas import NoiseTable

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class SDModel:
    """A Stable Diffusion checkpoint, ready to draw.

    Attributes:
        checkpoint: where it came from.
        architecture: its numbers.
        unet, vae, text_encoder: the networks, on `device`, not training, without gradients for their weights.
        device: where they live.
        prediction_type: "epsilon" or "v_prediction".
        device_line: how it computes, for the page: “cpu · bf16 · 2 threads”.
        vae_file: where the VAE came from, if not from the checkpoint.
    """

    checkpoint: Checkpoint
    architecture: Architecture = field(repr=False)
    unet: UNet2DConditionModel = field(repr=False)
    vae: AutoencoderKL = field(repr=False)
    text_encoder: CLIPTextModel = field(repr=False)
    device: torch.device
    prediction_type: str
    device_line: str
    vae_file: VaeFile | None = None

    @property
    def family(self) -> Family:
        return self.architecture.family

    @property
    def width(self) -> int:
        """Length of one token's vector; embeddings must have it."""
        return self.architecture.width

    @property
    def native_size(self) -> tuple[int, int]:
        """(width, height) in pixels that the model was trained for."""
        return self.architecture.size(self.prediction_type)

    @property
    def recommended(self) -> Mapping[str, Any]:
        """Form values of the model's maker, by field name of `Txt2ImgParams`; often none."""
        return self.architecture.recommended

    @property
    def tokenizer(self) -> ClipTokenizer:
        return clip_tokenizer()

    @property
    def alphas_cumprod(self) -> Tensor:
        """float32 [1000] on the CPU: the share of the picture's variance left at each training timestep."""
        return self.denoiser.sigmas.alphas_cumprod

    @cached_property
    def latent_rgb(self) -> Tensor:
        """float32 [5, 3] on the CPU: four latent channels and a bias, to RGB in 0 … 1."""
        return torch.tensor(self.architecture.latent_rgb, dtype=torch.float32)

    @cached_property
    def denoiser(self) -> "StableDenoiser":
        """What the samplers call."""
        return StableDenoiser(self.unet, self.prediction_type)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Pixels of one picture.

        Args:
            latents: [1, 4, h, w], scaled as the UNet has them.

        Returns:
            float32 [1, 3, 8h, 8w] on the model's device, about -1 … 1, not clamped.

        Raises:
            NumericalError: NaN or infinity, in full precision too.
        """
        latents = latents.to(self.device) / self.architecture.scaling_factor
        return self._through_vae(
            lambda dtype: self.vae.decode(cast(FloatTensor, latents.to(dtype)), return_dict=False)[0]
        )

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """What the VAE knows of pictures: mean and logarithm of the variance of their latents.

        Args:
            images: [B, 3, H, W] in -1 … 1, sides multiples of 8.

        Returns:
            float32 [B, 8, H/8, W/8] on the model's device: four channels of means, four of log variances, before
            multiplication with `architecture.scaling_factor`.

        Raises:
            NumericalError: NaN or infinity, in full precision too.
        """
        images = images.to(self.device)
        return self._through_vae(lambda dtype: self.vae.encode(images.to(dtype), return_dict=False)[0].parameters)

    def _through_vae(self, run: Callable[[torch.dtype], Tensor]) -> Tensor:
        """Half precision overflows in some VAEs: then this one computes in float32 from now on."""
        # training puts it into main memory, and pictures are drawn between its steps
        torch.nn.Module.to(self.vae, self.device)
        dtype = dtype_of(self.vae)
        result = run(dtype).float()
        if dtype != torch.float32 and not torch.isfinite(result).all():
            _log.warning("The VAE of %s overflows in half precision: it goes on in fp32.", self.checkpoint.name)
            self.vae.float()
            result = run(torch.float32)
        if not torch.isfinite(result).all():
            raise NumericalError(
                f"The VAE of “{self.checkpoint.name}” answered with values that are no numbers (NaN), so there is no "
                "picture. The file may be damaged: copy it again, or choose another checkpoint."
            )
        return result


class StableDenoiser:
    """A UNet that predicts noise or velocity at a timestep, as the denoiser of noise levels that samplers call.

    Latents go in and come out as float32, whatever the UNet computes in. Timesteps between training steps are told to
    the UNet as they are, not rounded.

    Source: Karras et al. 2022, arXiv:2206.00364, section 5 (scaling of input and output); Salimans and Ho 2022,
    arXiv:2202.00512, appendix D (velocity).
    """

    def __init__(self, unet: UNet2DConditionModel, prediction_type: str, sigmas: NoiseTable | None = None):
        self.unet = unet
        self.predicts_v = prediction_type == V_PREDICTION
        self.sigmas = sigmas or NoiseTable.scaled_linear()

    def __call__(self, x: Tensor, sigma: Tensor, cond: Tensor) -> Tensor:
        """Guess of the clean latents in x [B, 4, h, w] of noise level sigma [B], told by cond [B, T, D]."""
        timestep = self.sigmas.sigma_to_t(sigma)
        sigma = sigma[:, None, None, None]
        variance = sigma**2 + 1
        prediction = self.predict(x / variance.sqrt(), timestep, cond)
        if self.predicts_v:
            return x / variance - prediction * sigma / variance.sqrt()
        return x - prediction * sigma

    def eps(self, x: Tensor, timestep: Tensor, cond: Tensor) -> Tensor:
        """Guess of the noise in x [B, 4, h, w] of variance 1 at timestep [B], told by cond [B, T, D]."""
        prediction = self.predict(x, timestep, cond)
        if not self.predicts_v:
            return prediction
        sigma = self.sigmas.t_to_sigma(timestep)[:, None, None, None]
        return (prediction + x * sigma) / (sigma**2 + 1).sqrt()

    def predict(self, x: Tensor, timestep: Tensor, cond: Tensor) -> Tensor:
        """What the UNet itself answers, noise or velocity, as float32; gradients flow to `cond`. As for `eps`."""
        prediction = self._run(x, timestep, cond)
        if dtype_of(self.unet) == torch.float16 and torch.isfinite(x).all() and not torch.isfinite(prediction).all():
            _log.warning("The UNet overflows in half precision: it goes on in fp32, which needs twice the memory.")
            self.unet.float()
            prediction = self._run(x, timestep, cond)
        return prediction

    def _run(self, x: Tensor, timestep: Tensor, cond: Tensor) -> Tensor:
        dtype = dtype_of(self.unet)
        return self.unet(x.to(dtype), timestep, encoder_hidden_states=cond.to(dtype)).sample.float()


def dtype_of(network: torch.nn.Module) -> torch.dtype:
    """What a network computes in. The `dtype` of diffusers walks through all modules to find that out: twice in a call
    of the UNet, that was 6 % of the call with the demo model, and a fifth with one of a hundredth of its weights."""
    return next(network.parameters()).dtype
