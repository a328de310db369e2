"""The guard before the real server: every route there is, found in the route table, so that new ones are covered."""

import base64
import hmac
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

import webui
from modules.flags import Flags
from modules.guard import Guard, LoginBrake
from modules.server import make_server
from tests.ui.stand_in import StandIn

HERE = "http://127.0.0.1:7860"
LOGINS = (("ann", "pass:word"), ("bob", "grün"))
BODIES: dict[str, dict[str, Any]] = {
    "multipart": {"files": {"files": ("x.png", b"x", "image/png")}},
    "text": {"content": b'{"data": []}', "headers": {"content-type": "text/plain"}},
    "json": {"json": {"data": [], "fn_index": 0, "session_hash": "x", "event_id": "x"}},
}


def routes(server: FastAPI) -> dict[str, set[str]]:
    """Every path that the server answers, placeholders filled, with its methods."""
    found: dict[str, set[str]] = {}

    def walk(parent: Any, prefix: str) -> None:
        for route in parent.routes:
            path = prefix + getattr(route, "path", "")
            inner = getattr(route, "original_router", route)
            if getattr(inner, "routes", None):
                walk(inner, path)
            elif getattr(route, "methods", None):
                filled = "".join(part.split("}")[-1] if i else part for i, part in enumerate(path.split("{")))
                found.setdefault(filled or "/", set()).update(route.methods)

    walk(server, "")
    return found


class Site:
    """A server in this process, and a browser's or a program's way to it."""

    def __init__(self, data: Path, flags: Flags | None = None):
        self.app = StandIn(data, flags=flags or Flags(api=True))
        self.server = make_server(self.app)
        self.client = TestClient(self.server, base_url=HERE, client=("127.0.0.1", 50000))

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None, body: str = "") -> int:
        request = dict(BODIES[body]) if body else {}
        request["headers"] = {**request.get("headers", {}), **(headers or {})}
        return self.client.request(method, path, **request).status_code


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("open"))


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("locked"), Flags(logins=LOGINS, api=True))


def basic(user: str, password: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def test_route_table_is_read_whole(site: Site) -> None:
    posts = {path for path, methods in routes(site.server).items() if "POST" in methods}
    assert {
        "/login",
        "/gradio_api/upload",
        "/gradio_api/queue/join",
        "/gradio_api/cancel",
        "/gradio_api/reset",
        "/sdapi/v1/txt2img",
        "/sdapi/v1/train/embedding",
        "/sdapi/v1/server-kill",
        "/internal/progress",
    } <= posts
    assert "/gradio_api/run/" in posts
    assert len(posts) > 40


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.com"}, 400),
        ({"host": "127.0.0.1.evil.com"}, 400),
        ({"host": "localhost.evil.com"}, 400),
        ({"host": "localhost:7860.evil.com"}, 400),
        ({"host": "evil.com:7860"}, 400),
        ({"host": "user@127.0.0.1"}, 400),
        ({"host": "localhost."}, 400),
        ({"host": "192.168.1.5:7860"}, 400),
        ({"host": ""}, 400),
        ({"host": "evil.com", "origin": "http://evil.com"}, 400),
        ({"origin": "http://evil.com"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
        ({"origin": "http://127.0.0.1:7861"}, 403),
        ({"origin": "http://127.0.0.1"}, 403),
        ({"origin": "https://127.0.0.1:7860"}, 403),
        ({"origin": "http://localhost:7860"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}, 403),
        ({"origin": HERE, "sec-fetch-site": "cross-site"}, 403),
    ],
    ids=str,
)
@pytest.mark.parametrize("body", BODIES)
def test_foreign_post_is_refused_by_every_route(site: Site, headers: dict[str, str], status: int, body: str) -> None:
    for path, methods in routes(site.server).items():
        if "POST" in methods:
            assert site.ask("POST", path, headers, body) == status, path
    assert not site.app.jobs.jobs()


def test_foreign_upload_leaves_no_file(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    site.ask("POST", "/gradio_api/upload", {"origin": "http://evil.com"}, "multipart")
    assert not list(tmp_path.rglob("*.png"))


def test_foreign_get_shows_nothing_but_a_link_opens_the_page(site: Site) -> None:
    foreign = {"sec-fetch-site": "cross-site"}
    for path, methods in routes(site.server).items():
        if "GET" in methods:
            assert site.ask("GET", path, {**foreign, "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}) == 403
            assert site.ask("GET", path, {"origin": "http://evil.com"}) == 403
    assert site.ask("GET", "/", {**foreign, "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}) == 200
    assert site.ask("GET", "/", {**foreign, "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}) == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": HERE, "sec-fetch-site": "same-origin"},
        {"host": "LOCALHOST:7860", "origin": "http://localhost:7860"},
        {"host": "[::1]:7860", "origin": "http://[::1]:7860"},
        {"host": "127.8.9.1"},
        {"sec-fetch-site": "none"},
    ],
    ids=str,
)
def test_own_page_and_programs_pass(site: Site, headers: dict[str, str]) -> None:
    assert site.ask("GET", "/internal/ping", headers) == 200
    assert site.ask("POST", "/gradio_api/reset", headers, "json") not in (400, 401, 403, 429)


def test_no_foreign_page_may_frame_this_one(site: Site) -> None:
    assert site.client.get("/internal/ping").headers["x-frame-options"] == "SAMEORIGIN"


def test_listening_answers_to_numbers_and_own_names_only(tmp_path: Path) -> None:
    open_site = Site(tmp_path, Flags(listen=True, logins=LOGINS, server_name="studio.lan"))
    for host in ("192.168.1.5:7860", "[fd00::5]", "studio.lan:7860", "localhost"):
        assert open_site.ask("GET", "/internal/ping", {"host": host, **basic("ann", "pass:word")}) == 200, host
    assert open_site.ask("GET", "/internal/ping", {"host": "evil.com", **basic("ann", "pass:word")}) == 400


def test_a_socket_is_guarded_like_a_request() -> None:
    guard = Guard(_never, logins=LOGINS)
    scope = {"type": "websocket", "scheme": "ws", "headers": [(b"host", b"127.0.0.1"), (b"origin", b"http://evil.com")]}
    refusal = guard.judge(scope)
    assert refusal is not None
    assert refusal.status == 403


async def _never(*_: Any) -> None:
    raise AssertionError("the request went through")


def test_without_login_every_route_gives_401(locked: Site) -> None:
    for path, methods in routes(locked.server).items():
        for method in methods:
            assert locked.ask(method, path) == 401, (method, path)
    assert "Basic" in locked.client.get("/").headers["www-authenticate"]


def test_right_login_passes(locked: Site) -> None:
    for user, password in LOGINS:
        assert locked.ask("GET", "/", basic(user, password)) == 200
        assert locked.ask("POST", "/gradio_api/reset", basic(user, password), "json") not in (401, 429)


def test_logins_for_programs_open_nothing_else(tmp_path: Path) -> None:
    """`--api-auth` beside `--gradio-auth`: the page's logins hold for programs too, not the other way round."""
    site = Site(tmp_path, Flags(logins=LOGINS, api_logins=(("bot", "a:b"),), api=True))
    bot, ann = basic("bot", "a:b"), basic("ann", "pass:word")
    own = ("/internal/pending-tasks", "/internal/sysinfo", "/internal/ping")
    for path in ("/sdapi/v1/samplers", "/docs", "/openapi.json", *own):
        assert site.ask("GET", path) == 401, path
        assert site.ask("GET", path, bot) == 200, path
        assert site.ask("GET", path, ann) == 200, path
    assert site.ask("GET", "/", ann) == 200
    assert site.ask("GET", "/", bot) == 401


def test_logins_for_programs_alone_leave_the_page_open(tmp_path: Path) -> None:
    site = Site(tmp_path, Flags(api_logins=(("bot", "a:b"),), api=True))
    assert site.ask("GET", "/") == 200
    assert site.ask("GET", "/internal/ping") == 200
    for path, methods in routes(site.server).items():
        if path.startswith("/sdapi") or path == "/internal/sysinfo":
            assert {site.ask(method, path) for method in methods} == {401}, path
    refused = site.client.get("/sdapi/v1/samplers")
    assert refused.json()["detail"].startswith("A user name and a password are needed")
    assert "x-process-time" in refused.headers


def test_without_a_page_logins_for_programs_close_everything(tmp_path: Path) -> None:
    site = Site(tmp_path, Flags(listen=True, nowebui=True, api=True, api_logins=(("bot", "a:b"),)))
    for path, methods in routes(site.server).items():
        assert {site.ask(method, path) for method in methods} == {401}, path
    for path in ("/", "/docs", "/internal/sysinfo", "/internal/ping"):
        assert site.ask("GET", path, basic("bot", "a:b")) == 200, path


def test_addresses_of_the_interface_never_fall_through_to_the_page(site: Site) -> None:
    for method, path in (("POST", "/internal/ping"), ("GET", "/internal/progress"), ("DELETE", "/docs")):
        answer = site.client.request(method, path)
        assert (answer.status_code, set(answer.json())) == (405, {"error", "detail", "body", "errors"}), path


def test_welcome_sites_pass_and_others_do_not(tmp_path: Path) -> None:
    flags = Flags(
        api=True,
        api_logins=(("bot", "a:b"),),
        cors_allow_origins=("https://mine.example",),
        cors_allow_origins_regex=r"http://localhost:\d+",
    )
    site = Site(tmp_path, flags)
    for origin in ("https://mine.example", "http://localhost:3000"):
        foreign = {"origin": origin, "sec-fetch-site": "cross-site"}
        answer = site.client.get("/sdapi/v1/samplers", headers={**foreign, **basic("bot", "a:b")})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, origin)
        refused = site.client.get("/sdapi/v1/samplers", headers=foreign)
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, origin)
        wanted = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
        leave = site.client.options("/sdapi/v1/txt2img", headers={**foreign, **wanted})  # a preflight has no login
        assert (leave.status_code, leave.headers["access-control-allow-origin"]) == (200, origin)
        assert "POST" in leave.headers["access-control-allow-methods"]
        assert leave.headers["access-control-allow-headers"] == "authorization"
        assert leave.headers["access-control-allow-credentials"] == "true"
    for origin in ("https://evil.example", "http://mine.example", "https://mine.example.evil", "null"):
        foreign = {"origin": origin, "sec-fetch-site": "cross-site", **basic("bot", "a:b")}
        answer = site.client.post("/sdapi/v1/interrupt", headers=foreign)
        assert answer.status_code == 403, origin
        assert "access-control-allow-origin" not in answer.headers
        question = {**foreign, "access-control-request-method": "POST"}
        refused = site.client.options("/sdapi/v1/txt2img", headers=question)
        assert refused.status_code in range(400, 500), origin
        assert "access-control-allow-origin" not in refused.headers
    own = {"origin": HERE, "sec-fetch-site": "same-origin", **basic("bot", "a:b")}
    assert site.ask("GET", "/sdapi/v1/samplers", own) == 200


@pytest.mark.parametrize(
    "header",
    [
        *(basic(*login)["authorization"] for login in [("ann", "pass"), ("ann", ""), ("", ""), ("bob", "pass:word")]),
        "Basic",
        "Basic !!!",
        "Basic YW5u",
        "Bearer " + basic("ann", "pass:word")["authorization"].split()[1],
    ],
)
def test_wrong_login(header: str) -> None:
    assert _judge(Guard(_never, logins=LOGINS), header) == 401


def test_wrong_logins_are_slowed() -> None:
    now = 0.0
    guard = Guard(_never, logins=LOGINS, brake=LoginBrake(clock=lambda: now))
    wrong, right = (basic("ann", password)["authorization"] for password in ("x", "pass:word"))
    assert [_judge(guard, wrong) for _ in range(20)] == [401] * 4 + [429] * 16
    assert _judge(guard, right) == 429  # else many guesses at once would cost nothing
    assert _judge(guard, right, address="10.0.0.9") is None
    judged = 0
    for _ in range(600):  # ten minutes of a guess every second
        now += 1.0
        judged += _judge(guard, wrong) == 401
    assert judged < 30
    now += LoginBrake.LONGEST
    assert _judge(guard, right) is None
    assert _judge(guard, wrong) == 401  # forgiven: counting starts afresh


def test_brake_counts_a_network_of_one_customer_as_one_and_forgets() -> None:
    brake = LoginBrake(clock=lambda: 0.0)
    for number in range(5):
        brake.failed(f"2001:db8::{number}")
    assert brake.wait("2001:db8::ffff") > 0
    assert brake.wait("2001:db8:0:1::1") == 0
    for number in range(LoginBrake.REMEMBERED):
        brake.failed(f"10.0.{number // 256}.{number % 256}")
    assert brake.wait("2001:db8::1") == 0


def test_every_login_is_compared_in_equal_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[int, int]] = []
    honest = hmac.compare_digest

    def spy(a: bytes, b: bytes) -> bool:
        compared.append((len(a), len(b)))
        return honest(a, b)

    monkeypatch.setattr(hmac, "compare_digest", spy)
    assert _judge(Guard(_never, logins=LOGINS), basic("ann", "pass:word")["authorization"]) is None
    assert compared == [(32, 32)] * len(LOGINS)  # digests, and no early end after the first match


def _judge(guard: Guard, header: str, address: str = "10.0.0.1") -> int | None:
    headers = [(b"host", b"127.0.0.1"), (b"authorization", header.encode("latin-1"))]
    scope = {"type": "http", "method": "GET", "scheme": "http", "headers": headers, "client": (address, 1)}
    refusal = guard.judge(scope)
    return refusal.status if refusal else None


def test_listening_without_login_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COMMANDLINE_ARGS", raising=False)
    for flags, needed in (
        ([], "--gradio-auth"),
        (["--api"], "--gradio-auth"),
        (["--api", "--api-auth", "bot:x"], "--gradio-auth"),
        (["--nowebui"], "--api-auth"),
    ):
        assert webui.main(["--listen", "--data-dir", str(tmp_path), *flags]) == 2
        assert f"login with {needed}" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
