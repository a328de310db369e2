"""Places of Gradio's page script that cost time by the square of the page's size, made linear when it is served.

This page has some nine hundred components and three hundred events. With Gradio 6.31 as it is, every answer of the
server wrote a loading status to every input of every event so far, each time looked for through the whole tree. What
the page does is the same; see docs/decisions/0007. A Gradio whose script reads otherwise is served as it is.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import gradio
from fastapi import FastAPI
from starlette.responses import Response

ASSETS = Path(gradio.__file__).parent / "templates" / "frontend" / "assets"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Edit:
    """A change to one of Gradio's files.

    Attributes:
        files: pattern of its name, which ends with a hash.
        before: stands there once.
        after: takes its place.
    """

    files: str
    before: str
    after: str


# only what streams into an event has a status of its own, and only until the stream is closed
_NO_STATUS_OF_INPUTS = Edit(
    "statustracker-*.js",
    "let _=h.includes(e)&&s?`input`",
    "let _=h.includes(e)&&s&&s!==`closed`?`input`",
)
# the events of a component: told by a table instead of by all events, anew for each component
_EVENTS_BY_TABLE = Edit(
    "core-*.js",
    "find_attached_events(e,t){let n=t.filter(t=>t.targets.find(([t])=>t===e.id))"
    ".map(t=>{let n=t.targets.find(([t])=>t===e.id);return n?n[1]:null}).filter(Boolean);return",
    "find_attached_events(e,t){if(this.attached_of!==t){this.attached_of=t;this.attached=new Map;for(let e of t)"
    "{let t=new Set;for(let[n,r]of e.targets)t.has(n)||(t.add(n),r&&(this.attached.has(n)||this.attached.set(n,[]),"
    "this.attached.get(n).push(r)))}}let n=this.attached.get(e.id)??[];return",
)
# a component by its number: all entered at once in a table of the tree; an unknown number may be one that has come
# meanwhile
_NODES_BY_TABLE = Edit(
    "core-*.js",
    "function Z(e,t){if(e.id===t)return e;if(e.children)for(let n of e.children){let e=Z(n,t);if(e)return e}"
    "return null}",
    "let found_in=new WeakMap;function Z(e,t){let n=found_in.get(e);return n||found_in.set(e,n=new Map),"
    "n.has(t)||enter(e,n),n.get(t)??null}function enter(e,t){t.has(e.id)||t.set(e.id,e);"
    "if(e.children)for(let n of e.children)enter(n,t)}",
)
# the last work on a new tree exchanges nodes: a table that somebody had filled before would hold the old ones
_TABLE_ANEW = Edit(
    "core-*.js",
    "e=>Ne(e,this.components_to_register,this.#d)])",
    "t=>Ne(t,this.components_to_register,this.#d)]),found_in=new WeakMap",
)
EDITS = (_NO_STATUS_OF_INPUTS, _EVENTS_BY_TABLE, _NODES_BY_TABLE, _TABLE_ANEW)


def edited(assets: Path = ASSETS) -> dict[str, str]:
    """Gradio's files that are changed, by name. An edit whose place is not found is left out."""
    scripts: dict[str, str] = {}
    for edit in EDITS:
        texts: Mapping[str, str] = {
            path.name: scripts.get(path.name) or path.read_text("utf-8") for path in assets.glob(edit.files)
        }
        found = [name for name, text in texts.items() if text.count(edit.before) == 1]
        if len(found) == 1:
            scripts[found[0]] = texts[found[0]].replace(edit.before, edit.after)
        else:
            _log.warning("Gradio's script is another one (%s): the page will be slower.", edit.files)
    return scripts


def add_scripts(server: FastAPI) -> None:
    """Serve the changed files in the place of Gradio's; to be added before Gradio's own routes."""
    for name, text in edited().items():
        _add(server, name, text.encode())


def _add(server: FastAPI, name: str, content: bytes) -> None:
    @server.get(f"/assets/{name}", include_in_schema=False)
    def script() -> Response:
        # asked for each time: a browser that kept Gradio's own would stay slow, and one that kept ours out of date
        return Response(content, media_type="text/javascript", headers={"cache-control": "no-cache"})
