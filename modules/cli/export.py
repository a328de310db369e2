"""`./webui.sh export`: one embedding as a file for other programs, or as a picture that carries it."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from modules.cli.arguments import SERVER_FLAGS, Parser
from modules.cli.following import say, tell
from modules.desks.export import FORMATS, exported
from modules.errors import EmbeddingError, ParameterError
from modules.files import typed_path, write_atomically

if TYPE_CHECKING:  # brings torch
    from modules.embeddings.embedding import Embedding


def run(arguments: Sequence[str]) -> int:
    """Write the file. Returns the exit code. No model is loaded for it."""
    parser = Parser(
        "export",
        f"Write one embedding as a file for other programs; what is in embeddings/ stays as it is. {SERVER_FLAGS}",
        ("name",),
    )
    parser.add_argument("--name", help="of the embedding; or a file, such as a snapshot of a run")
    about = "; ".join(f"{name}: {who}" for name, who in FORMATS.items())
    parser.add_argument("--format", choices=[*FORMATS], help=f"{about} (default: as --output ends)")
    parser.add_argument(
        "-o", "--output", type=typed_path, metavar="FILE", help="or a folder (default: here, by its name)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    values, flags = parser.read(arguments)
    name, output = values.get("name", ""), values.get("output")
    if not name:
        raise ParameterError("--name", "No embedding is named: ./webui.sh export NAME --format pt -o FILE.")
    file_format = _format(values.get("format"), output)
    paths = flags.paths()
    embedding = _find(name, paths.embeddings)
    path = _target(output, embedding.name, file_format)
    content = exported(embedding, file_format, paths.textual_inversion)
    try:
        write_atomically(path, content, replace=values["overwrite"])
    except FileExistsError:
        raise ParameterError("--output", f"{path} is there already: name another file, or add --overwrite.") from None
    count = embedding.vectors_per_token
    tell({"event": "exported", "path": path, "name": embedding.name, "vectors": count, "step": embedding.step})
    say(f"{embedding.name}, {count} vector{'s' * (count != 1)}, written to {path}.")
    return 0


def _format(given: str | None, output: Path | None) -> str:
    """What `--format` or the end of the file's name says.

    Raises:
        ParameterError: neither says it, or they differ.
    """
    ending = output.suffix.lower().removeprefix(".") if output and not output.is_dir() else ""
    told = given or (ending if ending in FORMATS else "")
    if not told:
        raise ParameterError("--format", f"In which format? Add --format with one of {', '.join(FORMATS)}.")
    if ending and ending != told:
        raise ParameterError("--output", f"“{output}” does not end in .{told}: other programs go by that.")
    return told


def _target(output: Path | None, name: str, file_format: str) -> Path:
    place = (output or Path()).absolute()
    is_file = output is not None and output.suffix and not place.is_dir()
    return place if is_file else place / f"{name}.{file_format}"


def _find(name: str, folder: Path) -> "Embedding":
    """The embedding of this name in the folder of embeddings, for whatever model it is, or the one in this file.

    Raises:
        ParameterError: there is none.
        EmbeddingError: the file holds none that can be used.
    """
    from modules.embeddings.database import EmbeddingDatabase
    from modules.embeddings.reading import read_embedding

    database = EmbeddingDatabase([folder])
    database.refresh()
    known = database.all()
    found = [one for one in known if one.name == name] or [
        one for one in known if one.name.casefold() == name.casefold()
    ]
    if found:
        if len({one.vectors_digest for one in found}) > 1:
            others = ", ".join(one.path.name for one in found[1:] if one.path)
            say(f"There are {len(found)} of this name: the newest is taken. The others, which can be named: {others}.")
        return found[0]
    file = Path(os.path.expanduser(name))
    if os.path.isfile(file):  # False also where no file can be called so, as the name of an embedding may be
        embedding = read_embedding(file)
        if embedding is None:
            raise EmbeddingError(f"“{file.name}” is a picture that carries no embedding.")
        return embedding
    if broken := database.refusal(name):
        raise EmbeddingError(broken)
    listed = ", ".join(dict.fromkeys(one.name for one in known))
    there = f"There are: {listed:.200}." if listed else f"There are none in {folder}."
    raise ParameterError("--name", f"There is no embedding “{name}”, nor a file of that name. {there}")
