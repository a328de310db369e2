"""Photos sent, copies fetched and decisions made over HTTP, on a server without a page."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from modules.flags import Flags
from modules.preprocess import uploads
from modules.ui.train import photo_routes
from modules.ui.train.photo_routes import add_photo_routes
from tests.preprocess.drawn import detailed, save_all
from tests.ui.stand_in import StandIn

GUARD = 60.0
ROUTES = "/internal/photos"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[StandIn]:
    app = StandIn(tmp_path / "data")
    yield app
    app.stop()


@pytest.fixture
def client(app: StandIn) -> TestClient:
    server = FastAPI()
    add_photo_routes(server, app)
    return TestClient(server)


@pytest.fixture
def key(app: StandIn, tmp_path: Path) -> str:
    source = save_all(tmp_path / "data" / "set", {"anna.png": detailed((160, 96))})
    app.photos.open(str(source))
    assert app.photos.work_on(source.resolve())[0].wait(10**9, GUARD)
    return app.photos.albums.key(source.resolve())


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_photos_that_are_sent_arrive_byte_for_byte(client, app):
    folder = client.post(f"{ROUTES}/sent", json={"wish": "realbenny-t1"}).json()["folder"]
    content = bytes(range(256)) * 9000  # more than is kept in memory
    for _ in range(2):
        answer = client.post(f"{ROUTES}/sent/{folder}", params={"name": "IMG (1).JPG"}, content=content)
        assert answer.json() == {"name": "IMG _1_.jpg"}
    assert (app.paths.photos / "realbenny-t1" / "IMG _1_.jpg").read_bytes() == content
    assert files(app.paths.photos) == {"realbenny-t1/IMG _1_.jpg"}


def test_a_photo_that_is_too_large_is_refused_before_it_is_read_and_while_it_is(client, app, monkeypatch):
    for module in (uploads, photo_routes):
        monkeypatch.setattr(module, "MAX_BYTES", 1000)
    answer = client.post(f"{ROUTES}/sent/a", params={"name": "a.png"}, content=bytes(1001))
    assert (answer.status_code, "larger than" in answer.json()["error"]) == (413, True)
    pieces = iter([bytes(600), bytes(600)])  # of a length that nobody announced
    answer = client.post(f"{ROUTES}/sent/a", params={"name": "a.png"}, content=pieces)
    assert answer.status_code == 413
    assert client.post(f"{ROUTES}/sent/a", params={"name": "a.png"}, content=bytes(1000)).status_code == 200
    assert files(app.paths.photos) == {"a/a.png"}


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("..", "a.png"),
        ("%2e%2e", "a.png"),
        ("..%2f..", "a.png"),
        (".hidden", "a.png"),
        ("a", "a.exe"),
        ("a", "../../page.html"),
        ("a", ""),
        ("x" * 300, "a.png"),
        ("nul", "a.png"),
    ],
)
def test_nothing_lands_elsewhere(client, app, tmp_path, folder, name):
    before = files(tmp_path)
    answer = client.post(f"{ROUTES}/sent/{folder}", params={"name": name}, content=b"content")
    assert 400 <= answer.status_code < 500
    assert files(tmp_path) == before


def test_a_wish_may_be_anything(client):
    for content in (b"", b"[]", b'{"wish": 7}', b"{", b'{"wish": "../.."}', b"[" * 100_000):
        assert client.post(f"{ROUTES}/sent", content=content).json()["folder"].startswith("photos ")


def test_small_copies_are_served_and_nothing_else(client, app, key, tmp_path):
    [photo] = app.photos.albums.open((tmp_path / "data" / "set").resolve()).album.photos
    answer = client.get(f"{ROUTES}/{key}/{photo.stamp}-thumbnail.jpg")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    assert "immutable" in answer.headers["cache-control"]
    for path in (
        f"{key}/album.json",
        f"{key}/..%2falbum.json",
        f"{key}/{'0' * 20}-view.jpg",
        f"{'a' * 80}/{photo.stamp}-view.jpg",
        f"../set/{photo.stamp}-view.jpg",
        "nothing/at-all",
    ):
        assert client.get(f"{ROUTES}/{path}").status_code == 404


def test_decisions_are_made_and_answered(client, app, key, tmp_path):
    answer = client.post(f"{ROUTES}/{key}/edit", json={"photo": "anna.png", "crop": [0.25, 0.5, 2]})
    assert answer.json()["photos"][0]["crop"] == [0.25, 0.5, 2.0]
    album = app.photos.albums.open((tmp_path / "data" / "set").resolve()).album
    assert album.crops["anna.png"].zoom == 2.0
    revision = answer.json()["revision"]
    for content in (b"", b"null", b"{", b'{"photo": "zoe.png", "crop": null}', b'{"crop": 1e999}', b" " * 2_000_000):
        answer = client.post(f"{ROUTES}/{key}/edit", content=content)
        assert (answer.status_code, bool(answer.json()["error"])) == (400, True)
    assert app.photos.albums.open(album.source).revision == revision
    assert client.post(f"{ROUTES}/nothing/edit", json={"undo": True}).status_code == 400


def test_an_open_server_answers_for_no_folder_outside_its_data(tmp_path):
    outside = save_all(tmp_path / "elsewhere", {"anna.png": detailed((160, 96))})
    private = StandIn(tmp_path / "data")
    private.photos.open(str(outside))
    [job] = private.photos.work_on(outside.resolve())
    assert job.wait(10**9, GUARD)
    private.stop()
    shared = StandIn(tmp_path / "data", flags=Flags(listen=True, logins=(("a", "b"),)))
    server = FastAPI()
    add_photo_routes(server, shared)
    key = shared.photos.albums.key(outside.resolve())
    answer = TestClient(server).post(f"{ROUTES}/{key}/edit", json={"undo": True})
    assert (answer.status_code, "only below" in answer.json()["error"]) == (400, True)
    assert shared.photos.newest() is None
    shared.stop()
