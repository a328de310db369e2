"""`./webui.sh create`: a new embedding."""

import argparse
from collections.abc import Sequence

from modules.cli.arguments import SERVER_FLAGS, Parser
from modules.cli.following import follow
from modules.cli.host import hosted, load
from modules.errors import ParameterError
from modules.files import safe_name

MOST_VECTORS = 75


def run(arguments: Sequence[str]) -> int:
    """Create an embedding. Returns the exit code."""
    parser = Parser("create", f"Create an embedding from words that the model knows. {SERVER_FLAGS}", ("name",))
    parser.add_argument("--name", help="the word that will stand for it in prompts")
    add_start(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace one of this name; its file becomes a backup")
    values, flags = parser.read(arguments)
    if not values.get("name"):
        raise ParameterError("--name", "No name is given: ./webui.sh create NAME --init-text “words”.")
    safe_name(values["name"], "--name")  # refused before a model is loaded
    with hosted(flags) as app:
        load(app)
        start = (values.get("init_text", "*"), values.get("vectors_per_token", 1))
        return follow(app.training.create(values["name"], *start, values["overwrite"]))


def add_start(parser: Parser) -> None:
    """The flags that say what an embedding begins with."""
    parser.add_argument("--init-text", metavar="WORDS", help="Initialization text: what it starts from (default: *)")
    parser.add_argument("--vectors-per-token", type=_vectors, metavar="N", help="Number of vectors per token, 1 … 75")


def _vectors(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_VECTORS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {MOST_VECTORS}")
    return int(text)
