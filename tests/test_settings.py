import dataclasses
import json

import pytest

from modules import params, settings
from modules.errors import ParameterError, SettingsError, StorageError
from modules.params import Txt2ImgParams
from modules.settings import Settings
from modules.settings_file import import_settings, load_settings, save_settings


@pytest.fixture
def path(tmp_path):
    return tmp_path / "config.json"


def test_without_a_file_there_are_defaults_and_nothing_is_written(path):
    assert load_settings(path) == (Settings(), [])
    assert not path.exists()


def test_settings_come_back(path):
    chosen = Settings().changed(clip_skip=2, emphasis="No norm", checkpoint="my model.safetensors [abc]")
    save_settings(chosen, path)
    assert load_settings(path) == (chosen, [])


def test_a_file_of_a1111_can_be_brought_along(path):
    """Its keys are read; what means nothing here is still there after a change."""
    path.write_text(json.dumps({"CLIP_stop_at_last_layers": 2, "show_progress_every_n_steps": 10, "eta_ddim": 0.5}))
    loaded, notices = load_settings(path)
    assert (loaded.clip_skip, loaded.preview_every, notices) == (2, 10, [])
    save_settings(loaded.changed(clip_skip=1), path)
    assert json.loads(path.read_text()) == {"show_progress_every_n_steps": 10, "eta_ddim": 0.5}


def test_whole_numbers_may_be_written_as_sliders_write_them(path):
    path.write_text('{"CLIP_stop_at_last_layers": 2.0, "n_rows": -1.0, "comma_padding_backtrack": 2.5}')
    loaded, notices = load_settings(path)
    assert (loaded, len(notices)) == (Settings(clip_skip=2), 1)
    assert type(loaded.clip_skip) is int


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("CLIP_stop_at_last_layers", 13),
        ("CLIP_stop_at_last_layers", "2"),
        ("CLIP_stop_at_last_layers", True),
        ("emphasis", "Loud"),
        ("grid_save", 1),
        ("comma_padding_backtrack", float("nan")),
    ],
)
def test_a_value_without_meaning_is_told_and_the_others_hold(path, key, value):
    path.write_text(json.dumps({key: value, "n_rows": 3}))
    loaded, notices = load_settings(path)
    assert loaded == Settings(grid_rows=3)
    assert len(notices) == 1
    assert notices[0].startswith("config.json: ")


def test_files_beside_pictures_come_along_from_a1111():
    theirs = {"save_txt": True, "export_for_4chan": False, "img_downscale_threshold": 2, "target_side_length": 3000.0}
    formats = {"samples_format": "JPEG", "grid_format": "WebP"}  # a box to type into, there
    content = json.dumps({**theirs, **formats, "save_write_log_csv": False}).encode()
    imported = import_settings(Settings(), content, "config.json")
    assert imported.notices == ()
    assert imported.settings == Settings(
        save_text=True,
        jpg_copies=False,
        jpg_copy_above=2,
        jpg_copy_side=3000,
        log_copies=False,
        picture_format="jpg",
        grid_format="webp",
    )


@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]", b"\xff\xfe", b"[" * 100_000, b'"text"'])
def test_a_damaged_file_is_set_aside_and_told(path, content):
    path.write_bytes(content)
    loaded, notices = load_settings(path)
    assert loaded == Settings()
    assert not path.exists()
    (aside,) = path.parent.iterdir()
    assert aside.read_bytes() == content
    assert aside.name in notices[0]


def test_a_file_that_cannot_be_opened_is_told(path):
    path.mkdir()
    with pytest.raises(SettingsError, match="config.json".replace(".", r"\.")):
        load_settings(path)


def test_a_failed_save_keeps_the_old_file(path, monkeypatch):
    save_settings(Settings(clip_skip=2), path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageError):
        save_settings(Settings(clip_skip=3), path)
    assert load_settings(path)[0].clip_skip == 2


def test_changes_are_checked():
    with pytest.raises(ParameterError) as caught:
        Settings().changed(clip_skip=0)
    assert caught.value.field == "clip_skip"
    with pytest.raises(ParameterError) as caught:
        Settings().changed(no_such_thing=1)
    assert caught.value.field == "no_such_thing"


def test_the_form_s_defaults_are_settings_too():
    defaults = Settings(clip_skip=2, preview_every=0).form_defaults()
    made = Txt2ImgParams(**defaults)
    assert (made.clip_skip, made.preview_every) == (2, 0)
    assert settings.control("clip_skip") == params.control("clip_skip")


def test_every_setting_has_a_key_of_its_own():
    keys = [field.metadata["key"] for field in dataclasses.fields(Settings) if field.name != "other"]
    assert len(keys) == len(set(keys))


def test_every_setting_stands_in_one_section_and_the_rest_comes_last():
    sections = settings.sections()
    named = [name for names in sections.values() for name in names]
    assert sorted(named) == sorted(field.name for field in dataclasses.fields(Settings) if field.name != "other")
    assert settings.OTHER not in list(sections)[:-1]


def test_an_imported_file_adds_its_values_and_keeps_what_means_nothing_here():
    before = dataclasses.replace(Settings(grid_rows=2, clip_skip=3), other={"mine": 1, "theirs": 1})
    content = {"CLIP_stop_at_last_layers": 2, "emphasis": "Loud", "theirs": 2, "samplers_in_dropdown": True}
    imported = import_settings(before, json.dumps(content).encode(), "config.json")
    assert imported.settings == dataclasses.replace(
        before, clip_skip=2, other={"mine": 1, "theirs": 2, "samplers_in_dropdown": True}
    )
    assert (imported.taken, imported.kept) == (("clip_skip",), 2)
    assert len(imported.notices) == 1
    assert "Loud" in imported.notices[0]


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"\xff\xfe", b"[" * 100_000, b'"text"'])
def test_what_is_no_settings_file_is_named(content):
    with pytest.raises(SettingsError, match=r"my config.json"):
        import_settings(Settings(), content, "my config.json")


def test_what_a1111_writes_for_nothing_chosen_is_understood(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"sd_model_checkpoint": None, "show_progress_every_n_steps": -1, "sd_vae": None}))
    loaded, notices = load_settings(path)
    assert (loaded.checkpoint, loaded.vae, loaded.preview_every, notices) == ("", "Automatic", 0, [])
