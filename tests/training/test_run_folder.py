"""Where a run lies, and logs that survive being cut short."""

import time

import pytest

from modules.errors import FileFormatError, StorageError
from modules.training.run_folder import RunFolder, StepLog, find_runs, new_run_folder, open_run


def about(**values: object) -> dict[str, object]:
    return {"ending": "", "step": 0, "steps": 9, "checkpoint": "m", "started": 1.0, **values}


def test_runs_of_a_day_have_folders_of_their_own(tmp_path):
    first, second = new_run_folder(tmp_path, "me"), new_run_folder(tmp_path, "me")
    day = time.strftime("%Y-%m-%d")
    assert first.path.parent.name in (day, time.strftime("%Y-%m-%d"))  # midnight may pass
    assert (first.path.name, second.path.name, second.name) == ("me", "me.2", "me")


def test_a_file_in_the_way_is_told(tmp_path):
    (tmp_path / "logs").write_text("a file")
    with pytest.raises(StorageError):
        new_run_folder(tmp_path / "logs", "me")


def test_runs_are_found_newest_first_and_others_passed_over(tmp_path):
    for number in range(3):
        new_run_folder(tmp_path, f"r{number}").describe(about(started=float(number)))
    broken = new_run_folder(tmp_path, "broken")
    (broken.path / "run.json").write_text("{")
    new_run_folder(tmp_path, "lacking").describe({"ending": ""})
    new_run_folder(tmp_path, "empty")
    assert [run.folder.name for run in find_runs(tmp_path)] == ["r2", "r1", "r0"]
    with pytest.raises(FileFormatError):
        open_run(broken.path)


@pytest.mark.parametrize(
    "values",
    [
        {"started": "abc"},
        {"started": None},
        {"started": float("nan")},
        {"started": 10**400},
        {"steps": float("inf")},
        {"params": [1]},
        {"photos": 3},
        {"name": ""},
        {"name": ".."},
        {"name": "../../../../../escaped"},
        {"name": "/escaped"},
        {"name": "..\\escaped"},
        {"name": "a\0b"},
    ],
    ids=lambda values: str(values)[:40],
)
def test_a_run_that_says_odd_things_is_none(tmp_path, values):
    new_run_folder(tmp_path, "good").describe(about())
    odd = new_run_folder(tmp_path, "odd")
    odd.describe(about(**values))
    assert [run.folder.name for run in find_runs(tmp_path)] == ["good"]
    with pytest.raises(FileFormatError, match="“odd” is no training run"):
        open_run(odd.path)


def test_unfinished_is_what_has_a_state_and_no_end(tmp_path):
    folder = new_run_folder(tmp_path, "me")
    folder.describe(about())
    assert not open_run(folder.path).is_unfinished
    folder.states.mkdir()
    (folder.states / "state-40.safetensors").write_bytes(b"")
    run = open_run(folder.path)
    assert (run.is_unfinished, run.step) == (True, 40)
    folder.end("finished", 50)
    assert not open_run(folder.path).is_unfinished
    folder.end("stopped", 50)
    assert open_run(folder.path).is_unfinished
    folder.discard()
    assert not open_run(folder.path).is_unfinished
    assert not folder.states.exists()


def test_snapshots_by_step(tmp_path):
    folder = RunFolder(tmp_path, "me-2")
    (tmp_path / "embeddings").mkdir()
    for name in ("me-2-10.safetensors", "me-2-9.pt", "me-2-x.pt", "me-3.pt", ".me-2-1.partial"):
        (tmp_path / "embeddings" / name).write_bytes(b"")
    assert {step: path.name for step, path in folder.snapshots().items()} == {9: "me-2-9.pt", 10: "me-2-10.safetensors"}


def test_a_log_has_one_header_and_whole_rows(tmp_path):
    log = StepLog(tmp_path / "log.csv", ("step", "loss"))
    assert log.rows() == []
    log.append(1, "0.5000000")
    log.append(2, 0.25)
    assert log.path.read_text() == "step,loss\n1,0.5000000\n2,0.25\n"
    assert log.rows() == [(1.0, 0.5), (2.0, 0.25)]


@pytest.mark.parametrize("torn", [b"3", b"3,0.1", b"3,0.1\n4,0.", b"\xff\xfe\n", b"3\n", b"3,x\n"])
def test_torn_rows_are_never_read_and_go(tmp_path, torn):
    log = StepLog(tmp_path / "log.csv", ("step", "loss"))
    log.append(1, "0.50")
    log.append(2, "0.25")
    with log.path.open("ab") as file:
        file.write(torn)
    assert log.rows()[:2] == [(1.0, 0.5), (2.0, 0.25)]
    log.keep_until(2)
    assert log.path.read_text() == "step,loss\n1,0.50\n2,0.25\n"
    log.keep_until(1)
    assert log.rows() == [(1.0, 0.5)]


def test_a_log_that_cannot_be_written_is_told(tmp_path):
    with pytest.raises(StorageError, match=r"log\.csv"):
        StepLog(tmp_path / "gone" / "log.csv", ("step",)).append(1)
