"""BLIP fetched from a hub that answers on this machine: whole, resumed, refused."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from modules.errors import DownloadError, StorageError
from modules.events import Event, Progressed, Request
from modules.preprocess import blip_download
from modules.preprocess.blip_download import fetch_blip
from tests.preprocess.hub import CONTENT, Hub


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Hub()
    server.start()
    yield server
    server.stop()


def fetched(hub: Hub, models: Path) -> list[Event]:
    return list(fetch_blip(models, hub.url))


def names(models: Path) -> set[str]:
    return {path.name for path in (models / "BLIP").iterdir()}


def test_what_is_needed_is_fetched_and_nothing_else(hub, tmp_path):
    events = fetched(hub, tmp_path)
    assert names(tmp_path) == {"config.json", "tokenizer.json", "model.safetensors"}
    assert all((tmp_path / "BLIP" / name).read_bytes() == CONTENT[name] for name in names(tmp_path))
    last = events[-1]
    assert isinstance(last, Progressed)
    assert (last.done, last.total) == (1_048_600, 1_048_600)
    assert last.text == "1 MB of 1 MB"
    hub.asked.clear()
    fetched(hub, tmp_path)
    assert hub.asked == [("main", "")]


def test_the_old_form_of_the_weights_serves_too(hub, tmp_path):
    del hub.listed["model.safetensors"]
    fetched(hub, tmp_path)
    assert "pytorch_model.bin" in names(tmp_path)


def test_a_broken_connection_is_gone_on_with(hub, tmp_path):
    hub.cut = 300_000
    with pytest.raises(DownloadError, match=r"cannot be reached from here\. What was fetched is kept"):
        fetched(hub, tmp_path)
    assert "model.safetensors" not in names(tmp_path)
    hub.cut = None
    hub.asked.clear()
    fetched(hub, tmp_path)
    assert hub.asked == [("main", ""), ("model.safetensors", "bytes=300000-")]
    assert (tmp_path / "BLIP" / "model.safetensors").read_bytes() == CONTENT["model.safetensors"]
    assert not any(name.endswith(".partial") for name in names(tmp_path))


def test_an_interrupted_fetch_is_gone_on_with(hub, tmp_path):
    work = fetch_blip(tmp_path, hub.url)
    for event in work:
        if isinstance(event, Progressed) and event.done > 200_000:
            break
    with pytest.raises(StopIteration):
        work.send(Request.INTERRUPT)
    hub.asked.clear()
    fetched(hub, tmp_path)
    assert hub.asked[1][1].startswith("bytes=")
    assert (tmp_path / "BLIP" / "model.safetensors").read_bytes() == CONTENT["model.safetensors"]


def test_a_hub_without_ranges_begins_anew(hub, tmp_path):
    hub.cut = 300_000
    with pytest.raises(DownloadError):
        fetched(hub, tmp_path)
    hub.cut, hub.knows_ranges = None, False
    fetched(hub, tmp_path)
    assert (tmp_path / "BLIP" / "model.safetensors").read_bytes() == CONTENT["model.safetensors"]


@pytest.mark.parametrize("wrong", [bytes(1 << 20), bytes(1 << 21)], ids=["other bytes", "too long"])
def test_other_bytes_than_promised_get_no_name(hub, tmp_path, wrong):
    hub.files["model.safetensors"] = wrong
    with pytest.raises(DownloadError, match=r"damaged|longer"):
        fetched(hub, tmp_path)
    assert "model.safetensors" not in names(tmp_path)


def test_a_hub_that_lacks_something_is_told(hub, tmp_path):
    hub.listed = {"config.json": b"{}"}
    with pytest.raises(DownloadError, match="does not hold"):
        fetched(hub, tmp_path)
    hub.listed, hub.files = dict(CONTENT), {}
    with pytest.raises(DownloadError, match="did not answer as expected"):
        fetched(hub, tmp_path)


def test_without_a_network_it_says_so(tmp_path, monkeypatch, hub):
    hub.server_close()
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1 cannot be reached from here"):
        fetched(hub, tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DownloadError, match="HF_HUB_OFFLINE"):
        fetched(hub, tmp_path)


def test_without_room_nothing_begins(hub, tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 500_000})()
    monkeypatch.setattr(blip_download.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(StorageError, match="needs 1 MB and only"):
        fetched(hub, tmp_path)
    assert [path for path, _ in hub.asked] == ["main"]


def test_a_disk_that_fills_up_is_told(hub, tmp_path, monkeypatch):
    def full(*given: object) -> Iterator[int]:
        yield 1
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(blip_download, "_copy", full)
    with pytest.raises(StorageError, match="Disk full"):
        fetched(hub, tmp_path)
