"""Which checkpoint a start takes, judged by headers alone: no model is loaded here."""

import shutil
from pathlib import Path

import pytest

from modules.desks.checkpoints import CheckpointShelf
from modules.errors import ModelMissing, ParameterError
from modules.events import Noticed, Progressed
from modules.flags import Flags
from modules.model.hashes import HashCache
from tests import foreign
from tests.hosted import Isolated, installation


@pytest.fixture
def folder(tmp_path: Path, two_models: Path) -> Path:
    """Of an installation with the models “one” and “two”."""
    return installation(tmp_path / "data", two_models).checkpoint_folders[0]


def shelf(folder: Path, ckpt: Path | None = None) -> CheckpointShelf:
    paths = Isolated(folder.parents[1])
    assert paths.checkpoint_folders == (folder,)
    return CheckpointShelf(paths, Flags(ckpt=ckpt), HashCache(paths.hash_cache))


def chosen(shelf: CheckpointShelf, wanted: str = "") -> tuple[str, list[str]]:
    """The name of the first one, and what was said about it."""
    notices: list[str] = []
    return shelf.first(wanted, notices.append).name, notices


def test_the_first_by_name_the_one_used_last_or_the_flags(folder: Path) -> None:
    assert chosen(shelf(folder)) == ("one.safetensors", [])
    assert chosen(shelf(folder), "two.safetensors") == ("two.safetensors", [])
    assert chosen(shelf(folder, folder / "one.safetensors"), "two.safetensors") == ("one.safetensors", [])


def test_the_flag_names_a_file_anywhere(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.safetensors"
    shutil.copy(folder / "two.safetensors", elsewhere)
    outside = shelf(folder, elsewhere)
    assert chosen(outside) == ("elsewhere.safetensors", [])
    assert [found.name for found in outside.all()] == ["elsewhere.safetensors", "one.safetensors", "two.safetensors"]
    assert len(shelf(folder, folder / "two.safetensors").all()) == 2


def test_one_that_has_gone_is_told(folder: Path) -> None:
    name, (notice,) = chosen(shelf(folder), "gone.safetensors [0123456789]")
    assert name == "one.safetensors"
    assert "gone.safetensors" in notice


def test_what_is_no_model_is_passed_over_with_its_reason(folder: Path) -> None:
    foreign.lora(folder / "a lora.safetensors")  # the first by name
    name, (notice,) = chosen(shelf(folder))
    assert name == "one.safetensors"
    assert "a lora" in notice


def test_when_there_is_no_model_the_sentence_says_why(tmp_path: Path) -> None:
    empty = tmp_path / "models" / "Stable-diffusion"
    empty.mkdir(parents=True)
    with pytest.raises(ModelMissing, match=r"put a \.safetensors file into Stable-diffusion"):
        chosen(shelf(empty))
    foreign.lora(empty / "a lora.safetensors")
    foreign.vae_only(empty / "a vae.safetensors")
    with pytest.raises(ModelMissing, match=r"a lora.*a vae"):
        chosen(shelf(empty))


def test_titles_find_and_what_means_none_is_told(folder: Path) -> None:
    assert shelf(folder).find("two").name == "two.safetensors"
    with pytest.raises(ParameterError, match="no checkpoint “three”"):
        shelf(folder).find("three")


def test_hashes_are_computed_once_and_found_by(folder: Path) -> None:
    known = shelf(folder)
    assert {type(event) for event in known.hash_all()} == {Progressed}
    assert list(known.hash_all()) == []
    assert all(found.title == f"{found.name} [{found.short_hash}]" for found in known.all())
    assert known.find(known.all()[1].short_hash).sha256 == known.all()[1].sha256


def test_a_file_that_cannot_be_read_hinders_no_other(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ensure = HashCache.ensure

    def unreadable(cache: HashCache, files: list[Path]) -> str:
        if files[0].name == "one.safetensors":
            raise PermissionError(13, "Permission denied")
        return ensure(cache, files)

    monkeypatch.setattr(HashCache, "ensure", unreadable)
    known = shelf(folder)
    events = list(known.hash_all())
    assert [event.text for event in events if isinstance(event, Noticed)] == [
        "one.safetensors cannot be read: Permission denied."
    ]
    assert [bool(found.sha256) for found in known.all()] == [False, True]
