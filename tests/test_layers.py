"""Which part may know which: imports only point up the list that stands in the docstring of `modules`."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from modules.paths import PROGRAM

LAYERS = (
    {
        "errors",
        "files",
        "paths",
        "settings",
        "settings_file",
        "params",
        "training_params",
        "events",
        "flags",
        "filewords",
    }
    | {"preprocess_params", "model_state", "logs", "styles", "script_params", "pickled_modules", "a1111_flags"},
    {"prompts", "tensorfile"},
    {"infotext"},
    {"image_formats", "odd_pictures"},
    {"images", "image_saving", "embeddings", "samplers"},
    {"model", "history"},
    {"generation", "remake"},
    {"preprocess", "training"},
    {"job", "jobs", "app", "guard", "library", "desks"},
    {"ui", "api", "cli"},
    {"server"},
)
NEIGHBOURS_KNOWN = (LAYERS[0], LAYERS[8])  # plain data, and the host, build on one another
FRONT_END_ONLY = {"gradio": "ui", "gradio_client": "ui"}
WITHOUT_TORCH = {
    "prompts",
    "preprocess",
    "remake",
    "history",
    "library",
    "job",
    "jobs",
    "app",
    "desks",
    "guard",
    "ui",
    "api",
    "server",
}  # at import; it is loaded when needed

ROW = {part: row for row, parts in enumerate(LAYERS) for part in parts}
FILES = sorted((PROGRAM / "modules").rglob("*.py"))
IMPORT_ALL = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
    print(name, [heavy for heavy in ("torch", "diffusers", "transformers") if heavy in sys.modules], flush=True)
"""


def part_of(path: Path) -> str:
    return path.relative_to(PROGRAM / "modules").with_suffix("").parts[0]


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports name their module in full"
            module = node.module or ""
            yield from (f"modules.{name.name}" for name in node.names) if module == "modules" else (module,)


def forbidden(part: str, source: str) -> list[str]:
    """The imports of a file of `part` that it must not have."""
    found = []
    for name in imports(ast.parse(source)):
        top, _, rest = name.partition(".")
        used = rest.split(".")[0]
        if top != "modules":
            if FRONT_END_ONLY.get(top, part) != part or (ROW[part] == 0 and top not in sys.stdlib_module_names):
                found.append(name)
        elif used and used != part and ROW[used] >= ROW[part]:
            neighbours = LAYERS[ROW[part]]
            if used not in neighbours or neighbours not in NEIGHBOURS_KNOWN:
                found.append(name)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PROGRAM)))
def test_imports_point_up(path):
    part = part_of(path)
    if part != "__init__":
        assert part in ROW, f"{part} has no row in LAYERS"
        assert not forbidden(part, path.read_text("utf-8"))


@pytest.mark.parametrize(
    ("part", "line"),
    [
        ("samplers", "from modules.model.model import SDModel"),
        ("samplers", "import modules.embeddings.embedding"),
        ("model", "from modules import app"),
        ("prompts", "from modules.tensorfile import open_tensors"),
        ("jobs", "import gradio as gr"),
        ("flags", "import numpy"),
        ("generation", "def later():\n    from modules.jobs import Job"),
    ],
)
def test_the_guard_sees_what_is_forbidden(part, line):
    assert forbidden(part, line)


def test_imports_without_torch():
    """One process imports them one after the other, since gradio alone takes seconds."""
    names = [
        ".".join(path.relative_to(PROGRAM).with_suffix("").parts).removesuffix(".__init__")
        for path in FILES
        if part_of(path) in LAYERS[0] | WITHOUT_TORCH
    ]
    ended = subprocess.run([sys.executable, "-c", IMPORT_ALL, *names], cwd=PROGRAM, capture_output=True, text=True)
    assert ended.stdout == "".join(f"{name} []\n" for name in names), ended.stderr


def test_an_older_python_can_read_launch_py_and_it_loads_nothing_at_import():
    source = (PROGRAM / "launch.py").read_text("utf-8")
    ast.parse(source, feature_version=(3, 8))
    code = "import sys, launch; print({'modules', 'tomllib', 'urllib.request'} & {*sys.modules})"
    ended = subprocess.run([sys.executable, "-c", code], cwd=PROGRAM, capture_output=True, text=True)
    assert ended.stdout == "set()\n", ended.stderr
