"""Set up, then start: make the virtual environment, install the pinned set when it changed, hand over.

    launch.py [flags]              serve the page
    launch.py txt2img | train | …  the same work without a page; see modules/cli
    launch.py test [arguments]     run the whole suite; arguments go to pytest

`webui.sh` calls it; on Windows it is called by hand (`py launch.py`). Only the standard library is needed. What is
installed is noted in a stamp inside the environment: while it fits, nobody is contacted and nothing is changed.
Nothing is cloned, and no model is downloaded.

Environment variables: venv_dir (a folder; “-” = this Python as it is), VIRTUAL_ENV, TORCH_COMMAND, TORCH_INDEX_URL,
INDEX_URL, ACCELERATE and REQS_FILE (named as without effect), and COMMANDLINE_ARGS and IGNORE_CMD_ARGS_ERRORS, which
`modules.flags` reads.
"""

from __future__ import annotations  # an older Python must be able to read this file, to say what is needed instead

import hashlib
import importlib.util
import json
import os
import platform
import re
import shlex
import shutil
import site
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).resolve().parent
PYTHONS = ("3.11", "3.12", "3.13")
NEEDED = "Python 3.11, 3.12 or 3.13"
STAMP = "embedding-studio.json"
LOG = "embedding-studio-install.log"
TORCH_FOR_CPU = "https://download.pytorch.org/whl/cpu"
MAKER = "made by"  # in the stamp of an environment that is ours, and may be made anew when it is broken
GROUPS = ("torch", "program", "test")  # installed one after the other, each noted in the stamp
SECRETS = ("--gradio-auth", "--api-auth")
WITHOUT_EFFECT = ("ACCELERATE", "REQS_FILE")  # environment variables of A1111's start scripts
SHOWN_OF_PIP = re.compile(r"Downloading .* [MG]B\)|Installing collected packages")


class SetupError(Exception):
    """The set-up cannot go on; the message is for the user."""


def main(arguments: list[str]) -> int:
    """Set up for what `arguments` ask, and do it.

    Returns:
        the exit code: 2 for a command line that cannot be used, 1 for a set-up that failed. A server that starts
        takes this process over.
    """
    running = _short(sys.version_info)
    if running not in PYTHONS:
        return _fail(f"Python {running} cannot run this: {NEEDED} can.", 1)
    from modules.errors import ParameterError, StorageError  # not before an older Python had its sentence
    from modules.flags import COMMANDS, Flags, read_flags

    testing = arguments[:1] == ["test"]
    try:  # a command reads its own arguments
        flags = Flags() if testing or {*arguments[:1]} & {*COMMANDS} else read_flags(arguments)
        environment = Environment.chosen()
        serving = not (testing or flags.exit or {*arguments[:1]} & {*COMMANDS})
        if serving:
            _tell_versions()
        if flags.skip_install:
            environment.must_run()
        else:
            environment.set_up([*GROUPS] if testing else ["torch", "program"])
    except ParameterError as error:
        return _fail(str(error), 2)
    except (SetupError, StorageError) as error:
        return _fail(str(error), 1)
    except OSError as error:
        return _fail(f"The set-up cannot go on: {error}.", 1)
    except KeyboardInterrupt:
        return _fail("Stopped; the next start goes on from here.", 130)
    if flags.exit:
        return 0
    if testing:
        os.chdir(PROGRAM)
        return _hand_over([str(environment.python), "-m", "tests", *arguments[1:]])
    if serving:
        words = [*shlex.split(os.environ.get("COMMANDLINE_ARGS", "")), *arguments]
        _say(f"Launching Web UI with arguments: {' '.join(_without_secrets(words))}".rstrip())
    return _hand_over([str(environment.python), str(PROGRAM / "webui.py"), *arguments])


def _tell_versions() -> None:
    """The first lines of a start, as A1111 writes them, so that a report of a problem holds them."""
    in_git = (PROGRAM / ".git").exists()  # a copy without it may lie in somebody else's repository
    found, commit = _run_quietly("git", "-C", str(PROGRAM), "rev-parse", "HEAD") if in_git else (False, "")
    _say(f"Python {sys.version}")
    _say(f"Version: {_project()['project']['version']}")
    _say(f"Commit hash: {commit if found else '<none>'}")
    ignored = [name for name in WITHOUT_EFFECT if os.environ.get(name)]
    if ignored:
        _say(f"Without meaning here, ignored: {' '.join(ignored)}")


def _without_secrets(words: list[str]) -> list[str]:
    """The words of a command line, logins left out."""
    shown = list(words)
    for i, word in enumerate(words):
        flag, equals, _ = word.partition("=")
        if flag in SECRETS and equals:
            shown[i] = f"{flag}=***"
        elif flag in SECRETS and i + 1 < len(words):
            shown[i + 1] = "***"
    return shown


class Environment:
    """Where packages are installed: our own virtual environment, somebody's, or the system's Python.

    Args:
        folder: its root; the stamp and pip's output are kept there.
        python: its Python, which need not exist yet.

    Attributes:
        version: of its Python, as “3.11”; empty when that does not run.
    """

    def __init__(self, folder: Path, python: Path):
        self.folder = folder
        self.python = python
        self.version = _version_of(python)
        self._stamp = _read_stamp(folder / STAMP)

    @classmethod
    def chosen(cls) -> Environment:
        """The environment that `venv_dir` names, else the active one, else `venv` in the program's folder."""
        wanted = os.environ.get("venv_dir", "")  # noqa: SIM112 (A1111's name)
        if wanted == "-":
            packages = sysconfig.get_path("purelib")
            writable = os.access(packages, os.W_OK)  # pip asks the same, and installs for this user if not
            return cls(Path(packages if writable else site.getusersitepackages()), Path(sys.executable))
        folder = PROGRAM / Path(wanted or os.environ.get("VIRTUAL_ENV") or "venv").expanduser()
        return cls(folder, folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))

    def must_run(self) -> None:
        """Raises SetupError unless the environment's Python runs and is one that this program knows."""
        if not self.version:
            raise SetupError(f"There is no virtual environment at {self.folder}: start once without --skip-install.")
        if self.version not in PYTHONS:
            raise SetupError(
                f"{self.folder} holds Python {self.version}, and {NEEDED} is needed: choose another venv_dir."
            )

    def set_up(self, groups: list[str]) -> None:
        """Make the environment if there is none, and install those of `groups` whose pins changed.

        Raises:
            SetupError: the environment cannot be made, or pip failed. What was installed by then is kept, and the
                next call goes on from there.
        """
        if all(self._stamp.get(group) == self._digest(group) for group in groups):
            return
        if not self._has_pip():
            self._make()
        self.must_run()
        self._remove_halves()
        _say(f"Setting up in {self.folder}: this happens once, takes minutes and 1.5 GB of disk.")
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / LOG).write_bytes(b"")
        for group in groups:
            if self._stamp.get(group) != self._digest(group):
                self._install(group)

    def _install(self, group: str) -> None:
        _say(f"Installing: {group} …")
        commands = _commands(group, self.folder)
        other_torch = group == "torch" and group in self._stamp
        self._note(group, "unfinished")
        if other_torch:  # pip holds every build of one version for the same
            self._run(["-m", "pip", "uninstall", "--yes", "torch"])
        for command in commands:
            if self._run(["-m", *command]):
                return self._note(group, self._digest(group))
        log = self.folder / LOG
        said = log.read_text("utf-8", "replace").splitlines()
        errors = [line[7:].rstrip(".") for line in said if line.lower().startswith("error: ")]
        reason = errors[-1] if errors else "no reason given"
        raise SetupError(f"pip could not install “{group}”: {reason}. All that it said is in {log}.")

    def _make(self) -> None:
        """Make our virtual environment, anew if it was broken; never touch a folder that is somebody else's."""
        if self.python == Path(sys.executable):
            raise SetupError(f"{self.python} has no pip, which installs the rest: add it, or leave venv_dir out.")
        if self.folder.is_dir() and any(self.folder.iterdir()) and MAKER not in self._stamp:
            raise SetupError(
                f"{self.folder} is not empty, and no virtual environment with pip either: choose another venv_dir."
            )
        if importlib.util.find_spec("ensurepip") is None:
            version = _short(sys.version_info)
            raise SetupError(
                f"Python {version} has no venv module; on Debian and Ubuntu: sudo apt install python{version}-venv"
            )
        shutil.rmtree(self.folder, ignore_errors=True)
        self._stamp = {}
        self._note(MAKER, "embedding-studio")
        finished, output = _run_quietly(sys.executable, "-m", "venv", self.folder)
        self.version = _version_of(self.python)
        if not (finished and self.version):
            raise SetupError(f"No virtual environment could be made at {self.folder}: {output or 'no reason given'}")

    def _has_pip(self) -> bool:
        return bool(self.version) and _run_quietly(self.python, "-m", "pip", "--version")[0]

    def _remove_halves(self) -> None:
        """Take away what a killed pip left: metadata of packages not wholly installed, and moved-away old ones.

        Without its metadata pip installs a package again, over the half that is there.
        """
        if MAKER not in self._stamp:
            return
        for packages in [*self.folder.glob("lib/python*/site-packages"), self.folder / "Lib" / "site-packages"]:
            unfinished = [info for info in packages.glob("*.dist-info") if not (info / "INSTALLER").exists()]
            for half in (*unfinished, *packages.glob("~*")):
                shutil.rmtree(half, ignore_errors=True)

    def _run(self, words: list[str]) -> bool:
        """Run the environment's Python, its output into the log and the telling lines of it to the user."""
        quiet = {"PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_PROGRESS_BAR": "off"}
        command = [str(self.python), *words]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, **quiet}, encoding="utf-8", errors="replace",
        )  # fmt: skip
        with process, (self.folder / LOG).open("a", encoding="utf-8") as log:
            log.write(f"$ {shlex.join(command)}\n")
            for line in process.stdout or ():
                log.write(line)
                log.flush()
                if shown := SHOWN_OF_PIP.search(line):
                    _say(f"  {shown.group()}")
        return process.returncode == 0

    def _note(self, key: str, value: str) -> None:
        from modules.files import write_atomically

        self._stamp[key] = value
        write_atomically(self.folder / STAMP, json.dumps(self._stamp, indent=1))

    def _digest(self, group: str) -> str:
        if group == "torch":
            more = [os.environ.get("TORCH_COMMAND", ""), os.environ.get("TORCH_INDEX_URL", "")]
        else:
            more = _project()["tool"]["launch"]["constraints"]
        return hashlib.sha256(repr((self.version, _pins(group), more)).encode()).hexdigest()


def _commands(group: str, folder: Path) -> list[list[str]]:
    """What to run, as `python -m …`, to install a group: the second command when the first fails, and so on."""
    if group != "torch":
        constraints = folder / "constraints.txt"
        constraints.write_text("\n".join(_project()["tool"]["launch"]["constraints"]), "utf-8")
        index = os.environ.get("INDEX_URL")
        chosen = ["--index-url", index] if index else []
        return [["pip", "install", *_pins(group), "--constraint", str(constraints), *chosen]]
    if os.environ.get("TORCH_COMMAND"):
        return [shlex.split(os.environ["TORCH_COMMAND"])]
    if (platform.system(), platform.machine()) == ("Darwin", "x86_64"):
        raise SetupError(
            "This Python was made for Intel Macs, and torch for Apple silicon only: install an arm64 Python, "
            "or name another torch in TORCH_COMMAND."
        )
    plain = ["pip", "install", *_pins("torch")]
    if os.environ.get("TORCH_INDEX_URL"):
        return [[*plain, "--index-url", os.environ["TORCH_INDEX_URL"]]]
    if _wants_torch_for_cpu():
        return [[*plain, "--extra-index-url", TORCH_FOR_CPU], plain]
    return [plain]


def _wants_torch_for_cpu() -> bool:
    """Linux without an NVIDIA card: PyPI's build would bring gigabytes of CUDA that nothing here can use.

    Who has told pip where to look has chosen a build already.
    """
    told = any(os.environ.get(name) for name in ("INDEX_URL", "PIP_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"))
    nvidia = shutil.which("nvidia-smi") or Path("/proc/driver/nvidia/version").exists()
    return platform.system() == "Linux" and not told and not nvidia and _answers(TORCH_FOR_CPU)


def _answers(url: str) -> bool:
    import urllib.request  # slow to load, and needed on the first start only

    try:
        with urllib.request.urlopen(urllib.request.Request(f"{url}/", method="HEAD"), timeout=3):
            return True
    except OSError:
        return False


def _pins(group: str) -> list[str]:
    """The requirements of a group; torch comes alone, since another build of it may be asked for."""
    if group == "test":
        return _project()["project"]["optional-dependencies"]["test"]
    return [pin for pin in _project()["project"]["dependencies"] if pin.startswith("torch==") == (group == "torch")]


def _project() -> dict[str, Any]:
    import tomllib  # not before an older Python had its sentence

    return tomllib.loads((PROGRAM / "pyproject.toml").read_text("utf-8"))


def _read_stamp(path: Path) -> dict[str, str]:
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SetupError(f"{path} cannot be read: remove it, and the next start sets up anew.") from error


def _version_of(python: Path) -> str:
    """Of a Python that may be missing or broken: its version as “3.11”, or nothing."""
    if python == Path(sys.executable):
        return _short(sys.version_info)
    works, output = _run_quietly(python, "-S", "-c", "import sys; print(*sys.version_info[:2], sep='.')")
    return output if works else ""


def _run_quietly(*command: str | Path) -> tuple[bool, str]:
    """Whether a command could be run and succeeded, and the last line that it wrote."""
    try:
        ended = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace"
        )
    except OSError as error:
        return False, str(error.strerror)
    return ended.returncode == 0, (ended.stdout.strip().splitlines() or [""])[-1]


def _hand_over(command: list[str]) -> int:
    """Become `command`; Windows cannot, and waits for it."""
    sys.stdout.flush()
    if os.name == "nt":
        return subprocess.call(command)
    os.execv(command[0], command)


def _short(version: Sequence[Any]) -> str:
    return f"{version[0]}.{version[1]}"


def _say(line: str) -> None:
    print(line, flush=True)


def _fail(sentence: str, code: int) -> int:
    print(sentence, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
