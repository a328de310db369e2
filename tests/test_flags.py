import re
import socket
from pathlib import Path

import pytest

from modules import a1111_flags, flags
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
        --ckpt-dir {tmp_path}/more --vae-dir {tmp_path}/vaes --embeddings-dir {tmp_path}/words
        --vae-path "{tmp_path}/my model.safetensors" --textual-inversion-templates-dir {tmp_path}/lines
        --styles-file {tmp_path}/my.csv --styles-file "{tmp_path}/more/*.csv" --ui-settings-file {tmp_path}/my.json
        --no-prompt-history --listen --server-name 192.0.2.1 --port 8000
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
        vae_dir=tmp_path / "vaes",
        vae_path=tmp_path / "my model.safetensors",
        embeddings_dir=tmp_path / "words",
        textual_inversion_templates_dir=tmp_path / "lines",
        styles_file=(tmp_path / "my.csv", tmp_path / "more" / "*.csv"),
        ui_settings_file=tmp_path / "my.json",
        no_prompt_history=True,
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
    assert paths.vae_folders[-1] == tmp_path / "vaes"
    assert paths.only_vae == tmp_path / "my model.safetensors"
    assert paths.template_folders == (tmp_path / "lines",)
    assert (paths.styles_files, paths.settings_file) == (read.styles_file, tmp_path / "my.json")
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


def test_unknown_words_may_be_passed_over():
    environment = {"IGNORE_CMD_ARGS_ERRORS": "1", "COMMANDLINE_ARGS": "--their-extension 5 --xformers"}
    read = read_flags(["--port", "2222", "--quux"], environment)
    assert (read.port, set(read.ignored)) == (2222, {"--xformers", "--their-extension", "5", "--quux"})
    assert "--quux" in read.notice
    refused("--port", "x", **environment)
    refused("--share", **environment)
    refused("--quux", IGNORE_CMD_ARGS_ERRORS="")


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
        ["--styles-file", "*/styles.csv"],
        ["--vae-path", "no such file"],
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
    words = [*a1111_flags.IGNORED_SWITCHES]
    for name in a1111_flags.IGNORED_WITH_VALUE:
        words += [name, "16"]
    read = read_flags([*words, "--xformers"], {})
    assert set(read.ignored) == {*a1111_flags.IGNORED_SWITCHES, *a1111_flags.IGNORED_WITH_VALUE}
    assert len(read.ignored) == len(set(read.ignored))
    assert "\n" not in read.notice
    assert "--medvram" in read.notice


# The flags of A1111 v1.10, as its start scripts hold them: does it act, is it passed over, or does it refuse?
THEIRS = {
    "acts": """
        --data-dir --models-dir --ckpt --ckpt-dir --vae-dir --vae-path --embeddings-dir
        --textual-inversion-templates-dir --listen --port --server-name --gradio-auth --gradio-auth-path --api --nowebui
        --api-auth --api-log --cors-allow-origins --cors-allow-origins-regex --autolaunch --theme --no-half
        --no-half-vae --precision --use-cpu --device-id --ui-settings-file --styles-file --no-prompt-history
        --skip-install --skip-prepare-environment --exit
    """,
    "is passed over": """
        --hypernetwork-dir --enable-insecure-extension-access --disable-tls-verify --upcast-sampling --medvram
        --medvram-sdxl --lowvram --lowram --xformers --opt-sdp-attention --opt-sdp-no-mem-attention
        --opt-split-attention --opt-split-attention-v1 --opt-split-attention-invokeai --opt-sub-quad-attention
        --disable-opt-split-attention --opt-channelslast --ui-config-file --hide-ui-dir-config --disable-safe-unpickle
        --disable-nan-check --no-hashing --no-download-sd-model --no-gradio-queue --use-textbox-seed --max-batch-count
        --filenames-max-length --gradio-allowed-path --skip-torch-cuda-test --skip-python-version-check
        --reinstall-torch --reinstall-xformers --update-check --update-all-extensions --test-server --loglevel
        --log-startup --ui-debug-mode --deepdanbooru --always-batch-cond-uncond --unload-gfpgan --show-negative-prompt
        --enable-console-prompts --gradio-queue --ngrok-region --add-stop-route
    """,
    "refuses": """
        --share --ngrok --tls-keyfile --tls-certfile --subpath --freeze-settings --freeze-settings-in-sections
        --freeze-specific-settings --dump-sysinfo
    """,
}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, text in THEIRS.items() for name in text.split()])
def test_no_flag_of_a1111_is_unknown(kind, name):
    passed_over = {*a1111_flags.IGNORED_SWITCHES, *a1111_flags.IGNORED_WITH_VALUE}
    known = {"acts": {*flags.names()}, "is passed over": passed_over, "refuses": {*a1111_flags.REFUSED}}
    assert [found for found in known if name in known[found]] == [kind]


@pytest.mark.parametrize("value", [[], ["x"]], ids=["bare", "with a value"])
@pytest.mark.parametrize("name", a1111_flags.REFUSED)
def test_what_would_be_another_server_does_not_start(name, value):
    error = refused("--listen", "--gradio-auth", "ben:secret", name, *value)
    assert str(error).startswith(f"There is no {name} here: ")
    assert error.field == name
    assert "did you mean" not in str(error)


def test_each_flag_that_means_something_has_a_help_text(capsys):
    with pytest.raises(SystemExit) as ended:
        read_flags(["--help"], {})
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    for name in flags.names():
        assert re.search(rf"^  (-h, |--skip-install, )?{name}\b", shown, re.MULTILINE)
    for command in flags.COMMANDS:
        assert re.search(rf"\b{command}\b", shown.split("options:")[0]), f"{command} is named among the other uses"


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
