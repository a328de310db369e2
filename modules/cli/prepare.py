"""`./webui.sh prepare`: a folder of photos in, a folder to train on out."""

from collections.abc import Sequence

from modules.cli.arguments import SERVER_FLAGS, Parser
from modules.cli.following import follow
from modules.cli.host import hosted
from modules.errors import ParameterError
from modules.preprocess_params import PreprocessParams


def run(arguments: Sequence[str]) -> int:
    """Prepare photos; no model is loaded for it. Returns the exit code."""
    parser = Parser(
        "prepare",
        f"Cut photos to size and write their captions beside them; originals are only read. {SERVER_FLAGS}",
        ("source", "destination"),
    )
    parser.add_fields(PreprocessParams)
    parser.add_argument("--survey", action="store_true", help="only look at each photo and say what is good and bad")
    values, flags = parser.read(arguments)
    survey = values.pop("survey")
    params = PreprocessParams(**values)
    if not params.source or not (params.destination or survey):
        raise ParameterError("--source", "Two folders are needed: ./webui.sh prepare PHOTOS PREPARED.")
    with hosted(flags) as app:
        return follow(app.photos.survey(params) if survey else app.photos.preprocess(params))
