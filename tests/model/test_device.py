"""Where models compute, on machines that this one is not."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from modules.errors import ParameterError
from modules.flags import Flags
from modules.model import device
from modules.model.device import LARGE_UNET, DevicePolicy, Precision, speed_up_float32

LARGE, SMALL = 860_000_000, 9_000_000
FP32, FP16, BF16 = torch.float32, torch.float16, torch.bfloat16


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets what the hardware says: machine(cuda=2, mps=False, bf16=True)."""

    def set_up(cuda: int = 0, mps: bool = False, bf16: bool = False) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Test Card")
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": bf16})
        monkeypatch.setattr(torch, "get_num_threads", lambda: 2)

    return set_up


def dtypes(precision: Precision) -> tuple[torch.dtype, torch.dtype, torch.dtype]:
    return precision.unet, precision.vae, precision.text_encoder


def test_cuda_computes_in_half_precision(machine: Any) -> None:
    machine(cuda=1, bf16=True)
    policy = DevicePolicy.chosen(Flags())
    assert policy.device == torch.device("cuda", 0)
    assert dtypes(policy.precision(LARGE)) == dtypes(policy.precision(SMALL)) == (FP16, FP16, FP16)
    assert policy.describe(LARGE) == "cuda · fp16 · Test Card"


def test_apple_keeps_its_vae_in_full_precision(machine: Any) -> None:
    machine(mps=True)
    policy = DevicePolicy.chosen(Flags())
    assert policy.device == torch.device("mps")
    assert dtypes(policy.precision(LARGE)) == (FP16, FP32, FP32)
    assert policy.describe(LARGE) == "mps · fp16"


def test_a_cpu_uses_bf16_where_it_pays(machine: Any) -> None:
    machine(bf16=True)
    policy = DevicePolicy.chosen(Flags())
    assert policy.device == torch.device("cpu")
    assert dtypes(policy.precision(LARGE)) == (BF16, BF16, FP32)
    assert dtypes(policy.precision(SMALL)) == dtypes(policy.precision(LARGE_UNET)) == (FP32, FP32, FP32)
    assert policy.describe(LARGE) == "cpu · bf16 · 2 threads"
    assert policy.describe(SMALL) == "cpu · fp32 · 2 threads"


def test_a_cpu_without_bf16_computes_in_fp32(machine: Any) -> None:
    machine()
    assert dtypes(DevicePolicy.chosen(Flags()).precision(LARGE)) == (FP32, FP32, FP32)


@pytest.mark.parametrize("hardware", [{"cuda": 1}, {"mps": True}, {"bf16": True}])
def test_no_half_is_fp32_everywhere(machine: Any, hardware: dict) -> None:
    machine(**hardware)
    policy = DevicePolicy.chosen(Flags(no_half=True))
    assert dtypes(policy.precision(LARGE)) == dtypes(policy.precision(SMALL)) == (FP32, FP32, FP32)
    assert "fp32" in policy.describe(LARGE)


def test_no_half_vae(machine: Any) -> None:
    machine(cuda=1)
    assert dtypes(DevicePolicy.chosen(Flags(no_half_vae=True)).precision(LARGE)) == (FP16, FP32, FP16)


def test_use_cpu_leaves_the_card_alone(machine: Any) -> None:
    machine(cuda=1, mps=True)
    assert DevicePolicy.chosen(Flags(use_cpu=True)).device == torch.device("cpu")


def test_device_id_picks_the_card(machine: Any) -> None:
    machine(cuda=2)
    assert DevicePolicy.chosen(Flags(device_id=1)).device == torch.device("cuda", 1)
    with pytest.raises(ParameterError, match=r"--device-id 2 is not there: this machine has 0 … 1"):
        DevicePolicy.chosen(Flags(device_id=2))


def test_device_id_means_nothing_without_cards(machine: Any) -> None:
    machine()
    assert DevicePolicy.chosen(Flags(device_id=3)).device == torch.device("cpu")


@pytest.fixture
def products(monkeypatch: pytest.MonkeyPatch) -> Any:
    """torch's switch, put back afterwards, on a processor that calls itself AMD."""
    settings = torch.backends.mkldnn.matmul  # pyright: ignore[reportAttributeAccessIssue] -- made at run time
    before = settings.fp32_precision
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"cpu_name": "AMD EPYC"})
    settings.fp32_precision = "none"  # torch's default; a model loaded by another test may have changed it
    yield settings
    settings.fp32_precision = before


def test_faster_products_stay_exact(products: Any) -> None:
    """Whatever this machine is: either products are true fp32, or the switch is back where it was."""
    before = products.fp32_precision
    used = speed_up_float32()
    left, right = torch.randn(2, 512, 512, generator=torch.Generator().manual_seed(1))
    exact = (left.double() @ right.double().T).float()
    # fp32 sums of 512 products differ by 1e-6 at most, bf16 ones by 3e-3
    assert (torch.nn.functional.linear(left, right) - exact).norm() / exact.norm() < 1e-5
    assert used or products.fp32_precision == before


def test_products_that_would_be_rounded_stay_as_they_are(products: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a processor with AMX, where the switch really means bf16."""
    linear = torch.nn.functional.linear

    def rounding(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return (
            linear(left.bfloat16(), right.bfloat16()).float()
            if products.fp32_precision == "bf16"
            else linear(left, right)
        )

    before = products.fp32_precision
    monkeypatch.setattr(torch.nn.functional, "linear", rounding)
    assert not speed_up_float32()
    assert products.fp32_precision == before


def test_other_processors_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"cpu_name": "Intel(R) Xeon(R)"})
    monkeypatch.setattr(device.torch.backends, "mkldnn", SimpleNamespace())  # touching it would fail
    assert not speed_up_float32()
