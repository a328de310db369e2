"""The page put on a web server."""

import gradio as gr
from fastapi import FastAPI

from modules.app import App
from modules.flags import Flags
from modules.ui import assets
from modules.ui.embedding_route import add_embedding_route
from modules.ui.gradio_script import add_scripts
from modules.ui.gradio_signatures import tell_signatures
from modules.ui.history.routes import add_routes
from modules.ui.page import make_page
from modules.ui.theme import make_theme
from modules.ui.train.photo_routes import add_photo_routes

MAX_UPLOAD = "50mb"


def add_page(server: FastAPI, app: App) -> None:
    """Let a server answer with the page at every address that no route before it takes."""
    tell_signatures()
    add_scripts(server)
    add_photo_routes(server, app)
    add_routes(server, app)
    add_embedding_route(server, app)
    gr.set_static_paths(
        [app.paths.outputs, app.paths.textual_inversion, app.paths.passing_sheets]
    )  # served from where they lie: copies in a cache would double the disk
    gr.mount_gradio_app(
        server,
        make_page(app),
        path="/",
        footer_links=[],
        run_history=False,
        show_error=False,
        max_file_size=MAX_UPLOAD,
        ssr_mode=False,
        pwa=False,
        enable_monitoring=False,
        theme=make_theme(),
        js=assets.script(),
        head=_head(app.flags, assets.style()),
    )


def _head(flags: Flags, style: str) -> str:
    """The style sheets as they are, which Gradio's `css` would break at media queries; and the wished look."""
    return f'<meta name="webui-theme" content="{flags.theme or ""}"><style>{style}</style>'
