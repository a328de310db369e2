"""launch.py, with a stand-in for Python and pip that notes what it is asked to do."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import launch
from launch import LOG, STAMP, Environment, SetupError
from modules.infotext import VERSION as VERSION_HERE
from modules.paths import PROGRAM

VARIABLES = """
    venv_dir VIRTUAL_ENV TORCH_COMMAND TORCH_INDEX_URL INDEX_URL COMMANDLINE_ARGS
    ACCELERATE REQS_FILE PIP_INDEX_URL PIP_FIND_LINKS PIP_NO_INDEX
""".split()
VERSION = "{}.{}".format(*sys.version_info)
TORCH = "-m pip install torch==2.13.0"

# `-m venv` copies the stand-in into the new environment; a pip told to fail does so, and says why.
STAND_IN = f"""#!/bin/sh
case "$*" in
*"sys.version_info"*) echo "${{VERSION:-{VERSION}}}"; exit ;;
"-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
esac
echo "$*" >> "$CALLS"
case "$*" in
*"pip install"*)
    echo "  Downloading large-1.0-py3-none-any.whl (850.0 MB)"
    echo "  Downloading small-1.0-py3-none-any.whl (4 kB)"
    if [ -n "$FAILING" ] && case "$*" in *$FAILING*) true ;; *) false ;; esac; then
        echo "ERROR: Could not find a version that satisfies the requirement."
        exit 1
    fi ;;
esac
"""


@pytest.fixture
def calls(tmp_path, monkeypatch) -> Path:
    """A machine of its own; the file in which the stand-in notes its calls."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    python = tmp_path / "python"
    python.write_text(STAND_IN)
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("venv_dir", str(tmp_path / "my venv"))
    monkeypatch.setattr(launch, "_answers", lambda url: False)
    return tmp_path / "calls"


def made(calls: Path) -> list[str]:
    """The calls since the last time, without the questions for pip's version."""
    lines = calls.read_text().splitlines() if calls.exists() else []
    calls.unlink(missing_ok=True)
    return [line for line in lines if line != "-m pip --version"]


def set_up(*groups: str) -> Environment:
    environment = Environment.chosen()
    environment.set_up(list(groups or ("torch", "program")))
    return environment


def stamp(environment: Environment) -> dict[str, str]:
    return json.loads((environment.folder / STAMP).read_text())


# --- installing ------------------------------------------------------------------------------------------------------


def test_a_bare_machine_gets_an_environment_torch_alone_and_then_the_rest(calls, capsys):
    environment = set_up()
    venv, torch, program = made(calls)
    assert venv == f"-m venv {environment.folder}"
    assert torch == TORCH
    assert program.startswith("-m pip install gradio==")
    assert " torch==" not in program
    assert program.endswith(f" --constraint {environment.folder / 'constraints.txt'}")
    shown = capsys.readouterr().out
    assert "large-1.0" in shown
    assert "small-1.0" not in shown
    assert (environment.folder / LOG).read_text().count("small-1.0") == 2


def test_nothing_is_called_when_nothing_changed(calls):
    set_up()
    before = made(calls)
    environment = set_up()
    assert before
    assert not calls.exists(), "not even pip is asked for its version"
    assert environment.python.exists()


def test_the_test_requirements_are_added_when_they_are_wanted(calls):
    set_up()
    made(calls)
    set_up("torch", "program", "test")
    (test,) = made(calls)
    assert "pytest==" in test
    assert "gradio==" not in test
    set_up("torch", "program", "test")
    set_up()
    assert made(calls) == []


def test_a_changed_pin_installs_its_group_only(calls, monkeypatch):
    set_up()
    made(calls)
    changed = json.loads(json.dumps(launch._project()).replace("lark==", "lark==99."))
    monkeypatch.setattr(launch, "_project", lambda: changed)
    set_up()
    (program,) = made(calls)
    assert " lark==99." in program


def test_another_torch_replaces_the_one_that_is_there(calls, monkeypatch):
    set_up()
    made(calls)
    monkeypatch.setenv("TORCH_COMMAND", "pip install 'torch==2.13.0' --index-url https://rocm.example/x")
    set_up()
    assert made(calls) == ["-m pip uninstall --yes torch", f"{TORCH} --index-url https://rocm.example/x"]
    monkeypatch.delenv("TORCH_COMMAND")
    monkeypatch.setenv("TORCH_INDEX_URL", "https://cuda.example/y")
    set_up()
    assert made(calls) == ["-m pip uninstall --yes torch", f"{TORCH} --index-url https://cuda.example/y"]
    set_up()
    assert made(calls) == []


def test_index_url_is_for_the_rest(calls, monkeypatch):
    monkeypatch.setenv("INDEX_URL", "https://mirror.example/simple")
    set_up()
    _, torch, program = made(calls)
    assert torch == TORCH
    assert program.endswith(" --index-url https://mirror.example/simple")


# --- which torch -----------------------------------------------------------------------------------------------------


@pytest.fixture
def plain_linux(calls, monkeypatch):
    monkeypatch.setattr(launch.platform, "system", lambda: "Linux")
    monkeypatch.setattr(launch.shutil, "which", lambda name: None)
    monkeypatch.setattr(launch.Path, "exists", lambda path: "nvidia" not in str(path) and os.path.exists(path))
    monkeypatch.setattr(launch, "_answers", lambda url: True)


@pytest.mark.usefixtures("plain_linux")
def test_linux_without_a_card_takes_the_build_without_cuda(calls):
    set_up()
    assert made(calls)[1] == f"{TORCH} --extra-index-url {launch.TORCH_FOR_CPU}"


@pytest.mark.usefixtures("plain_linux")
def test_what_pip_would_take_by_itself_is_the_way_out(calls, monkeypatch):
    monkeypatch.setenv("FAILING", launch.TORCH_FOR_CPU)
    set_up()
    assert made(calls)[1:3] == [f"{TORCH} --extra-index-url {launch.TORCH_FOR_CPU}", TORCH]


@pytest.mark.usefixtures("plain_linux")
@pytest.mark.parametrize("reason", ["no answer", "a card", "a mac", "PIP_INDEX_URL", "PIP_FIND_LINKS", "INDEX_URL"])
def test_otherwise_pip_decides(calls, monkeypatch, reason):
    if reason == "no answer":
        monkeypatch.setattr(launch, "_answers", lambda url: False)
    elif reason == "a card":
        monkeypatch.setattr(launch.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    elif reason == "a mac":
        monkeypatch.setattr(launch.platform, "system", lambda: "Darwin")
        monkeypatch.setattr(launch.platform, "machine", lambda: "arm64")
    else:
        monkeypatch.setenv(reason, "https://mirror.example")
    set_up()
    assert made(calls)[1] == TORCH


def test_an_index_that_does_not_answer_is_no_error():
    assert launch._answers("http://127.0.0.1:9") is False


def test_intel_macs_are_told(calls, monkeypatch):
    monkeypatch.setattr(launch.platform, "system", lambda: "Darwin")
    monkeypatch.setattr(launch.platform, "machine", lambda: "x86_64")
    with pytest.raises(SetupError, match="arm64 Python"):
        set_up()
    monkeypatch.setenv("TORCH_COMMAND", "pip install torch==2.2.2")
    set_up()
    assert made(calls)[1] == "-m pip install torch==2.2.2"


# --- what goes wrong -------------------------------------------------------------------------------------------------


def test_a_failing_pip_gets_one_sentence_and_the_next_start_goes_on(calls, monkeypatch):
    monkeypatch.setenv("FAILING", "gradio")
    with pytest.raises(SetupError) as failed:
        set_up()
    environment = Environment.chosen()
    assert str(failed.value) == (
        "pip could not install “program”: Could not find a version that satisfies the requirement. "
        f"All that it said is in {environment.folder / LOG}."
    )
    assert "Could not find" in (environment.folder / LOG).read_text()
    made(calls)
    monkeypatch.delenv("FAILING")
    set_up()
    (program,) = made(calls)
    assert "gradio==" in program


def test_an_interrupted_install_is_repaired(calls):
    environment = set_up()
    packages = environment.folder / "lib" / f"python{VERSION}" / "site-packages"
    for name, files in {
        "whole-1.dist-info": ["RECORD", "INSTALLER"],
        "half-1.dist-info": ["RECORD"],
        "~old": ["a.py"],
    }.items():
        (packages / name).mkdir(parents=True)
        for file in files:
            (packages / name / file).write_bytes(b"")
    (environment.folder / STAMP).write_text(json.dumps(stamp(environment) | {"program": "unfinished"}))
    made(calls)
    set_up()
    assert [path.name for path in packages.iterdir()] == ["whole-1.dist-info"]
    assert len(made(calls)) == 1


def test_a_torch_that_was_being_replaced_is_not_taken_for_the_old_one(calls, monkeypatch):
    set_up()
    monkeypatch.setenv("TORCH_INDEX_URL", "https://cuda.example/y")
    monkeypatch.setenv("FAILING", "torch")
    with pytest.raises(SetupError):
        set_up()
    made(calls)
    monkeypatch.delenv("TORCH_INDEX_URL")
    monkeypatch.delenv("FAILING")
    set_up()
    assert made(calls) == ["-m pip uninstall --yes torch", TORCH]


def test_our_own_environment_is_made_anew_when_it_broke(calls):
    environment = set_up()
    made(calls)
    environment.python.unlink()  # as when the system's Python was replaced by a newer one
    set_up()
    assert [line.split()[1] for line in made(calls)] == ["venv", "pip", "pip"]


def test_an_environment_of_another_python_is_installed_again(calls, monkeypatch):
    set_up()
    made(calls)
    monkeypatch.setenv("VERSION", "3.12" if VERSION != "3.12" else "3.13")
    set_up()
    assert len([line for line in made(calls) if "pip install" in line]) == 2


def test_a_folder_of_somebody_else_is_never_emptied(calls, tmp_path, monkeypatch):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "diary").write_text("dear diary")
    monkeypatch.setenv("venv_dir", str(tmp_path / "home"))
    with pytest.raises(SetupError, match="choose another venv_dir"):
        set_up()
    assert os.listdir(tmp_path / "home") == ["diary"]
    assert made(calls) == []


def test_a_python_that_is_too_old_is_refused(calls, monkeypatch):
    set_up()
    monkeypatch.setenv("VERSION", "3.9")
    with pytest.raises(SetupError, match=r"holds Python 3\.9, and Python 3\.11, 3\.12 or 3\.13 is needed"):
        set_up()
    monkeypatch.setattr(launch, "PYTHONS", ())
    assert launch.main([]) == 1


def test_debian_without_venv_is_told(calls, monkeypatch):
    monkeypatch.setattr(launch.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SetupError, match=rf"sudo apt install python{re.escape(VERSION)}-venv"):
        set_up()


def test_a_folder_that_cannot_be_made_is_told(calls, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("venv_dir", str(tmp_path / "file" / "venv"))
    assert launch.main([]) == 1
    assert re.fullmatch(r"[^\n]+\n", capsys.readouterr().err)


def test_a_damaged_stamp_is_told(calls):
    environment = set_up()
    (environment.folder / STAMP).write_text('{"torch": ')
    with pytest.raises(SetupError, match="remove it"):
        Environment.chosen()


# --- which environment -----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("calls")
def test_the_environment_is_chosen(tmp_path, monkeypatch):
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path / "active"))
    assert Environment.chosen().folder == tmp_path / "my venv"
    monkeypatch.delenv("venv_dir")
    assert Environment.chosen().folder == tmp_path / "active"
    monkeypatch.delenv("VIRTUAL_ENV")
    assert Environment.chosen().folder == PROGRAM / "venv"
    monkeypatch.setenv("venv_dir", "other/venv")
    assert Environment.chosen().folder == PROGRAM / "other" / "venv"


def test_a_dash_means_this_python_as_it_is(calls, tmp_path, monkeypatch):
    monkeypatch.setenv("venv_dir", "-")
    monkeypatch.setattr(launch.sysconfig, "get_path", lambda name: str(tmp_path / "packages"))
    monkeypatch.setattr(launch.site, "getusersitepackages", lambda: str(tmp_path / "mine"))
    environment = set_up()
    assert environment.python == Path(sys.executable)
    assert environment.folder == tmp_path / "mine", "the system's folder cannot be written, and pip sees that too"
    assert [line.split()[2] for line in made(calls)] == ["install", "install"]


def test_an_active_environment_is_used_and_never_made_anew(calls, tmp_path, monkeypatch):
    monkeypatch.delenv("venv_dir")
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path / "active"))
    (tmp_path / "active" / "bin").mkdir(parents=True)
    shutil.copy(sys.executable, tmp_path / "active" / "bin" / "python")
    set_up()
    assert [line.split()[2] for line in made(calls)] == ["install", "install"]
    (tmp_path / "active" / "bin" / "python").unlink()
    with pytest.raises(SetupError, match="choose another venv_dir"):
        set_up()


# --- commands --------------------------------------------------------------------------------------------------------


@pytest.fixture
def handed_over(calls, monkeypatch) -> list[list[str]]:
    """Takes the place of what comes after the set-up."""
    commands: list[list[str]] = []
    monkeypatch.setattr(launch, "_hand_over", lambda command: commands.append(command) or 0)
    monkeypatch.chdir(PROGRAM)
    return commands


def test_the_server_gets_the_flags(handed_over, tmp_path):
    python = str(tmp_path / "my venv" / "bin" / "python")
    assert launch.main(["--port", "7000", "--no-half"]) == 0
    assert handed_over == [[python, str(PROGRAM / "webui.py"), "--port", "7000", "--no-half"]]


def test_a_start_tells_versions_and_arguments_without_passwords(handed_over, calls, monkeypatch, capsys):
    monkeypatch.setenv("COMMANDLINE_ARGS", "--api --gradio-auth=ann:secret")
    monkeypatch.setenv("ACCELERATE", "True")
    assert launch.main(["--api-auth", "bob:secret", "--port", "7000"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"Python {sys.version}\nVersion: {VERSION_HERE}\n")
    assert re.search(r"^Commit hash: ([0-9a-f]{40}|<none>)$", shown, re.MULTILINE)
    assert "\nWithout meaning here, ignored: ACCELERATE\n" in shown
    words = "--api --gradio-auth=*** --api-auth *** --port 7000"
    assert shown.endswith(f"\nLaunching Web UI with arguments: {words}\n")
    assert "secret" not in shown


@pytest.mark.parametrize("arguments", [["txt2img", "--prompt", "a cat"], ["test"]])
def test_a_command_writes_nothing_of_its_own_in_front_of_its_lines(handed_over, calls, capsys, arguments):
    assert launch.main(arguments) == 0
    assert "Version" not in capsys.readouterr().out


def test_a_command_gets_its_arguments_unread(handed_over, tmp_path):
    python = str(tmp_path / "my venv" / "bin" / "python")
    assert launch.main(["txt2img", "--prompt", "a cat", "--steps", "4"]) == 0
    assert handed_over == [[python, str(PROGRAM / "webui.py"), "txt2img", "--prompt", "a cat", "--steps", "4"]]


def test_the_suite_gets_its_arguments(handed_over, calls, tmp_path):
    python = str(tmp_path / "my venv" / "bin" / "python")
    assert launch.main(["test", "--slow", "-k", "a b"]) == 0
    assert handed_over == [[python, "-m", "tests", "--slow", "-k", "a b"]]
    assert len([line for line in made(calls) if "pip install" in line]) == 3


def test_a_wrong_flag_is_refused_before_anything_is_made(handed_over, calls, tmp_path, monkeypatch, capsys):
    assert launch.main(["--prot", "1"]) == 2
    assert capsys.readouterr().err == "There is no flag --prot: did you mean --port?\n"
    monkeypatch.setenv("COMMANDLINE_ARGS", "--listen")
    assert launch.main([]) == 2
    assert "--gradio-auth" in capsys.readouterr().err
    assert made(calls) == handed_over == []
    assert not (tmp_path / "my venv").exists()


def test_exit_and_skip_install(handed_over, calls, capsys):
    assert launch.main(["--skip-install"]) == 1
    assert "start once without --skip-install" in capsys.readouterr().err
    assert launch.main(["--exit"]) == 0
    assert len(made(calls)) == 3
    assert handed_over == []
    assert launch.main(["--skip-install"]) == 0
    assert made(calls) == []
    assert len(handed_over) == 1


def test_webui_sh_starts_without_a_network_when_nothing_changed(calls, tmp_path):
    """Through both files, as a user does it: pip would fail if it were called."""
    set_up()
    made(calls)
    python = f"{sysconfig.get_config_var('BINDIR')}/python{VERSION}"
    for text in ("", "--theme dark"):
        environment = os.environ | {"FAILING": "pip", "python_cmd": python, "COMMANDLINE_ARGS": text}
        ended = subprocess.run(
            [PROGRAM / "webui.sh", "--exit"], env=environment, cwd=tmp_path, capture_output=True, text=True
        )
        assert (ended.returncode, ended.stdout) == (0, "")
    assert not calls.exists()
