"""Bringing a tab up to date: only what changed is sent, and the picture that is looked at stays."""

from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from modules.app import ModelState, ModelStatus
from modules.jobs import JobState
from modules.ui import watch
from modules.ui.screen import Picture, Run, Screen
from modules.ui.watch import Seen, Watch
from tests.ui.stand_in import DEMO, OTHER, StandIn

NAMES = (
    "device jobs queue notices checkpoint stage gallery log infotext enlarge save_copy "
    "generate interrupt skip recommended timer"
).split()
MODEL = ModelState(ModelStatus.READY, "", DEMO, "cpu", (128, 128))


def pictures(count: int) -> tuple[Picture, ...]:
    return tuple(Picture(Path(f"{index}.png"), f"info {index}", index) for index in range(count))


class Tab:
    """One tab's states, and what it was sent last."""

    def __init__(self, data: Path, monkeypatch: pytest.MonkeyPatch):
        self.seen, self.selected = gr.State(), gr.State()
        self.watch = Watch(StandIn(data), {name: name for name in NAMES}, self.seen, self.selected)
        self.state = Seen()
        self.index = 0
        self.screen = Screen(MODEL)
        monkeypatch.setattr(watch, "look", lambda app, owner: self.screen)

    def look(self, interrupting: str = "") -> dict[str, Any]:
        updates = self.watch.look("ann", self.state, self.index, interrupting)
        self.state = updates.pop(self.seen, self.state)
        self.index = updates.pop(self.selected, self.index)
        return updates


@pytest.fixture
def tab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tab:
    return Tab(tmp_path, monkeypatch)


def show(tab: Tab, count: int, state: JobState = JobState.RUNNING, id: str = "1") -> dict[str, Any]:
    tab.screen = Screen(MODEL, run=Run(id, state, 1.0, None, pictures=pictures(count)))
    return tab.look()


def test_first_look_sends_everything_and_the_next_one_nothing(tab: Tab) -> None:
    assert set(tab.look()) == set(NAMES)
    assert tab.look() == {}


def test_a_picture_that_is_looked_at_may_go_from_the_gallery(tab: Tab) -> None:
    """The sheet of a script took its place."""
    show(tab, 6)
    tab.index = 3
    show(tab, 6)
    assert show(tab, 1)["infotext"]
    assert tab.index == 0


def test_a_browser_without_a_name_is_told_nothing(tab: Tab) -> None:
    assert set(tab.watch.look("", Seen(), 0, "")) == {tab.seen}


def test_buttons_follow_the_run(tab: Tab) -> None:
    tab.screen = Screen(ModelState(ModelStatus.LOADING))
    first = tab.look()
    assert [first[name]["interactive"] for name in ("generate", "interrupt", "skip")] == [False, False, False]
    tab.screen = Screen(MODEL)
    assert tab.look()["generate"]["interactive"]
    running = show(tab, 0)
    assert [running[name]["interactive"] for name in ("interrupt", "skip")] == [True, True]
    assert "generate" not in running  # it stays as it is


def test_the_newest_picture_is_looked_at_unless_another_was_picked(tab: Tab) -> None:
    tab.look()
    assert show(tab, 1)["gallery"]["selected_index"] == 0
    assert show(tab, 2)["gallery"]["selected_index"] == 1
    assert tab.index == 1
    tab.index = 0  # picked by hand
    update = show(tab, 3)
    assert update["gallery"]["selected_index"] == 0
    assert "info 0" in update["infotext"]
    assert show(tab, 1, id="2")["gallery"]["selected_index"] == 0


def test_a_new_run_starts_with_an_empty_gallery(tab: Tab) -> None:
    show(tab, 2, JobState.FINISHED)
    emptied = show(tab, 0, id="2")["gallery"]
    assert (emptied["value"], emptied["selected_index"]) == ([], None)


def test_interrupting_is_acknowledged_for_that_run_only(tab: Tab) -> None:
    show(tab, 0, id="7")
    assert "interrupting" in tab.look(interrupting="7")["log"]
    assert "interrupting" not in tab.look(interrupting="6")["log"]


def test_checkpoint_picker_shows_the_model_in_use_again_after_a_failed_switch(tab: Tab) -> None:
    first = tab.look()["checkpoint"]
    assert (first["value"], first["choices"]) == (DEMO, [DEMO, OTHER])
    tab.screen = Screen(ModelState(ModelStatus.LOADING, "Loading.", OTHER))
    assert tab.look()["checkpoint"]["value"] == OTHER
    tab.screen = Screen(ModelState(ModelStatus.READY, "That is a LoRA.", DEMO, "cpu", (128, 128)))
    update = tab.look()
    assert update["checkpoint"]["value"] == DEMO
    assert "That is a LoRA." in update["device"]
