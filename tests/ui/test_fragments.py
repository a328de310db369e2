"""Fragments: what they say, and that no text of a user's becomes markup."""

import ast
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markupsafe import Markup

from modules.app import ModelState, ModelStatus
from modules.errors import JobBusy, ParameterError
from modules.events import Failed, Sampled
from modules.jobs import JobState
from modules.paths import PROGRAM
from modules.ui import fragments
from modules.ui.screen import Picture, QueueEntry, Run, Screen
from tests.ui.corpus import FORBIDDEN_ATTRIBUTES, HOSTILE

READY = ModelState(ModelStatus.READY, "", "demo-portraits.safetensors", "cpu · fp32 · 1 thread")
FOLDER = Path("data")
OWN_TAGS = {"span", "button", "p", "ol", "li", "div", "h2", "b", "code", "img", "style", "i", "ul"}


class Elements(HTMLParser):
    """All start tags of a fragment with their attributes, and its text."""

    def __init__(self, html: str):
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(str(html))  # parts of a Markup are Markup, and what is added to them would be escaped again
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def picture(text: str = "info", index: int = 0) -> Picture:
    return Picture(FOLDER / "outputs" / f"{index:05}-7.png", text, 7)


def run(state: JobState = JobState.FINISHED, **values: object) -> Run:
    return Run("id", state, 3.2, None, **values)  # type: ignore[arg-type]


WITH_TEXT: dict[str, Callable[[str], Markup]] = {
    "device": lambda text: fragments.device_line(Screen(ModelState(ModelStatus.READY, "", "m", text))),
    "sentence": lambda text: fragments.device_line(Screen(ModelState(ModelStatus.FAILED, text))),
    "loading": lambda text: fragments.device_line(Screen(ModelState(ModelStatus.LOADING, text))),
    "waiting": lambda text: fragments.device_line(Screen(READY, waiting_checkpoint=text)),
    "queue, mine": lambda text: fragments.queue_list((QueueEntry(text, text, True, True, 0.5),)),
    "queue, another's": lambda text: fragments.queue_list((QueueEntry("id", text, False, False, 0.0),)),
    "stage, failed": lambda text: fragments.stage(Screen(READY, run=run(JobState.FAILED, failed=Failed(text))), text),
    "stage, no model": lambda text: fragments.stage(Screen(ModelState(ModelStatus.FAILED, text)), text),
    "stage, first run": lambda text: fragments.stage(Screen(READY), text),
    "log, running": lambda text: fragments.log(
        Screen(READY, run=run(JobState.RUNNING, status=text, notices=(text,))), None, FOLDER, False
    ),
    "log, failed": lambda text: fragments.log(
        Screen(READY, run=run(JobState.FAILED, failed=Failed(text), pictures=(picture(),))),
        Picture(FOLDER / text.replace("/", ""), text),
        FOLDER,
        False,
    ),
    "infotext": lambda text: fragments.infotext(picture(text)),
    "complaint": lambda text: fragments.complaint(ParameterError("width", text)),
    "notices": lambda text: fragments.paragraphs([text]),
}


@pytest.mark.parametrize("name", WITH_TEXT)
@pytest.mark.parametrize("text", HOSTILE)
def test_texts_stay_texts(name: str, text: str) -> None:
    html = WITH_TEXT[name](text)
    assert isinstance(html, Markup)
    elements = Elements(html)
    harmless = Elements(WITH_TEXT[name]("harmless"))
    assert [tag for tag, _ in elements.tags] == [tag for tag, _ in harmless.tags]
    assert [set(attributes) for _, attributes in elements.tags] == [set(a) for _, a in harmless.tags]
    assert not {key for _, attributes in elements.tags for key in attributes} & set(FORBIDDEN_ATTRIBUTES)
    assert text.replace("/", "") in elements.text.replace("/", "")


def test_markup_is_only_ever_made_of_constants() -> None:
    """`Markup("…")` marks a text as safe: around anything but a literal it would let markup of a user's through."""
    made = 0
    for path in sorted((PROGRAM / "modules" / "ui").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Markup":
                made += 1
                assert all(isinstance(argument, ast.Constant) for argument in node.args), f"{path.name}:{node.lineno}"
    assert made > 20


@pytest.mark.parametrize(
    ("queue", "text"),
    [
        ((), "idle"),
        ((("a", True, 0.0),), "working"),
        ((("a", True, 0.42),), "working · 42%"),
        ((("a", True, 0.42), ("b", False, 0.0), ("c", False, 0.0)), "job 1 of 3 · 42%"),
        ((("b", False, 0.0),), "1 waiting"),
    ],
)
def test_job_line(queue: tuple[tuple[str, bool, float], ...], text: str) -> None:
    entries = tuple(QueueEntry(id, id, running, True, progress) for id, running, progress in queue)
    assert Elements(fragments.job_line(Screen(READY, entries))).text == text


def test_only_own_jobs_can_be_cancelled() -> None:
    queue = (QueueEntry("1", "theirs", True, False, 0.1), QueueEntry("2", "mine", False, True, 0.0))
    buttons = [attributes for tag, attributes in Elements(fragments.queue_list(queue)).tags if tag == "button"]
    assert [(button["data-cancel"], button["aria-label"]) for button in buttons] == [("2", "Cancel mine")]


def test_prompts_to_begin_with_are_offered_for_the_demo_model_alone() -> None:
    def prompts(state: ModelState) -> list[str | None]:
        tags = Elements(fragments.stage(Screen(state), "models/Stable-diffusion")).tags
        return [attributes["data-prompt"] for tag, attributes in tags if tag == "button"]

    assert prompts(READY) == list(fragments.EXAMPLES.values())
    assert prompts(ModelState(ModelStatus.READY, "", "mine.safetensors [0123456789]")) == []


def test_stage_shows_what_there_is() -> None:
    def text(screen: Screen) -> str:
        return Elements(fragments.stage(screen, "models/Stable-diffusion")).text

    assert "Loading the model" in text(Screen(ModelState(ModelStatus.LOADING)))
    assert "demo model" in text(Screen(READY))
    own = ModelState(ModelStatus.READY, "", "mine.safetensors [0123456789]")
    assert "demo model" not in text(Screen(own))
    assert "Generate" in text(Screen(own))
    assert "models/Stable-diffusion" in text(Screen(ModelState(ModelStatus.FAILED, "There is no model.")))
    assert text(Screen(READY, run=run(pictures=(picture(),)))) == ""
    assert "too large" in text(Screen(READY, run=run(JobState.FAILED, failed=Failed("too large"))))
    live = fragments.stage(Screen(READY, run=run(JobState.RUNNING, sampled=Sampled(3, 20, preview=b"PNG"))), "")
    [(tag, attributes)] = Elements(live).tags
    assert (tag, attributes["src"], attributes["alt"]) == (
        "img",
        "data:image/png;base64,UE5H",
        "Live preview, step 3 of 20",
    )


def test_log_tells_progress_then_time_and_place() -> None:
    def text(shown: Run, picked: Picture | None = None, interrupting: bool = False) -> str:
        return Elements(fragments.log(Screen(READY, run=shown), picked, FOLDER, interrupting)).text

    half = Sampled(5, 20, batch=2, batches=2)
    running = Run("id", JobState.RUNNING, 5.0, 3.0, sampled=half)
    assert text(running) == "batch 2 of 2, step 5/20 · 0.2 s/it · 3.0 s left"
    assert text(running, interrupting=True) == "interrupting… · batch 2 of 2, step 5/20"
    assert text(run(pictures=(picture(),)), picture()) == "Time taken: 3.2 s · outputs/00000-7.png"
    assert text(run(JobState.INTERRUPTED, notices=("a note",)), picture()).startswith("Interrupted · Time taken")
    assert text(Run("id", JobState.FINISHED, 61.0, None)) == "Time taken: 1 min 1 s"
    outside = Picture(Path("/elsewhere/secret/1.png"), "")
    assert text(run(pictures=(outside,)), outside) == "Time taken: 3.2 s · 1.png"


def test_complaint_marks_its_control() -> None:
    marked = fragments.complaint(ParameterError("sampler", "no"))
    assert "#txt2img_sampling input" in marked
    assert 'data-about="txt2img_sampling"' in marked
    unmarked = fragments.complaint(JobBusy("The queue is full."))
    assert "<style" not in unmarked
    assert "data-about" not in unmarked
