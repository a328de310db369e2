"""The prompts of training: lines of a template, with the embedding's name and a photo's caption put in."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from modules.errors import ParameterError
from modules.files import inside
from modules.prompts.attention import parse_attention
from modules.prompts.matching import EmbeddingIndex
from modules.prompts.tokenizer import ClipTokenizer

SHIPPED = Path(__file__).parent / "templates"
FILEWORDS, NAME = "[filewords]", "[name]"
LARGEST_TEMPLATE = 1 << 20  # bytes


def find_templates(own: Sequence[Path]) -> dict[str, Path]:
    """All templates by name, in order; those in folders below are named with their folders, “people/face.txt”.

    Args:
        own: the user's folders, which may be missing; earlier ones win, and all of them over the shipped ones.
    """
    found = {}
    for folder in (SHIPPED, *reversed(own)):
        for path in folder.rglob("*.txt"):
            name = path.relative_to(folder).as_posix()
            if path.is_file() and not any(part.startswith(".") for part in name.split("/")) and _below(folder, name):
                found[name] = path
    return dict(sorted(found.items(), key=lambda entry: (entry[0].count("/"), entry[0])))


def read_template(name: str, own: Sequence[Path]) -> tuple[str, ...]:
    """The lines of a template, blank ones left out: they would train an empty prompt.

    Args:
        name: as `find_templates` has it.
        own: as there.

    Raises:
        ParameterError: not there, no text, no lines, or lines without `[name]`, from which nothing can be learned.
    """
    try:
        places = [inside(folder, name) for folder in (*own, SHIPPED)]
    except ParameterError as error:
        raise ParameterError("template", f"The template “{name:.60}” cannot be read: {error}") from error
    path = next((place for place in places if place.is_file()), places[-1])
    try:
        if path.stat().st_size > LARGEST_TEMPLATE:
            raise ParameterError("template", f"The template “{name}” is larger than 1 MB: is it another kind of file?")
        lines = [line.strip() for line in path.read_text("utf-8-sig").splitlines()]
    except OSError as error:
        known = ", ".join(find_templates(own))
        raise ParameterError("template", f"There is no template “{name}”: choose one of {known}.") from error
    except UnicodeDecodeError as error:
        raise ParameterError("template", f"The template “{name}” is not UTF-8 text: save it as UTF-8.") from error
    lines = [line for line in lines if line]
    if not lines:
        raise ParameterError("template", f"The template “{name}” is empty: write a prompt on each line.")
    without = [line for line in lines if NAME not in line]
    if without:
        raise ParameterError(
            "template", f"The template “{name}” has a line without [name]: “{without[0]:.60}” would teach nothing."
        )
    return tuple(lines)


def _below(folder: Path, name: str) -> bool:
    """Whether the file lies in the folder, and no link leads elsewhere."""
    try:
        return bool(inside(folder, name))
    except ParameterError:
        return False


def require_name(lines: Sequence[str], name: str, tokenizer: ClipTokenizer) -> None:
    """Refuse lines in which the name is not read as a word of its own, so that no gradient would reach its vectors.

    Raises:
        ParameterError: naming the line.
    """
    index = EmbeddingIndex({name: 1}, tokenizer)
    for line in lines:
        fragments = [tokenizer.encode_with_offsets(text) for text, _ in parse_attention(fill(line, name, "a photo"))]
        if not any(index.find(tokens, place) for tokens in fragments for place in range(len(tokens.ids))):
            raise ParameterError(
                "template", f"In “{line:.60}” of the template, [name] is part of a longer word: put blanks around it."
            )


def fill(line: str, name: str, caption: str) -> str:
    """Put caption and name into one line; a caption may hold `[name]` as well."""
    return line.replace(FILEWORDS, caption).replace(NAME, name)


@dataclass(frozen=True)
class PromptMaker:
    """Makes a new prompt for each use of a photo.

    Args:
        lines: of the template.
        name: of the embedding.
        tag_drop_out: with which probability each tag of a caption is left out.
        shuffle_tags: whether the others change places.
    """

    lines: Sequence[str]
    name: str
    tag_drop_out: float = 0.0
    shuffle_tags: bool = False

    def draw(self, caption: str, source: random.Random) -> str:
        """A random line with this caption."""
        line = source.choice(self.lines)
        if self.tag_drop_out or self.shuffle_tags:
            tags = caption.split(",")
            tags = [tag for tag in tags if not self.tag_drop_out or source.random() >= self.tag_drop_out]
            if self.shuffle_tags:
                source.shuffle(tags)
            caption = ",".join(tags)
        return fill(line, self.name, caption)

    def fixed(self, caption: str, number: int) -> str:
        """Always the same prompt for the same number: for what is compared between steps."""
        return fill(self.lines[number % len(self.lines)], self.name, caption)
