"""The command line of the server: what its flags mean, and what is wrong with them.

Flags come from the command line and from COMMANDLINE_ARGS; where both say something, the command line holds. Names
are A1111's. Reading flags looks at no hardware and makes no folder; only `--gradio-auth-path` opens a file.
"""

import argparse
import dataclasses
import difflib
import errno
import glob
import ipaddress
import os
import re
import shlex
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from modules.a1111_flags import IGNORED_SWITCHES, IGNORED_WITH_VALUE, REFUSED
from modules.errors import ParameterError
from modules.files import typed_path
from modules.paths import PROGRAM, Paths

COMMANDS = (
    "txt2img",
    "create",
    "prepare",
    "train",
    "compare",
    "export",
    "png-info",
)  # first words that ask for work: see `modules.cli`
LIKELY_PORTS = range(7860, 7960)
ANY_SITE = "https://any-site.example"  # an origin that nobody means


@dataclass(frozen=True)
class Flags:
    """What the server was started with.

    Attributes:
        data_dir: base of models, embeddings, outputs and settings.
        models_dir: another base of models, searched besides the one in `data_dir`.
        ckpt: the checkpoint to load first, instead of the one used last.
        ckpt_dir, vae_dir: a further folder of checkpoints, of VAEs.
        vae_path: the VAE that every picture is drawn with, whatever is chosen.
        embeddings_dir, textual_inversion_templates_dir: the folder of embeddings, of templates.
        styles_file: of styles, instead of the one in `data_dir`; their names may hold wildcards.
        ui_settings_file: of settings, instead of the one in `data_dir`.
        no_prompt_history: do not keep the parameters of the run made last in `params.txt`.
        listen, server_name: accept visitors from other machines; the address to listen at.
        port: None means the first free one from 7860 on.
        autolaunch: open the page in the system's browser.
        theme: "light", "dark", or None for what the browser prefers.
        logins: (user, password) pairs that may use the page; empty means everybody who reaches it.
        api: answer programs at `/sdapi/v1/…`.
        nowebui: answer programs only: there is no page.
        api_logins: (user, password) pairs that may use the HTTP interface, besides `logins`.
        api_log: print a line for each request to it.
        api_server_stop: let it end or restart the server.
        cors_allow_origins, cors_allow_origins_regex: sites whose pages may use this server.
        no_half, no_half_vae: compute in fp32 (the VAE only).
        use_cpu: leave the graphics card alone.
        device_id: which CUDA device, None for the first.
        skip_install, exit: for the set-up: install nothing; set up and do not serve.
        ignored: flags that were given and change nothing here.
    """

    data_dir: Path = PROGRAM
    models_dir: Path | None = None
    ckpt: Path | None = None
    ckpt_dir: Path | None = None
    vae_dir: Path | None = None
    vae_path: Path | None = None
    embeddings_dir: Path | None = None
    textual_inversion_templates_dir: Path | None = None
    styles_file: tuple[Path, ...] = ()
    ui_settings_file: Path | None = None
    no_prompt_history: bool = False
    listen: bool = False
    server_name: str | None = None
    port: int | None = None
    autolaunch: bool = False
    theme: str | None = None
    logins: tuple[tuple[str, str], ...] = dataclasses.field(default=(), repr=False)
    api: bool = False
    nowebui: bool = False
    api_logins: tuple[tuple[str, str], ...] = dataclasses.field(default=(), repr=False)
    api_log: bool = False
    api_server_stop: bool = False
    cors_allow_origins: tuple[str, ...] = ()
    cors_allow_origins_regex: str | None = None
    no_half: bool = False
    no_half_vae: bool = False
    use_cpu: bool = False
    device_id: int | None = None
    skip_install: bool = False
    exit: bool = False
    ignored: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        """The address to bind: this machine only, unless asked otherwise."""
        return self.server_name or ("0.0.0.0" if self.listen else "127.0.0.1")

    @property
    def is_private(self) -> bool:
        """Whether only this machine can reach the server."""
        return _is_loopback(self.address)

    @property
    def first_port(self) -> int:
        """The port to try first: as in A1111, an interface without a page has another one than the page."""
        return LIKELY_PORTS[1] if self.nowebui else LIKELY_PORTS[0]

    @property
    def notice(self) -> str:
        """One line about flags that change nothing here, or nothing."""
        return f"Without meaning here, ignored: {' '.join(self.ignored)}" if self.ignored else ""

    def paths(self) -> Paths:
        """The folders that these flags choose."""
        extra = (self.ckpt_dir, self.models_dir and self.models_dir / "Stable-diffusion")
        return Paths(
            self.data_dir,
            tuple(folder for folder in extra if folder),
            self.embeddings_dir,
            extra_vaes=self.vae_dir,
            only_vae=self.vae_path,
            templates_override=self.textual_inversion_templates_dir,
            styles_overrides=self.styles_file,
            settings_override=self.ui_settings_file,
        )


def read_flags(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> Flags:
    """Read the command line and COMMANDLINE_ARGS.

    Args:
        arguments: the words behind the program's name. `--help` among them prints and exits.
        environment: where COMMANDLINE_ARGS is looked up, and IGNORE_CMD_ARGS_ERRORS: if it says anything, words that
            mean nothing are ignored like A1111's flags.

    Raises:
        ParameterError: an unknown flag, a value that cannot be used, or a server open to other machines without a
            login; `field` is the flag.
    """
    given, unknown = _parser().parse_known_args([*_words(environment), *arguments])
    if unknown and not environment.get("IGNORE_CMD_ARGS_ERRORS"):
        raise _unknown(unknown[0])
    values: dict[str, Any] = vars(given)
    logins = (*_logins(values.pop("gradio_auth"), "--gradio-auth"), *_logins_of_file(values.pop("gradio_auth_path")))
    values["use_cpu"] = not {"all", "sd"}.isdisjoint(values["use_cpu"])
    values["no_half"] |= values.pop("precision") == "full"
    values["ignored"] = tuple(dict.fromkeys((*values["ignored"], *unknown)))
    values["styles_file"] = tuple(dict.fromkeys(values["styles_file"]))
    values["api_logins"] = tuple(_logins(values.pop("api_auth"), "--api-auth"))
    values["api"] |= values["nowebui"]
    flags = Flags(logins=logins, **values)
    for name, path in (("--ckpt", flags.ckpt), ("--vae-path", flags.vae_path)):
        if path and not path.exists():
            raise ParameterError(name, f"{name}: there is no {path}.")
    if not flags.is_private and not (logins or (flags.nowebui and flags.api_logins)):
        needed = "--api-auth" if flags.nowebui else "--gradio-auth"  # a login for programs does not close the page
        raise ParameterError(
            needed, f"Listening at {flags.address} lets other machines in: add a login with {needed} user:password."
        )
    return flags


def free_port(address: str, wanted: int | None, first: int = LIKELY_PORTS[0]) -> int:
    """The port to serve at: `wanted` itself, or the first free one from `first` on.

    Raises:
        ParameterError: `wanted`, or every likely port, is taken; or nobody can listen at this address.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    likely = [port for port in LIKELY_PORTS if port >= first]
    for port in likely if wanted is None else (wanted,):
        try:
            with socket.create_server((address, port), family=family):
                return port
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                why = str(error.strerror).split(" (")[0]  # Python adds the address once more, in brackets
                raise ParameterError("--port", f"Nothing can listen at {address}, port {port}: {why}.") from error
    if wanted is None:
        raise ParameterError("--port", f"All ports from {likely[0]} to {likely[-1]} are taken: use --port.")
    raise ParameterError(
        "--port", f"Port {wanted} is taken: choose another --port, or leave it out to find a free one."
    )


def names() -> list[str]:
    """Every flag that means something here."""
    return [name for name in _all_names() if name not in (*IGNORED_SWITCHES, *IGNORED_WITH_VALUE, *REFUSED)]


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="webui.sh",
        description="Serve the web page. Other uses, each with --help: ./webui.sh txt2img, create, prepare, train, "
        "compare, export, png-info or test.",
        epilog="Also accepted, without effect: " + " ".join((*IGNORED_SWITCHES, *IGNORED_WITH_VALUE)) + ".",
        allow_abbrev=False,
    )
    where = parser.add_argument_group("files")
    where.add_argument("--data-dir", type=_path, default=PROGRAM, help="base of models, embeddings, outputs, settings")
    where.add_argument("--models-dir", type=_path, help="another models folder, searched too")
    where.add_argument("--ckpt", type=_path, help="the checkpoint to load first")
    where.add_argument("--ckpt-dir", type=_path, help="another folder of checkpoints, searched too")
    where.add_argument("--vae-dir", type=_path, help="another folder of VAEs, searched too")
    where.add_argument("--vae-path", type=_path, metavar="FILE", help="the VAE of every picture, whatever is chosen")
    where.add_argument("--embeddings-dir", type=_path, help="the folder of embeddings")
    where.add_argument("--textual-inversion-templates-dir", type=_path, metavar="DIR", help="your training templates")
    where.add_argument(
        "--styles-file",
        type=_styles,
        action="append",
        default=[],
        metavar="FILE",
        help="styles, not those in styles.csv; may be given several times, and as styles/*.csv",
    )
    where.add_argument("--ui-settings-file", type=_path, metavar="FILE", help="settings, not those in config.json")
    where.add_argument("--no-prompt-history", action="store_true", help="write no params.txt")
    server = parser.add_argument_group("server")
    server.add_argument("--listen", action="store_true", help="let other machines in; needs a login")
    server.add_argument("--server-name", help="the address to listen at")
    server.add_argument("--port", type=_port, help=f"the port; without it the first free one from {LIKELY_PORTS[0]} on")
    server.add_argument("--gradio-auth", metavar="USER:PASSWORD[,…]", default="", help="logins for the page")
    server.add_argument("--gradio-auth-path", type=_path, metavar="FILE", help="a file of logins, one a line")
    server.add_argument("--autolaunch", action="store_true", help="open the page in the browser")
    server.add_argument("--theme", choices=("light", "dark"), help="look of the page; without it the browser's wish")
    api = parser.add_argument_group("HTTP interface for programs")
    api.add_argument("--api", action="store_true", help="answer at /sdapi/v1, documented at /docs")
    api.add_argument("--nowebui", action="store_true", help=f"no page, only --api; first port {LIKELY_PORTS[1]}")
    api.add_argument("--api-auth", metavar="USER:PASSWORD[,…]", default="", help="logins for --api (HTTP Basic)")
    api.add_argument("--api-log", action="store_true", help="print a line for each request to it")
    api.add_argument("--api-server-stop", action="store_true", help="let programs end or restart the server")
    api.add_argument(
        "--cors-allow-origins", type=_origins, default=(), metavar="ORIGIN[,…]", help="sites that may use this server"
    )
    api.add_argument("--cors-allow-origins-regex", type=_origins_regex, metavar="REGEX", help="the same, as a pattern")
    device = parser.add_argument_group("computing")
    device.add_argument("--no-half", action="store_true", help="compute in 32 bits")
    device.add_argument("--no-half-vae", action="store_true", help="compute the VAE in 32 bits")
    device.add_argument(
        "--precision", choices=("full", "half", "autocast"), default="autocast", help="full = --no-half"
    )
    device.add_argument(
        "--use-cpu", nargs="+", type=str.lower, default=(), metavar="PART", help="all or sd: use no graphics card"
    )
    device.add_argument("--device-id", type=_device, help="number of the CUDA device")
    setup = parser.add_argument_group("set-up")
    setup.add_argument("--skip-install", "--skip-prepare-environment", action="store_true", help="install nothing")
    setup.add_argument("--exit", action="store_true", help="set up, then stop")
    for name in IGNORED_SWITCHES:
        parser.add_argument(name, action=_Foreign, dest="ignored", nargs=0, default=(), help=argparse.SUPPRESS)
    for name in IGNORED_WITH_VALUE:
        parser.add_argument(name, action=_Foreign, dest="ignored", default=(), help=argparse.SUPPRESS)
    for name in REFUSED:
        parser.add_argument(name, action=_Foreign, dest="ignored", nargs="?", default=(), help=argparse.SUPPRESS)
    return parser


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        words = message.removeprefix("argument ")
        raise ParameterError(words.split(":")[0], f"{words[0].upper()}{words[1:]}.")


class _Foreign(argparse.Action):
    """A flag of A1111 that has no effect here: it is noted, or refused where passing it over would do harm."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        name = self.option_strings[0]
        if name in REFUSED:
            raise ParameterError(name, f"There is no {name} here: {REFUSED[name]}")
        setattr(namespace, self.dest, (*getattr(namespace, self.dest), option_string))


def _words(environment: Mapping[str, str]) -> list[str]:
    try:
        return shlex.split(environment.get("COMMANDLINE_ARGS", ""))
    except ValueError as error:
        raise ParameterError("COMMANDLINE_ARGS", "COMMANDLINE_ARGS holds a quote that is never closed.") from error


def _unknown(word: str) -> ParameterError:
    if not word.startswith("-"):
        return ParameterError(word, f"“{word}” is no flag and no command: ./webui.sh --help lists what there is.")
    name = word.split("=")[0]
    near = difflib.get_close_matches(name, _all_names(), n=1)
    advice = f"did you mean {near[0]}?" if near else "./webui.sh --help lists what there is."
    return ParameterError(name, f"There is no flag {name}: {advice}")


def _all_names() -> list[str]:
    return list(_parser()._option_string_actions)  # argparse tells its names nowhere else


def _path(text: str) -> Path:
    return typed_path(text).absolute()


def _styles(text: str) -> Path:
    path = _path(text)
    if glob.has_magic(str(path.parent)):
        raise argparse.ArgumentTypeError(f"{text!r}: a * may stand in the name of the file, not in that of a folder")
    return path


def _port(text: str) -> int:
    return _number(text, 1, 65535)


def _device(text: str) -> int:
    return _number(text, 0, 127)


def _number(text: str, least: int, most: int) -> int:
    if not text.isdecimal() or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least} to {most}")
    return int(text)


def _origins(text: str) -> tuple[str, ...]:
    """`https://a.example,http://localhost:3000`, as browsers write them: no path, no slash at the end."""
    origins = tuple(part.strip().lower() for part in text.split(",") if part.strip())
    for origin in origins:
        if not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/\s*]+", origin):
            raise argparse.ArgumentTypeError(f"{origin!r} is no origin such as https://example.com:8000")
    return origins


def _origins_regex(text: str) -> str:
    try:
        matches = re.fullmatch(text, ANY_SITE)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no pattern: {error}") from error
    if matches:
        raise argparse.ArgumentTypeError(f"{text!r} lets every site that you visit use this server: name yours")
    return text


def _logins(text: str, flag: str) -> list[tuple[str, str]]:
    """`user:password[,user:password…]` taken apart; a password may hold further colons, but no comma."""
    logins = []
    for login in filter(None, (part.strip() for part in text.split(","))):
        user, _, password = login.partition(":")
        if not user or not password:
            raise ParameterError(flag, f"{flag}: a login is written user:password, and neither may be empty.")
        logins.append((user, password))
    return logins


def _logins_of_file(path: Path | None) -> list[tuple[str, str]]:
    if path is None:
        return []
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ParameterError("--gradio-auth-path", f"--gradio-auth-path: {path} cannot be read as text.") from error
    logins = [login for line in text.splitlines() for login in _logins(line, "--gradio-auth-path")]
    if not logins:
        raise ParameterError("--gradio-auth-path", f"--gradio-auth-path: {path} holds no login.")
    return logins


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address.lower() == "localhost"
