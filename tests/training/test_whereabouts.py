"""Photos that go between a run's end and its going on: what its loss is measured on then, and how that is told."""

import dataclasses
from pathlib import Path

from modules.events import Noticed, TrainingStarted
from modules.training.best import best_snapshot
from modules.training.whereabouts import before_resuming, found_in, longest, loss_changes, stretches
from tests.training.tiny_run import make_photos, pull, pull_resumed, small


def set_aside_of(part):
    """A run's folder of photos, and the names of those that it set aside."""
    return Path(part.folder.about()["params"]["data_root"]), part.folder.about()["held_out"]


def test_what_the_loss_is_measured_on_is_told_when_photos_set_aside_are_gone(model, paths, tmp_path):
    params = small(make_photos(tmp_path / "more", 8), steps=8, held_out_every=1)
    part = pull(model, paths, params, close_after=2)
    photos, aside = set_aside_of(part)
    alone = pull(model, paths, dataclasses.replace(params, steps=9), close_after=2)
    kept = {name: (photos / name).read_bytes() for name in aside}

    (photos / aside[0]).unlink()
    one = pull_resumed(model, paths, alone.folder.path, close_after=4)
    assert "1 of the 2 photos that were set aside is gone: resumed, the held-out loss is measured on the others." in (
        before_resuming(part.folder, paths.data)
    )
    [*_, told] = [event.text for event in one.of(Noticed)]
    assert told.startswith(
        "1 of the 2 photos that were set aside is gone. From step 2 on, the held-out loss is measured"
    )
    started = one.of(TrainingStarted)[0]
    assert (started.held_out, started.aside_gone, started.loss_note) == (1, 1, "since step 2 on 1 of 2 photos")

    (photos / aside[1]).unlink()
    assert "measured on training photos, which tells less" in before_resuming(part.folder, paths.data)
    gone = pull_resumed(model, paths, part.folder.path, close_after=4)
    [*_, told] = [event.text for event in gone.of(Noticed)]
    assert told.startswith(
        "The 2 photos that were set aside are gone. From step 2 on, the held-out loss is measured on tr"
    )
    started = gone.of(TrainingStarted)[0]
    assert (started.held_out, started.aside_gone, started.loss_note) == (0, 2, "since step 2 on training photos")
    assert loss_changes(part.folder) == [1]

    again = pull_resumed(model, paths, part.folder.path, close_after=6)
    assert again.of(TrainingStarted)[0].loss_note == "since step 2 on training photos"
    assert not any("From step" in event.text for event in again.of(Noticed)), "once is enough"
    for name, content in kept.items():
        (photos / name).write_bytes(content)
    assert before_resuming(part.folder, paths.data) == ""
    back = pull_resumed(model, paths, part.folder.path)
    assert back.of(TrainingStarted)[0].loss_note == "since step 6 on the photos set aside, as they are now"
    assert loss_changes(part.folder) == [1, 5]


def test_photos_that_were_learned_from_and_are_gone_are_told_before(model, paths, tmp_path):
    part = pull(model, paths, small(make_photos(tmp_path / "more", 8), steps=8, held_out_every=1), close_after=2)
    photos, aside = set_aside_of(part)
    assert before_resuming(part.folder, paths.data) == ""
    first, *others = sorted(part.folder.about()["photos"])
    (photos / first).unlink()
    told = before_resuming(part.folder, paths.data)
    assert told.startswith(f"1 of the 6 photos it learned from is gone ({first}): resumed, it goes on without")
    (photos / aside[0]).unlink()
    assert before_resuming(part.folder, paths.data).startswith(f"{told} 1 of the 2 photos that were set aside is gone")
    for name in others:
        (photos / name).unlink()
    assert before_resuming(part.folder, paths.data) == (
        "The photos it learned from are gone: put them back to resume it."
    )


def test_photos_that_were_carried_elsewhere_are_asked_for_once(model, paths, tmp_path):
    part = pull(model, paths, small(make_photos(tmp_path / "more", 8), steps=8, held_out_every=1), close_after=2)
    before, there = set_aside_of(part)[0], tmp_path / "at home"
    assert found_in(part.folder, paths.data, str(tmp_path)) == ""
    before.rename(there)
    assert before_resuming(part.folder, paths.data).startswith(f"The photos are not in “{before}” any more: put them")
    chosen = {"": "", "\0": "", str(tmp_path): "", str(there): str(there)}
    assert {choice: found_in(part.folder, paths.data, choice) for choice in chosen} == chosen
    assert before_resuming(part.folder, paths.data, str(there)) == ""
    pull_resumed(model, paths, part.folder.path, str(there), close_after=4)
    about = part.folder.about()
    assert (about["params"]["data_root"], about["data_folder"]) == (str(there), str(paths.data))
    assert before_resuming(part.folder, paths.data) == ""


def test_losses_on_other_photos_are_not_compared(model, paths, tmp_path):
    part = pull(model, paths, small(make_photos(tmp_path / "more", 8), steps=9, held_out_every=1), close_after=6)
    photos, aside = set_aside_of(part)
    for name in aside:
        (photos / name).unlink()
    pull_resumed(model, paths, part.folder.path)
    log, losses = part.folder.held_out_log, [9, 8, 0.5, 7, 0.3, 7, 0.1, 0.1, 0.1, 0.1]
    assert [row[0] for row in log.rows()] == list(range(10))
    log.path.unlink()
    for step, loss in enumerate(losses):
        log.append(step, loss)
    assert best_snapshot(part.folder) == 4


def test_stretches():
    rows = [(step, 0.1) for step in range(0, 60, 10)]
    assert [[row[0] for row in part] for part in stretches(rows, [10, 25])] == [[0, 10], [20], [30, 40, 50]]
    assert [row[0] for row in longest(rows, [10])] == [20, 30, 40, 50]
    assert stretches([], [10]) == [[]]
