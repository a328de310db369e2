import json
import threading
from pathlib import Path

import pytest

from modules.desks.settings import SettingsDesk
from modules.errors import ParameterError, StorageError
from modules.settings import Settings


def test_a_change_is_written_and_a_damaged_file_is_told(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    desk = SettingsDesk(file)
    assert not file.exists(), "making a desk writes nothing"
    assert desk.change(clip_skip=2) is desk.now
    assert json.loads(file.read_text()) == {"CLIP_stop_at_last_layers": 2}
    assert SettingsDesk(file).now.clip_skip == 2
    assert SettingsDesk(file, Settings()).now.clip_skip == 1, "what is given counts"
    file.write_text("{")
    again = SettingsDesk(file)
    assert again.now.clip_skip == 1
    assert "damaged" in again.notices[0]


def test_a_change_that_cannot_be_made_or_written_does_not_hold(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    desk = SettingsDesk(file)
    with pytest.raises(ParameterError):
        desk.change(clip_skip=99)
    file.mkdir()
    with pytest.raises(StorageError):
        desk.change(clip_skip=2)
    assert desk.now.clip_skip == 1


def test_of_changes_at_once_none_is_forgotten(tmp_path: Path) -> None:
    desk = SettingsDesk(tmp_path / "config.json")
    changes = [{"clip_skip": 2}, {"save_grid": False}, {"grid_rows": 3}, {"other": {"theirs": 1}}]
    threads = [threading.Thread(target=desk.change, kwargs=change) for change in changes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    now = SettingsDesk(tmp_path / "config.json").now
    assert (now.clip_skip, now.save_grid, now.grid_rows, now.other) == (2, False, 3, {"theirs": 1})
