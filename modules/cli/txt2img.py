"""`./webui.sh txt2img`: pictures, or many of them by a script."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from modules import images
from modules.app import App
from modules.cli.arguments import SERVER_FLAGS, Parser, existing_picture
from modules.cli.following import follow, tell
from modules.cli.host import hosted, load
from modules.desks.drawing import Place
from modules.errors import ImageError, ParameterError
from modules.files import typed_path
from modules.params import Txt2ImgParams
from modules.samplers import names
from modules.script_params import LINES, NONE, ScriptParams

_FROM_MODEL = ("sampler", "schedule", "steps", "width", "height", "cfg_scale")
_OF_SCRIPT = tuple(field.name for field in dataclasses.fields(ScriptParams))
_FILES = (".png", ".jpg", ".jpeg", ".webp", ".avif")


def run(arguments: Sequence[str]) -> int:
    """Draw pictures. Returns the exit code."""
    values, flags = _parser().read(arguments)
    output, like, lines = (values.pop(name, None) for name in ("output", "like", "prompts_from"))
    of_script = {name: values.pop(name) for name in _OF_SCRIPT if name in values}
    if lines:
        of_script = {"script": LINES, **of_script, "prompt_lines": _text(lines)}
    script = ScriptParams(**of_script)
    given = Txt2ImgParams(**values)
    names.find(given.sampler, given.schedule)
    folder = _folder(output) if output else None
    infotext = _infotext(like) if like else ""
    with hosted(flags) as app:  # what can be refused was refused before a model is loaded
        load(app)
        params = Txt2ImgParams(**{**_defaults(app), **_as_in(app, infotext), **values, "preview_every": 0})
        if script.script == NONE:
            return follow(app.generate(params, place=Place(folder, folder)))
        return follow(app.run_script(params, script, place=Place(folder, folder)))


def _parser() -> Parser:
    parser = Parser("txt2img", f"Draw pictures. What is not given is as the model recommends. {SERVER_FLAGS}")
    parser.add_argument(
        "-o", "--output", type=typed_path, metavar="FOLDER", help="default: outputs/ of the data folder"
    )
    parser.add_argument(
        "--like", type=typed_path, metavar="PICTURE", help="take what is not given from the parameters of this picture"
    )
    parser.add_argument(
        "--prompts-from", type=typed_path, metavar="FILE", help=f"the script “{LINES}” with the lines of this file"
    )
    parser.add_fields(Txt2ImgParams, leave_out=("preview_every",))  # nobody sees previews here
    parser.add_fields(ScriptParams, leave_out=("include_sub_images",))  # every picture is a file and a line here
    return parser


def _folder(output: Path) -> Path:
    folder = output.absolute()
    if folder.suffix.lower() in _FILES and not folder.is_dir():
        raise ParameterError(
            "--output",
            f"--output is a folder, “{output}” looks like a picture: pictures are called <number>-<seed>.png.",
        )
    if folder.exists() and not folder.is_dir():
        raise ParameterError("--output", f"--output is a folder, “{output}” is a file.")
    return folder


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig", errors="replace")
    except OSError as error:
        raise ParameterError("--prompts-from", f"“{path}” cannot be read: {error.strerror}.") from error


def _infotext(picture: Path) -> str:
    infotext = images.read_infotext(existing_picture(picture))
    if not infotext.strip():
        raise ImageError(f"“{picture}” carries no parameters: there is nothing to draw like it.")
    return infotext


def _defaults(app: App) -> dict[str, Any]:
    """What nobody has to give: the settings' values, and over them the model's."""
    state = app.model_state
    width, height = state.native_size
    recommended: dict[str, Any] = {"width": width, "height": height, **state.recommended}
    from_model = {name: value for name, value in recommended.items() if name in _FROM_MODEL}
    return {**app.drawing.form_defaults(), **from_model}


def _as_in(app: App, infotext: str) -> dict[str, Any]:
    """The values of a picture that is to be drawn again. What will differ is told."""
    if not infotext:
        return {}
    made = app.library.remake(infotext)
    for difference in made.differences:
        told = {"subject": difference.subject, "text": difference.text, "harmless": difference.harmless}
        tell({"event": "difference", **told})
    return dict(made.values)
