"""The pinned set of pyproject.toml: exact, whole, and all that the program imports."""

import ast
import importlib.metadata
import re
import sys
import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from modules.paths import PROGRAM

PROJECT = tomllib.loads((PROGRAM / "pyproject.toml").read_text("utf-8"))
REQUIRED = [Requirement(text) for text in PROJECT["project"]["dependencies"]]
FOR_TESTS = [Requirement(text) for text in PROJECT["project"]["optional-dependencies"]["test"]]
PULLED_IN = [Requirement(text) for text in PROJECT["tool"]["launch"]["constraints"]]
PINNED = {canonicalize_name(pin.name) for pin in REQUIRED + FOR_TESTS + PULLED_IN}


def test_every_version_is_exact():
    assert [
        str(pin) for pin in REQUIRED + FOR_TESTS + PULLED_IN if not re.fullmatch(r"==[\d.]+", str(pin.specifier))
    ] == []
    assert "torch==2.13.0" in map(str, REQUIRED)
    assert len(PINNED) == len(REQUIRED + FOR_TESTS + PULLED_IN), "no package is pinned twice"


def test_everything_that_is_pulled_in_is_pinned():
    waiting = [(canonicalize_name(pin.name), frozenset(pin.extras)) for pin in REQUIRED + FOR_TESTS]
    seen = set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        for needed in map(Requirement, importlib.metadata.requires(name) or ()):
            if any(not needed.marker or needed.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                waiting.append((canonicalize_name(needed.name), frozenset(needed.extras)))
    assert {name for name, _ in seen} - PINNED == set()
    assert "torchvision" not in PINNED | {name for name, _ in seen}


OPTIONAL = {"spandrel"}  # imported where a user may have installed it; a sentence says so where not


def test_everything_that_is_imported_is_required_by_name():
    provided = importlib.metadata.packages_distributions()
    ours = {canonicalize_name(pin.name) for pin in REQUIRED}
    missing = {}
    for path in [PROGRAM / "webui.py", *(PROGRAM / "modules").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [name.name for name in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for top in {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"modules"} - OPTIONAL:
                if not ours & {canonicalize_name(name) for name in provided.get(top, ())}:
                    missing[top] = path.name
    assert missing == {}
