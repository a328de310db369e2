"""Flags made from the fields of a dataclass, so that page and command line never differ."""

import argparse
import dataclasses
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NoReturn

from modules.errors import ImageError, ParameterError
from modules.flags import Flags, read_flags

SERVER_FLAGS = "Flags of the server, such as --data-dir, --ckpt and --use-cpu, hold here too."


class Parser(argparse.ArgumentParser):
    """Refuses with a sentence. Words that stand before the first flag may stand for flags of their own.

    Args:
        command: the word behind `webui.sh`.
        description: for `--help`.
        words: names of the flags that leading words are taken for, in order.
    """

    def __init__(self, command: str, description: str, words: Sequence[str] = ()):
        places = "".join(f" [{word.upper().replace('-', '_')}]" for word in words)
        usage = f"webui.sh {command}{places} [flags]" if words else None
        super().__init__(prog=f"webui.sh {command}", usage=usage, description=description, allow_abbrev=False)
        self._words = words

    def error(self, message: str) -> NoReturn:
        words = message.removeprefix("argument ")
        name = words.split(":")[0].split("/")[-1]
        if words.endswith("expected one argument"):
            words += f" (one that begins with a minus sign is written {name}=-…)"
        raise ParameterError(words.split(":")[0], f"{words[:1].upper()}{words[1:]}.")

    def read(self, arguments: Sequence[str]) -> tuple[dict[str, Any], Flags]:
        """What was given, by field name, and the flags of the server.

        Raises:
            ParameterError: an unknown flag or word, or a value that cannot be used.
        """
        rest, spelled = list(arguments), []
        for word in self._words:
            if not rest or rest[0].startswith("-"):
                break
            spelled += [f"--{word}={rest.pop(0)}"]
        given, others = self.parse_known_args([*spelled, *self._joined(rest)])
        try:
            read_flags(others, {})  # what is typed is meant: IGNORE_CMD_ARGS_ERRORS is for scripts that start servers
        except ParameterError as error:
            if error.field not in others or error.field.startswith("-"):
                raise
            raise ParameterError(error.field, self._misplaced(error.field)) from error
        flags = read_flags(others)
        values = {name: value for name, value in vars(given).items() if value is not None}
        return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}, flags

    def _misplaced(self, word: str) -> str:
        places = f"as in {self.usage}" if self._words else f"{self.prog} takes flags only"
        return f"“{word}” is not expected there ({places}): a text of several words is written in quotes."

    def _joined(self, words: Sequence[str]) -> list[str]:
        """`--prompt -red` as `--prompt=-red`: argparse takes “-red” for a flag, and nobody means one."""
        flags = self._option_string_actions  # argparse tells what its flags take nowhere else
        joined: list[str] = []
        for word in words:
            before = flags.get(joined[-1]) if joined else None
            takes_text = before is not None and before.nargs is None and before.type in (None, str)
            if takes_text and re.match(r"-[^-]", word) and word not in flags:
                joined[-1] += f"={word}"
            else:
                joined.append(word)
        return joined

    def add_fields(self, kind: Any, leave_out: Collection[str] = ()) -> None:
        """A flag for each field of a dataclass made of `parameter`s. What is not given is absent, so that what the
        model or the photos recommend can hold.
        """
        for field in dataclasses.fields(kind):
            if field.name not in leave_out:
                self.add_argument("--" + field.name.replace("_", "-"), **_argument(field))


def _argument(field: dataclasses.Field[Any]) -> dict[str, Any]:
    control = field.metadata["control"]
    words = ", ".join(filter(None, (control.label.removesuffix("."), control.range))).replace("%", "%%")
    if isinstance(field.default, bool):
        return {"action": argparse.BooleanOptionalAction, "default": None, "help": words}
    if isinstance(field.default, tuple):
        return {"nargs": "+", "metavar": "NAME", "help": words}
    return {"type": type(field.default), "choices": control.choices or None, "help": words}


def existing_picture(path: Path) -> Path:
    """The file behind a `typed_path`.

    Raises:
        ImageError: there is none, or it is a folder.
    """
    if path.is_dir():
        raise ImageError(f"“{path}” is a folder: name one of the pictures in it.")
    if not path.exists():
        raise ImageError(f"There is no file “{path}”: look at how its name and folder are written.")
    return path
