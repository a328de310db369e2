"""The panel of embeddings, without a browser: what each card says, which picture it has, and that names stay text."""

from pathlib import Path

import pytest
import torch
from markupsafe import Markup
from PIL import Image

from modules.embeddings.database import Entry, State
from modules.embeddings.embedding import Embedding
from modules.images import save_png
from modules.ui.embeddings_panel import content, find_pictures, title
from tests.ui.corpus import HOSTILE
from tests.ui.stand_in import StandIn
from tests.ui.train.runs import NAME, make_run


def entry(folder: Path, name: str = NAME, step: int | None = 400, state: State = State.IN_USE, why: str = "") -> Entry:
    embedding = Embedding(name, torch.ones(2, 768), step, "0123456789", "demo-portraits")
    return Entry(name, folder / f"{name}.safetensors", 1.0, state, why, None if state is State.DAMAGED else embedding)


def test_a_card_says_what_it_is_and_is_pressed(tmp_path: Path) -> None:
    html = content([entry(tmp_path)], {})
    assert f'data-embedding="{NAME}"' in html
    assert "2 vectors · 400 steps" in html
    assert "trained on demo-portraits" in html
    assert "not trained yet" in content([entry(tmp_path, step=0)], {})


@pytest.mark.parametrize("state", [state for state in State if state is not State.IN_USE])
def test_what_cannot_act_says_why_and_cannot_be_pressed(tmp_path: Path, state: State) -> None:
    html = content([entry(tmp_path, state=state, why="because of that.")], {})
    assert f"{state}: because of that." in html
    assert "data-embedding" not in html


def test_what_acts_comes_first(tmp_path: Path) -> None:
    idle, usable = entry(tmp_path, "first", state=State.SHADOWED, why="twin."), entry(tmp_path, "second")
    html = content([idle, usable], {})
    assert html.index("second") < html.index("first")
    assert title([idle, usable]) == "Embeddings: 1, and 1 that cannot act"
    assert (title([usable]), title([])) == ("Embeddings: 1", "Embeddings: none yet")


def test_none_yet_has_a_door() -> None:
    assert 'data-open-step="create"' in content([], {})


def test_its_picture_is_the_one_beside_it_or_the_sample_of_its_run(tmp_path: Path) -> None:
    app = StandIn(tmp_path / "data")
    one = entry(app.paths.embeddings)
    assert find_pictures(app, [one]) == {}
    make_run(app.paths)
    sample = find_pictures(app, [one])[one.path]
    assert sample.startswith("data:image/webp;base64,")
    assert find_pictures(app, [entry(app.paths.embeddings, step=5)]) == {}  # no sample of that step
    app.paths.embeddings.mkdir(parents=True, exist_ok=True)
    beside = app.paths.embeddings / f"{NAME}.preview.png"
    save_png(Image.new("RGB", (600, 600), (200, 30, 30)), beside, "")
    assert find_pictures(app, [one])[one.path] != sample
    beside.write_bytes(b"no picture")
    assert find_pictures(app, [one])[one.path] == sample


def test_names_and_reasons_stay_text(tmp_path: Path) -> None:
    for text in HOSTILE:
        for html in (
            content([Entry(text, tmp_path / "x.pt", 1.0, State.DAMAGED, text)], {}),
            content([Entry(text, tmp_path / "x.pt", 1.0, State.IN_USE, "", Embedding("x", torch.ones(1, 768)))], {}),
        ):
            assert Markup.escape(text) in html
            assert "<script" not in html.lower()
