"""The door of the web server: every request passes here before any route, ours or Gradio's, sees it.

Three questions, in this order: was it sent to a name of this machine (else a foreign site could reach us by pointing
its own name here, “DNS rebinding”), was it sent by our own page (else any open tab could press our buttons), and, when
the server was started with logins, does it carry one. Routes are not listed: a new route is guarded from birth. The
HTTP interface may have logins of its own (`--api-auth`), which open nothing else; those of the page open both. Page
and programs alike ask whether the server lives (`PING`): those of either open it, and where the page is open, it is.

It does not limit what a logged-in user may do, and it does not encrypt: outside a trusted network put TLS in front.
"""

import base64
import binascii
import hashlib
import hmac
import ipaddress
import json
import math
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from contextvars import ContextVar
from typing import Any, NamedTuple

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_HOST = re.compile(r"(?:\[(?P<v6>[0-9a-f:.]+)\]|(?P<name>[a-z0-9._-]+))(?::\d{1,5})?")
_API_PATHS = (
    "/sdapi/",
    "/docs",
    "/openapi.json",
    "/internal/progress",
    "/internal/pending-tasks",
    "/internal/sysinfo",
)
PING = "/internal/ping"
_OWN_SITES = {"same-origin", "none"}  # Sec-Fetch-Site; “none” is an address typed by the user
_ANSWER_HEADERS = [
    (b"x-frame-options", b"SAMEORIGIN"),  # no foreign page may lay itself over our buttons
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
]


_asking: ContextVar[str] = ContextVar("asking", default="")


def asking_user() -> str:
    """Name of the user whose request is being answered; empty: no login was asked for, or nobody asks."""
    return _asking.get()


def is_api(path: str) -> bool:
    """Whether a path belongs to the HTTP interface for programs."""
    return path.startswith(_API_PATHS)


class Refusal(NamedTuple):
    """Why a request goes no further: HTTP status, one sentence, extra headers."""

    status: int
    text: str
    headers: tuple[tuple[bytes, bytes], ...] = ()


class LoginBrake:
    """Slows guessing: after three wrong logins an address waits 1 s, 2 s, 4 s … 30 s before the next one is judged.

    Nothing is held open while an address waits, and a right login sent too early is refused like a wrong one:
    otherwise many guesses at once would cost no time at all.

    Args:
        clock: monotonic seconds.
    """

    FREE = 3
    LONGEST = 30.0
    FORGET_AFTER = 600.0
    REMEMBERED = 4096  # addresses; the longest silent one goes first

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()  # address: (wrong logins, last of them)

    def wait(self, address: str) -> float:
        """Seconds until a login from `address` is judged again; 0 = now."""
        count, last = self._failures.get(self._network(address), (0, 0.0))
        if count <= self.FREE:
            return 0.0
        return max(0.0, last + min(self.LONGEST, 2.0 ** (count - self.FREE - 1)) - self._clock())

    def failed(self, address: str) -> None:
        """Count a wrong login."""
        network, now = self._network(address), self._clock()
        count, last = self._failures.pop(network, (0, now))
        self._failures[network] = (count + 1 if now - last < self.FORGET_AFTER else 1, now)
        while len(self._failures) > self.REMEMBERED:
            self._failures.popitem(last=False)

    def passed(self, address: str) -> None:
        """Forget the wrong logins of an address that has now logged in."""
        self._failures.pop(self._network(address), None)

    @staticmethod
    def _network(address: str) -> str:
        """One IPv6 customer owns 2^64 addresses: they count as one."""
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return address
        return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else address


class Guard:
    """ASGI middleware that refuses what does not come from our own page, or has no login.

    Args:
        app: the application behind the door.
        names: host names this server answers to, lower case, besides loopback addresses.
        any_address: also answer to any address written as a number (`--listen`: the machine has several, and a number
            cannot be pointed elsewhere by a foreign name server).
        logins: (user, password) of each user; empty = no login is asked for, except by the HTTP interface if it has
            its own.
        api_logins: further ones, for the HTTP interface alone.
        is_welcome: tells of an Origin whether its pages may use this server as if they were ours (`--cors-…`).
        brake: slows wrong logins.
    """

    def __init__(
        self,
        app: Application,
        names: Iterable[str] = ("localhost",),
        any_address: bool = False,
        logins: Iterable[tuple[str, str]] = (),
        api_logins: Iterable[tuple[str, str]] = (),
        is_welcome: Callable[[str], bool] = lambda origin: False,
        brake: LoginBrake | None = None,
    ):
        self.app = app
        self.names = frozenset(names)
        self.any_address = any_address
        self.brake = brake or LoginBrake()
        self._is_welcome = is_welcome
        self._logins = [(user, _digest(f"{user}:{password}".encode())) for user, password in logins]
        further = [(user, _digest(f"{user}:{password}".encode())) for user, password in api_logins]
        self._api_logins = self._logins + further

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        refusal = self.judge(scope)
        if refusal is None:  # `judge` has noted who asks, for all that follows from this request
            await self.app(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": refusal.text})
        else:
            await _answer(refusal, send, as_json=is_api(scope["path"]) or scope["path"] == PING)

    def judge(self, scope: Scope) -> Refusal | None:
        """Why this request is refused, or None if it may pass."""
        hosts = _header(scope, b"host")
        if len(hosts) != 1 or not self._is_own(hosts[0]):
            return Refusal(400, "This server does not answer to that host name. Open it by the address it printed.")
        origins = _header(scope, b"origin")
        welcome = len(origins) == 1 and self._is_welcome(origins[0])
        if not welcome and not _from_own_page(scope, hosts[0]):
            return Refusal(403, "Refused: the request was sent by another site.")
        if welcome and scope.get("method") == "OPTIONS" and _header(scope, b"access-control-request-method"):
            return None  # a browser's question whether it may ask: it carries no login, and does nothing
        _asking.set("")
        path = scope.get("path", "")
        for_programs = is_api(path) or (path == PING and self._logins)
        logins = self._api_logins if for_programs else self._logins
        return self._judge_login(scope, logins) if logins else None

    def _is_own(self, host: str) -> bool:
        match = _HOST.fullmatch(host)
        if not match:
            return False
        name = match["v6"] or match["name"]
        if name in self.names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return self.any_address or address.is_loopback

    def _judge_login(self, scope: Scope, logins: Sequence[tuple[str, bytes]]) -> Refusal | None:
        given = _header(scope, b"authorization", lower=False)
        if not given:
            return _LOGIN_NEEDED
        address = (scope.get("client") or ("unknown",))[0]
        wait = self.brake.wait(address)
        if wait > 0:
            seconds = math.ceil(wait)
            return Refusal(
                429,
                f"Too many wrong logins: wait {seconds} s and reload.",
                ((b"retry-after", str(seconds).encode()),),
            )
        login = _digest(_basic_login(given[0]))
        matches = [user for user, known in logins if hmac.compare_digest(login, known)]  # every one is compared
        if matches:
            self.brake.passed(address)
            _asking.set(matches[0])
            return None
        self.brake.failed(address)
        return _LOGIN_NEEDED


_LOGIN_NEEDED = Refusal(
    401,
    "A user name and a password are needed (--gradio-auth, --api-auth).",
    ((b"www-authenticate", b'Basic realm="Stable Diffusion", charset="UTF-8"'),),
)


def _from_own_page(scope: Scope, host: str) -> bool:
    """Whether Origin and Sec-Fetch-Site, as far as they were sent, speak of our own page.

    Programs send neither and pass; browsers always send one of them with what could do harm. A link on another site
    may open the page itself: a navigation of the whole tab, which shows that site nothing and presses nothing.
    """
    scheme = {"ws": "http", "wss": "https"}.get(scope["scheme"], scope["scheme"])
    if any(origin != f"{scheme}://{host}" for origin in _header(scope, b"origin")):
        return False
    if all(site in _OWN_SITES for site in _header(scope, b"sec-fetch-site")):
        return True
    return (
        scope.get("method") in ("GET", "HEAD")
        and _header(scope, b"sec-fetch-mode") == ["navigate"]
        and _header(scope, b"sec-fetch-dest") == ["document"]
    )


def _header(scope: Scope, name: bytes, lower: bool = True) -> list[str]:
    values = [value.decode("latin-1") for key, value in scope["headers"] if key == name]
    return [value.lower() for value in values] if lower else values


def _basic_login(header: str) -> bytes:
    """`user:password` out of an Authorization header; other kinds and broken ones give what no login equals."""
    kind, _, value = header.partition(" ")
    try:
        return base64.b64decode(value.strip(), validate=True) if kind.lower() == "basic" else b""
    except (binascii.Error, ValueError):
        return b""


def _digest(login: bytes) -> bytes:
    """Equal lengths, so that comparing takes equal time."""
    return hashlib.sha256(login).digest()


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *_ANSWER_HEADERS]}
        await send(message)

    return send_with_headers


async def _answer(refusal: Refusal, send: Send, as_json: bool) -> None:
    body, kind = refusal.text.encode(), b"text/plain; charset=utf-8"
    if as_json:  # in the form of all errors of the interface
        told = {"error": "Refused", "detail": refusal.text, "body": "", "errors": refusal.text}
        body, kind = json.dumps(told).encode(), b"application/json"
    headers = [
        (b"content-type", kind),
        (b"content-length", str(len(body)).encode()),
        *refusal.headers,
        *_ANSWER_HEADERS,
    ]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
