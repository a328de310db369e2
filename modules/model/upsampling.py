"""The UNet's way back up, for latents whose sides are no multiple of 8 as well (pictures of 520 × 680 pixels).

On the way down an odd side is rounded up, so on the way up doubling makes it one too long. Stable Diffusion as
published doubles, convolves, and then samples the result down to the side needed; diffusers samples to that side
first. Where sides are even the two are the same to the last digit; elsewhere they differ by percents, and pictures
made with A1111 are drawn again only in the first way.
"""

from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn
from torch.nn import functional


class Doubling(nn.Module):
    """Twice as wide and high, then convolved; stands where diffusers has its `Upsample2D`, under its names."""

    def __init__(self, conv: nn.Module):
        super().__init__()
        self.conv = conv

    def forward(self, hidden_states: Tensor, output_size: tuple[int, int] | None = None) -> Tensor:
        """[B, C, h, w] to [B, C', 2h, 2w], or to `output_size` where the way down began at another size."""
        doubled = self.conv(functional.interpolate(hidden_states, scale_factor=2.0, mode="nearest"))
        if output_size is None or tuple(doubled.shape[2:]) == tuple(output_size):
            return doubled
        return functional.interpolate(doubled, output_size, mode="nearest")


def double_first(unet: UNet2DConditionModel) -> None:
    """Put `Doubling` into a UNet, around the convolutions that it has."""
    for block in unet.up_blocks:
        if isinstance(block.upsamplers, nn.ModuleList):  # the last block has none
            block.upsamplers = nn.ModuleList(
                [Doubling(upsampler.get_submodule("conv")) for upsampler in block.upsamplers]
            )
