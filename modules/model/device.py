"""Where and how precisely models compute: one policy, chosen once from flags and hardware.

No other module asks for a device by name, and none sends float64 to one (Apple's GPUs have none).
"""

import logging
from dataclasses import dataclass, replace

import torch

from modules.errors import ParameterError
from modules.flags import Flags

LARGE_UNET = 200_000_000  # parameters; SD 1 has 860 million. Below this, conversion costs more care than it saves time

_NAMES = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16"}
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Precision:
    """The dtype of each network's weights and activations.

    Attributes:
        channels_last: lay the convolutions of UNet and VAE out with channels innermost. Measured on a CPU in bf16: a
            decode takes a fifth less time, a UNet step a hundredth. Not in fp32, where torch's group norm then sums
            less exactly (the reference VAE's error grows from 1e-5 to 3e-4 of a standard deviation).
    """

    unet: torch.dtype = torch.float32
    vae: torch.dtype = torch.float32
    text_encoder: torch.dtype = torch.float32
    channels_last: bool = False


@dataclass(frozen=True)
class DevicePolicy:
    """The device, and the precision for small and large models on it.

    Attributes:
        device: where the three networks live; sampling and decoding happen there.
        large, small: for UNets above and below `LARGE_UNET` parameters.
    """

    device: torch.device
    large: Precision = Precision()
    small: Precision = Precision()

    @classmethod
    def chosen(cls, flags: Flags) -> "DevicePolicy":
        """The best this machine has and the flags allow: CUDA, then Apple's MPS, then the CPU.

        Raises:
            ParameterError: `--device-id` names a card that is not there.
        """
        device = _device(flags)
        if device.type == "cuda":
            precision = Precision(torch.float16, torch.float16, torch.float16)
        elif device.type == "mps":  # its half-precision VAE tends to give black pictures
            precision = Precision(unet=torch.float16)
        else:
            precision = Precision(unet=torch.bfloat16, vae=torch.bfloat16, channels_last=True)
        if flags.no_half or (device.type == "cpu" and not computes_bf16()):
            precision = Precision()
        elif flags.no_half_vae:
            precision = replace(precision, vae=torch.float32, channels_last=False)
        return cls(device, large=precision, small=Precision() if device.type == "cpu" else precision)

    def precision(self, unet_parameters: int) -> Precision:
        """The precision for a model with a UNet of this size."""
        return self.large if unet_parameters > LARGE_UNET else self.small

    def describe(self, unet_parameters: int) -> str:
        """One line for the page: “cpu · bf16 · 2 threads”, “cuda · fp16 · NVIDIA GeForce RTX 3060”."""
        dtype = self.precision(unet_parameters).unet
        words = [self.device.type, _NAMES.get(dtype, str(dtype).removeprefix("torch."))]
        if self.device.type == "cpu":
            threads = torch.get_num_threads()
            words.append(f"{threads} thread{'s' if threads > 1 else ''}")
        elif self.device.type == "cuda":
            words.append(torch.cuda.get_device_name(self.device))
        return " · ".join(words)


def computes_bf16() -> bool:
    """Whether this processor multiplies bfloat16 numbers itself (AVX512_BF16 or AMX); else it would be slower."""
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def speed_up_float32() -> bool:
    """Let oneDNN do the fp32 linear layers where MKL is slow, if its results stay true fp32. Returns whether it does.

    On AMD processors MKL takes a slow path. torch has no switch for the library, only one for oneDNN's precision:
    allowing "bf16" moves fp32 products there, and processors without AMX then compute them in full fp32 all the same
    (a quarter more speed, measured on Zen 4). That is checked with a product here, and undone if it does not hold.
    """
    able = torch.cpu.get_capabilities()
    if "AMD" not in str(able.get("cpu_name", "")) or not torch.backends.mkldnn.is_available():
        return False
    settings = torch.backends.mkldnn.matmul  # pyright: ignore[reportAttributeAccessIssue] -- made at run time
    before = settings.fp32_precision
    left, right = torch.randn(2, 256, 256, generator=torch.Generator().manual_seed(0))
    exact = torch.nn.functional.linear(left, right)
    settings.fp32_precision = "bf16"
    error = (torch.nn.functional.linear(left, right) - exact).norm() / exact.norm()
    if error < 1e-5:  # two fp32 products differ by 5e-7, bf16 by 3e-3
        return True
    settings.fp32_precision = before
    _log.info("fp32 products stay with the default library: oneDNN would round them to bf16")
    return False


def _device(flags: Flags) -> torch.device:
    if flags.use_cpu:
        return torch.device("cpu")
    if torch.cuda.is_available():
        index, count = flags.device_id or 0, torch.cuda.device_count()
        if not 0 <= index < count:
            raise ParameterError("device_id", f"--device-id {index} is not there: this machine has 0 … {count - 1}.")
        return torch.device("cuda", index)
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
