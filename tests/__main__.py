"""The whole suite: `./webui.sh test [--slow] [pytest arguments]`.

A browser is found or fetched, then ruff, basedpyright and pytest run, all of them whatever the one before says; the
exit code is that of the first that failed. Two workers with one torch thread each: more threads on the same cores wait
for each other.
"""

import subprocess
import sys

from tests.browser import NONE_FOUND, fetch_browser, find_browser

CHECKS = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("basedpyright", "--pythonpath", sys.executable),
)


def main(arguments: list[str]) -> int:
    browser = find_browser() or fetch_browser()
    if not browser:
        print(NONE_FOUND, file=sys.stderr)
        return 1
    print(f"Browser: {browser[0]} ({browser[1]})", flush=True)
    codes = []
    for command in (*CHECKS, ("pytest", "--numprocesses=2", "--dist=worksteal", *arguments)):
        print(f"\n$ python -m {' '.join(command)}", flush=True)
        codes.append(subprocess.run([sys.executable, "-m", *command], stdin=subprocess.DEVNULL).returncode)
    return next(filter(None, codes), 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
