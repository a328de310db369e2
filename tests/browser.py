"""The browser of the browser tests: found, or fetched by `./webui.sh test`; there is no suite without one.

In this order: the system's Chromium or Chrome; Playwright's own download; Debian's package, by apt as root. Each one is
started once for its version before it is believed: a download without its libraries, or a package that only points
to a snap, is there and does not run.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

COMMANDS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC_PROGRAMS = ("Chromium.app/Contents/MacOS/Chromium", "Google Chrome.app/Contents/MacOS/Google Chrome")
ARGUMENTS = (
    "--no-sandbox",  # the tests may run as root, and visit nobody but this machine
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Without the windows' own toolbars and boxes, which nobody sees: each of them is a page to draw. The first ones
    # are Playwright's own, because the last such argument counts.
    "--disable-features=AvoidUnnecessaryBeforeUnloadCheckSync,DestroyProfileOnBrowserClose,HttpsUpgrades,"
    "HttpsFirstBalancedModeAutoEnable,LensOverlay,MediaRouter,PaintHolding,ThirdPartyStoragePartitioning,"
    "AvoidCorsURLLoaderRestartOnRedirect,OptimizationHints,NetworkTimeServiceQuerying,AimEnabled,PreconnectToSearch,"
    "InitialWebUI,WebUIReloadButton,WebUIToolbar,WebUILocationBar,WebUIOmniboxPopup,WebUIOmniboxAimPopup,"
    "WebUIOmniboxFullPopup,PreloadTopChromeWebUI,PreloadTopChromeWebUILessNavigations",
)
NONE_FOUND = (
    "The browser tests need a browser, and there is none: install Chromium or Chrome, "
    "or let “./webui.sh test” fetch one (it needs a network, or apt as root)."
)
DOWNLOAD_SECONDS = 600  # a guard: the download is about 150 MB


def find_browser() -> tuple[Path, str] | None:
    """A browser that runs here already, and whose it is: “the system's” or “Playwright's”."""
    commands = [Path(found) for found in map(shutil.which, COMMANDS) if found]
    programs = [Path("/Applications") / program for program in MAC_PROGRAMS]
    for path in (*commands, *programs):
        if _runs(path):
            return path, "the system's"
    with sync_playwright() as playwright:
        downloaded = Path(playwright.chromium.executable_path)
    return (downloaded, "Playwright's") if _runs(downloaded) else None


def fetch_browser() -> tuple[Path, str] | None:
    """Fetch a browser: Playwright's download, else Debian's package. None when neither can be had or runs."""
    environment = os.environ | {"PLAYWRIGHT_DOWNLOAD_CONNECTION_TIMEOUT": "10000"}
    _try([sys.executable, "-m", "playwright", "install", "chromium"], environment)
    found = find_browser()
    if found or not shutil.which("apt-get") or os.geteuid() != 0:
        return found
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    _try(["apt-get", "update"], environment)
    _try(["apt-get", "install", "--yes", "--no-install-recommends", "chromium", "fonts-dejavu-core"], environment)
    found = find_browser()
    return found and (found[0], "Debian's package")


def _try(command: list[str], environment: dict[str, str]) -> None:
    """Run a command that may fail: what counts is whether a browser is there afterwards."""
    print(f"Fetching a browser: {' '.join(command)}", flush=True)
    try:
        subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=DOWNLOAD_SECONDS, check=True, text=True, errors="replace",
        )  # fmt: skip
    except subprocess.CalledProcessError as error:
        reasons = [line for line in error.stdout.splitlines() if line.startswith(("Error: ", "E: "))]
        print(f"  … did not work. {' '.join(reasons[:1])}", flush=True)
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"  … did not work. {error}", flush=True)


def _runs(path: Path) -> bool:
    if not path.exists():
        return False
    try:
        version = [path, "--version", "--no-sandbox"]
        return subprocess.run(version, stdin=subprocess.DEVNULL, capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
