"""Loading: every layout gives the same model, in the precision asked for, without copies that nobody needs."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from modules.errors import OutOfMemory
from modules.model import loader
from modules.model.checkpoint import Checkpoint
from modules.model.device import DevicePolicy, Precision
from modules.model.loader import load_model
from modules.model.model import SDModel
from modules.model.prediction import measured_prediction, side_file_prediction
from modules.tensorfile import open_tensors
from tests import tiny
from tests.prompts.prompt_vectors import REFERENCE

CPU = torch.device("cpu")
FULL = DevicePolicy(CPU)


def load(path: Path, policy: DevicePolicy = FULL) -> SDModel:
    return load_model(Checkpoint(path, path.name), policy)


def state(model: SDModel) -> dict[str, Tensor]:
    networks = (("unet", model.unet), ("vae", model.vae), ("text_encoder", model.text_encoder))
    return {f"{name}.{key}": t for name, network in networks for key, t in network.state_dict().items()}


@pytest.fixture(scope="module")
def sd1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.checkpoint(tmp_path_factory.mktemp("checkpoints") / "sd1.safetensors", "sd1")


@pytest.mark.parametrize("kind", ["sd1", "sd2"])
def test_every_layout_gives_the_same_model(tmp_path: Path, kind: str) -> None:
    parts = tiny.random_parts(kind)
    tiny.write_ckpt(tmp_path / "legacy.ckpt", tiny.ldm_tensors(parts, kind), legacy=True)
    paths = [tiny.checkpoint(tmp_path / name, kind) for name in ("x.safetensors", "x.ckpt", "x")]
    first, *others = (state(load(path)) for path in [*paths, tmp_path / "legacy.ckpt"])
    assert first["unet.conv_in.weight"].abs().sum() > 0
    for other in others:
        assert first.keys() == other.keys()
        assert all(torch.equal(first[name], other[name]) for name in first)


def test_weights_are_the_stored_ones(sd1: Path) -> None:
    stored, loaded = tiny.random_parts("sd1"), state(load(sd1))
    for network, tensors in (("unet", stored.unet), ("vae", stored.vae), ("text_encoder", stored.text_encoder)):
        assert all(torch.equal(loaded[f"{network}.{name}"], tensor.float()) for name, tensor in tensors.items())


def test_nothing_is_left_without_values(sd1: Path) -> None:
    model = load(sd1)
    for network in (model.unet, model.vae, model.text_encoder):
        tensors = [*network.parameters(), *network.buffers()]
        assert not any(tensor.is_meta or tensor.requires_grad for tensor in tensors)
        assert not network.training
    assert model.text_encoder.embeddings.position_ids.tolist() == [list(range(77))]


def test_the_average_of_training_is_left_alone(tmp_path: Path, sd1: Path) -> None:
    """A file with EMA weights beside the plain ones gives the plain ones, as A1111 loads it."""
    tensors = load_file(sd1)
    unet = {name: t for name, t in tensors.items() if name.startswith("model.diffusion_model.")}
    average = {f"model_ema.{name[6:].replace('.', '')}": t + 1 for name, t in unet.items()}
    save_file({**tensors, **average}, tmp_path / "pruned-not.safetensors")
    plain, both = state(load(sd1)), state(load(tmp_path / "pruned-not.safetensors"))
    assert all(torch.equal(plain[name], both[name]) for name in plain)


# Precision


def test_what_fits_is_used_as_it_lies_in_the_file(sd1: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights in their stored dtype are the mapped bytes themselves: no second copy."""
    half = Precision(torch.float16, torch.float16, torch.float16)
    read: list[int] = []

    def watched(path: Path) -> loader.Weights:
        weights = loader_open(path)
        parts = weights.read()
        read.extend(t.data_ptr() for group in (parts.unet, parts.vae, parts.text_encoder) for t in group.values())
        return loader.Weights(weights.meta, weights.metadata, weights.open_clip, lambda: parts)

    loader_open = loader.open_weights
    monkeypatch.setattr(loader, "open_weights", watched)
    model = load(sd1, DevicePolicy(CPU, small=half))
    assert {tensor.data_ptr() for tensor in state(model).values()} == set(read)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_other_dtypes_are_converted(tmp_path: Path, dtype: torch.dtype) -> None:
    path = tiny.checkpoint(tmp_path / "x.safetensors", dtype=dtype)
    policy = DevicePolicy(CPU, small=Precision(torch.bfloat16, torch.float16, torch.float32))
    model = load(path, policy)
    assert {tensor.dtype for tensor in model.unet.parameters()} == {torch.bfloat16}
    assert {tensor.dtype for tensor in model.vae.parameters()} == {torch.float16}
    assert {tensor.dtype for tensor in model.text_encoder.parameters()} == {torch.float32}
    stored = open_tensors(path).load("model.diffusion_model.out.2.weight")
    assert torch.equal(model.unet.conv_out.weight, stored.to(torch.bfloat16))


def test_the_layout_of_convolutions_follows_the_policy(sd1: Path) -> None:
    for wanted in (False, True):
        model = load(sd1, DevicePolicy(CPU, small=Precision(channels_last=wanted)))
        for network in (model.unet, model.vae):
            weight = next(t for t in network.parameters() if t.dim() == 4 and min(t.shape) > 1)
            assert weight.is_contiguous(memory_format=torch.channels_last) == wanted


def test_large_unets_get_the_large_precision(sd1: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = DevicePolicy(CPU, large=Precision(torch.bfloat16))
    assert load(sd1, policy).unet.dtype == torch.float32
    monkeypatch.setattr("modules.model.device.LARGE_UNET", 1_000_000)
    model = load(sd1, policy)
    assert model.unet.dtype == torch.bfloat16
    assert model.device_line.startswith("cpu · bf16 · ")


def test_a_full_device_is_told_as_such(sd1: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(loader, "fill", full)
    with pytest.raises(OutOfMemory, match=r"“sd1\.safetensors” does not fit into the memory of cpu"):
        load(sd1)


# Noise or velocity


class Answering(torch.nn.Module):
    """A UNet with the answer of an ideal model to pure noise."""

    def __init__(self, predicts_v: bool, picture: float):
        super().__init__()
        self.predicts_v, self.picture = predicts_v, picture

    def forward(self, sample: Tensor, timestep: Tensor, encoder_hidden_states: Tensor) -> object:
        assert timestep.tolist() == [999.0]
        signal, noise = 0.0682, 0.9977  # √ᾱ and √(1−ᾱ) of the last training step
        picture = torch.full_like(sample, self.picture)
        epsilon = (sample - signal * picture) / noise
        answer = signal * epsilon - noise * picture if self.predicts_v else epsilon
        return type("Output", (), {"sample": answer})


@pytest.mark.parametrize("picture", [0.0, 1.0, -1.0])
@pytest.mark.parametrize("predicts_v", [False, True])
def test_a_model_is_asked_what_it_predicts(predicts_v: bool, picture: float) -> None:
    answer = measured_prediction(Answering(predicts_v, picture), torch.zeros(1, 77, 8))
    assert answer == ("v_prediction" if predicts_v else "epsilon")


def test_the_reference_model_says_that_it_predicts_noise() -> None:
    model = load(REFERENCE / "models" / "tiny-sd15.safetensors")
    assert measured_prediction(model.unet, torch.zeros(1, 77, 72)) == "epsilon"


@pytest.mark.parametrize(
    ("text", "prediction"),
    [
        ('model:\n  params:\n    parameterization: "v"\n    linear_start: 0.00085\n', "v_prediction"),
        ("    parameterization: v  # velocity\n", "v_prediction"),
        ("    parameterization: 'eps'\n", "epsilon"),
        ("model:\n  target: ldm.models.diffusion.ddpm.LatentDiffusion\n", "epsilon"),
        ("# parameterization: v\n", None),
        ("just: notes\n", None),
        ("", None),
        ("\xff\xfe", None),
    ],
)
def test_a_side_file_is_believed(tmp_path: Path, text: str, prediction: str | None) -> None:
    (tmp_path / "model.yaml").write_bytes(text.encode("latin-1"))
    assert side_file_prediction(tmp_path / "model.safetensors") == prediction


def test_no_side_file_says_nothing(tmp_path: Path) -> None:
    assert side_file_prediction(tmp_path / "model.safetensors") is None
    assert side_file_prediction(tmp_path) is None


def test_the_order_of_what_is_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(loader, "measured_prediction", lambda *_: asked.append(_) or "v_prediction")
    told = {"architecture.prediction_type": "epsilon"}

    first = tiny.checkpoint(tmp_path / "told.safetensors", "sd2", metadata=told)
    first.with_suffix(".yaml").write_text('parameterization: "v"')
    assert load(first).prediction_type == "epsilon"

    second = tiny.checkpoint(tmp_path / "side.safetensors", "sd2")
    second.with_suffix(".yaml").write_text("parameterization: eps")
    assert load(second).prediction_type == "epsilon"
    assert load(tiny.checkpoint(tmp_path / "plain.safetensors", "sd1")).prediction_type == "epsilon"
    assert not asked

    assert load(tiny.checkpoint(tmp_path / "asked.safetensors", "sd2")).prediction_type == "v_prediction"
    assert len(asked) == 1


def test_native_sizes(tmp_path: Path) -> None:
    sizes = {}
    for kind, prediction in (("sd1", "epsilon"), ("sd1", "v_prediction"), ("sd2", "epsilon"), ("sd2", "v_prediction")):
        told = {"architecture.prediction_type": prediction}
        path = tiny.checkpoint(tmp_path / "x.safetensors", kind, metadata=told)
        sizes[kind, prediction] = load(path).native_size
    assert sizes["sd2", "v_prediction"] == (768, 768)
    assert set(sizes.values()) == {(512, 512), (768, 768)}
    assert list(sizes.values()).count((768, 768)) == 1
