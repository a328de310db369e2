"""The same work without a page: `./webui.sh txt2img …` and `./webui.sh png-info FILE`.

What happens is told on standard output, one JSON object a line, so that another program can follow it; sentences for
people go to standard error. Exit codes: 0 done, 1 failed, 2 a command line that cannot be used, 130 interrupted.
"""

import argparse
import dataclasses
import json
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from modules import images, params
from modules.app import App, ModelStatus
from modules.errors import ParameterError, WebuiError
from modules.events import Event, Failed
from modules.flags import read_flags
from modules.infotext import parse_infotext
from modules.jobs import Job, JobState
from modules.params import Txt2ImgParams

_EXIT_CODES = {JobState.FINISHED: 0, JobState.FAILED: 1, JobState.INTERRUPTED: 130, JobState.CANCELLED: 130}
_FROM_MODEL = ("sampler", "schedule", "steps", "width", "height", "cfg_scale")
_INTERNAL = ("preview",)  # of events: bytes for the page's eyes


def main(arguments: Sequence[str]) -> int:
    """Run the command of `flags.COMMANDS` that stands first in `arguments`. Returns the exit code."""
    command, *rest = arguments
    try:
        return _txt2img(rest) if command == "txt2img" else _png_info(rest)
    except ParameterError as error:
        print(error, file=sys.stderr)
        return 2
    except WebuiError as error:
        print(error, file=sys.stderr)
        return 1


def _txt2img(arguments: Sequence[str]) -> int:
    parser = _Parser(
        prog="webui.sh txt2img",
        description="Draw pictures. What is not given is as the model recommends. Flags of the server, such as "
        "--data-dir, --ckpt and --use-cpu, hold here too.",
        allow_abbrev=False,
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="default: outputs/ of the data folder")
    for field in dataclasses.fields(Txt2ImgParams):
        if field.name != "preview_every":  # nobody sees it here
            parser.add_argument(_flag(field.name), **_argument(field))
    given, others = parser.parse_known_args(arguments)
    flags = read_flags(others)
    values: dict[str, Any] = {name: value for name, value in vars(given).items() if value is not None}
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    output: Path | None = values.pop("output", None)
    Txt2ImgParams(**values)  # refused before a model is loaded
    app = App(flags.paths(), None, flags)
    try:
        if code := _follow(app.start()):
            return code
        state = app.model_state
        if state.status is not ModelStatus.READY:
            raise WebuiError(state.sentence)
        width, height = state.native_size
        recommended = {"width": width, "height": height, **state.recommended}
        from_model = {name: value for name, value in recommended.items() if name in _FROM_MODEL}
        wanted = {**app.settings.form_defaults(), **from_model, **values, "preview_every": 0}
        return _follow(app.generate(Txt2ImgParams(**wanted), folder=output and output.expanduser().absolute()))
    finally:
        app.stop()


def _png_info(arguments: Sequence[str]) -> int:
    parser = _Parser(prog="webui.sh png-info", description="Print the parameters that a picture carries, as JSON.")
    parser.add_argument("file", type=Path)
    path = parser.parse_args(arguments).file
    infotext = images.read_infotext(path)
    _tell({"infotext": infotext, "parameters": parse_infotext(infotext) if infotext else {}})
    return 0


def _follow(job: Job) -> int:
    """Print the events of a job until it is over; Ctrl-C interrupts it, keeping what can be kept."""
    number = 0
    before = signal.signal(signal.SIGINT, lambda *_: job.interrupt())
    try:
        while True:
            over = job.is_over  # asked first: the last events come before the end
            events, number = job.events_since(number)
            for event in events:
                _tell(_as_data(event))
                if isinstance(event, Failed):
                    print(event.text, file=sys.stderr)
            if over:
                return _EXIT_CODES[job.state]
            job.wait(number, timeout=1.0)
    finally:
        signal.signal(signal.SIGINT, before)


def _as_data(event: Event) -> dict[str, Any]:
    """`ImageDone(path=…)` as `{"event": "image_done", "path": …}`."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(event).__name__).lower()
    fields = {f.name: getattr(event, f.name) for f in dataclasses.fields(event) if f.name not in _INTERNAL}
    return {"event": name, **fields}


def _tell(data: dict[str, Any]) -> None:
    print(json.dumps(data, ensure_ascii=False, default=str), flush=True)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _argument(field: dataclasses.Field[Any]) -> dict[str, Any]:
    """How argparse reads a field: absent is None, so that the model's recommendation can hold."""
    control = params.control(field.name)
    words = control.label if control.minimum is None else f"{control.label}, {control.minimum:g} … {control.maximum:g}"
    if isinstance(field.default, bool):
        return {"action": argparse.BooleanOptionalAction, "default": None, "help": words}
    if isinstance(field.default, tuple):
        return {"nargs": "+", "metavar": "NAME", "help": words}
    return {"type": type(field.default), "choices": control.choices or None, "help": words.replace("%", "%%")}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        words = message.removeprefix("argument ")
        raise ParameterError(words.split(":")[0], f"{words[:1].upper()}{words[1:]}.")
