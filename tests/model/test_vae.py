"""VAEs in files of their own: which file a choice means, and what is loaded."""

import pytest
import torch
from safetensors.torch import save_file

from modules.errors import CheckpointError, FileFormatError, ParameterError
from modules.flags import Flags
from modules.model.checkpoint import Checkpoint
from modules.model.device import DevicePolicy
from modules.model.ldm_keys import Parts, to_ldm
from modules.model.loader import load_model
from modules.model.vae import VaeFile, choose_vae, find_vaes, with_vae
from tests import tiny

PREFIX = "first_stage_model."


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tiny.checkpoint(tmp_path_factory.mktemp("model") / "small.safetensors", "sd1")
    return load_model(Checkpoint(path, path.name), DevicePolicy.chosen(Flags(no_half=True, use_cpu=True)))


@pytest.fixture
def files(tmp_path):
    for name in ("VAE/mse.safetensors", "VAE/cosy-soft.pt", "ckpt/cosy.vae.pt", "ckpt/cosy.safetensors", "VAE/.x.pt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    return find_vaes([tmp_path / "VAE", tmp_path / "gone"], [tmp_path / "ckpt"])


def named(tmp_path, stem: str) -> Checkpoint:
    return Checkpoint(tmp_path / f"{stem}.safetensors", f"{stem}.safetensors")


def test_files_are_found_beside_checkpoints_and_in_a_folder_of_their_own(files):
    assert [file.name for file in files] == ["cosy-soft.pt", "cosy.vae.pt", "mse.safetensors"]


def test_a_choice_means_a_file(files, tmp_path):
    cosy, other = named(tmp_path, "cosy"), named(tmp_path, "other")
    assert choose_vae("None", files, cosy) is None
    by_name = {file.name: file for file in files}
    assert choose_vae("Automatic", files, cosy) == by_name["cosy.vae.pt"]
    assert choose_vae("Automatic", files, other) is None
    assert choose_vae("mse.safetensors", files, other) == choose_vae("mse", files, other) == by_name["mse.safetensors"]
    with pytest.raises(ParameterError, match="mse"):
        choose_vae("gone", files, other)


def test_automatic_takes_the_nearest_name_that_begins_with_the_checkpoint_s(tmp_path):
    names = ["cosy2.pt", "cosy-b.vae.pt", "cosy-a.pt", "cosy.safetensors"]
    files = [VaeFile(tmp_path / name) for name in names]
    taken = [choose_vae("Automatic", files[: count + 1], named(tmp_path, "cosy")) for count in range(4)]
    assert taken == [None, *files[1:2] * 2, files[3]]


@pytest.mark.parametrize(
    ("card", "taken"),
    [
        ('{"vae": "mse.safetensors"}', "mse.safetensors"),
        ('{"vae": "mse", "description": "x"}', "mse.safetensors"),
        ('{"vae": "None"}', None),
        ('{"vae": "Automatic"}', "cosy.vae.pt"),
        ('{"vae": "gone.pt"}', "cosy.vae.pt"),
        ('{"vae": ["mse"]}', "cosy.vae.pt"),
        ('{"vae": ""}', "cosy.vae.pt"),
        ("[1]", "cosy.vae.pt"),
        ("{", "cosy.vae.pt"),
        ("[" * 100_000, "cosy.vae.pt"),
        ('{"vae": "mse", "long": "%s"}' % ("x" * 1_000_000), "cosy.vae.pt"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_automatic_takes_what_the_card_of_the_checkpoint_names(files, tmp_path, card, taken):
    (tmp_path / "cosy.json").write_text(card)
    found = choose_vae("Automatic", files, named(tmp_path, "cosy"))
    assert (found.name if found else None) == taken
    chosen = choose_vae("cosy-soft.pt", files, named(tmp_path, "cosy"))
    assert chosen
    assert chosen.name == "cosy-soft.pt", "what is chosen comes first"
    for choice in ("cosy-soft.pt", "None"):  # unless the checkpoint's own is to come first: then only where it has none
        preferred = choose_vae(choice, files, named(tmp_path, "cosy"), overrides=False)
        assert (preferred.name if preferred else None) == taken
        elsewhere = choose_vae(choice, files, named(tmp_path, "other"), overrides=False)
        assert (elsewhere.name if elsewhere else "None") == choice


@pytest.mark.parametrize("layout", ["bare", "whole", "diffusers", "pickle"])
def test_every_layout_is_loaded(model, tmp_path, layout):
    vae = tiny.random_parts("sd1", seed=9).vae
    tensors = vae if layout == "diffusers" else to_ldm(Parts(vae=vae))
    if layout in ("bare", "pickle"):
        tensors = {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items()}
    path = tmp_path / ("own.pt" if layout == "pickle" else "own.safetensors")
    if layout == "pickle":
        torch.save({"state_dict": {**tensors, "loss.logvar": torch.zeros(1)}}, path)
    else:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    (file,) = find_vaes([tmp_path], [])
    other = with_vae(model, file)
    assert other.vae_file == file
    assert other.unet is model.unet
    assert other.vae.dtype == model.vae.dtype
    for name, tensor in other.vae.state_dict().items():
        assert (tensor.half() == vae[name]).all()
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    assert not torch.equal(other.decode(latents), model.decode(latents))


@pytest.mark.parametrize("content", [{"a": torch.zeros(1)}, {"encoder.conv_in.weight": torch.zeros(1)}])
def test_what_is_no_vae_is_refused(model, tmp_path, content):
    save_file(content, tmp_path / "foreign.safetensors")
    with pytest.raises(CheckpointError, match="foreign"):
        with_vae(model, find_vaes([tmp_path], [])[0])
    (tmp_path / "foreign.safetensors").write_bytes(b"broken")
    with pytest.raises(FileFormatError, match="foreign"):
        with_vae(model, find_vaes([tmp_path], [])[0])
