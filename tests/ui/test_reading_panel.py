"""The panel: every kind of piece, and nothing of a prompt as markup."""

from pathlib import Path

import pytest
from markupsafe import Markup

from modules.app import App
from modules.desks.embeddings import EmbeddingDesk
from modules.prompts.matching import EmbeddingIndex
from modules.prompts.tokenizer import clip_tokenizer
from modules.ui import reading_panel
from tests.ui.corpus import FORBIDDEN_ATTRIBUTES, HOSTILE
from tests.ui.stand_in import StandIn
from tests.ui.test_fragments import Elements


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    index = EmbeddingIndex({"panda": 3, "<em>bold</em>": 1}, clip_tokenizer())
    monkeypatch.setattr(EmbeddingDesk, "index", lambda self: index)
    return StandIn(tmp_path)


def panel(app: App, prompt: str, sampler: str = "Euler", steps: int = 4) -> Markup:
    return reading_panel.panel(reading_panel.read(app, prompt, sampler, steps), sampler)


def chips(app: App, prompt: str) -> list[str]:
    html = str(panel(app, prompt)).replace("</div>", "<span></span>")
    return [Elements('<span class="' + part.split("<span", 1)[0]).text for part in html.split('<span class="chip ')[1:]]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a cat", ["a cat"]),
        ("a (cat:1.5) b", ["a", "cat1.5", "b"]),
        ("[red | blue] hair", ["red ⇄ blue", "hair"]),
        ("[red:blue:0.5]", ["red → blue after step 2"]),
        ("[red:2]", ["nothing → red after step 2"]),
        ("a panda", ["a", "panda 3 vectors"]),
        ("a AND b :0.5", ["a", "b"]),
    ],
)
def test_chips(app: StandIn, prompt: str, expected: list[str]) -> None:
    assert chips(app, prompt) == expected


def test_ink_grows_with_the_weight(app: StandIn) -> None:
    assert "--ink:0%" in panel(app, "a")
    assert "--ink:60%" in panel(app, "(a:1.3)")
    assert "--ink:100%" in panel(app, "(a:4)")
    assert "pale" in panel(app, "[a]")


def test_chunks_are_told_apart_once(app: StandIn) -> None:
    assert panel(app, "a").count('role="separator"') == 0
    assert panel(app, "a BREAK b").count('role="separator"') == 1
    assert panel(app, "word " * 100).count('role="separator"') == 1


def test_steps_and_notes_stand_below(app: StandIn) -> None:
    text = Elements(panel(app, "[a|b] c, half | of it")).text
    assert "1–4" not in text
    html = panel(app, "[a|b] c")
    assert [row.split("</li>")[0] for row in html.split("<li>")[1:]] == [
        f"<span>{step}</span>{word} c" for step, word in enumerate("abab", 1)
    ]
    assert "scheduling" in text


def test_second_order_samplers_count_calls(app: StandIn) -> None:
    assert "after step 4" in panel(app, "[a:b:0.5]", "Heun")
    assert "counts" not in panel(app, "[a:b:0.5]", "Euler")
    assert "count its calls" in panel(app, "[a:b:0.5]", "Heun")


def test_counter(app: StandIn) -> None:
    def text(prompt: str) -> str:
        return Elements(reading_panel.counter(reading_panel.read(app, prompt, "Euler", 20))).text

    assert text("") == "0/75"
    assert text("a photo of a cat") == "5/75"
    assert text("word " * 80) == "80/150"
    assert text("panda") == "panda3/75"


@pytest.mark.parametrize("text", [*HOSTILE, "<em>bold</em>", *(f"[{text}|{text}]" for text in HOSTILE)])
def test_prompts_stay_texts(app: StandIn, text: str) -> None:
    for html in (panel(app, text), reading_panel.counter(reading_panel.read(app, text, "Euler", 20))):
        assert isinstance(html, Markup)
        tags = Elements(html).tags
        assert {tag for tag, _ in tags} <= {"div", "span", "b", "i", "ol", "ul", "li", "p"}
        assert not {name for _, attributes in tags for name in attributes} & set(FORBIDDEN_ATTRIBUTES)


def test_a_hostile_prompt_becomes_few_elements(app: StandIn) -> None:
    for prompt in ("(a) " * 20_000, "[a|b] " * 2_000, "a BREAK " * 5_000, "[a:b:1] " * 3_000):
        assert len(Elements(panel(app, prompt, steps=150)).tags) < 3_000
