"""The panel of embeddings, without a browser: what each card says, which picture it has, and that names stay text."""

from pathlib import Path
from urllib.parse import quote

import pytest
import torch
from fastapi import FastAPI
from markupsafe import Markup
from PIL import Image
from starlette.testclient import TestClient

from modules.desks.export import FORMATS
from modules.embeddings.database import Entry, State
from modules.embeddings.embedding import Embedding
from modules.embeddings.reading import read_embedding
from modules.embeddings.writing import save_embedding
from modules.images import save_png
from modules.prompts.matching import EmbeddingIndex
from modules.prompts.reading import read_prompt
from modules.prompts.tokenizer import clip_tokenizer
from modules.ui.embedding_route import add_embedding_route
from modules.ui.embeddings_panel import FILE, content, file_address, find_pictures, title
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


@pytest.mark.parametrize("name", ["foo (1)", "[draft] anna", "back\\slash", "(a:1.2)", "plain"])
def test_what_a_card_writes_is_found_in_a_prompt(tmp_path: Path, name: str) -> None:
    tokenizer = clip_tokenizer()
    card = content([entry(tmp_path, name)], {})
    written = card.split('data-embedding="')[1].split('"')[0]
    for prompt in (written, f"a photo of {written}, ({written}:1.2), [a|{written}]"):
        assert read_prompt(prompt, 20, tokenizer, EmbeddingIndex({name: 2}, tokenizer)).embeddings == {name: 2}


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


@pytest.mark.parametrize("state", list(State))
def test_what_could_be_read_can_be_saved_as_a_file(tmp_path: Path, state: State) -> None:
    html = content([entry(tmp_path, state=state, why="" if state is State.IN_USE else "so.")], {})
    links = [f"format={name}" for name in FORMATS]
    assert [link in html for link in links] == [state is not State.DAMAGED] * len(links)


@pytest.fixture
def saved(tmp_path: Path) -> tuple[StandIn, Entry, TestClient]:
    """One embedding with a name that no address may break on, and a server that gives it as a file."""
    app, server = StandIn(tmp_path / "data"), FastAPI()
    add_embedding_route(server, app)
    name = 'a&b "c" 日本'
    path = app.paths.embeddings / f"{name}.safetensors"
    save_embedding(Embedding(name, torch.randn(2, 48), 400, "0123456789", "tiny"), path)
    one = Entry(name, path, 1.0, State.IN_USE, "", read_embedding(path))
    app.embeddings.entries = lambda: [one]  # type: ignore[method-assign]
    return app, one, TestClient(server)


@pytest.mark.parametrize("name", FORMATS)
def test_a_saved_file_holds_the_same_embedding(tmp_path: Path, saved, name: str) -> None:
    _, one, client = saved
    answer = client.get(file_address(one, name))
    told = answer.headers["content-disposition"]
    assert told == f"attachment; filename*=utf-8''{quote(f'{one.name}.{name}')}"
    path = tmp_path / f"{one.name}.{name}"
    path.write_bytes(answer.content)
    embedding = read_embedding(path)
    assert embedding is not None
    assert embedding.name == one.name or name == "png"  # the sign “"” stands in no file's name on Windows
    assert (embedding.step, embedding.checkpoint_name) == (400, "tiny")
    assert torch.equal(embedding.vectors, one.embedding.vectors)


def test_only_what_the_folder_holds_is_given(saved) -> None:
    app, one, client = saved
    secret = app.paths.data / "config.json"
    secret.write_text("{}")
    for query in (
        {"name": "../config.json", "digest": one.embedding.sha256, "format": "pt"},
        {"name": one.name, "digest": "0" * 64, "format": "pt"},
        {"name": one.name, "digest": one.embedding.sha256, "format": "exe"},
        {"name": one.name, "digest": ""},
    ):
        answer = client.get(f"/{FILE}", params=query)
        assert 400 <= answer.status_code < 500
        assert str(app.paths.data) not in answer.text


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
