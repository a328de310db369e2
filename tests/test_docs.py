"""README keeps up with the program: every flag, setting and variable stands in it, and its links lead somewhere."""

import ast
import dataclasses
import re

import pytest

from modules import flags
from modules.flags import Flags
from modules.paths import PROGRAM
from modules.settings import Settings

README = PROGRAM / "README.md"
PAGES = [README, PROGRAM / "CHANGELOG.md", *sorted((PROGRAM / "docs").rglob("*.md"))]


def readme() -> str:
    return README.read_text("utf-8")


@pytest.mark.parametrize("name", [name for name in flags.names() if name not in ("-h", "--help")])
def test_every_flag_is_explained(name):
    assert re.search(rf"`{name}[ `=]", readme())


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Settings) if field.metadata.get("key")])
def test_every_setting_is_explained(field):
    assert f"`{Settings.__dataclass_fields__[field].metadata['key']}`" in readme()


def test_every_variable_is_explained():
    docstring = ast.get_docstring(ast.parse((PROGRAM / "launch.py").read_text("utf-8"))) or ""
    variables = re.findall(r"[A-Za-z]+(?:_[A-Za-z]+)+", docstring.split("Environment variables:")[1])
    assert {"venv_dir", "COMMANDLINE_ARGS"} < set(variables)
    assert [name for name in (*variables, "python_cmd") if f"`{name}" not in readme()] == []


@pytest.mark.parametrize("command", ["./webui.sh", "./webui.sh test"])
def test_the_two_commands_stand_in_a_block_of_their_own(command):
    assert re.search(rf"^{re.escape(command)}(?: .*)?$", readme(), re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROGRAM)))
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#\s]+)", page.read_text("utf-8")) + re.findall(
        r'src="([^"]+)"', page.read_text("utf-8")
    )
    dead = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert dead == []


def test_every_flag_is_read_by_some_part():
    """What a flag says must reach someone; what reaches nobody belongs to those that are accepted and ignored."""
    read = set()
    for path in [PROGRAM / "webui.py", PROGRAM / "launch.py", *(PROGRAM / "modules").rglob("*.py")]:
        read |= {node.attr for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Attribute)}
    assert {field.name for field in dataclasses.fields(Flags)} - read == set()
