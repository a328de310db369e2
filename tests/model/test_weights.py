"""What is no checkpoint is named from its header, with what would be needed instead."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from modules.errors import CheckpointError, FileFormatError
from modules.model.ldm_keys import Parts
from modules.model.loader import judge
from modules.model.weights import open_weights
from tests import foreign, tiny
from tests.prompts.prompt_vectors import REFERENCE

NEEDED = "Needed is a checkpoint of Stable Diffusion 1 or 2"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("checkpoints")


@pytest.fixture(scope="module")
def sd1(folder: Path) -> Path:
    return tiny.checkpoint(folder / "sd1.safetensors", "sd1")


def without(path: Path, sd1: Path, *prefixes: str) -> Path:
    """The tiny checkpoint without the tensors of some networks."""
    save_file({name: t for name, t in load_file(sd1).items() if not name.startswith(prefixes)}, path)
    return path


def changed(path: Path, sd1: Path, **shapes: tuple[int, ...]) -> Path:
    """The tiny checkpoint with other shapes; a name stands for the first tensor that ends with it."""
    tensors = load_file(sd1)
    for ending, shape in shapes.items():
        name = next(name for name in sorted(tensors) if name.endswith(ending.replace("__", ".")))
        tensors[name] = torch.zeros(shape, dtype=torch.float16)
    save_file(tensors, path)
    return path


FOREIGN: dict[str, tuple[Callable[[Path, Path], Path], str]] = {
    "LoRA": (lambda path, _: foreign.lora(path), "is a LoRA"),
    "SDXL": (lambda path, _: foreign.sdxl(path), "is an SDXL model"),
    "VAE": (lambda path, _: foreign.vae_only(path), "is a VAE alone"),
    "VAE in LDM names": (
        lambda path, sd1: without(path, sd1, "model.", "cond_stage_model."),
        "is a VAE without a UNet and a text encoder",
    ),
    "no VAE": (
        lambda path, sd1: without(path, sd1, "first_stage_model."),
        "is a UNet and a text encoder without a VAE",
    ),
    "no text encoder": (
        lambda path, sd1: without(path, sd1, "cond_stage_model."),
        "is a UNet and a VAE without a text encoder",
    ),
    "ControlNet": (
        lambda path, _: foreign.shaped(path, {"control_model.input_blocks.0.0.weight": (8, 4, 3, 3)}),
        "is a ControlNet",
    ),
    "embedding": (lambda path, _: foreign.shaped(path, {"emb_params": (2, 768)}), "is an embedding"),
    "Stable Diffusion 3": (
        lambda path, _: foreign.shaped(path, {"model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight": (8, 8)}),
        "is a Stable Diffusion 3 model",
    ),
    "Flux": (lambda path, _: foreign.shaped(path, {"double_blocks.0.img_attn.qkv.weight": (8, 8)}), "is a Flux model"),
    "other networks": (lambda path, _: foreign.shaped(path, {"layer.weight": (8, 8)}), "is no Stable Diffusion model"),
    "nothing": (lambda path, _: foreign.shaped(path, {}), "is a file without tensors"),
    "inpainting": (
        lambda path, sd1: changed(path, sd1, diffusion_model__input_blocks__0__0__weight=(32, 9, 3, 3)),
        "takes 9 channels instead of 4 .an inpainting model",
    ),
    "other vocabulary": (
        lambda path, sd1: changed(path, sd1, token_embedding__weight=(32128, 48)),
        "knows 32128 tokens",
    ),
    "other context": (
        lambda path, sd1: changed(path, sd1, middle_block__1__transformer_blocks__0__attn2__to_k__weight=(64, 50)),
        "reads vectors of 50, its text encoder writes 48",
    ),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_foreign_files_are_named(tmp_path: Path, sd1: Path, kind: str) -> None:
    make, found = FOREIGN[kind]
    with pytest.raises(CheckpointError, match=f"“thing.safetensors” .*{found}.*{NEEDED}"):
        judge(make(tmp_path / "thing.safetensors", sd1))


def test_a_tensor_that_is_missing_is_named(tmp_path: Path, sd1: Path) -> None:
    path = without(tmp_path / "part.safetensors", sd1, "first_stage_model.decoder.up.2.block.0.conv1.weight")
    with pytest.raises(
        CheckpointError, match=r"lacks 1 of 180 tensors of its VAE, the first being “decoder\.up_blocks"
    ):
        judge(path)


def test_a_tensor_of_another_shape_is_named(tmp_path: Path, sd1: Path) -> None:
    path = changed(tmp_path / "odd.safetensors", sd1, diffusion_model__time_embed__0__weight=(128, 33))
    with pytest.raises(CheckpointError, match=r"“time_embedding\.linear_1\.weight” is 128×33, needed is 128×32"):
        judge(path)


@pytest.mark.parametrize("shape", [(), (3,), (0,), (0, 0), (49408, 0), (0, 4, 3, 3), (64, 64, 2, 1, 1)])
def test_impossible_shapes_are_no_crash(tmp_path: Path, sd1: Path, shape: tuple[int, ...]) -> None:
    names = ("token_embedding__weight", "diffusion_model__input_blocks__0__0__weight", "mid__attn_1__q__weight")
    for number, name in enumerate(names):
        path = changed(tmp_path / f"{number}.safetensors", sd1, **{name: shape})
        with pytest.raises(CheckpointError):
            judge(path)


@pytest.mark.parametrize("share", [0.01, 0.25, 0.5, 0.99])
@pytest.mark.parametrize("form", ["sd1.safetensors", "sd1.ckpt"])
def test_truncated_checkpoints_are_named(tmp_path: Path, form: str, share: float) -> None:
    whole = tiny.checkpoint(tmp_path / form)
    part = foreign.truncated(tmp_path / f"part{whole.suffix}", whole, share)
    with pytest.raises(FileFormatError, match=r"“part\..*(cut off|damaged).*[Cc]opy it again"):
        judge(part)


@pytest.mark.parametrize("name", ["model.ckpt", "model.safetensors"])
def test_code_in_a_checkpoint_is_named(tmp_path: Path, name: str) -> None:
    canary = tmp_path / "canary"
    foreign.HOSTILE["zip, beside weights"](foreign.Canary(canary), tmp_path / name)
    with pytest.raises(FileFormatError, match=r"is unsafe: it wants to run “io\.open”"):
        judge(tmp_path / name)
    assert not canary.exists()


def test_embeddings_and_hypernetworks_put_into_the_wrong_folder() -> None:
    for path in [*(REFERENCE / "embeddings" / "width768").glob("*.*"), *(REFERENCE / "hypernetworks").glob("*.pt")]:
        if path.suffix != ".png":
            with pytest.raises(CheckpointError, match=NEEDED):
                judge(path)


# Diffusers folders


@pytest.fixture
def diffusers(tmp_path: Path) -> Path:
    return tiny.checkpoint(tmp_path / "folder", "sd1")


def test_a_folder_says_what_shapes_cannot_tell(diffusers: Path) -> None:
    config = json.loads((diffusers / "unet" / "config.json").read_text())
    config |= {"attention_head_dim": [4, 4, 8, 8], "sample_size": 16}
    (diffusers / "unet" / "config.json").write_text(json.dumps(config))
    (diffusers / "scheduler" / "scheduler_config.json").write_text('{"prediction_type": "v_prediction"}')
    found = judge(diffusers)
    assert found.unet["attention_head_dim"] == [4, 4, 8, 8]
    assert found.native_size == (128, 128)
    assert found.prediction_type == "v_prediction"


def test_a_folder_in_shards(diffusers: Path) -> None:
    whole = diffusers / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(whole)
    shards = {name: f"part-{number % 3}.safetensors" for number, name in enumerate(tensors)}
    for shard in set(shards.values()):
        save_file({name: tensors[name] for name in tensors if shards[name] == shard}, whole.with_name(shard))
    whole.unlink()
    index = whole.with_name("diffusion_pytorch_model.safetensors.index.json")
    index.write_text(json.dumps({"weight_map": shards}))
    assert foreign.tensors_equal(open_weights(diffusers).read().unet, tensors)


@pytest.mark.parametrize("shard", ["../../secret.safetensors", "/etc/passwd", "", 5, "gone.safetensors"])
def test_an_index_leads_nowhere_else(diffusers: Path, shard: object) -> None:
    index = diffusers / "unet" / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"conv_in.weight": shard}}))
    with pytest.raises(FileFormatError, match=r"damaged index|cannot be read"):
        judge(diffusers)


def test_a_folder_of_pickles_loads(diffusers: Path) -> None:
    tensors = load_file(diffusers / "unet" / "diffusion_pytorch_model.safetensors")
    (diffusers / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    torch.save(tensors, diffusers / "unet" / "diffusion_pytorch_model.bin")
    assert foreign.tensors_equal(open_weights(diffusers).read().unet, tensors)


def test_a_folder_without_weights_says_what_belongs_there(diffusers: Path) -> None:
    (diffusers / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"without weights in vae/: a file diffusion_pytorch_model\.safetensors"):
        judge(diffusers)


def test_an_sdxl_folder_is_named(diffusers: Path) -> None:
    (diffusers / "text_encoder_2").mkdir()
    with pytest.raises(CheckpointError, match="is an SDXL model"):
        judge(diffusers)


@pytest.mark.parametrize("text", ["", "[1]", "{", '"text"', "[" * 100_000, " " * (1 << 21)])
def test_a_damaged_configuration_is_named(diffusers: Path, text: str) -> None:
    (diffusers / "unet" / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"unet/config\.json"):
        judge(diffusers)


@pytest.mark.parametrize("value", ["many", {}, [8, "x"], -1, 1e300, True])
def test_a_forged_configuration_is_refused(diffusers: Path, value: object) -> None:
    config = {"attention_head_dim": value, "norm_num_groups": 32}
    (diffusers / "unet" / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"architecture\.unet\.heads"):
        judge(diffusers)


def test_code_beside_the_weights_is_not_looked_at(diffusers: Path) -> None:
    canary = diffusers / "canary"
    (diffusers / "unet" / "modeling.py").write_text(f"open({os.fspath(canary)!r}, 'w')")
    (diffusers / "unet" / "config.json").write_text('{"auto_map": {"AutoModel": "modeling.Model"}}')
    judge(diffusers)
    assert not canary.exists()


def test_an_empty_part_is_no_part(tmp_path: Path) -> None:
    parts = tiny.random_parts("sd1")
    tiny.write_folder(tmp_path / "folder", Parts(parts.unet, {}, parts.text_encoder), "sd1")
    with pytest.raises(CheckpointError, match="lacks the tensor"):
        judge(tmp_path / "folder")
