"""The panel: every kind of piece, and nothing of a prompt as markup."""

from pathlib import Path
from typing import Any

import pytest
from markupsafe import Markup

from modules.app import App
from modules.desks.embeddings import EmbeddingDesk
from modules.params import Txt2ImgParams
from modules.prompts.matching import EmbeddingIndex
from modules.prompts.tokenizer import clip_tokenizer
from modules.styles import Style
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
    params = Txt2ImgParams(prompt=prompt, sampler=sampler, steps=steps)
    return reading_panel.panel(reading_panel.read(app, params), params)


def count(app: App, shown: dict[str, Any], negative: bool = False) -> str:
    params = reading_panel.params_of(app, shown, {})
    return Elements(reading_panel.counter(reading_panel.read(app, params, negative))).text


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
    assert count(app, {"prompt": ""}) == "0/75"
    assert count(app, {"prompt": "a photo of a cat"}) == "5/75"
    assert count(app, {"prompt": "word " * 80}) == "80/150"
    assert count(app, {"prompt": "panda"}) == "panda3/75"


def test_negative_prompt_is_counted_at_the_steps_of_the_run(app: StandIn) -> None:
    shown = {"negative_prompt": "[cat|a b c d e f]", "sampler": "Euler", "steps": 20.0}
    assert count(app, shown, negative=True) == "6/75"
    assert count(app, shown | {"steps": 1}, negative=True) == "1/75"


def test_styles_are_counted_with_the_prompts(app: StandIn) -> None:
    app.drawing.styles.save(Style("sketch", "{prompt}, pencil drawing", "photo"))
    shown = {"prompt": "a cat", "negative_prompt": "rain", "styles": ["sketch"]}
    assert count(app, shown) == "5/75"
    assert count(app, shown, negative=True) == "3/75"
    assert count(app, shown | {"styles": ["gone"]}) == "2/75"


def test_overrides_and_settings_decide_how_it_is_read(app: StandIn) -> None:
    told = "“:9” at the end is read as text"

    def panel_of(overrides: dict[str, Any]) -> str:
        params = reading_panel.params_of(app, {"prompt": "aspect 16:9", "negative_prompt": ""}, overrides)
        return reading_panel.panel(reading_panel.read(app, params), params)

    assert told in panel_of({})
    assert told not in panel_of({"a1111_exact": True, "clip_skip": 2})
    app.change_settings(a1111_exact=True)
    assert told not in panel_of({})
    assert told in panel_of({"a1111_exact": False})


def test_an_edit_of_the_second_pass_comes_there(app: StandIn) -> None:
    def panel_of(**shown: Any) -> str:
        params = reading_panel.params_of(app, {"prompt": "[a:b:1.5]", "steps": 20, **shown}, {})
        return reading_panel.panel(reading_panel.read(app, params), params)

    assert "“b” never comes" in panel_of()
    told = panel_of(enable_hr=True, hr_second_pass_steps=10)
    assert "never comes" not in told
    assert "“b” comes in the second pass, after step 5 of its 10." in told
    assert "after step 10 of its 20." in panel_of(enable_hr=True)
    assert "after step 20 of its 40." in panel_of(enable_hr=True, hr_sampler="Heun")
    assert "“b” never comes" in panel_of(enable_hr=True, hr_prompt="a dog")  # the second pass draws something else


@pytest.mark.parametrize("text", [*HOSTILE, "<em>bold</em>", *(f"[{text}|{text}]" for text in HOSTILE)])
def test_prompts_stay_texts(app: StandIn, text: str) -> None:
    for html in (panel(app, text), reading_panel.counter(reading_panel.read(app, Txt2ImgParams(prompt=text)))):
        assert isinstance(html, Markup)
        tags = Elements(html).tags
        assert {tag for tag, _ in tags} <= {"div", "span", "b", "i", "ol", "ul", "li", "p"}
        assert not {name for _, attributes in tags for name in attributes} & set(FORBIDDEN_ATTRIBUTES)


def test_a_hostile_prompt_becomes_few_elements(app: StandIn) -> None:
    for prompt in ("(a) " * 20_000, "[a|b] " * 2_000, "a BREAK " * 5_000, "[a:b:1] " * 3_000):
        assert len(Elements(panel(app, prompt, steps=150)).tags) < 3_000
