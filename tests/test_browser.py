"""How `./webui.sh test` comes by a browser, and what the `page` fixture refuses."""

import os
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests import __main__ as suite
from tests import browser


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine without a browser: PATH holds only what a test puts there."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path / "downloads"))
    monkeypatch.setattr(browser, "MAC_PROGRAMS", ())
    return tmp_path


def tool(path: Path, body: str = "echo 1.0") -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def fetching(machine: Path, monkeypatch, makes: str) -> list[str]:
    """Commands that would fetch a browser are noted instead; the one that holds `makes` brings one."""
    commands = []

    def attempt(command: list[str], environment: dict[str, str]) -> None:
        commands.append(" ".join(command[-2:]))
        if makes in commands[-1]:
            tool(machine / "chromium")

    monkeypatch.setattr(browser, "_try", attempt)
    return commands


def test_the_systems_browser_comes_first(machine):
    assert browser.find_browser() is None
    tool(machine / "chromium-browser", 'echo "this command needs a snap" >&2; exit 1')
    assert browser.find_browser() is None
    found = tool(machine / "google-chrome")
    assert browser.find_browser() == (found, "the system's")


def test_playwrights_download_comes_next(machine, monkeypatch):
    commands = fetching(machine, monkeypatch, "install chromium")
    assert browser.fetch_browser() == (machine / "chromium", "the system's")
    assert commands == ["install chromium"]


@pytest.mark.parametrize(("user", "apt"), [(0, True), (0, False), (1000, True)])
def test_debians_package_comes_last_and_as_root(machine, monkeypatch, user, apt):
    monkeypatch.setattr(os, "geteuid", lambda: user)
    if apt:
        tool(machine / "apt-get")
    commands = fetching(machine, monkeypatch, "fonts-dejavu-core")
    found = browser.fetch_browser()
    if user == 0 and apt:
        assert found == (machine / "chromium", "Debian's package")
        assert commands == ["install chromium", "apt-get update", "chromium fonts-dejavu-core"]
    else:
        assert found is None
        assert commands == ["install chromium"]


def test_no_browser_is_a_failure_with_a_sentence(machine, monkeypatch, capsys):
    fetching(machine, monkeypatch, "nothing")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert suite.main([]) == 1
    assert "install Chromium or Chrome" in capsys.readouterr().err


def test_what_fails_says_why(machine, capsys):
    failing = tool(machine / "fetch", "echo Fetching; echo 'Error: no network' >&2; exit 1")
    browser._try([str(failing)], {})
    browser._try(["no-such-command"], {})
    shown = capsys.readouterr().out
    assert "did not work. Error: no network" in shown
    assert "No such file" in shown


@pytest.mark.parametrize(
    ("codes", "expected"), [([0, 0, 0, 0], 0), ([0, 1, 0, 0], 1), ([0, 0, 0, 5], 5), ([1, 0, 3, 2], 1)]
)
def test_every_check_runs_and_any_failure_counts(monkeypatch, codes, expected):
    commands = []

    class Ended:
        def __init__(self, command: list[str], **_):
            commands.append(command[1:])
            self.returncode = codes[len(commands) - 1]

    monkeypatch.setattr(suite, "find_browser", lambda: (Path("chromium"), "the system's"))
    monkeypatch.setattr(suite.subprocess, "run", Ended)
    assert suite.main(["-k", "name"]) == expected
    assert [command[1] for command in commands] == ["ruff", "ruff", "basedpyright", "pytest"]
    assert commands[3][-2:] == ["-k", "name"]


@pytest.mark.browser
def test_pages_are_drawn(page: Page):
    page.set_content("<h1>drawn</h1><img src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>")
    assert page.locator("h1").inner_text() == "drawn"
