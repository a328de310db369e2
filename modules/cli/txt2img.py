"""`./webui.sh txt2img`: pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from modules.cli.arguments import SERVER_FLAGS, Parser
from modules.cli.following import follow
from modules.cli.host import hosted, load
from modules.params import Txt2ImgParams

_FROM_MODEL = ("sampler", "schedule", "steps", "width", "height", "cfg_scale")


def run(arguments: Sequence[str]) -> int:
    """Draw pictures. Returns the exit code."""
    parser = Parser("txt2img", f"Draw pictures. What is not given is as the model recommends. {SERVER_FLAGS}")
    parser.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="default: outputs/ of the data folder")
    parser.add_fields(Txt2ImgParams, leave_out=("preview_every",))  # nobody sees previews here
    values, flags = parser.read(arguments)
    output: Path | None = values.pop("output", None)
    Txt2ImgParams(**values)  # refused before a model is loaded
    with hosted(flags) as app:
        load(app)
        state = app.model_state
        width, height = state.native_size
        recommended: dict[str, Any] = {"width": width, "height": height, **state.recommended}
        from_model = {name: value for name, value in recommended.items() if name in _FROM_MODEL}
        wanted = {**app.settings.form_defaults(), **from_model, **values, "preview_every": 0}
        return follow(app.generate(Txt2ImgParams(**wanted), folder=output and output.expanduser().absolute()))
