"""What holds for every test: one thread, nothing outside this machine, the same examples on every run."""

import gc
import ipaddress
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import hypothesis
import pytest
from playwright.sync_api import Browser, Dialog, Page, Request, sync_playwright

from modules.paths import Paths
from tests.browser import ARGUMENTS, NONE_FOUND, find_browser

os.environ |= {
    "OMP_NUM_THREADS": "1",  # more threads than cores wait for each other, and sums change their order
    "HF_HUB_OFFLINE": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
}
hypothesis.settings.register_profile(
    "suite", derandomize=True, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("suite")

GENEROUS = 60_000  # milliseconds until a page counts as hanging: ten times what a busy machine needed

_outbound: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests marked slow as well")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--slow"):
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if item not in slow]


def pytest_collection_finish() -> None:
    """The tests and the libraries stay until the end: a garbage collection need not walk through them each time."""
    gc.collect()
    gc.freeze()


def _watch_network(event: str, details: tuple) -> None:
    """An audit hook: it sees every connection that Python makes, whichever library asks."""
    if event == "socket.getaddrinfo":
        host = details[0]
    elif event in ("socket.connect", "socket.sendto") and isinstance(details[1], tuple):  # text: a Unix socket
        host = details[1][0]
    else:
        return
    if not _is_this_machine(host):
        _outbound.append(str(host))
        raise ConnectionRefusedError(f"a test tried to reach {host}")


def _is_this_machine(host: str | bytes | None) -> bool:
    name = host.decode() if isinstance(host, bytes) else host or ""
    if name in ("", "localhost", socket.gethostname()):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


sys.addaudithook(_watch_network)


@pytest.fixture(autouse=True)
def no_outbound_connection() -> Iterator[None]:
    """Fails a test that reached out, also when the code under test got over the refusal."""
    _outbound.clear()
    yield
    assert not _outbound, f"reached out to {_outbound}"


@pytest.fixture(autouse=True, scope="session")
def gradio_files(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["GRADIO_TEMP_DIR"] = str(tmp_path_factory.mktemp("gradio"))


@pytest.fixture(scope="session")
def two_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny checkpoints “one” and “two”, which draw different pictures. Nobody changes it."""
    from tests import tiny  # brings torch

    folder = tmp_path_factory.mktemp("models")
    for seed, name in enumerate(("one", "two")):
        tiny.checkpoint(folder / f"{name}.safetensors", seed=seed)
    return folder


@pytest.fixture
def app_paths(tmp_path: Path) -> Paths:
    """An installation of its own: empty, but for the shipped model."""
    return Paths(data=tmp_path / "data")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real Chromium. For one module: as long as Playwright runs, its thread can run no other event loop."""
    found = find_browser()
    if not found:
        pytest.fail(NONE_FOUND)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found[0], args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of a fresh browser session; the test fails if it opens a dialog or asks another machine for anything."""
    context = browser.new_context()
    context.set_default_timeout(GENEROUS)
    page = context.new_page()
    dialogs: list[str] = []
    foreign: list[str] = []

    def note_dialog(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    def note_request(request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob") and not _is_this_machine(parts.hostname):
            foreign.append(request.url)

    page.on("dialog", note_dialog)
    page.on("request", note_request)
    yield page
    context.close()
    assert not dialogs, f"the page opened a dialog: {dialogs}"
    assert not foreign, f"the page asked another machine: {foreign}"
