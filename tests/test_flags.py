import re
import socket
from pathlib import Path

import pytest

from modules import flags
from modules.errors import ParameterError
from modules.flags import Flags, free_port, read_flags
from modules.paths import PROGRAM


def refused(*arguments: str, **environment: str) -> ParameterError:
    with pytest.raises(ParameterError) as error:
        read_flags(arguments, environment)
    assert re.fullmatch(r"[^\n]+[.?]", str(error.value))
    return error.value


def test_nothing_given():
    assert read_flags([], {}) == Flags()
    assert Flags().address == "127.0.0.1"
    assert Flags().paths().data == PROGRAM
    assert Flags().notice == ""


def test_everything_given(tmp_path):
    (tmp_path / "my model.safetensors").write_bytes(b"")
    (tmp_path / "logins").write_text("ben:se:cret\n\nada:x, eve:y\n")
    text = f"""
        --data-dir {tmp_path}/data --models-dir {tmp_path}/models --ckpt "{tmp_path}/my model.safetensors"
        --ckpt-dir {tmp_path}/more --embeddings-dir {tmp_path}/words --listen --server-name 192.0.2.1 --port 8000
        --gradio-auth zoe:z --gradio-auth-path {tmp_path}/logins --autolaunch --theme dark --no-half --no-half-vae
        --use-cpu all --device-id 1 --skip-install --exit --nowebui --api-auth bot:a:b,cat:c --api-log
        --api-server-stop --cors-allow-origins https://A.example,http://localhost:3000
        --cors-allow-origins-regex "https://.*[.]mine[.]example"
    """
    read = read_flags([], {"COMMANDLINE_ARGS": text})
    assert read == Flags(
        data_dir=tmp_path / "data",
        models_dir=tmp_path / "models",
        ckpt=tmp_path / "my model.safetensors",
        ckpt_dir=tmp_path / "more",
        embeddings_dir=tmp_path / "words",
        listen=True,
        server_name="192.0.2.1",
        port=8000,
        logins=(("zoe", "z"), ("ben", "se:cret"), ("ada", "x"), ("eve", "y")),
        autolaunch=True,
        theme="dark",
        no_half=True,
        no_half_vae=True,
        use_cpu=True,
        device_id=1,
        skip_install=True,
        exit=True,
        api=True,
        nowebui=True,
        api_logins=(("bot", "a:b"), ("cat", "c")),
        api_log=True,
        api_server_stop=True,
        cors_allow_origins=("https://a.example", "http://localhost:3000"),
        cors_allow_origins_regex="https://.*[.]mine[.]example",
    )
    assert read.address == "192.0.2.1"
    paths = read.paths()
    assert paths.embeddings == tmp_path / "words"
    assert paths.outputs == tmp_path / "data" / "outputs"
    assert paths.checkpoint_folders == (
        tmp_path / "data" / "models" / "Stable-diffusion",
        tmp_path / "more",
        tmp_path / "models" / "Stable-diffusion",
        PROGRAM / "models" / "Stable-diffusion",
    )


def test_typed_flags_win_over_the_environment():
    environment = {"COMMANDLINE_ARGS": "--port 1111 --theme light --xformers"}
    read = read_flags(["--port", "2222", "--medvram"], environment)
    assert (read.port, read.theme, read.ignored) == (2222, "light", ("--xformers", "--medvram"))


def test_the_environment_is_split_as_a_shell_does():
    read = read_flags([], {"COMMANDLINE_ARGS": r"""--data-dir '/a b/c' --ckpt-dir "/d \"e" --embeddings-dir /f\ g"""})
    assert (read.data_dir, read.ckpt_dir, read.embeddings_dir) == (Path("/a b/c"), Path('/d "e'), Path("/f g"))
    assert "never closed" in str(refused(COMMANDLINE_ARGS="--data-dir 'x"))


def test_paths_start_where_the_user_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    read = read_flags(["--data-dir", "here", "--ckpt-dir", "~/models"], {})
    assert (read.data_dir, read.ckpt_dir) == (tmp_path / "here", tmp_path / "home" / "models")


@pytest.mark.parametrize(
    ("word", "advice"),
    [
        ("--prot", "did you mean --port?"),
        ("--lsiten", "did you mean --listen?"),
        ("--data-dri=/x", "did you mean --data-dir?"),
        ("--quux", "./webui.sh --help lists what there is."),
        ("--por", "did you mean --port?"),
        ("serve", "“serve” is no flag and no command"),
    ],
)
def test_unknown_words_get_the_nearest_flag(word, advice):
    error = refused(word, "--autolaunch")
    assert advice in str(error)
    assert error.field == word.split("=")[0]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--port"],
        ["--port", "0"],
        ["--port", "65536"],
        ["--port", "-1"],
        ["--port", "7860x"],
        ["--theme", "blue"],
        ["--device-id", "x"],
        ["--listen=yes"],
        ["--api-auth", "bot"],
        ["--cors-allow-origins", "*"],
        ["--cors-allow-origins", "mine.example"],
        ["--cors-allow-origins", "https://mine.example/page"],
        ["--cors-allow-origins-regex", ".*"],
        ["--cors-allow-origins-regex", "("],
        ["--gradio-auth", "ben"],
        ["--gradio-auth", ":secret"],
        ["--gradio-auth", "ben:"],
        ["--gradio-auth", "a:b,c"],
        ["--gradio-auth-path", "no such file"],
        ["--gradio-auth-path", "/"],
        ["--gradio-auth-path", "/dev/null"],
        ["--ckpt", "no such file"],
    ],
    ids=" ".join,
)
def test_values_that_cannot_be_used(arguments):
    assert refused(*arguments).field == arguments[0].split("=")[0]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--listen"],
        ["--server-name", "0.0.0.0"],
        ["--server-name", "::"],
        ["--server-name", "192.168.1.5"],
        ["--server-name", "my-machine.local"],
        ["--server-name", "127.0.0.1.evil.example"],
        ["--listen", "--gradio-auth", ""],
        ["--listen", "--gradio-auth", ","],
    ],
    ids=" ".join,
)
def test_other_machines_need_a_login(arguments):
    error = refused(*arguments)
    assert error.field == "--gradio-auth"
    assert "--gradio-auth user:password" in str(error)
    assert read_flags([*arguments, "--gradio-auth", "ben:secret"], {}).logins == (("ben", "secret"),)


@pytest.mark.parametrize("name", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_this_machine_needs_none(name):
    assert read_flags(["--server-name", name], {}).address == name


def test_passwords_are_not_shown():
    assert "secret" not in repr(read_flags(["--gradio-auth", "ben:secret"], {}))


@pytest.mark.parametrize(
    ("arguments", "no_half", "use_cpu"),
    [
        ([], False, False),
        (["--precision", "full"], True, False),
        (["--precision", "autocast", "--no-half"], True, False),
        (["--use-cpu", "SD"], False, True),
        (["--use-cpu", "interrogate", "all"], False, True),
        (["--use-cpu", "interrogate"], False, False),
    ],
    ids=str,
)
def test_computing(arguments, no_half, use_cpu):
    read = read_flags(arguments, {})
    assert (read.no_half, read.use_cpu) == (no_half, use_cpu)


def test_old_scripts_go_on_working():
    words = [*flags.IGNORED_SWITCHES]
    for name in flags.IGNORED_WITH_VALUE:
        words += [name, "16"]
    read = read_flags([*words, "--xformers"], {})
    assert set(read.ignored) == {*flags.IGNORED_SWITCHES, *flags.IGNORED_WITH_VALUE}
    assert len(read.ignored) == len(set(read.ignored))
    assert "\n" not in read.notice
    assert "--medvram" in read.notice


def test_each_flag_that_means_something_has_a_help_text(capsys):
    with pytest.raises(SystemExit) as ended:
        read_flags(["--help"], {})
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    for name in flags.names():
        assert re.search(rf"^  (-h, )?{name}\b", shown, re.MULTILINE)


# --- ports -----------------------------------------------------------------------------------------------------------


def test_the_next_free_port_is_taken(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as one:
        taken = one.getsockname()[1]
        monkeypatch.setattr(flags, "LIKELY_PORTS", (taken,))
        with pytest.raises(ParameterError, match=f"All ports from {taken} to {taken}"):
            free_port("127.0.0.1", None)
        with socket.create_server(("127.0.0.1", 0)) as other:
            free = other.getsockname()[1]
        monkeypatch.setattr(flags, "LIKELY_PORTS", (taken, free))
        assert free_port("127.0.0.1", None) == free


def test_an_interface_without_a_page_has_a_port_of_its_own(monkeypatch):
    assert (Flags().first_port, Flags(nowebui=True, api=True).first_port) == (7860, 7861)
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        low, high = sorted(server.getsockname()[1] for server in (one, other))
    monkeypatch.setattr(flags, "LIKELY_PORTS", (low, high))
    assert free_port("127.0.0.1", None, first=high) == high


def test_a_port_that_was_asked_for_is_taken_or_said():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(ParameterError, match=f"Port {port} is taken"):
            free_port("127.0.0.1", port)
    assert free_port("127.0.0.1", port) == port


def test_an_address_of_another_machine_is_said():
    with pytest.raises(ParameterError, match=r"Nothing can listen at 192\.0\.2\.1, port 7860: [^(]+\.$"):
        free_port("192.0.2.1", None)
