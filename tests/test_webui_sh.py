"""webui.sh, with stand-ins for the tools it asks about the system; bash 3.2 itself, a Mac's, only by what it lacks."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from modules.paths import PROGRAM

TOOLS = ("bash", "cat", "dirname", "env", "readlink")  # what the script needs of any system, besides its stand-ins

LAUNCH = """
import json, os, sys
names = ("PYTORCH_ENABLE_MPS_FALLBACK", "COMMANDLINE_ARGS", "venv_dir", "TORCH_COMMAND")
print(json.dumps({
    "arguments": sys.argv[1:],
    "environment": {name: os.environ[name] for name in names if name in os.environ},
    "folder": os.getcwd(),
    "input": os.fstat(0).st_rdev == os.stat(os.devnull).st_rdev,
    "python": os.environ.get("STAND_IN", sys.executable),
}))
"""


class Machine:
    """A system on which webui.sh runs: a checkout in a folder with spaces, and a PATH of stand-ins.

    Attributes:
        checkout: holds webui.sh, and a launch.py that prints what it was given.
        tools: the only folder on PATH.
    """

    def __init__(self, folder: Path):
        self.checkout = folder / "my studio (1)"
        self.tools = folder / "tools"
        self.checkout.mkdir()
        self.tools.mkdir()
        shutil.copy(PROGRAM / "webui.sh", self.checkout)
        (self.checkout / "launch.py").write_text(LAUNCH)
        for name in TOOLS:
            (self.tools / name).symlink_to(str(shutil.which(name)))
        self.tool("uname", "case $1 in -s) echo Linux ;; -m) echo x86_64 ;; esac")
        self.tool("id", "echo 1000")
        self.python("python3")

    def tool(self, name: str, body: str) -> None:
        (self.tools / name).write_text(f"#!{shutil.which('bash')}\n{body}\n")
        (self.tools / name).chmod(0o755)

    def python(self, name: str, usable: bool = True) -> None:
        """A Python of that name; one that is not usable is too old, and launch.py must never see it."""
        run = f'STAND_IN="{name}" exec "{sys.executable}" "$@"'
        self.tool(name, run if usable else '[ "$1" = -c ] && exit 1; echo "too old a Python was used"; exit 9')

    def mac(self, processor: str) -> None:
        self.tool("uname", f"case $1 in -s) echo Darwin ;; -m) echo {processor} ;; esac")
        self.tool("sysctl", "exit 1")

    def run(self, *arguments: str, script: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
        command = [str(script or self.checkout / "webui.sh"), *arguments]
        environment = {"PATH": str(self.tools), "HOME": str(self.checkout)} | more
        return subprocess.run(command, env=environment, cwd=self.tools, capture_output=True, text=True)

    def launched(self, *arguments: str, script: Path | None = None, **more: str) -> dict:
        """What launch.py was given."""
        ended = self.run(*arguments, script=script, **more)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_it_hands_over_what_it_was_given(machine):
    given = ["--data-dir", "a b", "", "*", '"$HOME"', "--port=1"]
    launched = machine.launched(*given, COMMANDLINE_ARGS="--listen")
    assert launched["arguments"] == given
    assert launched["environment"] == {"COMMANDLINE_ARGS": "--listen"}
    assert launched["folder"] == str(machine.tools), "relative paths start where the user stands"
    assert machine.launched()["arguments"] == []


def test_the_exit_code_is_handed_back(machine):
    (machine.checkout / "launch.py").write_text("raise SystemExit(2)")
    assert machine.run().returncode == 2


def test_it_can_be_started_through_links(machine, tmp_path):
    (tmp_path / "first link").symlink_to("my studio (1)/webui.sh")
    (machine.tools / "studio").symlink_to(tmp_path / "first link")
    assert machine.launched("x", script=machine.tools / "studio")["arguments"] == ["x"]


def test_cdpath_does_not_mislead_it(machine, tmp_path):
    ended = subprocess.run(
        ["bash", "my studio (1)/webui.sh"],
        env={"PATH": str(machine.tools), "CDPATH": f"{tmp_path}:/"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert json.loads(ended.stdout)["arguments"] == [], ended.stderr


def test_a_closed_input_is_opened(machine):
    machine.tool("service", 'exec "$@" <&-')
    assert machine.launched(str(machine.checkout / "webui.sh"), script=machine.tools / "service")["input"] is True


# --- systems ---------------------------------------------------------------------------------------------------------


def test_apple_silicon_falls_back_to_the_processor(machine):
    machine.mac("arm64")
    machine.python("python3.12")
    fallback = "PYTORCH_ENABLE_MPS_FALLBACK"
    assert machine.launched()["environment"] == {fallback: "1"}
    assert machine.launched(**{fallback: "0"})["environment"] == {fallback: "0"}


@pytest.mark.parametrize("system", ["linux", "intel mac"])
def test_others_do_not(machine, system):
    if system == "intel mac":
        machine.mac("x86_64")
    assert machine.launched()["environment"] == {}


def test_the_placeholder_of_a_mac_is_not_touched(machine):
    """It would open a window that offers to install developer tools."""
    machine.mac("arm64")
    (machine.tools / "python3").unlink()
    machine.python("python3.12")
    assert machine.launched(PATH=f"{machine.tools}:/usr/bin")["python"] == "python3.12"


def test_root_is_warned_in_one_line_and_served(machine):
    assert machine.run().stderr == ""
    machine.tool("id", "echo 0")
    ended = machine.run()
    assert ended.returncode == 0
    assert re.fullmatch(r"Running as root: .+\.\n", ended.stderr)


# --- Python ----------------------------------------------------------------------------------------------------------


def test_the_first_python_that_fits_is_taken(machine):
    machine.python("python3.13")
    machine.python("python3.12")
    assert machine.launched()["python"] == "python3"
    machine.python("python3", usable=False)
    assert machine.launched()["python"] == "python3.12"


def test_python_cmd_overrides(machine):
    machine.python("my python")
    machine.python("old", usable=False)
    assert machine.launched(python_cmd=str(machine.tools / "my python"))["python"] == "my python"
    for wrong in (str(machine.tools / "old"), "no-such-python"):
        ended = machine.run(python_cmd=wrong)
        assert (ended.returncode, ended.stdout) == (1, "")
        assert re.fullmatch(rf"python_cmd={re.escape(wrong)} is no Python 3\.11.+\.\n", ended.stderr)


def on_ubuntu(machine: Machine) -> None:
    machine.tool("apt-get", "exit 0")
    machine.tool("apt-cache", '[ "$2" = python3.11-venv ]')


def on_bare_debian(machine: Machine) -> None:
    machine.tool("apt-get", "exit 0")
    machine.tool("apt-cache", "exit 100")


@pytest.mark.parametrize(
    ("system", "advice"),
    [
        (on_ubuntu, "sudo apt install python3.11 python3.11-venv"),
        (on_bare_debian, "sudo apt update && sudo apt install python3 python3-venv"),
        (lambda machine: machine.tool("dnf", "exit 0"), "sudo dnf install python3.12"),
        (lambda machine: machine.tool("pacman", "exit 0"), "sudo pacman -S uv && uv python install 3.12"),
        (lambda machine: machine.mac("arm64"), "brew install python@3.12"),
        (lambda machine: None, "see https://www.python.org/downloads/"),
    ],
    ids=["Ubuntu", "Debian before an update", "Fedora", "Arch", "Mac", "another"],
)
def test_without_python_one_sentence_says_what_to_install(machine, system: Callable[[Machine], None], advice):
    machine.python("python3", usable=False)
    system(machine)
    ended = machine.run()
    assert (ended.returncode, ended.stdout) == (1, "")
    assert re.fullmatch(rf"Python 3\.11, 3\.12 or 3\.13 is needed[^\n]*: {re.escape(advice)}\n", ended.stderr)


@pytest.mark.parametrize("export", ["", "export "])
def test_webui_user_sh_is_read(machine, export):
    machine.python("mine")
    lines = ['COMMANDLINE_ARGS="--port 1 --theme dark"', f'python_cmd="{machine.tools}/mine"', "venv_dir=-"]
    (machine.checkout / "webui-user.sh").write_text("#!/bin/bash\n" + "\n".join(export + line for line in lines))
    launched = machine.launched()
    assert launched["environment"] == {"COMMANDLINE_ARGS": "--port 1 --theme dark", "venv_dir": "-"}
    assert launched["python"] == "mine"


# --- the language ----------------------------------------------------------------------------------------------------

SCRIPTS = [PROGRAM / "webui.sh", PROGRAM / ".ci" / "run"]

# What bash 3.2 lacks: a sample of each, and how it is seen.
NEWER_THAN_3_2 = {
    "declare -A colours": r"\b(declare|local|typeset)\s+-\w*[Agnlu]",
    "mapfile -t lines": r"\b(mapfile|readarray)\b",
    'echo "${name,,}"': r"\$\{\w+[\[\]@*\w]*(,|\^|@[A-Za-z])",
    "make &>> log": r"&>>",
    "make |& tee log": r"\|&",
    "[[ -v name ]]": r"\[\[?\s+(.*\s)?-[vR]\s",
    "printf '%(%F)T' -1": r"%\([^)]*\)T",
    "a) echo ;;& esac": r";;?&(?!&)",
    "coproc cat": r"\bcoproc\b",
    "wait -n": r"\bwait\s+-n",
    "exec {file}>log": r"\{\w+\}[<>]",
    "echo ${name: -3:-1}": r"\$\{\w+:[^}]*:\s*-\d",
    "echo {01..10}": r"\{0\d+\.\.",
    "echo $'\\u00e9'": r"\\[uU][0-9a-fA-F]",
    "echo ${names[-1]}": r"\[-\d+\]",
    'set -u; f "${names[@]}"': r"\bset\s+-\w*u|\bset\s+-o\s+nounset",  # an empty array counts as unset in 3.2
    "shopt -s globstar": r"\bglobstar\b|\blastpipe\b",
    "read -t 0.5 line": r"\bread\s+.*-t\s*\d*\.\d",
    "echo $BASHPID $EPOCHSECONDS": r"\$\{?(BASHPID|EPOCHSECONDS|EPOCHREALTIME|SRANDOM)\b",
}


def too_new(line: str) -> list[str]:
    code = re.sub(r"(^|\s)#.*", "", line)
    return [sample for sample, pattern in NEWER_THAN_3_2.items() if re.search(pattern, code)]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_mac_understands_every_line(script):
    lines = script.read_text("utf-8").splitlines()
    assert {line: too_new(line) for line in lines if too_new(line)} == {}


@pytest.mark.parametrize("sample", NEWER_THAN_3_2)
def test_the_guard_sees_what_is_too_new(sample):
    assert too_new(sample) == [sample]
    assert too_new(f"# {sample}") == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shellcheck_has_nothing_to_say(script):
    shellcheck = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert shellcheck, "shellcheck is part of the test requirements"
    ended = subprocess.run([shellcheck, script], capture_output=True, text=True)
    assert ended.stdout == ""
    assert os.access(script, os.X_OK)


def test_ci_calls_the_command_of_the_readme_and_nothing_else(tmp_path):
    (tmp_path / ".ci").mkdir()
    shutil.copy(PROGRAM / ".ci" / "run", tmp_path / ".ci")
    (tmp_path / "webui.sh").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "webui.sh").chmod(0o755)
    ended = subprocess.run([tmp_path / ".ci" / "run"], cwd="/", capture_output=True, text=True)
    assert ended.stdout == "test\n"
